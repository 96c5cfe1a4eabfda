//! Secrets of Secure Execution guests: makes add-secret requests, hands them to a simulated machine, lists what it keeps.
//!
//! ```text
//! s390_secret create -k CERT (-C CERT --crl F --root-ca F | --no-verify) --hdr IMAGE -o REQUEST [options]
//!             (meta | association NAME | retrievable NAME --secret F --type TYPE | update-cck --secret F)
//! s390_secret add --image F --host-key PEM [--cuid HEX] [--lock] [--json] REQUEST...
//! s390_secret list (--image F --host-key PEM [REQUEST...] | --input LIST) [--format human|yaml|json|bin] [-o F]
//! s390_secret verify [--user-cert F] [-o F] REQUEST
//! ```
//!
//! Option names of `create` are those of `pvsecret create`. No file is replaced without `--overwrite`.
//!
//! Exit status: 0 done; 1 refused (by the Ultravisor, or a signature
//! does not fit); 2 unusable input or wrong options.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use uv_s390_programs::secret::{Add, Create, List, Verify};

/// Manage secrets of IBM Secure Execution guests
#[derive(Parser, Debug)]
#[command(
    name = "s390_secret",
    after_help = "Exit status: 0 done; 1 refused (by the Ultravisor, or a signature does not fit); 2 unusable input or options, \
                  or a file that cannot be written."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Make an add-secret request
    Create(Box<Create>),
    /// Boot an image on a simulated machine and add secrets to the guest
    Add(Add),
    /// List the secrets of a guest
    List(List),
    /// Check a request and the signature of its user data
    Verify(Verify),
}

fn main() -> ExitCode {
    uv_programs::run(|| match &Cli::parse().command {
        Command::Create(create) => create.run(),
        Command::Add(add) => add.run(),
        Command::List(list) => list.run(),
        Command::Verify(verify) => verify.run(),
    })
}
