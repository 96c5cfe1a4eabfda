//! Reading an IPIB as a guest left it in memory.

use zerocopy::{FromBytes, IntoBytes};

use super::layout::{BlockType, Component, Fixed};

/// A view of an IPIB in bytes copied out of guest memory.
///
/// Creating one never fails and no accessor panics. Bytes that are not there read as zero: those
/// behind the end of the slice, and those behind the total length that the IPIB states, because
/// DIAG 308 copies exactly that many into a zeroed buffer. So a view of the whole page at the guest's
/// address and a view of the stated length answer alike. Which values are acceptable is for the
/// caller to decide.
///
/// ```
/// use uv_s390::abi::ipib::{self, BlockType, Component, IpibForm, IpibView};
/// let bytes = ipib::build(IpibForm::Exact, 0x14000, 640, &[Component::new(1, 0x15000, 0x1000)])?;
/// let view = IpibView::new(&bytes);
/// assert_eq!(view.total_length(), 160);
/// assert_eq!(view.block_type(), BlockType::PV);
/// assert_eq!(view.component(0).map(|c| c.address.get()), Some(0x15000));
/// assert_eq!(view.component(1), None);
/// # Ok::<(), ipib::IpibError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct IpibView<'a> {
    fixed: Fixed,
    list: &'a [u8],
}

impl<'a> IpibView<'a> {
    /// Views `bytes` as an IPIB that starts at its first byte.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        let stated = zero_filled::<4>(bytes);
        let stated = usize::try_from(u32::from_be_bytes(stated)).unwrap_or(usize::MAX);
        let valid = bytes.get(..stated).unwrap_or(bytes);
        let mut fixed = Fixed::read_from_bytes(&zero_filled::<{ size_of::<Fixed>() }>(valid))
            .unwrap_or_else(|_| zerocopy::FromZeros::new_zeroed());
        // The length itself is read before anything is copied, whatever it says.
        fixed.total_length.as_mut_bytes().copy_from_slice(&zero_filled::<4>(bytes));
        let list = valid.get(size_of::<Fixed>()..).unwrap_or(&[]);
        Self { fixed, list }
    }

    /// Bytes of the whole IPIB as it states them (offset 0x00).
    #[must_use]
    pub fn total_length(&self) -> u32 {
        self.fixed.total_length.get()
    }

    /// Header flags (offset 0x04).
    #[must_use]
    pub fn flags(&self) -> u8 {
        self.fixed.flags
    }

    /// Version (offset 0x07).
    #[must_use]
    pub fn version(&self) -> u8 {
        self.fixed.version
    }

    /// Bytes of the block as it states them (offset 0x08).
    #[must_use]
    pub fn block_length(&self) -> u32 {
        self.fixed.block_length.get()
    }

    /// Block type (offset 0x0c).
    #[must_use]
    pub fn block_type(&self) -> BlockType {
        BlockType(self.fixed.block_type)
    }

    /// Block flags (offset 0x0d).
    #[must_use]
    pub fn block_flags(&self) -> u8 {
        self.fixed.block_flags
    }

    /// Load parameter in EBCDIC (offset 0x10).
    #[must_use]
    pub fn loadparm(&self) -> [u8; 8] {
        self.fixed.loadparm
    }

    /// PV block version (offset 0x6f); 0 from the older generator.
    #[must_use]
    pub fn pv_version(&self) -> u8 {
        self.fixed.pv_version
    }

    /// Number of components as stated (offset 0x74); it may be larger than what the bytes hold.
    #[must_use]
    pub fn component_count(&self) -> u32 {
        self.fixed.component_count.get()
    }

    /// Guest absolute address of the SE header (offset 0x78).
    #[must_use]
    pub fn header_address(&self) -> u64 {
        self.fixed.header_address.get()
    }

    /// Bytes of the SE header (offset 0x80).
    #[must_use]
    pub fn header_length(&self) -> u64 {
        self.fixed.header_length.get()
    }

    /// The whole fixed part, reserved fields included.
    #[must_use]
    pub fn fixed(&self) -> &Fixed {
        &self.fixed
    }

    /// Bytes that the fixed part and the stated number of components need: 136 + 24·n.
    #[must_use]
    pub fn required_length(&self) -> u64 {
        0x88 + 24 * u64::from(self.component_count())
    }

    /// Component `index`, or `None` if the IPIB does not state that many or if the entry does not lie
    /// wholly within the stated total length and the given bytes.
    #[must_use]
    pub fn component(&self, index: u32) -> Option<Component> {
        if index >= self.component_count() {
            return None;
        }
        let start = usize::try_from(index).ok()?.checked_mul(size_of::<Component>())?;
        let (component, _) = Component::read_from_prefix(self.list.get(start..)?).ok()?;
        Some(component)
    }

    /// The components in order, ending early where [`component`](Self::component) gives `None`.
    pub fn components(&self) -> impl Iterator<Item = Component> + use<'a> {
        let view = *self;
        (0..view.component_count()).map_while(move |index| view.component(index))
    }
}

