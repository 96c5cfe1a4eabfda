//! A virtual CPU on the bare engine.

use super::vm::{BareError, Image, Inner};
use crate::guest::{GuestCpu, GuestEvent, NormalView, Program, SecureView};
use crate::{GuestFault, SpaceError};
use alloc::boxed::Box;
use alloc::sync::Arc;
use uv_core::{ErrorType, Exit, Gfn, Vcpu, VmState};

/// What a bare guest can ask of the ultravisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BareCall {
    /// Becomes secure, with these pages of its memory.
    Enter(Image),
    /// Shares a page.
    Share(Gfn),
    /// Takes a page back.
    Unshare(Gfn),
    /// Waits; the next run ends it.
    Wait,
}

/// A virtual CPU of a [`BareVm`](super::BareVm).
#[derive(Debug)]
pub struct BareVcpu {
    vm: VmRef,
    cpu: GuestCpu<BareCall, Result<(), BareError>>,
    /// What the last exit asked for, until it is answered.
    asked: Option<BareCall>,
}

/// The VM, not shown in debug output: it leads to guest memory.
struct VmRef(Arc<Inner>);

impl core::fmt::Debug for VmRef {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("BareVm(..)")
    }
}

impl BareVcpu {
    pub(super) fn new(vm: Arc<Inner>, program: Box<dyn Program<BareCall, Result<(), BareError>>>) -> Self {
        Self { vm: VmRef(vm), cpu: GuestCpu::new(program), asked: None }
    }

    /// The image that this virtual CPU of `vm` asks to enter secure mode with.
    pub(super) fn asks_to_enter(&self, vm: &Arc<Inner>) -> Option<Image> {
        match self.asked {
            Some(BareCall::Enter(image)) if Arc::ptr_eq(&self.vm.0, vm) => Some(image),
            _ => None,
        }
    }

    /// Tells the guest what came of what the last exit asked for.
    pub(super) fn answer(&mut self, result: Result<(), BareError>) {
        self.asked = None;
        self.cpu.complete(result);
    }

    /// Answers what the hypervisor left open: what it did not do is refused.
    fn settle(&mut self) {
        let done = match self.asked {
            None => return,
            Some(BareCall::Wait) => true,
            Some(BareCall::Enter(_)) => false,
            // Still in the list: nobody has accepted it.
            Some(BareCall::Share(gfn)) => !self.vm.0.asked.lock().remove(&(gfn, true)),
            Some(BareCall::Unshare(gfn)) => !self.vm.0.asked.lock().remove(&(gfn, false)),
        };
        self.answer(if done { Ok(()) } else { Err(BareError::Refused) });
    }

    /// Serves an instruction that left the guest. `Some` when the hypervisor has to act.
    fn call(&mut self, call: BareCall) -> Option<Exit<core::convert::Infallible>> {
        let vm = &self.vm.0;
        let (gfn, share) = match call {
            BareCall::Enter(_) if vm.space().is_ok() => {
                self.cpu.complete(Err(BareError::State(VmState::Secure)));
                return None;
            }
            BareCall::Enter(_) => {
                self.asked = Some(call);
                return Some(Exit::EnterSecureMode);
            }
            BareCall::Wait => {
                self.asked = Some(call);
                return Some(Exit::Halted);
            }
            BareCall::Share(gfn) => (gfn, true),
            BareCall::Unshare(gfn) => (gfn, false),
        };
        if !vm.abilities.shares_alone && vm.space().is_ok() {
            self.asked = Some(call);
            vm.asked.lock().insert((gfn, share));
            return Some(Exit::ShareRequest { pages: gfn.into(), share });
        }
        let result = loop {
            match vm.set_shared(gfn, share) {
                // Another virtual CPU is at work on the page: the instruction is repeated, as an access is.
                Err(BareError::Space(SpaceError::Busy(_))) => core::hint::spin_loop(),
                result => break result,
            }
        };
        match result {
            // A page that is away comes back first, then the guest's call is made again.
            Err(BareError::Space(SpaceError::State { gfn, .. })) => {
                return Some(Exit::PageMissing { gfn, access: uv_core::Access::Store });
            }
            result => self.cpu.complete(result),
        }
        None
    }
}

impl ErrorType for BareVcpu {
    type Error = BareError;
}

impl Vcpu for BareVcpu {
    type Arch = core::convert::Infallible;

    fn run(&mut self) -> Result<Exit<Self::Arch>, BareError> {
        self.settle();
        loop {
            let vm = &self.vm.0;
            let space = vm.space().ok();
            let event = match &space {
                Some(space) => self.cpu.advance(&SecureView { space, memory: &vm.memory }),
                None => self.cpu.advance(&NormalView { slots: &vm.slots, memory: &vm.memory }),
            };
            match event {
                GuestEvent::Halted => return Ok(Exit::Halted),
                GuestEvent::Call(call) => {
                    if let Some(exit) = self.call(call) {
                        return Ok(exit);
                    }
                }
                GuestEvent::Fault(GuestFault::Missing { gfn, access, .. }) => {
                    return Ok(Exit::PageMissing { gfn, access });
                }
                GuestEvent::Fault(GuestFault::OutOfRange(gfn) | GuestFault::Busy(gfn)) => {
                    return Err(SpaceError::OutOfRange(gfn).into());
                }
                GuestEvent::Fault(GuestFault::Memory { error, .. }) => return Err(SpaceError::Memory(error).into()),
                GuestEvent::Fault(GuestFault::Closed) => return Err(BareError::State(VmState::Normal)),
            }
        }
    }
}
