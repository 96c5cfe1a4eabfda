//! Tells the steps as they happen, and counts pages.

use std::sync::Mutex;

use uv_power::abi::numbers::{HvCall, PAGE_ORDER, UltracallNumber};
use uv_power::abi::{Profile, UvCode};
use uv_power::hypervisor::vmm::boot::BootLayout;
use uv_power::wrap::RecordedCall;
use uv_programs::output;

/// What is told of a boot.
#[derive(Debug)]
pub(crate) struct Steps {
    silent: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
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

impl Steps {
    /// With `silent` nothing is shown.
    pub(crate) fn new(silent: bool) -> Self {
        Self { silent, state: Mutex::default() }
    }

    /// Tells what lies where.
    pub(crate) fn loaded(&self, layout: &BootLayout<'_>, profile: Profile) {
        self.tell(&format!(
            "hypervisor: {} MiB of guest memory, kernel at {}, initrd at {}, device tree at {}, {} profile",
            layout.memory >> 20,
            layout.kernel.at,
            layout.initrd.at,
            layout.tree,
            profile.name()
        ));
    }

    /// Tells a line.
    pub(crate) fn tell(&self, line: &str) {
        let ended = self.with(State::ended);
        ended.iter().for_each(|line| self.print(line));
        self.print(line);
    }

    /// A call of the hypervisor, or an entry of the guest, has ended.
    pub(crate) fn call(&self, call: &RecordedCall) {
        if call.is_entry() {
            return call.hypercall().map_or((), |hypercall| self.hypercall(hypercall, call));
        }
        let (Some(number), Some(code)) = (call.ultracall(), call.code()) else { return };
        let [_, first, bytes, ..] = call.args();
        match number {
            UltracallNumber::UV_PAGE_IN if code == UvCode::U_SUCCESS => {
                self.with(|state| state.pages_in += u64::from(!state.shared));
            }
            UltracallNumber::UV_REGISTER_MEM_SLOT => {
                self.tell(&format!("  hypervisor to ultravisor: {number} from {first:#x}, {} KiB: {code}", bytes >> 10))
            }
            UltracallNumber::UV_RETURN => {}
            number => self.tell(&format!("  hypervisor to ultravisor: {number}: {code}")),
        }
    }

    fn hypercall(&self, hypercall: HvCall, call: &RecordedCall) {
        if hypercall == HvCall::H_SVM_PAGE_IN {
            let (gfn, shared) = (call.after.gpr[4] >> PAGE_ORDER, call.after.gpr[5] & 1 != 0);
            if let Some(line) = self.with(|state| state.asked(gfn, shared)) {
                self.print(&line);
            }
        } else {
            self.tell(&format!("  ultravisor to hypervisor: {hypercall}"));
        }
    }

    /// Pages that were brought into secure memory.
    pub(crate) fn pages_in(&self) -> u64 {
        self.with(|state| state.pages_in)
    }

    fn with<T: Default>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        self.state.lock().map(|mut state| act(&mut state)).unwrap_or_default()
    }

    fn print(&self, line: &str) {
        if !self.silent {
            // An output that cannot be written ends the telling, not the boot.
            let _ = output::print(line);
        }
    }
}
