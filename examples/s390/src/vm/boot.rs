//! From an ordinary to a protected guest: the boot loader's steps, and the VMM that carries them out.

use core::fmt;

use uv_s390::abi::diag308::Response;
use uv_s390::abi::diag308::Subcode;
use uv_s390::guest::stage3a::{Loader, LoaderStep};
use uv_s390::hypervisor::vmm::boot::{Served, serve};
use uv_s390::hypervisor::vmm::diag308::MachineModel;
use uv_s390::hypervisor::vmm::ipl::{IplOptions, StartError, StartStep, Started};

use super::Vm;

/// What happens during a boot, told as it happens.
#[derive(Debug, Clone, Copy)]
pub enum BootEvent {
    /// The guest stored header address and length in its IPIB.
    IpibReady,
    /// The guest issued DIAG 308 with this subcode.
    Diag308(Subcode),
    /// The VMM answered.
    Answer(Response),
    /// The VMM begins a step of the start.
    Step(StartStep),
}

/// How a boot ended.
#[derive(Debug, Clone)]
pub enum Boot {
    /// The protected guest runs.
    Running(Started),
    /// The guest is ordinary and has been told.
    Refused(Refusal),
}

impl Boot {
    /// Whether the protected guest runs.
    #[must_use]
    pub const fn is_running(&self) -> bool {
        matches!(self, Self::Running(_))
    }
}

/// Why a guest does not run protected. Shown, it says what to do about it, with the codes behind.
#[derive(Debug, Clone, Copy, Default)]
pub struct Refusal {
    /// What DIAG 308 answered; `None` when it ended with a program interruption.
    pub response: Option<Response>,
    /// The failure of the start, if it came that far.
    pub start: Option<StartError>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.start {
            None => f.write_str("the hypervisor refuses the IPIB"),
            Some(start) => match start.meaning() {
                Some(meaning) => write!(f, "{meaning} ({start})"),
                None => start.fmt(f),
            },
        }
    }
}

impl Vm {
    /// Boots: the guest stores header address and length in the IPIB and issues DIAG 308 subcodes 8 and 10; the VMM checks,
    /// and carries out the start. On success CPU 0 is operating and has not run yet.
    pub fn boot(&mut self, report: &mut dyn FnMut(BootEvent)) -> Boot {
        let mut loader = Loader::new(&self.image);
        let machine = MachineModel { huge_pages: self.guest.has_huge_pages(), ..MachineModel::default() };
        let options = self.ipl_options();
        let storage = self.guest.storage();
        let mut refusal = Refusal::default();
        loop {
            let call = match loader.next(refusal.response) {
                LoaderStep::Store { at, bytes } if storage.write(at, &bytes).is_ok() => {
                    report(BootEvent::IpibReady);
                    continue;
                }
                LoaderStep::Diag308(call) => call,
                // A fault means that the IPIB is in no memory: the boot loader would hang.
                LoaderStep::Store { .. } | LoaderStep::Wait => return Boot::Refused(refusal),
            };
            report(BootEvent::Diag308(Subcode(u16::try_from(call.subcode).unwrap_or(u16::MAX))));
            let mut step = |step| report(BootEvent::Step(step));
            let response = match serve(&mut self.stores, &machine, &*self.guest, &storage, call, &options, &mut step) {
                Served::Response(response) => response,
                Served::Protected(started) => return Boot::Running(started),
                Served::Refused(error) => {
                    refusal.start = Some(error);
                    error.response
                }
                Served::Reset(_) | Served::Program(_) => return Boot::Refused(refusal),
            };
            report(BootEvent::Answer(response));
            refusal.response = Some(response);
        }
    }

    /// How the VMM starts this VM: the CPU with number 0 is the one that asked.
    #[must_use]
    pub fn ipl_options(&self) -> IplOptions {
        let others = self.guest.cpu_numbers().into_iter().filter(|number| *number != 0).collect();
        IplOptions { others, ..IplOptions::default() }
    }
}
