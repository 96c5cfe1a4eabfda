//! A hostile hypervisor and a hostile guest against the simulated machine.

use std::collections::VecDeque;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use uv_core::{EnterSecureMode, Exit, GuestAddr, HostAddr, NormalMemory, PageSize, Vcpu};
use uv_power::abi::numbers::{HvCall, UltracallNumber};
use uv_power::abi::regs::Lpid;
use uv_power::abi::{HvCode, Msr, Profile, Regs, Ultracall};
use uv_power::dev::{self, RigConfig};
use uv_power::guest::EsmRequest;
use uv_power::hypervisor::kernel::{KvmVcpu, PowerExit, Vm};
use uv_power::sim::{GuestInsn, GuestStep, Machine, MachineConfig};
use uv_power_programs::SvmFiles;
use uv_sim::guest::{Outcome, Step};

use crate::feed::{Feed, Numbers};

/// Hypercalls in which kernel or ultravisor have a part; all others are alike.
const HYPERCALLS: &[HvCall] = &[
    HvCall::H_CEDE,
    HvCall::H_RANDOM,
    HvCall::H_LOGICAL_CI_LOAD,
    HvCall::H_LOGICAL_CI_STORE,
    HvCall::H_REGISTER_VPA,
    HvCall::H_SVM_PAGE_IN,
    HvCall::H_SVM_PAGE_OUT,
    HvCall::H_SVM_INIT_START,
    HvCall::H_SVM_INIT_DONE,
    HvCall::H_SVM_TPM_COMM,
    HvCall::H_SVM_INIT_ABORT,
    HvCall::H_RTAS,
];

const HOST: u64 = dev::Rig::GUESTS.0;
const LPID: Lpid = Lpid(1);
const SPARE: u64 = 256;
/// Most calls, runs and accesses of one input.
const ACTIONS: usize = 48;
/// What the guest keeps to itself.
const SECRET: [u8; 64] = *b"a secret of the guest, which the hypervisor must never see again";

static FILES: LazyLock<SvmFiles> = LazyLock::new(|| SvmFiles::sample().expect("a sample"));

type Todo = Arc<Mutex<VecDeque<GuestStep>>>;

struct Rig {
    machine: Machine,
    memory: Arc<dyn NormalMemory>,
    vm: Arc<Vm>,
    cpu: KvmVcpu,
    todo: Todo,
    numbers: Numbers,
    pages: u64,
}

/// Does what it is told, waits in `H_CEDE` when there is nothing to do.
fn program(request: EsmRequest, todo: Todo) -> impl FnMut(Outcome<Box<Regs>>) -> GuestStep + Send {
    move |last| {
        if matches!(last, Outcome::Started) {
            return Step::Call(GuestInsn::ultracall(EsmRequest::NUMBER, &request.arguments()));
        }
        let next = todo.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        next.unwrap_or_else(|| Step::Call(GuestInsn::hypercall(HvCall::H_CEDE, &[])))
    }
}

impl Rig {
    /// A secure VM whose guest has written its secret to a page of its own.
    fn new(profile: u8) -> Self {
        let layout = FILES.layout().expect("the sample has room");
        let pages = layout.memory >> PageSize::K64.shift();
        let mut config = RigConfig::with_machine(MachineConfig {
            profile: Profile::ALL[usize::from(profile % 2)],
            secure_pages: u32::try_from(pages + SPARE).expect("a small machine"),
            ..MachineConfig::new(FILES.machine_key.clone())
        });
        // Addresses near the guest's are near the end of memory too.
        config.guest_bytes = layout.memory;
        let rig = dev::Rig::with(config);
        let vm = rig.vm_with(&layout).expect("there is memory");
        let todo = Todo::default();
        let mut cpu = rig.boot_cpu(&vm, &layout, Box::new(program(layout.request(), Arc::clone(&todo))));
        assert_eq!(cpu.run().expect("the guest starts"), Exit::EnterSecureMode);
        vm.enter_secure_mode(&mut cpu).expect("the sample becomes secure");
        let work = PageSize::K64.gfn(layout.free);
        let numbers =
            Numbers::new(&[1, 0, 16, 2, HOST, layout.free.0, work.0, pages, layout.kernel.at.0, layout.tree.0]);
        let mut rig = Self { machine: rig.machine, memory: rig.memory, vm, cpu, todo, numbers, pages };
        rig.tell(Step::store(layout.free, &SECRET));
        rig.run(&mut Feed::new(&[]));
        rig
    }

    fn tell(&self, step: GuestStep) {
        self.todo.lock().unwrap_or_else(PoisonError::into_inner).push_back(step);
    }

