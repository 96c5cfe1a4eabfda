//! `test`: is there a key slot for a machine?

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use uv_programs::Failure;
use uv_programs::files::read_file_limited;
use uv_programs::output::print;
use uv_s390::owner::image::KeyHashes;
use uv_s390_programs::keys::read_document;

use crate::header_of;

/// Where a machine shows its host key hashes to its guests.
const KEY_HASHES: &str = "/sys/firmware/uv/keys/all";

/// Options of `test`.
#[derive(Args, Debug)]
pub(crate) struct Test {
    /// Host-key document of a machine; may be given more than once, one match is enough
    #[arg(short = 'k', long = "host-key-document", value_name = "CERT", required_unless_present = "key_hashes")]
    host_key_documents: Vec<PathBuf>,
    /// File with the 15 host key hashes of a machine
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = KEY_HASHES)]
    key_hashes: Option<PathBuf>,
    /// Image, or bare header
    image: PathBuf,
}

impl Test {
    /// Prints what was found; status 1 if the image cannot start on the machine.
    pub(crate) fn run(&self) -> Result<ExitCode, Failure> {
        let header = header_of(&self.image)?;
        let mut passed = true;
        if !self.host_key_documents.is_empty() {
            let mut any = false;
            for path in &self.host_key_documents {
                let found = header.has_slot_for(&read_document(path)?.public_key().phkh());
                print(&format!("{}: {}", path.display(), if found { "has a key slot" } else { "has no key slot" }))?;
                any |= found;
            }
            passed &= any;
        }
        if let Some(path) = &self.key_hashes {
            let text = read_file_limited(path, 1 << 16)?;
            let hashes = KeyHashes::parse(&text).map_err(|error| Failure::unusable(error).at(path.display()))?;
            let found = hashes.any_in(&header);
            print(&format!("{}: {}", path.display(), if found { "has a key slot" } else { "has no key slot" }))?;
            passed &= found;
        }
        Ok(if passed { ExitCode::SUCCESS } else { ExitCode::from(Failure::REFUSED) })
    }
}
