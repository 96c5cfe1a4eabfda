//! A secure CPU, as the Ultravisor keeps it.

use alloc::collections::VecDeque;
use core::sync::atomic::AtomicBool;

use spin::Mutex;
use uv_core::HostAddr;
use uv_sim::guest::GuestCpu;

use super::frames::ConfId;
use super::guest::{GuestInsn, InsnResult, Interruption};
use super::memory::Donation;
use crate::abi::psw::Psw;
use crate::abi::uvcb::CpuState;

/// Kinds of CPU reset, each a superset of the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ResetKind {
    Normal,
    Initial,
    Clear,
}

pub(crate) struct Cpu {
    pub(crate) handle: u64,
    /// Its configuration.
    pub(crate) conf: ConfId,
    pub(crate) number: u16,
    pub(crate) state_origin: HostAddr,
    pub(crate) storage: Donation,
    /// Whether the CPU runs on a host CPU right now.
    pub(crate) running: AtomicBool,
    /// CPU address of the source of an external call that is pending: one at most.
    pub(crate) external_call: Mutex<Option<u16>>,
    /// Locked for as long as the CPU runs.
    pub(crate) core: Mutex<Core>,
}

impl core::fmt::Debug for Cpu {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Cpu").field("number", &self.number).finish_non_exhaustive()
    }
}

/// An instruction that left the guest and is not completed yet.
#[derive(Clone, Debug)]
pub(crate) enum Pending {
    /// None.
    None,
    /// Interception 104: completed at the next entry from save area and SIDA.
    Instruction(GuestInsn),
    /// Interception 108 or 0x38: completed at the next entry with nothing from the host.
    Notification(GuestInsn),
    /// Interception 108 for an instruction that the guest issues again, or that a reset ends.
    Retry,
}

/// Registers of a guest CPU.
#[derive(Clone)]
pub(crate) struct Registers {
    pub(crate) gr: [u64; 16],
    pub(crate) psw: Psw,
    pub(crate) prefix: u32,
    pub(crate) clock_comparator: u64,
    pub(crate) cr: [u64; 16],
    pub(crate) ar: [u32; 16],
    pub(crate) vr: [[u8; 16]; 32],
    pub(crate) fpc: u32,
    pub(crate) tod_programmable: u32,
}

impl Registers {
    /// After a clear reset. Control registers 0 and 14 have their values of the architecture.
    pub(crate) fn cleared() -> Self {
        let mut cr = [0; 16];
        cr[0] = 0xe0;
        cr[14] = 0xc200_0000;
        Self {
            gr: [0; 16],
            psw: Psw::new(0, 0),
            prefix: 0,
            clock_comparator: 0,
            cr,
            ar: [0; 16],
            vr: [[0; 16]; 32],
            fpc: 0,
            tod_programmable: 0,
        }
    }
}

impl Drop for Registers {
    fn drop(&mut self) {
        use zeroize::Zeroize;
        self.gr.zeroize();
        self.vr.zeroize();
    }
}

/// What the CPU timer was when the guest last exited.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TimerMark {
    pub(crate) timer: u64,
    pub(crate) at: u64,
}

/// An external interruption whose condition stays when it is delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lasting {
    /// The TOD clock is beyond the clock comparator.
    ClockComparator,
    /// The CPU timer is negative.
    CpuTimer,
}

impl Lasting {
    pub(crate) const fn of(interruption: &Interruption) -> Option<Self> {
        match interruption {
            Interruption::External { code: 0x1004, .. } => Some(Self::ClockComparator),
            Interruption::External { code: 0x1005, .. } => Some(Self::CpuTimer),
            _ => None,
        }
    }

    pub(crate) const fn code(self) -> u16 {
        match self {
            Self::ClockComparator => 0x1004,
            Self::CpuTimer => 0x1005,
        }
    }
}

/// Where the start PSW comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LoadFrom {
    /// The SE header.
    Header,
    /// The short PSW at guest absolute 0.
    Zero,
    /// The restart-new PSW in the prefix area.
    Restart,
}

pub(crate) struct Core {
    pub(crate) state: CpuState,
    /// A start PSW that is loaded at the next entry.
    pub(crate) load: Option<LoadFrom>,
    /// The CPU reset that is due since PREPARE_RESET.
    pub(crate) due: Option<ResetKind>,
    pub(crate) registers: Registers,
    pub(crate) guest: Option<GuestCpu<GuestInsn, InsnResult>>,
    pub(crate) pending: Pending,
    pub(crate) timer: Option<TimerMark>,
    /// The next entry is the first after an interception 112 or after the CPU was started: nothing may be injected.
    pub(crate) no_injection: bool,
    /// The last external interruption, when its condition stays: the external-new PSW is looked at before the guest goes on.
    pub(crate) lasting: Option<Lasting>,
    /// Interruptions that were injected and not yet looked at by the program.
    pub(crate) delivered: VecDeque<Interruption>,
    pub(crate) destroyed: bool,
}

impl Core {
    pub(crate) fn new() -> Self {
        Self {
            state: CpuState::STOPPED,
            load: None,
            due: None,
            registers: Registers::cleared(),
            guest: None,
            pending: Pending::None,
            timer: None,
            no_injection: false,
            lasting: None,
            delivered: VecDeque::new(),
            destroyed: false,
        }
    }

    pub(crate) fn is_stopped(&self) -> bool {
        matches!(self.state, CpuState::STOPPED | CpuState::CHECK_STOP)
    }

    /// Resets the CPU. The program it ran is over; it starts anew when a PSW is loaded or a restart is injected.
    pub(crate) fn reset(&mut self, kind: ResetKind) {
        self.guest = None;
        self.pending = Pending::None;
        self.delivered.clear();
        self.load = None;
        self.lasting = None;
        match kind {
            ResetKind::Normal => {}
            ResetKind::Initial => {
                let old = core::mem::replace(&mut self.registers, Registers::cleared());
                self.registers.gr = old.gr;
                self.registers.ar = old.ar;
                self.registers.vr = old.vr;
                self.timer = None;
            }
            ResetKind::Clear => {
                self.registers = Registers::cleared();
                self.timer = None;
            }
        }
        if self.due.is_some_and(|due| kind >= due) {
            self.due = None;
        }
    }
}
