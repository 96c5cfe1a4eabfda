//! Storage state: one 16-byte entry for each page (s390-formats §7.4).

use super::error::StorageStateError;

/// Bytes of an entry.
pub const STORAGE_STATE_SIZE: usize = 16;
/// Bytes of the entries of 1 MiB of guest memory.
pub const STORAGE_STATE_PER_MIB: usize = 256 * STORAGE_STATE_SIZE;

/// First bytes of the entry of a page that is not encrypted.
const SPECIAL: [u8; 4] = [0xff; 4];
const ZERO: u8 = 0x01;
const SHARED: u8 = 0x02;
const MAPPED: u8 = 0x04;
const RESERVED: u8 = 0xf8;

/// A page's own part of the XTS tweak: 16 bytes that do not begin with `ff ff ff ff`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TweakComponent([u8; STORAGE_STATE_SIZE]);

impl TweakComponent {
    /// Takes 16 bytes. `None` if they begin with `ff ff ff ff`.
    #[must_use]
    pub fn new(bytes: [u8; STORAGE_STATE_SIZE]) -> Option<Self> {
        (!bytes.starts_with(&SPECIAL)).then_some(Self(bytes))
    }

    /// The 16 bytes.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; STORAGE_STATE_SIZE] {
        &self.0
    }

    /// XTS tweak of the page: the component OR the dump's nonce, bit by bit.
    #[must_use]
    pub fn tweak(&self, nonce: &[u8; 16]) -> [u8; 16] {
        let mut tweak = self.0;
        for (byte, nonce) in tweak.iter_mut().zip(nonce) {
            *byte |= nonce;
        }
        tweak
    }
}

/// How a page of a dump is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StorageState {
    /// Encrypted; the component gives its tweak.
    Encrypted(TweakComponent),
    /// All zero, whatever the dump holds in its place.
    Zero {
        /// The page is mapped; without effect on reading.
        mapped: bool,
    },
    /// Shared by the guest: in the dump as it is.
    Shared {
        /// The page is mapped; without effect on reading.
        mapped: bool,
    },
}

impl StorageState {
    /// Reads an entry.
    ///
    /// # Errors
    /// [`StorageStateError`] for a special page whose flags break the rules.
    pub fn decode(entry: &[u8; STORAGE_STATE_SIZE]) -> Result<Self, StorageStateError> {
        if let Some(component) = TweakComponent::new(*entry) {
            return Ok(Self::Encrypted(component));
        }
        let [.., byte14, flags] = *entry;
        if byte14 != 0 {
            return Err(StorageStateError::Byte14(byte14));
        }
        if flags & RESERVED != 0 {
            return Err(StorageStateError::Reserved(flags & RESERVED));
        }
        let mapped = flags & MAPPED != 0;
        match (flags & ZERO != 0, flags & SHARED != 0) {
            (true, false) => Ok(Self::Zero { mapped }),
            (false, true) => Ok(Self::Shared { mapped }),
            (true, true) => Err(StorageStateError::ZeroAndShared),
            (false, false) if mapped => Err(StorageStateError::MappedAlone),
            (false, false) => Err(StorageStateError::NoFlag),
        }
    }

    /// Writes an entry.
    #[must_use]
    pub fn encode(&self) -> [u8; STORAGE_STATE_SIZE] {
        let special = |flag, mapped| {
            let mut entry = [0; STORAGE_STATE_SIZE];
            entry[..SPECIAL.len()].copy_from_slice(&SPECIAL);
            entry[STORAGE_STATE_SIZE - 1] = flag | if mapped { MAPPED } else { 0 };
            entry
        };
        match *self {
            Self::Encrypted(component) => component.0,
            Self::Zero { mapped } => special(ZERO, mapped),
            Self::Shared { mapped } => special(SHARED, mapped),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn special(byte14: u8, flags: u8) -> [u8; 16] {
        let mut entry = [0x55; 16];
        entry[..4].copy_from_slice(&SPECIAL);
        entry[14] = byte14;
        entry[15] = flags;
        entry
    }

    #[test]
    fn all_flags() {
        for flags in 0..=255 {
            let expected = match flags {
                1 | 5 => Ok(StorageState::Zero { mapped: flags == 5 }),
                2 | 6 => Ok(StorageState::Shared { mapped: flags == 6 }),
                0 => Err(StorageStateError::NoFlag),
                3 | 7 => Err(StorageStateError::ZeroAndShared),
                4 => Err(StorageStateError::MappedAlone),
                _ => Err(StorageStateError::Reserved(flags & 0xf8)),
            };
            assert_eq!(StorageState::decode(&special(0, flags)), expected, "{flags:#x}");
            assert_eq!(StorageState::decode(&special(1, flags)), Err(StorageStateError::Byte14(1)));
            if let Ok(state) = expected {
                let entry = state.encode();
                assert_eq!(StorageState::decode(&entry), Ok(state));
                assert_eq!(entry[4..15], [0; 11]);
            }
        }
    }

    #[test]
    fn components() {
        assert_eq!(TweakComponent::new([0xff; 16]), None);
        let mut almost = [0xff; 16];
        almost[3] = 0xfe;
        let state = StorageState::decode(&almost).unwrap();
        assert_eq!(state, StorageState::Encrypted(TweakComponent::new(almost).unwrap()));
        assert_eq!(state.encode(), almost);
        let component = TweakComponent::new([0b0101; 16]).unwrap();
        assert_eq!(component.tweak(&[0b0011; 16]), [0b0111; 16]);
    }
}
