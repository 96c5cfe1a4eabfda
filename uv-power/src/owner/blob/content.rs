//! What a blob carries beside its lockboxes: digests and files.

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use alloc::vec::Vec;

use super::super::digests::Digests;
use super::super::files::Files;
use super::super::sealed::{MasterKey, Sealed};
use super::super::tree::Property;
use super::{Blob, BlobError};

const DIGESTS: &str = "digests-fdt";
const FILES: &str = "files-fdt";

impl Blob {
    /// The digests as stored; `None` if none were set.
    ///
    /// # Errors
    /// [`BlobError::Sealed`] if a property is missing.
    pub fn sealed_digests(&self) -> Result<Option<Sealed>, BlobError> {
        let node = self.root.find("/digest").and_then(|node| node.child(DIGESTS));
        node.map(Sealed::from_node).transpose().map_err(|error| BlobError::Sealed(DIGESTS, error))
    }

    /// The digests, opened.
    ///
    /// # Errors
    /// [`BlobError::Sealed`], [`BlobError::Digests`].
    pub fn digests(&self, key: &MasterKey) -> Result<Option<Digests>, BlobError> {
        let Some(sealed) = self.sealed_digests()? else {
            return Ok(None);
        };
        let plain = sealed.open(key).map_err(|error| BlobError::Sealed(DIGESTS, error))?;
        Ok(Some(Digests::parse(&plain)?))
    }

    /// Seals digests into the blob, in place of earlier ones.
    ///
    /// # Errors
    /// [`BlobError::Comment`].
    pub fn set_digests<R: CryptoRng + ?Sized>(
        &mut self,
        digests: &Digests,
        key: &MasterKey,
        comment: &str,
        rng: &mut R,
    ) -> Result<(), BlobError> {
        let sealed = Sealed::seal(key, &digests.to_bytes()?, comment, rng)?;
        let parent = self.root.child_mut("digest").ok_or(BlobError::Missing("/digest"))?;
        parent.children.retain(|child| child.name != DIGESTS);
        parent.children.insert(0, sealed.to_node(DIGESTS));
        Ok(())
    }

    /// The attached files, each still sealed. No files-fdt reads as no files.
    ///
    /// # Errors
    /// [`BlobError::Files`] if the inner tree is malformed.
    pub fn files(&self) -> Result<Files, BlobError> {
        match self.root.find("/file").and_then(|node| node.value(FILES)) {
            None => Ok(Files::default()),
            Some(bytes) => Ok(Files::parse(bytes)?),
        }
    }

    /// Attaches `plaintext` under `name`, in front of earlier files.
    ///
    /// # Errors
    /// [`BlobError::Files`]: a name that the rule refuses or that is in use, or more data than an ultravisor serves;
    /// [`BlobError::Comment`].
    pub fn attach<R: CryptoRng + ?Sized>(
        &mut self,
        name: &str,
        plaintext: &[u8],
        key: &MasterKey,
        comment: &str,
        rng: &mut R,
    ) -> Result<(), BlobError> {
        let mut files = self.files()?;
        files.attach(name, plaintext, key, comment, rng)?;
        self.set_files(&files)
    }

    /// Removes an attached file. The last one leaves an empty files-fdt, as the format's own tool does.
    ///
    /// # Errors
    /// [`BlobError::Files`] if no file has this name.
    pub fn detach(&mut self, name: &str) -> Result<(), BlobError> {
        let mut files = self.files()?;
        files.detach(name)?;
        self.set_files(&files)
    }

    /// Opens an attached file.
    ///
    /// # Errors
    /// [`BlobError::Files`] if no file has this name, or it does not open with this key.
    pub fn extract(&self, name: &str, key: &MasterKey) -> Result<Zeroizing<Vec<u8>>, BlobError> {
        Ok(self.files()?.extract(name, key)?)
    }

    fn set_files(&mut self, files: &Files) -> Result<(), BlobError> {
        let bytes = files.to_bytes()?;
        let parent = self.root.child_mut("file").ok_or(BlobError::Missing("/file"))?;
        parent.set(Property::new(FILES, bytes));
        Ok(())
    }
}
