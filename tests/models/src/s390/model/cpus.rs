//! Entries of a CPU, and what its guest does there.

use super::{Content, Frame, Model, OPERATING, Owner, Page, Phase, Refusal, Reset, refused};
use crate::s390::calls::{Addr, Answer, Done, MapTo, Named, Op};

impl Model {
    pub(super) fn named(&self, named: Named, donated: u16) -> Result<Frame, Refusal> {
        match named {
            Named::Frame(vm, page) => Ok((vm, page)),
            Named::Outside | Named::Unaligned => Err(refused(0x0032)),
            Named::Donated => Err(refused(donated)),
        }
    }

    pub(super) fn write(&mut self, frame: Frame, content: Content) -> Answer {
        let open = self.seen(frame).is_some();
        if open {
            self.host.insert(frame, content);
        }
        Answer::Host(open)
    }

    /// The frame behind a page as a guest finds it, or what the host takes.
    pub(super) fn locate(&self, vm: u8, life: u32, page: u8, store: bool) -> Result<Frame, Answer> {
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

    pub(super) fn enter(&mut self, vm: u8, cpu: u8, op: Op) -> Answer {
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
    pub(super) fn start(&mut self, vm: u8, cpu: u8) -> Option<Answer> {
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

    pub(super) fn run(&mut self, vm: u8, cpu: u8, life: u32) -> Answer {
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

    pub(super) fn store(&mut self, vm: u8, page: u8, frame: Frame, byte: u8) {
        match self.confs.get_mut(&vm).and_then(|conf| conf.pages.get_mut(&page)) {
            Some(Page::Secure(_, content)) => *content = Content::Fill(byte),
            _ => drop(self.host.insert(frame, Content::Fill(byte))),
        }
    }

    pub(super) fn share(&mut self, vm: u8, page: u8, frame: Frame) -> Done {
        if let Some(conf) = self.confs.get_mut(&vm)
            && let Some(Page::Secure(_, content)) = conf.pages.get(&page).copied()
        {
            conf.pages.insert(page, Page::Shared(frame, false));
            self.host.insert(frame, content);
        }
        Done::Call(0, 1)
    }

    /// Whoever pinned the page is asked to let go of it first.
    pub(super) fn unshare(&mut self, vm: u8, page: u8) -> Result<Done, Answer> {
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
}
