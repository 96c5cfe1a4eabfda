//! Random calls of a hypervisor that means harm and of its guests: nothing panics or hangs, and what must always hold does.
//!
//! | held after every few calls | how it is seen |
//! |---|---|
//! | a secure frame is in use for each secure page, and for nothing else | the machine's counts |
//! | storage that was donated is out of reach, page by page | reads and writes of the hypervisor |
//! | no plaintext of a guest's private pages is in sight | all guest memory and work areas, read by the hypervisor |
//!
//! After everything was destroyed, all of the machine's memory is the hypervisor's again.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rand_core::Rng as _;
use uv_core::{GuestAddr, HostAddr, NormalMemory};
use uv_s390::abi::sie::{AddressSpaces, HostMapping, MappingSize, Sie};
use uv_s390::abi::uvc::{Cc, UvRc};
use uv_s390::abi::uvcb::{COMMANDS, CreateConf, CreateCpu, DestroyFast, Length, NoData, UvCommand};
use uv_s390::sim::{Generation, GuestInsn, InsnResult};
use uv_sim::guest::{Outcome, Program, Step};
use uv_sim::rng::SimRng;
use zerocopy::{FromBytes, IntoBytes};

use crate::rig::{COMPONENT, END, GUEST_LEN, Guest, OK, Rig, UV_BASE, Vcpu, header_only, home};

/// The machines that are tried.
pub(crate) const MACHINES: &[(&str, Generation)] =
    &[("z15", Generation::Z15), ("z16", Generation::Z16), ("z17", Generation::Z17)];

const SEEDS: u64 = 8;
const CALLS: u64 = 700;
/// What a guest writes to its private pages, and those pages. It never shares them.
const SECRET: [u8; 16] = *b"only for a guest";
const PRIVATE: Range<u64> = 0x1_0000..0x3_0000;
/// Instructions of a guest CPU until it halts.
const STEPS: u32 = 400;
/// Guests whose memory the hypervisor watches; more may come up by its own calls.
const GUESTS: u64 = 2;

/// Calls that move pages, with their lengths: they come more often than the others.
const MOVES: [(UvCommand, u16); 6] = [
    (UvCommand::CONV_TO_SEC_STOR, 0x28),
    (UvCommand::CONV_TO_SEC_STOR, 0x28),
    (UvCommand::CONV_FROM_SEC_STOR, 0x20),
    (UvCommand::DESTR_SEC_STOR, 0x20),
    (UvCommand::PIN_PAGE_SHARED, 0x20),
    (UvCommand::UNPIN_PAGE_SHARED, 0x28),
];

struct Dice(SimRng);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0.next_u64() % bound
    }

    fn pick(&mut self, from: &[u64]) -> u64 {
        from[usize::try_from(self.below(from.len() as u64)).unwrap()]
    }

    /// A number that is mostly one that means something, or one near by.
    fn number(&mut self, meaningful: &[u64]) -> u64 {
        match self.below(16) {
            0 => self.0.next_u64(),
            1 => self.below(1 << 16),
            2 => self.pick(meaningful).wrapping_add(self.below(0x2001)),
            3 => self.pick(meaningful) ^ 1 << self.below(64),
            _ => self.pick(meaningful),
        }
    }

    /// A control block of any command, mostly with its length, with such numbers behind the header.
    fn block(&mut self, meaningful: &[u64]) -> Vec<u8> {
        let info = COMMANDS[usize::try_from(self.below(COMMANDS.len() as u64)).unwrap()];
        let (Length::Exact(len) | Length::AtLeast(len)) = info.length;
        let command = if self.below(64) == 0 { u16::try_from(self.below(0x1_0000)).unwrap() } else { info.command.0 };
        let stated = if self.below(32) == 0 { u16::try_from(self.below(0x240)).unwrap() } else { len };
        let given = if self.below(32) == 0 { self.below(0x240) } else { u64::from(stated.max(8)) };
        let mut block = vec![0; usize::try_from(given).unwrap()];
        for word in block.chunks_exact_mut(8) {
            word.copy_from_slice(&self.number(meaningful).to_be_bytes());
        }
        let header = [stated.to_be_bytes(), command.to_be_bytes()].concat();
        let head = header.len().min(block.len());
        block[..head].copy_from_slice(&header[..head]);
        block
    }
}

