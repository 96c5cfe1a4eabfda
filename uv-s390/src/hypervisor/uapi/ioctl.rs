//! Numbers of the user API (s390-ultravisor §7.1; numbers without a place there are those of Linux's public header).

use core::fmt;

/// Request numbers.
pub mod request {
    macro_rules! requests {
        ($($(#[$doc:meta])* $name:ident = $value:literal, $linux:literal;)*) => {
            $($(#[$doc])* pub const $name: u32 = $value;)*

            /// The name that Linux gives a request, where it is one of these.
            #[must_use]
            pub const fn name(number: u32) -> Option<&'static str> {
                Some(match number {
                    $($name => $linux,)*
                    _ => return None,
                })
            }
        };
    }

    requests! {
        /// KVM_GET_API_VERSION (system).
        GET_API_VERSION = 0xae00, "KVM_GET_API_VERSION";
        /// KVM_CREATE_VM (system), the type as value.
        CREATE_VM = 0xae01, "KVM_CREATE_VM";
        /// KVM_GET_VCPU_MMAP_SIZE (system).
        GET_VCPU_MMAP_SIZE = 0xae04, "KVM_GET_VCPU_MMAP_SIZE";
        /// KVM_CREATE_VCPU (vm), the number as value.
        CREATE_VCPU = 0xae41, "KVM_CREATE_VCPU";
        /// KVM_CHECK_EXTENSION (system and vm), the capability as value.
        CHECK_EXTENSION = 0xae03, "KVM_CHECK_EXTENSION";
        /// KVM_RUN (vcpu). The block is the shared [`KvmRun`](super::super::KvmRun) area, 2368 bytes.
        RUN = 0xae80, "KVM_RUN";
        /// KVM_CREATE_DEVICE (vm), 12 bytes.
        CREATE_DEVICE = 0xc00c_aee0, "KVM_CREATE_DEVICE";
        /// KVM_IOEVENTFD (vm), 64 bytes.
        IOEVENTFD = 0x4040_ae79, "KVM_IOEVENTFD";
        /// KVM_SET_GSI_ROUTING (vm), 8 bytes and what follows.
        SET_GSI_ROUTING = 0x4008_ae6a, "KVM_SET_GSI_ROUTING";
        /// KVM_IRQFD (vm), 32 bytes; refused, see [`capability::IRQFD`](super::capability::IRQFD).
        IRQFD = 0x4020_ae76, "KVM_IRQFD";
        /// KVM_SET_USER_MEMORY_REGION (vm), 32 bytes.
        SET_USER_MEMORY_REGION = 0x4020_ae46, "KVM_SET_USER_MEMORY_REGION";
        /// KVM_SET_DEVICE_ATTR (vm and FLIC), 24 bytes.
        SET_DEVICE_ATTR = 0x4018_aee1, "KVM_SET_DEVICE_ATTR";
        /// KVM_GET_DEVICE_ATTR (vm and FLIC), 24 bytes.
        GET_DEVICE_ATTR = 0x4018_aee2, "KVM_GET_DEVICE_ATTR";
        /// KVM_HAS_DEVICE_ATTR (vm and FLIC), 24 bytes.
        HAS_DEVICE_ATTR = 0x4018_aee3, "KVM_HAS_DEVICE_ATTR";
        /// KVM_S390_PV_COMMAND (vm).
        PV_COMMAND = 0xc020_aec5, "KVM_S390_PV_COMMAND";
        /// KVM_S390_PV_CPU_COMMAND (vcpu).
        PV_CPU_COMMAND = 0xc020_aed0, "KVM_S390_PV_CPU_COMMAND";
        /// KVM_S390_NORMAL_RESET (vcpu).
        NORMAL_RESET = 0xaec3, "KVM_S390_NORMAL_RESET";
        /// KVM_S390_CLEAR_RESET (vcpu).
        CLEAR_RESET = 0xaec4, "KVM_S390_CLEAR_RESET";
        /// KVM_S390_INITIAL_RESET (vcpu).
        INITIAL_RESET = 0xae97, "KVM_S390_INITIAL_RESET";
        /// KVM_GET_MP_STATE (vcpu), 4 bytes.
        GET_MP_STATE = 0x8004_ae98, "KVM_GET_MP_STATE";
        /// KVM_SET_MP_STATE (vcpu), 4 bytes.
        SET_MP_STATE = 0x4004_ae99, "KVM_SET_MP_STATE";
        /// KVM_GET_ONE_REG (vcpu), 16 bytes.
        GET_ONE_REG = 0x4010_aeab, "KVM_GET_ONE_REG";
        /// KVM_SET_ONE_REG (vcpu), 16 bytes.
        SET_ONE_REG = 0x4010_aeac, "KVM_SET_ONE_REG";
        /// KVM_CREATE_IRQCHIP (vm).
        CREATE_IRQCHIP = 0xae60, "KVM_CREATE_IRQCHIP";
        /// KVM_ENABLE_CAP (vm and vcpu), 104 bytes.
        ENABLE_CAP = 0x4068_aea3, "KVM_ENABLE_CAP";
        /// KVM_S390_STORE_STATUS (vcpu), the place as value.
        STORE_STATUS = 0x4008_ae95, "KVM_S390_STORE_STATUS";
        /// KVM_S390_SET_INITIAL_PSW (vcpu), 16 bytes: mask and address.
        SET_INITIAL_PSW = 0x4010_ae96, "KVM_S390_SET_INITIAL_PSW";
        /// KVM_S390_SET_IRQ_STATE (vcpu), 32 bytes.
        SET_IRQ_STATE = 0x4020_aeb5, "KVM_S390_SET_IRQ_STATE";
        /// KVM_S390_GET_IRQ_STATE (vcpu), 32 bytes.
        GET_IRQ_STATE = 0x4020_aeb6, "KVM_S390_GET_IRQ_STATE";
        /// KVM_S390_INTERRUPT (vm and vcpu), 16 bytes.
        INTERRUPT = 0x4010_ae94, "KVM_S390_INTERRUPT";
        /// KVM_S390_IRQ (vcpu), 72 bytes.
        IRQ = 0x4048_aeb4, "KVM_S390_IRQ";
        /// KVM_S390_MEM_OP (vm and vcpu), 64 bytes.
        MEM_OP = 0x4040_aeb1, "KVM_S390_MEM_OP";
        /// KVM_S390_GET_SKEYS (vm), 64 bytes.
        GET_SKEYS = 0x4040_aeb2, "KVM_S390_GET_SKEYS";
        /// KVM_S390_SET_SKEYS (vm), 64 bytes.
        SET_SKEYS = 0x4040_aeb3, "KVM_S390_SET_SKEYS";
    }
}

/// Capability numbers. What KVM_CHECK_EXTENSION says of one is a number: 0 no, 1 yes, or how much.
pub mod capability {
    /// Memory regions that user space gives.
    pub const USER_MEMORY: u64 = 3;
    /// How many vCPUs are advised.
    pub const NR_VCPUS: u64 = 9;
    /// How many memory slots there can be.
    pub const NR_MEMSLOTS: u64 = 10;
    /// CPU states.
    pub const MP_STATE: u64 = 14;
    /// User space may change its mappings below a memory slot.
    pub const SYNC_MMU: u64 = 16;
    /// Memory slots can be taken out.
    pub const DESTROY_MEMORY_REGION_WORKS: u64 = 21;
    /// A memory slot can be put where others were.
    pub const JOIN_MEMORY_REGIONS_WORKS: u64 = 30;
    /// How many routes KVM_SET_GSI_ROUTING takes. A VMM that is not told of routes believes that the kernel keeps the states of the
    /// CPUs (QEMU: `kvm_halt_in_kernel_allowed`), and then runs its stopped ones for ever.
    pub const IRQ_ROUTING: u64 = 25;
    /// Interruptions by file descriptors. Told because VMMs do not start without it; KVM_IRQFD itself gives EINVAL, for nobody
    /// here hears a file descriptor.
    pub const IRQFD: u64 = 32;
    /// User space hears of notifications by file descriptors.
    pub const IOEVENTFD: u64 = 36;
    /// An internal error comes with data.
    pub const INTERNAL_ERROR_DATA: u64 = 40;
    /// KVM_ENABLE_CAP of a vCPU.
    pub const ENABLE_CAP: u64 = 54;
    /// How many vCPUs a VM can have.
    pub const MAX_VCPUS: u64 = 66;
    /// Single registers.
    pub const ONE_REG: u64 = 70;
    /// Guest storage anywhere in user space.
    pub const S390_GMAP: u64 = 71;
    /// Registers in the shared area of a vCPU.
    pub const SYNC_REGS: u64 = 74;
    /// Guest storage may be copied on write (ESOP).
    pub const S390_COW: u64 = 79;
    /// User space has the channel subsystem.
    pub const CSS_SUPPORT: u64 = 85;
    /// Devices in the kernel: the floating interruption controller.
    pub const DEVICE_CTRL: u64 = 89;
    /// KVM_ENABLE_CAP of a VM.
    pub const ENABLE_CAP_VM: u64 = 98;
    /// KVM_CREATE_IRQCHIP, with interruption routes.
    pub const IRQCHIP: u64 = 99;
    /// Attributes of the VM.
    pub const VM_ATTRIBUTES: u64 = 101;
    /// KVM_CHECK_EXTENSION on the VM.
    pub const CHECK_EXTENSION_VM: u64 = 105;
    /// User space serves SIGP.
    pub const USER_SIGP: u64 = 106;
    /// Vector registers for the guest.
    pub const VECTOR_REGISTERS: u64 = 107;
    /// KVM_S390_MEM_OP: the most bytes of one.
    pub const MEM_OP: u64 = 108;
    /// User space completes STSI.
    pub const USER_STSI: u64 = 109;
    /// Storage keys.
    pub const S390_SKEYS: u64 = 110;
    /// Interruptions of a vCPU with all their data (KVM_S390_IRQ).
    pub const INJECT_IRQ: u64 = 113;
    /// Pending interruptions of a vCPU can be read and set.
    pub const IRQ_STATE: u64 = 114;
    /// File descriptors for notifications of any length.
    pub const IOEVENTFD_ANY_LENGTH: u64 = 122;
    /// The highest number of a vCPU, plus one.
    pub const MAX_VCPU_ID: u64 = 128;
    /// User space serves the instruction 0x0000.
    pub const USER_INSTR0: u64 = 130;
    /// `immediate_exit` in the shared area of a vCPU.
    pub const IMMEDIATE_EXIT: u64 = 136;
    /// The guest may be mapped with 1 MiB frames.
    pub const HPAGE_1M: u64 = 156;
    /// The three CPU resets.
    pub const VCPU_RESETS: u64 = 179;
    /// Protected VMs.
    pub const PROTECTED: u64 = 180;
    /// More of KVM_S390_MEM_OP: [`mem_op_extension`](super::super::mem_op_extension).
    pub const MEM_OP_EXTENSION: u64 = 211;
    /// Dumps of protected VMs.
    pub const PROTECTED_DUMP: u64 = 217;
    /// Ending protection asynchronously.
    pub const PROTECTED_ASYNC_DISABLE: u64 = 224;
}

/// Command of `KVM_S390_PV_COMMAND`. Open: user space may send anything.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PvCommand(pub u32);

macro_rules! commands {
    ($($(#[$doc:meta])* $name:ident = $value:literal;)*) => {
        impl PvCommand {
            $($(#[$doc])* pub const $name: Self = Self($value);)*
        }

        impl fmt::Debug for PvCommand {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match *self {
                    $(Self::$name => f.write_str(concat!("KVM_PV_", stringify!($name))),)*
                    Self(other) => write!(f, "KVM_PV command {other}"),
                }
            }
        }
    };
}

commands! {
    /// Begins protection.
    ENABLE = 0;
    /// Ends protection.
    DISABLE = 1;
    /// Gives the SE header.
    SET_SEC_PARMS = 2;
    /// Unpacks a component.
    UNPACK = 3;
    /// Verifies the image.
    VERIFY = 4;
    /// Prepares a reset.
    PREP_RESET = 5;
    /// Unshares all pages.
    UNSHARE_ALL = 6;
    /// Queries.
    INFO = 7;
    /// Dumps.
    DUMP = 8;
    /// Sets the configuration aside.
    ASYNC_CLEANUP_PREPARE = 9;
    /// Ends what was set aside.
    ASYNC_CLEANUP_PERFORM = 10;
}

impl fmt::Display for PvCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
