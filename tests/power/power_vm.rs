//! KVM and the simulated ultravisor together: memory that comes and goes, and a second virtual CPU.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use spin::Mutex;
use std::sync::{Arc, LazyLock};
use uv_core::{
    EnterSecureMode, Exit, Gfn, GuestAddr, HostAddr, MemSlot, NormalMemory, PageIn, PageOut, PageSize, SecureVm,
    SlotId, Vcpu, VmState,
};
use uv_power::abi::numbers::HvCall;
use uv_power::abi::regs::Lpid;
use uv_power::abi::{HvCode, Msr, Profile, Regs, UvCode};
use uv_power::dev::{self, RigConfig};
use uv_power::guest::EsmRequest;
use uv_power::hypervisor::kernel::{Entered, GfnState, KvmError, KvmVcpu, PowerExit, Vm};
use uv_power::hypervisor::vmm::boot::BootLayout;
use uv_power::owner::keys::PrivateKey;
use uv_power::sim::{EsmFailure, GuestInsn, GuestStep, Machine, MachineConfig, Tpm, TpmFailure, WrappingKey};
use uv_power_programs::SvmFiles;
use uv_sim::guest::{Outcome, Script, Step, Transcript};

const LPID: Lpid = Lpid(1);
const PAGE: u64 = 1 << 16;
/// Host memory behind a slot that is plugged in later.
const EXTRA: u64 = 1 << 20;
/// The token of start-cpu in the guest's device tree.
const START_CPU: u32 = 0x200a;

/// The keys cost seconds: one set is enough.
static FILES: LazyLock<SvmFiles> = LazyLock::new(|| SvmFiles::sample().unwrap());

struct Rig {
    machine: Machine,
    memory: Arc<dyn NormalMemory>,
    vm: Arc<Vm>,
    cpu: Mutex<KvmVcpu>,
    seen: Transcript<Box<Regs>>,
    layout: BootLayout<'static>,
}

