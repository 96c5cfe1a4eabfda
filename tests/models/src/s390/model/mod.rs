//! The Ultravisor of IBM Z as docs/machines/s390-ultravisor.md tells it (§1 calls and codes, §4 pages, §5 lives, §6 entries); where no
//! source tells, as docs/s390-unsure.md chooses.

mod commands;
mod cpus;
mod leading;
mod lives;
mod pages;

use std::collections::{BTreeMap, BTreeSet};

use crate::s390::calls::{Addr, Answer, Call, Init, LENGTHS, MapTo, Op, PAGES};

/// A frame: the own one of a page of a VM.
type Frame = (u8, u8);

/// What a page or frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// The same byte everywhere.
    Fill(u8),
    /// A component of the image as it is stored.
    Component(u8),
    /// What this export wrote.
    Cipher(u32),
    /// Something that the model does not follow.
    Noise,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Page {
    Secure(Frame, Content),
    Shared(Frame, bool),
    Sealed(u32, Content),
    Withdrawn,
}

/// Who a frame belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    /// A page of a life of a VM.
    Page(u32, u8),
    /// A private page of a configuration that was destroyed fast.
    DeadSecure,
    /// A shared one.
    DeadShared,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Partial,
    Created,
    Unpacking,
    Verified,
    Failed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reset {
    None,
    Unshared,
    Prepared,
}

#[derive(Clone, Debug)]
struct Cpu {
    life: u32,
    state: u8,
    due: bool,
    load: Option<bool>,
    /// Whether a program runs.
    program: bool,
}

#[derive(Clone, Debug)]
struct Conf {
    life: u32,
    vm: u8,
    phase: Phase,
    wrong_count: bool,
    unpacked: Vec<(u8, Content, u8)>,
    lost: bool,
    pages: BTreeMap<u8, Page>,
    cpus: BTreeMap<u8, Cpu>,
    loaded: bool,
    /// Where the next load takes its PSW: the header, or absolute 0.
    from_zero: bool,
    reset: Reset,
    dumping: bool,
}

/// What a CPU number of a VM has in its state description, and its guest's operation that is not done.
#[derive(Clone, Debug, Default)]
struct Described {
    conf: u32,
    cpu: u32,
    pending: Option<Op>,
    /// Whether the program has begun the operation.
    taken: bool,
}

/// The machine.
#[derive(Clone, Debug)]
pub struct Model {
    /// 15, 16 or 17.
    generation: u8,
    ready: bool,
    confs: BTreeMap<u8, Conf>,
    owners: BTreeMap<Frame, Owner>,
    /// What the hypervisor finds in a frame that is open to it.
    host: BTreeMap<Frame, Content>,
    maps: BTreeMap<(u8, u8), MapTo>,
    described: BTreeMap<(u8, u8), Described>,
    kept: Content,
    exports: u32,
    lives: u32,
    loaded: Option<u8>,
}

/// States of a CPU.
const OPERATING: u8 = 1;
const STOPPED: u8 = 2;
const CHECK_STOP: u8 = 3;
const LOAD: u8 = 5;

const OK: Answer = Answer::Codes(0, 1, 0);

const fn refused(rc: u16) -> Answer {
    Answer::Codes(1, rc, 0)
}

/// What is refused while a configuration cannot be worked on.
type Refusal = Answer;

impl Model {
    /// A machine after power-on.
    #[must_use]
    pub fn new(generation: u8) -> Self {
        Self {
            generation,
            ready: false,
            confs: BTreeMap::new(),
            owners: BTreeMap::new(),
            host: BTreeMap::new(),
            maps: BTreeMap::new(),
            described: BTreeMap::new(),
            kept: Content::Fill(0),
            exports: 0,
            lives: 0,
            loaded: None,
        }
    }

    /// What the hypervisor finds in a frame, if it can reach it.
    #[must_use]
    pub fn seen(&self, frame: Frame) -> Option<Content> {
        let closed = match self.owners.get(&frame) {
            Some(Owner::Page(life, page)) => matches!(self.page(*life, *page), Some(Page::Secure(..))),
            Some(Owner::DeadSecure) => true,
            Some(Owner::DeadShared) | None => false,
        };
        (!closed).then(|| self.content(frame))
    }

    /// The secure pages of a VM.
    #[must_use]
    pub fn secure(&self, vm: u8) -> Option<u64> {
        let secure = |conf: &Conf| conf.pages.values().filter(|page| matches!(page, Page::Secure(..))).count() as u64;
        self.confs.get(&vm).filter(|conf| conf.phase != Phase::Partial).map(secure)
    }