fn command(block: &[u8]) -> UvCommand {
    block.get(2..4).map_or(UvCommand(0), |code| UvCommand(u16::from_be_bytes([code[0], code[1]])))
}

fn put(block: &mut [u8], at: usize, value: u64) {
    if let Some(field) = block.get_mut(at..at + 8) {
        field.copy_from_slice(&value.to_be_bytes());
    }
}

/// A guest that writes its secret to its private pages, calls the Ultravisor with anything, and leaves now and then.
fn program(seed: u64, steps: Arc<AtomicU64>) -> Box<dyn Program<GuestInsn, InsnResult>> {
    let mut dice = Dice(SimRng::from_seed(seed).fork("guest"));
    let mut left = STEPS;
    Box::new(move |_: Outcome<InsnResult>| {
        left = left.saturating_sub(1);
        steps.fetch_add(1, Ordering::Relaxed);
        let private = PRIVATE.start + (dice.below(PRIVATE.end - PRIVATE.start) & !0xfff);
        match dice.below(12) {
            _ if left == 0 => Step::Halt,
            0..=4 => Step::store(GuestAddr(private), &SECRET.repeat(256)),
            5 => Step::load(GuestAddr(dice.below(GUEST_LEN)), 64),
            6 => Step::Call(GuestInsn::Diag { code: 0x500, gr: [dice.below(9); 5] }),
            7 => Step::Call(GuestInsn::Spx { prefix: u32::try_from(dice.below(0x8000)).unwrap() }),
            8 => Step::Call(GuestInsn::Stsi { gr0: 0x3000_0002, gr1: 2 }),
            9 => Step::Call(GuestInsn::Diag308 { subcode: 2 + dice.below(9), address: 0, ipib: vec![0; 400] }),
            _ => {
                let pages = [0x8000, 0x9000, 0xa000, 0xb000, 0, 0x1000, COMPONENT, GUEST_LEN, private];
                let mut block = dice.block(&pages);
                if command(&block) == UvCommand::SET_SHARED_ACCESS {
                    // What the guest shares is the hypervisor's to see.
                    put(&mut block, 0x20, 0x8000 + (dice.below(4) << 12));
                }
                let call = GuestInsn::Uvc { block };
                Step::Call(if dice.below(50) == 0 { call.in_problem_state() } else { call })
            }
        }
    })
}

/// What the hypervisor knows to be donated, by handle.
#[derive(Default)]
struct Donated {
    confs: BTreeMap<u64, Vec<Range<u64>>>,
    cpus: BTreeMap<u64, Range<u64>>,
}

impl Donated {
    /// Follows a call that has ended.
    fn follow(&mut self, rig: &Rig, block: &[u8], rc: UvRc) {
        let area = |at: u64, len: u64| at..at + len.next_multiple_of(0x1000);
        let done = rc == UvRc::EXECUTED;
        let handle = block.get(0x18..0x20).map_or(0, |field| u64::from_be_bytes(field.try_into().unwrap()));
        match command(block) {
            UvCommand::CREATE_SEC_CONF if done || rc.needs_destroy() => {
                let (create, _) = CreateConf::read_from_prefix(block).unwrap();
                let base = area(create.conf_base_stor_origin.get(), rig.info.conf_base_phys_stor_len.get());
                let len = rig.info.variable_storage_len(create.guest_stor_len.get()).unwrap();
                let variable = done.then(|| area(create.conf_virt_stor_origin.get(), len));
                self.confs.insert(handle, [base].into_iter().chain(variable).collect());
            }
            UvCommand::CREATE_SEC_CPU if done => {
                let (create, _) = CreateCpu::read_from_prefix(block).unwrap();
                self.cpus.insert(handle, area(create.stor_origin.get(), rig.info.cpu_stor_len.get()));
            }
            UvCommand::DESTROY_SEC_CONF | UvCommand::DESTROY_SEC_CONF_FAST if done => {
                assert!(self.confs.remove(&handle).is_some());
            }
            UvCommand::DESTROY_SEC_CPU if done => assert!(self.cpus.remove(&handle).is_some()),
            _ => {}
        }
    }

