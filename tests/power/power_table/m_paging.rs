//! Rows M, second part: `H_SVM_PAGE_IN`, `H_SVM_PAGE_OUT`, accesses of the host.

use uv_core::{Error, ErrorKind, Gfn, HostAddr, NormalMemory};
use uv_power::abi::HvCode;
use uv_power::abi::numbers::{HvCall, UvCall};
use uv_power::hypervisor::kernel::{Defects, GfnState, KvmError};

use crate::kvm_rig::*;
use crate::rig::{PAGE, rows};

rows! { m11 m12 m13 m14 m15 m16 m17 m18 m19 m20 m21 m22 m32 m33 m34 m35 }

const IN: HvCall = HvCall::H_SVM_PAGE_IN;
const OUT: HvCall = HvCall::H_SVM_PAGE_OUT;

fn started() -> Kvm {
    Kvm::started(Made::default())
}

fn came_in(gfn: u64) -> Vec<Call> {
    vec![paging(UvCall::UV_PAGE_IN, gfn)]
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
    assert_eq!(kvm.calls(), [paging(UvCall::UV_PAGE_OUT, 2)], "the second finds nothing to do");
    kvm.page_in(2, 0);
    kvm.answer(UvCall::UV_PAGE_OUT, &[-5]);
    assert_eq!(kvm.page_out(2), HvCode::H_PARAMETER);
    assert!(resident(&kvm, 2));
}

fn m20() {
    let kvm = Kvm::secure();
    let before = kvm.free();
    kvm.vm.host_touches(Gfn(1)).unwrap();
    assert_eq!(kvm.calls(), [paging(UvCall::UV_PAGE_OUT, 1)]);
    assert_eq!((kvm.vm.gfn_state(Gfn(1)), kvm.free()), (GfnState::PagedOut, before + 1));
    let mut seen = [0; SEALED.len()];
    kvm.memory.read(HostAddr(AT + PAGE), &mut seen).unwrap();
    assert_eq!(seen, SEALED);
    kvm.vm.host_touches(Gfn(1)).unwrap();
    assert_eq!(kvm.calls(), [], "it is the host's page now");
}

fn m21() {
    let kvm = Kvm::secure();
    kvm.answer(UvCall::UV_PAGE_OUT, &[-4]);
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
    assert_eq!(kvm.calls(), [paging(UvCall::UV_PAGE_INVAL, 1)]);
    assert_eq!(kvm.vm.gfn_state(Gfn(1)), GfnState::Invalidated);
    // The guest's fault brings the page back.
    kvm.vm.guest_faults(Gfn(1)).unwrap();
    assert_eq!((kvm.calls(), kvm.vm.gfn_state(Gfn(1))), (came_in(1), GfnState::Shared));
    // What the ultravisor answers does not matter to the host.
    kvm.answer(UvCall::UV_PAGE_INVAL, &[-55]);
    kvm.vm.host_unmaps(Gfn(0));
    assert!(resident(&kvm, 0));
    kvm.calls();
    kvm.vm.guest_faults(Gfn(0)).unwrap();
    assert_eq!(kvm.calls(), [], "a resident page needs nothing");
    assert_eq!(kvm.vm.guest_faults(Gfn(PAGES)), Err(KvmError::Fault(Gfn(PAGES))));
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
        kvm.answer(UvCall::UV_PAGE_IN, &[-56]);
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
    kvm.answer(UvCall::UV_PAGE_IN, &[-4]);
    assert_eq!(kvm.page_in(2, 1), HvCode::H_PARAMETER);
    assert_eq!(kvm.vm.gfn_state(Gfn(2)), GfnState::Normal);
}
