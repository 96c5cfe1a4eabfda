//! `KVM_S390_INTERRUPT` and `KVM_S390_IRQ`: making interruptions pending (numbers and layouts of Linux's public headers; big
//! endian as on the machine).

use crate::hypervisor::kernel::{IoIrq, Irq, MachineCheckIrq, ProgramIrq};
use core::mem::{offset_of, size_of};
use zerocopy::byteorder::big_endian::{U16, U32, U64};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Types of interruptions.
pub mod irq_type {
    /// Stop.
    pub const SIGP_STOP: u32 = 0xfffe_0000;
    /// Program interruption.
    pub const PROGRAM_INT: u32 = 0xfffe_0001;
    /// Set prefix (a stopped CPU).
    pub const SIGP_SET_PREFIX: u32 = 0xfffe_0002;
    /// Restart.
    pub const RESTART: u32 = 0xfffe_0003;
    /// An asynchronous page fault begins; not served here.
    pub const INT_PFAULT_INIT: u32 = 0xfffe_0004;
    /// An asynchronous page fault is resolved.
    pub const INT_PFAULT_DONE: u32 = 0xfffe_0005;
    /// Machine check.
    pub const MCHK: u32 = 0xfffe_1000;
    /// Clock comparator.
    pub const INT_CLOCK_COMP: u32 = 0xffff_1004;
    /// CPU timer.
    pub const INT_CPU_TIMER: u32 = 0xffff_1005;
    /// Emergency signal.
    pub const INT_EMERGENCY: u32 = 0xffff_1201;
    /// External call.
    pub const INT_EXTERNAL_CALL: u32 = 0xffff_1202;
    /// Service signal.
    pub const INT_SERVICE: u32 = 0xffff_2401;
    /// Virtio device of the old transport.
    pub const INT_VIRTIO: u32 = 0xffff_2603;
    /// Highest type of an I/O interruption.
    pub const INT_IO_MAX: u32 = 0xfffd_ffff;
    /// Bit of the type of an adapter interruption.
    pub const INT_IO_AI_MASK: u32 = 0x0400_0000;

    /// Type of an I/O interruption from a subchannel: number, subchannel set (0 to 3), channel subsystem (0 to 255), whether it
    /// is an adapter's.
    #[must_use]
    pub const fn io(adapter: bool, cssid: u8, ssid: u8, schid: u16) -> u32 {
        // Widening only; `From` is not const.
        let [high, low] = schid.to_be_bytes();
        let css = u32::from_be_bytes([0, 0, 0, cssid]) << 18;
        let set = u32::from_be_bytes([0, 0, 0, ssid & 3]) << 16;
        u32::from_be_bytes([0, 0, high, low]) | set | css | if adapter { INT_IO_AI_MASK } else { 0 }
    }
}

/// Flag of a stop: the status is stored then.
pub const STOP_FLAG_STORE_STATUS: u32 = 1;

/// Flags of [`PgmInfo`].
pub mod pgm_flags {
    /// The length that follows is given.
    pub const ILC_VALID: u8 = 0x01;
    /// Bits of the length, in bytes: 0, 2, 4, 6.
    pub const ILC_MASK: u8 = 0x06;
    /// The PSW stays where it is.
    pub const NO_REWIND: u8 = 0x08;
}

/// Argument of `KVM_S390_INTERRUPT` (`kvm_s390_interrupt`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Interrupt {
    /// [`irq_type`].
    pub kind: U32,
    /// Parameter: source, code, flags, subchannel.
    pub parm: U32,
    /// Second parameter: I/O parameter and word, MCIC, token.
    pub parm64: U64,
}
layout!(Interrupt, 16, kind at 0, parm at 4, parm64 at 8);

/// Argument of `KVM_S390_IRQ` (`kvm_s390_irq`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct IrqBlock {
    /// [`irq_type`].
    pub kind: U64,
    /// What belongs to the type: [`PgmInfo`], [`MchkInfo`]; the source of a signal in 2 bytes; the flags of a stop in 4 bytes.
    pub payload: [u8; 64],
}
layout!(IrqBlock, 72, kind at 0, payload at 8);

