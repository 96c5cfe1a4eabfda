//! Response codes of AP instructions, and function codes of PQAP.

use core::fmt;

/// Response code in the status that an AP instruction leaves in GR1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApResponse(pub u8);

impl ApResponse {
    /// Done.
    pub const NORMAL: Self = Self(0x00);
    /// No such queue, or not this guest's.
    pub const NOT_AVAILABLE: Self = Self(0x01);
    /// A reset is under way.
    pub const RESET_IN_PROGRESS: Self = Self(0x02);
    /// The card is deconfigured.
    pub const DECONFIGURED: Self = Self(0x03);
    /// The card is check-stopped.
    pub const CHECKSTOPPED: Self = Self(0x04);
    /// Busy.
    pub const BUSY: Self = Self(0x05);
    /// BAPQ: the queue is bound to another guest.
    pub const BOUND_TO_ANOTHER: Self = Self(0x09);
    /// An association is under way.
    pub const STATE_CHANGE_IN_PROGRESS: Self = Self(0x0a);
    /// The queue is not bound to this guest.
    pub const NOT_BOUND: Self = Self(0x0b);
    /// NQAP: the queue is full.
    pub const QUEUE_FULL: Self = Self(0x10);
    /// DQAP: no reply is there. The same number as [`ApResponse::QUEUE_FULL`].
    pub const NO_PENDING_REPLY: Self = Self(0x10);
    /// NQAP: the message is longer than the queue takes.
    pub const MESSAGE_TOO_BIG: Self = Self(0x15);
    /// BAPQ: the queue cannot be bound.
    pub const BIND_ERROR: Self = Self(0x30);
    /// AAPQ: the queue cannot be associated: it is already, or it knows no secure keys.
    pub const NOT_AVAILABLE_FOR_ASSOCIATION: Self = Self(0x31);
    /// The queue is not empty.
    pub const NOT_EMPTY: Self = Self(0x32);
    /// AAPQ: no association secret has this index.
    pub const INVALID_ASSOCIATION_SECRET: Self = Self(0x34);
    /// An association has failed, asynchronously: the secret is not unique.
    pub const ASSOCIATION_SECRET_NOT_UNIQUE: Self = Self(0x35);
    /// An association has failed, asynchronously.
    pub const ASSOCIATION_FAILED: Self = Self(0x36);
}

impl fmt::Debug for ApResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApResponse({:#04x})", self.0)
    }
}

impl fmt::Display for ApResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#04x}", self.0)
    }
}

/// Function code of PQAP, bits 32 to 39 of GR0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PqapFunction(pub u8);

impl PqapFunction {
    /// TAPQ: test a queue.
    pub const TEST: Self = Self(0);
    /// RAPQ: reset a queue.
    pub const RESET: Self = Self(1);
    /// ZAPQ: reset a queue and clear what its card keeps for it.
    pub const ZEROIZE: Self = Self(2);
    /// QCI: query the configuration.
    pub const QUERY_CONFIGURATION: Self = Self(4);
    /// BAPQ: bind a queue to the guest.
    pub const BIND: Self = Self(7);
    /// AAPQ: associate a bound queue with a secret.
    pub const ASSOCIATE: Self = Self(8);

    /// Bit 40 of GR0, for TAPQ: facilities and bind state are wanted too.
    pub const TEST_FACILITIES: u64 = 1 << 23;
    /// Bit 41 of GR0, for RAPQ and ZAPQ: a bound queue is unbound.
    pub const UNBIND: u64 = 1 << 22;

    /// GR0 of the function for a queue, without further bits.
    #[must_use]
    pub const fn register(self, queue: super::apqn::Apqn) -> u64 {
        (self.0 as u64) << 24 | queue.0 as u64
    }

    /// The function that GR0 asks for.
    #[must_use]
    pub const fn of(gr0: u64) -> Self {
        let [_, _, _, _, function, ..] = gr0.to_be_bytes();
        Self(function)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn response_codes_are_those_of_the_kernel() {
        let codes = [
            (ApResponse::NORMAL, 0x00),
            (ApResponse::NOT_AVAILABLE, 0x01),
            (ApResponse::RESET_IN_PROGRESS, 0x02),
            (ApResponse::DECONFIGURED, 0x03),
            (ApResponse::CHECKSTOPPED, 0x04),
            (ApResponse::BUSY, 0x05),
            (ApResponse::BOUND_TO_ANOTHER, 0x09),
            (ApResponse::STATE_CHANGE_IN_PROGRESS, 0x0a),
            (ApResponse::NOT_BOUND, 0x0b),
            (ApResponse::QUEUE_FULL, 0x10),
            (ApResponse::NO_PENDING_REPLY, 0x10),
            (ApResponse::MESSAGE_TOO_BIG, 0x15),
            (ApResponse::BIND_ERROR, 0x30),
            (ApResponse::NOT_AVAILABLE_FOR_ASSOCIATION, 0x31),
            (ApResponse::NOT_EMPTY, 0x32),
            (ApResponse::INVALID_ASSOCIATION_SECRET, 0x34),
            (ApResponse::ASSOCIATION_SECRET_NOT_UNIQUE, 0x35),
            (ApResponse::ASSOCIATION_FAILED, 0x36),
        ];
        assert!(codes.iter().all(|(code, number)| code.0 == *number), "{codes:?}");
    }
}
