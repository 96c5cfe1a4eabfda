//! A POWER machine as a backend of the suite: KVM on the simulated ultravisor.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

use spin::Mutex;
use uv_conformance::{Backend, GuestOp, Host, Saw};
use uv_core::{
    EnterSecureMode, ErrorType, Exit, Gfn, HostAddr, MemSlot, MemSlots, NormalMemory, PageSize, SecureVm, SlotId, Vcpu,
    VmState,
};
use uv_power::abi::numbers::{HvCall, UvCall};
use uv_power::abi::regs::Lpid;
use uv_power::abi::{HvCode, Profile, Regs};
use uv_power::hypervisor::kernel::{self, Defects, DevicePool, KvmError, KvmVcpu, PowerExit, Vm, VmConfig};
use uv_power::sim::{GuestInsn, GuestStep, Machine, MachineConfig};
use uv_power_programs::boot::{Input, Layout};
use uv_sim::HostMemory;
use uv_sim::guest::{Outcome, Step};

/// Where guest memory begins in the host's, for the first VM.
const HOST: u64 = 16 << 20;
/// Secure pages beyond those of the VMs.
const SPARE: u64 = 256;

/// What both VMs are made of: the keys cost seconds, one set is enough.
fn input() -> &'static Input {
    static INPUT: OnceLock<Input> = OnceLock::new();
    INPUT.get_or_init(|| Input::sample().expect("a sample"))
}

/// A guest's console: what it is to do, and what it saw.
#[derive(Default)]
struct Console {
    todo: VecDeque<GuestOp>,
    seen: Vec<Saw>,
}

/// Does what its console says; waits in `H_CEDE` when there is nothing to do.
fn guest(layout: &Layout, console: Arc<Mutex<Console>>) -> impl FnMut(Outcome<Box<Regs>>) -> GuestStep + Send + use<> {
    let (kernel, tree) = (layout.kernel.at, layout.tree);
    let mut working = false;
    move |last| {
        if matches!(last, Outcome::Started) {
            return Step::Call(GuestInsn::ultracall(UvCall::UV_ESM, &[kernel.0, tree.0]));
        }
        let mut console = console.lock();
        if working {
            console.seen.push(match last {
                Outcome::Loaded(bytes) => Saw::Bytes(bytes.to_vec()),
                _ => Saw::Done,
            });
        }
        let next = console.todo.pop_front();
        working = next.is_some();
        match next {
            None => Step::Call(GuestInsn::hypercall(HvCall::H_CEDE, &[])),
            Some(GuestOp::Load(at, len)) => Step::load(at, len),
            Some(GuestOp::Store(at, bytes)) => Step::store(at, &bytes),
            Some(GuestOp::Share(gfn)) => Step::Call(GuestInsn::ultracall(UvCall::UV_SHARE_PAGE, &[gfn.0, 1])),
            Some(GuestOp::Unshare(gfn)) => Step::Call(GuestInsn::ultracall(UvCall::UV_UNSHARE_PAGE, &[gfn.0, 1])),
        }
    }
}

/// A machine of one profile.
pub(crate) struct Power<const FIRMWARE: bool> {
    machine: Machine,
    memory: Arc<HostMemory>,
    layout: Layout,
    vms: [Arc<Vm>; 2],
    /// The boot CPU of each VM and its guest's console.
    cpus: [Mutex<BootCpu>; 2],
}

/// The boot CPU of a VM and its guest's console.
#[derive(Clone)]
struct BootCpu(Arc<Mutex<KvmVcpu>>, Arc<Mutex<Console>>);

impl BootCpu {
    fn new(vm: &Arc<Vm>, layout: &Layout) -> Self {
        let cpu = KvmVcpu::new(Arc::clone(vm), 0).starting_at(layout.kernel.at);
        Self(Arc::new(Mutex::new(cpu)), Arc::default())
    }
}

/// The boot CPU of a VM, as the suite runs it.
pub(crate) struct Cpu(BootCpu);

impl ErrorType for Cpu {
    type Error = KvmError;
}

impl Vcpu for Cpu {
    type Arch = PowerExit;

