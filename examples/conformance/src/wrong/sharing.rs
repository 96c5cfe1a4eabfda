//! What the guest of the toy does: loads and stores, and pages that it shares.

use std::ops::Range;

use uv_conformance::{GuestOp, Saw};
use uv_core::{
    AcceptSharing, ErrorKind, Gfn, GuestAddr, HostAddr, NormalMemory, PageIn, PageRange, PageState, RangeError,
    SecureVm, SharePages,
};

use super::machine::{PAGE_SIZE, PAGES, SIZE, ToyError, lock};
use super::vm::{Life, Page};
use super::{Fault, ToyVm};

/// The pieces of an access: page, bytes inside it, bytes of the access.
fn pieces(at: GuestAddr, len: usize) -> Vec<(u64, Range<usize>, Range<usize>)> {
    let mut all = Vec::new();
    let mut done = 0;
    while done < len {
        let now = at.0 + done as u64;
        let offset = usize::try_from(PAGE_SIZE.offset(now)).unwrap_or(0);
        let take = (SIZE - offset).min(len - done);
        all.push((PAGE_SIZE.gfn(GuestAddr(now)).0, offset..offset + take, done..done + take));
        done += take;
    }
    all
}

impl ToyVm {
    /// The page that an operation begins in.
    pub(super) fn page_of(&self, op: &GuestOp) -> Gfn {
        match op {
            GuestOp::Load(at, _) | GuestOp::Store(at, _) => PAGE_SIZE.gfn(*at),
            GuestOp::Share(gfn) | GuestOp::Unshare(gfn) => *gfn,
            GuestOp::End => Gfn(0),
        }
    }

    /// Whether an operation needs a page that is not there.
    pub(super) fn missing(&self, op: &GuestOp) -> bool {
        let life = lock(&self.0.life);
        life.as_ref().is_some_and(|life| !self.reaches(life, self.page_of(op).0))
    }

    fn reaches(&self, life: &Life, page: u64) -> bool {
        match life.pages.get(&page) {
            Some(Page::Secure(_) | Page::Shared) => true,
            Some(Page::Withdrawn) => self.has(Fault::WithdrawnIsReached),
            _ => false,
        }
    }

    /// Does what the guest does, or names the page that it needs.
    pub(super) fn execute(&self, op: &GuestOp) -> Result<Saw, Gfn> {
        let mut guard = lock(&self.0.life);
        match (op, &mut *guard) {
            (GuestOp::Load(at, len), None) => Ok(self.normal_load(*at, *len)),
            (GuestOp::Store(at, bytes), None) => {
                let host = self.normal(*at);
                let stored = self.0.machine.host.memory.write(host, bytes);
                Ok(if stored.is_ok() { Saw::Done } else { Saw::Refused })
            }
            (_, None) => Ok(Saw::Refused),
            (GuestOp::Load(at, len), Some(life)) => {
                self.all_there(life, *at, *len)?;
                let mut bytes = vec![0; *len];
                for (page, inside, part) in self.reached(*at, *len) {
                    bytes[part].copy_from_slice(&self.content(life, page)[inside]);
                }
                Ok(Saw::Bytes(bytes))
            }
            (GuestOp::Store(at, bytes), Some(life)) => {
                self.all_there(life, *at, bytes.len())?;
                for (page, inside, part) in self.reached(*at, bytes.len()) {
                    let mut content = self.content(life, page);
                    content[inside].copy_from_slice(&bytes[part]);
                    self.set_content(life, page, content);
                }
                Ok(Saw::Done)
            }
            (GuestOp::Share(gfn), Some(life)) => self.share(life, gfn.0),
            (GuestOp::Unshare(gfn), Some(life)) => self.unshare(life, gfn.0),
            (GuestOp::End, _) => Ok(Saw::Done),
        }
    }

    /// Where an address of the normal VM lies.
    fn normal(&self, at: GuestAddr) -> HostAddr {
        HostAddr(self.at(0).0 + at.0)
    }

    fn normal_load(&self, at: GuestAddr, len: usize) -> Saw {
        if self.has(Fault::ReadsAfterEnd)
            && let Some(past) = &*lock(&self.0.past)
            && let (page, inside, _) = pieces(at, len)[0].clone()
            && let Some(Page::Secure(content)) = past.pages.get(&page)
        {
            return Saw::Bytes(content[inside].to_vec());
        }
        let mut bytes = vec![0; len];
        match self.0.machine.host.memory.read(self.normal(at), &mut bytes) {
            Ok(()) => Saw::Bytes(bytes),
            Err(_) => Saw::Refused,
        }
    }

    fn all_there(&self, life: &Life, at: GuestAddr, len: usize) -> Result<(), Gfn> {
        match pieces(at, len).iter().find(|(page, ..)| !self.reaches(life, *page)) {
            Some((page, ..)) => Err(Gfn(*page)),
            None => Ok(()),
        }
    }

    fn reached(&self, at: GuestAddr, len: usize) -> Vec<(u64, Range<usize>, Range<usize>)> {
        let mut all = pieces(at, len);
        all.truncate(if self.has(Fault::OnePageAccess) { 1 } else { all.len() });
        all
    }

    fn content(&self, life: &Life, page: u64) -> Vec<u8> {
        let host = self.0.index as u64 * PAGES + page;
        let from_host = self.has(Fault::LoadsHost) && lock(&self.0.machine.host.written).contains(&host);
        match life.pages.get(&page) {
            Some(Page::Secure(content)) if !from_host => content.clone(),
            _ => self.host_page(page),
        }
    }

