//! ESM blobs: what lets a normal VM of a guest owner become a secure one on the machines the owner names.
//!
//! Who uses it: whoever builds ESM blobs and holds keys, and the ultravisor that judges them.
//!
//! A blob is a flattened device tree (power-pef §12) that carries
//!
//! * **lockboxes**: the blob's 32-byte master key, wrapped once per key that may open it,
//! * **digests**: SHA-512 of RTAS, kernel, initrd and command line, sealed with the master key,
//! * **files**: secrets for the guest (disk pass phrases), each sealed with the master key.
//!
//! | module | party | what |
//! |---|---|---|
//! | [`keys`] | both | RSA keys of owners and machines, as PEM |
//! | [`blob`] | guest owner | read, write, create, authorize, revoke |
//! | [`lockbox`] | both | one wrapped master key |
//! | [`digests`] | both | the inner tree of digests |
//! | [`files`] | both | attach and detach for the owner, [`files::FileStore`] for the ultravisor |
//! | [`kernel`] | guest owner | the flat image the kernel digest covers |
//! | [`cpio`] | both | carrier in front of an initramfs: writer, and the firmware's scanner |
//! | [`verify`] | ultravisor | the checks of `UV_ESM`, in the firmware's order |
//! | [`tree`], [`sealed`] | both | the containers below all of these |
//!
//! No reader in here panics or allocates by an unchecked length, whatever the bytes.

pub mod blob;
pub mod cpio;
pub mod digests;
pub mod files;
pub mod kernel;
pub mod keys;
pub mod lockbox;
pub mod sealed;
pub mod tree;
pub mod verify;

#[cfg(test)]
pub(crate) mod samples;
