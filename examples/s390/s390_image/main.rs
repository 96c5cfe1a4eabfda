//! Builds, shows, tests and opens IBM Secure Execution images.
//!
//! ```text
//! s390_image create --kernel F [--ramdisk F] [--parmfile F] -k CERT (-C CERT --crl F --root-ca F | --no-verify) -o OUT
//! s390_image info [--hdr-key F [--show-secrets]] [--json] IMAGE
//! s390_image test (-k CERT | --key-hashes[=F]) IMAGE
//! s390_image extract (--host-key PEM | --hdr-key F) --out DIR IMAGE
//! ```
//!
//! Option names are those of `pvimg`. No file is replaced without `--overwrite`.
//!
//! Exit status: 0 done; 1 refused (a certificate does not verify, no key slot fits,
//! a tag or digest does not match); 2 unusable input or wrong options.

mod create;
mod extract;
mod flags;
mod info;
mod report;
mod test;

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use uv_programs::{Failure, files};
use uv_s390::abi::se_header::SeHeader;
use uv_s390::owner::image::read_header;

/// Build, show, test and open IBM Secure Execution images
#[derive(Parser, Debug)]
#[command(
    name = "s390_image",
    after_help = "Exit status: 0 done; 1 refused (a certificate does not verify, no key slot fits, a tag or digest does not \
                  match); 2 unusable input or options, or a file that cannot be written."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Build an image
    Create(Box<create::Create>),
    /// Show the header of an image, or a bare header
    Info(info::Info),
    /// Test whether an image has a key slot for a machine
    Test(test::Test),
    /// Write the plain components of an image
    Extract(extract::Extract),
}

/// Largest file taken as image, kernel or RAM disk: 4 GiB.
const MAX_FILE: u64 = 4 << 30;

/// Bytes at the start of a file in which the header lies as a rule: 1 MiB.
const HEAD: u64 = 1 << 20;

fn main() -> ExitCode {
    uv_programs::run(|| match Cli::parse().command {
        Command::Create(create) => create.run(),
        Command::Info(info) => info.run(),
        Command::Test(test) => test.run(),
        Command::Extract(extract) => extract.run(),
    })
}

/// Reads an image, or a bare header, as a file.
fn read_image(path: &Path) -> Result<Vec<u8>, Failure> {
    files::read_file_limited(path, MAX_FILE)
}

/// Reads only the header of an image. It lies near the start as a rule, so that a large image is not read whole.
fn header_of(path: &Path) -> Result<SeHeader, Failure> {
    let mut head = Vec::new();
    // What cannot be read here is told by `read_image`.
    if let Ok(file) = File::open(path)
        && file.take(HEAD).read_to_end(&mut head).is_ok()
        && let Ok((_, header)) = read_header(&head)
    {
        return Ok(header);
    }
    let file = read_image(path)?;
    let (_, header) = read_header(&file).map_err(|error| Failure::unusable(error).at(path.display()))?;
    Ok(header)
}