    fn pages(&self) -> impl Iterator<Item = u64> {
        let areas = self.confs.values().flatten().chain(self.cpus.values());
        areas.flat_map(|area| area.clone().step_by(0x1000))
    }
}

/// The hypervisor: what it works with, and what it remembers.
struct Hostile {
    rig: Rig,
    dice: Dice,
    guests: Vec<(Guest, Vcpu)>,
    donated: Donated,
    /// Pages that it has seen, to bring them back elsewhere and later.
    kept: Vec<Vec<u8>>,
    /// Calls that were done, most pages that were secure at once, steps that guests took: to know that the test tests.
    done: u64,
    secure: u64,
    steps: Arc<AtomicU64>,
}

impl Hostile {
    fn new(generation: Generation, seed: u64) -> Self {
        let rig = Rig::ready_on(generation);
        let mut donated = Donated::default();
        let (mut guests, steps) = (Vec::new(), Arc::<AtomicU64>::default());
        for n in 0..GUESTS {
            let (guest, cpu, _) = rig.booted(n, []);
            let starts = seed * GUESTS + n;
            let count = Arc::clone(&steps);
            rig.machine.set_guest(cpu.state, move |_| program(starts, Arc::clone(&count)));
            donated.follow(&rig, guest.create.as_bytes(), UvRc::EXECUTED);
            donated.cpus.insert(cpu.handle, cpu.storage..cpu.storage + rig.info.cpu_stor_len.get());
            guests.push((guest, cpu));
        }
        let dice = Dice(SimRng::from_seed(seed).fork("hypervisor"));
        Self { rig, dice, guests, donated, kept: Vec::new(), done: 0, secure: 0, steps }
    }

    fn meaningful(&self) -> Vec<u64> {
        let mut numbers = vec![0, 1, 5, 0x1000, COMPONENT, 0x8000, PRIVATE.start, GUEST_LEN, UV_BASE, END, u64::MAX];
        for (guest, cpu) in &self.guests {
            let create = &guest.create;
            numbers.extend([guest.conf, cpu.handle, guest.base, guest.base + 0x8000, guest.base + PRIVATE.start]);
            numbers.extend([create.conf_base_stor_origin.get(), guest.asce, cpu.state.0, home(GUESTS) + 0x10_0000]);
        }
        numbers
    }

    /// One call. The first calls end no guest; after them everything goes.
    fn call(&mut self, gentle: bool) {
        let meaningful = self.meaningful();
        let mut block = self.dice.block(&meaningful);
        if self.dice.below(2) == 0 {
            let moves = MOVES[usize::try_from(self.dice.below(MOVES.len() as u64)).unwrap()];
            block = header_only(moves.0, moves.1);
        }
        let page = self.dice.below(PRIVATE.end) & !0xfff;
        let which = usize::try_from(self.dice.below(GUESTS)).unwrap();
        let guest = &self.guests[which].0;
        match command(&block) {
            UvCommand::CONV_TO_SEC_STOR | UvCommand::UNPIN_PAGE_SHARED if self.dice.below(8) != 0 => {
                put(&mut block, 0x18, guest.conf);
                put(&mut block, 0x20, page);
            }
            UvCommand::CONV_FROM_SEC_STOR | UvCommand::DESTR_SEC_STOR | UvCommand::PIN_PAGE_SHARED
                if self.dice.below(8) != 0 =>
            {
                put(&mut block, 0x18, guest.base + page);
            }
            UvCommand::CREATE_SEC_CONF if self.dice.below(4) != 0 => {
                let mut create = self.rig.create_block(GUESTS + self.dice.below(3));
                let at = 0x18 + usize::try_from(self.dice.below(8) * 8).unwrap();
                let value = self.dice.number(&meaningful);
                put(create.as_mut_bytes(), at, value);
                block = create.as_bytes().to_vec();
            }
            UvCommand::DESTROY_SEC_CONF
            | UvCommand::DESTROY_SEC_CONF_FAST
            | UvCommand::DESTROY_SEC_CPU
            | UvCommand::CPU_SET_STATE
            | UvCommand::DUMP_INIT
                if gentle =>
            {
                return;
            }
            _ => {}
        }
        if let Ok((cc, rc, _)) = self.issue(&mut block) {
            self.done += u64::from(cc == Cc::Done);
            assert!(cc != Cc::Done || rc == UvRc::EXECUTED);
        }
    }

