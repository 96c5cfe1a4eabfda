//! IBM Z as a backend of the suite: the hypervisor over the simulated machine.

use std::sync::{Arc, OnceLock};

use uv_conformance::{Ability, Backend, GuestOp, Host, Refusal, Saw, Script, Setup};
use uv_core::{Gfn, GuestAddr, HostAddr, MemSlot, MemSlots, NormalMemory, PageSize, SecureVm, SlotId, VmState};
use uv_s390::abi::ipib::{self, IpibForm};
use uv_s390::abi::psw::Psw;
use uv_s390::abi::uvc::UvCall;
use uv_s390::abi::uvcb::{Share, UvCommand};
use uv_s390::hypervisor::kernel::{self, Hardware, HostError, HostPages, S390Exit, Vm, VmConfig};
use uv_s390::hypervisor::vmm::{VmmError, VmmVcpu, VmmVm};
use uv_s390::owner::crypto::HostPrivateKey;
use uv_s390::owner::image::{Image, ImageBuilder};
use uv_s390::sim::{Generation, GuestInsn, InsnResult, Machine, MachineConfig};
use uv_s390::wrap;
use uv_sim::guest::{Outcome, Program, Step};
use uv_sim::rng::SimRng;
use zerocopy::IntoBytes;

use crate::memory::MemoryWrap;
use crate::tasks::Tasks;

const KERNEL: u64 = 2 << 30;
const KERNEL_BYTES: u64 = 64 << 20;
const PAGES: u64 = 512;
/// The image ends below this page.
const TEST_PAGES: u64 = 256;

/// Where the guest's boot loader is, and where it puts the IPIB.
const LOADER: u64 = TEST_PAGES + 100;
const IPIB: GuestAddr = GuestAddr((TEST_PAGES + 101) << 12);

/// What stands around the UV call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UvcWrap {
    /// Nothing.
    #[default]
    Plain,
    /// An event for each call.
    Traced,
    /// A recording.
    Recorded,
    /// Answers busy and partial at random.
    Disturbed,
    /// Errors that come at certain calls.
    Planned(&'static [wrap::PlannedError]),
}

impl UvcWrap {
    fn around(self, machine: &Arc<Machine>, seed: u64) -> Arc<dyn UvCall> {
        let machine = Arc::clone(machine);
        match self {
            Self::Plain => machine,
            Self::Traced => Arc::new(wrap::Traced(machine)),
            Self::Recorded => Arc::new(wrap::Recorder::new(machine)),
            Self::Disturbed => {
                let schedule = wrap::Schedule { seed, busy: 48, partial: 24, ..wrap::Schedule::default() };
                Arc::new(wrap::Disturbed::new(machine, schedule))
            }
            Self::Planned(errors) => {
                let schedule = wrap::Schedule { seed, errors: errors.to_vec(), ..wrap::Schedule::default() };
                Arc::new(wrap::Disturbed::new(machine, schedule))
            }
        }
    }
}

/// What a machine is made of.
#[derive(Clone, Copy, Debug)]
pub struct ZKind {
    /// Its generation.
    pub generation: Generation,
    /// What stands around normal memory.
    pub memory: MemoryWrap,
    /// What stands around the UV call.
    pub uvc: UvcWrap,
}

/// An IBM Z machine.
pub struct Z {
    machine: Arc<Machine>,
    memory: Arc<dyn NormalMemory>,
    vms: [VmmVm; 2],
    script: [Script; 2],
}

impl core::fmt::Debug for Z {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Z(..)")
    }
}

/// The machines' key, an image for it, and one for another key: they cost time, one set is enough.
struct Sample {
    host_key: HostPrivateKey,
    image: Vec<u8>,
    foreign: Vec<u8>,
}

fn sample() -> &'static Sample {
    static SAMPLE: OnceLock<Sample> = OnceLock::new();
    SAMPLE.get_or_init(|| {
        let mut rng = SimRng::from_seed(1).fork("conformance");
        let host_key = HostPrivateKey::generate(&mut rng);
        let image = build(&host_key, &mut rng);
        let foreign = build(&HostPrivateKey::generate(&mut rng), &mut rng);
        Sample { host_key, image, foreign }
    })
}

type GuestProgram = Box<dyn Program<GuestInsn, InsnResult>>;

