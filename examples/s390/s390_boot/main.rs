//! Boots a Secure Execution image on a simulated IBM Z machine.
//!
//! ```text
//! s390_boot [--image FILE --host-key PEM] [--json]
//! ```
//! Without arguments a sample image is made in memory, with keys that are thrown away, and booted. With arguments the file is
//! loaded as guest memory (file offset = guest address), and the machine has the given private key as its host key.
//!
//! Exit status: 0 the guest runs; 1 the Ultravisor refused it; 2 unusable input.

mod input;
mod progress;
mod report;
mod views;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use uv_programs::{Failure, output};
use uv_s390_programs::vm::{Boot, Platform};

/// Boot a Secure Execution image on a simulated IBM Z machine
#[derive(Parser, Debug)]
#[command(
    name = "s390_boot",
    after_help = "Exit status: 0 the guest runs; 1 the Ultravisor refused it; 2 unusable input or options."
)]
struct Cli {
    /// The image, as `pvimg create` or `s390_image create` writes it
    #[arg(long, value_name = "FILE", requires = "host_key")]
    image: Option<PathBuf>,
    /// Private host key of the machine (P-521, PEM)
    #[arg(long, value_name = "PEM", requires = "image")]
    host_key: Option<PathBuf>,
    /// Print one JSON object and nothing else
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    uv_programs::run(|| boot(&Cli::parse()))
}

fn boot(cli: &Cli) -> Result<ExitCode, Failure> {
    let input = match cli.image.as_deref().zip(cli.host_key.as_deref()) {
        Some((image, key)) => input::read(image, key)?,
        None => input::sample()?,
    };
    let mut platform = Platform::new(input.host_key.clone(), 1, input.image.file().len())?;
    let mut vm = platform.load(&input.image)?;
    let facts = vm.set_measuring_guest()?;
    let mut screen = progress::Screen::new(cli.json, input.image.pages());
    screen.begin(&input)?;
    let boot = screen.boot(&mut vm)?;
    let facts = match &boot {
        Boot::Running(_) => {
            vm.run_to_halt()?;
            Some(facts.take())
        }
        Boot::Refused(_) => None,
    };
    let report = report::Report::new(&input, &boot, facts, vm.guest().unpacked_pages());
    if cli.json {
        output::print(&report.json().to_string())?;
    } else {
        output::print(&report.text())?;
        views::show(&vm)?;
    }
    Ok(if boot.is_running() { ExitCode::SUCCESS } else { ExitCode::from(Failure::REFUSED) })
}
