//! The virtual CPU of the toy: it does what its guest is told, straight from the list.

use core::convert::Infallible;
use std::sync::Arc;

use uv_conformance::{GuestOp, Saw, Script};
use uv_core::{Access, ErrorKind, ErrorType, Exit, Gfn, Vcpu};

use super::machine::ToyError;
use super::vm::Inner;
use super::{Fault, ToyVm};

/// A virtual CPU.
pub struct ToyCpu {
    pub(super) vm: ToyVm,
    pub(super) good_image: bool,
    /// Whether the last exit asked to enter.
    pub(super) asks: bool,
    pub(super) refused: bool,
    script: Script,
    began: bool,
    /// How often what is at work has faulted.
    faults: u32,
    halted: bool,
}

impl core::fmt::Debug for ToyCpu {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("ToyCpu(..)")
    }
}

impl ToyCpu {
    pub(super) fn new(vm: ToyVm, script: Script, good_image: bool) -> Self {
        Self { vm, good_image, asks: false, refused: false, script, began: false, faults: 0, halted: false }
    }

    pub(super) fn is_of(&self, vm: &Arc<Inner>) -> bool {
        Arc::ptr_eq(&self.vm.0, vm)
    }

    fn has(&self, fault: Fault) -> bool {
        self.vm.has(fault)
    }

    /// What the guest has to do now is done.
    fn done(&mut self, saw: Saw) {
        self.faults = 0;
        self.script.done(saw);
    }

    fn needs(&mut self, gfn: Gfn) -> Option<Exit<Infallible>> {
        self.faults += 1;
        Some(Exit::PageMissing { gfn, access: Access::Load })
    }

    /// Asks the hypervisor to share, or finds what came of that.
    fn ask(&mut self, gfn: Gfn, share: bool) -> Option<Exit<Infallible>> {
        if self.faults == 0 {
            self.faults = 1;
            self.vm.asks_to_share(gfn, share);
            return Some(Exit::ShareRequest { pages: gfn.into(), share });
        }
        let refused = self.vm.takes_wish_back(gfn, share);
        if refused && self.has(Fault::SharesUnserved) {
            let _ = self.vm.accept_sharing_of(gfn, share);
        }
        self.done(if refused && !self.has(Fault::SharesUnserved) { Saw::Refused } else { Saw::Done });
        None
    }

    /// Does one thing; what it did not do for a page it does again.
    fn step(&mut self, op: &GuestOp) -> Option<Exit<Infallible>> {
        if let GuestOp::Share(gfn) | GuestOp::Unshare(gfn) = op
            && self.vm.asking()
        {
            return self.ask(*gfn, matches!(op, GuestOp::Share(_)));
        }
        let skip = self.has(Fault::SkipsFaults) && self.faults > 1 && self.vm.missing(op);
        let dropped = self.has(Fault::DropsFaultedStores) && self.faults > 0 && matches!(op, GuestOp::Store(..));
        if skip || dropped {
            self.done(Saw::Done);
            return None;
        }
        match self.vm.execute(op) {
            Ok(_) if self.has(Fault::FaultsTwice) && self.faults == 1 => self.needs(self.vm.page_of(op)),
            Ok(saw) if self.has(Fault::RepeatsOps) && self.faults > 0 => {
                self.script.tell(op.clone());
                self.done(saw);
                None
            }
            Ok(saw) => {
                self.done(saw);
                None
            }
            Err(gfn) => self.needs(if self.has(Fault::NamesNextPage) { gfn.add(1) } else { gfn }),
        }
    }
}

impl ErrorType for ToyCpu {
    type Error = ToyError;
}

impl Vcpu for ToyCpu {
    type Arch = Infallible;

    fn run(&mut self) -> Result<Exit<Infallible>, ToyError> {
        if !self.began {
            self.began = true;
            self.asks = true;
            return Ok(Exit::EnterSecureMode);
        }
        if self.halted && self.has(Fault::HaltsOnce) || self.refused && self.has(Fault::RefusedGuestStops) {
            return Err(self.vm.0.machine.error(ErrorKind::WrongState, "the CPU is stopped"));
        }
        // A wish that nobody served is refused.
        self.asks &= self.has(Fault::WishStays);
        loop {
            match self.script.now() {
                None => return Ok(Exit::Halted),
                Some(GuestOp::End) => {
                    self.halted = true;
                    return Ok(Exit::Halted);
                }
                Some(op) => {
                    if let Some(exit) = self.step(&op) {
                        return Ok(exit);
                    }
                }
            }
        }
    }
}
