//! The checks an ultravisor makes of a blob before it makes a VM secure (power-pef §13 steps 5–12).
//!
//! Who uses it: the ultravisor; an owner who wants to know what a machine will say.
//!
//! Pure functions: the caller has brought everything in from normal memory. [`open`] needs the blob and the machine's
//! key; [`Opened::kernel_size`] then says how much of the kernel to bring in; [`Opened::check`] compares. Who does not hold the machine's key
//! takes [`open`] apart: [`read`], [`Unopened::candidates`], what the TPM makes of one of them, [`Unopened::open`].
//!
//! Everything that is refused here ends the transition with `H_SVM_INIT_ABORT` (§7.4); [`Refusal`] says why.
//!
//! | point | [`Profile::Documented`] | [`Profile::Firmware`] |
//! |---|---|---|
//! | which lockbox (§18 row 30) | the one whose fingerprint names the machine's key, else the first that opens | `lockbox-1`, fingerprint not looked at |
//! | length of the unwrapped key | 32 | 16, 24 or 32 |
//! | tag of the sealed digests | 8 to 16 bytes | 4 to 16 bytes |
//! | digest properties | 64 bytes | 64 or more, the first 64 count |
//! | files tree | any length | at most 64 KiB, the page it is kept in |
//!
//! The fingerprint is a hint, not a proof: it is not protected, and a key that does not fit does not open. The text that names the
//! cipher must exist in both and is not compared: the tag tells whether it was this cipher. A tag of less than 8 bytes is
//! less than any use of the cipher allows. The iv may have any length but 0 in both. Sealed digests of more than 4096 bytes are refused in both, where firmware
//! would write beyond its buffer.

mod refusal;

use alloc::vec::Vec;

use zeroize::Zeroizing;

use super::digests::{self, DIGEST, Sha512Digest};
use super::files::{FileStore, TREE_LIMIT};
use super::keys::{PrivateKey, PublicKey};
use super::lockbox::LockboxName;
use super::sealed::{self, GcmError};
use super::tree::Node;
use crate::abi::profile::Profile;
pub use refusal::{Part, Refusal};

/// Firmware's buffer for the opened digests.
const DIGESTS_MAX: usize = 4096;
/// Shortest tag in the documented profile, in bytes.
const DOCUMENTED_TAG: usize = 8;
/// Node of a lockbox that names its key.
const FINGERPRINT: &str = "pubkey-fingerprint";
/// What a lockbox holds.
const WRAPPED: &str = "encrypted-symkey";

/// What the ultravisor found in the VM's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measured {
    /// Over `slof,rtas-size` bytes at `linux,rtas-base`.
    pub rtas: Sha512Digest,
    /// Over [`Opened::kernel_size`] bytes at the kernel's base.
    pub kernel: Sha512Digest,
    /// Over the initramfs, after an archive that carries the blob.
    pub initrd: Sha512Digest,
    /// Over the property `bootargs` of `/chosen` without its last byte; see [`Measured::bootargs`].
    pub bootargs: Sha512Digest,
}

impl Measured {
    /// Measures the property `bootargs`: all but its last byte, whatever that is.
    ///
    /// A property of no bytes counts as one of an empty text; firmware would compute a negative length.
    #[must_use]
    pub fn bootargs(property: &[u8]) -> Sha512Digest {
        Sha512Digest::of(property.split_last().map_or(&[], |(_, text)| text))
    }

    const fn part(&self, part: Part) -> &Sha512Digest {
        match part {
            Part::Rtas => &self.rtas,
            Part::Kernel => &self.kernel,
            Part::Initrd => &self.initrd,
            Part::Bootargs => &self.bootargs,
        }
    }
}

/// A blob that this machine could open.
#[derive(Debug, Clone)]
pub struct Opened {
    profile: Profile,
    digests: Node,
    kernel_size: u32,
    files: FileStore,
}

/// A blob that was read and not opened yet: step 5.
#[derive(Debug, Clone)]
pub struct Unopened {
    profile: Profile,
    root: Node,
}

/// The wrapped keys that may be this machine's, in the order in which they are to be tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidates<'a> {
    /// What the lockboxes hold.
    pub wrapped: Vec<&'a [u8]>,
    /// What it means when none of them opens.
    pub none_opens: Refusal,
}

/// Reads a blob.
///
/// `blob` may be longer than the tree in it, as a cpio member or a device tree range can be.
///
/// # Errors
/// [`Refusal::Blob`], [`Refusal::FilesLength`].
pub fn read(profile: Profile, blob: &[u8]) -> Result<Unopened, Refusal> {
    let root = Node::parse(blob).map_err(Refusal::Blob)?;
    let unopened = Unopened { profile, root };
    match unopened.files() {
        Some(tree) if profile == Profile::Firmware && tree.len() > TREE_LIMIT => Err(Refusal::FilesLength(tree.len())),
        _ => Ok(unopened),
    }
}

/// Opens a blob with the machine's key: [`read`], [`Unopened::candidates`] and [`Unopened::open`] for who holds the key.
///
/// # Errors
/// [`Refusal`], all but [`Refusal::Mismatch`].
pub fn open(profile: Profile, blob: &[u8], machine: &PrivateKey) -> Result<Opened, Refusal> {
    let unopened = read(profile, blob)?;
    let key = unopened.unwrap(machine)?;
    unopened.open(&key)
}

impl Unopened {
    fn files(&self) -> Option<&[u8]> {
        self.root.find("/file").and_then(|node| node.value("files-fdt"))
    }

