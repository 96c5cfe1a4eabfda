//! The traits of `uv-core` on a VM of KVM-HV.

use alloc::sync::Arc;

use spin::Mutex;
use uv_core::{
    EnterSecureMode, ErrorType, Gfn, PageIn, PageOut, PageRange, PageSize, PageState, RangeError, SecureVm, SharePages,
    VmState, check_in_slots,
};

use super::hcall::{make_resident, take_out};
use super::{GfnState, KvmError, KvmVcpu, SecureGuest, Vm};

impl ErrorType for Vm {
    type Error = KvmError;
}

impl SecureVm for Vm {
    fn page_size(&self) -> PageSize {
        Self::PAGE_SIZE
    }

    fn vm_state(&self) -> VmState {
        let flags = self.secure_guest();
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

    fn terminate(&self) -> Result<(), KvmError> {
        self.svm_off()
    }
}

impl Vm {
    /// Checks a range and the VM, then works page by page: the ultracalls take one page each.
    fn each(&self, range: PageRange, act: impl Fn(Gfn) -> Result<(), KvmError>) -> Result<(), RangeError<KvmError>> {
        let fail = |error| RangeError { done: 0, error };
        check_in_slots(&self.slots.read(), range).map_err(|e| fail(e.into()))?;
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
            GfnState::PagedOut | GfnState::Normal => match make_resident(self, gfn) {
                // Another thread was faster.
                Err(KvmError::Page(_, GfnState::Uvmem(_))) => Ok(()),
                other => other,
            },
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

/// The request is the virtual CPU whose guest is about to issue `UV_ESM`: the guest asks the ultravisor itself, the hypervisor runs
/// it and serves the hypercalls of the transition. The exit at which the virtual CPU stops afterwards, in secure mode or as a
/// normal guest that was told `H_PARAMETER`, is what the next [`Vcpu::run`](uv_core::Vcpu::run) gives.
impl EnterSecureMode for Vm {
    type Request = Mutex<KvmVcpu>;
    type Entry = Entered;

    /// # Errors
    /// [`KvmError::State`] when the VM is not normal or the virtual CPU belongs to another VM; [`KvmError::Refused`] when the
    /// transition ended in `H_SVM_INIT_ABORT`; [`KvmError::NotAsked`] when the guest did not come so far; errors of the run.
    fn enter_secure_mode(&self, request: &Mutex<KvmVcpu>) -> Result<Entered, KvmError> {
        let mut cpu = request.lock();
        if self.vm_state() != VmState::Normal || !core::ptr::eq(Arc::as_ptr(cpu.vm()), self) {
            return Err(KvmError::State(self.vm_state()));
        }
        let ended = cpu.run_transition();
        match ended {
            Ok(None) if self.vm_state() == VmState::Secure => {
                let resident = self.host.pool.as_ref().map_or(0, |pool| pool.pages() - pool.free());
                return Ok(Entered { resident });
            }
            _ => {}
        }
        // A failure after H_SVM_INIT_DONE leaves both sides half way (power-pef §7.4).
        self.svm_off()?;
        Err(ended?.map_or(KvmError::NotAsked, KvmError::Refused))
    }
}
