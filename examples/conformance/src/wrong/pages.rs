//! Pages of the toy in, out and away.

use core::time::Duration;
use std::sync::atomic::Ordering;
use std::time::Instant;

use uv_core::{DestroyPages, ErrorKind, Gfn, PageIn, PageOut, PageRange, RangeError};

use super::machine::{NOT_SEALED, PAGES, SIZE, ToyError, lock};
use super::vm::{Life, Page};
use super::{Fault, ToyVm};

/// How long a fault of two calls side by side lasts.
const WINDOW: Duration = Duration::from_micros(200);
/// How long a lost store is waited for.
const PATIENCE: Duration = Duration::from_millis(5);

impl ToyVm {
    pub(super) fn no_slot(&self) -> ToyError {
        let kind = if self.has(Fault::NoSlotIsState) { ErrorKind::WrongState } else { ErrorKind::InvalidArgument };
        self.error(kind, "the page is in no memory slot")
    }

    /// Checks a range, then does its pages one by one.
    fn each(
        &self,
        range: PageRange,
        act: impl Fn(&mut Life, u64) -> Result<(), ToyError>,
    ) -> Result<(), RangeError<ToyError>> {
        let first = |error| Err(RangeError { done: 0, error });
        let end = range.first.0.checked_add(range.count);
        let inside = end.is_some_and(|end| end <= PAGES);
        if range.count == 0 && self.has(Fault::EmptyIsError) {
            return first(self.error(ErrorKind::InvalidArgument, "no page"));
        }
        if self.has(Fault::TakesNoSlot) && range.first.0 >= PAGES
            || self.has(Fault::NoEndIsFine) && range.count > 1 << 32
        {
            return Ok(());
        }
        if !inside && !self.has(Fault::MovesBeforeLooking) {
            if self.has(Fault::RefusalWipes)
                && let Some(life) = &mut *lock(&self.0.life)
            {
                let secure = life.pages.values_mut().filter(|page| matches!(page, Page::Secure(_)));
                secure.for_each(|page| *page = Page::Secure(vec![0; SIZE]));
            }
            return first(self.no_slot());
        }
        let moving = self.0.moving.fetch_add(1, Ordering::SeqCst);
        let result = self.each_inside(range, moving > 0, act);
        self.0.moving.fetch_sub(1, Ordering::SeqCst);
        result
    }

    fn each_inside(
        &self,
        range: PageRange,
        beside: bool,
        act: impl Fn(&mut Life, u64) -> Result<(), ToyError>,
    ) -> Result<(), RangeError<ToyError>> {
        if self.has(Fault::LosesRanges) || self.has(Fault::PanicsBeside) || self.has(Fault::CountsBesideAreOff) {
            std::thread::sleep(WINDOW);
        }
        let fatal = |done| Err(RangeError { done, error: self.error(ErrorKind::Fatal, "two calls at once") });
        if beside && self.has(Fault::PanicsBeside) {
            return fatal(0);
        }
        for (done, gfn) in (0..).zip(range.iter()) {
            let mut guard = lock(&self.0.life);
            let Some(life) = &mut *guard else {
                if self.has(Fault::MovesAfterEnd) {
                    return Ok(());
                }
                if self.has(Fault::FatalBesideEnd) {
                    return fatal(done);
                }
                return Err(RangeError { done, error: self.error(ErrorKind::WrongState, "the VM is normal") });
            };
            if beside && self.has(Fault::LosesRanges) {
                life.pages.remove(&gfn.0);
            }
            let result = if gfn.0 >= PAGES { Err(self.no_slot()) } else { act(life, gfn.0) };
            if let Err(error) = result {
                return Err(RangeError { done: self.said(life, range, done), error });
            }
        }
        Ok(())
    }

