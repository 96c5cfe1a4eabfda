//! What no row M says of KVM: areas of virtual CPUs, accesses of the host, the VM by the traits of `uv-core`, its errors.

use uv_core::{
    ArgumentError, Error, ErrorKind, Gfn, GuestAddr, HostAddr, MemSlot, NormalMemory, PageIn, PageOut, PageRange,
    PageSize, PageState, RangeError, SecureVm, SharePages, SlotId, VmState,
};
use uv_power::abi::numbers::{HvCall, UltracallNumber};
use uv_power::abi::tpm::{HostTpm, TpmError};
use uv_power::abi::ultracall::UvError;
use uv_power::abi::{HvCode, UvCode};
use uv_power::hypervisor::kernel::{AreaKind, DevicePage, DevicePool, GfnState, KvmError, SecureGuest, tpm_comm};
use uv_power::hypervisor::vmm::PefGuest;

use crate::kvm_rig::*;
use crate::rig::{PAGE, VM};

fn started() -> Kvm {
    Kvm::started(Made::default())
}

fn no_slot(gfn: u64) -> KvmError {
    KvmError::Argument(ArgumentError::NoSlot(Gfn(gfn)))
}

fn refused(call: UltracallNumber, code: i64) -> KvmError {
    KvmError::Uv(UvError { call, code: UvCode(code) })
}

/// Registers what lies at an address: function, virtual CPU, address.
fn register_vpa(kvm: &Kvm, function: u64, vcpu: u64, at: u64) -> HvCode {
    kvm.ask(HvCall::H_REGISTER_VPA, [function << 45, vcpu, at])
}

/// Writes the eight bytes with which an area begins.
fn header(kvm: &Kvm, at: u64, bytes: [u8; 8]) {
    kvm.memory.write(HostAddr(AT + at), &bytes).unwrap();
}

fn vpa_header(len: u16) -> [u8; 8] {
    let [high, low] = len.to_be_bytes();
    [9, 9, 9, 9, high, low, 9, 9]
}

fn word_header(len: u32) -> [u8; 8] {
    let [a, b, c, d] = len.to_be_bytes();
    [9, 9, 9, 9, a, b, c, d]
}

