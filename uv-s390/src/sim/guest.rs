//! A guest's instructions that leave it, as a scripted guest issues them, ordinary or protected.
//!
//! A guest's program is the guest owner's: it is given to the machine with
//! [`Machine::set_guest`](super::Machine::set_guest), which no hypervisor does. Its loads and stores use guest absolute
//! addresses; a protected guest's interruptions do not change the flow of the script, but are kept until it asks for them with
//! [`GuestInsn::Interruptions`] or wakes from [`GuestInsn::Wait`].

use super::ap::ApResult;
use crate::abi::ap::Apqn;
use crate::abi::psw::Psw;
use crate::abi::uvc::PgmCode;
use alloc::boxed::Box;
use alloc::vec::Vec;
use uv_sim::guest::Program;
use zeroize::Zeroizing;

/// An instruction with its register operands. `Debug` shows what the instruction is and how much it carries, not what.
#[derive(Clone, PartialEq, Eq)]
pub enum GuestInsn {
    /// DIAGNOSE with another function code; the operands are general registers as in the normalized form.
    Diag {
        /// Function code.
        code: u16,
        /// GR0–GR4 as the normalized instruction shows them: r1 pair in GR0 and GR1, r3 in GR2; for 0x500 the four operands in
        /// GR1–GR4.
        gr: [u64; 5],
    },
    /// DIAGNOSE 0x308 (IPL functions).
    Diag308 {
        /// GR r3.
        subcode: u64,
        /// GR r1: address of the IPIB for subcodes 5 and 6.
        address: u64,
        /// The IPIB at the address, for subcode 5.
        ipib: Vec<u8>,
    },
    /// UV call with its control block.
    Uvc {
        /// The block.
        block: Vec<u8>,
    },
    /// Service call.
    Servc {
        /// Command word.
        command: u32,
        /// The SCCB, whole pages or less.
        sccb: Vec<u8>,
    },
    /// Set prefix, to an address that is a multiple of 8 KiB.
    Spx {
        /// The new prefix.
        prefix: u32,
    },
    /// Signal processor.
    Sigp {
        /// Order code.
        order: u8,
        /// Target CPU.
        cpu: u16,
        /// Parameter.
        parameter: u64,
    },
    /// Store system information.
    Stsi {
        /// GR0: function code and selector 1.
        gr0: u32,
        /// GR1: selector 2.
        gr1: u32,
    },
    /// Store hypervisor information.
    Sthyi {
        /// Function code.
        code: u64,
    },
    /// A channel I/O instruction.
    ChannelIo {
        /// Operation code, 0xb230 to 0xb23c.
        opcode: u16,
        /// GR1: subchannel.
        subchannel: u32,
        /// The operand (SCHIB, ORB) as it goes to the host.
        operand: Vec<u8>,
    },
    /// Process AP queue.
    Pqap {
        /// GR0: function, its bits, queue ([`PqapFunction::register`](crate::abi::ap::PqapFunction::register)).
        gr0: u64,
        /// GR2: index of the secret (AAPQ), or where the configuration is stored (QCI).
        gr2: u64,
    },
    /// Enqueue a message to an AP queue, whole.
    Nqap {
        /// The queue.
        queue: Apqn,
        /// Identifier that the reply will have.
        psmid: u64,
        /// The message.
        message: Vec<u8>,
    },
    /// Dequeue a message from an AP queue.
    Dqap {
        /// The queue.
        queue: Apqn,
        /// Bytes that there is room for. What is left of a longer message comes next.
        size: usize,
    },
    /// Load PSW mask bits for interruptions: bits 6 (I/O), 7 (external), 13 (machine check) of the PSW.
    SetMask {
        /// The PSW mask word; other bits are left as they are.
        mask: u64,
    },
    /// Loads a control register.
    SetCr {
        /// 0 to 15; a higher number does nothing.
        number: u8,
        /// The value.
        value: u64,
    },
    /// Waits until an interruption was delivered.
    Wait,
    /// What was delivered since last asked.
    Interruptions,
    /// Sets a general register, for what a dump shows.
    SetGr {
        /// 0 to 15; a higher number does nothing.
        number: u8,
        /// The value.
        value: u64,
    },
    /// Touches a bad program-new PSW: the guest loops in specification exceptions.
    Crash,
    /// The instruction, issued in problem state. A privileged one ends with a privileged-operation exception (0x02) in the
    /// guest, before its operands are looked at; the others do what they do in supervisor state.
    ProblemState(Box<GuestInsn>),
}

impl GuestInsn {
    /// The instruction, issued in problem state.
    #[must_use]
    pub fn in_problem_state(self) -> Self {
        Self::ProblemState(Box::new(self))
    }

    /// Whether only a CPU in supervisor state may issue it. That is every instruction of the architecture here; what only a
    /// script has ([`Wait`](Self::Wait), [`Interruptions`](Self::Interruptions), [`SetGr`](Self::SetGr),
    /// [`Crash`](Self::Crash)) is none.
    #[must_use]
    pub fn is_privileged(&self) -> bool {
        match self {
            Self::Diag { .. }
            | Self::Diag308 { .. }
            | Self::Uvc { .. }
            | Self::Servc { .. }
            | Self::Spx { .. }
            | Self::Sigp { .. }
            | Self::Stsi { .. }
            | Self::Sthyi { .. }
            | Self::ChannelIo { .. }
            | Self::Pqap { .. }
            | Self::Nqap { .. }
            | Self::Dqap { .. }
            | Self::SetMask { .. }
            | Self::SetCr { .. } => true,
            Self::Wait | Self::Interruptions | Self::SetGr { .. } | Self::Crash => false,
            Self::ProblemState(insn) => insn.is_privileged(),
        }
    }
}