    /// How many pages are said to be done.
    fn said(&self, life: &mut Life, range: PageRange, done: u64) -> u64 {
        if self.has(Fault::StopIsFinal) && range.count > 1 {
            life.marked.insert(u64::MAX);
        }
        if self.has(Fault::UndoesRange) {
            PageRange::new(range.first, done).iter().for_each(|gfn| drop(self.one_out(life, gfn.0, 0)));
        }
        match self.0.machine.fault {
            Some(Fault::DoneIsZero) => 0,
            Some(Fault::DoneIsMore) => done + 1,
            Some(Fault::FullRangeLies) if done > 0 => range.count - 1,
            _ => done,
        }
    }

    fn one_in(&self, life: &mut Life, page: u64, many: bool) -> Result<(), ToyError> {
        let full = || {
            let state = self.has(Fault::FullIsBusyState);
            self.error(if state { ErrorKind::WrongState } else { ErrorKind::Exhausted }, "no frame is free")
        };
        if self.has(Fault::NoLastPage) && page == PAGES - 1 {
            return Err(self.no_slot());
        }
        let content = match life.pages.get(&page) {
            Some(Page::Secure(_)) if self.has(Fault::InAgainWipes) => vec![0; SIZE],
            Some(Page::Shared) if self.has(Fault::InMakesPrivate) => vec![0; SIZE],
            Some(Page::Shared) if self.has(Fault::StopsAtShared) && many => {
                return Err(self.error(ErrorKind::WrongState, "the page is shared"));
            }
            Some(Page::Secure(_) | Page::Shared) => return Ok(()),
            Some(Page::Withdrawn) => {
                life.pages.insert(page, Page::Shared);
                return Ok(());
            }
            Some(Page::Sealed(_)) => self.opened(life, page)?,
            None if self.has(Fault::DestroyIsForEver) && life.marked.contains(&page) => {
                return Err(self.error(ErrorKind::WrongState, "the page was given up"));
            }
            None => {
                let Some(frame) = self.0.machine.frame() else {
                    if self.has(Fault::FullTakesPage) {
                        life.pages.insert(page, Page::Secure(vec![0; SIZE]));
                    }
                    return Err(full());
                };
                let takes = self.has(Fault::TakesHostContent) || many && self.has(Fault::RangeTakesHostContent);
                life.pages.insert(page, Page::Secure(if takes { self.host_page(page) } else { frame }));
                return Ok(());
            }
        };
        if self.has(Fault::SharedByPaging) {
            self.set_host_page(page, &content);
            life.pages.insert(page, Page::Shared);
            return Ok(());
        }
        let _ = self.0.machine.frame().ok_or_else(full)?;
        life.pages.insert(page, Page::Secure(content));
        Ok(())
    }

    /// The content of a sealed page, if its normal page holds the right bytes.
    fn opened(&self, life: &mut Life, page: u64) -> Result<Vec<u8>, ToyError> {
        let Some(Page::Sealed(sealed)) = life.pages.get(&page) else { return Ok(vec![0; SIZE]) };
        let found = self.host_page(page);
        let forgotten = self.has(Fault::ForgetsAfterRefusal) && life.marked.contains(&page);
        let stopped = life.marked.contains(&u64::MAX);
        let opened = self.0.machine.open(sealed, &found).filter(|_| !forgotten && !stopped);
        let Some(mut content) = opened else {
            life.marked.insert(page);
            if self.has(Fault::RefusedIsGone) {
                life.pages.remove(&page);
            }
            if self.has(Fault::RefusedIsZero) {
                life.pages.insert(page, Page::Secure(vec![0; SIZE]));
            }
            let kind =
                if self.has(Fault::RefusesAsArgument) { ErrorKind::InvalidArgument } else { ErrorKind::Integrity };
            if self.has(Fault::ErrorsShowMemory) {
                return Err(self.error(kind, &String::from_utf8_lossy(&found[..64])));
            }
            let code = if self.has(Fault::HidesCodes) { "" } else { NOT_SEALED };
            return Err(self.error(kind, &format!("the page is not what was sealed: {code}")));
        };
        if self.has(Fault::FirstVersion)
            && let Some(first) = life.first.get(&page)
        {
            content.clone_from(first);
        }
        if self.has(Fault::CutsTail) {
            content[SIZE - 8..].fill(0);
        }
        Ok(content)
    }