    fn set_content(&self, life: &mut Life, page: u64, content: Vec<u8>) {
        if let Some(Page::Shared | Page::Withdrawn) = life.pages.get(&page) {
            return self.set_host_page(page, &content);
        }
        let open = self.has(Fault::UnshareStaysOpen) && life.marked.contains(&page);
        if open || self.has(Fault::StoresThrough) {
            self.set_host_page(page, &content);
        }
        if let Some(other) = self.other() {
            if self.has(Fault::StoresElsewhere) {
                other.set_host_page(page, &content);
            }
            if self.has(Fault::OneMemory)
                && let Some(life) = &mut *lock(&other.0.life)
                && let Some(Page::Secure(_)) = life.pages.get(&page)
            {
                life.pages.insert(page, Page::Secure(content.clone()));
            }
        }
        life.pages.insert(page, Page::Secure(content));
    }

    fn share(&self, life: &mut Life, page: u64) -> Result<Saw, Gfn> {
        match life.pages.get(&page) {
            Some(Page::Shared) if self.has(Fault::ShareAgainUnshares) => return self.unshare(life, page),
            Some(Page::Shared) => return Ok(Saw::Done),
            Some(Page::Withdrawn) => return Err(Gfn(page)),
            Some(Page::Sealed(_)) if !self.has(Fault::SharedSealedIsNoise) => return Err(Gfn(page)),
            Some(Page::Secure(content)) => {
                let kept = !self.has(Fault::ShareDropsContent);
                self.set_host_page(page, &if kept { content.clone() } else { vec![0; SIZE] });
                self.0.machine.give_back(content.clone());
            }
            Some(Page::Sealed(_)) => {}
            None => self.set_host_page(page, &vec![0; SIZE]),
        }
        life.pages.insert(page, Page::Shared);
        if self.has(Fault::ShareTakesNeighbour) {
            life.pages.insert(page + 1, Page::Shared);
        }
        if self.has(Fault::SharesBoth)
            && let Some(other) = self.other()
            && let Some(life) = &mut *lock(&other.0.life)
        {
            life.pages.insert(page, Page::Shared);
        }
        Ok(Saw::Done)
    }

    fn unshare(&self, life: &mut Life, page: u64) -> Result<Saw, Gfn> {
        match life.pages.get(&page) {
            Some(Page::Shared) => {}
            Some(Page::Withdrawn) => return Err(Gfn(page)),
            _ => return Ok(Saw::Done),
        }
        let Some(_) = self.0.machine.frame() else { return Ok(Saw::Refused) };
        life.marked.insert(page);
        life.pages.insert(page, Page::Secure(self.host_page(page)));
        Ok(Saw::Done)
    }
}

impl SharePages for ToyVm {
    fn is_shared(&self, gfn: Gfn) -> Result<bool, ToyError> {
        let shared = self.page_state(gfn)? == PageState::Shared;
        Ok((shared || self.has(Fault::SaysShared)) && !self.has(Fault::SaysPrivate))
    }

    fn withdraw(&self, gfn: Gfn) -> Result<(), ToyError> {
        if gfn.0 >= PAGES {
            return if self.has(Fault::TakesNoSlot) { Ok(()) } else { Err(self.no_slot()) };
        }
        let mut guard = lock(&self.0.life);
        let refused = || self.error(ErrorKind::WrongState, "the page is not shared");
        let Some(life) = &mut *guard else {
            return if self.has(Fault::MovesAfterEnd) { Ok(()) } else { Err(refused()) };
        };
        match life.pages.get(&gfn.0) {
            Some(Page::Shared) => {
                if self.has(Fault::WithdrawWipes) {
                    self.set_host_page(gfn.0, &vec![0; SIZE]);
                }
                if !self.has(Fault::WithdrawIsNothing) {
                    life.pages.insert(gfn.0, Page::Withdrawn);
                }
                Ok(())
            }
            Some(Page::Withdrawn) => {
                if self.has(Fault::WithdrawTwiceShares) {
                    life.pages.insert(gfn.0, Page::Shared);
                }
                Ok(())
            }
            _ if self.has(Fault::WithdrawsPrivate) => Ok(()),
            _ => Err(refused()),
        }
    }
}

/// A machine whose guest cannot share alone: for the faults that are about that.
impl ToyVm {
    pub(super) fn asking(&self) -> bool {
        self.has(Fault::SharesUnserved) || self.has(Fault::AcceptsUnasked)
    }

    pub(super) fn asks_to_share(&self, gfn: Gfn, share: bool) {
        lock(&self.0.asked).insert((gfn, share));
    }

    /// Whether nobody has done what the guest asked for.
    pub(super) fn takes_wish_back(&self, gfn: Gfn, share: bool) -> bool {
        lock(&self.0.asked).remove(&(gfn, share))
    }

    pub(super) fn accept_sharing_of(&self, gfn: Gfn, share: bool) -> Result<(), ToyError> {
        if gfn.0 >= PAGES {
            return Err(self.no_slot());
        }
        let op = if share { GuestOp::Share(gfn) } else { GuestOp::Unshare(gfn) };
        while let Err(gfn) = self.execute(&op) {
            self.page_in(gfn)?;
        }
        Ok(())
    }
}

impl AcceptSharing for ToyVm {
    fn accept_sharing(&self, pages: PageRange, share: bool) -> Result<(), RangeError<ToyError>> {
        let normal = lock(&self.0.life).is_none();
        (0..).zip(pages.iter().take(64)).try_for_each(|(done, gfn)| {
            let fail = |error| RangeError { done, error };
            if gfn.0 >= PAGES || pages.count > PAGES {
                return Err(fail(self.no_slot()));
            }
            if normal || !(self.takes_wish_back(gfn, share) || self.has(Fault::AcceptsUnasked)) {
                return Err(fail(self.error(ErrorKind::WrongState, "the guest did not ask for this")));
            }
            self.accept_sharing_of(gfn, share).map_err(fail)
        })
    }
}
