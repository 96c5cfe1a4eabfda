//! Which trees are ESM blobs (power-pef §12.2).
//!
//! | node | properties | children |
//! |---|---|---|
//! | `/` | `compatible`, and no other | `lockboxes`, `digest`, `file`, and no other |
//! | `/lockboxes` | any | `origin-lockbox`, and lockboxes |
//! | a lockbox | `encrypted-symkey` and `untrusted-comment`, and no other | `pubkey-fingerprint`, and no other |
//! | its fingerprint | `algorithm` (SHA256) and `hash`, and no other | any |
//! | `/digest` | any | any |
//! | `/file` | any | names by the rule of files, each with the five properties of a sealed value, and no other |
//!
//! A node that stands twice is refused here and not by the tool, which does not see the second one.

use super::super::files::{FilesError, check_name};
use super::super::lockbox::LockboxName;
use super::super::sealed::SealedError;
use super::super::tree::COMPATIBLE;
use super::super::tree::Node;
use super::{Blob, BlobError};

/// Properties of a child of `/file`.
const SEALED: [&str; 5] = ["algorithm", "ciphertext", "iv", "mac", "untrusted-comment"];

impl Blob {
    pub(super) fn check(&self) -> Result<(), BlobError> {
        if self.root.text("compatible") != Some(COMPATIBLE) {
            return Err(BlobError::Foreign);
        }
        if let Some(other) = self.root.properties.iter().find(|property| property.name != "compatible") {
            return Err(BlobError::UnknownProperty(other.name.clone()));
        }
        for node in &self.root.children {
            if !["lockboxes", "digest", "file"].contains(&node.name.as_str()) {
                return Err(BlobError::Unknown(node.name.clone()));
            }
        }
        for (name, what) in [("lockboxes", "/lockboxes"), ("digest", "/digest"), ("file", "/file")] {
            match self.root.children.iter().filter(|node| node.name == name).count() {
                0 => return Err(BlobError::Missing(what)),
                1 => {}
                _ => return Err(BlobError::Twice(name.into())),
            }
        }
        let nodes = self.root.child("lockboxes").map_or(&[][..], |node| &node.children);
        for (at, node) in nodes.iter().enumerate() {
            if nodes[..at].iter().any(|other| other.name == node.name) {
                return Err(BlobError::Twice(alloc::format!("lockboxes/{}", node.name)));
            }
        }
        if !self.lockboxes()?.iter().any(|lockbox| lockbox.name == LockboxName::Origin) {
            return Err(BlobError::Missing("origin-lockbox"));
        }
        let files = self.root.child("file").map_or(&[][..], |node| &node.children);
        files.iter().try_for_each(check_file)
    }
}

/// A child of `/file`: where early tools put attachments.
fn check_file(node: &Node) -> Result<(), BlobError> {
    check_name(&node.name)?;
    if let Some(other) = node.properties.iter().find(|property| !SEALED.contains(&property.name.as_str())) {
        return Err(BlobError::UnknownProperty(alloc::format!("file/{}/{}", node.name, other.name)));
    }
    match SEALED.into_iter().find(|name| node.value(name).is_none()) {
        Some(missing) => Err(FilesError::Sealed(node.name.clone(), SealedError::Property(missing)).into()),
        None => Ok(()),
    }
}
