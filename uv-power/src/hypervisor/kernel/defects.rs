//! Known defects of published Linux kernels, as a wrapper: to see a VMM or an ultravisor meet them (feature `dev`).

use alloc::vec::Vec;

use bitflags::bitflags;
use spin::Mutex;
use uv_core::{Gfn, GuestAddr};

use super::hcall::{self, Served};
use super::{GfnState, Vm};

use crate::abi::numbers::{HvCall, PageInFlags, UltracallNumber};
use crate::abi::{Msr, Regs, Ultracall, UvCode};

bitflags! {
    /// Defects of published Linux kernels.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Defects: u8 {
        /// A failed `H_SVM_INIT_START` unwinds the failing slot once for each registered one, instead of those: they stay
        /// registered (power-pef §4.2).
        const INIT_START_UNWIND = 1;
        /// A failed page-in leaves the guest page marked as resident (power-pef §4.5).
        const PAGE_IN_LEAVES_UVMEM = 1 << 1;
    }
}

/// The kernel with defects. It stands around the kernel on both sides: towards the ultravisor as an [`Ultracall`], which is given
/// to [`Host`](super::Host), and towards the guest as [`PublishedKernel::dispatch`].
#[derive(Debug)]
pub struct PublishedKernel<U> {
    uv: U,
    defects: Defects,
    /// The slot that was refused last, by partition, until another call than an unwinding one is made.
    refused_slot: Mutex<Option<(u64, u64)>>,
    /// Pages whose `UV_PAGE_IN` was refused, by partition, since the last hypercall.
    refused_pages: Mutex<Vec<(u64, GuestAddr)>>,
}

impl<U: Ultracall> PublishedKernel<U> {
    /// These defects, over this ultravisor.
    #[must_use]
    pub const fn new(uv: U, defects: Defects) -> Self {
        Self { uv, defects, refused_slot: Mutex::new(None), refused_pages: Mutex::new(Vec::new()) }
    }

    /// [`hcall::dispatch`], and what a defective kernel leaves behind.
    pub fn dispatch(&self, vm: &Vm, call: HvCall, args: [u64; 3], srr1: Msr) -> Served {
        self.refused_pages.lock().clear();
        let served = hcall::dispatch(vm, call, args, srr1);
        let resident = call == HvCall::H_SVM_PAGE_IN && args[1] & PageInFlags::SHARED.bits() == 0;
        if resident && self.defects.contains(Defects::PAGE_IN_LEAVES_UVMEM) {
            for (_, page) in self.refused_pages.lock().drain(..).filter(|(lpid, _)| *lpid == u64::from(vm.lpid.0)) {
                vm.leave_resident(Vm::PAGE_SIZE.gfn(page));
            }
        }
        served
    }

    /// The slot that is unwound in the place of the one that the kernel names.
    fn unwound(&self, lpid: u64) -> Option<u64> {
        let refused = (*self.refused_slot.lock())?;
        (refused.0 == lpid && self.defects.contains(Defects::INIT_START_UNWIND)).then_some(refused.1)
    }
}

impl<U: Ultracall> Ultracall for PublishedKernel<U> {
    fn ultracall(&self, regs: &mut Regs) {
        let (call, args) = (UltracallNumber(regs.gpr[3]), regs.gpr);
        let lpid = args[4];
        if call == UltracallNumber::UV_UNREGISTER_MEM_SLOT {
            regs.gpr[5] = self.unwound(lpid).unwrap_or(args[5]);
        } else {
            *self.refused_slot.lock() = None;
        }
        self.uv.ultracall(regs);
        if UvCode::from_register(regs.gpr[3]) == UvCode::U_SUCCESS {
            return;
        }
        match call {
            UltracallNumber::UV_REGISTER_MEM_SLOT => *self.refused_slot.lock() = Some((lpid, args[8])),
            UltracallNumber::UV_PAGE_IN => self.refused_pages.lock().push((lpid, GuestAddr(args[6]))),
            _ => {}
        }
    }
}

impl Vm {
    /// Marks a page as resident, with a device page of its own, though the ultravisor does not have it.
    fn leave_resident(&self, gfn: Gfn) {
        let _guard = self.uvmem.lock();
        if let Some(device) = self.host.pool.as_ref().and_then(|pool| pool.take()) {
            self.gfns.set(gfn, GfnState::Uvmem(device));
        }
    }
}
