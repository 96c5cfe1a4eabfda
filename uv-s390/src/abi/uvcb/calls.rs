//! Which calls are installed.

use zerocopy::byteorder::big_endian::U64;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::UvCommand;

/// List of installed calls: 256 bits, bit 0 the most significant one of the first word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct InstalledCalls {
    /// Bits 0–63, 64–127, 128–191, 192–255.
    pub words: [U64; 4],
}

const _: () = assert!(size_of::<InstalledCalls>() == 32);

impl InstalledCalls {
    /// The list that has exactly these bits; bits from 256 on do not exist and are left out.
    #[must_use]
    pub fn of(bits: impl IntoIterator<Item = u32>) -> Self {
        let mut list = Self::default();
        for bit in bits {
            if let Some(word) = usize::try_from(bit / 64).ok().and_then(|index| list.words.get_mut(index)) {
                *word = U64::new(word.get() | super::bit(bit % 64));
            }
        }
        list
    }

    /// Whether bit `number` is set.
    #[must_use]
    pub fn bit(&self, number: u32) -> bool {
        let word = usize::try_from(number / 64).ok().and_then(|index| self.words.get(index));
        word.is_some_and(|word| word.get() & super::bit(number % 64) != 0)
    }

    /// Whether the command is installed. `None` when no public source gives the command a bit.
    #[must_use]
    pub fn has(&self, command: UvCommand) -> Option<bool> {
        Some(self.bit(command.info()?.bit?))
    }

    /// Whether this is the list of a protected guest: both share calls are there.
    #[must_use]
    pub fn is_guest(&self) -> bool {
        self.bit(8) && self.bit(9)
    }

    /// Whether this is the list of an Ultravisor host: INIT_UV is there.
    #[must_use]
    pub fn is_host(&self) -> bool {
        self.bit(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_count_from_the_left() {
        let list = InstalledCalls::of([0, 8, 9, 34, 64, 255, 256]);
        assert_eq!(list.words[0].get(), 1 << 63 | 3 << 54 | 1 << 29);
        assert_eq!(list.words[1].get(), 1 << 63);
        assert_eq!(list.words[3].get(), 1);
        assert!(list.is_guest() && !list.is_host());
        assert_eq!(list.has(UvCommand::QUERY_KEYS), Some(true));
        assert_eq!(list.has(UvCommand::DESTR_SEC_STOR), None);
    }
}
