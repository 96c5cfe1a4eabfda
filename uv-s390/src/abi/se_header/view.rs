//! The plain part of a header, before anything about it is known to be right.

use zerocopy::FromBytes;

use super::error::HeaderError;
use super::flags::PlaintextControlFlags;
use super::layout::{FixedPart, HeaderFormat, MAGIC, MAX_SIZE};

/// Bytes that are claimed to be one SE header, with each check callable alone.
///
/// The order in which a machine makes these checks belongs to the machine; [`check`](Self::check) is
/// the order of this library's readers.
#[derive(Clone, Copy, Debug)]
pub struct HeaderView<'a> {
    fixed: &'a FixedPart,
    length: usize,
}

impl<'a> HeaderView<'a> {
    /// Views `bytes` as an SE header that fills them exactly.
    ///
    /// # Errors
    /// [`HeaderError::TooShort`] if the fixed part (416 bytes) is not there; nothing else is looked at.
    pub fn new(bytes: &'a [u8]) -> Result<Self, HeaderError> {
        let (fixed, _) = FixedPart::ref_from_prefix(bytes).map_err(|_| HeaderError::TooShort(bytes.len()))?;
        Ok(Self { fixed, length: bytes.len() })
    }

    /// The fields of the fixed part as they are.
    #[must_use]
    pub fn fixed(&self) -> &'a FixedPart {
        self.fixed
    }

    /// Checks the magic.
    ///
    /// # Errors
    /// [`HeaderError::Magic`].
    pub fn check_magic(&self) -> Result<(), HeaderError> {
        if self.fixed.magic == MAGIC { Ok(()) } else { Err(HeaderError::Magic(self.fixed.magic)) }
    }

    /// Checks the version and gives the sizes that it implies.
    ///
    /// # Errors
    /// [`HeaderError::Version`] (0104/0001).
    pub fn check_version(&self) -> Result<HeaderFormat, HeaderError> {
        let version = self.fixed.version();
        version.format().ok_or(HeaderError::Version(version))
    }

    /// Checks that there is a key slot.
    ///
    /// # Errors
    /// [`HeaderError::NoSlots`] (010a/0040).
    pub fn check_slots(&self) -> Result<(), HeaderError> {
        if self.fixed.slot_count.get() == 0 { Err(HeaderError::NoSlots) } else { Ok(()) }
    }

    /// Checks the size of the encrypted area against the version's.
    ///
    /// # Errors
    /// [`HeaderError::EncryptedSize`] (010a/0039), or that of [`check_version`](Self::check_version).
    pub fn check_encrypted_size(&self) -> Result<(), HeaderError> {
        let format = self.check_version()?;
        let size = self.fixed.encrypted_size.get();
        if usize::try_from(size) == Ok(format.encrypted_size) { Ok(()) } else { Err(HeaderError::EncryptedSize(size)) }
    }

    /// Checks the stated size: at most [`MAX_SIZE`], what the number of key slots gives, and exactly
    /// the bytes that are there.
    ///
    /// # Errors
    /// [`HeaderError::TooLarge`], [`HeaderError::Size`], [`HeaderError::Length`], in this order (all
    /// 010a/0031), or that of [`check_version`](Self::check_version).
    pub fn check_length(&self) -> Result<(), HeaderError> {
        let format = self.check_version()?;
        let stated = self.fixed.size.get();
        let size = usize::try_from(stated).map_err(|_| HeaderError::TooLarge(stated))?;
        if size > MAX_SIZE {
            return Err(HeaderError::TooLarge(stated));
        }
        let slots = self.fixed.slot_count.get();
        let expected = usize::try_from(slots).ok().and_then(|slots| format.size(slots));
        if expected != Some(size) {
            return Err(HeaderError::Size { stated, slots });
        }
        if size != self.length {
            return Err(HeaderError::Length { stated, available: self.length });
        }
        Ok(())
    }

    /// Checks that no plaintext control flag outside `supported` is set.
    ///
    /// # Errors
    /// [`HeaderError::PlaintextFlags`] (0106/0030) with the flags that are not supported.
    pub fn check_pcf(&self, supported: PlaintextControlFlags) -> Result<(), HeaderError> {
        let unsupported = self.fixed.pcf().difference(supported);
        if unsupported.is_empty() { Ok(()) } else { Err(HeaderError::PlaintextFlags(unsupported)) }
    }

    /// All checks of the plain part but the flags: magic, version, key slots, size of the encrypted
    /// area, length.
    ///
    /// # Errors
    /// The first check that fails.
    pub fn check(&self) -> Result<HeaderFormat, HeaderError> {
        self.check_magic()?;
        let format = self.check_version()?;
        self.check_slots()?;
        self.check_encrypted_size()?;
        self.check_length()?;
        Ok(format)
    }
}
