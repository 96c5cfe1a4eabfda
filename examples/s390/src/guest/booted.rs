//! A booted guest with room to work in.

use std::path::PathBuf;

use clap::Args;
use uv_s390::abi::uvcb::QueryInfo;
use uv_s390::guest::stage3a::BootImage;
use uv_s390::owner::crypto::HostPrivateKey;
use uv_s390::owner::request::ConfigUid;
use uv_s390::sim::MachineConfig;

use super::{Console, Session};
use crate::keys::read_host_private_key;
use crate::vm::{Boot, Platform, Vm};
use uv_programs::files::read_file_limited;
use uv_programs::{Failure, random};

/// Largest image that the programs boot: 1 GiB.
const MAX_IMAGE: u64 = 1 << 30;
/// Guest memory behind the image that the owner of the session may use.
const ROOM: usize = 2 << 20;

/// Which image is booted, on which machine.
#[derive(Args, Debug, Clone)]
pub struct GuestRequest {
    /// Image to boot
    #[arg(long, value_name = "FILE")]
    pub image: PathBuf,
    /// Private host key of the machine (P-521, PEM)
    #[arg(long, value_name = "PEM")]
    pub host_key: PathBuf,
    /// Unique id that the machine gives to the guest, 32 hex digits (default: random)
    #[arg(long, value_name = "HEX", value_parser = read_cuid)]
    pub cuid: Option<ConfigUid>,
}

/// Reads a configuration unique id from the command line.
///
/// # Errors
/// A sentence, for anything but 32 hex digits with or without `0x`.
pub fn read_cuid(text: &str) -> Result<ConfigUid, String> {
    ConfigUid::from_hex(text).map_err(|_| String::from("not 32 hex digits"))
}

impl GuestRequest {
    /// The files that are read.
    #[must_use]
    pub fn files(&self) -> [&PathBuf; 2] {
        [&self.image, &self.host_key]
    }

    /// Reads the files and boots.
    ///
    /// # Errors
    /// Status 2 for files that cannot be used, status 1 for an image that the Ultravisor refuses.
    pub fn boot(&self) -> Result<Booted, Failure> {
        let host_key = read_host_private_key(&self.host_key)?;
        let file = read_file_limited(&self.image, MAX_IMAGE)?;
        Booted::new(file, host_key, self.cuid).map_err(|failure| failure.at(self.image.display()))
    }
}

/// A protected guest that runs, and a session in it.
#[derive(Debug)]
pub struct Booted {
    /// The machine and its hypervisor.
    pub platform: Platform,
    /// The VM.
    pub vm: Vm,
    /// The guest's owner at the guest's console.
    pub session: Session,
    /// First guest address that the image does not use; 2 MiB from there on are free.
    pub free: u64,
}

impl Booted {
    /// Boots an image on a new machine of the newest generation.
    ///
    /// # Errors
    /// Status 2 for a file that is no image, status 1 if the Ultravisor refuses it.
    pub fn new(file: Vec<u8>, host_key: HostPrivateKey, cuid: Option<ConfigUid>) -> Result<Self, Failure> {
        let seed = rand_core::Rng::next_u64(&mut random::rng(None)?);
        Self::on(MachineConfig { host_key, ..MachineConfig::new(seed) }, file, cuid)
    }

    /// Boots an image on a machine of one's own choice.
    ///
    /// # Errors
    /// As [`Booted::new`].
    pub fn on(config: MachineConfig, mut file: Vec<u8>, cuid: Option<ConfigUid>) -> Result<Self, Failure> {
        let free = u64::try_from(file.len()).map_err(Failure::unusable)?.next_multiple_of(0x1000);
        // The free memory behind the image is part of the file as far as the VM is concerned.
        file.resize(file.len() + ROOM, 0);
        let image = BootImage::find(file).map_err(Failure::unusable)?;
        let mut platform = Platform::with_config(config, image.file().len())?;
        let mut vm = platform.load(&image)?;
        if let Some(cuid) = cuid {
            platform.machine().set_next_config_uid(cuid);
        }
        let console = Console::install(&vm)?;
        match vm.boot(&mut |_| {}) {
            Boot::Running(_) => {}
            Boot::Refused(refusal) => {
                return Err(Failure::refused(format_args!("the image does not boot: {refusal}")));
            }
        }
        let session = console.attach(&vm)?;
        Ok(Self { platform, vm, session, free })
    }

    /// What the machine tells the guest about its Ultravisor.
    ///
    /// # Errors
    /// As [`Session::call`].
    pub fn query(&mut self) -> Result<QueryInfo, Failure> {
        let mut block = QueryInfo::new();
        self.session.call(&mut block)?;
        Ok(block)
    }
}
