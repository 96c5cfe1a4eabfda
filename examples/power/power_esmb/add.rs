//! `add`: the blob goes into the initramfs.

use std::path::PathBuf;

use clap::Args;
use uv_power::owner::cpio;
use uv_programs::Failure;
use uv_programs::files::read_file_limited;
use uv_programs::outputs::{FileMode, OverwriteArg};

use crate::{BlobArg, blob, unusable};

#[derive(Debug, Args)]
pub(crate) struct Add {
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
}

impl Add {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let path = &self.blob.blob;
        let mut outputs = self.overwrite.outputs();
        [&self.initrd, path].into_iter().try_for_each(|input| outputs.input(input))?;
        let slot = outputs.file(&self.output, FileMode::Plain)?;
        let (bytes, _) = blob::read_with_bytes(path)?;
        let initramfs = read_file_limited(&self.initrd, blob::IMAGE_MAX)?;
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("esm-blob");
        let mut joined =
            cpio::carrier(&bytes, name).or_else(|_| cpio::carrier(&bytes, "esm-blob")).map_err(unusable)?;
        joined.extend(initramfs);
        outputs.write(slot, &joined)?;
        outputs.commit(|| Ok(()))
    }
}
