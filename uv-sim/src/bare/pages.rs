//! The pages of a bare VM.

use uv_core::{
    AcceptSharing, DestroyPages, Gfn, HostAddr, NormalMemory, PageIn, PageOut, PageRange, PageState, RangeError,
    SecureVm, SharePages, Unsupported,
};

use super::{BareError, BareVm};
use crate::SpaceError;

/// Calls `act` for each page of a run and counts.
fn page_by_page(run: PageRange, act: impl Fn(Gfn) -> Result<(), SpaceError>) -> Result<(), RangeError<SpaceError>> {
    (0_u64..).zip(run.iter()).try_for_each(|(done, gfn)| act(gfn).map_err(|error| RangeError { done, error }))
}

/// Works on a run at once; where the engine stops it has left a whole batch as it was, so the rest is done page by page.
fn batches(
    run: PageRange,
    act: impl Fn(PageRange) -> Result<(), RangeError<SpaceError>>,
) -> Result<(), RangeError<SpaceError>> {
    act(run).or_else(|stopped| {
        let rest = PageRange::new(run.first.add(stopped.done), run.count - stopped.done);
        page_by_page(rest, |gfn| act(gfn.into()).map_err(|e| e.error))
            .map_err(|e| RangeError { done: stopped.done + e.done, ..e })
    })
}

/// Refuses what the machine lacks.
fn ability(has: bool) -> Result<(), RangeError<BareError>> {
    if has { Ok(()) } else { Err(RangeError { done: 0, error: Unsupported.into() }) }
}

impl BareVm {
    /// Where a page of a run lies that begins at `host`.
    fn at(&self, run: PageRange, host: HostAddr, gfn: Gfn) -> HostAddr {
        HostAddr(host.0 + ((gfn.0 - run.first.0) << self.page_size().shift()))
    }
}

impl PageIn for BareVm {
    fn page_in_range(&self, range: PageRange) -> Result<(), RangeError<BareError>> {
        let memory = &self.0.memory;
        self.0.each_run(range, |space, run, state, host| match state {
            PageState::Absent => page_by_page(run, |gfn| space.zero_in(gfn)),
            PageState::Sealed => batches(run, |part| space.open_in(part, memory, self.at(run, host, part.first))),
            PageState::Withdrawn => page_by_page(run, |gfn| space.restore(gfn, memory, self.at(run, host, gfn))),
            _ => Ok(()),
        })
    }
}

impl PageOut for BareVm {
    fn page_out_range(&self, range: PageRange) -> Result<(), RangeError<BareError>> {
        ability(self.0.abilities.page_out)?;
        self.0.each_run(range, |space, run, state, host| match state {
            PageState::Secure => {
                batches(run, |part| space.seal_out(part, &self.0.memory, self.at(run, host, part.first)))
            }
            _ => Ok(()),
        })
    }
}

impl SharePages for BareVm {
    fn is_shared(&self, gfn: Gfn) -> Result<bool, BareError> {
        Ok(self.page_state(gfn)? == PageState::Shared)
    }

    fn withdraw(&self, gfn: Gfn) -> Result<(), BareError> {
        ability(self.0.abilities.withdraw).map_err(|e| e.error)?;
        Ok(self.0.checked(gfn.into())?.withdraw(gfn)?)
    }
}

impl DestroyPages for BareVm {
    fn destroy_range(&self, range: PageRange) -> Result<(), RangeError<BareError>> {
        ability(self.0.abilities.destroy)?;
        let zeros = alloc::vec![0; self.page_size().bytes()];
        self.0.each_run(range, |space, run, _, host| {
            page_by_page(run, |gfn| {
                space.destroy(gfn)?;
                Ok(self.0.memory.write(self.at(run, host, gfn), &zeros)?)
            })
        })
    }
}

impl AcceptSharing for BareVm {
    fn accept_sharing(&self, pages: PageRange, share: bool) -> Result<(), RangeError<BareError>> {
        self.0.checked(pages).map_err(|error| RangeError { done: 0, error })?;
        (0..).zip(pages.iter()).try_for_each(|(done, gfn)| {
            let accept = || {
                if !self.0.asked.lock().contains(&(gfn, share)) {
                    return Err(BareError::NotAsked);
                }
                if self.page_state(gfn)? == PageState::Sealed {
                    self.page_in(gfn)?;
                }
                self.0.set_shared(gfn, share)?;
                self.0.asked.lock().remove(&(gfn, share));
                Ok(())
            };
            accept().map_err(|error| RangeError { done, error })
        })
    }
}
