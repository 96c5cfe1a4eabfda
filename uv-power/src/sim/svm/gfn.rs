//! What the ultravisor knows of one guest page (power-pef §5).
//!
//! | state | who holds the content | who sees the page |
//! |---|---|---|
//! | secure | a secure frame, or nobody while it is zeros | guest |
//! | paged out | the hypervisor, sealed | nobody |
//! | shared | a normal page | both |
//! | shared, invalidated | a normal page that is away | nobody, the guest faults |
//! | shared implicitly (and invalidated) | a normal page | hypervisor and ultravisor; an access of the guest kills it |
//! | share requested, delivered, withdrawn | the secure frame still | guest |
//! | unshare requested, invalidated, confirmed | the normal page still | both, until it is invalidated |
//! | pseudo-shared (and invalidated) | the secure frame | guest; the hypervisor sees its own normal page |
//!
//! Invariant: only a guest's own request, or the ultravisor's for its own buffers, starts the way to a shared state.

use num_enum::{IntoPrimitive, TryFromPrimitive};

/// State of a guest page in a secure VM, by the number of the fact sheet. It lives in the engine's page label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, TryFromPrimitive, IntoPrimitive)]
#[repr(u8)]
pub enum GfnState {
    /// Secure: the state of every page that nothing happened to.
    Secure = 0,
    /// Sealed in normal memory.
    PagedOut = 1,
    /// Shared because the guest asked.
    Shared = 2,
    /// Shared, normal page taken away.
    SharedInv = 3,
    /// Shared by the ultravisor for its own buffers.
    SharedImplicit = 4,
    /// The same, normal page taken away.
    SharedImplicitInv = 5,
    /// The hypervisor is asked for a normal page.
    HvSharing = 6,
    /// It delivered one.
    HvShared = 7,
    /// It took the one back.
    HvSharedInv = 8,
    /// The hypervisor is asked to give the page up.
    HvUnsharing = 9,
    /// It took the normal page away.
    HvUnsharingInv = 10,
    /// It confirmed.
    HvUnshared = 11,
    /// Shared for the hypervisor only, the guest keeps its frame.
    PseudoShared = 12,
    /// The same, normal page taken away.
    PseudoSharedInv = 13,
}

impl GfnState {
    /// All states by number.
    pub const ALL: [Self; 14] = [
        Self::Secure,
        Self::PagedOut,
        Self::Shared,
        Self::SharedInv,
        Self::SharedImplicit,
        Self::SharedImplicitInv,
        Self::HvSharing,
        Self::HvShared,
        Self::HvSharedInv,
        Self::HvUnsharing,
        Self::HvUnsharingInv,
        Self::HvUnshared,
        Self::PseudoShared,
        Self::PseudoSharedInv,
    ];

    /// Shared in any way, committed.
    #[must_use]
    pub const fn is_shared(self) -> bool {
        matches!(
            self,
            Self::Shared
                | Self::SharedInv
                | Self::SharedImplicit
                | Self::SharedImplicitInv
                | Self::PseudoShared
                | Self::PseudoSharedInv
        )
    }

    /// On the way from one group to another.
    #[must_use]
    pub const fn is_transient(self) -> bool {
        matches!(
            self,
            Self::HvSharing
                | Self::HvShared
                | Self::HvSharedInv
                | Self::HvUnsharing
                | Self::HvUnsharingInv
                | Self::HvUnshared
        )
    }

    /// Shared by the ultravisor: the guest cannot take the page back.
    #[must_use]
    pub const fn is_ultravisors(self) -> bool {
        matches!(self, Self::SharedImplicit | Self::SharedImplicitInv | Self::PseudoShared | Self::PseudoSharedInv)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_those_of_the_sheet() {
        let of = |test: fn(GfnState) -> bool| {
            GfnState::ALL.into_iter().filter(|s| test(*s)).map(u8::from).collect::<alloc::vec::Vec<_>>()
        };
        assert_eq!(of(GfnState::is_shared), [2, 3, 4, 5, 12, 13]);
        assert_eq!(of(GfnState::is_transient), [6, 7, 8, 9, 10, 11]);
        assert_eq!(of(GfnState::is_ultravisors), [4, 5, 12, 13]);
        assert!(GfnState::ALL.iter().enumerate().all(|(n, s)| usize::from(u8::from(*s)) == n));
    }
}