    /// The call, followed. A block without room for rc and rrc is a program interruption.
    fn issue(&mut self, block: &mut [u8]) -> Result<crate::rig::Codes, ()> {
        let codes = self.rig.bytes(block).map_err(|_| ())?;
        self.donated.follow(&self.rig, block, codes.1);
        Ok(codes)
    }

    /// Enters a CPU, at times with a state description in which something was changed, and serves what it asks for.
    fn enter(&mut self) {
        let which = usize::try_from(self.dice.below(GUESTS)).unwrap();
        let (guest, cpu) = &self.guests[which];
        let good = self.rig.sd(*cpu);
        let mut changed = good;
        if self.dice.below(4) == 0 {
            let at = usize::try_from(self.dice.below(0x400)).unwrap();
            changed.as_mut_bytes()[at] = self.dice.below(0x100).to_be_bytes()[7];
        }
        let asce = if self.dice.below(16) == 0 { self.dice.0.next_u64() } else { guest.asce };
        self.rig.put(cpu.state.0, changed.as_bytes());
        let entered = self.rig.machine.enter(cpu.state, asce, &mut [0; 16]);
        // CPU timer, interception and registers are the machine's; the rest goes back to what it was.
        let mut after = self.rig.sd(*cpu);
        if after.validity().is_some() {
            after.cpu_timer = good.cpu_timer;
        }
        after.as_mut_bytes()[..0x28].copy_from_slice(&good.as_bytes()[..0x28]);
        after.as_mut_bytes()[0x40..0x100].copy_from_slice(&good.as_bytes()[0x40..0x100]);
        after.sidad = good.sidad;
        self.rig.put(cpu.state.0, after.as_bytes());
        if let (Err(interruption), false) = (entered, self.dice.below(8) == 0) {
            let page = interruption.teid.map_or(0, |teid| teid.page());
            self.rig.import(guest, page);
        }
        self.rig.import(guest, self.dice.below(9) << 12);
    }

    /// Moves a page to another frame, of any guest or of nobody; or writes to guest memory what it likes.
    fn disturb(&mut self) {
        let which = usize::try_from(self.dice.below(GUESTS)).unwrap();
        let page = self.dice.below(PRIVATE.end) & !0xfff;
        let frame = home(self.dice.below(GUESTS)) + (self.dice.below(PRIVATE.end) & !0xfff);
        let guest = &self.guests[which].0;
        match self.dice.below(6) {
            0 => {
                let size = [MappingSize::Page, MappingSize::Segment, MappingSize::Region];
                let size = size[usize::try_from(self.dice.below(3)).unwrap()];
                // Also frames that are not there, or that are nobody's to give.
                let frame = self.dice.pick(&[frame, frame, frame, END, END - 0x1000, UV_BASE, !0xfff, 0]);
                let mapping = HostMapping { frame: HostAddr(frame), writable: self.dice.below(8) != 0, size };
                let mapping = Some(mapping).filter(|_| self.dice.below(4) != 0);
                guest.tables.moved.lock().unwrap().insert(page, mapping);
            }
            1 => guest.tables.moved.lock().unwrap().clear(),
            2 => {
                self.rig.machine.detach(guest.asce);
                self.rig.machine.attach(guest.asce, guest.tables.clone());
            }
            3 if !self.kept.is_empty() => {
                let old = &self.kept[usize::try_from(self.dice.below(self.kept.len() as u64)).unwrap()];
                // A frame that is closed to the hypervisor stays as it is.
                let _ = self.rig.host.write(HostAddr(frame), old);
            }
            _ => {
                let mut bytes = vec![0; 4096];
                if self.rig.host.read(HostAddr(frame), &mut bytes).is_ok() && self.kept.len() < 64 {
                    self.kept.push(bytes);
                }
            }
        }
    }

