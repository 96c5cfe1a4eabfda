//! A POWER machine as a backend of the suite: KVM on the simulated ultravisor.

use std::sync::{Arc, OnceLock};

use uv_conformance::{Ability, Backend, GuestOp, Host, Refusal, Saw, Script, Setup};
use uv_core::{Gfn, HostAddr, MemSlot, MemSlots, NormalMemory, PageSize, SecureVm, SlotId, VmState};
use uv_power::abi::numbers::{HvCall, UltracallNumber};
use uv_power::abi::regs::Lpid;
use uv_power::abi::{HvCode, Profile, Regs};
use uv_power::guest::EsmRequest;
use uv_power::hypervisor::kernel::{self, DevicePool, KvmError, KvmVcpu, PowerExit, Vm, VmConfig};
use uv_power::hypervisor::vmm::boot::BootLayout;
use uv_power::sim::{GuestInsn, GuestStep, Machine, MachineConfig};
use uv_power_programs::SvmFiles;
use uv_sim::HostMemory;
use uv_sim::guest::{Outcome, Step};

use crate::memory::MemoryWrap;
use crate::tasks::Tasks;

/// Where guest memory begins in the host's, for the first VM.
const HOST: u64 = 16 << 20;
/// Secure pages beyond those of the VMs.
const SPARE: u64 = 256;

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
    machine: Machine,
    memory: Arc<dyn NormalMemory>,
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
        let pages = layout.memory >> PageSize::K64.shift();
        let secure = 2 * pages + SPARE;
        let memory = kind.memory.around(HostMemory::new(HOST + 2 * layout.memory));
        let config = MachineConfig {
            profile: kind.profile,
            secure_pages: u32::try_from(secure).expect("a small machine"),
            seed: setup.seed,
            ..MachineConfig::new(files().machine_key.clone())
        };
        let machine = Machine::new(config, memory.clone());
        let seams = Arc::new(machine.clone());
        let host = kernel::Host {
            uv: seams.clone(),
            entry: seams,
            memory: memory.clone(),
            pool: DevicePool::new(secure << PageSize::K64.shift()).map(Arc::new),
        };
        let vms = [0, 1].map(|index: u32| {
            let mut slots = MemSlots::new(PageSize::K64);
            let at = HostAddr(HOST + layout.memory * u64::from(index));
            slots.insert(SlotId(0), MemSlot { first: Gfn(0), pages, host: at }).expect("one slot fits");
            let config = VmConfig { lpid: Lpid(index + 1), radix: true, slots };
            let vm = Vm::new(host.clone(), config);
            vm.enable_secure_guest_capability().expect("there is secure memory");
            Arc::new(vm)
        });
        Self { machine, memory, layout, vms, script: Default::default() }
    }
    fn begin(&self, index: usize) -> HostAddr {
        HostAddr(HOST + self.layout.memory * index as u64)
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
        flip(&*self.memory, self.begin(index).0 + at);
    }
}

fn flip(memory: &dyn NormalMemory, at: u64) {
    let mut byte = [0];
    memory.read(HostAddr(at), &mut byte).expect("the memory is there");
    memory.write(HostAddr(at), &[byte[0] ^ 1]).expect("the memory is there");
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
        self.layout.load(&*self.memory, self.begin(index)).expect("the memory is there");
        if let Some(refusal) = refusal {
            self.spoil(index, refusal);
        }
        self.machine.add_vcpu(vm.lpid(), 0, Box::new(guest(self.layout.request(), script)));
        KvmVcpu::new(Arc::clone(vm), 0).starting_at(self.layout.kernel.at)
    }

    fn refusals(&self) -> Vec<&'static str> {
        REFUSALS.to_vec()
    }

    fn test_pages(&self) -> Gfn {
        PageSize::K64.gfn(self.layout.free)
    }

    fn host(&self) -> Host<'_> {
        &*self.memory
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
