//! IBM Z as a backend of the suite: the hypervisor's kernel level over the simulated machine.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use uv_conformance::{Backend, GuestOp, Host, Saw};
use uv_core::{
    AccessError, EnterSecureMode, ErrorType, Exit, Gfn, HostAddr, MemSlot, MemSlots, NormalMemory, PageSize, SecureVm,
    SlotId, Vcpu, VmState,
};
use uv_s390::abi::psw::Psw;
use uv_s390::abi::uvcb::{Share, UvCommand};
use uv_s390::hypervisor::kernel::{self, Guest, GuestConfig, Hardware, HostError, HostPages, S390Exit, S390Vcpu};
use uv_s390::owner::crypto::HostPrivateKey;
use uv_s390::owner::image::{Image, ImageBuilder};
use uv_s390::sim::{GuestInsn, InsnResult, Machine, MachineConfig};
use uv_sim::guest::{Outcome, Program, Step};
use uv_sim::rng::SimRng;
use zerocopy::IntoBytes;

const KERNEL: u64 = 2 << 30;
const KERNEL_BYTES: u64 = 64 << 20;
const PAGES: u64 = 512;
/// The image ends below this page.
const TEST_PAGES: u64 = 256;

/// What the guest still has to do, and what it saw.
#[derive(Default)]
struct Desk {
    todo: VecDeque<GuestOp>,
    saw: Vec<Saw>,
}

type SharedDesk = Arc<Mutex<Desk>>;

fn desk(desk: &SharedDesk) -> MutexGuard<'_, Desk> {
    desk.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) struct Z {
    memory: Arc<dyn NormalMemory>,
    vms: [Arc<Guest>; 2],
    desks: [SharedDesk; 2],
    image: Vec<u8>,
    foreign: Vec<u8>,
}

/// The virtual CPU, which ends when the guest has nothing more to do.
pub(crate) struct Cpu {
    inner: S390Vcpu,
    desk: SharedDesk,
}

impl ErrorType for Cpu {
    type Error = HostError;
}

impl Vcpu for Cpu {
    type Arch = S390Exit;

    fn run(&mut self) -> Result<Exit<S390Exit>, HostError> {
        loop {
            match self.inner.run()? {
                // The guest yields when its desk is empty.
                Exit::Arch(S390Exit::Yield(_)) if desk(&self.desk).todo.is_empty() => return Ok(Exit::Halted),
                Exit::Arch(S390Exit::Yield(_)) => {}
                other => return Ok(other),
            }
        }
    }
}

/// The guest: does what is on its desk, yields when nothing is left.
fn program(shared: SharedDesk) -> Box<dyn Program<GuestInsn, InsnResult>> {
    let share = |command, gfn: Gfn| {
        let block = Share::new(command, gfn.0 << 12).as_bytes().to_vec();
        Step::Call(GuestInsn::Uvc { block })
    };
    let mut at_work = false;
    Box::new(move |last: Outcome<InsnResult>| {
        let mut desk = desk(&shared);
        if at_work {
            desk.saw.push(match last {
                Outcome::Loaded(bytes) => Saw::Bytes(bytes.to_vec()),
                _ => Saw::Done,
            });
        }
        let next = desk.todo.pop_front();
        at_work = next.is_some();
        match next {
            Some(GuestOp::Load(at, len)) => Step::load(at, len),
            Some(GuestOp::Store(at, bytes)) => Step::store(at, &bytes),
            Some(GuestOp::Share(gfn)) => share(UvCommand::SET_SHARED_ACCESS, gfn),
            Some(GuestOp::Unshare(gfn)) => share(UvCommand::REMOVE_SHARED_ACCESS, gfn),
            None => Step::Call(GuestInsn::Diag { code: 0x44, gr: [0; 5] }),
        }
    })
}

fn build(host_key: &HostPrivateKey, rng: &mut SimRng) -> Vec<u8> {
    let kernel = vec![0x6b; 70_000];
    ImageBuilder::new(&kernel)
        .command_line(b"conformance")
        .host_key(host_key.public())
        .skip_component_check()
        .build(rng)
        .expect("a sample image")
        .bytes
}

impl Z {
    /// What the boot loader does: the image in memory, its IPIB completed.
    fn enter_with(&self, index: usize, file: &[u8]) -> Result<(), HostError> {
        let guest = &self.vms[index];
        let image = Image::parse(&self.image).expect("the sample image");
        let start = usize::try_from(image.ipib_offset()).expect("in the file");
        let ipib = &self.image[start..];
        if guest.vm_state() == VmState::Normal {
            self.memory.write(self.host_base(index), file)?;
        }
        guest.enter_secure_mode(ipib).map(drop)
    }

