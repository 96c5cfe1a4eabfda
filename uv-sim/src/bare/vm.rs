//! A VM on the bare engine.

use super::{BareAbilities, BareCall, BareVcpu};
use crate::guest::Program;
use crate::{Content, Engine, SecureSpace, SpaceError};
use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use spin::{Mutex, RwLock};
use uv_core::{
    AcceptSharing, ArgumentError, DestroyPages, ErrorKind, ErrorType, Gfn, HostAddr, MemSlots, NormalMemory,
    PageCounts, PageOut, PageRange, PageSize, PageState, RangeError, SecureVm, SharePages, Unsupported, VmState,
    check_in_slots,
};

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
    /// The guest has not asked for this.
    #[error("the guest has not asked for this")]
    NotAsked,
    /// What the guest is told when its hypervisor did not do what it asked for.
    #[error("the hypervisor refused")]
    Refused,
    /// The machine lacks the ability.
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
}

impl uv_core::Error for BareError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Argument(e) => e.kind(),
            Self::Space(e) => e.kind(),
            Self::State(_) | Self::NotAsked => ErrorKind::WrongState,
            Self::Refused => ErrorKind::Permission,
            Self::Unsupported(e) => e.kind(),
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
    pub(super) memory: Arc<dyn NormalMemory>,
    pub(super) slots: MemSlots,
    pub(super) space: RwLock<Option<Arc<SecureSpace>>>,
    pub(super) engine: Arc<Engine>,
    pub(super) abilities: BareAbilities,
    /// The pages that guests asked their hypervisor to share (`true`) or to give back, and that it has not.
    pub(super) asked: Mutex<BTreeSet<(Gfn, bool)>>,
}

impl Inner {
    /// The secure memory, while the VM is secure.
    pub(super) fn space(&self) -> Result<Arc<SecureSpace>, BareError> {
        self.space.read().clone().ok_or(BareError::State(VmState::Normal))
    }

    /// A page becomes shared, or private again.
    pub(super) fn set_shared(&self, gfn: Gfn, share: bool) -> Result<(), BareError> {
        let space = self.space()?;
        let content = if self.abilities.shares_alone { Content::Kept } else { Content::Zeroed };
        if share {
            Ok(space.share(gfn, &self.memory, self.host(gfn)?, content)?)
        } else {
            Ok(space.unshare(gfn, &self.memory, content)?)
        }
    }

    pub(super) fn host(&self, gfn: Gfn) -> Result<HostAddr, BareError> {
        Ok(self.slots.host_page(gfn).ok_or(ArgumentError::NoSlot(gfn))?)
    }

    pub(super) fn checked(&self, range: PageRange) -> Result<Arc<SecureSpace>, BareError> {
        check_in_slots(&self.slots, range)?;
        self.space()
    }

    /// Cuts a range into runs of pages that are in one state and lie side by side in normal memory, and calls `act` for
    /// each run: the engine works on several pages at once.
    pub(super) fn each_run(
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
            act(&space, run, state, host).map_err(|e| {
                // A page that another thread moved since: the same call works now.
                let error = match e.error {
                    SpaceError::State { gfn, state: now } if now != state => SpaceError::Busy(gfn),
                    error => error,
                };
                RangeError { done: done + e.done, error: error.into() }
            })?;
            done += run.count;
        }
        Ok(())
    }
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
    /// A normal VM on a machine with all abilities.
    #[must_use]
    pub fn new(engine: Arc<Engine>, memory: impl NormalMemory + 'static, slots: MemSlots) -> Self {
        Self::with_abilities(engine, memory, slots, BareAbilities::ALL)
    }

    /// A normal VM on a machine with some abilities.
    #[must_use]
    pub fn with_abilities(
        engine: Arc<Engine>,
        memory: impl NormalMemory + 'static,
        slots: MemSlots,
        abilities: BareAbilities,
    ) -> Self {
        let memory = Arc::new(memory);
        Self(Arc::new(Inner { memory, slots, space: RwLock::new(None), engine, abilities, asked: Mutex::default() }))
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

    fn mem_slots(&self) -> MemSlots {
        self.0.slots.clone()
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

    fn page_counts(&self) -> Result<PageCounts, BareError> {
        Ok(self.0.space.read().as_ref().map_or_else(PageCounts::default, |space| space.counts()))
    }

    fn terminate(&self) -> Result<(), BareError> {
        let mut current = self.0.space.write();
        if let Some(space) = &*current {
            space.close()?;
            self.0.asked.lock().clear();
        }
        *current = None;
        Ok(())
    }

    fn as_page_out(&self) -> Option<&dyn PageOut<Error = BareError>> {
        self.0.abilities.page_out.then_some(self)
    }

    fn as_share_pages(&self) -> Option<&dyn SharePages<Error = BareError>> {
        self.0.abilities.withdraw.then_some(self)
    }

    fn as_accept_sharing(&self) -> Option<&dyn AcceptSharing<Error = BareError>> {
        (!self.0.abilities.shares_alone).then_some(self)
    }

    fn as_destroy_pages(&self) -> Option<&dyn DestroyPages<Error = BareError>> {
        self.0.abilities.destroy.then_some(self)
    }
}
