//! Dumps of Secure Execution guests: makes one on a simulated machine, opens any.
//!
//! ```text
//! s390_dump create [--image F --host-key PEM] --out DUMP [--plain FILE]
//! s390_dump decrypt --key CCK [--format elf|raw] DUMP OUT
//! s390_dump info --key CCK [--json] DUMP
//! ```
//!
//! `create` boots the image (without arguments a sample), lets the guest dirty, share and touch pages, has the hypervisor page
//! some of them out, and dumps; `--plain` writes the memory as the guest itself reads it. Dumps are ELF files as QEMU
//! writes them. No file is replaced without `--overwrite`.
//!
//! Exit status: 0 done; 1 refused (no dumps allowed, wrong key, changed dump); 2 unusable input.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use uv_s390_programs::dump::{Create, Decrypt, Info};

/// Make and open dumps of IBM Secure Execution guests
#[derive(Parser, Debug)]
#[command(
    name = "s390_dump",
    after_help = "Exit status: 0 done; 1 refused (no dumps allowed, wrong key, changed dump); 2 unusable input or options, or a \
                  file that cannot be written."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Dump a guest of a simulated machine
    Create(Create),
    /// Write a plain dump
    Decrypt(Decrypt),
    /// Show what a dump holds
    Info(Info),
}

fn main() -> ExitCode {
    uv_programs::run(|| match &Cli::parse().command {
        Command::Create(create) => create.run(),
        Command::Decrypt(decrypt) => decrypt.run(),
        Command::Info(info) => info.run(),
    })
}