/// A secure VM whose guest does these steps; it waits in `H_CEDE` before the first.
fn secure(profile: Profile, steps: impl FnOnce(&BootLayout<'_>) -> Vec<GuestStep>) -> Rig {
    let rig = normal(profile, steps);
    rig.enter().unwrap();
    assert_eq!(rig.until_call().0, HvCall::H_CEDE);
    rig
}

/// A normal VM whose guest asks for secure mode, waits in `H_CEDE` and does these steps.
fn normal(profile: Profile, steps: impl FnOnce(&BootLayout<'_>) -> Vec<GuestStep>) -> Rig {
    with_key(profile, WrappingKey::from, steps)
}

/// The same on a machine whose wrapping key was put away like this.
fn with_key(
    profile: Profile,
    put: impl FnOnce(PrivateKey) -> WrappingKey,
    steps: impl FnOnce(&BootLayout<'_>) -> Vec<GuestStep>,
) -> Rig {
    let layout = FILES.layout().unwrap();
    let machine = MachineConfig::new(put(FILES.machine_key.clone())).with_profile(profile);
    let rig = dev::Rig::with(RigConfig::with_machine(machine));
    let vm = rig.vm_with(&layout).unwrap();
    assert_eq!(vm.lpid(), LPID);
    let first = [
        Step::Call(GuestInsn::ultracall(EsmRequest::NUMBER, &layout.request().arguments())),
        Step::Call(GuestInsn::hypercall(HvCall::H_CEDE, &[])),
    ];
    let (script, seen) = Script::new(first.into_iter().chain(steps(&layout)));
    let cpu = Mutex::new(rig.boot_cpu(&vm, &layout, Box::new(script)));
    Rig { machine: rig.machine, memory: rig.memory, vm, cpu, seen, layout }
}

impl Rig {
    /// Runs the boot CPU to its guest's wish and serves it.
    fn enter(&self) -> Result<Entered, KvmError> {
        let mut cpu = self.cpu.lock();
        assert_eq!(cpu.run(), Ok(Exit::EnterSecureMode));
        self.vm.enter_secure_mode(&mut *cpu)
    }

    /// Runs the boot CPU to its next hypercall, or to its end: `H_CEDE` stands for both.
    fn until_call(&self) -> (HvCall, [u64; 9]) {
        next_call(&self.vm, &mut self.cpu.lock())
    }

    fn answer(&self, outputs: &[u64]) {
        self.cpu.lock().complete(HvCode::H_SUCCESS, outputs);
    }

    fn loaded(&self, step: usize) -> Vec<u8> {
        match &self.seen.lock()[step] {
            Outcome::Loaded(bytes) => bytes.to_vec(),
            other => panic!("step {step} is {other:?}"),
        }
    }
}

fn next_call(vm: &Vm, cpu: &mut KvmVcpu) -> (HvCall, [u64; 9]) {
    loop {
        match cpu.run().unwrap() {
            Exit::Halted => return (HvCall::H_CEDE, [0; 9]),
            Exit::PageMissing { gfn, .. } => vm.page_in(gfn).unwrap(),
            Exit::Arch(PowerExit::Hypercall { call, args }) => return (call, args),
            other => panic!("{other:?}"),
        }
    }
}

fn pause() -> GuestStep {
    Step::Call(GuestInsn::hypercall(HvCall::H_CEDE, &[]))
}

#[test]
fn memory_comes_and_goes() {
    for profile in Profile::ALL {
        let at = |layout: &BootLayout<'_>| GuestAddr(layout.memory + PAGE);
        let rig = secure(profile, |layout| {
            let at = at(layout);
            vec![Step::store(at, b"in new memory"), pause(), Step::load(at, 13), pause(), Step::load(at, 8)]
        });
        let gfn = PageSize::K64.gfn(at(&rig.layout));
        let slot = MemSlot { first: Gfn(gfn.0 - 1), pages: 2, host: HostAddr(EXTRA) };
        rig.vm.add_memslot(SlotId(7), slot).unwrap();
        assert!(matches!(rig.vm.gfn_state(gfn), GfnState::Uvmem(_)));
        rig.answer(&[]);
        assert_eq!(rig.until_call().0, HvCall::H_CEDE);
        rig.vm.page_out(gfn).unwrap();
        let mut sealed = [0; 13];
        rig.memory.read(HostAddr(EXTRA + PAGE), &mut sealed).unwrap();
        assert!(sealed != *b"in new memory" && sealed != [0; 13], "the host finds ciphertext");
        rig.answer(&[]);
        assert_eq!(rig.until_call().0, HvCall::H_CEDE);
        assert_eq!(rig.loaded(4), b"in new memory");

        // The slot goes: what is there now is a device.
        rig.vm.delete_memslot(SlotId(7));
        assert_eq!((rig.vm.gfn_state(gfn), rig.machine.gfn_state(LPID, gfn)), (GfnState::Normal, None));
        rig.answer(&[]);
        let (call, args) = rig.until_call();
        assert_eq!((call, args[..2].to_vec()), (HvCall::H_LOGICAL_CI_LOAD, vec![8, at(&rig.layout).0]));
        rig.answer(&[0x1122_3344_5566_7788]);
        rig.until_call();
        assert_eq!(rig.loaded(6), 0x1122_3344_5566_7788_u64.to_be_bytes());
    }
}

#[test]
fn a_failed_transition_costs_the_guest_what_the_ultravisor_does_not_give_back() {
    for profile in Profile::ALL {
        let rig = normal(profile, |layout| vec![Step::load(layout.kernel.at, 16), Step::load(layout.free, 4)]);
        let kernel = rig.layout.kernel.bytes;
        rig.memory.write(rig.vm.slots().host_addr(rig.layout.free).unwrap(), b"work").unwrap();
        let last = rig.vm.slots().host_addr(GuestAddr(rig.layout.kernel.end().0 - 1)).unwrap();
        rig.memory.write(last, &[!kernel[kernel.len() - 1]]).unwrap();
        assert_eq!(rig.enter(), Err(KvmError::Refused(HvCode::H_PARAMETER)));
        assert_eq!(rig.until_call().0, HvCall::H_CEDE);
        rig.answer(&[]);
        rig.until_call();
        // The firmware reports success for UV_PAGE_OUT and writes nothing; what never moved is untouched.
        let expected = if profile == Profile::Firmware { vec![0; 16] } else { kernel[..16].to_vec() };
        assert_eq!((rig.loaded(2), rig.loaded(3)), (expected, b"work".to_vec()), "{profile:?}");
    }
}

#[test]
fn a_vm_becomes_secure_by_the_hosts_tpm() {
    for profile in Profile::ALL {
        let mut chip = None;
        let in_tpm = |key| {
            let (tpm, key) = Tpm::provision(key, 1);
            chip = Some(tpm);
            key.into()
        };
        let rig = with_key(profile, in_tpm, |_| Vec::new());
        rig.vm.attach_tpm(Box::new(chip.unwrap()));
        rig.enter().unwrap();
        rig.until_call();
        assert_eq!((rig.vm.vm_state(), rig.machine.esm_failure(LPID)), (VmState::Secure, None));
    }
}

#[test]
fn a_guest_without_a_tpm_that_its_machine_needs_gets_h_parameter() {
    for profile in Profile::ALL {
        let rig = with_key(profile, |key| Tpm::provision(key, 1).1.into(), |_| Vec::new());
        assert_eq!(rig.enter().err(), Some(KvmError::Refused(HvCode::H_PARAMETER)));
        let failure = EsmFailure::Tpm(TpmFailure::Hypercall(HvCode::H_FUNCTION));
        assert_eq!(rig.machine.esm_failure(LPID), Some(failure));
        rig.until_call();
        let Outcome::Returned(regs) = rig.seen.lock()[0].clone() else { panic!("UV_ESM returned") };
        assert_eq!(HvCode::from_register(regs.gpr[3]), HvCode::H_PARAMETER);
        assert_eq!(rig.vm.vm_state(), VmState::Normal);
    }
}

#[test]
fn a_normal_vm_has_an_entry_in_the_partition_table() {
    for (profile, refused) in [(Profile::Documented, Some(UvCode::U_INVALID)), (Profile::Firmware, None)] {
        let rig = normal(profile, |_| Vec::new());
        assert_eq!(rig.machine.partition_entry(LPID), (1 << 63, 1 << 63));
        let ended = uv_power::abi::ultracall::svm_terminate(&rig.machine, LPID);
        assert_eq!(ended.err().map(|error| error.code), refused);
        let machine = rig.machine.clone();
        drop(rig);
        assert_eq!(machine.partition_entry(LPID), (0, 0));
    }
}

/// The block of an RTAS call: token, number of arguments and results, arguments.
fn rtas_block(args: [u32; 3]) -> Vec<u8> {
    [START_CPU, 3, 1].into_iter().chain(args).chain([0]).flat_map(u32::to_be_bytes).collect()
}

#[test]
fn a_second_virtual_cpu_starts_where_the_guest_says() {
    const R3: u32 = 0x77;
    for profile in Profile::ALL {
        let start = |layout: &BootLayout<'_>| layout.kernel.at.0 + 0x100;
        let rig = secure(profile, |layout| {
            let block = layout.free;
            let args = [1, u32::try_from(start(layout)).unwrap(), R3];
            let call = GuestInsn::hypercall(HvCall::H_RTAS, &[block.0]);
            vec![Step::store(block, &rtas_block(args)), Step::Call(call), Step::load(block, 28)]
        });
        let (script, second) = Script::new([Step::Call(GuestInsn::Look), Step::load(rig.layout.free, 4)]);
        rig.machine.add_vcpu(LPID, 1, Box::new(script));
        rig.answer(&[]);
        let (call, args) = rig.until_call();
        assert_eq!(call, HvCall::H_RTAS);
        // User space reads the bounced block and starts the virtual CPU with the value it finds there.
        let block = rig.vm.slots().host_addr(GuestAddr(args[0])).unwrap();
        let mut bytes = [0; 28];
        rig.memory.read(block, &mut bytes).unwrap();
        let words: Vec<u32> = bytes.chunks_exact(4).map(|w| u32::from_be_bytes(w.try_into().unwrap())).collect();
        assert_eq!(words[..4], [START_CPU, 3, 1, 1]);
        assert!(words[5] != R3 && words[5] >= 0x2000, "a cookie in place of the guest's value");
        rig.memory.write(HostAddr(block.0 + 24), &0_u32.to_be_bytes()).unwrap();
        rig.answer(&[]);
        let mut cpu = KvmVcpu::started(rig.vm.clone(), 1, GuestAddr(words[4].into()), words[5].into());
        next_call(&rig.vm, &mut cpu);
        let Outcome::Returned(regs) = second.lock()[0].clone() else { panic!("it looked at its registers") };
        assert_eq!(regs.gpr[3], u64::from(R3));
        assert!(regs.msr().contains(Msr::S));
        assert_eq!(second.lock().len(), 2, "it reaches the VM's secure memory");
        rig.until_call();
        assert_eq!(rig.loaded(4), rtas_block([1, words[4], R3]), "status 0, the guest's own arguments");
    }
}
