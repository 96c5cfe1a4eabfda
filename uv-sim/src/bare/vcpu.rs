//! A virtual CPU on the bare engine.

use alloc::{boxed::Box, sync::Arc};

use uv_core::{ErrorType, Exit, Gfn, Vcpu, VmState};

use super::vm::{BareError, Inner};
use crate::guest::{GuestCpu, GuestEvent, NormalView, Program, SecureView};
use crate::{GuestFault, SpaceError};

/// What a bare guest can ask of the ultravisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BareCall {
    /// Shares a page; the content goes along.
    Share(Gfn),
    /// Takes a page back with the content it has.
    Unshare(Gfn),
}

/// A virtual CPU of a [`BareVm`](super::BareVm).
#[derive(Debug)]
pub struct BareVcpu {
    vm: VmRef,
    cpu: GuestCpu<BareCall, Result<(), BareError>>,
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
        Self { vm: VmRef(vm), cpu: GuestCpu::new(program) }
    }
}

impl ErrorType for BareVcpu {
    type Error = BareError;
}

impl Vcpu for BareVcpu {
    type Arch = core::convert::Infallible;

    fn run(&mut self) -> Result<Exit<Self::Arch>, BareError> {
        let vm = &self.vm.0;
        loop {
            let space = vm.space().ok();
            let event = match &space {
                Some(space) => self.cpu.advance(&SecureView { space, memory: &vm.memory }),
                None => self.cpu.advance(&NormalView { slots: &vm.slots, memory: &vm.memory }),
            };
            match event {
                GuestEvent::Halted => return Ok(Exit::Halted),
                GuestEvent::Call(call) => {
                    let result = vm.guest_call(call);
                    // A page that is away comes back first, then the guest's call is made again.
                    if let Err(BareError::Space(SpaceError::State { gfn, .. })) = result {
                        return Ok(Exit::PageMissing { gfn, access: uv_core::Access::Store });
                    }
                    // Another virtual CPU is at work on the page: the instruction is repeated, as an access is.
                    if let Err(BareError::Space(SpaceError::Busy(_))) = result {
                        core::hint::spin_loop();
                        continue;
                    }
                    self.cpu.complete(result);
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
