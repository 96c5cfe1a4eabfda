//! Byte layout of a type-5 IPIB.

use core::fmt;
use core::mem::{offset_of, size_of};

use zerocopy::byteorder::big_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// IPIB block type (offset 0x0c). Open: any byte may come from a guest.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct BlockType(pub u8);

impl BlockType {
    /// FCP device (SCSI IPL).
    pub const FCP: Self = Self(0x00);
    /// Channel device (CCW IPL).
    pub const CCW: Self = Self(0x02);
    /// PCI or NVMe device.
    pub const PCI: Self = Self(0x04);
    /// Protected virtualization.
    pub const PV: Self = Self(0x05);
    /// SCSI block as QEMU defines it.
    pub const QEMU_SCSI: Self = Self(0xff);

    /// Least total length, in bytes, that DIAG 308 takes for this block type; `None` for an unknown
    /// type.
    ///
    /// 148 for a PV block is the older check: it is below the 160 bytes that one component needs, so
    /// an implementation with the newer check compares [`IpibView::required_length`] as well
    /// (s390-ultravisor §5.2, §5.3 checks 7, 11, 14).
    ///
    /// [`IpibView::required_length`]: super::IpibView::required_length
    #[must_use]
    pub const fn min_length(self) -> Option<u32> {
        match self {
            Self::FCP => Some(384),
            Self::CCW | Self::QEMU_SCSI => Some(200),
            Self::PCI => Some(376),
            Self::PV => Some(148),
            _ => None,
        }
    }
}

impl fmt::Debug for BlockType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match *self {
            Self::FCP => "FCP",
            Self::CCW => "CCW",
            Self::PCI => "PCI",
            Self::PV => "PV",
            Self::QEMU_SCSI => "QEMU_SCSI",
            _ => return write!(f, "BlockType({:#04x})", self.0),
        };
        write!(f, "BlockType({name})")
    }
}

/// Everything of a type-5 IPIB before its component list: the 8-byte IPIB header and the fixed part
/// of the PV block (136 bytes).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Fixed {
    /// Bytes of the whole IPIB, this field included.
    pub total_length: U32,
    /// Header flags, 0 for a protected guest.
    pub flags: u8,
    /// Zero.
    pub reserved_05: [u8; 2],
    /// IPIB version, 1.
    pub version: u8,
    /// Bytes of the block: total length less 8.
    pub block_length: U32,
    /// Block type, 5.
    pub block_type: u8,
    /// Block flags.
    pub block_flags: u8,
    /// Zero.
    pub reserved_0e: [u8; 2],
    /// Load parameter, EBCDIC.
    pub loadparm: [u8; 8],
    /// Zero.
    pub reserved_18: [u8; 87],
    /// PV block version: 1, or 0 from the older generator.
    pub pv_version: u8,
    /// Zero.
    pub reserved_70: [u8; 4],
    /// Number of components.
    pub component_count: U32,
    /// Guest absolute address of the SE header.
    pub header_address: U64,
    /// Bytes of the SE header.
    pub header_length: U64,
}

const _: () = {
    assert!(size_of::<Fixed>() == 0x88);
    assert!(offset_of!(Fixed, total_length) == 0x00);
    assert!(offset_of!(Fixed, flags) == 0x04);
    assert!(offset_of!(Fixed, version) == 0x07);
    assert!(offset_of!(Fixed, block_length) == 0x08);
    assert!(offset_of!(Fixed, block_type) == 0x0c);
    assert!(offset_of!(Fixed, block_flags) == 0x0d);
    assert!(offset_of!(Fixed, loadparm) == 0x10);
    assert!(offset_of!(Fixed, reserved_18) == 0x18);
    assert!(offset_of!(Fixed, pv_version) == 0x6f);
    assert!(offset_of!(Fixed, component_count) == 0x74);
    assert!(offset_of!(Fixed, header_address) == 0x78);
    assert!(offset_of!(Fixed, header_length) == 0x80);
};

/// One entry of the component list, from offset 0x88 on (24 bytes).
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Component {
    /// First half of the tweak of every page of the component.
    pub tweak_prefix: U64,
    /// Guest absolute address of the first page.
    pub address: U64,
    /// Bytes of the component, a multiple of 4096 when a builder wrote it.
    pub length: U64,
}

const _: () = {
    assert!(size_of::<Component>() == 24);
    assert!(offset_of!(Component, tweak_prefix) == 0);
    assert!(offset_of!(Component, address) == 8);
    assert!(offset_of!(Component, length) == 16);
    assert!(
        size_of::<Fixed>() + super::MAX_COMPONENTS * size_of::<Component>() <= 4096
            && size_of::<Fixed>() + (super::MAX_COMPONENTS + 1) * size_of::<Component>() > 4096
    );
};

impl Component {
    /// A component entry from native integers.
    #[must_use]
    pub const fn new(tweak_prefix: u64, address: u64, length: u64) -> Self {
        Self { tweak_prefix: U64::new(tweak_prefix), address: U64::new(address), length: U64::new(length) }
    }
}
