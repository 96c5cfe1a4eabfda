//! The image and the machine's key: from files, or made for the occasion.

use std::path::Path;

use rand_core::Rng as _;
use uv_programs::{Failure, files, random};
use uv_s390::guest::stage3a::BootImage;
use uv_s390::owner::crypto::HostPrivateKey;
use uv_s390::owner::image::ImageBuilder;
use uv_s390_programs::keys;

/// Largest image: 1 GiB.
const MAX_IMAGE: u64 = 1 << 30;

/// What is booted where.
pub(crate) struct Input {
    /// Where it comes from, for the reader.
    pub(crate) origin: String,
    /// The image.
    pub(crate) image: BootImage,
    /// The machine's host key.
    pub(crate) host_key: HostPrivateKey,
}

/// Reads both files.
///
/// # Errors
/// Status 2 with a sentence that names the file.
pub(crate) fn read(image: &Path, host_key: &Path) -> Result<Input, Failure> {
    let host_key = keys::read_host_private_key(host_key)?;
    let file = files::read_file_limited(image, MAX_IMAGE)?;
    let found = BootImage::find(file).map_err(|error| Failure::unusable(error).at(image.display()))?;
    Ok(Input { origin: image.display().to_string(), image: found, host_key })
}

/// Makes an image with a kernel of 1 MiB of noise, a small RAM disk and a command line, for a machine with a new key.
///
/// # Errors
/// Status 2 without random numbers.
pub(crate) fn sample() -> Result<Input, Failure> {
    let mut rng = random::rng(None)?;
    let host_key = HostPrivateKey::generate(&mut rng);
    let mut kernel = vec![0; 1 << 20];
    rng.fill_bytes(&mut kernel);
    let ramdisk = vec![0x5a; 20_000];
    let built = ImageBuilder::new(&kernel)
        .ramdisk(&ramdisk)
        .command_line(b"console=ttysclp0 quiet")
        .host_key(host_key.public())
        .skip_component_check()
        .build(&mut rng)
        .map_err(Failure::unusable)?;
    let image = BootImage::find(built.bytes).map_err(Failure::unusable)?;
    Ok(Input { origin: "a sample image with throw-away keys".into(), image, host_key })
}
