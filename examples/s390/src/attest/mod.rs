//! What `examples/s390_attest.rs` does: each subcommand in a file.
//!
//! Exit status of the program: 0 done or verified; 2 the measurement differs; 1 everything else, as the real tool has it. Where the subcommands' own documents say status 2 for
//! what cannot be used, the program ends with 1.

mod create;
mod perform;
mod verify;

use std::path::Path;

use uv_s390::owner::image::read_header;
use uv_s390::owner::request::ImageIdentity;

use uv_programs::Failure;

pub use create::Create;
pub use perform::{Perform, measure};
pub use verify::Verify;

/// Largest request or response file.
const MAX_FILE: u64 = 4 << 20;

/// Reads what identifies an image: from the image, or from a bare header.
///
/// # Errors
/// Status 2 if there is no SE header in the first MiB.
pub fn read_identity(path: &Path) -> Result<ImageIdentity, Failure> {
    use std::io::Read as _;
    let at = |failure: Failure| failure.at(path.display());
    let cannot = |error: std::io::Error| at(Failure::unusable(format_args!("cannot be read: {error}")));
    let mut head = Vec::new();
    std::fs::File::open(path).map_err(cannot)?.take(1 << 20).read_to_end(&mut head).map_err(cannot)?;
    let (_, header) = read_header(&head).map_err(|error| at(Failure::unusable(error)))?;
    ImageIdentity::from_header(header.as_bytes()).map_err(|error| at(Failure::unusable(error)))
}
