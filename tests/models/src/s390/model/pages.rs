//! Pages that become secure, go out, and are taken back.

use super::{Content, Frame, Model, OK, OPERATING, Owner, Page, Phase, Refusal, Reset, addr, refused};
use crate::s390::calls::{Addr, Answer, MapTo};

impl Model {
    /// The frame behind a page, for calls that make it secure.
    pub(super) fn mapped(&self, vm: u8, page: u8) -> Result<Frame, Refusal> {
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

    pub(super) fn unpack(&mut self, vm: u8, at: Addr, tweak: u8, bad: bool) -> Result<Answer, Refusal> {
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

    pub(super) fn import(&mut self, vm: u8, at: Addr, bad: bool) -> Result<(), Refusal> {
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

    pub(super) fn export(&mut self, frame: Frame) {
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

    pub(super) fn unshare_all(&mut self, vm: u8, bad: bool) -> Result<(), Refusal> {
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
}