impl IrqBlock {
    /// An interruption with its payload, which is cut to 64 bytes.
    #[must_use]
    pub fn new(kind: u32, payload: &[u8]) -> Self {
        let mut block = Self { kind: u64::from(kind).into(), ..Self::new_zeroed() };
        block.payload.iter_mut().zip(payload).for_each(|(to, from)| *to = *from);
        block
    }

    /// An interruption with its data. Of an I/O interruption the type says the subchannel's number, and the rest is in the
    /// payload.
    #[must_use]
    pub fn of(irq: &Irq) -> Self {
        let word = |kind, value: u32| Self::new(kind, &value.to_be_bytes());
        let ext = |kind, parameter: u32, parameter64: u64| {
            let mut payload = [0; 16];
            payload[..4].copy_from_slice(&parameter.to_be_bytes());
            payload[8..].copy_from_slice(&parameter64.to_be_bytes());
            Self::new(kind, &payload)
        };
        match *irq {
            Irq::Restart => Self::new(irq_type::RESTART, &[]),
            Irq::Emergency { source } => Self::new(irq_type::INT_EMERGENCY, &source.to_be_bytes()),
            Irq::ExternalCall { source } => Self::new(irq_type::INT_EXTERNAL_CALL, &source.to_be_bytes()),
            Irq::ClockComparator => Self::new(irq_type::INT_CLOCK_COMP, &[]),
            Irq::CpuTimer => Self::new(irq_type::INT_CPU_TIMER, &[]),
            Irq::Program(program) => Self::new(irq_type::PROGRAM_INT, PgmInfo::from(program).as_bytes()),
            Irq::Stop => word(irq_type::SIGP_STOP, 0),
            Irq::StopAndStoreStatus => word(irq_type::SIGP_STOP, STOP_FLAG_STORE_STATUS),
            Irq::SetPrefix { address } => word(irq_type::SIGP_SET_PREFIX, address),
            Irq::MachineCheck(check) => Self::new(irq_type::MCHK, MchkInfo::from(check).as_bytes()),
            Irq::Service { parameter } => ext(irq_type::INT_SERVICE, parameter, 0),
            Irq::Virtio { parameter, parameter64 } => ext(irq_type::INT_VIRTIO, parameter, parameter64),
            Irq::PfaultDone { token } => ext(irq_type::INT_PFAULT_DONE, 0, token),
            Irq::Io(io) => {
                let mut payload = [0; 12];
                payload[..2].copy_from_slice(&io.subchannel_id.to_be_bytes());
                payload[2..4].copy_from_slice(&io.subchannel_nr.to_be_bytes());
                payload[4..8].copy_from_slice(&io.parameter.to_be_bytes());
                payload[8..].copy_from_slice(&io.word.to_be_bytes());
                Self::new(irq_type::io(false, 0, 0, io.subchannel_nr), &payload)
            }
        }
    }

    /// The payload as one of the structures.
    pub(super) fn read<T: FromBytes + FromZeros>(&self) -> T {
        T::read_from_prefix(&self.payload).map_or_else(|_| T::new_zeroed(), |(payload, _)| payload)
    }
}

/// Payload of a program interruption (`kvm_s390_pgm_info`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct PgmInfo {
    /// Translation-exception identification.
    pub trans_exc_code: U64,
    /// Monitor code.
    pub mon_code: U64,
    /// PER address.
    pub per_address: U64,
    /// Data-exception code.
    pub data_exc_code: U32,
    /// Interruption code.
    pub code: U16,
    /// Monitor class number.
    pub mon_class_nr: U16,
    /// PER code.
    pub per_code: u8,
    /// PER ATMID.
    pub per_atmid: u8,
    /// Exception access identification.
    pub exc_access_id: u8,
    /// PER access identification.
    pub per_access_id: u8,
    /// Operand access identification.
    pub op_access_id: u8,
    /// [`pgm_flags`].
    pub flags: u8,
    /// Zero.
    pub pad: [u8; 2],
}
layout!(
    PgmInfo, 40, trans_exc_code at 0, mon_code at 8, per_address at 16, data_exc_code at 24, code at 28, mon_class_nr at 30,
    per_code at 32, per_atmid at 33, exc_access_id at 34, per_access_id at 35, op_access_id at 36, flags at 37,
);

