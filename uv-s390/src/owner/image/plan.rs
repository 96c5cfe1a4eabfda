//! Where the parts of an image go.
//!
//! Source: s390-formats §4 and §6.

use alloc::vec::Vec;

use super::bootloader::{STAGE3A_ADDRESS, size_as_u64};
use super::component::{ImageLayout, PAGE_STEP, round_up_to_page};

/// Lowest address of the header in today's layout.
const LOWEST_HEADER: u64 = 0x14000;

/// Lowest address of the IPIB in the older layout.
const LOWEST_OLDER_IPIB: u64 = 0x13000;

/// Addresses of an image; file offset and guest absolute address are the same.
pub(crate) struct Plan {
    /// SE header.
    pub(crate) header: u64,
    /// IPIB.
    pub(crate) ipib: u64,
    /// First page of each component, in image order.
    pub(crate) components: Vec<u64>,
    /// First byte behind the image's last component.
    pub(crate) components_end: u64,
}

impl Plan {
    /// Places a header of `header_size` bytes and components of whole pages. `None` if an address does
    /// not fit into 63 bits.
    pub(crate) fn new(
        layout: ImageLayout,
        stage3a_size: usize,
        header_size: u64,
        component_lengths: impl Iterator<Item = u64>,
    ) -> Option<Self> {
        let stage3a_end = round_up_to_page(STAGE3A_ADDRESS.checked_add(size_as_u64(stage3a_size))?)?;
        let (older_ipib, header) = match layout {
            ImageLayout::Current => (None, stage3a_end.max(LOWEST_HEADER)),
            ImageLayout::Older => {
                let ipib = stage3a_end.max(LOWEST_OLDER_IPIB);
                (Some(ipib), ipib.checked_add(PAGE_STEP)?)
            }
        };
        let mut next = round_up_to_page(header.checked_add(header_size)?)?;
        let mut components = Vec::new();
        for length in component_lengths {
            components.push(next);
            next = next.checked_add(length).filter(|&end| end < 1 << 63)?;
        }
        Some(Self { header, ipib: older_ipib.unwrap_or(next), components, components_end: next })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn a_long_stage3a_moves_everything() {
        let plan = Plan::new(ImageLayout::Current, 0x4001, 640, [0x1000, 0x2000].into_iter()).unwrap();
        assert_eq!((plan.header, plan.ipib, plan.components_end), (0x15000, 0x19000, 0x19000));
        assert_eq!(plan.components, vec![0x16000, 0x17000]);
    }

    #[test]
    fn the_older_layout_puts_the_ipib_first() {
        let plan = Plan::new(ImageLayout::Older, 11320, 8160, [0x1000].into_iter()).unwrap();
        assert_eq!((plan.ipib, plan.header, plan.components_end), (0x13000, 0x14000, 0x17000));
        assert_eq!(plan.components, vec![0x16000]);
    }

    #[test]
    fn addresses_do_not_overflow() {
        assert!(Plan::new(ImageLayout::Current, 64, 640, [u64::MAX - 4095].into_iter()).is_none());
    }
}
