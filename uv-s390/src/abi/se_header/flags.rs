//! Control flags of an SE header.
//!
//! Bits are counted from the most significant one: bit n of the 64-bit word has the value 2^(63−n).

use bitflags::bitflags;

/// The value of bit `number`, counted from the most significant bit.
const fn bit(number: u32) -> u64 {
    1 << (63 - number)
}

bitflags! {
    /// Plaintext control flags (PCF), readable by everybody and protected by the header's tag
    /// (s390-formats §2.4). Unknown bits survive.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct PlaintextControlFlags: u64 {
        /// Bit 34: the guest may be dumped.
        const ALLOW_DUMP = bit(34);
        /// Bit 35: components are stored as plain text; their digests are checked all the same.
        const NO_COMPONENT_ENCRYPTION = bit(35);
        /// Bit 56: PCKMO may make DEA and TDEA keys.
        const PCKMO_DEA = bit(56);
        /// Bit 57: PCKMO may make AES keys.
        const PCKMO_AES = bit(57);
        /// Bit 58: PCKMO may make ECC keys.
        const PCKMO_ECC = bit(58);
        /// Bit 59: PCKMO may make HMAC keys.
        const PCKMO_HMAC = bit(59);
        /// Bit 62: backup host keys may open the header.
        const BACKUP_KEYS = bit(62);
        const _ = !0;
    }
}

impl PlaintextControlFlags {
    /// The three flags that the image builder's PCKMO option switches together: bits 56, 57 and 58.
    pub const PCKMO: Self = Self::PCKMO_DEA.union(Self::PCKMO_AES).union(Self::PCKMO_ECC);

    /// Every flag with a known meaning.
    pub const KNOWN: Self = Self::PCKMO
        .union(Self::ALLOW_DUMP)
        .union(Self::NO_COMPONENT_ENCRYPTION)
        .union(Self::PCKMO_HMAC)
        .union(Self::BACKUP_KEYS);
}

impl Default for PlaintextControlFlags {
    /// What an image gets when nothing is chosen: [`PCKMO`](Self::PCKMO), 0xe0.
    fn default() -> Self {
        Self::PCKMO
    }
}

bitflags! {
    /// Secret control flags (SCF), in the encrypted part of the header (s390-formats §2.4). Unknown
    /// bits survive.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct SecretControlFlags: u64 {
        /// Bit 1: every add-secret request must carry the extension secret derived from the CCK.
        const CCK_EXTENSION_SECRET = bit(1);
        /// Bit 2: the CCK may be replaced by an update-CCK request.
        const CCK_UPDATE = bit(2);
        const _ = !0;
    }
}

impl SecretControlFlags {
    /// Every flag with a known meaning.
    pub const KNOWN: Self = Self::CCK_EXTENSION_SECRET.union(Self::CCK_UPDATE);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_the_architecture() {
        assert_eq!(PlaintextControlFlags::ALLOW_DUMP.bits(), 0x2000_0000);
        assert_eq!(PlaintextControlFlags::NO_COMPONENT_ENCRYPTION.bits(), 0x1000_0000);
        assert_eq!(PlaintextControlFlags::default().bits(), 0xe0);
        assert_eq!(PlaintextControlFlags::PCKMO_HMAC.bits(), 0x10);
        assert_eq!(PlaintextControlFlags::BACKUP_KEYS.bits(), 0x02);
        assert_eq!(PlaintextControlFlags::KNOWN.bits(), 0x3000_00f2);
        assert_eq!(SecretControlFlags::CCK_EXTENSION_SECRET.bits(), 0x4000_0000_0000_0000);
        assert_eq!(SecretControlFlags::CCK_UPDATE.bits(), 0x2000_0000_0000_0000);
        assert_eq!(PlaintextControlFlags::from_bits_retain(1).bits(), 1);
    }
}
