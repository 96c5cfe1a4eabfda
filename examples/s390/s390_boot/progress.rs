//! The steps as they happen.

use crate::input::Input;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{IsTerminal as _, stderr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use uv_programs::{Failure, output};
use uv_s390::abi::diag308::Subcode;
use uv_s390::hypervisor::vmm::ipl::StartStep;
use uv_s390_programs::vm::{Boot, BootEvent, Vm};

/// From how many pages on a progress bar is worth it: 16 MiB.
const LARGE: u64 = 4096;

/// Who is told what.
pub(crate) struct Screen {
    silent: bool,
    pages: u64,
}

impl Screen {
    /// With `silent` nothing is shown but the bar, which goes to the standard error stream if that is a terminal.
    pub(crate) fn new(silent: bool, pages: u64) -> Self {
        Self { silent, pages }
    }

    /// Says what is booted.
    ///
    /// # Errors
    /// Status 2 if the output cannot be written.
    pub(crate) fn begin(&self, input: &Input) -> Result<(), Failure> {
        self.line(&format!(
            "booting {}: {} bytes, SE header at {:#x}, {} components, {} pages",
            input.origin,
            input.image.file().len(),
            input.image.header_address(),
            input.image.components().len(),
            self.pages
        ))
    }

    /// Boots and shows each step; pages are counted from a second thread while the first one unpacks.
    ///
    /// # Errors
    /// Status 2 if the output cannot be written.
    pub(crate) fn boot(&mut self, vm: &mut Vm) -> Result<Boot, Failure> {
        let bar = self.bar();
        let guest = vm.guest().clone();
        let done = AtomicBool::new(false);
        let mut written = Ok(());
        let boot = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    bar.set_position(guest.unpacked_pages());
                    std::thread::sleep(Duration::from_millis(50));
                }
            });
            let boot = vm.boot(&mut |event| {
                if written.is_ok() {
                    written = bar.suspend(|| self.line(&tell(event)));
                }
            });
            done.store(true, Ordering::Relaxed);
            boot
        });
        bar.finish_and_clear();
        written.map(|()| boot)
    }

    fn bar(&self) -> ProgressBar {
        if self.pages < LARGE || !stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::with_draw_target(Some(self.pages), ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("  unpacking {bar:40} {pos}/{len} pages, {eta} left") {
            bar.set_style(style);
        }
        bar
    }

    fn line(&self, text: &str) -> Result<(), Failure> {
        if self.silent { Ok(()) } else { output::print(text) }
    }
}

fn tell(event: BootEvent) -> String {
    match event {
        BootEvent::IpibReady => "guest       stores address and size of the SE header in its IPIB".into(),
        BootEvent::Diag308(subcode) => format!("guest       DIAG 308 subcode {subcode}{}", meaning(subcode)),
        BootEvent::Answer(response) => format!("hypervisor  answers {response}"),
        BootEvent::Step(step @ (StartStep::SetParameters | StartStep::Unpack(_) | StartStep::Verify)) => {
            format!("ultravisor  {step}")
        }
        BootEvent::Step(step) => format!("hypervisor  {step}"),
    }
}

fn meaning(subcode: Subcode) -> &'static str {
    match subcode {
        Subcode::SET_PV => ": here is my PV IPIB",
        Subcode::START_PV => ": make me a protected guest",
        _ => "",
    }
}