/// Does these steps, then what it is told; gives up its time when there is nothing to do.
fn program(script: Script, first: Vec<Step<GuestInsn>>) -> GuestProgram {
    let share = |command, gfn: Gfn| {
        let block = Share::new(command, gfn.0 << 12).as_bytes().to_vec();
        Step::Call(GuestInsn::Uvc { block })
    };
    let (mut tasks, mut first) = (Tasks::new(script), first.into_iter());
    // The sharing call at work: one that is busy or was done in part is issued again, as every guest does.
    let mut at_work = None;
    Box::new(move |last: Outcome<InsnResult>| {
        if let Some(step) = first.next() {
            return step;
        }
        if let (Some((command, gfn)), Outcome::Returned(InsnResult::Data { cc: 2.., .. })) = (at_work, &last) {
            return share(command, gfn);
        }
        at_work = None;
        let saw = || match last {
            Outcome::Loaded(bytes) => Saw::Bytes(bytes.to_vec()),
            Outcome::Returned(InsnResult::Condition { cc: 1.., .. } | InsnResult::Data { cc: 1.., .. }) => Saw::Refused,
            _ => Saw::Done,
        };
        match tasks.next(saw) {
            Some(GuestOp::Load(at, len)) => Step::load(at, len),
            Some(GuestOp::Store(at, bytes)) => Step::store(at, &bytes),
            Some(op @ (GuestOp::Share(gfn) | GuestOp::Unshare(gfn))) => {
                let shares = matches!(op, GuestOp::Share(_));
                let command = if shares { UvCommand::SET_SHARED_ACCESS } else { UvCommand::REMOVE_SHARED_ACCESS };
                at_work = Some((command, gfn));
                share(command, gfn)
            }
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
    /// A machine with two VMs.
    ///
    /// # Panics
    /// Never: the hypervisor starts on every machine, and one slot fits.
    #[must_use]
    pub fn new(kind: ZKind, setup: &Setup) -> Self {
        let first = KERNEL + KERNEL_BYTES;
        let memory = first + 2 * (PAGES << 12);
        let host_key = sample().host_key.clone();
        let config = MachineConfig { host_key, memory, generation: kind.generation, ..MachineConfig::new(setup.seed) };
        let machine = Arc::new(Machine::new(config));
        let memory = kind.memory.around(machine.host_memory());
        let hardware =
            Hardware { uvc: kind.uvc.around(&machine, setup.seed), ..Hardware::new(&machine, Arc::clone(&memory)) };
        let kernel =
            kernel::Host::start(hardware, HostPages::new([(HostAddr(KERNEL), KERNEL_BYTES)])).expect("a kernel");
        let vms = [0, 1].map(|index| {
            let mut slots = MemSlots::new(PageSize::K4);
            let host = HostAddr(first + index * (PAGES << 12));
            slots.insert(SlotId(0), MemSlot { first: Gfn(0), pages: PAGES, host }).expect("one slot fits");
            let guest = Vm::new(kernel.clone(), VmConfig::new(slots)).expect("a VM");
            guest.add_cpu(0).expect("a CPU");
            VmmVm::new(guest)
        });
        Self { machine, memory, vms, script: Default::default() }
    }

    /// The image as a guest is to find it, spoiled in the way that `refusal` names.
    fn file(refusal: Option<&str>) -> Vec<u8> {
        let image = Image::parse(&sample().image).expect("the sample image");
        let header = usize::try_from(image.header_offset()).expect("in the file");
        let component = image.components().next().expect("a kernel").0.address.get();
        let mut file = sample().image.clone();
        match refusal {
            None => {}
            Some("another machine's key") => file.clone_from(&sample().foreign),
            Some("a flipped bit in a component") => file[usize::try_from(component).expect("in the file") + 5000] ^= 4,
            Some("a flipped bit in the header") => file[header + 0xe0] ^= 1,
            Some(_) => file[header + 12..header + 16].fill(0),
        }
        file
    }
}

impl Backend for Z {
    type Error = VmmError;
    type Vm = VmmVm;
    type Cpu = VmmVcpu;

    fn abilities(&self) -> &[Ability] {
        &[Ability::PageOut, Ability::SharePages, Ability::DestroyPages, Ability::RawCodes]
    }

    fn sharing_keeps_content(&self) -> bool {
        true
    }

    fn vm(&self, index: usize) -> &VmmVm {
        &self.vms[index]
    }

    fn boot(&self, index: usize, refusal: Option<&str>) -> VmmVcpu {
        let (guest, script) = (self.vms[index].inner(), self.script[index].clone());
        script.clear();
        assert_eq!(guest.vm_state(), VmState::Normal);
        guest.storage().write(GuestAddr(0), &Self::file(refusal)).expect("the memory is there");
        let image = Image::parse(&sample().image).expect("the sample image");
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
        self.machine.set_guest(state, move |_: Psw| program(script.clone(), loader.take().unwrap_or_default()));
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

    fn script(&self, index: usize) -> &Script {
        &self.script[index]
    }

    fn serve(&self, _: usize, _: &mut VmmVcpu, exit: S390Exit) -> Result<(), VmmError> {
        match exit {
            S390Exit::Yield(_) => Ok(()),
            _ => Err(HostError::CannotRun.into()),
        }
    }

    fn code(&self, refusal: Refusal) -> Option<&'static str> {
        // CONV_TO_SEC_STOR.
        matches!(refusal, Refusal::Tampered).then_some("rc 0x01f1")
    }
}
