//! The Ultravisor of IBM Z as docs/machines/s390-ultravisor.md tells it (§1 calls and codes, §4 pages, §5 lives, §6 entries); where no
//! source tells, as docs/s390-unsure.md chooses.

use std::collections::{BTreeMap, BTreeSet};

use super::calls::{Addr, Answer, Call, Create, CreateCpu, Done, Header, Init, LENGTHS, MapTo, Named, Op, PAGES};

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

    fn command(&mut self, call: &Call) -> Result<Answer, Refusal> {
        let state = Err(refused(0x01f0));
        match *call {
            Call::CreateConf(vm, how) => return Ok(self.create(vm, how)),
            Call::DestroyConf { vm, bad } => {
                if !self.any(vm, bad)?.cpus.is_empty() {
                    return state;
                }
                self.end(vm, false);
            }
            Call::DestroyConfFast { vm, bad } => {
                if !self.any(vm, bad)?.cpus.is_empty() {
                    return state;
                }
                self.end(vm, true);
            }
            Call::CreateCpu { vm, cpu, how, bad } => {
                let life = self.lives + 1;
                let conf = self.whole(vm, bad)?;
                let rc = match how {
                    CreateCpu::Number => 0x0103,
                    _ if conf.cpus.contains_key(&cpu) => 0x0104,
                    CreateCpu::Missing => 0x0105,
                    CreateCpu::Low => 0x0106,
                    CreateCpu::State => 0x0107,
                    CreateCpu::Good => 0,
                };
                if rc != 0 {
                    return Err(refused(rc));
                }
                conf.cpus.insert(cpu, Cpu { life, state: STOPPED, due: false, load: None, program: false });
                let described = Described { conf: conf.life, cpu: life, pending: None, taken: false };
                self.lives = life;
                self.described.insert((vm, cpu), described);
            }
            Call::DestroyCpu { vm, cpu, bad } => {
                self.cpu(vm, cpu, bad)?;
                self.any(vm, false)?.cpus.remove(&cpu);
            }
            Call::SetParams { vm, header, bad } => return self.set_params(vm, header, bad),
            Call::Unpack { vm, at, tweak, bad } => return self.unpack(vm, at, tweak, bad),
            Call::Verify { vm, bad } => {
                let conf = self.whole(vm, bad)?;
                if conf.phase != Phase::Unpacking {
                    return state;
                }
                let (pages, rest): (Vec<u8>, Vec<(Content, u8)>) =
                    conf.unpacked.iter().map(|(page, content, tweak)| (*page, (*content, *tweak))).unzip();
                let (contents, tweaks): (Vec<Content>, Vec<u8>) = rest.into_iter().unzip();
                let rrc = match () {
                    () if pages != [3, 4] => 0x1a,
                    () if contents != [Content::Component(0), Content::Component(1)] => 0x1b,
                    () if tweaks != [0, 1] => 0x1c,
                    () if conf.wrong_count => 0x1d,
                    () if conf.lost => 0x1b,
                    () => {
                        conf.phase = Phase::Verified;
                        return Ok(OK);
                    }
                };
                conf.phase = Phase::Failed;
                return Ok(Answer::Codes(1, 0x0102, rrc));
            }
            Call::SetState { vm, cpu, state: to, bad } => {
                let (found, phase, loaded, reset, from_zero) = self.cpu(vm, cpu, bad)?;
                match to {
                    STOPPED | CHECK_STOP => found.state = to,
                    OPERATING | LOAD if phase != Phase::Verified => return state,
                    OPERATING if *loaded => found.state = OPERATING,
                    LOAD if !*loaded && *reset != Reset::Unshared => {
                        found.state = OPERATING;
                        found.load = Some(from_zero);
                        (*loaded, *reset) = (true, Reset::None);
                    }
                    OPERATING | LOAD => return state,
                    _ => return Err(refused(0x01f4)),
                }
            }
            Call::Reset { vm, cpu, kind, bad } => {
                let (found, ..) = self.cpu(vm, cpu, bad)?;
                if found.state == OPERATING {
                    return state;
                }
                // Nobody asked for a reset from inside: each CPU needs a clear one.
                found.due &= kind != 2;
                found.load = None;
                found.program = false;
            }
            Call::PrepareReset { vm, bad } => {
                let conf = self.whole(vm, bad)?;
                let stopped = conf.cpus.values().all(|cpu| cpu.state != OPERATING);
                if conf.phase != Phase::Verified || !stopped || conf.reset != Reset::Unshared {
                    return state;
                }
                (conf.reset, conf.from_zero, conf.loaded) = (Reset::Prepared, true, false);
                conf.cpus.values_mut().for_each(|cpu| cpu.due = true);
            }
            Call::UnshareAll { vm, bad } => self.unshare_all(vm, bad)?,
            Call::Import { vm, at, bad } => self.import(vm, at, bad)?,
            Call::Export(named) => {
                let frame = self.named(named, 0x01f3)?;
                self.export(frame);
            }
            Call::DestroyPage(named) => {
                let frame = self.named(named, 0x01f3)?;
                match self.owners.remove(&frame) {
                    None if self.generation == 15 => return Ok(Answer::Codes(1, 0x0107, 0x000d)),
                    None => return Ok(OK),
                    Some(Owner::Page(life, page)) => {
                        let conf = self.confs.values_mut().find(|conf| conf.life == life).ok_or(OK)?;
                        conf.pages.remove(&page);
                        conf.lost |= conf.phase == Phase::Unpacking;
                    }
                    Some(_) => {}
                }
                self.host.insert(frame, Content::Fill(0));
            }
            Call::Pin(named) => {
                let frame = self.named(named, 0x01f0)?;
                let Some(Owner::Page(life, page)) = self.owners.get(&frame).copied() else { return state };
                let conf = self.confs.values_mut().find(|conf| conf.life == life).ok_or(refused(0x01f0))?;
                let Some(Page::Shared(_, pinned)) = conf.pages.get_mut(&page) else { return state };
                *pinned = true;
            }
            Call::Unpin { vm, at, bad } => {
                let conf = self.whole(vm, bad)?;
                let page = addr(at)?;
                match conf.pages.get_mut(&page) {
                    Some(Page::Shared(_, pinned @ true)) => *pinned = false,
                    _ => return state,
                }
            }
            Call::DumpInit { vm, bad } => {
                let conf = self.whole(vm, bad)?;
                if conf.phase != Phase::Verified || conf.dumping {
                    return state;
                }
                conf.dumping = true;
            }
            Call::DumpCpu { vm, cpu, outside, bad } => {
                self.cpu(vm, cpu, bad)?;
                self.dumping(vm, outside)?;
            }
            Call::DumpStorage { vm, at, outside, bad } => {
                self.whole(vm, bad)?;
                if !self.any(vm, bad)?.dumping {
                    return state;
                }
                if at != Addr::Page(0) {
                    return Err(refused(0x01f4));
                }
                self.dumping(vm, outside)?;
                // The pages go out as they are told of: tweaks and ciphertext belong together.
                let pages = self.any(vm, bad)?.pages.values();
                let secure =
                    pages.filter_map(|page| if let Page::Secure(frame, _) = page { Some(*frame) } else { None });
                secure.collect::<Vec<_>>().into_iter().for_each(|frame| self.export(frame));
            }
            Call::DumpComplete { vm, outside, bad } => {
                self.whole(vm, bad)?;
                self.dumping(vm, outside)?;
                self.any(vm, bad)?.dumping = false;
            }
            Call::VerifyLarge { vm, at, bad } => {
                self.whole(vm, bad)?;
                return Err(refused(if at == Addr::Page(0) { self.large(vm) } else { 0x0103 }));
            }
            _ => return Ok(Answer::Nothing),
        }
        Ok(OK)
    }

    /// Never are all 256 pages of the first MiB secure; how it is mapped comes first.
    fn large(&self, vm: u8) -> u16 {
        if self.map(vm, 0) == MapTo::Region { 0x0108 } else { 0x0106 }
    }

    fn dumping(&mut self, vm: u8, outside: bool) -> Result<(), Refusal> {
        match self.any(vm, false)?.dumping {
            false => Err(refused(0x01f0)),
            true if outside => Err(refused(0x0032)),
            true => Ok(()),
        }
    }

    fn create(&mut self, vm: u8, how: Create) -> Answer {
        let taken = self.confs.contains_key(&vm);
        let rc = match how {
            Create::MsoHigh => 0x0101,
            Create::NoLength | Create::LengthHigh => 0x0102,
            Create::MsoUnaligned => 0x0101,
            Create::Asce => 0x0105,
            _ if taken => 0x0104,
            Create::BaseMissing => 0x0108,
            Create::BaseLow => 0x0109,
            Create::Flags => 0x010b,
            Create::NoSca => 0x010c,
            Create::ScaMissing => 0x010d,
            Create::VariableTaken => 0x810a,
            Create::Good => 1,
        };
        if rc == 1 || rc == 0x810a {
            self.lives += 1;
            let conf = Conf {
                life: self.lives,
                vm,
                phase: if rc == 1 { Phase::Created } else { Phase::Partial },
                wrong_count: false,
                unpacked: Vec::new(),
                lost: false,
                pages: BTreeMap::new(),
                cpus: BTreeMap::new(),
                loaded: false,
                from_zero: false,
                reset: Reset::None,
                dumping: false,
            };
            self.confs.insert(vm, conf);
        }
        if rc == 1 { OK } else { refused(rc) }
    }

    fn end(&mut self, vm: u8, fast: bool) {
        let Some(conf) = self.confs.remove(&vm) else { return };
        for page in conf.pages.values() {
            match page {
                Page::Secure(frame, _) if fast => drop(self.owners.insert(*frame, Owner::DeadSecure)),
                Page::Shared(frame, _) if fast => drop(self.owners.insert(*frame, Owner::DeadShared)),
                Page::Secure(frame, _) => {
                    self.owners.remove(frame);
                    self.host.insert(*frame, Content::Fill(0));
                }
                Page::Shared(frame, _) => drop(self.owners.remove(frame)),
                Page::Sealed(..) | Page::Withdrawn => {}
            }
        }
    }

    fn set_params(&mut self, vm: u8, header: Header, bad: bool) -> Result<Answer, Refusal> {
        let conf = self.whole(vm, bad)?;
        if conf.phase != Phase::Created {
            return Err(refused(0x01f0));
        }
        let (rc, rrc) = match header {
            Header::Short => (0x010a, 0x0031),
            Header::Inaccessible => (0x0103, 0),
            Header::Magic => (0x0104, 0x0001),
            Header::NoSlots => (0x010a, 0x0040),
            Header::AreaSize => (0x010a, 0x0039),
            Header::Size => (0x010a, 0x0031),
            Header::Flags => (0x0106, 0x0030),
            Header::ForeignKey => (0x0108, 0x0005),
            Header::CustomerKey => (0x0108, 0x000b),
            Header::Tag => (0x010a, 0),
            Header::Items => (0x010a, 0x0039),
            Header::SecretFlags => (0x0109, 0),
            Header::Good | Header::WrongCount => {
                conf.phase = Phase::Unpacking;
                conf.wrong_count = header == Header::WrongCount;
                return Ok(OK);
            }
        };
        Ok(Answer::Codes(1, rc, rrc))
    }

    /// The frame behind a page, for calls that make it secure.
    fn mapped(&self, vm: u8, page: u8) -> Result<Frame, Refusal> {
        match self.map(vm, page) {
            MapTo::Home => Ok((vm, page)),
            MapTo::Frame(vm, page) => Ok((vm, page)),
            MapTo::Unmapped | MapTo::ReadOnly => Err(refused(0x010a)),
            MapTo::Segment if self.generation == 17 => Ok((vm, page)),
            MapTo::Segment | MapTo::Region => Err(refused(0x01f4)),
            MapTo::Outside => Err(refused(0x0032)),
            // The frame belongs to somebody.
            MapTo::Donated => Err(refused(0x01f3)),
        }
    }

    fn unpack(&mut self, vm: u8, at: Addr, tweak: u8, bad: bool) -> Result<Answer, Refusal> {
        if self.whole(vm, bad)?.phase != Phase::Unpacking {
            return Err(refused(0x01f0));
        }
        let page = addr(at)?;
        let frame = self.mapped(vm, page);
        // That the page was secure before is looked at before whose the frame is.
        let donated = frame == Err(refused(0x01f3));
        if !donated {
            frame?;
        }
        if self.whole(vm, bad)?.pages.contains_key(&page) {
            return Err(refused(0x0104));
        }
        let frame = frame?;
        if self.owners.contains_key(&frame) {
            return Err(refused(0x01f3));
        }
        let stored = self.content(frame);
        let conf = self.whole(vm, bad)?;
        let plain = match stored {
            Content::Component(0) if tweak == 0 => Content::Fill(0xa1),
            Content::Component(1) if tweak == 1 => Content::Fill(0xb2),
            _ => Content::Noise,
        };
        conf.unpacked.push((page, stored, tweak));
        conf.pages.insert(page, Page::Secure(frame, plain));
        let life = conf.life;
        self.owners.insert(frame, Owner::Page(life, page));
        Ok(OK)
    }

    fn import(&mut self, vm: u8, at: Addr, bad: bool) -> Result<(), Refusal> {
        let conf = self.whole(vm, bad)?;
        let page = addr(at)?;
        if conf.dumping {
            return Err(refused(0x01f0));
        }
        let life = conf.life;
        let frame = self.mapped(vm, page)?;
        match self.owners.get(&frame).copied() {
            None => {}
            Some(Owner::Page(owner, found)) if (owner, found) == (life, page) => return Ok(()),
            Some(Owner::Page(owner, found)) if self.generation > 15 && owner != life => {
                let other = self.confs.values_mut().find(|conf| conf.life == owner).ok_or(refused(0x01f3))?;
                if other.pages.get(&found) != Some(&Page::Shared(frame, false)) {
                    return Err(refused(0x01f3));
                }
                other.pages.insert(found, Page::Withdrawn);
                self.owners.remove(&frame);
            }
            Some(Owner::DeadShared) if self.generation > 15 => drop(self.owners.remove(&frame)),
            Some(_) => return Err(refused(0x01f3)),
        }
        let found = self.content(frame);
        let conf = self.whole(vm, bad)?;
        let now = match conf.pages.get(&page) {
            None => Page::Secure(frame, Content::Fill(0)),
            Some(Page::Sealed(export, content)) if found == Content::Cipher(*export) => Page::Secure(frame, *content),
            Some(Page::Sealed(..)) => return Err(refused(0x01f1)),
            Some(Page::Withdrawn) => Page::Shared(frame, false),
            Some(_) => return Err(refused(0x01f3)),
        };
        conf.pages.insert(page, now);
        self.owners.insert(frame, Owner::Page(life, page));
        Ok(())
    }

    fn export(&mut self, frame: Frame) {
        let life = match self.owners.remove(&frame) {
            None => return,
            Some(Owner::Page(life, page)) => (life, page),
            Some(_) => {
                self.host.insert(frame, Content::Fill(0));
                return;
            }
        };
        let Some(conf) = self.confs.values_mut().find(|conf| conf.life == life.0) else { return };
        match conf.pages.get(&life.1) {
            Some(Page::Secure(_, content)) => {
                self.exports += 1;
                conf.pages.insert(life.1, Page::Sealed(self.exports, *content));
                self.host.insert(frame, Content::Cipher(self.exports));
            }
            _ => drop(conf.pages.insert(life.1, Page::Withdrawn)),
        }
    }

    fn unshare_all(&mut self, vm: u8, bad: bool) -> Result<(), Refusal> {
        let host = self.host.clone();
        let conf = self.whole(vm, bad)?;
        if conf.cpus.values().any(|cpu| cpu.state == OPERATING) {
            return Err(refused(0x01f0));
        }
        conf.pages.retain(|_, page| *page != Page::Withdrawn);
        for page in conf.pages.values_mut() {
            if let Page::Shared(frame, _) = *page {
                *page = Page::Secure(frame, host.get(&frame).copied().unwrap_or(Content::Fill(0)));
            }
        }
        if conf.reset == Reset::None {
            conf.reset = Reset::Unshared;
        }
        Ok(())
    }

    fn named(&self, named: Named, donated: u16) -> Result<Frame, Refusal> {
        match named {
            Named::Frame(vm, page) => Ok((vm, page)),
            Named::Outside | Named::Unaligned => Err(refused(0x0032)),
            Named::Donated => Err(refused(donated)),
        }
    }

    fn write(&mut self, frame: Frame, content: Content) -> Answer {
        let open = self.seen(frame).is_some();
        if open {
            self.host.insert(frame, content);
        }
        Answer::Host(open)
    }

    /// The frame behind a page as a guest finds it, or what the host takes.
    fn locate(&self, vm: u8, life: u32, page: u8, store: bool) -> Result<Frame, Answer> {
        let frame = match self.map(vm, page) {
            MapTo::Unmapped => return Err(Answer::Program(0x11)),
            MapTo::ReadOnly if store => return Err(Answer::Program(0x04)),
            MapTo::Segment | MapTo::Region => return Err(Answer::Program(0x3c)),
            MapTo::Outside => return Err(Answer::Program(0x05)),
            MapTo::Donated => return Err(Answer::Program(0x3f)),
            MapTo::Home | MapTo::ReadOnly => (vm, page),
            MapTo::Frame(vm, page) => (vm, page),
        };
        match self.owners.get(&frame) {
            None => Err(Answer::Program(0x3e)),
            Some(owner) if *owner == Owner::Page(life, page) => Ok(frame),
            Some(_) => Err(Answer::Program(0x3f)),
        }
    }

    fn enter(&mut self, vm: u8, cpu: u8, op: Op) -> Answer {
        let Some(described) = self.described.get_mut(&(vm, cpu)) else { return Answer::Nothing };
        if described.pending.is_none() {
            (described.pending, described.taken) = (Some(op), false);
        }
        let (conf_life, cpu_life) = (described.conf, described.cpu);
        let Some(conf) = self.confs.get_mut(&vm).filter(|conf| conf.life == conf_life) else {
            return Answer::Validity(0x2001);
        };
        let Some(found) = conf.cpus.get_mut(&cpu).filter(|found| found.life == cpu_life) else {
            return Answer::Validity(0x2002);
        };
        if conf.phase != Phase::Verified || conf.dumping || conf.reset != Reset::None {
            return Answer::Validity(0x2009);
        }
        if found.state != OPERATING || found.due {
            return Answer::Validity(0x2006);
        }
        let life = conf.life;
        if self.locate(vm, life, 0, true).is_err() || self.locate(vm, life, 1, true).is_err() {
            return Answer::Intercept(0x70, None);
        }
        self.start(vm, cpu).unwrap_or_else(|| self.run(vm, cpu, life))
    }

    /// A PSW is loaded if one is due. An answer when no program runs then.
    fn start(&mut self, vm: u8, cpu: u8) -> Option<Answer> {
        let found = self.confs.get_mut(&vm)?.cpus.get_mut(&cpu)?;
        match found.load.take() {
            // Page 0 is zeros: no PSW.
            Some(true) => {
                found.program = false;
                return Some(Answer::Intercept(0x08, None));
            }
            Some(false) => {
                found.program = true;
                let described = self.described.get_mut(&(vm, cpu))?;
                if described.taken {
                    (described.pending, described.taken) = (None, false);
                }
            }
            None => {}
        }
        (!self.confs.get(&vm)?.cpus.get(&cpu)?.program).then_some(Answer::Intercept(0x1c, None))
    }

    fn run(&mut self, vm: u8, cpu: u8, life: u32) -> Answer {
        let Some(described) = self.described.get_mut(&(vm, cpu)) else { return Answer::Nothing };
        let Some(op) = described.pending else { return Answer::Intercept(0x6c, None) };
        described.taken = true;
        self.loaded = if let Op::Load(page) = op { Some(page) } else { None };
        let done = match op {
            Op::Load(page) => self.locate(vm, life, page, false).map(|_| Done::Access),
            Op::Store(page, byte) => self.locate(vm, life, page, true).map(|frame| {
                self.store(vm, page, frame, byte);
                Done::Access
            }),
            Op::HostCommand => Ok(Done::Call(1, 0x0002)),
            Op::Share(Addr::Page(page)) => self.locate(vm, life, page, true).map(|frame| self.share(vm, page, frame)),
            Op::Unshare(Addr::Page(page)) => self.locate(vm, life, page, true).and_then(|_| self.unshare(vm, page)),
            Op::Share(_) | Op::Unshare(_) => Ok(Done::Call(1, 0x0101)),
        };
        match done {
            Ok(done) => {
                self.described.entry((vm, cpu)).or_default().pending = None;
                Answer::Intercept(0x6c, Some(done))
            }
            Err(answer) => answer,
        }
    }

    fn store(&mut self, vm: u8, page: u8, frame: Frame, byte: u8) {
        match self.confs.get_mut(&vm).and_then(|conf| conf.pages.get_mut(&page)) {
            Some(Page::Secure(_, content)) => *content = Content::Fill(byte),
            _ => drop(self.host.insert(frame, Content::Fill(byte))),
        }
    }

    fn share(&mut self, vm: u8, page: u8, frame: Frame) -> Done {
        if let Some(conf) = self.confs.get_mut(&vm)
            && let Some(Page::Secure(_, content)) = conf.pages.get(&page).copied()
        {
            conf.pages.insert(page, Page::Shared(frame, false));
            self.host.insert(frame, content);
        }
        Done::Call(0, 1)
    }

    /// Whoever pinned the page is asked to let go of it first.
    fn unshare(&mut self, vm: u8, page: u8) -> Result<Done, Answer> {
        let conf = self.confs.get_mut(&vm).ok_or(Answer::Nothing)?;
        match conf.pages.get(&page).copied() {
            Some(Page::Shared(_, true)) => return Err(Answer::Intercept(0x6c, None)),
            Some(Page::Shared(frame, false)) => {
                let content = self.host.get(&frame).copied().unwrap_or(Content::Fill(0));
                conf.pages.insert(page, Page::Secure(frame, content));
            }
            _ => {}
        }
        Ok(Done::Call(0, 1))
    }

    /// A call that leads a VM towards running, for one that does not yet.
    #[must_use]
    pub fn leads_on(&self, vm: u8) -> Option<Call> {
        let bad = false;
        if !self.ready {
            return Some(Call::Init(Init::Good));
        }
        let Some(conf) = self.confs.get(&vm) else { return Some(Call::CreateConf(vm, Create::Good)) };
        let home = |page| self.map(vm, page) == MapTo::Home;
        let missing = |page: &u8| !conf.pages.contains_key(page);
        Some(match conf.phase {
            Phase::Partial | Phase::Failed => match conf.cpus.keys().next() {
                Some(cpu) => Call::DestroyCpu { vm, cpu: *cpu, bad },
                None => Call::DestroyConf { vm, bad },
            },
            Phase::Created => Call::SetParams { vm, header: Header::Good, bad },
            Phase::Unpacking => match [3_u8, 4].into_iter().find(missing) {
                Some(page) if !home(page) => Call::Map(vm, page, MapTo::Home),
                Some(page) if self.seen((vm, page)) != Some(Content::Component(page - 3)) => {
                    Call::PutComponent { vm, page, component: page - 3 }
                }
                Some(page) => Call::Unpack { vm, at: Addr::Page(page), tweak: page - 3, bad },
                None => Call::Verify { vm, bad },
            },
            Phase::Verified => match conf.cpus.iter().next() {
                None => Call::CreateCpu { vm, cpu: 0, how: CreateCpu::Good, bad },
                _ if conf.dumping => Call::DumpComplete { vm, outside: false, bad },
                _ if conf.reset == Reset::Unshared => Call::PrepareReset { vm, bad },
                Some((cpu, found)) if found.due => Call::Reset { vm, cpu: *cpu, kind: 2, bad },
                Some((cpu, _)) if !conf.loaded => Call::SetState { vm, cpu: *cpu, state: LOAD, bad },
                Some((cpu, found)) if found.state != OPERATING => {
                    Call::SetState { vm, cpu: *cpu, state: OPERATING, bad }
                }
                _ => match [0_u8, 1].into_iter().find(|page| !self.is_in(conf, *page)) {
                    Some(page) if !home(page) => Call::Map(vm, page, MapTo::Home),
                    Some(page) => Call::Import { vm, at: Addr::Page(page), bad },
                    None => return None,
                },
            },
        })
    }

    fn is_in(&self, conf: &Conf, page: u8) -> bool {
        self.locate(conf.vm, conf.life, page, true).is_ok()
    }

    /// Every frame.
    pub fn frames() -> impl Iterator<Item = Frame> {
        (0..super::calls::VMS).flat_map(|vm| (0..PAGES).map(move |page| (vm, page)))
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
