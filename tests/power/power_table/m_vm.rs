//! Rows M, third part: the end of secure mode, capability, memory slots, the TPM.

use std::sync::{Arc, Mutex};

use uv_core::{Gfn, GuestAddr, HostAddr, MemSlot, NormalMemory, SlotId, Vcpu};
use uv_power::abi::HvCode;
use uv_power::abi::numbers::{HvCall, UltracallNumber};
use uv_power::abi::tpm::{HostTpm, TpmError};
use uv_power::hypervisor::kernel::tpm_comm;
use uv_power::hypervisor::kernel::{AreaKind, GfnState, KvmError, KvmVcpu, SecureGuest};
use uv_power::hypervisor::vmm::PefGuest;

use crate::kvm_rig::*;
use crate::rig::{PAGE, VM, rows};

rows! { m23 m24 m25 m26 m27 m28 m29 m30 m31 m36 }

fn m23() {
    let kvm = Kvm::new();
    assert_eq!((kvm.vm.svm_off(), kvm.calls()), (Ok(()), vec![]));
    assert!(PefGuest::new(kvm.vm.clone()).unwrap().reset().is_ok());
}

fn m24() {
    let kvm = Kvm::secure();
    let (vm, seen) = (Arc::downgrade(&kvm.vm), Arc::new(Mutex::new(None)));
    let result = seen.clone();
    kvm.guest(move |_| *result.lock().unwrap() = vm.upgrade().map(|vm| vm.svm_off()));
    KvmVcpu::new(kvm.vm.clone(), 0).run().unwrap();
    assert_eq!(*seen.lock().unwrap(), Some(Err(KvmError::Running)));
    assert_eq!(kvm.calls(), []);
    assert_eq!(kvm.vm.svm_off(), Ok(()), "when it has stopped");
}

fn m25() {
    let kvm = Kvm::secure();
    // A VPA, whose length stands in a page that is shared.
    kvm.page_in(1, 1);
    kvm.memory.write(HostAddr(AT + PAGE), &[0, 0, 0, 0, 640_u16.to_be_bytes()[0], 640_u16.to_be_bytes()[1]]).unwrap();
    assert_eq!(kvm.ask(HvCall::H_REGISTER_VPA, [3 << 45, 0, PAGE]), HvCode::H_PARAMETER, "length of 32 bits");
    assert_eq!(kvm.ask(HvCall::H_REGISTER_VPA, [1 << 45, 0, PAGE]), HvCode::H_SUCCESS);
    assert_eq!(kvm.vm.area(0, AreaKind::Vpa).map(|area| (area.at, area.len)), Some((GuestAddr(PAGE), 640)));
    assert_eq!(kvm.ask(HvCall::H_REGISTER_VPA, [1 << 45, 0, PAGE + 8]), HvCode::H_PARAMETER);
    kvm.memory.write(HostAddr(AT + PAGE + 1024), &[0, 0, 0, 0, 0, 0, 0, 128]).unwrap();
    assert_eq!(kvm.ask(HvCall::H_REGISTER_VPA, [3 << 45, 1, PAGE + 1024]), HvCode::H_RESOURCE, "no VPA there");
    assert_eq!(kvm.ask(HvCall::H_REGISTER_VPA, [3 << 45, 0, PAGE + 1024]), HvCode::H_SUCCESS);
    assert_eq!(kvm.ask(HvCall::H_REGISTER_VPA, [5 << 45, 0, 0]), HvCode::H_RESOURCE, "the shadow goes first");
    assert_eq!(kvm.page_in(1, 0), HvCode::H_PARAMETER, "the page is pinned");
    kvm.calls();

    kvm.answer(UltracallNumber::UV_SVM_TERMINATE, &[-4]);
    let refused = kvm.vm.svm_off();
    assert!(matches!(refused, Err(KvmError::NotEnded(_))), "{refused:?}");
    assert_eq!(kvm.calls(), [unregister(0), unregister(3), terminate()]);
    assert!(!kvm.flags().is_empty() && kvm.vm.area(0, AreaKind::Vpa).is_some());

    assert_eq!(kvm.vm.svm_off(), Ok(()));
    let calls = kvm.calls();
    assert_eq!(calls[..3], [unregister(0), unregister(3), terminate()]);
    assert_eq!((calls.len(), calls[3].0, calls[3].1[0]), (4, UltracallNumber::UV_WRITE_PATE, VM.0.into()));
    assert_ne!(calls[3].1[1], 0, "the partition is a normal one");
    assert_eq!((kvm.flags(), kvm.free()), (SecureGuest::empty(), 32));
    assert!((0..PAGES).all(|gfn| kvm.vm.gfn_state(Gfn(gfn)) == GfnState::Normal));
    assert_eq!(kvm.ask(HvCall::H_SVM_INIT_START, [0; 3]), HvCode::H_SUCCESS);
    assert_eq!(kvm.page_in(1, 0), HvCode::H_SUCCESS, "the page is not pinned any more");
    assert!([AreaKind::Vpa, AreaKind::SlbShadow].iter().all(|kind| kvm.vm.area(0, *kind).is_none()));
}

