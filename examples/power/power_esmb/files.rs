//! `attach`, `detach` and `extract`: the files in a blob.

use std::path::{Path, PathBuf};

use clap::Args;
use uv_power::owner::files::{FILE_LIMIT, check_name};
use uv_power::owner::sealed::check_comment;
use uv_programs::Failure;
use uv_programs::files::read_file_limited;
use uv_programs::outputs::{FileMode, OverwriteArg};
use uv_programs::random::rng;
use zeroize::Zeroizing;

use crate::keys::{Passphrase, unlock};
use crate::{BlobArg, CommentArg, NameArg, SecretArg, blob, unusable};

/// Reads a file that is to be attached.
pub(crate) fn read_attachment(path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let max = u64::try_from(FILE_LIMIT - 1).map_err(unusable)?;
    read_file_limited(path, max).map(Zeroizing::new)
}

#[derive(Debug, Args)]
pub(crate) struct Attach {
    #[command(flatten)]
    blob: BlobArg,
    /// The file to attach, at most 65535 bytes
    #[arg(short, long)]
    file: PathBuf,
    #[command(flatten)]
    name: NameArg,
    #[command(flatten)]
    secret: SecretArg,
    #[command(flatten)]
    comment: CommentArg,
}

impl Attach {
    pub(crate) fn run(self, phrase: Passphrase<'_>) -> Result<(), Failure> {
        let (path, name, comment) = (&self.blob.blob, &self.name.name, &self.comment.comment);
        check_name(name).map_err(unusable)?;
        check_comment(comment).map_err(unusable)?;
        let output = blob::change(path, &[&self.file, &self.secret.seckey])?;
        let mut blob = blob::read(path)?;
        let content = read_attachment(&self.file)?;
        let key = unlock(&blob, path, &self.secret.seckey, phrase)?;
        let attached = blob.attach(name, &content, &key, comment, &mut rng(None)?);
        attached.map_err(|error| unusable(error).at(path.display()))?;
        blob::write(output, path, &blob)
    }
}

#[derive(Debug, Args)]
pub(crate) struct Detach {
    #[command(flatten)]
    blob: BlobArg,
    #[command(flatten)]
    name: NameArg,
    #[command(flatten)]
    secret: SecretArg,
}

impl Detach {
    /// The private key shows that the caller may change the blob.
    pub(crate) fn run(self, phrase: Passphrase<'_>) -> Result<(), Failure> {
        let path = &self.blob.blob;
        let output = blob::change(path, &[&self.secret.seckey])?;
        let mut blob = blob::read(path)?;
        unlock(&blob, path, &self.secret.seckey, phrase)?;
        blob.detach(&self.name.name).map_err(|error| unusable(error).at(path.display()))?;
        blob::write(output, path, &blob)
    }
}

#[derive(Debug, Args)]
pub(crate) struct Extract {
    #[command(flatten)]
    blob: BlobArg,
    #[command(flatten)]
    name: NameArg,
    #[command(flatten)]
    secret: SecretArg,
    /// Where to write its content, readable by you only
    #[arg(short, long, alias = "out")]
    output: PathBuf,
    #[command(flatten)]
    overwrite: OverwriteArg,
}

impl Extract {
    pub(crate) fn run(self, phrase: Passphrase<'_>) -> Result<(), Failure> {
        let (path, secret) = (&self.blob.blob, &self.secret.seckey);
        let mut outputs = self.overwrite.outputs();
        [path, secret].into_iter().try_for_each(|input| outputs.input(input))?;
        let slot = outputs.file(&self.output, FileMode::Secret)?;
        let blob = blob::read(path)?;
        let key = unlock(&blob, path, secret, phrase)?;
        let content = blob.extract(&self.name.name, &key).map_err(|error| unusable(error).at(path.display()))?;
        outputs.write(slot, &content)?;
        outputs.commit(|| Ok(()))
    }
}
