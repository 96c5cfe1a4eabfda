//! `extract`: writes the plain components.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgGroup, Args};
use uv_programs::Failure;
use uv_programs::output::print;
use uv_programs::outputs::{FileMode, OverwriteArg};
use uv_s390::abi::se_header::{ConfidentialArea, SeHeader};
use uv_s390::owner::image::{Image, PlainComponent};
use uv_s390_programs::keys::{read_host_private_key, read_key};

use crate::read_image;

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
    #[arg(short, long, alias = "output", value_name = "DIR")]
    out: PathBuf,
    /// Keep the padding to whole pages
    #[arg(long)]
    padded: bool,
    #[command(flatten)]
    overwrite: OverwriteArg,
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

        let mut outputs = self.overwrite.outputs();
        outputs.inputs([&self.image].into_iter().chain(&self.host_key).chain(&self.hdr_key))?;
        outputs.folder(&self.out);
        let mut planned = Vec::new();
        for (index, component) in components.iter().enumerate() {
            let path = self.out.join(name(index, component));
            planned.push((outputs.file(&path, FileMode::Secret)?, path));
        }
        let mut told = Vec::new();
        for ((slot, path), component) in planned.iter().zip(&components) {
            let bytes = if self.padded { component.pages() } else { component.contents() };
            outputs.write(*slot, bytes)?;
            let address = component.entry().address.get();
            told.push(format!("{}: {} bytes from {address:#x}", path.display(), bytes.len()));
        }
        outputs.commit(|| print(&told.join("\n")))?;
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