/// Length, place and function of each kind.
pub(crate) fn areas_are_judged() {
    let kvm = started();
    let (ok, no, later) = (HvCode::H_SUCCESS, HvCode::H_PARAMETER, HvCode::H_RESOURCE);
    let at = PAGE + 128;
    let end = 2 * PAGE - 128;
    let area = |kind| kvm.vm.area(5, kind).map(|area| (area.at, area.len));
    for (function, kind, least) in
        [(1, AreaKind::Vpa, 640), (2, AreaKind::DispatchTraceLog, 48), (3, AreaKind::SlbShadow, 8)]
    {
        let bytes = |len: u32| if function == 1 { vpa_header(len as u16) } else { word_header(len) };
        let first = if function == 1 { ok } else { later };
        for (len, code) in [(0, no), (least - 1, no), (least, first), (PAGE as u32 - 128, first)] {
            header(&kvm, at, bytes(len));
            assert_eq!(register_vpa(&kvm, function, 4, at), code, "{kind:?} of {len} bytes");
        }
        assert_eq!(register_vpa(&kvm, function + 4, 4, 0), ok, "and not any more");
        header(&kvm, at, bytes(PAGE as u32 - 127));
        assert_eq!(register_vpa(&kvm, function, 5, at), no, "past the end of its page");
        header(&kvm, at, bytes(least));
        for wrong in [at + 8, at + 64, PAGES * PAGE, 1 << 50, 0] {
            header(&kvm, 0, bytes(least));
            assert_eq!(register_vpa(&kvm, function, 5, wrong), no, "{wrong:#x}");
        }
        assert_eq!(area(kind), None);
        assert_eq!(register_vpa(&kvm, function, 5, at), ok, "{kind:?}");
        assert_eq!(area(kind), Some((GuestAddr(at), least)));
    }
    header(&kvm, end, word_header(129));
    assert_eq!([2, 3].map(|function| register_vpa(&kvm, function, 5, end)), [no; 2]);
    header(&kvm, end, word_header(128));
    assert_eq!([2, 3].map(|function| register_vpa(&kvm, function, 5, end)), [ok; 2]);
    assert_eq!([AreaKind::DispatchTraceLog, AreaKind::SlbShadow].map(area), [Some((GuestAddr(end), 128)); 2]);
    // Only three bits are the function.
    for function in [0, 4] {
        assert_eq!(register_vpa(&kvm, function, 5, at), no);
    }
    header(&kvm, at, vpa_header(700));
    assert_eq!(register_vpa(&kvm, 8 | 1, 5, at), ok);
    assert_eq!(kvm.ask(HvCall::H_REGISTER_VPA, [1 << 45 | 1 << 44 | 1, 5, at]), ok);
    assert_eq!(register_vpa(&kvm, 1, 1 << 32 | 5, at), no);
    assert_eq!(kvm.vm.area(5, AreaKind::Vpa).map(|area| area.len), Some(700));
    // The VPA goes last: either of the others keeps it.
    assert_eq!(register_vpa(&kvm, 5, 5, 0), later);
    assert_eq!([register_vpa(&kvm, 7, 5, 0), register_vpa(&kvm, 5, 5, 0)], [ok, later]);
    assert_eq!([register_vpa(&kvm, 6, 5, 0), register_vpa(&kvm, 5, 5, 0)], [ok, ok]);
    assert_eq!([5, 6, 7].map(|function| register_vpa(&kvm, function, 5, 0)), [ok; 3], "nothing is there");
    assert_eq!(kvm.page_in(1, 0), ok, "no pin is left");
    // A new place: the page of the old one is free to move.
    header(&kvm, 2 * PAGE, vpa_header(640));
    header(&kvm, 3 * PAGE, vpa_header(640));
    assert_eq!([2, 3].map(|page| register_vpa(&kvm, 1, 5, page * PAGE)), [ok; 2]);
    assert_eq!([kvm.page_in(2, 0), kvm.page_in(3, 0)], [ok, no]);
    // A page that the guest did not share comes out, and what is there is no header; one that is kept is refused.
    kvm.answer(UltracallNumber::UV_PAGE_OUT, &[-5]);
    assert_eq!(register_vpa(&kvm, 1, 5, 2 * PAGE), no);
    assert_eq!(register_vpa(&kvm, 1, 5, 2 * PAGE), ok, "ciphertext that looks like one");
    assert_eq!(
        (area(AreaKind::Vpa), kvm.vm.gfn_state(Gfn(2))),
        (Some((GuestAddr(2 * PAGE), 0xe7e7)), GfnState::PagedOut)
    );
}

pub(crate) fn accesses_of_the_host() {
    let kvm = Kvm::secure();
    assert_eq!(kvm.vm.host_touches(Gfn(PAGES)), Err(no_slot(PAGES)));
    assert_eq!(kvm.page_in(1, 1), HvCode::H_SUCCESS);
    kvm.calls();
    // A page that the ultravisor does not let go stays the guest's.
    kvm.answer(UltracallNumber::UV_PAGE_INVAL, &[-55]);
    kvm.vm.host_unmaps(Gfn(1));
    assert_eq!(
        (kvm.calls(), kvm.vm.gfn_state(Gfn(1))),
        (vec![paging(UltracallNumber::UV_PAGE_INVAL, 1)], GfnState::Shared)
    );
    kvm.vm.host_unmaps(Gfn(2));
    assert!(matches!(kvm.vm.gfn_state(Gfn(2)), GfnState::Uvmem(_)), "only shared pages are invalidated");
    kvm.calls();
    // Slots that come and go are shown to normal guests, and to the ultravisor.
    let added = MemSlot { first: Gfn(32), pages: 1, host: HostAddr(0x50_0000) };
    let taken = kvm.vm.add_memslot(SlotId(3), added).is_err();
    assert!(taken && kvm.calls().is_empty(), "the number is in use");
    kvm.vm.add_memslot(SlotId(9), added).unwrap();
    kvm.vm.pin(Gfn(32)).unwrap();
    assert_eq!(kvm.vm.gfn_state(Gfn(32)), GfnState::PagedOut);
    kvm.vm.delete_memslot(SlotId(9));
    assert_eq!(kvm.vm.host_addr(GuestAddr(32 * PAGE)), None);
    // A slot that comes under a number that was in use before an abort has its own pages.
    let kvm = started();
    assert_eq!(kvm.ask(HvCall::H_SVM_INIT_ABORT, [0; 3]), HvCode::H_PARAMETER);
    kvm.vm.delete_memslot(SlotId(3));
    kvm.vm.add_memslot(SlotId(3), added).unwrap();
    assert_eq!(kvm.ask(HvCall::H_SVM_INIT_START, [0; 3]), HvCode::H_SUCCESS);
    assert_eq!([kvm.page_in(32, 0), kvm.page_in(SECOND, 0)], [HvCode::H_SUCCESS, HvCode::H_PARAMETER]);
}