    /// What the guest's page holds, if it is known.
    #[must_use]
    pub fn guest_content(&self, vm: u8, page: u8) -> Option<Content> {
        match self.confs.get(&vm)?.pages.get(&page)? {
            Page::Secure(_, content) => Some(*content),
            Page::Shared(frame, _) => Some(self.content(*frame)),
            _ => None,
        }
    }

    /// The page that a guest has loaded in the last call.
    #[must_use]
    pub const fn last_load(&self) -> Option<u8> {
        self.loaded
    }

    fn content(&self, frame: Frame) -> Content {
        self.host.get(&frame).copied().unwrap_or(Content::Fill(0))
    }

    fn page(&self, life: u32, page: u8) -> Option<Page> {
        self.confs.values().find(|conf| conf.life == life)?.pages.get(&page).copied()
    }

    fn map(&self, vm: u8, page: u8) -> MapTo {
        self.maps.get(&(vm, page)).copied().unwrap_or(MapTo::Home)
    }

    /// A configuration by its handle, whole or not.
    fn any(&mut self, vm: u8, bad: bool) -> Result<&mut Conf, Refusal> {
        self.confs.get_mut(&vm).filter(|_| !bad).ok_or(refused(0x0020))
    }

    fn whole(&mut self, vm: u8, bad: bool) -> Result<&mut Conf, Refusal> {
        let conf = self.any(vm, bad)?;
        if conf.phase == Phase::Partial { Err(refused(0x01f0)) } else { Ok(conf) }
    }

    fn cpu(&mut self, vm: u8, cpu: u8, bad: bool) -> Result<(&mut Cpu, Phase, &mut bool, &mut Reset, bool), Refusal> {
        let conf = self.confs.get_mut(&vm).filter(|_| !bad).ok_or(refused(0x0021))?;
        let (phase, from_zero) = (conf.phase, conf.from_zero);
        let found = conf.cpus.get_mut(&cpu).ok_or(refused(0x0021))?;
        Ok((found, phase, &mut conf.loaded, &mut conf.reset, from_zero))
    }

    /// The first generation that has a command.
    const fn since(call: &Call) -> u8 {
        match call {
            Call::DestroyConfFast { .. }
            | Call::DumpInit { .. }
            | Call::DumpCpu { .. }
            | Call::DumpStorage { .. }
            | Call::DumpComplete { .. } => 16,
            Call::VerifyLarge { .. } => 17,
            _ => 15,
        }
    }

    /// A call, and what must come of it.
    pub fn call(&mut self, call: &Call) -> Answer {
        match *call {
            Call::Map(vm, page, to) => {
                self.maps.insert((vm, page), to);
                return Answer::Nothing;
            }
            Call::PutComponent { vm, page, component } => return self.write((vm, page), Content::Component(component)),
            Call::HostWrite(vm, page, byte) => return self.write((vm, page), Content::Fill(byte)),
            Call::HostPut(vm, page) => return self.write((vm, page), self.kept),
            Call::HostRead(vm, page) => {
                if let Some(seen) = self.seen((vm, page)) {
                    self.kept = seen;
                }
                return Answer::Host(self.seen((vm, page)).is_some());
            }
            Call::Enter { vm, cpu, op } => return self.enter(vm, cpu, op),
            Call::BadCommand => return refused(0x0002),
            Call::BadLength(command) => {
                let known = LENGTHS.iter().any(|(code, _)| *code == command) && command != 0x0104;
                return refused(if known { 0x0005 } else { 0x0002 });
            }
            _ if self.generation < Self::since(call) => return refused(0x0002),
            Call::Init(how) => return self.init(how),
            _ if !self.ready => return refused(0x0003),
            _ => {}
        }
        self.command(call).unwrap_or_else(|refusal| refusal)
    }

    fn init(&mut self, how: Init) -> Answer {
        refused(match how {
            _ if self.ready => 0x0101,
            Init::TwoCpus => 0x0102,
            Init::Length => 0x0103,
            Init::Unaligned => 0x0104,
            Init::Missing => 0x0105,
            Init::Low => 0x0108,
            Init::Good => {
                self.ready = true;
                return OK;
            }
        })
    }

    /// Every frame.
    pub fn frames() -> impl Iterator<Item = Frame> {
        (0..crate::s390::calls::VMS).flat_map(|vm| (0..PAGES).map(move |page| (vm, page)))
    }

    /// The exports that the hypervisor may hold.
    #[must_use]
    pub fn ciphers(&self) -> BTreeSet<u32> {
        let found = self.host.values().filter_map(|content| match content {
            Content::Cipher(export) => Some(*export),
            _ => None,
        });
        found.collect()
    }
}

fn addr(at: Addr) -> Result<u8, Refusal> {
    match at {
        Addr::Page(page) => Ok(page),
        Addr::Unaligned | Addr::Beyond => Err(refused(0x01f4)),
    }
}
