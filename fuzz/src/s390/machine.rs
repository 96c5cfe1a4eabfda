//! A hostile hypervisor and a hostile guest against the simulated machine.

use crate::feed::{Feed, Numbers};
use std::collections::VecDeque;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use uv_core::{Exit, GuestAddr, HostAddr, NormalMemory, Vcpu};
use uv_s390::abi::psw::Psw;
use uv_s390::abi::uvc::UvCall;
use uv_s390::abi::uvcb::{COMMANDS, Length, UvCommand};
use uv_s390::dev::{self, RigConfig};
use uv_s390::guest::stage3a::BootImage;
use uv_s390::hypervisor::kernel::{S390Exit, Vm};
use uv_s390::sim::{Generation, GuestInsn, HostView, InsnResult, Machine};
use uv_sim::guest::{Outcome, Program, Step};

const PAGES: u64 = 512;
/// Most calls, runs and accesses of one input.
const ACTIONS: usize = 48;
/// What the image is full of, and what nobody but the guest may see.
const SECRET: [u8; 64] = [0x6b; 64];

/// What every machine is made of, and the image of every VM.
static SAMPLE: LazyLock<(RigConfig, BootImage)> = LazyLock::new(|| {
    let mut config = RigConfig::new(1);
    config.guest_bytes = PAGES << 12;
    // What the oldest generation takes, all take.
    config.machine.generation = Generation::Z15;
    let image = dev::Rig::with(config.clone()).expect("a kernel starts").image(&[SECRET[0]; 9 << 12]);
    (config, image)
});

type Todo = Arc<Mutex<VecDeque<Step<GuestInsn>>>>;

/// A machine with one VM, protected or not yet.
struct Rig {
    machine: Arc<Machine>,
    memory: HostView,
    guest: Arc<Vm>,
    todo: Todo,
    numbers: Numbers,
}

impl Rig {
    fn new(generation: u8, protected: bool) -> Self {
        let generation = [Generation::Z15, Generation::Z16, Generation::Z17][usize::from(generation % 3)];
        let (mut config, image) = (SAMPLE.0.clone(), &SAMPLE.1);
        config.machine.generation = generation;
        let rig = dev::Rig::with(config).expect("a kernel starts");
        let guest = rig.vm(PAGES, 1).expect("a VM");
        let (machine, memory) = (rig.machine, rig.memory);
        let state = guest.state_address(0).expect("CPU 0 has a state description");
        let todo = Todo::default();
        let queue = Arc::clone(&todo);
        machine.set_guest(state, move |_: Psw| program(Arc::clone(&queue)));
        let (kernel, base) = (dev::Rig::KERNEL.0, guest.storage().slots.host_addr(GuestAddr(0)).expect("a slot").0);
        let mut numbers = Numbers::new(&[kernel, base, base + 0x10000, 0x10000, 0x1000, 1, guest.asce().0, state.0]);
        if protected {
            guest.storage().write(GuestAddr(0), image.file()).expect("the image fits");
            guest.start_protected(image.ipib_bytes()).expect("the sample boots");
        }
        let mut words = [0; 512];
        memory.read(state, &mut words).expect("the state description is the host's");
        words.as_chunks().0.iter().for_each(|word| numbers.learn(u64::from_be_bytes(*word)));
        Self { machine, memory, guest, todo, numbers }
    }

    /// A control block: command, a length that is often right, and numbers.
    fn block(&self, feed: &mut Feed<'_>) -> Vec<u8> {
        let known = &COMMANDS[feed.below(COMMANDS.len())];
        let (Length::Exact(right) | Length::AtLeast(right)) = known.length;
        let length = if feed.one_in(16) { feed.half() % 0x2000 } else { right };
        let command = if feed.one_in(32) { UvCommand(feed.half()) } else { known.command };
        let mut block = vec![0; usize::from(length.max(8))];
        block[..2].copy_from_slice(&length.to_be_bytes());
        block[2..4].copy_from_slice(&command.0.to_be_bytes());
        if feed.one_in(16) {
            block[4..8].copy_from_slice(&feed.bytes::<4>());
        }
        for word in block[8..].as_chunks_mut::<8>().0.iter_mut().take(16) {
            *word = self.numbers.take(feed).to_be_bytes();
        }
        block
    }

    /// Runs the CPU for a few exits.
    fn run(&self, feed: &mut Feed<'_>) {
        let Ok(mut cpu) = self.guest.vcpu(0) else { return };
        for _ in 0..6 {
            match cpu.run() {
                Ok(Exit::PageMissing { gfn, .. }) => {
                    if self.guest.serve_missing(gfn).is_err() {
                        return;
                    }
                }
                Ok(Exit::Arch(S390Exit::Instruction(_))) => {
                    let (number, value) = (usize::from(feed.byte() % 16), self.numbers.take(feed));
                    let _ = cpu.answer(|answer| {
                        answer.set_gr(number, value);
                        answer.set_cc(feed.byte() % 4);
                    });
                    let _ = cpu.sida_write(0, &feed.bytes::<16>());
                }
                Ok(Exit::Arch(S390Exit::Yield(_)) | Exit::Halted) | Err(_) => return,
                Ok(_) => {}
            }
        }
    }

