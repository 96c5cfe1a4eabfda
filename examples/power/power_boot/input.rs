//! Options and files of the program, and the sample that it makes without them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Parser, ValueEnum};
use uv_power::abi::Profile;
use uv_power::owner::blob::Blob;
use uv_power::owner::digests::{Digests, RTAS_STUB};
use uv_power::owner::kernel;
use uv_power::owner::keys::PrivateKey;

use uv_programs::Failure;
use uv_programs::files::read_file_limited;
use uv_programs::random::rng;

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
struct Cli {
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
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ProfileName {
    Documented,
    Firmware,
}

/// What the options ask for.
pub(super) enum Asked {
    /// To be told about the options.
    Help(String),
    /// To boot; whether as JSON.
    Boot(Box<Input>, bool),
}

/// Everything a boot needs.
#[derive(Clone, Debug)]
pub struct Input {
    /// The ESM blob.
    pub blob: Vec<u8>,
    /// The machine's key.
    pub machine_key: PrivateKey,
    /// The flat kernel.
    pub kernel: Vec<u8>,
    /// The initramfs.
    pub initrd: Vec<u8>,
    /// The command line.
    pub bootargs: String,
    /// The RTAS code.
    pub rtas: Vec<u8>,
    /// Whether the blob stands in front of the initramfs.
    pub blob_in_initrd: bool,
    /// Which ultravisor runs.
    pub profile: Profile,
}

impl Asked {
    pub(super) fn from_arguments(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, Failure> {
        let cli = match Cli::try_parse_from(arguments) {
            Ok(cli) => cli,
            Err(error) if error.use_stderr() => {
                return Err(Failure::unusable(error.to_string().trim_start_matches("error: ").trim_end()));
            }
            Err(help) => return Ok(Self::Help(help.to_string())),
        };
        let mut input = match (&cli.blob, &cli.machine_key, &cli.kernel, &cli.initrd, cli.bootargs) {
            (Some(blob), Some(key), Some(kernel), Some(initrd), Some(bootargs)) => {
                Input::read(blob, key, kernel, initrd, bootargs)?
            }
            _ => Input::sample()?,
        };
        if let Some(path) = &cli.rtas {
            input.rtas = not_empty(path, RTAS_MAX)?;
        }
        input.blob_in_initrd = cli.blob_in_initrd;
        input.profile = match cli.profile {
            ProfileName::Documented => Profile::Documented,
            ProfileName::Firmware => Profile::Firmware,
        };
        Ok(Self::Boot(Box::new(input), cli.json))
    }
}

impl Input {
    fn read(blob: &Path, key: &Path, kernel: &Path, initrd: &Path, bootargs: String) -> Result<Self, Failure> {
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
        let machine_key =
            PrivateKey::from_pem(&pem, None).map_err(|error| Failure::unusable(error).at(key.display()))?;
        let file = not_empty(kernel, KERNEL_MAX)?;
        let flat = kernel::flatten(&file).map_err(|error| Failure::unusable(error).at(kernel.display()))?.into_owned();
        if flat.is_empty() || flat.len() as u64 > KERNEL_MAX {
            let what = format_args!("the flat kernel has {} bytes, 1 to {KERNEL_MAX} can be loaded", flat.len());
            return Err(Failure::unusable(what).at(kernel.display()));
        }
        Ok(Self {
            blob,
            machine_key,
            kernel: flat,
            initrd: not_empty(initrd, INITRD_MAX)?,
            bootargs,
            rtas: RTAS_STUB.to_vec(),
            blob_in_initrd: false,
            profile: Profile::Documented,
        })
    }

    /// A guest of two pages, its blob with one file, and the keys of owner and machine, all new.
    ///
    /// # Errors
    /// Status 2 without random numbers from the system.
    pub fn sample() -> Result<Self, Failure> {
        let mut rng = rng(None)?;
        let bad = |what: &dyn core::fmt::Display| Failure::unusable(format_args!("the sample cannot be made: {what}"));
        let owner = PrivateKey::generate(&mut rng).map_err(|error| bad(&error))?;
        let machine_key = PrivateKey::generate(&mut rng).map_err(|error| bad(&error))?;
        let kernel: Vec<u8> = (0..100_000_u32).flat_map(|word| (0x6000_0000 | word).to_be_bytes()).collect();
        let initrd = b"the sample's initramfs\n".repeat(4096);
        let bootargs = "root=/dev/sda1 svm=on console=hvc0".to_owned();
        let made = || -> Result<Vec<u8>, uv_power::owner::blob::BlobError> {
            let mut rng = rng;
            let mut blob = Blob::create(owner.public(), "sample owner", &mut rng)?;
            blob.authorize(machine_key.public(), "this machine", &owner, &mut rng)?;
            let key = blob.unlock(&owner)?;
            let digests = Digests::measure(&kernel, &initrd, &bootargs)?;
            blob.set_digests(&digests, &key, "sample", &mut rng)?;
            blob.attach("rootd", b"a pass phrase for the disk", &key, "sample", &mut rng)?;
            blob.to_bytes()
        };
        let blob = made().map_err(|error| bad(&error))?;
        let rtas = RTAS_STUB.to_vec();
        let profile = Profile::Documented;
        Ok(Self { blob, machine_key, kernel, initrd, bootargs, rtas, blob_in_initrd: false, profile })
    }
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