    fn host_base(&self, index: usize) -> HostAddr {
        self.vms[index].slots().host_page(Gfn(0)).expect("the first slot begins at 0")
    }
}

impl Backend for Z {
    const SHARING_KEEPS_CONTENT: bool = true;

    type Error = HostError;
    type Vm = Guest;
    type Cpu = Cpu;

    fn new(seed: u64) -> Self {
        let mut rng = SimRng::from_seed(seed).fork("conformance");
        let host_key = HostPrivateKey::generate(&mut rng);
        let image = build(&host_key, &mut rng);
        let foreign = build(&HostPrivateKey::generate(&mut rng), &mut rng);
        let first = KERNEL + KERNEL_BYTES;
        let memory = first + 2 * (PAGES << 12);
        let config = MachineConfig { host_key, memory, ..MachineConfig::new(seed) };
        let machine = Arc::new(Machine::new(config));
        let hardware = Hardware::new(&machine, machine.host_memory());
        let kernel =
            kernel::Host::start(hardware, HostPages::new([(HostAddr(KERNEL), KERNEL_BYTES)])).expect("a kernel");
        let desks = [SharedDesk::default(), SharedDesk::default()];
        let vms = [0, 1].map(|index| {
            let mut slots = MemSlots::new(PageSize::K4);
            let host = HostAddr(first + index * (PAGES << 12));
            slots.insert(SlotId(0), MemSlot { first: Gfn(0), pages: PAGES, host }).expect("one slot fits");
            let guest = Guest::new(kernel.clone(), GuestConfig::new(slots)).expect("a VM");
            guest.add_cpu(0).expect("a CPU");
            guest
        });
        for (guest, shared) in vms.iter().zip(&desks) {
            let shared = shared.clone();
            let state = guest.state_address(0).expect("CPU 0");
            machine.set_guest(state, move |_: Psw| program(shared.clone()));
        }
        Self { memory: Arc::new(machine.host_memory()), vms, desks, image, foreign }
    }

    fn vm(&self, index: usize) -> &Guest {
        &self.vms[index]
    }

    fn enter(&self, index: usize) -> Result<(), HostError> {
        self.enter_with(index, &self.image)
    }

    fn refusals(&self) -> Vec<&'static str> {
        vec!["another machine's key", "a flipped bit in a component", "a flipped bit in the header", "a short header"]
    }

    fn enter_refused(&self, index: usize, refusal: &str) -> Result<(), HostError> {
        let image = Image::parse(&self.image).expect("the sample image");
        let header = usize::try_from(image.header_offset()).expect("in the file");
        let component = image.components().next().expect("a kernel").0.address.get();
        let mut file = self.image.clone();
        match refusal {
            "another machine's key" => file.clone_from(&self.foreign),
            "a flipped bit in a component" => file[usize::try_from(component).expect("in the file") + 5000] ^= 4,
            "a flipped bit in the header" => file[header + 0xe0] ^= 1,
            _ => file[header + 12..header + 16].fill(0),
        }
        self.enter_with(index, &file)
    }

    fn test_pages(&self) -> Gfn {
        Gfn(TEST_PAGES)
    }

    fn slots(&self, index: usize) -> MemSlots {
        (*self.vms[index].slots()).clone()
    }

    fn host(&self) -> Host<'_> {
        &*self.memory
    }

    fn cpu(&self, index: usize, ops: Vec<GuestOp>) -> Cpu {
        let shared = &self.desks[index];
        *desk(shared) = Desk { todo: ops.into(), saw: Vec::new() };
        Cpu { inner: self.vms[index].vcpu(0).expect("CPU 0"), desk: shared.clone() }
    }

    fn serve(&self, _: usize, _: &mut Cpu, exit: Exit<S390Exit>) -> Result<(), HostError> {
        match exit {
            Exit::Arch(_) => Err(AccessError::Unmapped { at: HostAddr(0), len: 0 }.into()),
            Exit::PageMissing { .. } | Exit::Halted => Ok(()),
        }
    }

    fn saw(&self, cpu: &Cpu) -> Vec<Saw> {
        desk(&cpu.desk).saw.clone()
    }
}