    /// Which lockboxes are to be tried for this machine. Firmware: `lockbox-1`. Documented: the one that names the key, or all.
    ///
    /// # Errors
    /// [`Refusal::NoLockbox`], [`Refusal::NoWrappedKey`].
    pub fn candidates(&self, machine: &PublicKey) -> Result<Candidates<'_>, Refusal> {
        let lockboxes = self.root.child("lockboxes").ok_or(Refusal::NoLockbox)?;
        let is_named = |lockbox: &&Node| {
            let hash = lockbox.child(FINGERPRINT).and_then(|node| node.value("hash"));
            hash.is_some_and(|hash| machine.is_named_by(hash))
        };
        let one = match self.profile {
            Profile::Firmware => {
                let first = alloc::format!("{}", LockboxName::FIRST);
                Some(lockboxes.child(&first).ok_or(Refusal::NoLockbox)?)
            }
            Profile::Documented => lockboxes.children.iter().find(is_named),
        };
        match one {
            Some(lockbox) => {
                let key = lockbox.value(WRAPPED).ok_or(Refusal::NoWrappedKey)?;
                Ok(Candidates { wrapped: Vec::from([key]), none_opens: Refusal::Unwrap })
            }
            None => Ok(Candidates {
                wrapped: lockboxes.children.iter().filter_map(|lockbox| lockbox.value(WRAPPED)).collect(),
                none_opens: Refusal::NoLockbox,
            }),
        }
    }

    /// The blob's key, unwrapped with the machine's: step 6 where the machine's key is at hand.
    ///
    /// # Errors
    /// Those of [`Unopened::candidates`]; [`Refusal::Unwrap`] or [`Refusal::NoLockbox`] when none opens.
    pub fn unwrap(&self, machine: &PrivateKey) -> Result<Zeroizing<Vec<u8>>, Refusal> {
        let Candidates { wrapped, none_opens } = self.candidates(machine.public())?;
        wrapped.into_iter().find_map(|wrapped| machine.unwrap(wrapped).ok()).ok_or(none_opens)
    }

    /// Opens the blob with its key, as a lockbox held it: step 7, and the kernel's size out of step 9.
    ///
    /// # Errors
    /// [`Refusal::KeyLength`] and all that speak of digests and kernel.
    pub fn open(&self, key: &[u8]) -> Result<Opened, Refusal> {
        let profile = self.profile;
        if !matches!((profile, key.len()), (_, 32) | (Profile::Firmware, 16 | 24)) {
            return Err(Refusal::KeyLength(key.len()));
        }
        let plain = open_digests(profile, &self.root, key)?;
        let inner = Node::parse(&plain).map_err(Refusal::InnerTree)?;
        let digests = inner.child(digests::NODE).ok_or(Refusal::NoInnerNode)?.clone();
        let size = digests.value("kernel-size").and_then(|value| value.try_into().ok());
        let kernel_size = u32::from_be_bytes(size.ok_or(Refusal::KernelProperty("kernel-size"))?);
        digests.value(Part::Kernel.name()).ok_or(Refusal::KernelProperty("kernel"))?;
        tracing::debug!(profile = profile.name(), kernel_size, "esm blob opened");
        Ok(Opened { profile, digests, kernel_size, files: FileStore::new(profile, self.files(), key) })
    }
}

fn open_digests(profile: Profile, root: &Node, key: &[u8]) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    let node = root.find("/digest/digests-fdt").ok_or(Refusal::NoDigests)?;
    let value = |name: &'static str| node.value(name).ok_or(Refusal::DigestsProperty(name));
    value("algorithm")?;
    let (iv, mac, ciphertext) = (value("iv")?, value("mac")?, value("ciphertext")?);
    if profile == Profile::Documented && mac.len() < DOCUMENTED_TAG {
        return Err(Refusal::DigestsProperty("mac"));
    }
    if ciphertext.len() > DIGESTS_MAX {
        return Err(Refusal::DigestsLength(ciphertext.len()));
    }
    sealed::open(key, iv, ciphertext, mac).map_err(|error| match error {
        GcmError::EmptyIv => Refusal::DigestsProperty("iv"),
        GcmError::TagLength(_) => Refusal::DigestsProperty("mac"),
        GcmError::KeyLength(length) => Refusal::KeyLength(length),
        GcmError::TooLong(length) => Refusal::DigestsLength(length),
        GcmError::TagMismatch => Refusal::DigestsTag,
    })
}

impl Opened {
    /// Bytes of the kernel, from its base, that its digest covers. Chosen by the blob's owner: up to 4 GiB.
    #[must_use]
    pub const fn kernel_size(&self) -> u32 {
        self.kernel_size
    }

    /// Compares what was found with what the owner measured: steps 8 to 12.
    ///
    /// All parts are compared before the verdict, as firmware counts them. Gives what is kept for
    /// `UV_ESMB_GET_FILE`; everything else of the blob is forgotten.
    ///
    /// # Errors
    /// [`Refusal::Mismatch`] with every part that differs or has no usable digest.
    pub fn check(self, found: &Measured) -> Result<FileStore, Refusal> {
        let differs = |part: &Part| !self.expects(*part, found.part(*part));
        let wrong: Vec<_> = Part::ALL.into_iter().filter(differs).collect();
        if wrong.is_empty() { Ok(self.files) } else { Err(Refusal::Mismatch(wrong)) }
    }

    fn expects(&self, part: Part, found: &Sha512Digest) -> bool {
        let Some(expected) = self.digests.value(part.name()) else {
            return false;
        };
        match self.profile {
            Profile::Documented => expected == found.0,
            Profile::Firmware => expected.get(..DIGEST) == Some(&found.0),
        }
    }
}

#[cfg(test)]
mod tests;
