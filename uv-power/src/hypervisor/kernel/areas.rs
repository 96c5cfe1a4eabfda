//! Areas of guest memory that a virtual CPU registers with the host (`H_REGISTER_VPA`).
//!
//! The ultravisor knows nothing of them: the guest shares their pages first (power-pef §15.4). Their pages are pinned from the
//! registration on; they are forgotten when the VM leaves secure mode (§6.4 step 5).

use alloc::collections::BTreeMap;

use uv_core::GuestAddr;

use super::Vm;

/// What an area is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AreaKind {
    /// Virtual processor area.
    Vpa,
    /// Dispatch trace log.
    DispatchTraceLog,
    /// SLB shadow buffer.
    SlbShadow,
}

/// A registered area.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuestArea {
    /// Its first byte.
    pub at: GuestAddr,
    /// Bytes, as the area itself tells.
    pub len: u32,
}

/// The areas of all virtual CPUs of a VM.
pub(super) type Areas = BTreeMap<(u32, AreaKind), GuestArea>;

impl Vm {
    /// The area of a kind that a virtual CPU registered.
    #[must_use]
    pub fn area(&self, vcpu: u32, kind: AreaKind) -> Option<GuestArea> {
        self.areas.lock().get(&(vcpu, kind)).copied()
    }

    /// Unpins and forgets all areas.
    pub(super) fn forget_areas(&self) {
        for area in core::mem::take(&mut *self.areas.lock()).into_values() {
            self.unpin(Self::PAGE_SIZE.gfn(area.at));
        }
    }
}
