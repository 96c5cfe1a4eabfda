//! The commands of `power_esmb`. Each reads all it needs, then writes once.

use std::path::Path;

use uv_power::owner::blob::{Blob, BlobError};
use uv_power::owner::digests::Digests;
use uv_power::owner::files::{FILE_LIMIT, TREE_LIMIT, check_name};
use uv_power::owner::lockbox::LockboxName;
use uv_power::owner::sealed::check_comment;
use uv_power::owner::{cpio, kernel};
use zeroize::Zeroizing;

use super::display;
use super::input::{Attachment, EsmInput};
use super::keys::{Passphrase, private_key, public_key};
use uv_programs::Failure;
use uv_programs::files::read_file_limited;
use uv_programs::outputs::{FileMode, Outputs, OverwriteArg, Slot};
use uv_programs::random::rng;

const BLOB_MAX: u64 = 16 << 20;
const YAML_MAX: u64 = 1 << 20;
const IMAGE_MAX: u64 = 2 << 30;

fn unusable(error: impl core::fmt::Display) -> Failure {
    Failure::unusable(error)
}

fn read_blob(path: &Path) -> Result<Blob, Failure> {
    Blob::parse(&read_file_limited(path, BLOB_MAX)?).map_err(|error| unusable(error).at(path.display()))
}

/// Plans the change of a blob that reads other files too.
fn change(path: &Path, inputs: &[&Path]) -> Result<(Outputs, Slot), Failure> {
    let mut outputs = Outputs::new(false);
    let slot = outputs.in_place(path)?;
    inputs.iter().try_for_each(|input| outputs.input(input))?;
    Ok((outputs, slot))
}

