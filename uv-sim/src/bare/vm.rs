//! A VM on the bare engine.

use alloc::{boxed::Box, sync::Arc};

use spin::RwLock;
use uv_core::{
    ArgumentError, DestroyPages, EnterSecureMode, ErrorKind, ErrorType, Gfn, HostAddr, MemSlots, NormalMemory, PageIn,
    PageOut, PageRange, PageSize, PageState, RangeError, SecureVm, SharePages, VmState, check_in_slots,
};

use super::{BareCall, BareVcpu};
use crate::guest::Program;
use crate::seal::Suite;
use crate::{Content, Engine, HostMemory, SecureSpace, SpaceError};

/// A refusal of the bare backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BareError {
    /// An argument is wrong.
    #[error(transparent)]
    Argument(#[from] ArgumentError),
    /// The engine refused.
    #[error(transparent)]
    Space(#[from] SpaceError),
    /// The VM is not in the state that the call needs.
    #[error("the VM is {0:?}")]
    State(VmState),
}

impl uv_core::Error for BareError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Argument(e) => e.kind(),
            Self::Space(e) => e.kind(),
            Self::State(_) => ErrorKind::WrongState,
        }
    }
}

/// What a bare guest starts with: these pages of its normal memory are taken over, everything else is zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Image {
    /// The pages taken over as they are.
    pub pages: PageRange,
}

pub(super) struct Inner {
    pub(super) memory: Arc<HostMemory>,
    pub(super) slots: MemSlots,
    pub(super) space: RwLock<Option<Arc<SecureSpace>>>,
    engine: Arc<Engine>,
}

impl Inner {
    /// The secure memory, while the VM is secure.
    pub(super) fn space(&self) -> Result<Arc<SecureSpace>, BareError> {
        self.space.read().clone().ok_or(BareError::State(VmState::Normal))
    }

    /// The guest shares or unshares a page.
    pub(super) fn guest_call(&self, call: BareCall) -> Result<(), BareError> {
        let space = self.space()?;
        match call {
            BareCall::Share(gfn) => Ok(space.share(gfn, &self.memory, self.host(gfn)?, Content::Kept)?),
            BareCall::Unshare(gfn) => Ok(space.unshare(gfn, &self.memory, Content::Kept)?),
        }
    }

    fn host(&self, gfn: Gfn) -> Result<HostAddr, BareError> {
        Ok(self.slots.host_page(gfn).ok_or(ArgumentError::NoSlot(gfn))?)
    }

    fn checked(&self, range: PageRange) -> Result<Arc<SecureSpace>, BareError> {
        check_in_slots(&self.slots, range)?;
        self.space()
    }

    /// Cuts a range into runs of pages that are in one state and lie side by side in normal memory, and calls `act` for
    /// each run: the engine works on several pages at once.
    fn each_run(
        &self,
        range: PageRange,
        act: impl Fn(&SecureSpace, PageRange, PageState, HostAddr) -> Result<(), RangeError<SpaceError>>,
    ) -> Result<(), RangeError<BareError>> {
        let space = self.checked(range).map_err(|error| RangeError { done: 0, error })?;
        let mut done = 0;
        while done < range.count {
            let first = range.first.add(done);
            let fail = |error| RangeError { done, error };
            let state = space.state(first).map_err(|e| fail(e.into()))?;
            let slot = self.slots.find(first).ok_or(ArgumentError::NoSlot(first)).map_err(|e| fail(e.into()))?;
            let most = (slot.pages - (first.0 - slot.first.0)).min(range.count - done);
            let same =
                PageRange::new(first, most).iter().take_while(|gfn| space.state(*gfn) == Ok(state)).count() as u64;
            let run = PageRange::new(first, same.max(1));
            let host = self.host(first).map_err(fail)?;
            act(&space, run, state, host)
                .map_err(|e| RangeError { done: done + e.done, error: BareError::from(e.error) })?;
            done += run.count;
        }
        Ok(())
    }
}

/// Calls `act` for each page of a run and counts.
fn page_by_page(run: PageRange, act: impl Fn(Gfn) -> Result<(), SpaceError>) -> Result<(), RangeError<SpaceError>> {
    (0_u64..).zip(run.iter()).try_for_each(|(done, gfn)| act(gfn).map_err(|error| RangeError { done, error }))
}