    fn check(&mut self) {
        let machine = &self.rig.machine;
        let secure: u64 = self.donated.confs.keys().map(|conf| machine.page_counts(*conf).unwrap().secure).sum();
        assert_eq!(machine.secure_frames_in_use(), secure);
        self.secure = self.secure.max(secure);
        assert!(self.rig.is_closed(UV_BASE));
        assert!(self.donated.pages().all(|page| self.rig.is_closed(page)));
        let in_sight = |at: u64| {
            let mut page = [0; 4096];
            let read = self.rig.host.read(HostAddr(at), &mut page);
            read.is_ok() && page.chunks_exact(16).any(|chunk| chunk == SECRET)
        };
        for (guest, cpu) in &self.guests {
            let pages = (0..PRIVATE.end + 0x1_0000).step_by(0x1000).map(|page| guest.base + page);
            let areas = [guest.base + GUEST_LEN, cpu.state.0 & !0xfff, (cpu.state.0 & !0xfff) + 0x1000];
            assert!(!pages.chain(areas).any(in_sight), "a secret is in sight");
        }
    }

    /// Everything is ended; the hypervisor has its memory back.
    fn end(mut self) {
        for cpu in self.donated.cpus.keys().copied().collect::<Vec<_>>() {
            let mut block = NoData::new(UvCommand::DESTROY_SEC_CPU, cpu);
            assert_eq!(self.issue(block.as_mut_bytes()), Ok(OK));
        }
        let fast = self.rig.info.calls.has(UvCommand::DESTROY_SEC_CONF_FAST) == Some(true);
        for (n, conf) in self.donated.confs.keys().copied().collect::<Vec<_>>().into_iter().enumerate() {
            let codes = if fast && n % 2 == 0 {
                self.issue(DestroyFast::new(conf).as_mut_bytes())
            } else {
                self.issue(NoData::new(UvCommand::DESTROY_SEC_CONF, conf).as_mut_bytes())
            };
            assert_eq!(codes, Ok(OK));
        }
        assert_eq!(self.rig.machine.secure_frames_in_use(), 0);
        self.check();
        // What was destroyed fast has left frames of nobody.
        for page in (0..UV_BASE).step_by(0x1000).filter(|page| self.rig.host.check(HostAddr(*page), 1).is_err()) {
            assert_eq!(self.rig.frame(UvCommand::DESTR_SEC_STOR, page), OK);
            assert_eq!(self.rig.word(page), 0);
        }
        assert_eq!(self.rig.host.check(HostAddr(0), UV_BASE), Ok(()));
        self.rig.machine.load_normal();
        assert_eq!(self.rig.host.check(HostAddr(0), END), Ok(()));
    }
}

/// Runs a hostile hypervisor on a machine of this generation.
pub(crate) fn random_calls(generation: Generation) {
    for seed in 0..SEEDS {
        let mut hostile = Hostile::new(generation, seed);
        for round in 0..CALLS {
            for _ in 0..hostile.dice.below(4) {
                hostile.call(round < CALLS * 3 / 4);
            }
            match hostile.dice.below(4) {
                0 => hostile.disturb(),
                _ => hostile.enter(),
            }
            if round % 16 == 0 {
                hostile.check();
            }
        }
        hostile.check();
        let (done, secure, steps) = (hostile.done, hostile.secure, hostile.steps.load(Ordering::Relaxed));
        assert!(done > 100 && secure > 20 && steps > 100, "calls {done}, secure pages {secure}, steps {steps}");
        hostile.end();
    }
}
