//! The two IPIB stores of a machine.

use alloc::vec::Vec;

use crate::abi::ipib::IpibView;

/// What a machine keeps from DIAG 308: the IPIB of subcodes 5 and 6, and the PV IPIB of subcodes 8 and 9.
///
/// Both hold exactly as many bytes as their length field states. Invariant: the PV IPIB passed all checks of subcode 8.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IplStores {
    normal: Option<Vec<u8>>,
    pv: Option<Vec<u8>>,
}

impl IplStores {
    /// Nothing stored, as after power-on without a boot device.
    #[must_use]
    pub const fn new() -> Self {
        Self { normal: None, pv: None }
    }

    /// The IPIB that subcode 6 stores and subcode 3 loads from.
    #[must_use]
    pub fn normal(&self) -> Option<&[u8]> {
        self.normal.as_deref()
    }

    /// The PV IPIB that subcode 9 stores and subcode 10 starts from.
    #[must_use]
    pub fn pv(&self) -> Option<&[u8]> {
        self.pv.as_deref()
    }

    /// Sets the IPIB that the machine itself boots from.
    pub fn set_normal(&mut self, ipib: Vec<u8>) {
        self.normal = Some(ipib);
    }

    pub(super) fn set_pv(&mut self, ipib: Vec<u8>) {
        self.pv = Some(ipib);
    }

    /// What a reset from outside does: drops the IPIB of subcode 5. A re-IPL keeps it, and the PV IPIB survives both.
    pub fn external_reset(&mut self) {
        self.normal = None;
    }

    /// The PV IPIB, ready to be read.
    #[must_use]
    pub fn pv_view(&self) -> Option<IpibView<'_>> {
        self.pv().map(IpibView::new)
    }
}
