//! Attests a Secure Execution guest: makes requests, has a simulated machine measure the guest, checks the answer.
//!
//! ```text
//! s390_attest create -k CERT (-C CERT --crl F --root-ca F | --no-verify) -o REQUEST --arpk KEY [--add-data DATA]
//! s390_attest perform --image F --host-key PEM --request REQUEST --out RESPONSE [--user-data F] [--cuid HEX]
//! s390_attest verify --response RESPONSE --arpk KEY --hdr IMAGE [--json]
//! ```
//!
//! The files are those of `pvattest`. What a simulated machine measures can be verified only with a request made for that
//! machine's key. No file is replaced without `--overwrite`.
//!
//! Exit status: 0 done, verified; 2 the measurement differs; 1 everything else.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use uv_programs::Failure;
use uv_s390_programs::attest::{Create, Perform, Verify};

/// Attest an IBM Secure Execution guest
#[derive(Parser, Debug)]
#[command(
    name = "s390_attest",
    after_help = "Exit status: 0 done, verified; 2 the measurement differs; 1 everything else: refused, unusable input or \
                  options, a file that cannot be written."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Make an attestation request
    Create(Box<Create>),
    /// Boot an image on a simulated machine and have it measured
    Perform(Perform),
    /// Check a response
    Verify(Verify),
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Status 2 is for a measurement that differs, and for nothing else.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(Failure::REFUSED) } else { ExitCode::SUCCESS };
        }
    };
    uv_programs::run(|| {
        let done = match &cli.command {
            Command::Create(create) => create.run(),
            Command::Perform(perform) => perform.run(),
            Command::Verify(verify) => verify.run(),
        };
        done.map_err(Failure::refused)
    })
}
