//! What must be true after every call, whoever made it: the ultravisor's page states, the engine's pages and its frames agree, and no
//! plaintext byte of a guest stands where the host can read.

use std::collections::BTreeMap;

use uv_core::{Gfn, HostAddr, NormalMemory, PageState};
use uv_power::abi::numbers::{HvCall, UltracallNumber};
use uv_power::abi::{HvCode, UvCode};
use uv_power::sim::GfnState;

use crate::rig::*;

/// What stands in pages that a guest keeps to itself, over and over.
pub(crate) const MARKER: [u8; 16] = *b"never outside!!\n";
/// Normal memory through which a sealed page comes back.
const SPARE: u64 = 0x700_0000;
/// Bytes from one place of a page where it is looked for to the next.
const STEP: usize = 16384;

/// A page full of the marker.
pub(crate) fn marked() -> Vec<u8> {
    MARKER.repeat(PAGE as usize / MARKER.len())
}

/// States of the engine in which a page may be that the ultravisor has in `state`.
fn agree(state: GfnState, page: PageState) -> bool {
    use GfnState as G;
    use PageState as P;
    match state {
        G::Secure => matches!(page, P::Absent | P::Secure),
        G::PagedOut => page == P::Sealed,
        G::Shared => page == P::Shared,
        G::SharedInv | G::SharedImplicit | G::SharedImplicitInv => page == P::Withdrawn,
        G::HvSharing | G::HvShared | G::HvSharedInv | G::PseudoShared | G::PseudoSharedInv => page == P::Secure,
        // A share that is taken back has its frame still, an unshare its normal page.
        G::HvUnsharing | G::HvUnsharingInv => matches!(page, P::Secure | P::Shared | P::Withdrawn),
        G::HvUnshared => matches!(page, P::Shared | P::Withdrawn),
    }
}

/// Some pages in the two views, and the frames.
pub(crate) fn views(rig: &Rig, pages: impl Iterator<Item = u64>) {
    for gfn in pages.map(Gfn) {
        let (Some(state), Some(page)) = (rig.machine.gfn_state(VM, gfn), rig.machine.page_state(VM, gfn)) else {
            continue;
        };
        assert!(agree(state, page), "page {gfn}: {state:?}, {page:?}");
    }
    let (used, all) = rig.machine.secure_pages();
    assert!(used <= all);
    let secure = rig.machine.page_counts(VM).map_or(0, |counts| counts.secure);
    assert_eq!(used, secure, "frames in use, secure pages");
}

/// The same for all pages: none has anything outside of the slots.
pub(crate) fn all_views(rig: &Rig) {
    let all = 0..2 * GUEST / PAGE;
    views(rig, all.clone());
    let Some(engine) = rig.machine.page_counts(VM) else { return };
    let mut counts = uv_core::PageCounts::default();
    all.filter_map(|gfn| rig.machine.page_state(VM, Gfn(gfn))).for_each(|state| counts.add(state));
    let of = |c: &uv_core::PageCounts| (c.secure, c.sealed, c.shared, c.withdrawn);
    assert_eq!(of(&counts), of(&engine), "pages outside of the slots");
}

/// Normal memory as an attacker searches it, and the pages of it that the host has taken for something else.
pub(crate) struct Host {
    /// Ranges that are searched: first byte, bytes.
    ranges: Vec<(u64, u64)>,
    /// Which normal page stands behind a guest page, as far as calls have named one.
    behind: BTreeMap<u64, u64>,
    /// What the newest page-out of a guest page left, for when the guest wants it back.
    sealed: BTreeMap<u64, Vec<u8>>,
    /// Pages that the host uses itself, and what it put there.
    own: BTreeMap<u64, u8>,
    next: u8,
    /// How many pages the host has taken.
    pub(crate) taken: u64,
}

impl Host {
    pub(crate) fn new(ranges: &[(u64, u64)]) -> Self {
        Self {
            ranges: ranges.to_vec(),
            behind: BTreeMap::new(),
            sealed: BTreeMap::new(),
            own: BTreeMap::new(),
            next: 0x80,
            taken: 0,
        }
    }

    /// The host writes a page that it may have given away.
    pub(crate) fn write(&mut self, rig: &Rig, page: u64, byte: u8) {
        self.own.remove(&page);
        rig.fill(page, byte);
    }

    /// What a call of the hypervisor means for the host's pages. One that a guest page gives up is used for something else at once.
    pub(crate) fn called(&mut self, rig: &Rig, number: UltracallNumber, args: &[u64], code: UvCode) {
        if matches!(number, UltracallNumber::UV_PAGE_IN | UltracallNumber::UV_PAGE_OUT) {
            self.own.remove(&args[1]);
        }
        if code != UvCode::U_SUCCESS || args[0] != u64::from(VM.0) {
            return;
        }
        match number {
            UltracallNumber::UV_PAGE_OUT if rig.gfn(args[2] / PAGE) == Some(GfnState::PagedOut) => {
                self.sealed.insert(args[2], rig.normal(args[1]));
            }
            UltracallNumber::UV_PAGE_IN => drop(self.behind.insert(args[2], args[1])),
            UltracallNumber::UV_PAGE_INVAL => {
                let Some(page) = self.behind.remove(&args[1]) else { return };
                let searched = self.ranges.iter().any(|(first, bytes)| (*first..first + bytes).contains(&page));
                if searched && !self.behind.values().any(|other| *other == page) {
                    self.next = self.next.wrapping_add(1) | 0x80;
                    rig.fill(page, self.next);
                    self.own.insert(page, self.next);
                    self.taken += 1;
                }
            }
            _ => {}
        }
    }

    /// A turn of the guest, up to its next hypercall for a page: success for what the rig does not know, and for the ultravisor the
    /// page that it asks for.
    pub(crate) fn serve(&mut self, rig: &mut Rig) {
        if rig.regs.nip != 0xc00 {
            return rig.resume(HvCode::H_SUCCESS, &[]);
        }
        if HvCall(rig.regs.gpr[3]) != HvCall::H_SVM_PAGE_IN {
            return rig.go();
        }
        let (gpa, shared) = (rig.regs.gpr[4], rig.regs.gpr[5] == 1);
        let from = match self.sealed.get(&gpa) {
            Some(bytes) if !shared && rig.gfn(gpa / PAGE) == Some(GfnState::PagedOut) => {
                rig.memory.write(HostAddr(SPARE), bytes).unwrap();
                SPARE
            }
            _ => HOST + gpa,
        };
        self.own.remove(&from);
        let code = rig.page_in(from, gpa);
        self.called(rig, UltracallNumber::UV_PAGE_IN, &[VM.0.into(), from, gpa], code);
        rig.resume(if code == UvCode::U_SUCCESS { HvCode::H_SUCCESS } else { HvCode::H_PARAMETER }, &[]);
        rig.run();
    }

    /// No plaintext in normal memory, and the host's own pages as it left them.
    pub(crate) fn search(&self, rig: &Rig) {
        let mut piece = [0; MARKER.len()];
        for (first, bytes) in &self.ranges {
            for at in (*first..first + bytes).step_by(STEP) {
                rig.memory.read(HostAddr(at), &mut piece).unwrap();
                assert!(piece != MARKER, "plaintext of a guest at {at:#x}");
            }
        }
        for (page, byte) in &self.own {
            for at in (*page..page + PAGE).step_by(STEP) {
                rig.memory.read(HostAddr(at), &mut piece).unwrap();
                assert_eq!(piece, [*byte; MARKER.len()], "the host's own page {page:#x}");
            }
        }
    }
}
