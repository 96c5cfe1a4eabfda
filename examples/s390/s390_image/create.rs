//! `create`: builds an image.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use uv_programs::Failure;
use uv_programs::files::read_file_limited;
use uv_programs::output::print;
use uv_programs::outputs::{FileMode, OverwriteArg};
use uv_programs::random;
use uv_s390::owner::crypto::Cck;
use uv_s390::owner::image::{BootLoader, Image, ImageBuilder, ImageLayout};
use uv_s390_programs::keys::{HostKeyArgs, read_key};

use crate::MAX_FILE;
use crate::flags::{FlagArgs, hex_word};

/// Longest file taken as command line or boot-loader blob.
const MAX_SMALL_FILE: u64 = 16 << 20;

/// Options of `create`.
#[derive(Args, Debug)]
pub(crate) struct Create {
    /// Kernel, a raw image
    #[arg(short = 'i', long, alias = "image", value_name = "FILE")]
    kernel: PathBuf,
    /// Initial RAM disk
    #[arg(short, long, value_name = "FILE")]
    ramdisk: Option<PathBuf>,
    /// Kernel command line
    #[arg(short, long, value_name = "FILE")]
    parmfile: Option<PathBuf>,
    #[command(flatten)]
    host_keys: HostKeyArgs,
    /// Customer communication key, 32 bytes; random if not given
    #[arg(long, alias = "comm-key", value_name = "FILE")]
    cck: Option<PathBuf>,
    /// Header key, 32 bytes; random if not given
    #[arg(long, alias = "x-header-key", value_name = "FILE")]
    hdr_key: Option<PathBuf>,
    /// Key of the components, 64 bytes; random if not given
    #[arg(long, alias = "x-comp-key", value_name = "FILE")]
    image_key: Option<PathBuf>,
    /// Folder with stage3a.bin and stage3b_reloc.bin; without it the image measures but cannot run
    #[arg(long, alias = "x-bootloader-directory", value_name = "DIR")]
    bootloader_dir: Option<PathBuf>,
    #[command(flatten)]
    flags: FlagArgs,
    /// Do not check kernel and command line
    #[arg(long)]
    no_component_check: bool,
    /// Arrange the image as generators before s390-tools 2.36 did
    #[arg(long)]
    older_layout: bool,
    /// Start the guest at this address (hex) instead of at stage3b
    #[arg(long, value_name = "HEX", value_parser = hex_word, hide = true)]
    x_psw: Option<u64>,
    /// Draw all random values from this seed: reproducible, and no secret
    #[arg(long, value_name = "NUMBER", hide = true)]
    x_seed: Option<u64>,
    /// Image to be written, mode 0600
    #[arg(short, long, alias = "out", value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    overwrite: OverwriteArg,
}

impl Create {
    /// Builds and writes the image.
    pub(crate) fn run(&self) -> Result<ExitCode, Failure> {
        let mut outputs = self.overwrite.outputs();
        outputs.inputs(self.host_keys.files().chain([&self.kernel]))?;
        let more = [&self.ramdisk, &self.parmfile, &self.cck, &self.hdr_key, &self.image_key];
        outputs.inputs(more.into_iter().flatten())?;
        if let Some(folder) = &self.bootloader_dir {
            outputs.inputs(&[BootLoader::STAGE3A_FILE, BootLoader::STAGE3B_FILE].map(|name| folder.join(name)))?;
        }
        let output = outputs.file(&self.output, FileMode::Secret)?;
        let (pcf, scf) = self.flags.words(self.cck.is_some())?;
        let host_keys = self.host_keys.load()?;
        let kernel = read_file_limited(&self.kernel, MAX_FILE)?;
        let ramdisk = self.ramdisk.as_deref().map(|path| read_file_limited(path, MAX_FILE)).transpose()?;
        let command_line = self.parmfile.as_deref().map(|path| read_file_limited(path, MAX_SMALL_FILE)).transpose()?;

        let mut builder = ImageBuilder::new(&kernel).pcf(pcf).scf(scf);
        for host_key in host_keys {
            builder = builder.host_key(host_key);
        }
        if let Some(ramdisk) = &ramdisk {
            builder = builder.ramdisk(ramdisk);
        }
        if let Some(command_line) = &command_line {
            builder = builder.command_line(command_line);
        }
        if let Some(path) = &self.cck {
            builder = builder.cck(Cck::from(read_key::<32>(path)?));
        }
        if let Some(path) = &self.hdr_key {
            builder = builder.header_key(read_key(path)?);
        }
        if let Some(path) = &self.image_key {
            builder = builder.image_key(read_key(path)?);
        }
        if let Some(folder) = &self.bootloader_dir {
            builder = builder.boot_loader(read_boot_loader(folder)?);
        }
        if let Some(address) = self.x_psw {
            builder = builder.psw_address(address);
        }
        if self.older_layout {
            builder = builder.layout(ImageLayout::Older);
        }
        if self.no_component_check {
            builder = builder.skip_component_check();
        }
        let built = builder.build(&mut random::rng(self.x_seed)?).map_err(Failure::unusable)?;
        let pages = Image::parse(&built.bytes)
            .map_err(|error| Failure::unusable(format_args!("the image does not read back: {error}")))?
            .header()
            .fixed()
            .page_count
            .get();
        outputs.write(output, &built.bytes)?;
        let told = format!("{}: {} bytes, {pages} component pages", self.output.display(), built.bytes.len());
        outputs.commit(|| print(&told))?;
        if self.bootloader_dir.is_none() {
            eprintln!("note: without --bootloader-dir the image holds no boot loader; it measures, but cannot run");
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn read_boot_loader(folder: &Path) -> Result<BootLoader, Failure> {
    let stage3a = read_file_limited(&folder.join(BootLoader::STAGE3A_FILE), MAX_SMALL_FILE)?;
    let stage3b = read_file_limited(&folder.join(BootLoader::STAGE3B_FILE), MAX_SMALL_FILE)?;
    BootLoader::new(stage3a, stage3b).map_err(|error| Failure::unusable(error).at(folder.display()))
}