    fn check(&self) {
        assert!(self.machine.secure_frames_in_use() <= PAGES);
    }

    /// The machine gives everything back when it starts anew.
    fn end(self) {
        self.machine.load_normal();
        assert_eq!(self.machine.secure_frames_in_use(), 0);
        self.memory.check(HostAddr(0), self.memory.size()).expect("no storage stays taken");
    }
}

fn program(todo: Todo) -> Box<dyn Program<GuestInsn, InsnResult>> {
    Box::new(move |_: Outcome<InsnResult>| {
        let next = todo.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        next.unwrap_or(Step::Call(GuestInsn::Diag { code: 0x44, gr: [0; 5] }))
    })
}

/// A hypervisor that makes any UV call with any numbers, reads and writes all of its memory and runs the guest, which does
/// nothing to give itself away: its image must not be seen.
pub fn uvc_host(data: &[u8]) {
    let mut feed = Feed::new(data);
    let (generation, protected) = (feed.byte(), !feed.one_in(4));
    let mut rig = Rig::new(generation, protected);
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
            2 => match feed.byte() % 8 {
                0 => rig.machine.set_running_cpus(u32::from(feed.byte())),
                1 => drop(rig.guest.disable()),
                2 => drop(rig.guest.set_aside()),
                3 => drop(rig.guest.cleanup(&mut |_| true)),
                4 => drop(rig.guest.enable()),
                5 => drop(rig.guest.host_read(GuestAddr(rig.numbers.take(&mut feed)), &mut [0; 64])),
                6 => drop(rig.guest.start_protected(SAMPLE.1.ipib_bytes())),
                _ => rig.machine.advance_clock(rig.numbers.take(&mut feed)),
            },
            _ => {
                let mut block = rig.block(&mut feed);
                if rig.machine.uv_call(&mut block).is_ok() {
                    block.as_chunks().0.iter().take(16).for_each(|word| rig.numbers.learn(u64::from_be_bytes(*word)));
                }
            }
        }
        rig.check();
    }
    for page in 0..PAGES {
        let mut bytes = [0; 4096];
        if rig.guest.storage().read(GuestAddr(page << 12), &mut bytes).is_ok() {
            assert!(!bytes.starts_with(&SECRET), "page {page} of the guest lies open");
        }
    }
    rig.end();
}

/// A guest that issues any instruction that leaves it, under a kernel that keeps to the rules.
pub fn uvc_guest(data: &[u8]) {
    let mut feed = Feed::new(data);
    let mut rig = Rig::new(feed.byte(), true);
    for number in [0, 0x3000, 0x20000, PAGES << 12, (PAGES << 12) - 0x1000] {
        rig.numbers.learn(number);
    }
    for _ in 0..ACTIONS {
        if feed.is_empty() {
            break;
        }
        let number = rig.numbers.take(&mut feed);
        let step = match feed.byte() % 12 {
            0 => Step::load(GuestAddr(number), usize::from(feed.half())),
            1 => Step::store(GuestAddr(number), &feed.bytes::<32>()),
            2 => Step::Fetch { at: GuestAddr(number) },
            3 => Step::Call(GuestInsn::Diag { code: feed.half(), gr: [(); 5].map(|()| rig.numbers.take(&mut feed)) }),
            4 => {
                let ipib = SAMPLE.1.ipib_bytes().to_vec();
                Step::Call(GuestInsn::Diag308 { subcode: u64::from(feed.byte() % 12), address: number, ipib })
            }
            5 => Step::Call(GuestInsn::Servc { command: u32::from(feed.half()), sccb: feed.bytes::<32>().to_vec() }),
            6 => Step::Call(GuestInsn::Spx { prefix: u32::from(feed.half()) << 12 }),
            7 => Step::Call(GuestInsn::Sigp { order: feed.byte(), cpu: feed.half() % 3, parameter: number }),
            8 => Step::Call(match feed.byte() % 6 {
                0 => GuestInsn::SetMask { mask: feed.word() },
                1 => GuestInsn::SetCr { number: feed.byte(), value: feed.word() },
                2 => GuestInsn::Stsi { gr0: u32::from(feed.half()), gr1: u32::from(feed.half()) },
                3 => GuestInsn::Sthyi { code: number },
                4 => GuestInsn::ChannelIo {
                    opcode: 0xb230 + u16::from(feed.byte() % 16),
                    subchannel: 1,
                    operand: vec![0; 32],
                },
                _ => GuestInsn::SetGr { number: feed.byte(), value: number },
            }),
            9 => Step::Call([GuestInsn::Wait, GuestInsn::Interruptions, GuestInsn::Crash][feed.below(3)].clone()),
            _ => {
                let problem_state = feed.one_in(16);
                let call = GuestInsn::Uvc { block: rig.block(&mut feed) };
                Step::Call(if problem_state { call.in_problem_state() } else { call })
            }
        };
        rig.todo.lock().unwrap_or_else(PoisonError::into_inner).push_back(step);
        rig.run(&mut feed);
        rig.check();
    }
    rig.end();
}