fn m26() {
    let kvm = Kvm::made(Made { pool_pages: 0, enabled: false, ..Made::default() });
    assert!(!kvm.vm.check_secure_guest_capability());
    assert_eq!(kvm.vm.enable_secure_guest_capability(), Err(KvmError::Unsupported));
    assert_eq!(PefGuest::new(kvm.vm.clone()).unwrap_err(), KvmError::Unsupported);
    assert!(Kvm::new().vm.check_secure_guest_capability());
}

fn m27() {
    let kvm = Kvm::secure();
    let free = kvm.free();
    kvm.vm.delete_memslot(SlotId(3));
    assert_eq!((kvm.calls(), kvm.free()), (vec![unregister(3)], free + 2));
    assert_eq!(kvm.vm.gfn_state(Gfn(SECOND)), GfnState::Normal);
    kvm.vm.delete_memslot(SlotId(3));
    assert_eq!(kvm.calls(), []);
    let normal = Kvm::new();
    normal.vm.delete_memslot(SlotId(3));
    assert_eq!(normal.calls(), []);
}

const ADDED: MemSlot = MemSlot { first: Gfn(32), pages: 3, host: HostAddr(0x50_0000) };

fn m28() {
    let kvm = Kvm::secure();
    let free = kvm.free();
    kvm.vm.add_memslot(SlotId(9), ADDED).unwrap();
    assert_eq!((kvm.calls(), kvm.free()), (vec![register(32, 3, 9)], free - 3));
    assert!(matches!(kvm.vm.gfn_state(Gfn(34)), GfnState::Uvmem(_)));
    let normal = Kvm::new();
    normal.vm.add_memslot(SlotId(9), ADDED).unwrap();
    assert_eq!(normal.calls(), []);
}

fn m36() {
    let kvm = Kvm::secure();
    let free = kvm.free();
    kvm.answer(UltracallNumber::UV_REGISTER_MEM_SLOT, &[-4]);
    kvm.vm.add_memslot(SlotId(9), ADDED).unwrap();
    assert_eq!((kvm.calls(), kvm.free()), (vec![register(32, 3, 9)], free));
    assert!(kvm.vm.slots().host_page(Gfn(34)).is_some(), "user space has its slot");
    assert_eq!(kvm.vm.gfn_state(Gfn(34)), GfnState::Normal);
}

/// A TPM that answers with the command in reverse.
#[derive(Default)]
struct Tpm {
    opened: u32,
    open: bool,
    broken: bool,
}

impl HostTpm for Tpm {
    fn execute(&mut self, command: &[u8], response: &mut [u8]) -> Result<usize, TpmError> {
        if self.broken {
            return Err(TpmError);
        }
        self.opened += u32::from(!core::mem::replace(&mut self.open, true));
        for (to, from) in response.iter_mut().zip(command.iter().rev()) {
            *to = *from;
        }
        Ok(command.len())
    }

