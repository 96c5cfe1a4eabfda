//! `power_esmb`: ESM blobs at the command line.

mod commands;
pub mod display;
pub mod input;
pub mod keys;

use std::ffi::OsString;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use self::keys::Passphrase;
use uv_programs::Failure;
use uv_programs::outputs::OverwriteArg;

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
    Make {
        /// The YAML file
        #[arg(short, long)]
        yaml: PathBuf,
        /// The blob to write
        #[arg(short, long, short_alias = 'b', alias = "out")]
        output: PathBuf,
        #[command(flatten)]
        overwrite: OverwriteArg,
    },
    /// Make a blob with nothing but its owner's lockbox
    Create {
        #[command(flatten)]
        blob: BlobArg,
        #[command(flatten)]
        public: PublicArg,
        #[command(flatten)]
        comment: CommentArg,
        #[command(flatten)]
        overwrite: OverwriteArg,
    },
    /// Let one more key open the blob: another machine, or another owner
    Authorize {
        #[command(flatten)]
        blob: BlobArg,
        #[command(flatten)]
        public: PublicArg,
        #[command(flatten)]
        secret: SecretArg,
        #[command(flatten)]
        comment: CommentArg,
    },
    /// Remove a key's lockbox
    Revoke {
        #[command(flatten)]
        blob: BlobArg,
        #[command(flatten)]
        public: PublicArg,
    },
    /// Attach a file for the guest
    Attach {
        #[command(flatten)]
        blob: BlobArg,
        /// The file to attach, at most 65535 bytes
        #[arg(short, long)]
        file: PathBuf,
        #[command(flatten)]
        name: NameArg,
        #[command(flatten)]
        secret: SecretArg,
        #[command(flatten)]
        comment: CommentArg,
    },
    /// Remove an attached file
    Detach {
        #[command(flatten)]
        blob: BlobArg,
        #[command(flatten)]
        name: NameArg,
        #[command(flatten)]
        secret: SecretArg,
    },
    /// Open an attached file
    Extract {
        #[command(flatten)]
        blob: BlobArg,
        #[command(flatten)]
        name: NameArg,
        #[command(flatten)]
        secret: SecretArg,
        /// Where to write its content, readable by you only
        #[arg(short, long, alias = "out")]
        output: PathBuf,
        #[command(flatten)]
        overwrite: OverwriteArg,
    },
    /// Show what a blob holds
    Display {
        #[command(flatten)]
        blob: BlobArg,
        /// Show one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Put a blob in front of an initramfs, as an archive member below opt/ibm/pef
    Add {
        /// The initramfs
        #[arg(short, long)]
        initrd: PathBuf,
        #[command(flatten)]
        blob: BlobArg,
        /// The initramfs with the blob to write
        #[arg(short, long, alias = "out")]
        output: PathBuf,
        #[command(flatten)]
        overwrite: OverwriteArg,
    },
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

/// Runs the program with its arguments (the first one is its name) and environment, and shows results on `out`.
///
/// # Errors
/// Status 2 with one sentence. A blob that should have been changed is then as it was.
pub fn main(
    arguments: impl IntoIterator<Item = OsString>,
    environment: &dyn Fn(&str) -> Option<String>,
    out: &mut dyn Write,
) -> Result<ExitCode, Failure> {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() => {
            return Err(Failure::unusable(error.to_string().trim_start_matches("error: ").trim_end()));
        }
        Err(help) => {
            show(out, &help.to_string())?;
            return Ok(ExitCode::SUCCESS);
        }
    };
    let phrase = Passphrase { variable: cli.passphrase_env.as_deref(), environment };
    match cli.command {
        Command::Make { yaml, output, overwrite } => commands::make(&yaml, &output, phrase, overwrite)?,
        Command::Create { blob, public, comment, overwrite } => {
            commands::create(&blob.blob, &public.pubkey, &comment.comment, overwrite)?;
        }
        Command::Authorize { blob, public, secret, comment } => {
            commands::authorize(&blob.blob, &public.pubkey, &secret.seckey, &comment.comment, phrase)?;
        }
        Command::Revoke { blob, public } => commands::revoke(&blob.blob, &public.pubkey)?,
        Command::Attach { blob, file, name, secret, comment } => {
            commands::attach(&blob.blob, &file, &name.name, &secret.seckey, &comment.comment, phrase)?;
        }
        Command::Detach { blob, name, secret } => {
            commands::detach(&blob.blob, &name.name, &secret.seckey, phrase)?;
        }
        Command::Extract { blob, name, secret, output, overwrite } => {
            commands::extract(&blob.blob, &name.name, &secret.seckey, &output, phrase, overwrite)?;
        }
        Command::Display { blob, json } => show(out, &commands::display(&blob.blob, json)?)?,
        Command::Add { initrd, blob, output, overwrite } => commands::add(&initrd, &blob.blob, &output, overwrite)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Shows a result. A reader that went away is no failure.
fn show(out: &mut dyn Write, text: &str) -> Result<(), Failure> {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::unusable(format_args!("cannot write the result: {error}")))
        }
        _ => Ok(()),
    }
}
