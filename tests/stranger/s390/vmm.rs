//! A VMM for IBM Z, from memory to a protected guest, over `uv-core` and `uv-s390` alone. The image is one that the real builder wrote.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::{Arc, Mutex};

use uv_core::{
    EnterSecureMode as _, Exit, Gfn, GuestAddr, HostAddr, MemSlot, MemSlots, NormalMemory as _, PageIn as _, PageSize,
    SecureVm as _, SlotId, Vcpu as _,
};
use uv_s390::abi::diag308::Response;
use uv_s390::abi::psw::Psw;
use uv_s390::guest::stage3a::{BootImage, Loader, LoaderStep};
use uv_s390::hypervisor::kernel::{Hardware, Host, HostPages, S390Exit, Vm, VmConfig};
use uv_s390::hypervisor::vmm::{VmmVcpu, VmmVm, boot};
use uv_s390::owner::crypto::HostPrivateKey;
use uv_s390::sim::{GuestCode, GuestInsn, InsnResult, Machine, MachineConfig, Outcome, Program, Step};

const IMAGE: &[u8] = include_bytes!("../../fixtures/pvimg/a-kernel-only/image.bin");
const HOST_KEY: &str = include_str!("../../fixtures/pvimg/keys/host1.key.pem");
const OTHER_KEY: &str = include_str!("../../fixtures/pvimg/keys/host2.key.pem");
/// The kernel that the image was made of.
const KERNEL: &[u8] = include_bytes!("../../fixtures/pvimg/components/kernel-aligned.bin");

const KERNEL_STORAGE: HostAddr = HostAddr(2 << 30);
const KERNEL_STORAGE_BYTES: u64 = 64 << 20;
const GUEST_MEMORY: HostAddr = HostAddr(KERNEL_STORAGE.0 + KERNEL_STORAGE_BYTES);
const GUEST_BYTES: u64 = 1 << 20;

/// What the guest saw: answers of DIAG 308 while it was ordinary, then its kernel's bytes.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<(Vec<u64>, Vec<u8>)>>);

/// The guest: the boot loader of the image, and behind it a kernel that reads itself.
struct Linux {
    image: BootImage,
    seen: Seen,
    protected: bool,
}

impl GuestCode for Linux {
    fn start(&mut self, _: Psw) -> Box<dyn Program<GuestInsn, InsnResult>> {
        let seen = self.seen.clone();
        if std::mem::replace(&mut self.protected, true) {
            let kernel = self.image.components()[0];
            let mut todo = vec![Step::load(GuestAddr(kernel.address.get()), KERNEL.len())].into_iter();
            return Box::new(move |last: Outcome<InsnResult>| {
                if let Outcome::Loaded(bytes) = last {
                    seen.0.lock().unwrap().1 = bytes.to_vec();
                }
                todo.next().unwrap_or(Step::Halt)
            });
        }
        let mut loader = Loader::new(&self.image);
        Box::new(move |last: Outcome<InsnResult>| {
            let mut answer = None;
            if let Outcome::Returned(InsnResult::Ipl { response, .. }) = last {
                seen.0.lock().unwrap().0.push(response);
                answer = Some(Response(response));
            }
            match loader.next(answer) {
                LoaderStep::Store { at, bytes } => Step::store(at, &bytes),
                LoaderStep::Diag308(call) => {
                    Step::Call(GuestInsn::Diag308 { subcode: call.subcode, address: call.address, ipib: Vec::new() })
                }
                LoaderStep::Wait => Step::Halt,
            }
        })
    }
}

/// Boots the image on a machine with this host key. Gives what the guest saw, and whether the VMM could read its kernel.
fn boot_on(host_key: &str) -> (Seen, bool) {
    let host_key = HostPrivateKey::from_pem(host_key).unwrap();
    let memory = GUEST_MEMORY.0 + GUEST_BYTES;
    let machine = Arc::new(Machine::new(MachineConfig { host_key, memory, ..MachineConfig::new(1) }));
    let pages = HostPages::new([(KERNEL_STORAGE, KERNEL_STORAGE_BYTES)]);
    let host = Host::start(Hardware::new(&machine, machine.host_memory()), pages).unwrap();

    let image = BootImage::find(IMAGE.to_vec()).unwrap();
    let mut slots = MemSlots::new(PageSize::K4);
    let slot = MemSlot { first: Gfn(0), pages: GUEST_BYTES >> 12, host: GUEST_MEMORY };
    slots.insert(SlotId(0), slot).unwrap();
    let guest = Vm::new(host, VmConfig::new(slots)).unwrap();
    guest.add_cpu(0).unwrap();
    boot::load(&guest.storage(), image.file()).unwrap();

    // The guest's owner writes the guest; the VMM starts it at the boot loader.
    let seen = Seen::default();
    let kernel = image.components()[0];
    let entry = Psw::at(image.header_address());
    machine.set_guest(guest.state_address(0).unwrap(), Linux { image, seen: seen.clone(), protected: false });
    let mut cpu = guest.vcpu(0).unwrap();
    cpu.change_registers(|_, state| state.psw = entry).unwrap();
    let (vm, mut cpu) = (VmmVm::new(guest), VmmVcpu::new(cpu, Arc::default()));
    loop {
        match cpu.run().unwrap() {
            // A refusal is the guest's to hear of.
            Exit::EnterSecureMode => drop(vm.enter_secure_mode(&mut cpu)),
            Exit::PageMissing { gfn, .. } => vm.page_in(gfn).unwrap(),
            Exit::Arch(S390Exit::Yield(_)) => {}
            Exit::Halted => break,
            exit => panic!("{exit:?}"),
        }
    }
    let mut stolen = vec![0; KERNEL.len()];
    let read = machine.host_memory().read(HostAddr(GUEST_MEMORY.0 + kernel.address.get()), &mut stolen);
    vm.terminate().unwrap();
    (seen, read.is_ok())
}

#[test]
fn a_real_image_runs_protected() {
    let (seen, readable) = boot_on(HOST_KEY);
    let (answers, kernel) = seen.0.lock().unwrap().clone();
    assert_eq!(answers, [0x0001], "subcode 8; subcode 10 does not come back");
    assert!(kernel == KERNEL, "the guest reads its kernel");
    assert!(!readable, "the hypervisor does not");
}

#[test]
fn a_machine_with_another_key_refuses_it() {
    let (seen, _) = boot_on(OTHER_KEY);
    let (answers, kernel) = seen.0.lock().unwrap().clone();
    assert_eq!((answers[0], answers[1] & 0xffff, answers.len()), (0x0001, 0x0a02, 2));
    assert!(kernel.is_empty());
}
