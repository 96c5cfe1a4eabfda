//! `extract`: writes the plain components.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgGroup, Args};
use ultravisor::Failure;
use ultravisor::files::{FileMode, write_atomic};
use ultravisor::output::print;
use ultravisor::s390_keys::{read_host_private_key, read_key};
use uv_s390::abi::se_header::{ConfidentialArea, SeHeader};
use uv_s390::owner::image::{Image, PlainComponent};

use crate::{may_write, read_image};

/// Options of `extract`.
#[derive(Args, Debug)]
#[command(group(ArgGroup::new("key").required(true).args(["host_key", "hdr_key"])))]
pub(crate) struct Extract {
    /// Private host key (PEM) of a machine that the image is for
    #[arg(long, value_name = "PEM")]
    host_key: Option<PathBuf>,
    /// Header key, 32 bytes
    #[arg(long, alias = "x-header-key", value_name = "FILE")]
    hdr_key: Option<PathBuf>,
    /// Folder for the components: kernel, ramdisk, cmdline, stage3b; made if it is not there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Keep the padding to whole pages
    #[arg(long)]
    padded: bool,
    /// Replace files that exist
    #[arg(long)]
    overwrite: bool,
    /// Image
    image: PathBuf,
}

impl Extract {
    /// Opens, verifies, decrypts and writes. Nothing is written unless everything matched.
    pub(crate) fn run(&self) -> Result<ExitCode, Failure> {
        let file = read_image(&self.image)?;
        let image = Image::parse(&file).map_err(|error| Failure::unusable(error).at(self.image.display()))?;
        let confidential = self.open(image.header())?;
        let components =
            image.extract(&confidential).map_err(|error| Failure::refused(error).at(self.image.display()))?;

        let cannot = |error| Failure::unusable(format_args!("cannot make the folder {}: {error}", self.out.display()));
        fs::create_dir_all(&self.out).map_err(cannot)?;
        let paths: Vec<PathBuf> =
            components.iter().enumerate().map(|(index, component)| self.out.join(name(index, component))).collect();
        for path in &paths {
            may_write(path, self.overwrite)?;
        }
        for (path, component) in paths.iter().zip(&components) {
            let bytes = if self.padded { component.pages() } else { component.contents() };
            write_atomic(path, bytes, FileMode::Secret)?;
            print(&format!("{}: {} bytes from {:#x}", path.display(), bytes.len(), component.entry().address.get()))?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn open(&self, header: &SeHeader) -> Result<ConfidentialArea, Failure> {
        let opened = match (&self.host_key, &self.hdr_key) {
            (Some(path), _) => header.open(&read_host_private_key(path)?).map(|opened| opened.confidential),
            (None, Some(path)) => header.open_with_header_key(&read_key(path)?),
            (None, None) => return Err(Failure::unusable("a key is needed: --host-key or --hdr-key")),
        };
        opened.map_err(|error| Failure::refused(error).at(self.image.display()))
    }
}

/// File name of a component: its kind, or its place in the image.
fn name(index: usize, component: &PlainComponent) -> String {
    component.kind().map_or_else(|| format!("component-{index}"), |kind| String::from(kind.name()))
}
