//! IBM Z as a backend of the suite: the hypervisor over the simulated machine.

use std::sync::Arc;

use uv_conformance::{Ability, Backend, GuestOp, Host, Saw};
use uv_core::{Gfn, GuestAddr, NormalMemory, SecureVm, VmState};
use uv_s390::abi::ipib::{self, IpibForm};
use uv_s390::abi::psw::Psw;
use uv_s390::abi::uvcb::{Share, UvCommand};
use uv_s390::dev::{Rig, RigConfig};
use uv_s390::hypervisor::kernel::{HostError, S390Exit};
use uv_s390::hypervisor::vmm::{VmmError, VmmVcpu, VmmVm};
use uv_s390::owner::crypto::HostPrivateKey;
use uv_s390::owner::image::{Image, ImageBuilder};
use uv_s390::sim::{GuestInsn, InsnResult, Machine, MachineConfig};
use uv_sim::guest::{Outcome, Program, Step};
use uv_sim::rng::SimRng;
use zerocopy::IntoBytes;

use crate::todo::Todo;

const PAGES: u64 = 512;
/// The image ends below this page.
const TEST_PAGES: u64 = 256;

/// Where the guest's boot loader is, and where it puts the IPIB.
const LOADER: u64 = TEST_PAGES + 100;
const IPIB: GuestAddr = GuestAddr((TEST_PAGES + 101) << 12);

pub(crate) struct Z {
    machine: Arc<Machine>,
    memory: Arc<dyn NormalMemory>,
    vms: [VmmVm; 2],
    todo: [Todo; 2],
    image: Vec<u8>,
    foreign: Vec<u8>,
}

type GuestProgram = Box<dyn Program<GuestInsn, InsnResult>>;

/// Does these steps, then what it is told; gives up its time when there is nothing to do.
fn program(todo: Todo, first: Vec<Step<GuestInsn>>) -> GuestProgram {
    let share = |command, gfn: Gfn| {
        let block = Share::new(command, gfn.0 << 12).as_bytes().to_vec();
        Step::Call(GuestInsn::Uvc { block })
    };
    let mut first = first.into_iter();
    Box::new(move |last: Outcome<InsnResult>| {
        if let Some(step) = first.next() {
            return step;
        }
        let saw = || match last {
            Outcome::Loaded(bytes) => Saw::Bytes(bytes.to_vec()),
            Outcome::Returned(InsnResult::Condition { cc: 1.., .. } | InsnResult::Data { cc: 1.., .. }) => Saw::Refused,
            _ => Saw::Done,
        };
        match todo.next(saw) {
            Some(GuestOp::Load(at, len)) => Step::load(at, len),
            Some(GuestOp::Store(at, bytes)) => Step::store(at, &bytes),
            Some(GuestOp::Share(gfn)) => share(UvCommand::SET_SHARED_ACCESS, gfn),
            Some(GuestOp::Unshare(gfn)) => share(UvCommand::REMOVE_SHARED_ACCESS, gfn),
            Some(GuestOp::End) => Step::Halt,
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
    /// The image as a guest is to find it, spoiled in the way that `refusal` names.
    fn file(&self, refusal: Option<&str>) -> Vec<u8> {
        let image = Image::parse(&self.image).expect("the sample image");
        let header = usize::try_from(image.header_offset()).expect("in the file");
        let component = image.components().next().expect("a kernel").0.address.get();
        let mut file = self.image.clone();
        match refusal {
            None => {}
            Some("another machine's key") => file.clone_from(&self.foreign),
            Some("a flipped bit in a component") => file[usize::try_from(component).expect("in the file") + 5000] ^= 4,
            Some("a flipped bit in the header") => file[header + 0xe0] ^= 1,
            Some(_) => file[header + 12..header + 16].fill(0),
        }
        file
    }
}

impl Backend for Z {
    const SHARING_KEEPS_CONTENT: bool = true;
    const ABILITIES: &'static [Ability] = &[Ability::PageOut, Ability::SharePages, Ability::DestroyPages];

    type Error = VmmError;
    type Vm = VmmVm;
    type Cpu = VmmVcpu;

    fn new(seed: u64) -> Self {
        let mut rng = SimRng::from_seed(seed).fork("conformance");
        let host_key = HostPrivateKey::generate(&mut rng);
        let image = build(&host_key, &mut rng);
        let foreign = build(&HostPrivateKey::generate(&mut rng), &mut rng);
        let config = RigConfig::with_machine(MachineConfig { host_key, ..MachineConfig::new(seed) });
        let rig = Rig::with(config).expect("a kernel");
        let vms = [0, 1].map(|_| VmmVm::new(rig.vm(PAGES, 1).expect("a VM")));
        Self { machine: rig.machine, memory: Arc::new(rig.memory), vms, todo: Default::default(), image, foreign }
    }

    fn vm(&self, index: usize) -> &VmmVm {
        &self.vms[index]
    }

    fn boot(&self, index: usize, refusal: Option<&str>) -> VmmVcpu {
        let (guest, todo) = (self.vms[index].inner(), self.todo[index].clone());
        todo.clear();
        assert_eq!(guest.vm_state(), VmState::Normal);
        guest.storage().write(GuestAddr(0), &self.file(refusal)).expect("the memory is there");
        let image = Image::parse(&self.image).expect("the sample image");
        let components: Vec<_> = image.components().map(|(component, _)| component).collect();
        let length = image.header().as_bytes().len() as u64;
        let ipib = ipib::build(IpibForm::Exact, image.header_offset(), length, &components).expect("few components");
        // The boot loader: it sets the IPIB and asks. What runs after that is the image's own program.
        let mut loader = Some(vec![
            Step::store(IPIB, &ipib),
            Step::Call(GuestInsn::Diag308 { subcode: 8, address: IPIB.0, ipib: Vec::new() }),
            Step::Call(GuestInsn::Diag308 { subcode: 10, address: 0, ipib: Vec::new() }),
        ]);
        let state = guest.state_address(0).expect("CPU 0");
        self.machine.set_guest(state, move |_: Psw| program(todo.clone(), loader.take().unwrap_or_default()));
        let mut cpu = guest.vcpu(0).expect("CPU 0");
        cpu.change_registers(|_, state| state.psw = Psw::at(LOADER << 12)).expect("a state description");
        VmmVcpu::new(cpu, Arc::default())
    }

    fn refusals(&self) -> Vec<&'static str> {
        vec!["another machine's key", "a flipped bit in a component", "a flipped bit in the header", "a short header"]
    }

    fn test_pages(&self) -> Gfn {
        Gfn(TEST_PAGES)
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

    fn serve(&self, _: usize, _: &mut VmmVcpu, exit: S390Exit) -> Result<(), VmmError> {
        match exit {
            S390Exit::Yield(_) => Ok(()),
            _ => Err(HostError::CannotRun.into()),
        }
    }
}
