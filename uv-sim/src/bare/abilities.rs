//! What a bare machine has of what machines may lack.

/// The abilities of a bare machine. [`BareAbilities::ALL`] is like IBM Z; [`BareAbilities::NO_SEALING`] is like Arm CCA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BareAbilities {
    /// Pages can be taken away sealed.
    pub page_out: bool,
    /// The memory behind a shared page can be taken away.
    pub withdraw: bool,
    /// Pages can be given up without their content.
    pub destroy: bool,
    /// The guest shares alone and its content goes along; otherwise it asks the hypervisor, and the other side finds zeros.
    pub shares_alone: bool,
}

impl BareAbilities {
    /// Everything; the guest needs nobody to share.
    pub const ALL: Self = Self { page_out: true, withdraw: true, destroy: true, shares_alone: true };
    /// Nothing goes out sealed, and the guest asks to share.
    pub const NO_SEALING: Self = Self { page_out: false, withdraw: false, destroy: true, shares_alone: false };
}
