//! What PQAP(QCI) stores.

use zerocopy::byteorder::big_endian::U32;
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::Apqn;

/// AP configuration of a guest (128 bytes): bit n of a mask, counted from the most significant bit of its first byte, stands
/// for card or domain n.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct ApConfigInfo {
    /// [`ApConfigInfo::APSC`] and others.
    pub flags: U32,
    /// Highest number of a card.
    pub highest_card: u8,
    /// Highest number of a domain.
    pub highest_domain: u8,
    _reserved_06: [u8; 10],
    /// Cards.
    pub cards: [u8; 32],
    /// Domains that may be used.
    pub usage_domains: [u8; 32],
    /// Domains that may be controlled.
    pub control_domains: [u8; 32],
    _reserved_70: [u8; 16],
}

const _: () = assert!(size_of::<ApConfigInfo>() == 128);

impl ApConfigInfo {
    /// TAPQ can test facilities.
    pub const APSC: u32 = 1 << 31;
    /// Numbers of cards and domains have 8 bits.
    pub const APXA: u32 = 1 << 30;
    /// Queues are bound and associated by guests under Secure Execution.
    pub const APSB: u32 = 1 << 23;

    /// The configuration of a protected guest with these queues.
    #[must_use]
    pub fn new(queues: impl IntoIterator<Item = Apqn>) -> Self {
        let flags = (Self::APSC | Self::APXA | Self::APSB).into();
        let mut info = Self { flags, highest_card: 255, highest_domain: 255, ..Self::new_zeroed() };
        for queue in queues {
            set(&mut info.cards, queue.card());
            set(&mut info.usage_domains, queue.domain());
        }
        info
    }

    /// Whether card and domain of a queue are configured.
    #[must_use]
    pub fn has(&self, queue: Apqn) -> bool {
        is_set(&self.cards, queue.card()) && is_set(&self.usage_domains, queue.domain())
    }
}

fn place(number: u8) -> (usize, u8) {
    (usize::from(number / 8), 0x80 >> (number % 8))
}

fn set(mask: &mut [u8; 32], number: u8) {
    let (byte, bit) = place(number);
    mask[byte] |= bit;
}

fn is_set(mask: &[u8; 32], number: u8) -> bool {
    let (byte, bit) = place(number);
    mask[byte] & bit != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_count_from_the_left() {
        let info = ApConfigInfo::new([Apqn::new(0, 0), Apqn::new(9, 255)]);
        let bytes = info.as_bytes();
        assert_eq!(bytes[..6], [0xc0, 0x80, 0, 0, 255, 255]);
        assert_eq!((bytes[16], bytes[17]), (0x80, 0x40));
        assert_eq!((bytes[48], bytes[79]), (0x80, 0x01));
        assert!(info.has(Apqn::new(9, 0)) && !info.has(Apqn::new(1, 0)));
    }
}