/// The first `N` bytes of `bytes`, with zeros for those that are missing.
fn zero_filled<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut filled = [0; N];
    let present = bytes.len().min(N);
    filled[..present].copy_from_slice(&bytes[..present]);
    filled
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::ipib::{IpibForm, build};
    use alloc::vec;
    use proptest::prelude::*;

    #[test]
    fn fields_of_a_built_block() {
        let list = [Component::new(0x28 << 48, 0x15000, 0x2000), Component::new(0x46 << 48, 0x17000, 0x1000)];
        let bytes = build(IpibForm::Exact, 0x14000, 640, &list).unwrap();
        assert_eq!(bytes.len(), 184);
        let view = IpibView::new(&bytes);
        assert_eq!(view.total_length(), 184);
        assert_eq!(view.block_length(), 176);
        assert_eq!(view.version(), 1);
        assert_eq!(view.pv_version(), 1);
        assert_eq!(view.block_type(), BlockType::PV);
        assert_eq!(view.header_address(), 0x14000);
        assert_eq!(view.header_length(), 640);
        assert_eq!(view.component_count(), 2);
        assert_eq!(view.required_length(), 184);
        assert!(view.components().eq(list));
        assert_eq!(view.component(2), None);
        assert_eq!(view.component(u32::MAX), None);
    }

    #[test]
    fn bytes_behind_the_stated_length_do_not_count() {
        let list = [Component::new(1, 0x15000, 0x2000), Component::new(2, 0x17000, 0x1000)];
        let mut bytes = build(IpibForm::Exact, 0x14000, 640, &list).unwrap();
        bytes[..4].copy_from_slice(&183u32.to_be_bytes());
        let view = IpibView::new(&bytes);
        assert_eq!(view.component_count(), 2);
        assert_eq!(view.component(1), None);
        assert_eq!(view.components().count(), 1);
        bytes[..4].copy_from_slice(&12u32.to_be_bytes());
        let view = IpibView::new(&bytes);
        assert_eq!(view.block_type(), BlockType::FCP);
        assert_eq!(view.block_length(), 176);
        bytes[..4].copy_from_slice(&0u32.to_be_bytes());
        assert_eq!(IpibView::new(&bytes).header_address(), 0);
        bytes[..4].copy_from_slice(&2u32.to_be_bytes());
        assert_eq!(IpibView::new(&bytes).total_length(), 2);
    }

    #[test]
    fn nothing_at_all_reads_as_zero() {
        let view = IpibView::new(&[]);
        assert_eq!(view.total_length(), 0);
        assert_eq!(view.component_count(), 0);
        assert_eq!(view.components().count(), 0);
    }

    #[test]
    fn a_huge_count_ends_with_the_bytes() {
        let mut page = vec![0u8; 4096];
        page[..4].copy_from_slice(&4096u32.to_be_bytes());
        page[0x74..0x78].copy_from_slice(&u32::MAX.to_be_bytes());
        let view = IpibView::new(&page);
        assert_eq!(view.components().count(), 165);
        assert_eq!(view.required_length(), 136 + 24 * 0xffff_ffff);
    }

    #[test]
    fn minimum_lengths() {
        assert_eq!(BlockType::PV.min_length(), Some(148));
        assert_eq!(BlockType::CCW.min_length(), Some(200));
        assert_eq!(BlockType::FCP.min_length(), Some(384));
        assert_eq!(BlockType::PCI.min_length(), Some(376));
        assert_eq!(BlockType::QEMU_SCSI.min_length(), Some(200));
        assert_eq!(BlockType(1).min_length(), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_bytes_are_readable(bytes in proptest::collection::vec(any::<u8>(), 0..4200)) {
            let view = IpibView::new(&bytes);
            prop_assert!(view.components().count() <= bytes.len() / 24);
            let _ = (view.block_type(), view.header_address(), view.required_length());
        }
    }
}