/// The page that content comes out into is cleared, all of it and nothing else.
pub(crate) fn a_page_is_cleared_to_its_end() {
    let kvm = started();
    let full = |page: u64| kvm.memory.write(HostAddr(AT + page * PAGE), &vec![0x22; PAGE as usize]).unwrap();
    (0..3).for_each(full);
    kvm.page_in(1, 0);
    kvm.page_out_is_empty();
    assert_eq!(kvm.page_out(1), HvCode::H_SUCCESS);
    let mut seen = vec![0; 3 * PAGE as usize];
    kvm.memory.read(HostAddr(AT), &mut seen).unwrap();
    for (page, byte) in seen.chunks(PAGE as usize).zip([0x22, 0, 0x22]) {
        assert!(page.iter().all(|seen| *seen == byte));
    }
}

pub(crate) fn reset_ends_secure_mode() {
    let kvm = Kvm::secure();
    let guest = PefGuest::new(kvm.vm.clone()).unwrap();
    assert!(guest.migration_blocker().contains("can't be migrated"));
    kvm.answer(UltracallNumber::UV_SVM_TERMINATE, &[-4]);
    assert_eq!(
        guest.reset(),
        Err(KvmError::NotEnded(UvError { call: UltracallNumber::UV_SVM_TERMINATE, code: UvCode(-4) }))
    );
    kvm.calls();
    assert_eq!(guest.reset(), Ok(()));
    assert_eq!(kvm.calls(), [unregister(0), unregister(3), terminate(), write_pate(1 << 63)]);
    assert_eq!((kvm.flags(), kvm.free()), (SecureGuest::empty(), 32));
    assert_eq!((guest.reset(), kvm.calls()), (Ok(()), vec![]), "once");
}

