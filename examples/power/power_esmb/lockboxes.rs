//! `create`, `authorize` and `revoke`: who can open a blob.

use clap::Args;
use uv_power::owner::blob::Blob;
use uv_power::owner::sealed::check_comment;
use uv_programs::Failure;
use uv_programs::outputs::{FileMode, OverwriteArg};
use uv_programs::random::rng;

use crate::keys::{Passphrase, private_key, public_key};
use crate::{BlobArg, CommentArg, PublicArg, SecretArg, blob, unusable};

#[derive(Debug, Args)]
pub(crate) struct Create {
    #[command(flatten)]
    blob: BlobArg,
    #[command(flatten)]
    public: PublicArg,
    #[command(flatten)]
    comment: CommentArg,
    #[command(flatten)]
    overwrite: OverwriteArg,
}

impl Create {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let (path, public, comment) = (&self.blob.blob, &self.public.pubkey, &self.comment.comment);
        let mut outputs = self.overwrite.outputs();
        outputs.input(public)?;
        let slot = outputs.file(path, FileMode::Plain)?;
        check_comment(comment).map_err(unusable)?;
        let created = Blob::create(&public_key(public)?, comment, &mut rng(None)?).map_err(unusable)?;
        blob::write((outputs, slot), path, &created)
    }
}

#[derive(Debug, Args)]
pub(crate) struct Authorize {
    #[command(flatten)]
    blob: BlobArg,
    #[command(flatten)]
    public: PublicArg,
    #[command(flatten)]
    secret: SecretArg,
    #[command(flatten)]
    comment: CommentArg,
}

impl Authorize {
    pub(crate) fn run(self, phrase: Passphrase<'_>) -> Result<(), Failure> {
        let (path, public, secret) = (&self.blob.blob, &self.public.pubkey, &self.secret.seckey);
        let comment = &self.comment.comment;
        check_comment(comment).map_err(unusable)?;
        let output = blob::change(path, &[public, secret])?;
        let mut blob = blob::read(path)?;
        let public = public_key(public)?;
        let secret = private_key(secret, phrase)?;
        let added = blob.authorize(&public, comment, &secret, &mut rng(None)?);
        added.map_err(|error| unusable(error).at(path.display()))?;
        blob::write(output, path, &blob)
    }
}

#[derive(Debug, Args)]
pub(crate) struct Revoke {
    #[command(flatten)]
    blob: BlobArg,
    #[command(flatten)]
    public: PublicArg,
}

impl Revoke {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let (path, public) = (&self.blob.blob, &self.public.pubkey);
        let output = blob::change(path, &[public])?;
        let mut blob = blob::read(path)?;
        blob.revoke(&public_key(public)?).map_err(|error| unusable(error).at(path.display()))?;
        blob::write(output, path, &blob)
    }
}
