//! The vocabulary of states. Each backend maps its machine's states to these.

use core::fmt;

use crate::SecureVm;

/// Where a VM stands on its way into and out of secure mode.
///
/// ```text
/// Normal ──enter──▶ Entering ──▶ Secure ──terminate──▶ Normal
///            └──fail──┘             └──the ultravisor gives up──▶ Aborted ──terminate──▶ Normal
/// ```
/// While [`enter_secure_mode`](crate::EnterSecureMode::enter_secure_mode) is at work another thread may find `Entering`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum VmState {
    /// An ordinary VM: the hypervisor sees all of it.
    Normal,
    /// The ultravisor knows the VM; the image is being taken over or checked. The guest does not run as a secure VM. IBM Z: from
    /// CREATE_SEC_CONF to VERIFY_IMG; POWER: from `H_SVM_INIT_START` to `H_SVM_INIT_DONE`.
    Entering,
    /// The guest runs on secure memory. Invariant: no plaintext byte of a page that the guest has not shared is
    /// readable by the hypervisor.
    Secure,
    /// The ultravisor gave up after the hypervisor had done its part, and waits to be told to forget the VM. POWER has it
    /// ([`Exit::EnterAborted`](crate::Exit::EnterAborted)). Invariant: as [`VmState::Secure`].
    Aborted,
}

/// What stands behind one guest page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PageState {
    /// Nothing secure yet: the guest finds zeros at its first access, unless an image page is put here first.
    /// Invariant: the ultravisor keeps nothing for the page.
    Absent,
    /// Plaintext in a secure frame; the guest reaches it, the hypervisor does not.
    Secure,
    /// Ciphertext in the hypervisor's memory; the ultravisor keeps what proves its newest version.
    Sealed,
    /// The guest opened the page to the hypervisor; both reach the same normal memory. Whether the content goes
    /// along is the machine's way.
    Shared,
    /// Shared, but the hypervisor took its page away for now; the guest faults.
    Withdrawn,
}

/// How many pages stand in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PageCounts {
    /// Pages in [`PageState::Secure`].
    pub secure: u64,
    /// Pages in [`PageState::Sealed`].
    pub sealed: u64,
    /// Pages in [`PageState::Shared`].
    pub shared: u64,
    /// Pages in [`PageState::Withdrawn`].
    pub withdrawn: u64,
}

impl PageCounts {
    /// Counts the pages of a VM one by one: for a backend that keeps no counts.
    ///
    /// # Errors
    /// Those of [`SecureVm::page_state`].
    pub fn of<V: SecureVm + ?Sized>(vm: &V) -> Result<Self, V::Error> {
        let mut counts = Self::default();
        for (_, slot) in vm.mem_slots().iter() {
            for gfn in slot.range().iter() {
                counts.add(vm.page_state(gfn)?);
            }
        }
        Ok(counts)
    }

    /// Counts one page. [`PageState::Absent`] pages are not counted: nothing is kept for them.
    pub const fn add(&mut self, state: PageState) {
        match state {
            PageState::Absent => {}
            PageState::Secure => self.secure += 1,
            PageState::Sealed => self.sealed += 1,
            PageState::Shared => self.shared += 1,
            PageState::Withdrawn => self.withdrawn += 1,
        }
    }

    /// All pages the ultravisor keeps something for.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.secure + self.sealed + self.shared + self.withdrawn
    }
}

impl fmt::Display for PageCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} secure, {} sealed, {} shared, {} withdrawn",
            self.secure, self.sealed, self.shared, self.withdrawn
        )
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn pages_are_counted_by_state() {
        use PageState::{Absent, Sealed, Secure, Shared, Withdrawn};
        let mut counts = PageCounts::default();
        for (state, times) in [(Absent, 5), (Secure, 1), (Sealed, 2), (Shared, 3), (Withdrawn, 4)] {
            (0..times).for_each(|_| counts.add(state));
        }
        assert_eq!(counts, PageCounts { secure: 1, sealed: 2, shared: 3, withdrawn: 4 });
        assert_eq!(counts.total(), 10);
        assert_eq!(counts.to_string(), "1 secure, 2 sealed, 3 shared, 4 withdrawn");
    }
}
