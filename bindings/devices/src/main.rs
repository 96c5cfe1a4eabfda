//! Runs a program with the devices of a simulated IBM Z machine.
//!
//! ```text
//! uv-devices run [--image FILE --host-key PEM] [--log FILE] [--root FOLDER] -- PROGRAM [ARGUMENT...]
//! ```
//! Exit status: that of the program; 1 if the Ultravisor refused the image; 2 for what is missing or cannot be used.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use uv_devices::run::Run;

/// Devices of a simulated IBM Z machine for unmodified programs
#[derive(Parser, Debug)]
#[command(
    name = "uv-devices",
    after_help = "Exit status: that of the program; 1 the Ultravisor refused the image; 2 something is missing or unusable."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    Run(Box<Run>),
}

fn main() -> ExitCode {
    let Command::Run(run) = Cli::parse().command;
    uv_programs::logging::start();
    run.run().unwrap_or_else(|failure| {
        eprintln!("error: {failure}");
        ExitCode::from(failure.status())
    })
}
