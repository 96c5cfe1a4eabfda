//! Rows M, third part: the end of secure mode, capability, memory slots, the TPM.

use std::sync::{Arc, Mutex};

use uv_core::{Gfn, GuestAddr, HostAddr, MemSlot, NormalMemory, SlotId, Vcpu};
use uv_power::abi::HvCode;
use uv_power::abi::numbers::{HvCall, UvCall};
use uv_power::hypervisor::kernel::{AreaKind, GfnState, KvmError, KvmVcpu, SecureGuest};
use uv_power::hypervisor::vmm::{HostTpm, PefGuest, TpmError, tpm_comm};

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
    kvm.calls();

    kvm.answer(UvCall::UV_SVM_TERMINATE, &[-4]);
    let refused = kvm.vm.svm_off();
    assert!(matches!(refused, Err(KvmError::NotEnded(_))), "{refused:?}");
    assert_eq!(kvm.calls(), [unregister(0), unregister(3), terminate()]);
    assert!(!kvm.flags().is_empty() && kvm.vm.area(0, AreaKind::Vpa).is_some());

    assert_eq!(kvm.vm.svm_off(), Ok(()));
    let calls = kvm.calls();
    assert_eq!(calls[..3], [unregister(0), unregister(3), terminate()]);
    assert_eq!((calls.len(), calls[3].0, calls[3].1[0]), (4, UvCall::UV_WRITE_PATE, VM.0.into()));
    assert_ne!(calls[3].1[1], 0, "the partition is a normal one");
    assert_eq!((kvm.flags(), kvm.free()), (SecureGuest::empty(), 32));
    assert!([AreaKind::Vpa, AreaKind::SlbShadow].iter().all(|kind| kvm.vm.area(0, *kind).is_none()));
    assert!((0..PAGES).all(|gfn| kvm.vm.gfn_state(Gfn(gfn)) == GfnState::Normal));
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
    kvm.answer(UvCall::UV_REGISTER_MEM_SLOT, &[-4]);
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
    assert_eq!(tpm(&kvm, &mut chip, [1, COMMAND, 5000, RESPONSE, 4096]), (HvCode::H_P3, 0));
    assert_eq!(tpm(&kvm, &mut chip, [1, PAGES * PAGE, 5000, RESPONSE, 4096]), (HvCode::H_P2, 0));
    assert_eq!(chip.opened, 0);
    kvm.memory.write(HostAddr(AT + COMMAND), b"abc").unwrap();
    assert_eq!(tpm(&kvm, &mut chip, [1, COMMAND, 3, RESPONSE, 4096]), (HvCode::H_SUCCESS, 3));
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
    assert_eq!(tpm(&kvm, &mut chip, [1, COMMAND, 10, RESPONSE, 100]), (HvCode::H_P5, 0));
    assert_eq!(tpm(&kvm, &mut chip, [1, COMMAND, 10, PAGES * PAGE, 4096]), (HvCode::H_P4, 0));
    // A buffer that is not shared: what the TPM gets is ciphertext.
    assert_eq!(tpm(&kvm, &mut chip, [1, 2 * PAGE, 16, RESPONSE, 4096]), (HvCode::H_SUCCESS, 16));
    let mut seen = SEALED;
    kvm.memory.read(HostAddr(AT + RESPONSE), &mut seen).unwrap();
    assert_eq!((seen, kvm.vm.gfn_state(Gfn(2))), (SEALED, GfnState::PagedOut));
}

fn m31() {
    let kvm = Kvm::secure();
    let mut chip = Tpm { open: true, ..Tpm::default() };
    assert_eq!(tpm(&kvm, &mut chip, [9, 0, 9000, 0, 0]), (HvCode::H_PARAMETER, 0));
    assert_eq!(tpm(&kvm, &mut chip, [2, 0, 9000, 0, 0]), (HvCode::H_SUCCESS, 0));
    assert!(!chip.open);
    assert_eq!(tpm_comm(&kvm.vm, None, [1, 0, 0, 0, 4096]), (HvCode::H_FUNCTION, 0));
}