    fn close(&mut self) {
        self.open = false;
    }
}

/// A page that the guest shared, for both buffers.
const COMMAND: u64 = PAGE;
const RESPONSE: u64 = PAGE + 0x2000;

fn tpm(kvm: &Kvm, tpm: &mut Tpm, args: [u64; 5]) -> (HvCode, u64) {
    tpm_comm(&kvm.vm, Some(tpm), args)
}

fn m29() {
    let kvm = Kvm::secure();
    kvm.page_in(1, 1);
    let mut chip = Tpm::default();
    for command in [COMMAND, PAGES * PAGE, u64::MAX] {
        assert_eq!(tpm(&kvm, &mut chip, [1, command, 5000, RESPONSE, 0]), (HvCode::H_P3, 0), "the length, and first");
    }
    assert_eq!(tpm(&kvm, &mut chip, [1, COMMAND, 4097, RESPONSE, 4096]), (HvCode::H_P3, 0));
    assert_eq!(chip.opened, 0);
    assert_eq!(tpm(&kvm, &mut chip, [1, COMMAND, 4096, RESPONSE, 4096]), (HvCode::H_SUCCESS, 4096));
    kvm.memory.write(HostAddr(AT + COMMAND), b"abc").unwrap();
    kvm.memory.write(HostAddr(AT + RESPONSE), &[0; 4]).unwrap();
    assert_eq!(tpm(&kvm, &mut chip, [1, COMMAND, 3, RESPONSE, 4096]), (HvCode::H_SUCCESS, 3));
    assert_eq!(tpm(&kvm, &mut chip, [1, 0xf << 60 | COMMAND, 3, 0xf << 60 | RESPONSE, 4096]), (HvCode::H_SUCCESS, 3));
    let mut seen = [9; 4];
    kvm.memory.read(HostAddr(AT + RESPONSE), &mut seen).unwrap();
    assert_eq!(seen, *b"cba\0");
    chip.broken = true;
    assert_eq!(tpm(&kvm, &mut chip, [1, COMMAND, 3, RESPONSE, 4096]), (HvCode::H_RESOURCE, 0));
}

fn m30() {
    let kvm = Kvm::secure();
    kvm.page_in(1, 1);
    let mut chip = Tpm::default();
    for response in [RESPONSE, PAGES * PAGE] {
        assert_eq!(tpm(&kvm, &mut chip, [1, COMMAND, 10, response, 100]), (HvCode::H_P5, 0));
    }
    assert_eq!(tpm(&kvm, &mut chip, [1, COMMAND, 10, RESPONSE, 4095]), (HvCode::H_P5, 0));
    // A buffer that is not shared: what the TPM gets is ciphertext.
    assert_eq!(tpm(&kvm, &mut chip, [1, 2 * PAGE, 16, RESPONSE, 4096]), (HvCode::H_SUCCESS, 16));
    let mut seen = SEALED;
    kvm.memory.read(HostAddr(AT + RESPONSE), &mut seen).unwrap();
    assert_eq!((seen, kvm.vm.gfn_state(Gfn(2))), (SEALED, GfnState::PagedOut));
}

pub(crate) fn areas_pin_their_page() {
    let kvm = Kvm::started(Made::default());
    let end = 2 * PAGE - 640;
    let vpa = |function: u64, at: u64| kvm.ask(HvCall::H_REGISTER_VPA, [function << 45, 0, at]);
    let length = |len: u16| kvm.memory.write(HostAddr(AT + end + 4), &len.to_be_bytes()).unwrap();
    length(641);
    assert_eq!(vpa(1, end), HvCode::H_PARAMETER, "past the end of its page");
    length(640);
    assert_eq!([vpa(1, end), vpa(1, end)], [HvCode::H_SUCCESS; 2], "again in place of the first");
    assert_eq!(kvm.page_in(1, 0), HvCode::H_PARAMETER);
    assert_eq!(vpa(5, 0), HvCode::H_SUCCESS);
    assert_eq!(kvm.page_in(1, 0), HvCode::H_SUCCESS);
    assert_eq!(vpa(5, 0), HvCode::H_SUCCESS, "none is registered");
}

