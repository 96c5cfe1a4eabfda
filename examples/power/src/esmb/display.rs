//! What `power_esmb display` shows: everything of a blob that is not sealed.

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use uv_power::owner::blob::{Blob, BlobError};
use uv_power::owner::sealed::Sealed;

/// A blob as JSON. `bytes` is the file the blob was read from. Parts that the blob has not are absent.
///
/// # Errors
/// As [`Blob::lockboxes`] and [`Blob::files`].
pub fn json(blob: &Blob, bytes: &[u8]) -> Result<Value, BlobError> {
    let mut shown = Map::new();
    shown.insert("totalsize".into(), blob.to_bytes()?.len().into());
    shown.insert("sha256".into(), sha256(bytes).into());
    let lockboxes = blob.lockboxes()?.into_iter().map(|lockbox| {
        json!({
            "name": lockbox.name.to_string(),
            "untrusted_comment": lockbox.untrusted_comment,
            "fingerprint_sha256": hex::encode(lockbox.fingerprint),
            "fingerprint_algorithm": "SHA256",
            "wrapped_len": lockbox.encrypted_symkey.len(),
            "wrapped_sha256": sha256(&lockbox.encrypted_symkey),
        })
    });
    shown.insert("lockboxes".into(), lockboxes.collect());
    if let Some(sealed) = blob.sealed_digests()? {
        let mut part = sealed_json(&sealed);
        part.insert("ciphertext_len".into(), sealed.ciphertext.len().into());
        part.insert("ciphertext_sha256".into(), sha256(&sealed.ciphertext).into());
        shown.insert("digests_fdt".into(), part.into());
    }
    if let Some(tree) = blob.tree().child("file").and_then(|node| node.value("files-fdt")) {
        let files = blob.files()?;
        let mut list = Vec::new();
        for name in files.names() {
            let sealed = files.get(name)?;
            let mut part = sealed_json(&sealed);
            part.insert("name".into(), name.into());
            part.insert("ciphertext_hex".into(), hex::encode(&sealed.ciphertext).into());
            list.push(Value::from(part));
        }
        shown.insert("files_fdt".into(), json!({ "len": tree.len(), "sha256": sha256(tree), "files": list }));
    }
    Ok(shown.into())
}

fn sealed_json(sealed: &Sealed) -> Map<String, Value> {
    let mut part = Map::new();
    part.insert("algorithm".into(), sealed.algorithm.clone().into());
    part.insert("untrusted_comment".into(), sealed.untrusted_comment.clone().into());
    part.insert("iv_hex".into(), hex::encode(&sealed.iv).into());
    part.insert("mac_hex".into(), hex::encode(&sealed.mac).into());
    part
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// A blob as text for a terminal. Comments are shown escaped: nobody has checked them.
///
/// # Errors
/// As [`Blob::lockboxes`] and [`Blob::files`].
pub fn text(blob: &Blob) -> Result<String, BlobError> {
    let mut lines = vec![format!("ESM blob, {} bytes", blob.to_bytes()?.len())];
    for lockbox in blob.lockboxes()? {
        lines.push(format!("{}:", lockbox.name));
        lines.push(format!("  untrusted comment: {:?}", lockbox.untrusted_comment));
        lines.push(format!("  key fingerprint:   SHA256 {}", hex::encode(lockbox.fingerprint)));
        lines.push(format!("  wrapped key:       {} bytes", lockbox.encrypted_symkey.len()));
    }
    match blob.sealed_digests()? {
        None => lines.push("digests: none".into()),
        Some(sealed) => {
            lines.push("digests:".into());
            lines.extend(sealed_text(&sealed));
        }
    }
    let files = blob.files()?;
    for name in files.names() {
        lines.push(format!("file {name}:"));
        lines.extend(sealed_text(&files.get(name)?));
    }
    lines.push(String::new());
    Ok(lines.join("\n"))
}

fn sealed_text(sealed: &Sealed) -> [String; 3] {
    [
        format!("  untrusted comment: {:?}", sealed.untrusted_comment),
        format!("  sealed:            {} bytes, {:?}", sealed.ciphertext.len(), sealed.algorithm),
        format!("  iv, mac:           {} {}", hex::encode(&sealed.iv), hex::encode(&sealed.mac)),
    ]
}
