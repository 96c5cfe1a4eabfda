//! The word of one page.
//!
//! | bits | content |
//! |---|---|
//! | 63-61 | state |
//! | 60 | somebody is changing the page |
//! | 59-52 | label |
//! | 51-46 | of a shared page: the guest accesses at work; of a secure one, in the lowest bit: used since the clock passed |
//! | 45-0 | payload: frame number, record number or normal page number |

use uv_core::PageState;

const STATE_SHIFT: u32 = 61;
const BUSY: u64 = 1 << 60;
const LABEL_SHIFT: u32 = 52;
const LABEL_MASK: u64 = 0xff << LABEL_SHIFT;
const USE_SHIFT: u32 = 46;
const USE_ONE: u64 = 1 << USE_SHIFT;
const USE_MASK: u64 = 0x3f << USE_SHIFT;

/// Eight bits beside a page's state that belong to whoever uses the engine. The engine keeps them with the page and never
/// looks at them; they go back to 0 when the page becomes absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Label(pub u8);

/// One page: state, label, payload, and who is at work on it right now.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Word(pub(super) u64);

impl Word {
    pub(crate) const ABSENT: Self = Self(0);
    /// What makes a word busy.
    pub(super) const BUSY: u64 = BUSY;
    /// What one more guest access adds to the word of a shared page.
    pub(super) const ACCESS: u64 = USE_ONE;
    /// The largest payload.
    pub(crate) const MAX_PAYLOAD: u64 = USE_ONE - 1;

    pub(crate) fn new(state: PageState, label: Label, payload: u64) -> Self {
        debug_assert!(payload <= Self::MAX_PAYLOAD);
        let code: u64 = match state {
            PageState::Secure => 1,
            PageState::Sealed => 2,
            PageState::Shared => 3,
            PageState::Withdrawn => 4,
            // Absent; there is no other.
            _ => 0,
        };
        Self(code << STATE_SHIFT | u64::from(label.0) << LABEL_SHIFT | payload & Self::MAX_PAYLOAD)
    }

    pub(crate) fn state(self) -> PageState {
        match self.0 >> STATE_SHIFT {
            1 => PageState::Secure,
            2 => PageState::Sealed,
            3 => PageState::Shared,
            4 => PageState::Withdrawn,
            _ => PageState::Absent,
        }
    }

    pub(crate) fn is_busy(self) -> bool {
        self.0 & BUSY != 0
    }

    pub(crate) fn label(self) -> Label {
        let [.., low] = (self.0 >> LABEL_SHIFT).to_be_bytes();
        Label(low)
    }

    pub(crate) fn with_label(self, label: Label) -> Self {
        Self(self.0 & !LABEL_MASK | u64::from(label.0) << LABEL_SHIFT)
    }

    pub(crate) fn payload(self) -> u64 {
        self.0 & Self::MAX_PAYLOAD
    }

    /// Whether guest accesses are at work on the page, which is shared.
    pub(crate) fn is_accessed(self) -> bool {
        self.state() == PageState::Shared && self.0 & USE_MASK != 0
    }

    /// The word with one more guest access at work; `None` unless the page is shared, nobody is changing it, and there is
    /// room to count.
    pub(super) fn accessed(self) -> Option<Self> {
        let free = self.state() == PageState::Shared && !self.is_busy() && self.0 & USE_MASK != USE_MASK;
        free.then_some(Self(self.0 + Self::ACCESS))
    }

    /// Whether the guest used the page, which is secure, since the clock last passed.
    pub(super) fn is_used(self) -> bool {
        self.0 & USE_ONE != 0
    }

    /// The word of a secure page with the mark of use or without.
    pub(super) fn with_used(self, used: bool) -> Self {
        Self(if used { self.0 | USE_ONE } else { self.0 & !USE_ONE })
    }

    /// The word while nobody is changing the page.
    pub(super) fn free(self) -> Self {
        Self(self.0 & !BUSY)
    }

    /// Whether both words say that the content is at the same place and nobody moves it.
    pub(crate) fn same_place(self, other: Self) -> bool {
        !self.is_busy() && self.state() == other.state() && self.payload() == other.payload()
    }

    /// The payload as a frame or record number.
    pub(crate) fn index(self) -> u32 {
        let [_, _, _, _, low @ ..] = self.0.to_be_bytes();
        u32::from_be_bytes(low)
    }
}