    fn one_out(&self, life: &mut Life, page: u64, call: u64) -> Result<(), ToyError> {
        let plain = match life.pages.get(&page) {
            Some(Page::Secure(_)) if self.has(Fault::KeepsPages) => return Ok(()),
            Some(Page::Secure(content)) => content.clone(),
            Some(Page::Sealed(sealed)) if self.has(Fault::OutSealsAgain) => sealed.plain.clone(),
            Some(Page::Shared) if self.has(Fault::OutSealsShared) => self.host_page(page),
            Some(Page::Withdrawn) if self.has(Fault::WithdrawnGoesOut) => self.host_page(page),
            _ => return Ok(()),
        };
        if let Some(Page::Secure(content)) = life.pages.get(&page)
            && !self.has(Fault::StaysFull)
        {
            self.0.machine.give_back(content.clone());
        }
        life.first.entry(page).or_insert_with(|| plain.clone());
        let sealed = self.0.machine.seal(self.0.index, life.number, page, call, plain);
        self.set_host_page(page, &sealed.bytes);
        life.pages.insert(page, Page::Sealed(sealed));
        Ok(())
    }

    /// What a secure page holds now.
    fn secure_copy(&self, page: u64) -> Option<Vec<u8>> {
        match lock(&self.0.life).as_ref()?.pages.get(&page)? {
            Page::Secure(content) => Some(content.clone()),
            _ => None,
        }
    }

    /// A copy of a secure page, after a moment in which the guest may store to it.
    fn stale_copy(&self, page: u64) -> Option<Vec<u8>> {
        let copy = self.secure_copy(page)?;
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE && self.secure_copy(page).as_ref() == Some(&copy) {
            std::thread::yield_now();
        }
        Some(copy)
    }
}

impl PageIn for ToyVm {
    fn page_in_range(&self, range: PageRange) -> Result<(), RangeError<ToyError>> {
        self.each(range, |life, page| self.one_in(life, page, range.count > 1))
    }
}

impl PageOut for ToyVm {
    fn page_out_range(&self, range: PageRange) -> Result<(), RangeError<ToyError>> {
        let call = self.0.machine.number();
        let stale = if self.has(Fault::LosesStores) { self.stale_copy(range.first.0) } else { None };
        self.each(range, |life, page| {
            if let (Some(stale), Some(Page::Secure(content))) = (&stale, life.pages.get_mut(&page))
                && page == range.first.0
            {
                content.clone_from(stale);
            }
            if self.has(Fault::OutTakesNeighbour) {
                self.one_out(life, page + 1, call)?;
            }
            self.one_out(life, page, call)
        })?;
        if self.has(Fault::MovesBoth)
            && let Some(other) = self.other()
            && let Some(life) = &mut *lock(&other.0.life)
        {
            range.iter().for_each(|gfn| drop(other.one_out(life, gfn.0, call)));
        }
        Ok(())
    }
}

impl DestroyPages for ToyVm {
    fn destroy_range(&self, range: PageRange) -> Result<(), RangeError<ToyError>> {
        self.each(range, |life, page| {
            self.destroy(life, page);
            if self.has(Fault::DestroyTakesNext) && range.first.add(range.count) == Gfn(page + 1) {
                self.destroy(life, page + 1);
            }
            Ok(())
        })
    }
}

impl ToyVm {
    fn destroy(&self, life: &mut Life, page: u64) {
        if self.has(Fault::DestroySkipsSealed) && matches!(life.pages.get(&page), Some(Page::Sealed(_))) {
            return;
        }
        if !self.has(Fault::DestroyLeavesHost) {
            self.set_host_page(page, &vec![0; SIZE]);
        }
        if self.has(Fault::DestroyLeavesContent) {
            return;
        }
        life.marked.insert(page);
        if let Some(Page::Secure(content)) = life.pages.remove(&page) {
            self.0.machine.give_back(content);
        }
    }
}
