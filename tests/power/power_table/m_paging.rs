//! Rows M, second part: `H_SVM_PAGE_IN`, `H_SVM_PAGE_OUT`, accesses of the host.

use crate::kvm_rig::*;
use crate::rig::{PAGE, VM, rows};
use std::sync::{Arc, Mutex};
use uv_core::{Error, ErrorKind, Gfn, GuestAddr, HostAddr, NormalMemory, SlotId};
use uv_power::abi::HvCode;
use uv_power::abi::numbers::{HvCall, UltracallNumber};
use uv_power::hypervisor::kernel::{Defects, GfnState, KvmError};

rows! { m11 m12 m13 m14 m15 m16 m17 m18 m19 m20 m21 m22 m32 m33 m34 m35 }

const IN: HvCall = HvCall::H_SVM_PAGE_IN;
const OUT: HvCall = HvCall::H_SVM_PAGE_OUT;

fn started() -> Kvm {
    Kvm::started(Made::default())
}

fn came_in(gfn: u64) -> Vec<Call> {
    vec![paging(UltracallNumber::UV_PAGE_IN, gfn)]
}

fn resident(kvm: &Kvm, gfn: u64) -> bool {
    matches!(kvm.vm.gfn_state(Gfn(gfn)), GfnState::Uvmem(_))
}

fn m11() {
    assert_eq!(started().ask(IN, [PAGE, 0, 12]), HvCode::H_P3);
}

fn m12() {
    assert_eq!(started().ask(IN, [1 << 50, 2, 12]), HvCode::H_P3);
}

fn m13() {
    assert_eq!(started().ask(IN, [1 << 50, 2, 16]), HvCode::H_P2);
    assert_eq!(started().ask(IN, [PAGE, 3, 16]), HvCode::H_P2);
}

fn m14() {
    let kvm = started();
    for flags in [0, 1] {
        assert_eq!(kvm.page_in(PAGES, flags), HvCode::H_PARAMETER);
        assert_eq!(kvm.page_in(u64::MAX / PAGE, flags), HvCode::H_PARAMETER);
    }
    assert_eq!((kvm.calls(), kvm.free()), (vec![], 32));
}

fn m15() {
    let kvm = started();
    assert_eq!(kvm.page_in(1, 0), HvCode::H_SUCCESS);
    assert_eq!((kvm.calls(), kvm.free()), (came_in(1), 31));
    assert_eq!(kvm.page_in(1, 0), HvCode::H_PARAMETER);
    assert_eq!((kvm.calls(), kvm.free()), (vec![], 31));
}

fn m16() {
    assert_eq!(Kvm::new().page_in(0, 0), HvCode::H_UNSUPPORTED);
    assert_eq!(Kvm::new().ask(IN, [0, 2, 12]), HvCode::H_UNSUPPORTED, "before the arguments");
    assert_eq!(Kvm::new().ask(OUT, [0, 2, 12]), HvCode::H_UNSUPPORTED);
}

fn m17() {
    let kvm = started();
    kvm.page_in(1, 0);
    kvm.calls();
    assert_eq!(kvm.page_in(1, 1), HvCode::H_SUCCESS);
    assert_eq!((kvm.calls(), kvm.free()), (came_in(1), 32));
    assert_eq!(kvm.vm.gfn_state(Gfn(1)), GfnState::Shared);
}

fn m18() {
    assert_eq!(started().ask(OUT, [0, 1, 16]), HvCode::H_P2);
    assert_eq!(started().ask(OUT, [0, 1, 12]), HvCode::H_P3);
    assert_eq!(started().page_out(PAGES), HvCode::H_PARAMETER);
}

fn m19() {
    let kvm = started();
    assert_eq!(kvm.page_in(1, 1), HvCode::H_SUCCESS);
    kvm.calls();
    assert_eq!([kvm.page_out(0), kvm.page_out(1)], [HvCode::H_SUCCESS; 2]);
    assert_eq!(kvm.calls(), []);
    kvm.page_in(2, 0);
    kvm.calls();
    assert_eq!([kvm.page_out(2), kvm.page_out(2)], [HvCode::H_SUCCESS; 2]);
    assert_eq!(kvm.calls(), [paging(UltracallNumber::UV_PAGE_OUT, 2)], "the second finds nothing to do");
    kvm.page_in(2, 0);
    kvm.answer(UltracallNumber::UV_PAGE_OUT, &[-5]);
    assert_eq!(kvm.page_out(2), HvCode::H_PARAMETER);
    assert!(resident(&kvm, 2));
}