    /// Runs the CPU for a few exits.
    fn run(&mut self, feed: &mut Feed<'_>) {
        for _ in 0..6 {
            match self.cpu.run() {
                Ok(Exit::Arch(PowerExit::Hypercall { .. })) => {
                    let out = [self.numbers.take(feed), self.numbers.take(feed)];
                    self.cpu.complete(HvCode(i64::from(feed.byte().cast_signed())), &out);
                }
                Ok(Exit::Halted) | Err(_) => return,
                Ok(_) => {}
            }
        }
    }

    fn check(&self) {
        let (used, all) = self.machine.secure_pages();
        assert!(used <= all, "{used} of {all} secure pages are in use");
        let counts = self.machine.page_counts(LPID).unwrap_or_default();
        assert!(counts.secure + counts.sealed + counts.shared + counts.withdrawn <= self.pages + 512);
    }
}

/// A hypervisor that makes any ultracall with any numbers and any privilege, writes all of its memory and runs the guest,
/// which keeps a secret: it must not be seen.
pub fn ultracall_host(data: &[u8]) {
    let mut feed = Feed::new(data);
    let mut rig = Rig::new(feed.byte());
    for _ in 0..ACTIONS {
        if feed.is_empty() {
            break;
        }
        match feed.byte() % 8 {
            0 => rig.run(&mut feed),
            1 => {
                let at = HostAddr(rig.numbers.take(&mut feed));
                let _ = rig.memory.write(at, &feed.bytes::<16>());
            }
            2 => drop(rig.machine.interrupt(LPID, 0, u64::from(feed.byte()) << 8)),
            _ => {
                let call = feed.pick(UltracallNumber::ALL).unwrap_or(UltracallNumber(0));
                let call = if feed.one_in(32) { UltracallNumber(u64::from(feed.half())) } else { call };
                let arguments = [(); 9].map(|()| rig.numbers.take(&mut feed));
                let mut regs = Regs::hypervisor().with_call(call, &arguments);
                if feed.one_in(16) {
                    regs.msr = rig.numbers.take(&mut feed);
                    regs.lpidr = Lpid(u32::from(feed.byte() % 3));
                }
                rig.machine.ultracall(&mut regs);
            }
        }
        rig.check();
    }
    let mut page = vec![0; 1 << 16];
    for at in (0..rig.pages).map(|page| HostAddr(HOST + (page << 16))) {
        rig.memory.read(at, &mut page).expect("the memory is there");
        assert!(!page.starts_with(&SECRET), "the secret lies open at {at:?}");
    }
    let _ = rig.vm.slots();
}

/// A guest that makes any ultracall and hypercall, touches any address and loads any register, under a hypervisor that keeps to
/// the rules.
pub fn ultracall_guest(data: &[u8]) {
    let mut feed = Feed::new(data);
    let mut rig = Rig::new(feed.byte());
    for _ in 0..ACTIONS {
        if feed.is_empty() {
            break;
        }
        // An access that no load or store instruction makes would be repeated forever outside of memory, as on the machine.
        let size = 1 << (feed.byte() % 4);
        let at = GuestAddr(rig.numbers.take(&mut feed) & !(size - 1));
        let arguments = [(); 9].map(|()| rig.numbers.take(&mut feed));
        let step = match feed.byte() % 10 {
            0 => Step::load(at, usize::try_from(size).unwrap_or(1)),
            1 => Step::store(at, feed.bytes::<8>().get(..usize::try_from(size).unwrap_or(1)).unwrap_or_default()),
            2 => Step::Fetch { at },
            3 => Step::Call(GuestInsn::Msr {
                set: Msr::from_bits_retain(feed.word()),
                clear: Msr::from_bits_retain(feed.word()),
            }),
            4 => Step::Call([GuestInsn::Transaction, GuestInsn::Emulate, GuestInsn::Look][feed.below(3)].clone()),
            5 => {
                Step::Call(GuestInsn::Load(Box::new(Regs { gpr: [at.0; 32], srr1: at.0, pidr: 7, ..Regs::default() })))
            }
            6 => {
                let call = feed.pick(HYPERCALLS).unwrap_or(HvCall(0));
                Step::Call(GuestInsn::hypercall(call, &arguments))
            }
            7 => {
                let level = feed.byte() % 4;
                Step::Call(GuestInsn::Syscall { level, gpr: vec![u64::from(feed.half()); 12] })
            }
            _ => {
                let call = feed.pick(UltracallNumber::ALL).unwrap_or(UltracallNumber(0));
                Step::Call(GuestInsn::ultracall(call, &arguments))
            }
        };
        rig.tell(step);
        rig.run(&mut feed);
        rig.check();
    }
}
