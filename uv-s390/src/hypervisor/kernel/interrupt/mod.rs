//! Interruptions that the hypervisor makes pending, and their delivery before the guest is entered.
//!
//! | file | job |
//! |---|---|
//! | here | what can be made pending |
//! | `local`, `floating` | what is pending for a CPU, and for the VM |
//! | `enabled` | what a guest is enabled for |
//! | `priority` | which one is next |
//! | `inject` | making one pending; refusals; whom to wake |
//! | `deliver` | before and after each entry |
//! | `protected` | into the state description of a protected CPU |
//! | `lowcore`, `machine_check`, `program` | into the prefix area of an ordinary CPU |
//! | `state` | what is pending, saved and set again |
//! | `request` | asking the machine to leave when the guest opens a mask |
//!
//! A local interruption is for one CPU, a floating one for the first CPU that is enabled for it. Nothing is pending in the
//! machine: before each entry of a CPU the kernel looks at what is pending and what the CPU is enabled for.
//!
//! Source: s390-ultravisor §6.4; order and refusals are those of KVM (`interrupt.c`).

mod deliver;
mod enabled;
mod floating;
mod inject;
mod local;
mod lowcore;
mod machine_check;
mod priority;
mod program;
mod protected;
mod request;
mod state;

pub(super) use floating::{Floating, floating_list};
pub(super) use local::Local;
pub(super) use lowcore::PROGRAM_NEW_PSW;

/// An interruption to be made pending with [`Vm::inject`](super::Vm::inject).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Irq {
    /// Restart of a CPU.
    Restart,
    /// Emergency signal (external interruption 0x1201), local. One for each source can be pending.
    Emergency {
        /// CPU number of the sender.
        source: u16,
    },
    /// External call (0x1202), local.
    ExternalCall {
        /// CPU number of the sender.
        source: u16,
    },
    /// Clock comparator (0x1004), local.
    ClockComparator,
    /// CPU timer (0x1005), local.
    CpuTimer,
    /// Program interruption of a CPU.
    Program(ProgramIrq),
    /// Stop request of a CPU.
    Stop,
    /// Stop request of a CPU that stores its status then, at once if it is stopped.
    StopAndStoreStatus,
    /// Another prefix for a stopped CPU.
    SetPrefix {
        /// The new prefix; cut to a multiple of 8 KiB below 2 GiB.
        address: u32,
    },
    /// Machine check, of a CPU or floating.
    MachineCheck(MachineCheckIrq),
    /// Service signal (0x2401), floating.
    Service {
        /// Absolute address of the SCCB that is answered (bits 0–28; of a protected guest any value that is not zero), and
        /// whether events are pending (bits 30 and 31).
        parameter: u32,
    },
    /// I/O interruption, floating.
    Io(IoIrq),
    /// Interruption of a virtio device of the old transport (0x2603, 0x0d00), floating; an ordinary VM only.
    Virtio {
        /// Parameter.
        parameter: u32,
        /// Address of the token.
        parameter64: u64,
    },
    /// An asynchronous page fault is resolved (0x2603, 0x0680), floating; an ordinary VM only.
    PfaultDone {
        /// Token of the fault.
        token: u64,
    },
}

/// An I/O interruption.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IoIrq {
    /// Subchannel identification.
    pub subchannel_id: u16,
    /// Subchannel number.
    pub subchannel_nr: u16,
    /// Interruption parameter.
    pub parameter: u32,
    /// Interruption identification word; bits 2–4 are the interruption subclass.
    pub word: u32,
}

impl IoIrq {
    /// Interruption subclass, 0 to 7.
    pub(super) fn subclass(self) -> usize {
        usize::try_from(self.word >> 27 & 7).unwrap_or(0)
    }
}

/// A machine check.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MachineCheckIrq {
    /// Subclass masks, as bits of control register 14: one of them must be on in the guest's, unless it is exigent.
    pub cr14: u64,
    /// Machine-check interruption code.
    pub mcic: u64,
    /// Failing storage address.
    pub failing_address: u64,
    /// External damage code.
    pub external_damage: u32,
    /// Fixed logout area; an ordinary CPU only.
    pub fixed_logout: [u8; 16],
}

/// A program interruption. Of a protected CPU only the code counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProgramIrq {
    /// Interruption code; 0x80 is PER, alone or together with another one.
    pub code: u16,
    /// Length of the instruction in bytes; `None`: of the one that was intercepted last.
    pub length: Option<u8>,
    /// The PSW is left behind the instruction even if the exception nullifies it.
    pub no_rewind: bool,
    /// Translation-exception identification.
    pub translation: u64,
    /// Monitor code.
    pub monitor_code: u64,
    /// Monitor class number.
    pub monitor_class: u16,
    /// Data-exception code, vector-exception code.
    pub data: u32,
    /// PER code.
    pub per_code: u8,
    /// PER addressing-and-translation-mode identification.
    pub per_atmid: u8,
    /// PER address.
    pub per_address: u64,
    /// PER access identification.
    pub per_access: u8,
    /// Exception access identification.
    pub exception_access: u8,
    /// Operand access identification.
    pub operand_access: u8,
}
