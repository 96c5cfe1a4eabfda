//! QUI: query UV information.

use zerocopy::byteorder::big_endian::{U16, U32, U64};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::block::Block;
use super::{Features, InstalledCalls, UvCommand, UvcbHeader};

/// Block and result of QUI (0x120 bytes). A shorter block, from 0xa8 bytes on, is answered with what fits and rc 0x0100.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct QueryInfo {
    /// Header.
    pub header: UvcbHeader,
    _reserved_08: [u8; 8],
    /// Installed calls, for the role of the caller.
    pub calls: InstalledCalls,
    _reserved_30: [u8; 16],
    /// Bytes to donate with INIT_UV.
    pub uv_base_stor_len: U64,
    _reserved_48: [u8; 8],
    /// Bytes of base storage of a configuration.
    pub conf_base_phys_stor_len: U64,
    /// Bytes of the fixed part of the variable storage of a configuration.
    pub conf_base_virt_stor_len: U64,
    /// Bytes of variable storage for each MiB of guest storage.
    pub conf_virt_var_stor_len: U64,
    /// Bytes to donate for a CPU; also the length of its dump.
    pub cpu_stor_len: U64,
    _reserved_70: [u8; 12],
    /// Most configurations.
    pub max_num_sec_conf: U32,
    /// Highest guest storage address.
    pub max_guest_stor_addr: U64,
    _reserved_88: [u8; 22],
    /// Highest CPU number of a guest (number of CPUs less one).
    pub max_guest_cpu_id: U16,
    /// [`Features`].
    pub features: U64,
    _reserved_a8: [u8; 8],
    /// Supported versions of the SE header: bit n for version index n.
    pub supported_header_versions: U64,
    /// Supported plaintext control flags of the SE header.
    pub supported_header_flags: U64,
    _reserved_c0: [u8; 8],
    /// Bytes of tweaks for each dumped MiB.
    pub dump_storage_state_len: U64,
    /// Bytes of the completion data of a dump.
    pub dump_finalize_len: U64,
    _reserved_d8: [u8; 8],
    /// Supported versions of attestation requests: bit 0 for version 0x100.
    pub supported_attest_versions: U64,
    /// Supported plaintext flags of attestation requests.
    pub supported_attest_flags: U64,
    _reserved_f0: [u8; 8],
    /// Supported versions of add-secret requests.
    pub supported_secret_versions: U64,
    /// Supported plaintext flags of add-secret requests.
    pub supported_secret_flags: U64,
    /// Supported types of secrets: bit n for type n.
    pub supported_secret_types: U64,
    /// Most association secrets.
    pub max_assoc_secrets: U16,
    /// Most retrievable secrets.
    pub max_retr_secrets: U16,
    _reserved_114: [u8; 12],
}

block!(
    QueryInfo, 0x120,
    calls at 0x10,
    uv_base_stor_len at 0x40,
    conf_base_phys_stor_len at 0x50,
    conf_base_virt_stor_len at 0x58,
    conf_virt_var_stor_len at 0x60,
    cpu_stor_len at 0x68,
    max_num_sec_conf at 0x7c,
    max_guest_stor_addr at 0x80,
    max_guest_cpu_id at 0x9e,
    features at 0xa0,
    supported_header_versions at 0xb0,
    supported_header_flags at 0xb8,
    dump_storage_state_len at 0xc8,
    dump_finalize_len at 0xd0,
    supported_attest_versions at 0xe0,
    supported_attest_flags at 0xe8,
    supported_secret_versions at 0xf8,
    supported_secret_flags at 0x100,
    supported_secret_types at 0x108,
    max_assoc_secrets at 0x110,
    max_retr_secrets at 0x112,
);

impl QueryInfo {
    /// A block of full length.
    #[must_use]
    pub fn new() -> Self {
        let mut block = Self::new_zeroed();
        block.prepare();
        block
    }

    pub(crate) fn prepare(&mut self) {
        self.header = UvcbHeader::new(UvCommand::QUI, Self::LEN);
    }

    /// The feature indications.
    #[must_use]
    pub fn features(&self) -> Features {
        Features::from_bits_retain(self.features.get())
    }

    /// The highest guest storage address as Linux keeps it: rounded up to a page.
    #[must_use]
    pub fn max_guest_address(&self) -> u64 {
        self.max_guest_stor_addr.get().checked_next_multiple_of(0x1000).unwrap_or(u64::MAX)
    }

    /// Bytes of variable storage that a configuration with `guest_len` bytes of guest storage needs: whole pages for the part
    /// per MiB, and the fixed part (s390-ultravisor §2). `None` if the number overflows.
    #[must_use]
    pub fn variable_storage_len(&self, guest_len: u64) -> Option<u64> {
        let per_mib = self.conf_virt_var_stor_len.get().checked_mul(guest_len >> 20)?;
        per_mib.checked_next_multiple_of(0x1000)?.checked_add(self.conf_base_virt_stor_len.get())
    }
}

impl Default for QueryInfo {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variable_storage_is_rounded_before_the_fixed_part_comes() {
        let mut query = QueryInfo::new();
        query.conf_virt_var_stor_len = 0x810.into();
        query.conf_base_virt_stor_len = 0x3000.into();
        assert_eq!(query.variable_storage_len(3 << 20), Some(0x2000 + 0x3000));
        query.conf_virt_var_stor_len = u64::MAX.into();
        assert_eq!(query.variable_storage_len(3 << 20), None);
    }
}
