//! A queue: its status word, and what TAPQ tells of it.

use super::codes::ApResponse;

/// Status of a queue as an AP instruction leaves it in GR1, bits 32 to 63.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApQueueStatus(pub u32);

impl ApQueueStatus {
    /// The queue is empty.
    pub const EMPTY: u32 = 1 << 31;
    /// Replies are waiting.
    pub const REPLIES: u32 = 1 << 30;
    /// The queue is full.
    pub const FULL: u32 = 1 << 29;
    /// The response code is that of an earlier instruction, which went on after it had ended.
    pub const ASYNCHRONOUS: u32 = 1 << 25;

    /// A status with these flags and this response code.
    #[must_use]
    pub const fn new(flags: u32, response: ApResponse) -> Self {
        Self(flags & 0xff00_ffff | (response.0 as u32) << 16)
    }

    /// The response code.
    #[must_use]
    pub const fn response(self) -> ApResponse {
        ApResponse(self.0.to_be_bytes()[1])
    }

    /// Whether all of these flags are on.
    #[must_use]
    pub const fn has(self, flags: u32) -> bool {
        self.0 & flags == flags
    }
}

/// How a card works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ApMode {
    /// CCA coprocessor: cannot be bound by a guest under Secure Execution.
    Cca,
    /// Accelerator: works with clear keys, cannot be associated.
    Accelerator,
    /// EP11 coprocessor: can be bound and associated.
    Ep11,
}

impl ApMode {
    /// Bits 3 to 5 of what TAPQ tells.
    const fn bits(self) -> u64 {
        match self {
            Self::Cca => 1 << 60,
            Self::Accelerator => 1 << 59,
            Self::Ep11 => 1 << 58,
        }
    }
}

/// Bind state of a queue, bits 16 and 17 of what TAPQ tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BindState(pub u8);

impl BindState {
    /// Bound and associated.
    pub const USABLE: Self = Self(0);
    /// Bound: usable without secure keys.
    pub const NO_SECURE_KEY: Self = Self(1);
    /// May be bound.
    pub const AVAILABLE: Self = Self(2);
    /// Cannot be used.
    pub const UNUSABLE: Self = Self(3);
}

/// What TAPQ leaves in GR2: facilities and bind state (when GR0 bit 40 asks for them), then type and sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApQueueInfo(pub u64);

impl ApQueueInfo {
    /// Put together. `card_type` is 10 for CEX4 to 14 for CEX8; `depth` the messages that a queue takes, 1 to 16; `chunks` the
    /// length of the longest message in 4096 bytes, 0 to 15 (0 for 12 KiB).
    #[must_use]
    pub const fn new(mode: ApMode, bind: BindState, card_type: u8, depth: u8, chunks: u8) -> Self {
        const APSC: u64 = 1 << 63;
        const APXA: u64 = 1 << 57;
        let facilities = APSC | APXA | mode.bits() | (bind.0 as u64 & 3) << 46;
        let sizes = (card_type as u64) << 24 | (chunks as u64 & 0xf) << 8 | depth.saturating_sub(1) as u64 & 0xf;
        Self(facilities | sizes)
    }

    /// Without what only a test of the facilities shows.
    #[must_use]
    pub const fn without_facilities(self) -> Self {
        Self(self.0 & 0xffff_ffff)
    }

    /// The bind state.
    #[must_use]
    pub const fn bind_state(self) -> BindState {
        BindState(self.0.to_be_bytes()[2] >> 6)
    }

    /// The mode, if one is stated.
    #[must_use]
    pub fn mode(self) -> Option<ApMode> {
        [ApMode::Cca, ApMode::Accelerator, ApMode::Ep11].into_iter().find(|mode| self.0 & mode.bits() != 0)
    }

    /// The type of the card: 10 for CEX4 to 14 for CEX8.
    #[must_use]
    pub const fn card_type(self) -> u8 {
        self.0.to_be_bytes()[4]
    }

    /// Messages that the queue takes.
    #[must_use]
    pub const fn depth(self) -> u8 {
        (self.0.to_be_bytes()[7] & 0xf) + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_hold_what_they_are_made_of() {
        let status = ApQueueStatus::new(ApQueueStatus::EMPTY | ApQueueStatus::ASYNCHRONOUS, ApResponse(0x35));
        assert_eq!((status.0, status.response()), (0x8235_0000, ApResponse::ASSOCIATION_SECRET_NOT_UNIQUE));
        let info = ApQueueInfo::new(ApMode::Ep11, BindState::AVAILABLE, 14, 8, 3);
        assert_eq!(info.0, 0x8600_8000_0e00_0307);
        assert_eq!((info.bind_state(), info.mode()), (BindState::AVAILABLE, Some(ApMode::Ep11)));
        assert_eq!((info.card_type(), info.depth()), (14, 8));
        assert_eq!(info.without_facilities().mode(), None);
    }
}