fn m20() {
    let kvm = Kvm::secure();
    let before = kvm.free();
    kvm.vm.host_touches(Gfn(1)).unwrap();
    assert_eq!(kvm.calls(), [paging(UltracallNumber::UV_PAGE_OUT, 1)]);
    assert_eq!((kvm.vm.gfn_state(Gfn(1)), kvm.free()), (GfnState::PagedOut, before + 1));
    let mut seen = [0; SEALED.len()];
    kvm.memory.read(HostAddr(AT + PAGE), &mut seen).unwrap();
    assert_eq!(seen, SEALED);
    kvm.vm.host_touches(Gfn(1)).unwrap();
    assert_eq!(kvm.calls(), [], "it is the host's page now");
}

fn m21() {
    let kvm = Kvm::secure();
    kvm.answer(UltracallNumber::UV_PAGE_OUT, &[-4]);
    let refused = kvm.vm.host_touches(Gfn(1)).unwrap_err();
    assert_eq!((refused, refused.kind()), (KvmError::SigBus(Gfn(1)), ErrorKind::Fatal));
    assert!(resident(&kvm, 1));
}

fn m22() {
    let kvm = started();
    kvm.page_in(1, 1);
    kvm.calls();
    kvm.vm.host_unmaps(Gfn(1));
    assert_eq!(kvm.calls(), [], "not before H_SVM_INIT_DONE");
    kvm.ask(HvCall::H_SVM_INIT_DONE, [0; 3]);
    kvm.vm.host_unmaps(Gfn(1));
    assert_eq!(kvm.calls(), [paging(UltracallNumber::UV_PAGE_INVAL, 1)]);
    assert_eq!(kvm.vm.gfn_state(Gfn(1)), GfnState::Invalidated);
    // The guest's fault brings the page back.
    kvm.vm.guest_faults(Gfn(1)).unwrap();
    assert_eq!((kvm.calls(), kvm.vm.gfn_state(Gfn(1))), (came_in(1), GfnState::Shared));
    // What the ultravisor answers does not matter to the host.
    kvm.answer(UltracallNumber::UV_PAGE_INVAL, &[-55]);
    kvm.vm.host_unmaps(Gfn(0));
    assert!(resident(&kvm, 0));
}

pub(crate) fn every_fault_is_a_page_in() {
    let kvm = Kvm::secure();
    let both = |gfn| [UltracallNumber::UV_PAGE_OUT, UltracallNumber::UV_PAGE_IN].map(|call| paging(call, gfn));
    // The host's page is taken, so a resident one comes out first; KVM's word stays.
    let free = kvm.free();
    kvm.vm.guest_faults(Gfn(0)).unwrap();
    assert_eq!((kvm.calls(), kvm.vm.gfn_state(Gfn(0)), kvm.free()), (both(0).to_vec(), GfnState::PagedOut, free + 1));
    kvm.vm.guest_faults(Gfn(0)).unwrap();
    assert_eq!((kvm.calls(), kvm.vm.gfn_state(Gfn(0))), (came_in(0), GfnState::PagedOut));
    kvm.page_in(1, 1);
    kvm.calls();
    kvm.vm.guest_faults(Gfn(1)).unwrap();
    assert_eq!((kvm.calls(), kvm.vm.gfn_state(Gfn(1))), (came_in(1), GfnState::Shared));
    kvm.answer(UltracallNumber::UV_PAGE_IN, &[-56]);
    kvm.vm.host_unmaps(Gfn(1));
    assert_eq!(kvm.vm.guest_faults(Gfn(1)), Err(KvmError::Fault(Gfn(1))));
    assert_eq!(kvm.vm.gfn_state(Gfn(1)), GfnState::Invalidated);
    kvm.answer(UltracallNumber::UV_PAGE_OUT, &[-5]);
    assert_eq!(kvm.vm.guest_faults(Gfn(2)), Err(KvmError::Fault(Gfn(2))));
    assert!(resident(&kvm, 2));
    kvm.calls();
    assert_eq!(kvm.vm.guest_faults(Gfn(PAGES)), Err(KvmError::Fault(Gfn(PAGES))));
    assert_eq!(kvm.calls(), []);
}

