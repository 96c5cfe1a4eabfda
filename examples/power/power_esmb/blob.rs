//! Blobs in files. Each command reads all it needs, then writes once.

use std::path::Path;

use uv_power::owner::blob::{Blob, BlobError};
use uv_power::owner::files::TREE_LIMIT;
use uv_power::owner::lockbox::LockboxName;
use uv_programs::Failure;
use uv_programs::files::read_file_limited;
use uv_programs::outputs::{Outputs, Slot};

use crate::unusable;

const BLOB_MAX: u64 = 16 << 20;
/// Largest kernel or initramfs: 2 GiB.
pub(crate) const IMAGE_MAX: u64 = 2 << 30;

/// The bytes of a blob, and the blob.
pub(crate) fn read_with_bytes(path: &Path) -> Result<(Vec<u8>, Blob), Failure> {
    let bytes = read_file_limited(path, BLOB_MAX)?;
    let blob = Blob::parse(&bytes).map_err(|error| unusable(error).at(path.display()))?;
    Ok((bytes, blob))
}

pub(crate) fn read(path: &Path) -> Result<Blob, Failure> {
    read_with_bytes(path).map(|(_, blob)| blob)
}

/// Plans the change of a blob that reads other files too.
pub(crate) fn change(path: &Path, inputs: &[&Path]) -> Result<(Outputs, Slot), Failure> {
    let mut outputs = Outputs::new(false);
    let slot = outputs.in_place(path)?;
    inputs.iter().try_for_each(|input| outputs.input(input))?;
    Ok((outputs, slot))
}

/// Writes a blob, and warns of what no firmware would accept.
pub(crate) fn write((mut outputs, slot): (Outputs, Slot), path: &Path, blob: &Blob) -> Result<(), Failure> {
    let failed = |error: BlobError| unusable(error).at(path.display());
    let bytes = blob.to_bytes().map_err(failed)?;
    let lockboxes = blob.lockboxes().map_err(failed)?;
    let files = blob.files().and_then(|files| Ok(files.to_bytes()?)).map_err(failed)?;
    outputs.write(slot, &bytes)?;
    outputs.commit(|| Ok(()))?;
    let name = path.display();
    if lockboxes.len() > 1 && !lockboxes.iter().any(|lockbox| lockbox.name == LockboxName::FIRST) {
        eprintln!("warning: {name} has no lockbox-1: published firmware opens no other");
    }
    if files.len() > TREE_LIMIT {
        eprintln!(
            "warning: the files in {name} take more than {TREE_LIMIT} bytes: published firmware has no room for them"
        );
    }
    Ok(())
}
