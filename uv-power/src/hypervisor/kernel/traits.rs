//! The traits of `uv-core` on a VM of KVM-HV.

use alloc::sync::Arc;

use uv_core::{
    AcceptSharing, DestroyPages, EnterSecureMode, ErrorType, Gfn, MemSlots, PageCounts, PageIn, PageOut, PageRange,
    PageSize, PageState, RangeError, SecureVm, SharePages, VmState, check_in_slots,
};

use super::hcall::{bring_in, take_out};
use super::{GfnState, KvmError, KvmVcpu, SecureGuest, Vm};

impl ErrorType for Vm {
    type Error = KvmError;
}

impl SecureVm for Vm {
    fn page_size(&self) -> PageSize {
        Self::PAGE_SIZE
    }

    fn mem_slots(&self) -> MemSlots {
        self.slots()
    }

    fn vm_state(&self) -> VmState {
        let flags = self.secure_guest();
        if self.is_aborted() {
            return VmState::Aborted;
        }
        if flags.contains(SecureGuest::INIT_DONE) {
            VmState::Secure
        } else if flags.contains(SecureGuest::INIT_START) {
            VmState::Entering
        } else {
            VmState::Normal
        }
    }

    fn page_state(&self, gfn: Gfn) -> Result<PageState, KvmError> {
        check_in_slots(&self.slots.read(), gfn.into())?;
        Ok(match self.gfn_state(gfn) {
            GfnState::Normal => PageState::Absent,
            GfnState::Uvmem(_) => PageState::Secure,
            GfnState::PagedOut => PageState::Sealed,
            GfnState::Shared => PageState::Shared,
            GfnState::Invalidated => PageState::Withdrawn,
        })
    }

    fn page_counts(&self) -> Result<PageCounts, KvmError> {
        PageCounts::of(self)
    }

    fn terminate(&self) -> Result<(), KvmError> {
        let _alone = self.moves.write();
        self.svm_off()
    }

    fn as_page_out(&self) -> Option<&dyn PageOut<Error = KvmError>> {
        Some(self)
    }

    fn as_share_pages(&self) -> Option<&dyn SharePages<Error = KvmError>> {
        Some(self)
    }

    /// The guest shares by an ultracall; the normal page behind it is asked for by `H_SVM_PAGE_IN`, which the kernel serves.
    fn as_accept_sharing(&self) -> Option<&dyn AcceptSharing<Error = KvmError>> {
        None
    }

    /// No ultracall gives a page up without sealing it.
    fn as_destroy_pages(&self) -> Option<&dyn DestroyPages<Error = KvmError>> {
        None
    }
}

impl Vm {
    /// Checks a range and the VM, then works page by page: the ultracalls take one page each.
    fn each(&self, range: PageRange, act: impl Fn(Gfn) -> Result<(), KvmError>) -> Result<(), RangeError<KvmError>> {
        let fail = |error| RangeError { done: 0, error };
        check_in_slots(&self.slots.read(), range).map_err(|e| fail(e.into()))?;
        let _moves = self.moves.read();
        if self.vm_state() != VmState::Secure {
            return Err(fail(KvmError::State(self.vm_state())));
        }
        (0_u64..).zip(range.iter()).try_for_each(|(done, gfn)| act(gfn).map_err(|error| RangeError { done, error }))
    }
}

impl PageIn for Vm {
    fn page_in_range(&self, range: PageRange) -> Result<(), RangeError<KvmError>> {
        self.each(range, |gfn| match self.gfn_state(gfn) {
            GfnState::Uvmem(_) | GfnState::Shared => Ok(()),
            GfnState::Invalidated => self.guest_faults(gfn),
            GfnState::PagedOut | GfnState::Normal => bring_in(self, gfn),
        })
    }
}

impl PageOut for Vm {
    fn page_out_range(&self, range: PageRange) -> Result<(), RangeError<KvmError>> {
        self.each(range, |gfn| take_out(self, gfn))
    }
}

impl SharePages for Vm {
    fn is_shared(&self, gfn: Gfn) -> Result<bool, KvmError> {
        Ok(self.page_state(gfn)? == PageState::Shared)
    }

    fn withdraw(&self, gfn: Gfn) -> Result<(), KvmError> {
        check_in_slots(&self.slots.read(), gfn.into())?;
        let _moves = self.moves.read();
        match self.gfn_state(gfn) {
            GfnState::Shared => {
                self.host_unmaps(gfn);
                Ok(())
            }
            GfnState::Invalidated => Ok(()),
            state => Err(KvmError::Page(gfn, state)),
        }
    }
}

/// How a secure guest starts, as far as its hypervisor can know: not where, not with which registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entered {
    /// Device pages in use after the transition.
    pub resident: u64,
}

impl EnterSecureMode for Vm {
    type Cpu = KvmVcpu;
    type Entry = Entered;

    /// Serves `H_SVM_INIT_START` and the hypercalls of the transition behind it, up to `H_SVM_INIT_DONE`; the guest starts at the
    /// next run of the virtual CPU. What the ultravisor checks after that ends in
    /// [`Exit::EnterAborted`](uv_core::Exit::EnterAborted).
    ///
    /// # Errors
    /// [`KvmError::State`] when the VM is not normal, [`KvmError::NotAsked`]: nothing was done. [`KvmError::Refused`] when the
    /// transition ended in `H_SVM_INIT_ABORT`: the guest goes on after its `UV_ESM` with the code in R3. Errors of the run.
    fn enter_secure_mode(&self, cpu: &mut KvmVcpu) -> Result<Entered, KvmError> {
        if self.vm_state() != VmState::Normal {
            return Err(KvmError::State(self.vm_state()));
        }
        if !core::ptr::eq(Arc::as_ptr(cpu.vm()), self) || !cpu.asks_to_enter() {
            return Err(KvmError::NotAsked);
        }
        if let Err(error) = cpu.run_transition() {
            self.svm_off()?;
            return Err(error);
        }
        let resident = self.host.pool.as_ref().map_or(0, |pool| pool.pages() - pool.free());
        Ok(Entered { resident })
    }
}
