//! A POWER machine as a backend of the suite: KVM on the simulated ultravisor.

use std::sync::{Arc, OnceLock};

use uv_conformance::{Ability, Backend, GuestOp, Host, Refusal, Saw, Script, Setup};
use uv_core::{Gfn, GuestAddr, HostAddr, NormalMemory, PageSize, SecureVm, VmState};
use uv_power::abi::numbers::{HvCall, UltracallNumber};
use uv_power::abi::{HvCode, Profile, Regs};
use uv_power::dev::{Rig, RigConfig};
use uv_power::guest::EsmRequest;
use uv_power::hypervisor::kernel::{KvmError, KvmVcpu, PowerExit, Vm};
use uv_power::hypervisor::vmm::boot::BootLayout;
use uv_power::sim::{GuestInsn, GuestStep, MachineConfig};
use uv_power_programs::SvmFiles;
use uv_sim::guest::{Outcome, Step};

use crate::memory::MemoryWrap;
use crate::tasks::Tasks;

/// What both VMs are made of: the keys cost seconds, one set is enough.
fn files() -> &'static SvmFiles {
    static FILES: OnceLock<SvmFiles> = OnceLock::new();
    FILES.get_or_init(|| SvmFiles::sample().expect("a sample"))
}

/// Asks to become secure, then does what it is told; waits in `H_CEDE` when there is nothing to do.
fn guest(request: EsmRequest, script: Script) -> impl FnMut(Outcome<Box<Regs>>) -> GuestStep + Send {
    let mut tasks = Tasks::new(script);
    move |last| {
        if matches!(last, Outcome::Started) {
            return Step::Call(GuestInsn::ultracall(EsmRequest::NUMBER, &request.arguments()));
        }
        // The firmware leaves the number of a call that shares in R3.
        let saw = || match last {
            Outcome::Loaded(bytes) => Saw::Bytes(bytes.to_vec()),
            Outcome::Returned(regs) if regs.gpr[3].cast_signed() < 0 => Saw::Refused,
            _ => Saw::Done,
        };
        match tasks.next(saw) {
            None => Step::Call(GuestInsn::hypercall(HvCall::H_CEDE, &[])),
            Some(GuestOp::Load(at, len)) => Step::load(at, len),
            Some(GuestOp::Store(at, bytes)) => Step::store(at, &bytes),
            Some(GuestOp::Share(gfn)) => Step::Call(GuestInsn::ultracall(UltracallNumber::UV_SHARE_PAGE, &[gfn.0, 1])),
            Some(GuestOp::Unshare(gfn)) => {
                Step::Call(GuestInsn::ultracall(UltracallNumber::UV_UNSHARE_PAGE, &[gfn.0, 1]))
            }
            Some(GuestOp::End) => Step::Halt,
        }
    }
}

/// What a machine is made of.
#[derive(Clone, Copy, Debug)]
pub struct PowerKind {
    /// Its ultravisor.
    pub profile: Profile,
    /// What stands around normal memory.
    pub memory: MemoryWrap,
}

/// A POWER machine.
pub struct Power {
    rig: Rig,
    layout: BootLayout<'static>,
    vms: [Arc<Vm>; 2],
    script: [Script; 2],
}

impl core::fmt::Debug for Power {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Power(..)")
    }
}

impl Power {
    /// A machine with two VMs.
    ///
    /// # Panics
    /// Never: the sample fits.
    #[must_use]
    pub fn new(kind: PowerKind, setup: &Setup) -> Self {
        let layout = files().layout().expect("the sample has room");
        let machine = MachineConfig { seed: setup.seed, ..MachineConfig::new(files().machine_key.clone()) };
        let config = RigConfig::with_machine(machine.with_profile(kind.profile));
        let rig = Rig::over(config, |memory| kind.memory.around(memory), |machine| Arc::new(machine.clone()));
        let vms = [(); 2].map(|()| rig.vm_with(&layout).expect("there is memory for both"));
        Self { rig, layout, vms, script: Default::default() }
    }

    /// Spoils what was loaded.
    fn spoil(&self, index: usize, refusal: &str) {
        let blob = self.layout.blob.as_ref().expect("the blob is in memory");
        let layout = &self.layout;
        let at = match refusal {
            "another kernel" => layout.kernel.end().0 - 1,
            "another initrd" => layout.initrd.at.0,
            "other RTAS code" => layout.rtas.at.0,
            "a changed blob" => blob.at.0 + blob.bytes.len() as u64 / 2,
            "a damaged device tree" => layout.tree.0,
            _ => blob.at.0,
        };
        let at = self.vms[index].slots().host_addr(GuestAddr(at)).expect("it is in the VM's memory");
        flip(&*self.rig.memory, at);
    }
}

fn flip(memory: &dyn NormalMemory, at: HostAddr) {
    let mut byte = [0];
    memory.read(at, &mut byte).expect("the memory is there");
    memory.write(at, &[byte[0] ^ 1]).expect("the memory is there");
}

const REFUSALS: [&str; 6] =
    ["another kernel", "another initrd", "other RTAS code", "a changed blob", "a damaged device tree", "no blob"];

impl Backend for Power {
    type Error = KvmError;
    type Vm = Arc<Vm>;
    type Cpu = KvmVcpu;

    fn abilities(&self) -> &[Ability] {
        &[Ability::PageOut, Ability::SharePages, Ability::RawCodes]
    }

    fn sharing_keeps_content(&self) -> bool {
        false
    }

    fn vm(&self, index: usize) -> &Arc<Vm> {
        &self.vms[index]
    }

    fn boot(&self, index: usize, refusal: Option<&str>) -> KvmVcpu {
        let (vm, script) = (&self.vms[index], self.script[index].clone());
        script.clear();
        assert_eq!(vm.vm_state(), VmState::Normal);
        self.rig.load(vm, &self.layout).expect("the memory is there");
        if let Some(refusal) = refusal {
            self.spoil(index, refusal);
        }
        self.rig.boot_cpu(vm, &self.layout, Box::new(guest(self.layout.request(), script)))
    }

    fn refusals(&self) -> Vec<&'static str> {
        REFUSALS.to_vec()
    }

    fn test_pages(&self) -> Gfn {
        PageSize::K64.gfn(self.layout.free)
    }

    fn host(&self) -> Host<'_> {
        &*self.rig.memory
    }

    fn script(&self, index: usize) -> &Script {
        &self.script[index]
    }

    fn serve(&self, _: usize, cpu: &mut KvmVcpu, exit: PowerExit) -> Result<(), KvmError> {
        match exit {
            PowerExit::Hypercall { .. } => cpu.complete(HvCode::H_FUNCTION, &[]),
            // The guest used up its time.
            PowerExit::Interrupt(0x980) => {}
            PowerExit::Interrupt(vector) => return Err(KvmError::Vector(vector)),
        }
        Ok(())
    }

    fn code(&self, refusal: Refusal) -> Option<&'static str> {
        // UV_PAGE_IN.
        matches!(refusal, Refusal::Tampered).then_some("U_P3 (-56)")
    }
}
