//! Rows M, first part: `H_SVM_INIT_START`, `H_SVM_INIT_DONE`, `H_SVM_INIT_ABORT`.

use crate::kvm_rig::*;
use crate::rig::rows;
use uv_core::Gfn;
use uv_power::abi::numbers::{HvCall, UltracallNumber};
use uv_power::abi::{HvCode, Msr};
use uv_power::hypervisor::kernel::hcall::{self, Served};
use uv_power::hypervisor::kernel::{Defects, GfnState, KvmError, SecureGuest};

rows! { m01 m02 m03 m04 m05 m06 m07 m08 m09 m10 }

const START: HvCall = HvCall::H_SVM_INIT_START;
const DONE: HvCall = HvCall::H_SVM_INIT_DONE;
const ABORT: HvCall = HvCall::H_SVM_INIT_ABORT;

fn m01() {
    let kvm = Kvm::new();
    for call in [START, DONE, HvCall::H_SVM_PAGE_IN, HvCall::H_SVM_PAGE_OUT] {
        assert_eq!(hcall::dispatch(&kvm.vm, call, [0, 0, 16], Msr::EE), Served::Answer(HvCode::H_UNSUPPORTED));
    }
    assert_eq!(kvm.flags(), SecureGuest::empty());
    // H_SVM_INIT_ABORT arrives like a call of the guest; the TPM is user space's.
    let aborted = hcall::dispatch(&Kvm::started(Made::default()).vm, ABORT, [0; 3], Msr::EE);
    assert_eq!(aborted, Served::Answer(HvCode::H_PARAMETER));
    assert_eq!(hcall::dispatch(&kvm.vm, HvCall::H_SVM_TPM_COMM, [0; 3], Msr::S), Served::UserSpace);
}

fn m02() {
    let kvm = Kvm::made(Made { pool_pages: 0, radix: false, enabled: false, ..Made::default() });
    assert_eq!(kvm.ask(START, [0; 3]), HvCode::H_UNSUPPORTED);
    assert_eq!(kvm.calls(), []);
}

fn m03() {
    let kvm = Kvm::made(Made { radix: false, enabled: false, ..Made::default() });
    assert_eq!(kvm.ask(START, [0; 3]), HvCode::H_UNSUPPORTED);
}

fn m04() {
    let kvm = Kvm::made(Made { enabled: false, ..Made::default() });
    assert_eq!(kvm.ask(START, [0; 3]), HvCode::H_AUTHORITY);
    assert_eq!(kvm.calls(), []);
    // The ultravisor goes on with H_SVM_INIT_ABORT, which ends the matter on both sides.
    assert_eq!(kvm.ask(ABORT, [0; 3]), HvCode::H_PARAMETER);
    assert_eq!((kvm.calls(), kvm.flags()), (vec![terminate()], SecureGuest::empty()));
}

fn m05() {
    for (defects, undone) in [(Defects::empty(), 0), (Defects::INIT_START_UNWIND, 3)] {
        let kvm = Kvm::made(Made { defects, ..Made::default() });
        kvm.answer(UltracallNumber::UV_REGISTER_MEM_SLOT, &[0, -4]);
        assert_eq!(kvm.ask(START, [0; 3]), HvCode::H_PARAMETER);
        // The published kernel unwinds the failing slot, not the one that was registered.
        assert_eq!(kvm.calls(), [register(0, PAGES, 0), register(SECOND, 2, 3), unregister(undone)]);
    }
    let kvm = Kvm::new();
    assert_eq!(kvm.ask(START, [0; 3]), HvCode::H_SUCCESS);
    assert_eq!(kvm.calls(), [register(0, PAGES, 0), register(SECOND, 2, 3)]);
    assert_eq!(kvm.flags(), SecureGuest::INIT_START);
}

fn m06() {
    assert_eq!(Kvm::new().ask(DONE, [0; 3]), HvCode::H_UNSUPPORTED);
}

