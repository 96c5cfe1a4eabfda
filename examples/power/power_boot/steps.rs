//! Looks on at the seam between hypervisor and ultravisor: tells the steps as they happen and counts pages.

use std::sync::Mutex;

use uv_core::MemSlots;
use uv_power::abi::numbers::{HvCall, PAGE_ORDER, UvCall};
use uv_power::abi::regs::Lpid;
use uv_power::abi::{GuestEntry, Regs, Ultracall, UvCode};
use uv_power::sim::Machine;

/// Takes the lines that are told.
pub type Teller = Box<dyn Fn(&str) + Send + Sync>;

/// The seams of a machine, watched.
pub(super) struct Watch {
    machine: Machine,
    tell: Teller,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The page that the ultravisor asks for is to be shared.
    shared: bool,
    /// Pages asked for in one run: shared or not, first, last.
    run: Option<(bool, u64, u64)>,
    pages_in: u64,
}

impl State {
    /// The line of the run that has ended.
    fn ended(&mut self) -> Option<String> {
        let (shared, first, last) = self.run.take()?;
        let how = if shared { "shared" } else { "brought in" };
        let pages = if first == last { format!("page {first:#x}") } else { format!("pages {first:#x} to {last:#x}") };
        Some(format!("  ultravisor to hypervisor: H_SVM_PAGE_IN, {pages} {how}"))
    }

    fn asked(&mut self, gfn: u64, shared: bool) -> Option<String> {
        self.shared = shared;
        if let Some((same, _, last)) = &mut self.run
            && *same == shared
            && *last + 1 == gfn
        {
            *last = gfn;
            return None;
        }
        let line = self.ended();
        self.run = Some((shared, gfn, gfn));
        line
    }
}

impl Watch {
    pub(super) fn new(machine: Machine, tell: Teller) -> Self {
        Self { machine, tell, state: Mutex::default() }
    }

    /// Tells a line of somebody else.
    pub(super) fn tell(&self, line: &str) {
        let ended = self.with(State::ended);
        ended.iter().for_each(|line| (self.tell)(line));
        (self.tell)(line);
    }

    /// Pages that were brought into secure memory.
    pub(super) fn pages_in(&self) -> u64 {
        self.with(|state| state.pages_in)
    }

    fn with<T: Default>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        self.state.lock().map(|mut state| act(&mut state)).unwrap_or_default()
    }

    /// The hypervisor was entered.
    fn entered(&self, regs: &Regs) {
        if regs.nip != 0xc00 {
            return;
        }
        match HvCall(regs.gpr[3]) {
            HvCall::H_SVM_PAGE_IN => {
                let (gfn, shared) = (regs.gpr[4] >> PAGE_ORDER, regs.gpr[5] & 1 != 0);
                if let Some(line) = self.with(|state| state.asked(gfn, shared)) {
                    (self.tell)(&line);
                }
            }
            call => self.tell(&format!("  ultravisor to hypervisor: {call}")),
        }
    }
}

impl Ultracall for Watch {
    fn ultracall(&self, regs: &mut Regs) {
        let call = UvCall(regs.gpr[3]);
        let args = [regs.gpr[4], regs.gpr[5], regs.gpr[6]];
        self.machine.ultracall(regs);
        let code = UvCode::from_register(regs.gpr[3]);
        match call {
            UvCall::UV_RETURN => self.entered(regs),
            UvCall::UV_PAGE_IN if code == UvCode::U_SUCCESS => {
                self.with(|state| state.pages_in += u64::from(!state.shared));
            }
            UvCall::UV_REGISTER_MEM_SLOT => self.tell(&format!(
                "  hypervisor to ultravisor: {call} from {:#x}, {} KiB: {code}",
                args[1],
                args[2] >> 10
            )),
            call => self.tell(&format!("  hypervisor to ultravisor: {call}: {code}")),
        }
    }
}

impl GuestEntry for Watch {
    fn enter(&self, regs: &mut Regs) {
        self.machine.enter(regs);
        self.entered(regs);
    }

    fn set_partition_memory(&self, lpid: Lpid, slots: Option<&MemSlots>) {
        self.machine.set_partition_memory(lpid, slots);
    }
}