/// A VM of the bare backend. Cloning gives another handle of the same VM.
#[derive(Clone)]
pub struct BareVm(pub(super) Arc<Inner>);

impl core::fmt::Debug for BareVm {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("BareVm").field("state", &self.vm_state()).finish_non_exhaustive()
    }
}

impl BareVm {
    /// A normal VM on a machine.
    #[must_use]
    pub fn new(engine: Arc<Engine>, memory: Arc<HostMemory>, slots: MemSlots) -> Self {
        Self(Arc::new(Inner { memory, slots, space: RwLock::new(None), engine }))
    }

    /// A virtual CPU with a program.
    #[must_use]
    pub fn vcpu(&self, program: Box<dyn Program<BareCall, Result<(), BareError>>>) -> BareVcpu {
        BareVcpu::new(Arc::clone(&self.0), program)
    }
}

impl ErrorType for BareVm {
    type Error = BareError;
}

impl SecureVm for BareVm {
    fn page_size(&self) -> PageSize {
        self.0.engine.page_size()
    }

    fn vm_state(&self) -> VmState {
        if self.0.space.read().is_some() { VmState::Secure } else { VmState::Normal }
    }

    fn page_state(&self, gfn: Gfn) -> Result<PageState, BareError> {
        check_in_slots(&self.0.slots, gfn.into())?;
        match &*self.0.space.read() {
            Some(space) => Ok(space.state(gfn)?),
            None => Ok(PageState::Absent),
        }
    }

    fn terminate(&self) -> Result<(), BareError> {
        let mut current = self.0.space.write();
        current.as_ref().map_or(Ok(()), |space| space.close())?;
        *current = None;
        Ok(())
    }

    fn destroy_pages(&self) -> Option<&dyn DestroyPages<Error = BareError>> {
        Some(self)
    }
}

impl EnterSecureMode for BareVm {
    type Request = Image;
    type Entry = ();

    fn enter_secure_mode(&self, image: &Image) -> Result<(), BareError> {
        check_in_slots(&self.0.slots, image.pages)?;
        let mut current = self.0.space.write();
        if current.is_some() {
            return Err(BareError::State(VmState::Secure));
        }
        let space = self.0.engine.create_space(self.0.slots.end().0, Suite::Aes256Ccm);
        for gfn in image.pages.iter() {
            let host = self.0.host(gfn)?;
            space.fill::<SpaceError>(gfn.into(), &self.0.memory, host, |_, _| Ok(())).map_err(|e| e.error)?;
        }
        *current = Some(space);
        Ok(())
    }
}

impl PageIn for BareVm {
    fn page_in_range(&self, range: PageRange) -> Result<(), RangeError<BareError>> {
        let memory = &self.0.memory;
        self.0.each_run(range, |space, run, state, host| match state {
            PageState::Absent => page_by_page(run, |gfn| space.zero_in(gfn)),
            PageState::Sealed => space.open_in(run, memory, host),
            PageState::Withdrawn => page_by_page(run, |gfn| {
                let offset = (gfn.0 - run.first.0) << self.page_size().shift();
                space.restore(gfn, memory, HostAddr(host.0 + offset))
            }),
            PageState::Secure | PageState::Shared => Ok(()),
        })
    }
}

impl PageOut for BareVm {
    fn page_out_range(&self, range: PageRange) -> Result<(), RangeError<BareError>> {
        self.0.each_run(range, |space, run, state, host| match state {
            PageState::Secure => space.seal_out(run, &self.0.memory, host),
            _ => Ok(()),
        })
    }
}

impl SharePages for BareVm {
    fn is_shared(&self, gfn: Gfn) -> Result<bool, BareError> {
        Ok(self.page_state(gfn)? == PageState::Shared)
    }

    fn withdraw(&self, gfn: Gfn) -> Result<(), BareError> {
        Ok(self.0.checked(gfn.into())?.withdraw(gfn)?)
    }
}

impl DestroyPages for BareVm {
    fn destroy_range(&self, range: PageRange) -> Result<(), RangeError<BareError>> {
        let zeros = alloc::vec![0; self.page_size().bytes()];
        self.0.each_run(range, |space, run, _, host| {
            page_by_page(run, |gfn| {
                space.destroy(gfn)?;
                let offset = (gfn.0 - run.first.0) << self.page_size().shift();
                Ok(self.0.memory.write(HostAddr(host.0 + offset), &zeros)?)
            })
        })
    }
}