/// Writes a blob, and warns of what no firmware would accept.
fn write_blob((mut outputs, slot): (Outputs, Slot), path: &Path, blob: &Blob) -> Result<(), Failure> {
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

/// `make`: create, authorize each recipient, digests, attach each file.
pub(super) fn make(yaml: &Path, output: &Path, phrase: Passphrase<'_>, overwrite: OverwriteArg) -> Result<(), Failure> {
    let mut outputs = overwrite.outputs();
    outputs.input(yaml)?;
    let slot = outputs.file(output, FileMode::Plain)?;
    let text = String::from_utf8(read_file_limited(yaml, YAML_MAX)?);
    let text = text.map_err(|_| unusable("not a YAML file in UTF-8").at(yaml.display()))?;
    let input = EsmInput::parse(&text).map_err(|failure| failure.at(yaml.display()))?;
    input.paths().try_for_each(|path| outputs.input(Path::new(path)))?;
    let mut rng = rng(None)?;
    let mut blob = Blob::create(&public_key(Path::new(&input.origin.pubkey))?, &input.origin.comment, &mut rng)
        .map_err(unusable)?;
    if input.recipients.is_empty() && input.files.is_empty() {
        return write_blob((outputs, slot), output, &blob);
    }
    let owner = private_key(Path::new(&input.origin.seckey), phrase)?;
    let key = blob.unlock(&owner).map_err(|error| unusable(error).at(&input.origin.seckey))?;
    for recipient in &input.recipients {
        let public = public_key(Path::new(&recipient.pubkey))?;
        let added = blob.authorize(&public, &recipient.comment, &owner, &mut rng);
        added.map_err(|error| unusable(error).at(&recipient.pubkey))?;
    }
    let image = read_file_limited(Path::new(&input.digest.kernel), IMAGE_MAX)?;
    let flat = kernel::flatten(&image).map_err(|error| unusable(error).at(&input.digest.kernel))?;
    let initrd = read_file_limited(Path::new(&input.digest.initramfs), IMAGE_MAX)?;
    if input.digest.args.contains('\0') {
        return Err(unusable("the command line holds a NUL byte").at(yaml.display()));
    }
    let digests = Digests::measure(&flat, &initrd, &input.digest.args).map_err(unusable)?;
    blob.set_digests(&digests, &key, &input.digest.comment, &mut rng).map_err(unusable)?;
    for file in &input.files {
        let content = read_attachment(Path::new(&file.path))?;
        let name = attachment_name(file)?;
        blob.attach(name, &content, &key, &file.comment, &mut rng).map_err(|error| unusable(error).at(&file.path))?;
    }
    write_blob((outputs, slot), output, &blob)
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

fn read_attachment(path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let max = u64::try_from(FILE_LIMIT - 1).map_err(unusable)?;
    read_file_limited(path, max).map(Zeroizing::new)
}

/// `create`.
pub(super) fn create(blob: &Path, public: &Path, comment: &str, overwrite: OverwriteArg) -> Result<(), Failure> {
    let mut outputs = overwrite.outputs();
    outputs.input(public)?;
    let slot = outputs.file(blob, FileMode::Plain)?;
    check_comment(comment).map_err(unusable)?;
    let created = Blob::create(&public_key(public)?, comment, &mut rng(None)?).map_err(unusable)?;
    write_blob((outputs, slot), blob, &created)
}

/// `authorize`.
pub(super) fn authorize(
    path: &Path,
    public: &Path,
    secret: &Path,
    comment: &str,
    phrase: Passphrase<'_>,
) -> Result<(), Failure> {
    check_comment(comment).map_err(unusable)?;
    let output = change(path, &[public, secret])?;
    let mut blob = read_blob(path)?;
    let public = public_key(public)?;
    let secret = private_key(secret, phrase)?;
    let added = blob.authorize(&public, comment, &secret, &mut rng(None)?);
    added.map_err(|error| unusable(error).at(path.display()))?;
    write_blob(output, path, &blob)
}

/// `revoke`.
pub(super) fn revoke(path: &Path, public: &Path) -> Result<(), Failure> {
    let output = change(path, &[public])?;
    let mut blob = read_blob(path)?;
    blob.revoke(&public_key(public)?).map_err(|error| unusable(error).at(path.display()))?;
    write_blob(output, path, &blob)
}

/// `attach`.
pub(super) fn attach(
    path: &Path,
    file: &Path,
    name: &str,
    secret: &Path,
    comment: &str,
    phrase: Passphrase<'_>,
) -> Result<(), Failure> {
    check_name(name).map_err(unusable)?;
    check_comment(comment).map_err(unusable)?;
    let output = change(path, &[file, secret])?;
    let mut blob = read_blob(path)?;
    let content = read_attachment(file)?;
    let secret = private_key(secret, phrase)?;
    let failed = |error: BlobError| unusable(error).at(path.display());
    let key = blob.unlock(&secret).map_err(failed)?;
    blob.attach(name, &content, &key, comment, &mut rng(None)?).map_err(failed)?;
    write_blob(output, path, &blob)
}

/// `detach`: the private key shows that the caller may change the blob.
pub(super) fn detach(path: &Path, name: &str, secret: &Path, phrase: Passphrase<'_>) -> Result<(), Failure> {
    let output = change(path, &[secret])?;
    let mut blob = read_blob(path)?;
    let secret = private_key(secret, phrase)?;
    let failed = |error: BlobError| unusable(error).at(path.display());
    blob.unlock(&secret).map_err(failed)?;
    blob.detach(name).map_err(failed)?;
    write_blob(output, path, &blob)
}

/// `extract`.
pub(super) fn extract(
    path: &Path,
    name: &str,
    secret: &Path,
    output: &Path,
    phrase: Passphrase<'_>,
    overwrite: OverwriteArg,
) -> Result<(), Failure> {
    let mut outputs = overwrite.outputs();
    [path, secret].into_iter().try_for_each(|input| outputs.input(input))?;
    let slot = outputs.file(output, FileMode::Secret)?;
    let blob = read_blob(path)?;
    let secret = private_key(secret, phrase)?;
    let opened = blob.unlock(&secret).and_then(|key| blob.extract(name, &key));
    let content = opened.map_err(|error| unusable(error).at(path.display()))?;
    outputs.write(slot, &content)?;
    outputs.commit(|| Ok(()))
}

/// `display`: gives what is shown.
pub(super) fn display(path: &Path, json: bool) -> Result<String, Failure> {
    let bytes = read_file_limited(path, BLOB_MAX)?;
    let blob = Blob::parse(&bytes);
    let shown =
        blob.and_then(
            |blob| {
                if json { Ok(format!("{:#}\n", display::json(&blob, &bytes)?)) } else { display::text(&blob) }
            },
        );
    shown.map_err(|error| unusable(error).at(path.display()))
}

/// `add`.
pub(super) fn add(initrd: &Path, blob: &Path, output: &Path, overwrite: OverwriteArg) -> Result<(), Failure> {
    let mut outputs = overwrite.outputs();
    [initrd, blob].into_iter().try_for_each(|input| outputs.input(input))?;
    let slot = outputs.file(output, FileMode::Plain)?;
    let bytes = read_file_limited(blob, BLOB_MAX)?;
    Blob::parse(&bytes).map_err(|error| unusable(error).at(blob.display()))?;
    let initramfs = read_file_limited(initrd, IMAGE_MAX)?;
    let name = blob.file_name().and_then(|name| name.to_str()).unwrap_or("esm-blob");
    let mut joined = cpio::carrier(&bytes, name).or_else(|_| cpio::carrier(&bytes, "esm-blob")).map_err(unusable)?;
    joined.extend(initramfs);
    outputs.write(slot, &joined)?;
    outputs.commit(|| Ok(()))
}