fn m07() {
    let kvm = Kvm::started(Made { pool_pages: PAGES + 1, ..Made::default() });
    assert_eq!(kvm.ask(DONE, [0; 3]), HvCode::H_STATE);
    assert_eq!(kvm.flags(), SecureGuest::INIT_START);
    let kvm = Kvm::started(Made { pool_pages: PAGES + 2, ..Made::default() });
    assert_eq!((kvm.ask(DONE, [0; 3]), kvm.free()), (HvCode::H_SUCCESS, 0));
    assert_eq!(kvm.flags(), SecureGuest::INIT_START | SecureGuest::INIT_DONE);
    // A page that is shared or out needs none.
    let kvm = Kvm::started(Made { pool_pages: PAGES, ..Made::default() });
    assert_eq!([kvm.page_in(0, 1), kvm.page_in(1, 0), kvm.page_out(1)], [HvCode::H_SUCCESS; 3]);
    kvm.calls();
    assert_eq!(kvm.ask(DONE, [0; 3]), HvCode::H_SUCCESS);
    assert_eq!(kvm.calls(), [], "moved without UV_PAGE_IN");
    let states = [0, 1].map(|gfn| kvm.vm.gfn_state(Gfn(gfn)));
    assert_eq!(states, [GfnState::Shared, GfnState::PagedOut]);
}

fn m08() {
    let kvm = Kvm::new();
    assert_eq!(kvm.ask(ABORT, [0; 3]), HvCode::H_UNSUPPORTED);
    assert_eq!(kvm.calls(), []);
}

fn m09() {
    let kvm = Kvm::secure();
    assert_eq!(kvm.ask(ABORT, [0; 3]), HvCode::H_STATE);
    assert_eq!((kvm.calls(), kvm.flags()), (vec![], SecureGuest::INIT_START | SecureGuest::INIT_DONE));
}

fn m10() {
    let kvm = Kvm::started(Made::default());
    assert_eq!([kvm.page_in(1, 0), kvm.page_in(2, 1), kvm.page_in(3, 0)], [HvCode::H_SUCCESS; 3]);
    assert_eq!(kvm.free(), 30);
    kvm.calls();
    assert_eq!(kvm.ask(ABORT, [0; 3]), HvCode::H_PARAMETER);
    let out = |gfn| paging(UltracallNumber::UV_PAGE_OUT, gfn);
    assert_eq!(kvm.calls(), [out(1), out(3), terminate()]);
    assert_eq!((kvm.flags(), kvm.free()), (SecureGuest::empty(), 32));
    assert!((0..PAGES).all(|gfn| kvm.vm.gfn_state(Gfn(gfn)) == GfnState::Normal));
    assert!((0..PAGES).all(|gfn| kvm.reaches(gfn).is_some()));
}

pub(crate) fn user_mode() {
    for (radix, interrupt) in [(true, Served::Interrupt(0x700, 0x4_0000)), (false, Served::Interrupt(0xc00, 0))] {
        let kvm = Kvm::made(Made { radix, ..Made::default() });
        for state in [Msr::PR, Msr::PR | Msr::S] {
            for call in [START, DONE, ABORT, HvCall::H_SVM_PAGE_IN, HvCall::H_REGISTER_VPA, HvCall::H_CEDE] {
                assert_eq!(hcall::dispatch(&kvm.vm, call, [0, 0, 16], state), interrupt);
            }
        }
        assert_eq!((kvm.calls(), kvm.flags()), (vec![], SecureGuest::empty()));
    }
}

pub(crate) fn second_start() {
    let kvm = Kvm::secure();
    assert_eq!(kvm.ask(START, [0; 3]), HvCode::H_SUCCESS);
    assert_eq!(kvm.flags(), SecureGuest::INIT_START);
    assert_eq!(kvm.calls(), [register(0, PAGES, 0), register(SECOND, 2, 3)]);
}

pub(crate) fn refused_page_out_at_abort() {
    let kvm = Kvm::started(Made::default());
    assert_eq!([kvm.page_in(1, 0), kvm.page_in(2, 0)], [HvCode::H_SUCCESS; 2]);
    kvm.calls();
    kvm.answer(UltracallNumber::UV_PAGE_OUT, &[-5, 0]);
    assert_eq!(kvm.ask(ABORT, [0; 3]), HvCode::H_PARAMETER);
    assert_eq!((kvm.flags(), kvm.free()), (SecureGuest::empty(), 31));
    assert!(matches!(kvm.vm.gfn_state(Gfn(1)), GfnState::Uvmem(_)));
    assert_eq!(kvm.vm.gfn_state(Gfn(2)), GfnState::Normal);
    assert_eq!([0, 1, 2].map(|gfn| kvm.reaches(gfn).is_some()), [true, false, true]);
    // The host asks once more, and gets a normal page.
    kvm.answer(UltracallNumber::UV_PAGE_OUT, &[-4]);
    assert_eq!(kvm.vm.host_touches(Gfn(1)), Err(KvmError::SigBus(Gfn(1))));
    kvm.vm.host_touches(Gfn(1)).unwrap();
    assert_eq!((kvm.vm.gfn_state(Gfn(1)), kvm.free()), (GfnState::Normal, 32));
}