/// The VM as a VMM that knows no POWER sees it.
pub(crate) fn the_vm_by_its_traits() {
    let kvm = Kvm::new();
    let vm = &*kvm.vm;
    let range = |first: u64, count: u64| PageRange::new(Gfn(first), count);
    assert_eq!((vm.page_size(), vm.vm_state(), vm.lpid()), (PageSize::K64, VmState::Normal, VM));
    let state = Err(RangeError { done: 0, error: KvmError::State(VmState::Normal) });
    assert_eq!([vm.page_in_range(range(0, 1)), vm.page_out_range(range(0, 1))], [state, state]);
    assert_eq!(kvm.ask(HvCall::H_SVM_INIT_START, [0; 3]), HvCode::H_SUCCESS);
    assert_eq!(vm.vm_state(), VmState::Entering);
    let state = Err(RangeError { done: 0, error: KvmError::State(VmState::Entering) });
    assert_eq!(vm.page_in_range(range(0, 1)), state);
    assert_eq!([kvm.page_in(1, 1), kvm.ask(HvCall::H_SVM_INIT_DONE, [0; 3])], [HvCode::H_SUCCESS; 2]);
    assert_eq!(vm.vm_state(), VmState::Secure);
    kvm.calls();

    // A range is judged as a whole; then each page counts.
    let outside = Err(RangeError { done: 0, error: no_slot(PAGES) });
    assert_eq!([vm.page_in_range(range(2, 3)), vm.page_out_range(range(2, 3))], [outside, outside]);
    assert_eq!(kvm.calls(), []);
    kvm.answer(UltracallNumber::UV_PAGE_OUT, &[0, 0, -5]);
    let stopped = Err(RangeError { done: 3, error: refused(UltracallNumber::UV_PAGE_OUT, -5) });
    assert_eq!(vm.page_out_range(range(0, 4)), stopped, "page 1 is shared and stays so");
    assert_eq!(kvm.calls(), [0, 2, 3].map(|gfn| paging(UltracallNumber::UV_PAGE_OUT, gfn)));
    kvm.vm.host_unmaps(Gfn(1));
    let states = [0, 1, 2, 3].map(|gfn| vm.page_state(Gfn(gfn)).unwrap());
    assert_eq!(states, [PageState::Sealed, PageState::Withdrawn, PageState::Sealed, PageState::Secure]);
    assert_eq!([0, 1].map(|gfn| vm.is_shared(Gfn(gfn))), [Ok(false); 2], "a page that is away is not shared");
    kvm.calls();
    kvm.answer(UltracallNumber::UV_PAGE_IN, &[0, 0, -56]);
    let stopped = Err(RangeError { done: 2, error: refused(UltracallNumber::UV_PAGE_IN, -56) });
    assert_eq!(vm.page_in_range(range(0, 4)), stopped);
    assert_eq!(vm.page_in_range(range(0, 4)), Ok(()));
    assert_eq!(
        kvm.calls(),
        [0, 1, 2, 2].map(|gfn| paging(UltracallNumber::UV_PAGE_IN, gfn)),
        "what is there is left alone"
    );
    let states = [0, 1, 2, 3].map(|gfn| vm.page_state(Gfn(gfn)).unwrap());
    assert_eq!(states, [PageState::Secure, PageState::Shared, PageState::Secure, PageState::Secure]);

    // Shared pages are taken away, others are not.
    assert_eq!([0, 1].map(|gfn| vm.is_shared(Gfn(gfn))), [Ok(false), Ok(true)]);
    assert_eq!([vm.withdraw(Gfn(1)), vm.withdraw(Gfn(1))], [Ok(()); 2]);
    assert_eq!(kvm.calls(), [paging(UltracallNumber::UV_PAGE_INVAL, 1)]);
    assert_eq!(vm.page_state(Gfn(1)), Ok(PageState::Withdrawn));
    assert_eq!(vm.withdraw(Gfn(3)), Err(KvmError::Page(Gfn(3), vm.gfn_state(Gfn(3)))));
    let outside = [vm.withdraw(Gfn(PAGES)), vm.is_shared(Gfn(PAGES)).map(drop), vm.page_state(Gfn(PAGES)).map(drop)];
    assert_eq!(outside, [Err(no_slot(PAGES)); 3]);
    assert_eq!(kvm.calls(), []);

    assert_eq!((vm.terminate(), vm.vm_state()), (Ok(()), VmState::Normal));
    assert_eq!([0, 3].map(|gfn| vm.page_state(Gfn(gfn))), [Ok(PageState::Absent); 2]);
}

