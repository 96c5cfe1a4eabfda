//! The number of a queue.

use core::fmt;

/// Number of a queue (APQN): card in the upper byte, domain in the lower.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Apqn(pub u16);

impl Apqn {
    /// The queue of a domain of a card.
    #[must_use]
    pub const fn new(card: u8, domain: u8) -> Self {
        Self(u16::from_be_bytes([card, domain]))
    }

    /// The queue that GR0 of an AP instruction names.
    #[must_use]
    pub const fn of(gr0: u64) -> Self {
        let [.., card, domain] = gr0.to_be_bytes();
        Self::new(card, domain)
    }

    /// The card.
    #[must_use]
    pub const fn card(self) -> u8 {
        self.0.to_be_bytes()[0]
    }

    /// The domain.
    #[must_use]
    pub const fn domain(self) -> u8 {
        self.0.to_be_bytes()[1]
    }
}

impl fmt::Debug for Apqn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Apqn({self})")
    }
}

impl fmt::Display for Apqn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x}.{:04x}", self.card(), self.domain())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_card_and_domain() {
        let queue = Apqn::of(0x0780_2a05);
        assert_eq!((queue.card(), queue.domain(), queue), (0x2a, 5, Apqn(0x2a05)));
    }
}