    fn run(&mut self) -> Result<Exit<PowerExit>, KvmError> {
        let BootCpu(cpu, console) = &self.0;
        let mut cpu = cpu.lock();
        loop {
            match cpu.run()? {
                Exit::Arch(PowerExit::Hypercall { call: HvCall::H_CEDE, .. }) => {
                    cpu.complete(HvCode::H_SUCCESS, &[]);
                    if console.lock().todo.is_empty() {
                        return Ok(Exit::Halted);
                    }
                }
                exit => return Ok(exit),
            }
        }
    }
}

impl<const FIRMWARE: bool> Power<FIRMWARE> {
    fn host(&self, index: usize) -> HostAddr {
        HostAddr(HOST + self.layout.memory * index as u64)
    }

    /// Loads a VM, spoils what was loaded, and lets its guest try.
    fn boot(&self, index: usize, spoil: impl FnOnce(&HostMemory, HostAddr, &Layout)) -> Result<(), KvmError> {
        let vm = &self.vms[index];
        let mut cpu = self.cpus[index].lock();
        // A VM that is secure has no way to be loaded again.
        if vm.vm_state() == VmState::Normal {
            self.layout.load(&*self.memory, self.host(index), &input().bootargs).expect("the memory is there");
            spoil(&self.memory, self.host(index), &self.layout);
            *cpu = BootCpu::new(vm, &self.layout);
            self.machine.add_vcpu(vm.lpid(), 0, Box::new(guest(&self.layout, Arc::clone(&cpu.1))));
        }
        vm.enter_secure_mode(&cpu.0).map(drop)
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

    type Error = KvmError;
    type Vm = Vm;
    type Cpu = Cpu;

    fn new(seed: u64) -> Self {
        let layout = Layout::new(input()).expect("the sample has room");
        let pages = layout.memory >> PageSize::K64.shift();
        let secure = 2 * pages + SPARE;
        let memory = Arc::new(HostMemory::new(HOST + 2 * layout.memory));
        let config = MachineConfig {
            profile: if FIRMWARE { Profile::Firmware } else { Profile::Documented },
            secure_pages: u32::try_from(secure).expect("a small machine"),
            seed,
            ..MachineConfig::new(input().machine_key.clone())
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
        let cpus = [0, 1].map(|index| Mutex::new(BootCpu::new(&vms[index], &layout)));
        Self { machine, memory, layout, vms, cpus }
    }

    fn vm(&self, index: usize) -> &Vm {
        &self.vms[index]
    }

    fn enter(&self, index: usize) -> Result<(), KvmError> {
        self.boot(index, |_, _, _| {})
    }

    fn refusals(&self) -> Vec<&'static str> {
        REFUSALS.to_vec()
    }

    fn enter_refused(&self, index: usize, refusal: &str) -> Result<(), KvmError> {
        self.boot(index, |memory, host, layout| {
            let blob = layout.blob.as_ref().expect("the blob is in memory");
            let at = match refusal {
                "another kernel" => layout.kernel.end().0 - 1,
                "another initrd" => layout.initrd.at.0,
                "other RTAS code" => layout.rtas.at.0,
                "a changed blob" => blob.at.0 + blob.bytes.len() as u64 / 2,
                "a damaged device tree" => layout.tree.0,
                _ => blob.at.0,
            };
            flip(memory, host.0 + at);
        })
    }

    fn test_pages(&self) -> Gfn {
        PageSize::K64.gfn(self.layout.work)
    }

    fn slots(&self, index: usize) -> MemSlots {
        self.vms[index].slots()
    }

    fn host(&self) -> Host<'_> {
        &*self.memory
    }

    fn cpu(&self, index: usize, ops: Vec<GuestOp>) -> Cpu {
        let cpu = self.cpus[index].lock().clone();
        *cpu.1.lock() = Console { todo: ops.into(), seen: Vec::new() };
        Cpu(cpu)
    }

    fn serve(&self, _: usize, cpu: &mut Cpu, exit: Exit<PowerExit>) -> Result<(), KvmError> {
        if let Exit::Arch(PowerExit::Hypercall { .. }) = exit {
            cpu.0.0.lock().complete(HvCode::H_FUNCTION, &[]);
        }
        Ok(())
    }

    fn saw(&self, cpu: &Cpu) -> Vec<Saw> {
        cpu.0.1.lock().seen.clone()
    }
}
