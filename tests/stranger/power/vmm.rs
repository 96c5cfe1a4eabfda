//! A VMM for POWER, from memory to a secure guest, over `uv-core` and `uv-power` alone. The ESM blob is one that the owner's real tool
//! wrote; the memory is the VMM's own.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::{Arc, Mutex};

use uv_core::{
    AccessError, EnterSecureMode as _, Exit, Gfn, GuestAddr, HostAddr, MemSlot, MemSlots, NormalMemory, PageIn as _,
    PageSize, SecureVm as _, SlotId, Vcpu as _,
};
use uv_power::abi::regs::{Lpid, Regs};
use uv_power::abi::{HvCode, Msr, Profile};
use uv_power::guest::EsmRequest;
use uv_power::hypervisor::kernel::{DevicePool, Host, KvmVcpu, Vm, VmConfig};
use uv_power::hypervisor::vmm::boot::{BootFiles, BootLayout};
use uv_power::owner::digests::RTAS_STUB;
use uv_power::owner::keys::PrivateKey;
use uv_power::sim::{GuestInsn, Machine, MachineConfig, Outcome, Step};

const BLOB: &[u8] = include_bytes!("../../fixtures/svm-tool/blobs/full.dtb");
const KERNEL: &[u8] = include_bytes!("../../fixtures/svm-tool/boot/vmlinux.bin");
const INITRD: &[u8] = include_bytes!("../../fixtures/svm-tool/boot/initrd.img");
const BOOTARGS: &str = "root=/dev/sda1 rw svm=on console=hvc0";
const MACHINE_KEY: &[u8] = include_bytes!("../../fixtures/svm-tool/keys/machine1.pem");
/// Of nobody that the blob names.
const OTHER_KEY: (&[u8], &[u8]) = (include_bytes!("../../fixtures/esm-keys/owner2-pkcs8-pbkdf2.pem"), b"owner-pass");

const LPID: Lpid = Lpid(1);
const HOST: u64 = 16 << 20;
const GUEST_BYTES: u64 = 64 << 20;
/// Secure pages that the ultravisor takes for itself, of 64 KiB.
const SPARE: u64 = 128;
const SECRET: &[u8] = b"only the guest may read this";
const SECRET_AT: GuestAddr = GuestAddr(0x80_0000);

/// The VMM's own memory.
struct Ram(Mutex<Vec<u8>>);

impl NormalMemory for Ram {
    fn read(&self, at: HostAddr, into: &mut [u8]) -> Result<(), AccessError> {
        let ram = self.0.lock().unwrap();
        let found = usize::try_from(at.0).ok().and_then(|from| ram.get(from..from.checked_add(into.len())?));
        into.copy_from_slice(found.ok_or(AccessError::Unmapped { at, len: into.len() })?);
        Ok(())
    }

    fn write(&self, at: HostAddr, from: &[u8]) -> Result<(), AccessError> {
        let mut ram = self.0.lock().unwrap();
        let found = usize::try_from(at.0).ok().and_then(|to| ram.get_mut(to..to.checked_add(from.len())?));
        found.ok_or(AccessError::Unmapped { at, len: from.len() })?.copy_from_slice(from);
        Ok(())
    }

    fn check(&self, at: HostAddr, len: u64) -> Result<(), AccessError> {
        let end = at.0.checked_add(len).and_then(|end| usize::try_from(end).ok());
        let there = end.is_some_and(|end| end <= self.0.lock().unwrap().len());
        if there { Ok(()) } else { Err(AccessError::Unmapped { at, len: usize::try_from(len).unwrap_or(usize::MAX) }) }
    }
}

/// What the guest saw: its registers after `UV_ESM`, and its secret as it read it back.
#[derive(Default)]
struct Seen {
    regs: Option<Box<Regs>>,
    secret: Vec<u8>,
}

