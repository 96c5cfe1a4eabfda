//! `make`: create, authorize each recipient, digests, attach each file.

use std::path::{Path, PathBuf};

use clap::Args;
use uv_power::owner::blob::Blob;
use uv_power::owner::digests::Digests;
use uv_power::owner::kernel;
use uv_power_programs::esmb::input::{Attachment, EsmInput};
use uv_programs::Failure;
use uv_programs::files::read_file_limited;
use uv_programs::outputs::{FileMode, OverwriteArg};
use uv_programs::random::rng;

use crate::keys::{Passphrase, private_key, public_key};
use crate::{blob, files, unusable};

const YAML_MAX: u64 = 1 << 20;

#[derive(Debug, Args)]
pub(crate) struct Make {
    /// The YAML file
    #[arg(short, long)]
    yaml: PathBuf,
    /// The blob to write
    #[arg(short, long, short_alias = 'b', alias = "out")]
    output: PathBuf,
    #[command(flatten)]
    overwrite: OverwriteArg,
}

impl Make {
    pub(crate) fn run(self, phrase: Passphrase<'_>) -> Result<(), Failure> {
        let (yaml, output) = (self.yaml.as_path(), self.output.as_path());
        let mut outputs = self.overwrite.outputs();
        outputs.input(yaml)?;
        let slot = outputs.file(output, FileMode::Plain)?;
        let text = String::from_utf8(read_file_limited(yaml, YAML_MAX)?);
        let text = text.map_err(|_| unusable("not a YAML file in UTF-8").at(yaml.display()))?;
        let input = EsmInput::parse(&text).map_err(|failure| failure.at(yaml.display()))?;
        input.paths().try_for_each(|path| outputs.input(Path::new(path)))?;
        let mut rng = rng(None)?;
        let mut made = Blob::create(&public_key(Path::new(&input.origin.pubkey))?, &input.origin.comment, &mut rng)
            .map_err(unusable)?;
        if input.recipients.is_empty() && input.files.is_empty() {
            return blob::write((outputs, slot), output, &made);
        }
        let owner = private_key(Path::new(&input.origin.seckey), phrase)?;
        let key = made.unlock(&owner).map_err(|error| unusable(error).at(&input.origin.seckey))?;
        for recipient in &input.recipients {
            let public = public_key(Path::new(&recipient.pubkey))?;
            let added = made.authorize(&public, &recipient.comment, &owner, &mut rng);
            added.map_err(|error| unusable(error).at(&recipient.pubkey))?;
        }
        let image = read_file_limited(Path::new(&input.digest.kernel), blob::IMAGE_MAX)?;
        let flat = kernel::flatten(&image).map_err(|error| unusable(error).at(&input.digest.kernel))?;
        let initrd = read_file_limited(Path::new(&input.digest.initramfs), blob::IMAGE_MAX)?;
        if input.digest.args.contains('\0') {
            return Err(unusable("the command line holds a NUL byte").at(yaml.display()));
        }
        let digests = Digests::measure(&flat, &initrd, &input.digest.args).map_err(unusable)?;
        made.set_digests(&digests, &key, &input.digest.comment, &mut rng).map_err(unusable)?;
        for file in &input.files {
            let content = files::read_attachment(Path::new(&file.path))?;
            let name = attachment_name(file)?;
            made.attach(name, &content, &key, &file.comment, &mut rng)
                .map_err(|error| unusable(error).at(&file.path))?;
        }
        blob::write((outputs, slot), output, &made)
    }
}

fn attachment_name(file: &Attachment) -> Result<&str, Failure> {
    match &file.name {
        Some(name) => Ok(name),
        None => Path::new(&file.path)
            .file_name()
            .and_then(|name| name.to_str())
            .ok_or_else(|| unusable("the path has no file name").at(&file.path)),
    }
}