pub(crate) fn errors_have_kinds() {
    let uv = UvError { call: UltracallNumber::UV_PAGE_IN, code: UvCode::U_BUSY };
    let gfn = Gfn(9);
    for (error, kind, text) in [
        (no_slot(9), ErrorKind::InvalidArgument, "page 0x9 belongs to no memory slot"),
        (KvmError::Uv(uv), uv.kind(), ""),
        (KvmError::Refused(HvCode::H_STATE), ErrorKind::Integrity, ""),
        (KvmError::NotAsked, ErrorKind::WrongState, "the guest did not ask to become secure"),
        (KvmError::State(VmState::Normal), ErrorKind::WrongState, "the VM is Normal"),
        (KvmError::Page(gfn, GfnState::Shared), ErrorKind::WrongState, "page 0x9 is Shared"),
        (KvmError::Pinned(gfn), ErrorKind::Busy, "page 0x9 is pinned"),
        (KvmError::NoPage, ErrorKind::Exhausted, "the host has no page free"),
        (KvmError::PoolEmpty, ErrorKind::Exhausted, "no device page is free"),
        (KvmError::Running, ErrorKind::Busy, "a virtual CPU is running"),
        (KvmError::NotEnded(uv), ErrorKind::Fatal, ""),
        (KvmError::Unsupported, ErrorKind::Unsupported, "this host cannot run secure VMs"),
        (KvmError::Fault(gfn), ErrorKind::InvalidArgument, "page 0x9 cannot be served"),
        (KvmError::SigBus(gfn), ErrorKind::Fatal, "page 0x9 cannot be taken from the guest"),
        (KvmError::Vector(0x300), ErrorKind::Fatal, "unexpected interrupt 0x300"),
    ] {
        assert_eq!(error.kind(), kind, "{error}");
        assert!(text.is_empty() || error.to_string() == text, "{error}");
    }
}

/// A TPM that says it gave more than there was room for.
struct TooLong(usize);

impl HostTpm for TooLong {
    fn execute(&mut self, _: &[u8], response: &mut [u8]) -> Result<usize, TpmError> {
        response.fill(7);
        Ok(self.0)
    }

    fn close(&mut self) {}
}

pub(crate) fn responses_are_as_long_as_the_tpm_says() {
    let kvm = started();
    let ask = |len: usize, at: u64| tpm_comm(&kvm.vm, Some(&mut TooLong(len)), [1, 0, 4, at, 4096]);
    assert_eq!(ask(4097, PAGE), (HvCode::H_RESOURCE, 0));
    assert_eq!(ask(0, PAGE), (HvCode::H_SUCCESS, 0));
    let mut seen = [1; 2];
    kvm.memory.read(HostAddr(AT + PAGE), &mut seen).unwrap();
    assert_eq!(seen, [0; 2], "nothing was written");
    // The whole of the room, across a page boundary.
    assert_eq!(ask(4096, 2 * PAGE - 4000), (HvCode::H_SUCCESS, 4096));
    for (at, byte) in [(4001, 0), (4000, 7), (1, 7)] {
        kvm.memory.read(HostAddr(AT + 2 * PAGE - at), &mut seen[..1]).unwrap();
        assert_eq!(seen[0], byte, "{at} bytes before the boundary");
    }
    kvm.memory.read(HostAddr(AT + 2 * PAGE + 95), &mut seen).unwrap();
    assert_eq!(seen, [7, 0]);
}

/// What the host shows of itself.
pub(crate) fn the_pool_counts_its_pages() {
    let pool = DevicePool::new(3 * PAGE + 5).unwrap();
    assert_eq!((pool.pages(), pool.free()), (3, 3));
    assert_eq!(format!("{pool:?}"), "DevicePool { free: 3, pages: 3 }");
    let kvm = Kvm::started(Made { pool_pages: 3, ..Made::default() });
    for (gfn, device) in [(0, 0), (2, 1), (SECOND, 2)] {
        assert_eq!(kvm.page_in(gfn, 0), HvCode::H_SUCCESS);
        assert_eq!(kvm.vm.gfn_state(Gfn(gfn)), GfnState::Uvmem(DevicePage(device)));
    }
    assert_eq!((kvm.page_in(1, 0), kvm.page_out(2), kvm.free()), (HvCode::H_PARAMETER, HvCode::H_SUCCESS, 1));
    assert_eq!(kvm.page_in(1, 0), HvCode::H_SUCCESS);
    assert_eq!(kvm.vm.gfn_state(Gfn(1)), GfnState::Uvmem(DevicePage(1)), "the first that is free");
}
