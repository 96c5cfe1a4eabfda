//! A POWER machine as a backend of the suite: KVM on the simulated ultravisor.

use crate::todo::Todo;
use std::sync::{Arc, OnceLock};
use uv_conformance::{Ability, Backend, GuestOp, Host, Saw};
use uv_core::{Gfn, HostAddr, MemSlot, MemSlots, NormalMemory, PageSize, SecureVm, SlotId, VmState};
use uv_power::abi::numbers::{HvCall, UvCall};
use uv_power::abi::regs::Lpid;
use uv_power::abi::{HvCode, Profile, Regs};
use uv_power::guest::EsmRequest;
use uv_power::hypervisor::kernel::{self, Defects, DevicePool, KvmError, KvmVcpu, PowerExit, Vm, VmConfig};
use uv_power::hypervisor::vmm::boot::BootLayout;
use uv_power::sim::{GuestInsn, GuestStep, Machine, MachineConfig};
use uv_power_programs::SvmFiles;
use uv_sim::HostMemory;
use uv_sim::guest::{Outcome, Step};

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
fn guest(request: EsmRequest, todo: Todo) -> impl FnMut(Outcome<Box<Regs>>) -> GuestStep + Send {
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
        match todo.next(saw) {
            None => Step::Call(GuestInsn::hypercall(HvCall::H_CEDE, &[])),
            Some(GuestOp::Load(at, len)) => Step::load(at, len),
            Some(GuestOp::Store(at, bytes)) => Step::store(at, &bytes),
            Some(GuestOp::Share(gfn)) => Step::Call(GuestInsn::ultracall(UvCall::UV_SHARE_PAGE, &[gfn.0, 1])),
            Some(GuestOp::Unshare(gfn)) => Step::Call(GuestInsn::ultracall(UvCall::UV_UNSHARE_PAGE, &[gfn.0, 1])),
            Some(GuestOp::End) => Step::Halt,
        }
    }
}

/// A machine of one profile.
pub(crate) struct Power<const FIRMWARE: bool> {
    machine: Machine,
    memory: Arc<HostMemory>,
    layout: BootLayout<'static>,
    vms: [Arc<Vm>; 2],
    todo: [Todo; 2],
}

impl<const FIRMWARE: bool> Power<FIRMWARE> {
    fn host(&self, index: usize) -> HostAddr {
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
        flip(&self.memory, self.host(index).0 + at);
    }
}

fn flip(memory: &HostMemory, at: u64) {
    let mut byte = [0];
    memory.read(HostAddr(at), &mut byte).expect("the memory is there");
    memory.write(HostAddr(at), &[byte[0] ^ 1]).expect("the memory is there");
}

const REFUSALS: [&str; 6] =
    ["another kernel", "another initrd", "other RTAS code", "a changed blob", "a damaged device tree", "no blob"];

impl<const FIRMWARE: bool> Backend for Power<FIRMWARE> {
    const SHARING_KEEPS_CONTENT: bool = false;
    const ABILITIES: &'static [Ability] = &[Ability::PageOut, Ability::SharePages];

    type Error = KvmError;
    type Vm = Arc<Vm>;
    type Cpu = KvmVcpu;

    fn new(seed: u64) -> Self {
        let layout = files().layout().expect("the sample has room");
        let pages = layout.memory >> PageSize::K64.shift();
        let secure = 2 * pages + SPARE;
        let memory = Arc::new(HostMemory::new(HOST + 2 * layout.memory));
        let config = MachineConfig {
            profile: if FIRMWARE { Profile::Firmware } else { Profile::Documented },
            secure_pages: u32::try_from(secure).expect("a small machine"),
            seed,
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
            let config = VmConfig { lpid: Lpid(index + 1), radix: true, slots, defects: Defects::empty() };
            let vm = Vm::new(host.clone(), config);
            vm.enable_secure_guest_capability().expect("there is secure memory");
            Arc::new(vm)
        });
        Self { machine, memory, layout, vms, todo: Default::default() }
    }

    fn vm(&self, index: usize) -> &Arc<Vm> {
        &self.vms[index]
    }

    fn boot(&self, index: usize, refusal: Option<&str>) -> KvmVcpu {
        let (vm, todo) = (&self.vms[index], self.todo[index].clone());
        todo.clear();
        assert_eq!(vm.vm_state(), VmState::Normal);
        self.layout.load(&*self.memory, self.host(index)).expect("the memory is there");
        if let Some(refusal) = refusal {
            self.spoil(index, refusal);
        }
        self.machine.add_vcpu(vm.lpid(), 0, Box::new(guest(self.layout.request(), todo)));
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

    fn tell(&self, index: usize, ops: Vec<GuestOp>) {
        self.todo[index].tell(ops);
    }

    fn saw(&self, index: usize) -> Vec<Saw> {
        self.todo[index].saw()
    }

    fn serve(&self, _: usize, cpu: &mut KvmVcpu, exit: PowerExit) -> Result<(), KvmError> {
        match exit {
            PowerExit::Hypercall { .. } => cpu.complete(HvCode::H_FUNCTION, &[]),
            PowerExit::Interrupt(vector) => return Err(KvmError::Vector(vector)),
        }
        Ok(())
    }
}