/// What a normal guest reaches follows its slots.
pub(crate) fn slots_are_reachable() {
    let kvm = Kvm::new();
    kvm.vm.add_memslot(SlotId(9), ADDED).unwrap();
    assert_eq!(kvm.reaches(34), Some(HostAddr(ADDED.host.0 + 2 * PAGE)));
    kvm.vm.delete_memslot(SlotId(9));
    assert_eq!(kvm.reaches(34), None);
    // A page that an abort left secure goes with its slot.
    let kvm = Kvm::started(Made::default());
    assert_eq!(kvm.page_in(SECOND, 0), HvCode::H_SUCCESS);
    kvm.answer(UltracallNumber::UV_PAGE_OUT, &[-5]);
    assert_eq!(kvm.ask(HvCall::H_SVM_INIT_ABORT, [0; 3]), HvCode::H_PARAMETER);
    assert_eq!(kvm.free(), 31);
    kvm.vm.delete_memslot(SlotId(3));
    assert_eq!(kvm.free(), 32);
}

pub(crate) fn tpm_addresses() {
    let kvm = Kvm::started(Made::default());
    let mut chip = Tpm::default();
    // Both buffers lie across a page boundary.
    kvm.memory.write(HostAddr(AT + PAGE - 2), b"abcd").unwrap();
    assert_eq!(tpm(&kvm, &mut chip, [1, PAGE - 2, 4, 2 * PAGE - 1, 4096]), (HvCode::H_SUCCESS, 4));
    let mut seen = [0; 4];
    kvm.memory.read(HostAddr(AT + 2 * PAGE - 1), &mut seen).unwrap();
    assert_eq!(seen, *b"dcba");
    // No memory: zeros are read, nothing is written.
    assert_eq!(tpm(&kvm, &mut chip, [1, PAGES * PAGE, 4, 2 * PAGE - 1, 4096]), (HvCode::H_SUCCESS, 4));
    kvm.memory.read(HostAddr(AT + 2 * PAGE - 1), &mut seen).unwrap();
    assert_eq!(seen, [0; 4]);
    assert_eq!(tpm(&kvm, &mut chip, [1, PAGE - 2, 4, PAGES * PAGE, 4096]), (HvCode::H_SUCCESS, 4));
    // A page that the ultravisor keeps.
    let kvm = Kvm::secure();
    kvm.answer(UltracallNumber::UV_PAGE_OUT, &[-5]);
    assert_eq!(tpm(&kvm, &mut chip, [1, 0, 4, PAGE, 4096]), (HvCode::H_RESOURCE, 0));
}

/// The end of a VM that never was secure, and of one that is.
pub(crate) fn every_vm_has_its_entry() {
    for (secure, last) in [(false, vec![write_pate(0)]), (true, vec![terminate(), write_pate(0)])] {
        let kvm = if secure { Kvm::secure() } else { Kvm::new() };
        let (uv, pool) = (kvm.uv.clone(), kvm.pool.clone().unwrap());
        drop(kvm);
        assert_eq!((calls(&uv), pool.free()), (last, 32), "and nothing is reachable");
        assert!(!uv.inner().is_reachable());
    }
}

fn m31() {
    let kvm = Kvm::secure();
    let mut chip = Tpm { open: true, ..Tpm::default() };
    assert_eq!(tpm(&kvm, &mut chip, [9, 0, 9000, 0, 0]), (HvCode::H_PARAMETER, 0));
    assert_eq!(tpm(&kvm, &mut chip, [2, 0, 9000, 0, 0]), (HvCode::H_SUCCESS, 0));
    assert!(!chip.open);
    assert_eq!(tpm_comm(&kvm.vm, None, [1, 0, 0, 0, 4096]), (HvCode::H_FUNCTION, 0));
}
