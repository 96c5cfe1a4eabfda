//! What the decrypted part of an SE header is refused for.

use super::error::HeaderError;
use super::flags::SecretControlFlags;
use super::layout::ConfidentialArea;

impl ConfidentialArea {
    /// Checks that no secret control flag outside `supported` is set.
    ///
    /// # Errors
    /// [`HeaderError::SecretFlags`] (0109/0000) with the flags that are not supported.
    pub fn check_scf(&self, supported: SecretControlFlags) -> Result<(), HeaderError> {
        let unsupported = self.scf().difference(supported);
        if unsupported.is_empty() { Ok(()) } else { Err(HeaderError::SecretFlags(unsupported)) }
    }

    /// Checks that there are no optional items, as the image tools demand.
    ///
    /// # Errors
    /// [`HeaderError::OptionalItems`] with the stated number.
    pub fn check_items(&self) -> Result<(), HeaderError> {
        match self.optional_items.get() {
            0 => Ok(()),
            items => Err(HeaderError::OptionalItems(items)),
        }
    }
}
