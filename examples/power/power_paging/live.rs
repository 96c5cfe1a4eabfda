//! Pages that pass the seam, and the line that tells of them while the guests run.

use std::io::{IsTerminal as _, stderr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use uv_power::abi::UvCode;
use uv_power::abi::numbers::{HvCall, UltracallNumber};
use uv_power::sim::Machine;
use uv_power::wrap::RecordedCall;

use crate::host::Running;

/// How often the live line changes.
const TICK: Duration = Duration::from_millis(100);
/// Without a terminal, one line in so many ticks is shown.
const LINES: u32 = 10;

/// Pages so far.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pages_in: AtomicU64,
    pages_out: AtomicU64,
    asked_out: AtomicU64,
}

impl Counts {
    /// Counts what a call or an entry has done.
    pub(crate) fn count(&self, call: &RecordedCall) {
        let counter = match (call.ultracall(), call.code(), call.hypercall()) {
            (Some(UltracallNumber::UV_PAGE_IN), Some(UvCode::U_SUCCESS), _) => &self.pages_in,
            (Some(UltracallNumber::UV_PAGE_OUT), Some(UvCode::U_SUCCESS), _) => &self.pages_out,
            (Some(UltracallNumber::UV_RETURN), _, Some(HvCall::H_SVM_PAGE_OUT)) => &self.asked_out,
            _ => return,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Pages in, pages out, and pages that the ultravisor asked to take out.
    pub(crate) fn all(&self) -> [u64; 3] {
        [&self.pages_in, &self.pages_out, &self.asked_out].map(|counter| counter.load(Ordering::Relaxed))
    }
}

/// The line on the standard error stream.
pub(crate) struct Line<'a> {
    machine: &'a Machine,
    counts: &'a Counts,
    vms: &'a [Running; 2],
    terminal: bool,
    ticks: u32,
    most_in_use: u64,
}

impl<'a> Line<'a> {
    pub(crate) fn new(machine: &'a Machine, counts: &'a Counts, vms: &'a [Running; 2]) -> Self {
        Self { machine, counts, vms, terminal: stderr().is_terminal(), ticks: 0, most_in_use: 0 }
    }

    /// Shows the line anew every tick, and once more at the end.
    pub(crate) fn show_while(&mut self, running: impl Fn() -> bool) {
        while running() {
            self.show();
            thread::sleep(TICK);
        }
        self.show();
    }

    /// Ends the line; gives the most secure pages that were in use when somebody looked.
    pub(crate) fn end(self) -> u64 {
        if self.terminal {
            eprintln!();
        }
        self.most_in_use
    }

    fn show(&mut self) {
        let ([pages_in, pages_out, _], (used, all)) = (self.counts.all(), self.machine.secure_pages());
        self.most_in_use = self.most_in_use.max(used);
        let compared: u64 = self.vms.iter().map(|vm| vm.tally.lock().compared).sum();
        let line = format!(
            "{pages_in} pages in, {pages_out} out; secure pool {used} of {all} pages; {} MiB compared",
            compared >> 20
        );
        if self.terminal {
            eprint!("\r\x1b[2K{line}");
        } else if self.ticks.is_multiple_of(LINES) {
            eprintln!("{line}");
        }
        self.ticks += 1;
    }
}