/// Boots the VM on a machine with this key. Gives what the guest saw and what the VMM finds in the guest's page.
fn boot_on(key: PrivateKey, profile: Profile) -> (Seen, Vec<u8>) {
    let pages = GUEST_BYTES >> PageSize::K64.shift();
    let memory = Arc::new(Ram(Mutex::new(vec![0; usize::try_from(HOST + GUEST_BYTES).unwrap()])));
    let files =
        BootFiles { kernel: KERNEL, initrd: INITRD, blob: Some(BLOB), rtas: &RTAS_STUB, bootargs: BOOTARGS, cores: 1 };
    let layout = BootLayout::new(&files).unwrap().with_memory(GUEST_BYTES).unwrap();
    layout.load(&*memory, HostAddr(HOST)).unwrap();
    let request = layout.request();
    let config = MachineConfig {
        secure_pages: u32::try_from(pages + SPARE).unwrap(),
        ..MachineConfig::new(key).with_profile(profile)
    };
    let machine = Machine::new(config, memory.clone());

    // The guest's owner writes the guest: it asks, and if it is secure it writes its secret and reads it back.
    let seen = Arc::new(Mutex::new(Seen::default()));
    let saw = Arc::clone(&seen);
    let program = move |last: Outcome<Box<Regs>>| match last {
        Outcome::Started => Step::Call(GuestInsn::ultracall(EsmRequest::NUMBER, &request.arguments())),
        Outcome::Returned(regs) => {
            let secure = EsmRequest::outcome(&regs).is_ok();
            saw.lock().unwrap().regs = Some(regs);
            if secure { Step::store(SECRET_AT, SECRET) } else { Step::Halt }
        }
        Outcome::Stored => Step::load(SECRET_AT, SECRET.len()),
        Outcome::Loaded(bytes) => {
            saw.lock().unwrap().secret = bytes.to_vec();
            Step::Halt
        }
        Outcome::Fetched => Step::Halt,
    };
    machine.add_vcpu(LPID, 0, Box::new(program));

    // The VMM.
    let seam = Arc::new(machine);
    let pool = DevicePool::new((pages + SPARE) << PageSize::K64.shift()).map(Arc::new);
    let host = Host { uv: seam.clone(), entry: seam, memory: memory.clone(), pool };
    let mut slots = MemSlots::new(PageSize::K64);
    slots.insert(SlotId(0), MemSlot { first: Gfn(0), pages, host: HostAddr(HOST) }).unwrap();
    let vm = Arc::new(Vm::new(host, VmConfig { lpid: LPID, radix: true, slots }));
    vm.enable_secure_guest_capability().unwrap();
    let mut cpu = KvmVcpu::new(Arc::clone(&vm), 0).starting_at(request.kernel);
    loop {
        match cpu.run().unwrap() {
            // A refusal is the guest's to hear of.
            Exit::EnterSecureMode => drop(vm.enter_secure_mode(&mut cpu)),
            Exit::EnterAborted => vm.terminate().unwrap(),
            Exit::PageMissing { gfn, .. } => vm.page_in(gfn).unwrap(),
            Exit::Halted => break,
            _ => cpu.complete(HvCode::H_FUNCTION, &[]),
        }
    }
    let mut found = vec![0; SECRET.len()];
    memory.read(HostAddr(HOST + SECRET_AT.0), &mut found).unwrap();
    vm.terminate().unwrap();
    let seen = std::mem::take(&mut *seen.lock().unwrap());
    (seen, found)
}

#[test]
fn a_real_blob_makes_a_vm_secure() {
    for profile in [Profile::Documented, Profile::Firmware] {
        let (seen, found) = boot_on(PrivateKey::from_pem(MACHINE_KEY, None).unwrap(), profile);
        assert!(seen.regs.unwrap().msr().contains(Msr::S));
        assert_eq!(seen.secret, SECRET, "the guest reads its secret");
        assert_eq!(found, vec![0; SECRET.len()], "the hypervisor finds what it had loaded there: nothing");
    }
}

#[test]
fn a_machine_that_the_blob_does_not_name_refuses_it() {
    let key = PrivateKey::from_pem(OTHER_KEY.0, Some(OTHER_KEY.1)).unwrap();
    let (seen, _) = boot_on(key, Profile::Documented);
    let regs = seen.regs.unwrap();
    assert_eq!(regs.gpr[3], HvCode::H_PARAMETER.to_register());
    assert!(!regs.msr().contains(Msr::S) && seen.secret.is_empty());
}