impl core::fmt::Debug for GuestInsn {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Diag { code, .. } => write!(f, "Diag({code:#x})"),
            Self::Diag308 { subcode, ipib, .. } => write!(f, "Diag308({subcode}, {} bytes)", ipib.len()),
            Self::Uvc { block } => write!(f, "Uvc({} bytes)", block.len()),
            Self::Servc { command, sccb } => write!(f, "Servc({command:#x}, {} bytes)", sccb.len()),
            Self::Spx { .. } => f.write_str("Spx"),
            Self::Sigp { order, cpu, .. } => write!(f, "Sigp({order:#x}, {cpu})"),
            Self::Stsi { gr0, gr1 } => write!(f, "Stsi({gr0:#x}, {gr1:#x})"),
            Self::Sthyi { code } => write!(f, "Sthyi({code:#x})"),
            Self::ChannelIo { opcode, subchannel, operand } => {
                write!(f, "ChannelIo({opcode:#x}, {subchannel:#x}, {} bytes)", operand.len())
            }
            Self::Pqap { gr0, .. } => write!(f, "Pqap({gr0:#x})"),
            Self::Nqap { queue, message, .. } => write!(f, "Nqap({queue:?}, {} bytes)", message.len()),
            Self::Dqap { queue, size } => write!(f, "Dqap({queue:?}, {size} bytes)"),
            Self::SetMask { .. } => f.write_str("SetMask"),
            Self::SetCr { number, .. } => write!(f, "SetCr({number})"),
            Self::Wait => f.write_str("Wait"),
            Self::Interruptions => f.write_str("Interruptions"),
            Self::SetGr { number, .. } => write!(f, "SetGr({number})"),
            Self::Crash => f.write_str("Crash"),
            Self::ProblemState(insn) => f.debug_tuple("ProblemState").field(insn).finish(),
        }
    }
}

/// What an instruction gave back. `Debug` shows no register of the guest and no data.
#[derive(Clone, PartialEq, Eq)]
pub enum InsnResult {
    /// Done, nothing to say.
    Done,
    /// A program interruption in the guest.
    Exception(PgmCode),
    /// General registers 0–4 afterwards.
    Registers([u64; 5]),
    /// Condition code and, where the instruction has one, a register value.
    Condition {
        /// Condition code, 0 to 3.
        cc: u8,
        /// SIGP: status. STHYI without data: return code. Of an ordinary guest also: GR0 after STSI, the return code after STHYI,
        /// GR1 after the others.
        value: u64,
    },
    /// Condition code and data.
    Data {
        /// Condition code, 0 to 3.
        cc: u8,
        /// What was stored.
        bytes: Zeroizing<Vec<u8>>,
    },
    /// DIAGNOSE 0x308: response code, and the IPIB for subcode 6.
    Ipl {
        /// GR r1+1.
        response: u64,
        /// What was stored.
        ipib: Zeroizing<Vec<u8>>,
    },
    /// PQAP, NQAP, DQAP.
    Ap(ApResult),
    /// Interruptions, in the order of delivery.
    Interruptions(Vec<Interruption>),
}

impl core::fmt::Debug for InsnResult {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Done => f.write_str("Done"),
            Self::Exception(code) => write!(f, "Exception({code})"),
            Self::Registers(_) => f.write_str("Registers"),
            Self::Condition { cc, value } => write!(f, "Condition({cc}, {value:#x})"),
            Self::Data { cc, bytes } => write!(f, "Data({cc}, {} bytes)", bytes.len()),
            Self::Ipl { response, ipib } => write!(f, "Ipl({response:#x}, {} bytes)", ipib.len()),
            Self::Ap(result) => f.debug_tuple("Ap").field(result).finish(),
            Self::Interruptions(list) => f.debug_tuple("Interruptions").field(list).finish(),
        }
    }
}

/// An interruption that was injected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interruption {
    /// External.
    External {
        /// Code.
        code: u16,
        /// CPU address.
        cpu: u16,
        /// Parameter.
        parameter: u32,
    },
    /// I/O.
    Io {
        /// Subchannel identification and number.
        subchannel: u32,
        /// Parameter.
        parameter: u32,
        /// Identification word.
        word: u32,
    },
    /// Machine check.
    MachineCheck {
        /// Machine-check interruption code.
        mcic: u64,
        /// Failing storage address.
        failing_address: u64,
        /// External damage code.
        external_damage: u32,
    },
    /// Restart.
    Restart,
}

/// External interruption code of the service signal.
pub(crate) const SERVICE_SIGNAL: u16 = 0x2401;

/// What a guest CPU runs: asked each time a PSW is loaded. For a protected guest the Ultravisor loads it (start of the image,
/// reset, restart); for an ordinary one the hypervisor puts it into the state description.
pub trait GuestCode: Send {
    /// The program that begins at this PSW.
    fn start(&mut self, psw: Psw) -> Box<dyn Program<GuestInsn, InsnResult>>;
}

impl<F: FnMut(Psw) -> Box<dyn Program<GuestInsn, InsnResult>> + Send> GuestCode for F {
    fn start(&mut self, psw: Psw) -> Box<dyn Program<GuestInsn, InsnResult>> {
        self(psw)
    }
}