impl From<ProgramIrq> for PgmInfo {
    fn from(irq: ProgramIrq) -> Self {
        let length = irq.length.map_or(0, |length| pgm_flags::ILC_VALID | length & pgm_flags::ILC_MASK);
        let no_rewind = if irq.no_rewind { pgm_flags::NO_REWIND } else { 0 };
        Self {
            trans_exc_code: irq.translation.into(),
            mon_code: irq.monitor_code.into(),
            per_address: irq.per_address.into(),
            data_exc_code: irq.data.into(),
            code: irq.code.into(),
            mon_class_nr: irq.monitor_class.into(),
            per_code: irq.per_code,
            per_atmid: irq.per_atmid,
            exc_access_id: irq.exception_access,
            per_access_id: irq.per_access,
            op_access_id: irq.operand_access,
            flags: length | no_rewind,
            pad: [0; 2],
        }
    }
}

impl PgmInfo {
    /// What the kernel makes pending.
    #[must_use]
    pub fn irq(&self) -> ProgramIrq {
        ProgramIrq {
            code: self.code.get(),
            length: (self.flags & pgm_flags::ILC_VALID != 0).then_some(self.flags & pgm_flags::ILC_MASK),
            no_rewind: self.flags & pgm_flags::NO_REWIND != 0,
            translation: self.trans_exc_code.get(),
            monitor_code: self.mon_code.get(),
            monitor_class: self.mon_class_nr.get(),
            data: self.data_exc_code.get(),
            per_code: self.per_code,
            per_atmid: self.per_atmid,
            per_address: self.per_address.get(),
            per_access: self.per_access_id,
            exception_access: self.exc_access_id,
            operand_access: self.op_access_id,
        }
    }
}

/// Payload of a machine check (`kvm_s390_mchk_info`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct MchkInfo {
    /// Subclass masks, as bits of control register 14.
    pub cr14: U64,
    /// Machine-check interruption code.
    pub mcic: U64,
    /// Failing storage address.
    pub failing_storage_address: U64,
    /// External damage code.
    pub ext_damage_code: U32,
    /// Zero.
    pub pad: U32,
    /// Fixed logout.
    pub fixed_logout: [u8; 16],
}
layout!(
    MchkInfo, 48, cr14 at 0, mcic at 8, failing_storage_address at 16, ext_damage_code at 24, pad at 28, fixed_logout at 32,
);

impl From<MachineCheckIrq> for MchkInfo {
    fn from(check: MachineCheckIrq) -> Self {
        Self {
            cr14: check.cr14.into(),
            mcic: check.mcic.into(),
            failing_storage_address: check.failing_address.into(),
            ext_damage_code: check.external_damage.into(),
            pad: 0.into(),
            fixed_logout: check.fixed_logout,
        }
    }
}

impl MchkInfo {
    /// What the kernel makes pending.
    #[must_use]
    pub fn irq(&self) -> MachineCheckIrq {
        MachineCheckIrq {
            cr14: self.cr14.get(),
            mcic: self.mcic.get(),
            failing_address: self.failing_storage_address.get(),
            external_damage: self.ext_damage_code.get(),
            fixed_logout: self.fixed_logout,
        }
    }
}

impl Interrupt {
    /// An I/O interruption. The parameters say which subchannel it is, so the type is the same for all.
    #[must_use]
    pub fn io(irq: IoIrq) -> Self {
        Self {
            kind: irq_type::io(false, 0, 0, irq.subchannel_nr).into(),
            parm: (u32::from(irq.subchannel_id) << 16 | u32::from(irq.subchannel_nr)).into(),
            parm64: (u64::from(irq.parameter) << 32 | u64::from(irq.word)).into(),
        }
    }
}