pub(crate) fn host_pages() {
    let spare = [0x90_0000, 0x91_0000].map(HostAddr);
    let pages = Arc::new(Pages(Mutex::new(spare.into())));
    let kvm = Kvm::started(Made { pages: Some(pages.clone()), ..Made::default() });
    kvm.memory.write(spare[0], b"of another").unwrap();
    assert_eq!(kvm.page_in(1, 0), HvCode::H_SUCCESS);
    assert_eq!(kvm.calls(), came_in(1), "from its place in the slot");
    let moved = |call, page: usize| (call, [VM.0.into(), spare[page].0, PAGE, 0, 16]);
    assert_eq!(kvm.page_out(1), HvCode::H_SUCCESS);
    assert_eq!(kvm.calls(), [moved(UltracallNumber::UV_PAGE_OUT, 0)]);
    assert_eq!(kvm.vm.host_addr(GuestAddr(PAGE + 7)), Some(HostAddr(spare[0].0 + 7)));
    assert_eq!(kvm.page_in(1, 0), HvCode::H_SUCCESS);
    assert_eq!(kvm.calls(), [moved(UltracallNumber::UV_PAGE_IN, 0)]);
    assert_eq!(*pages.0.lock().unwrap(), [spare[1], spare[0]], "a page that moved is free again");
    // Refused: the page that was taken is free again.
    kvm.answer(UltracallNumber::UV_PAGE_OUT, &[-5]);
    assert_eq!(kvm.page_out(1), HvCode::H_PARAMETER);
    assert_eq!(pages.0.lock().unwrap().len(), 2);
    kvm.calls();
    // Shared: a new page without UV_PAGE_OUT.
    assert_eq!(kvm.page_in(1, 1), HvCode::H_SUCCESS);
    assert_eq!(kvm.calls(), [moved(UltracallNumber::UV_PAGE_IN, 0)]);
    let mut seen = [1; 10];
    kvm.memory.read(spare[0], &mut seen).unwrap();
    assert_eq!(seen, [0; 10], "nothing of who had the page before");
    // None left: the page stays where it is.
    assert_eq!([kvm.page_in(2, 0), kvm.page_out(2), kvm.page_in(3, 0)], [HvCode::H_SUCCESS; 3]);
    assert!(pages.0.lock().unwrap().is_empty());
    kvm.calls();
    assert_eq!((kvm.page_out(3), kvm.calls()), (HvCode::H_PARAMETER, vec![]));
    assert!(resident(&kvm, 3));
    assert_eq!(kvm.vm.pin(Gfn(3)), Err(KvmError::SigBus(Gfn(3))));
    // The end: a normal guest finds each page where it is now; the pages go back with the VM.
    assert_eq!(kvm.vm.svm_off(), Ok(()));
    let places = [0, 1, 2, 3].map(|gfn| kvm.reaches(gfn));
    assert_eq!(places, [HostAddr(AT), spare[0], spare[1], HostAddr(AT + 3 * PAGE)].map(Some));
    kvm.vm.delete_memslot(SlotId(0));
    assert_eq!(pages.0.lock().unwrap().len(), 2);
    assert_eq!((kvm.reaches(1), kvm.reaches(SECOND)), (None, Some(HostAddr(AT + SECOND * PAGE))));
    drop(kvm);
    assert_eq!(pages.0.lock().unwrap().len(), 2);
    let kvm = Kvm::started(Made { pages: Some(pages.clone()), ..Made::default() });
    assert_eq!([kvm.page_in(1, 0), kvm.page_out(1)], [HvCode::H_SUCCESS; 2]);
    drop(kvm);
    assert_eq!(pages.0.lock().unwrap().len(), 2, "with the VM its pages are free");
}

pub(crate) fn stretches() {
    // A page right behind the first slot, and one that is no memory.
    let [behind, nowhere] = [AT + PAGES * PAGE, 0x100_0000].map(HostAddr);
    let pages = Arc::new(Pages(Mutex::new([behind, nowhere].into())));
    let kvm = Kvm::started(Made { pages: Some(pages.clone()), ..Made::default() });
    assert_eq!([kvm.page_in(SECOND, 0), kvm.page_out(SECOND)], [HvCode::H_SUCCESS; 2]);
    assert_eq!([kvm.page_in(1, 0), kvm.page_out(1)], [HvCode::H_SUCCESS, HvCode::H_PARAMETER]);
    assert_eq!(*pages.0.lock().unwrap(), [nowhere]);
    assert_eq!(kvm.vm.svm_off(), Ok(()));
    let places = [0, 1, PAGES, SECOND].map(|gfn| kvm.reaches(gfn));
    assert_eq!(places, [Some(HostAddr(AT)), Some(HostAddr(AT + PAGE)), None, Some(behind)]);
    // H_SVM_INIT_DONE moves the page too.
    let calls = [HvCall::H_SVM_INIT_START, HvCall::H_SVM_INIT_DONE].map(|call| kvm.ask(call, [0; 3]));
    assert_eq!(calls, [HvCode::H_SUCCESS; 2]);
    assert_eq!(*pages.0.lock().unwrap(), [nowhere, behind]);
}

