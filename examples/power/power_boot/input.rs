//! Options and files of the program, and the sample that it makes without them.

use std::path::{Path, PathBuf};

use clap::{Parser, ValueEnum};
use uv_power::abi::Profile;
use uv_power::owner::blob::Blob;
use uv_power::owner::digests::RTAS_STUB;
use uv_power::owner::keys::PrivateKey;
use uv_power::owner::{cpio, kernel};
use uv_power_programs::SvmFiles;
use uv_programs::Failure;
use uv_programs::files::read_file_limited;

const MIB: u64 = 1 << 20;
/// Longest files, in bytes: together they fit below the 768 MiB in which an ultravisor reserves its pages.
const KERNEL_MAX: u64 = 256 * MIB;
const INITRD_MAX: u64 = 384 * MIB;
const BLOB_MAX: u64 = 16 * MIB;
const RTAS_MAX: u64 = MIB;
const KEY_MAX: u64 = MIB / 16;
/// Longest command line: the device tree has 1 MiB.
const BOOTARGS_MAX: usize = 512 << 10;

/// Boot a VM of POWER that has an ESM blob and become secure.
///
/// Without options a sample is made, with keys that are thrown away.
#[derive(Debug, Parser)]
#[command(
    name = "power_boot",
    after_help = "Exit status: 0 the VM is secure, 1 the ultravisor refused it, 2 unusable input."
)]
pub(crate) struct Cli {
    /// ESM blob.
    #[arg(long, value_name = "FILE", requires_all = ["machine_key", "kernel", "initrd", "bootargs"])]
    blob: Option<PathBuf>,
    /// Private key of the machine (PEM), in place of its TPM.
    #[arg(long, value_name = "PEM", requires = "blob")]
    machine_key: Option<PathBuf>,
    /// Kernel: an ELF, flattened as `objcopy -O binary` does, or a flat file.
    #[arg(long, value_name = "FILE", requires = "blob")]
    kernel: Option<PathBuf>,
    /// Initramfs, without the blob.
    #[arg(long, value_name = "FILE", requires = "blob")]
    initrd: Option<PathBuf>,
    /// Command line of the kernel.
    #[arg(long, value_name = "STRING", requires = "blob", allow_hyphen_values = true)]
    bootargs: Option<String>,
    /// RTAS code; the default is the stub of 20 bytes that owners' tools expect.
    #[arg(long, value_name = "FILE", requires = "blob")]
    rtas: Option<PathBuf>,
    /// Put the blob in front of the initramfs, in an archive; without it the device tree points to the blob.
    #[arg(long)]
    blob_in_initrd: bool,
    /// Which ultravisor runs: the one of the API document, or the published firmware with its defects.
    #[arg(long, value_enum, default_value_t = ProfileName::Documented)]
    profile: ProfileName,
    /// Show one JSON object in place of text.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum ProfileName {
    Documented,
    Firmware,
}

/// What is booted.
pub(crate) struct Input {
    pub(crate) files: SvmFiles,
    /// The names of the blob's files, as the guest's owner knows them.
    pub(crate) names: Vec<String>,
    /// Which ultravisor runs.
    pub(crate) profile: Profile,
}

impl Cli {
    /// Reads the files, or makes the sample.
    pub(crate) fn read(&self) -> Result<Input, Failure> {
        let mut files = match (&self.blob, &self.machine_key, &self.kernel, &self.initrd, &self.bootargs) {
            (Some(blob), Some(key), Some(kernel), Some(initrd), Some(bootargs)) => {
                read(blob, key, kernel, initrd, bootargs.clone())?
            }
            _ => SvmFiles::sample()?,
        };
        if let Some(path) = &self.rtas {
            files.rtas = not_empty(path, RTAS_MAX)?;
        }
        let names = files.blob.as_deref().map(names).unwrap_or_default();
        if self.blob_in_initrd
            && let Some(blob) = files.blob.take()
        {
            let carrier = cpio::carrier(&blob, "esmb").map_err(Failure::unusable)?;
            files.initrd.splice(..0, carrier);
        }
        let profile = match self.profile {
            ProfileName::Documented => Profile::Documented,
            ProfileName::Firmware => Profile::Firmware,
        };
        Ok(Input { files, names, profile })
    }
}

fn read(blob: &Path, key: &Path, kernel: &Path, initrd: &Path, bootargs: String) -> Result<SvmFiles, Failure> {
    if bootargs.len() > BOOTARGS_MAX {
        return Err(Failure::unusable(format_args!("the command line is longer than {BOOTARGS_MAX} bytes")));
    }
    if bootargs.contains('\0') {
        return Err(Failure::unusable("the command line has a NUL character"));
    }
    let name = blob.display();
    let blob = not_empty(blob, BLOB_MAX)?;
    check_blob(&blob).map_err(|failure| failure.at(name))?;
    let pem = not_empty(key, KEY_MAX)?;
    let machine_key = PrivateKey::from_pem(&pem, None).map_err(|error| Failure::unusable(error).at(key.display()))?;
    let file = not_empty(kernel, KERNEL_MAX)?;
    let flat = kernel::flatten(&file).map_err(|error| Failure::unusable(error).at(kernel.display()))?.into_owned();
    if flat.is_empty() || flat.len() as u64 > KERNEL_MAX {
        let what = format_args!("the flat kernel has {} bytes, 1 to {KERNEL_MAX} can be loaded", flat.len());
        return Err(Failure::unusable(what).at(kernel.display()));
    }
    let initrd = not_empty(initrd, INITRD_MAX)?;
    Ok(SvmFiles { machine_key, kernel: flat, initrd, blob: Some(blob), rtas: RTAS_STUB.to_vec(), bootargs })
}

fn names(blob: &[u8]) -> Vec<String> {
    let files = Blob::parse(blob).and_then(|blob| blob.files());
    files.map(|files| files.names().map(str::to_owned).collect()).unwrap_or_default()
}

fn not_empty(path: &Path, max: u64) -> Result<Vec<u8>, Failure> {
    match read_file_limited(path, max)? {
        bytes if bytes.is_empty() => Err(Failure::unusable(format_args!("{} is empty", path.display()))),
        bytes => Ok(bytes),
    }
}

/// Whether a file can be handed to an ultravisor as a blob: its header gives its length. Everything else is for the
/// ultravisor to judge.
fn check_blob(bytes: &[u8]) -> Result<(), Failure> {
    let told = bytes.get(4..8).and_then(|field| field.try_into().ok()).map(u32::from_be_bytes);
    match told {
        Some(told) if bytes.len() >= 40 && usize::try_from(told).is_ok_and(|told| told == bytes.len()) => Ok(()),
        Some(told) if bytes.starts_with(&[0xd0, 0x0d, 0xfe, 0xed]) => Err(Failure::unusable(format_args!(
            "the blob is not whole: its header tells {told} bytes, the file has {}",
            bytes.len()
        ))),
        _ => Err(Failure::unusable("this is not an ESM blob")),
    }
}
