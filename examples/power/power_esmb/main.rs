//! ESM blobs at the command line: what a guest owner does before a POWER VM can become secure.
//!
//! ```text
//! power_esmb make -y svm_blob.yml -o blob.dtb                  all at once
//!
//! power_esmb create    -b blob.dtb -p ownerpub.pem             or step by step
//! power_esmb authorize -b blob.dtb -p machinepub.pem -s owner.pem
//! power_esmb attach    -b blob.dtb -f phrase -r rootd -s owner.pem
//!
//! power_esmb display -b blob.dtb --json
//! power_esmb add     -i initrd.img -b blob.dtb -o secure-initrd.img
//! ```
//!
//! `authorize`, `revoke`, `attach` and `detach` change the blob where it is; no other file is replaced without `--overwrite`.
//! Everything that a command does to a blob is a call of [`uv_power::owner`].
//!
//! Exit status: 0 done; 2 unusable input, or a file that cannot be written.

mod add;
mod blob;
mod display;
mod files;
mod keys;
mod lockboxes;
mod make;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use uv_programs::Failure;

use keys::Passphrase;

/// Make, change and show ESM blobs, which let a VM become secure on the machines its owner names.
#[derive(Debug, Parser)]
#[command(
    name = "power_esmb",
    after_help = "A BLOB is rewritten only when all went well. Exit status: 0 done, 2 unusable input, or a file that cannot be \
                  written."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Take the pass phrase of an encrypted private key from this environment variable, not from the terminal
    #[arg(long, value_name = "NAME", global = true)]
    passphrase_env: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a whole blob from a YAML file: keys, digests and files; paths in it are relative to the working directory
    Make(make::Make),
    /// Make a blob with nothing but its owner's lockbox
    Create(lockboxes::Create),
    /// Let one more key open the blob: another machine, or another owner
    Authorize(lockboxes::Authorize),
    /// Remove a key's lockbox
    Revoke(lockboxes::Revoke),
    /// Attach a file for the guest
    Attach(files::Attach),
    /// Remove an attached file
    Detach(files::Detach),
    /// Open an attached file
    Extract(files::Extract),
    /// Show what a blob holds
    Display(display::Display),
    /// Put a blob in front of an initramfs, as an archive member below opt/ibm/pef
    Add(add::Add),
}

#[derive(Debug, Args)]
struct BlobArg {
    /// The blob
    #[arg(short, long)]
    blob: PathBuf,
}

#[derive(Debug, Args)]
struct PublicArg {
    /// Public key, PEM
    #[arg(short, long)]
    pubkey: PathBuf,
}

#[derive(Debug, Args)]
struct SecretArg {
    /// Private key that the blob has a lockbox for, PEM
    #[arg(short, long)]
    seckey: PathBuf,
}

#[derive(Debug, Args)]
struct CommentArg {
    /// A line of text that is stored unprotected
    #[arg(short, long, default_value = "")]
    comment: String,
}

#[derive(Debug, Args)]
struct NameArg {
    /// Name of the attached file
    #[arg(short = 'r', long)]
    name: String,
}

fn main() -> ExitCode {
    uv_programs::run(|| {
        let cli = Cli::parse();
        let phrase = Passphrase { variable: cli.passphrase_env.as_deref() };
        match cli.command {
            Command::Make(make) => make.run(phrase),
            Command::Create(create) => create.run(),
            Command::Authorize(authorize) => authorize.run(phrase),
            Command::Revoke(revoke) => revoke.run(),
            Command::Attach(attach) => attach.run(phrase),
            Command::Detach(detach) => detach.run(phrase),
            Command::Extract(extract) => extract.run(phrase),
            Command::Display(display) => display.run(),
            Command::Add(add) => add.run(),
        }
        .map(|()| ExitCode::SUCCESS)
    })
}

fn unusable(error: impl core::fmt::Display) -> Failure {
    Failure::unusable(error)
}