pub(crate) fn page_out_that_writes_nothing() {
    let kvm = started();
    kvm.memory.write(HostAddr(AT + PAGE), b"a kernel").unwrap();
    kvm.page_in(1, 0);
    kvm.page_out_is_empty();
    assert_eq!(kvm.ask(HvCall::H_SVM_INIT_ABORT, [0; 3]), HvCode::H_PARAMETER);
    let mut seen = [1; 8];
    kvm.memory.read(kvm.reaches(1).unwrap(), &mut seen).unwrap();
    assert_eq!(seen, [0; 8], "the content is lost to the guest");
}

pub(crate) fn pinned_pages() {
    let kvm = started();
    assert_eq!(kvm.vm.pin(Gfn(PAGES)), Err(KvmError::Argument(uv_core::ArgumentError::NoSlot(Gfn(PAGES)))));
    kvm.vm.pin(Gfn(1)).unwrap();
    kvm.vm.pin(Gfn(1)).unwrap();
    assert_eq!((kvm.page_in(1, 0), kvm.calls(), kvm.free()), (HvCode::H_PARAMETER, vec![], 32));
    assert_eq!(kvm.ask(HvCall::H_SVM_INIT_DONE, [0; 3]), HvCode::H_STATE);
    kvm.vm.unpin(Gfn(1));
    assert_eq!(kvm.page_in(1, 0), HvCode::H_PARAMETER, "pinned twice");
    assert_eq!(kvm.page_in(1, 1), HvCode::H_SUCCESS, "it may be shared");
    assert_eq!(kvm.page_in(1, 0), HvCode::H_PARAMETER, "and not be taken back");
    kvm.vm.unpin(Gfn(1));
    kvm.vm.unpin(Gfn(1));
    assert_eq!(kvm.page_in(1, 0), HvCode::H_SUCCESS);
    assert_eq!(kvm.ask(HvCall::H_SVM_INIT_DONE, [0; 3]), HvCode::H_SUCCESS);
    kvm.calls();
    // A secure page comes out when it is pinned.
    kvm.vm.pin(Gfn(2)).unwrap();
    assert_eq!(kvm.calls(), [paging(UltracallNumber::UV_PAGE_OUT, 2)]);
    assert_eq!(kvm.page_in(2, 0), HvCode::H_PARAMETER);
}

fn m32() {
    let kvm = started();
    kvm.page_in(1, 0);
    kvm.page_out(1);
    kvm.calls();
    assert_eq!(kvm.page_in(1, 0), HvCode::H_SUCCESS);
    assert_eq!((kvm.calls(), kvm.free()), (came_in(1), 31));
    assert!(resident(&kvm, 1));
    // No device page left.
    let kvm = Kvm::started(Made { pool_pages: 1, ..Made::default() });
    assert_eq!([kvm.page_in(0, 0), kvm.page_in(1, 0)], [HvCode::H_SUCCESS, HvCode::H_PARAMETER]);
    assert_eq!(kvm.calls(), came_in(0));
    kvm.page_out(0);
    assert_eq!(kvm.page_in(1, 0), HvCode::H_SUCCESS);
}

fn m33() {
    let kvm = started();
    kvm.page_in(1, 1);
    kvm.calls();
    assert_eq!(kvm.page_in(1, 0), HvCode::H_SUCCESS);
    assert_eq!((kvm.calls(), kvm.free()), (came_in(1), 31));
    assert!(resident(&kvm, 1));
}

fn m34() {
    for (defects, again) in
        [(Defects::empty(), HvCode::H_SUCCESS), (Defects::PAGE_IN_LEAVES_UVMEM, HvCode::H_PARAMETER)]
    {
        let kvm = Kvm::started(Made { defects, ..Made::default() });
        kvm.page_in(1, 0);
        kvm.page_out(1);
        kvm.answer(UltracallNumber::UV_PAGE_IN, &[-56]);
        assert_eq!(kvm.page_in(1, 0), HvCode::H_PARAMETER);
        let defect = !defects.is_empty();
        assert_eq!((resident(&kvm, 1), kvm.free()), (defect, if defect { 31 } else { 32 }));
        // With the right ciphertext in place: the published kernel has given up on the page.
        assert_eq!(kvm.page_in(1, 0), again);
    }
}

fn m35() {
    let kvm = started();
    assert_eq!([kvm.page_in(1, 1), kvm.page_in(1, 1)], [HvCode::H_SUCCESS; 2]);
    assert_eq!(kvm.calls(), [came_in(1), came_in(1)].concat());
    kvm.answer(UltracallNumber::UV_PAGE_IN, &[-4]);
    assert_eq!(kvm.page_in(2, 1), HvCode::H_PARAMETER);
    assert_eq!(kvm.vm.gfn_state(Gfn(2)), GfnState::Normal);
}
