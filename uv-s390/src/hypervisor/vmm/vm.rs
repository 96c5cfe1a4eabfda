//! A VM as its VMM holds it: the kernel's, with the way into secure mode, which is user space's.

use alloc::sync::Arc;

use uv_core::{
    AcceptSharing, DestroyPages, EnterSecureMode, ErrorType, Gfn, MemSlots, PageCounts, PageIn, PageOut, PageRange,
    PageSize, PageState, RangeError, SecureVm, SharePages, VmState,
};

use super::ipl::{self, IplOptions, Started};
use super::{VmmError, VmmVcpu};
use crate::hypervisor::kernel::{HostError, Vm};

/// A VM of a VMM. Clones are the same VM.
#[derive(Clone, Debug)]
pub struct VmmVm(Arc<Vm>);

impl VmmVm {
    /// The VMM's side of a VM of the kernel's.
    #[must_use]
    pub const fn new(inner: Arc<Vm>) -> Self {
        Self(inner)
    }

    /// The VM of the kernel.
    #[must_use]
    pub const fn inner(&self) -> &Arc<Vm> {
        &self.0
    }
}

impl Vm {
    /// QEMU's sequence behind DIAG 308 subcode 10 with this PV IPIB, on the lowest CPU number, whoever asked for it. The response
    /// for the guest is in [`VmmError::Start`].
    ///
    /// # Errors
    /// [`HostError::Protected`], [`VmmError::Start`].
    pub fn start_protected(&self, ipib: &[u8]) -> Result<Started, VmmError> {
        let initiator = self.cpu_numbers().into_iter().min().unwrap_or(0);
        start_on(self, initiator, ipib)
    }
}

fn start_on(guest: &Vm, initiator: u16, ipib: &[u8]) -> Result<Started, VmmError> {
    // A protected guest cannot ask for it (subcode 10 is a specification exception there), and the resets would end it.
    if guest.is_protected() {
        return Err(HostError::Protected.into());
    }
    let mut others = guest.cpu_numbers();
    others.retain(|number| *number != initiator);
    let options = IplOptions { initiator, others, ..IplOptions::default() };
    Ok(ipl::start(guest, &guest.storage(), ipib, &options, &mut |_| {})?)
}

impl ErrorType for VmmVm {
    type Error = VmmError;
}

impl EnterSecureMode for VmmVm {
    type Cpu = VmmVcpu;
    type Entry = Started;

    /// QEMU's sequence behind DIAG 308 subcode 10. After a refusal GR r1+1 of the guest has the response.
    ///
    /// # Errors
    /// [`HostError::Protected`], [`HostError::NotAsked`]: nothing was done. [`VmmError::Start`].
    fn enter_secure_mode(&self, cpu: &mut VmmVcpu) -> Result<Started, VmmError> {
        if self.0.is_protected() {
            return Err(HostError::Protected.into());
        }
        let mine = Arc::ptr_eq(cpu.inner().vm(), &self.0);
        let request = if mine { cpu.take_request() } else { None };
        let (r1, ipib) = request.ok_or(HostError::NotAsked)?;
        let started = start_on(&self.0, cpu.inner().number(), &ipib);
        if let Err(VmmError::Start(error)) = &started {
            cpu.respond(r1, error.response)?;
        }
        started
    }
}

impl SecureVm for VmmVm {
    fn page_size(&self) -> PageSize {
        self.0.page_size()
    }

    fn mem_slots(&self) -> MemSlots {
        self.0.mem_slots()
    }

    fn vm_state(&self) -> VmState {
        self.0.vm_state()
    }

    fn page_state(&self, gfn: Gfn) -> Result<PageState, VmmError> {
        Ok(self.0.page_state(gfn)?)
    }

    fn page_counts(&self) -> Result<PageCounts, VmmError> {
        Ok(self.0.page_counts()?)
    }

    fn terminate(&self) -> Result<(), VmmError> {
        Ok(self.0.terminate()?)
    }

    fn as_page_out(&self) -> Option<&dyn PageOut<Error = VmmError>> {
        Some(self)
    }

    fn as_share_pages(&self) -> Option<&dyn SharePages<Error = VmmError>> {
        Some(self)
    }

    fn as_accept_sharing(&self) -> Option<&dyn AcceptSharing<Error = VmmError>> {
        None
    }

    fn as_destroy_pages(&self) -> Option<&dyn DestroyPages<Error = VmmError>> {
        Some(self)
    }
}

/// The same stop, as the VMM's error.
fn stopped(at: RangeError<HostError>) -> RangeError<VmmError> {
    RangeError { done: at.done, error: at.error.into() }
}

impl PageIn for VmmVm {
    fn page_in_range(&self, range: PageRange) -> Result<(), RangeError<VmmError>> {
        self.0.page_in_range(range).map_err(stopped)
    }
}

impl PageOut for VmmVm {
    fn page_out_range(&self, range: PageRange) -> Result<(), RangeError<VmmError>> {
        self.0.page_out_range(range).map_err(stopped)
    }
}

impl SharePages for VmmVm {
    fn is_shared(&self, gfn: Gfn) -> Result<bool, VmmError> {
        Ok(self.0.is_shared(gfn)?)
    }

    fn withdraw(&self, gfn: Gfn) -> Result<(), VmmError> {
        Ok(self.0.withdraw(gfn)?)
    }
}

impl DestroyPages for VmmVm {
    fn destroy_range(&self, range: PageRange) -> Result<(), RangeError<VmmError>> {
        self.0.destroy_range(range).map_err(stopped)
    }
}
