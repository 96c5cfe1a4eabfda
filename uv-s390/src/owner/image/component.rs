//! Components of an image: kinds, padding, tweaks.
//!
//! Source: s390-formats §3.

use alloc::borrow::Cow;

/// Bytes of a page.
pub const PAGE_SIZE: usize = 4096;

/// Bytes of a page as an address step.
pub(crate) const PAGE_STEP: u64 = 4096;

/// What a component of an image is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ComponentKind {
    /// The kernel, in the raw form that is loaded at address 0.
    Kernel,
    /// The initial RAM disk.
    Ramdisk,
    /// The kernel command line, ending in NUL.
    CommandLine,
    /// The second part of the boot loader, the first code that runs protected.
    Stage3b,
}

/// Which generator's arrangement an image has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ImageLayout {
    /// As the image builder of today writes it: metadata block, header before the components, IPIB
    /// behind them (s390-formats §4).
    #[default]
    Current,
    /// As the generator before s390-tools 2.36 wrote it: no metadata, a page-sized IPIB before the
    /// header, command line before the RAM disk (s390-formats §6).
    Older,
}

impl ImageLayout {
    /// The kinds in the order of their addresses.
    #[must_use]
    pub const fn order(self) -> [ComponentKind; 4] {
        use ComponentKind::{CommandLine, Kernel, Ramdisk, Stage3b};
        match self {
            Self::Current => [Kernel, Ramdisk, CommandLine, Stage3b],
            Self::Older => [Kernel, CommandLine, Ramdisk, Stage3b],
        }
    }
}

impl ComponentKind {
    /// The component number that this layout's builder puts into the first two bytes of the tweak
    /// prefix. It only makes prefixes grow with the order.
    #[must_use]
    pub const fn number(self, layout: ImageLayout) -> u16 {
        match (layout, self) {
            (ImageLayout::Current, Self::Kernel) => 0x28,
            (ImageLayout::Current, Self::Ramdisk) => 0x32,
            (ImageLayout::Current, Self::CommandLine) => 0x3c,
            (ImageLayout::Current, Self::Stage3b) => 0x46,
            (ImageLayout::Older, Self::Kernel) => 0,
            (ImageLayout::Older, Self::CommandLine) => 1,
            (ImageLayout::Older, Self::Ramdisk) => 2,
            (ImageLayout::Older, Self::Stage3b) => 3,
        }
    }

    /// A short lower-case name: `kernel`, `ramdisk`, `cmdline`, `stage3b`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Ramdisk => "ramdisk",
            Self::CommandLine => "cmdline",
            Self::Stage3b => "stage3b",
        }
    }
}

/// The tweak prefix of a component: 2 bytes of component number, 6 random bytes.
///
/// ```
/// use uv_s390::owner::image::tweak_prefix;
/// assert_eq!(tweak_prefix(0x28, [1, 2, 3, 4, 5, 6]), 0x0028_0102_0304_0506);
/// ```
#[must_use]
pub const fn tweak_prefix(number: u16, random: [u8; 6]) -> u64 {
    let [n0, n1] = number.to_be_bytes();
    let [a, b, c, d, e, f] = random;
    u64::from_be_bytes([n0, n1, a, b, c, d, e, f])
}

/// The 16-byte tweak of a page: prefix, then the byte offset of the page inside its component.
#[must_use]
pub fn page_tweak(prefix: u64, offset: u64) -> [u8; 16] {
    let mut tweak = [0; 16];
    tweak[..8].copy_from_slice(&prefix.to_be_bytes());
    tweak[8..].copy_from_slice(&offset.to_be_bytes());
    tweak
}

/// `length` rounded up to whole pages, or `None` on overflow.
#[must_use]
pub const fn round_up_to_page(length: u64) -> Option<u64> {
    length.checked_next_multiple_of(PAGE_STEP)
}

/// A component ready to be placed; it is padded where it is placed.
pub(crate) struct Prepared<'a> {
    /// What it is.
    pub(crate) kind: ComponentKind,
    /// Bytes before padding, without a NUL that is to be added.
    pub(crate) input: Cow<'a, [u8]>,
    /// Bytes before padding, the NUL of a command line included.
    pub(crate) original: usize,
    /// Bytes with padding: whole pages, at least one.
    pub(crate) padded: usize,
}

impl<'a> Prepared<'a> {
    /// Measures `input` with its padding; a command line gets its NUL first: only where one is missing
    /// ([`ImageLayout::Current`]) or always ([`ImageLayout::Older`]).
    ///
    /// How the older generator treats an empty input is not known; it is treated like today's: one
    /// zero page.
    pub(crate) fn new(kind: ComponentKind, input: &'a [u8], layout: ImageLayout) -> Self {
        let add_nul = kind == ComponentKind::CommandLine
            && (layout == ImageLayout::Older || input.last().is_none_or(|&last| last != 0));
        let original = input.len() + usize::from(add_nul);
        let padded = original.max(1).next_multiple_of(PAGE_SIZE);
        Self { kind, input: Cow::Borrowed(input), original, padded }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn sizes(kind: ComponentKind, input: &[u8], layout: ImageLayout) -> (usize, usize) {
        let prepared = Prepared::new(kind, input, layout);
        assert_eq!(*prepared.input, *input);
        (prepared.original, prepared.padded)
    }

    #[test]
    fn padding_and_the_nul_rule() {
        use ComponentKind::{CommandLine, Kernel};
        use ImageLayout::{Current, Older};
        assert_eq!(sizes(Kernel, &[], Current), (0, 4096));
        assert_eq!(sizes(Kernel, &[1; 4096], Current), (4096, 4096));
        assert_eq!(sizes(Kernel, &[1; 4097], Current), (4097, 8192));
        assert_eq!(sizes(CommandLine, b"", Current), (1, 4096));
        assert_eq!(sizes(CommandLine, b"a\n", Current), (3, 4096));
        assert_eq!(sizes(CommandLine, b"a\0", Current), (2, 4096));
        assert_eq!(sizes(CommandLine, &vec![b'x'; 4096], Current), (4097, 8192));
        assert_eq!(sizes(CommandLine, b"a\0", Older), (3, 4096));
    }

    #[test]
    fn numbers_grow_with_the_order() {
        for layout in [ImageLayout::Current, ImageLayout::Older] {
            let numbers = layout.order().map(|kind| kind.number(layout));
            assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
        }
    }

    #[test]
    fn tweaks_of_the_first_and_second_page() {
        let prefix = tweak_prefix(0x28, [1, 2, 3, 4, 5, 6]);
        assert_eq!(page_tweak(prefix, 0), *b"\0\x28\x01\x02\x03\x04\x05\x06\0\0\0\0\0\0\0\0");
        assert_eq!(page_tweak(prefix, 4096), *b"\0\x28\x01\x02\x03\x04\x05\x06\0\0\0\0\0\0\x10\0");
    }
}
