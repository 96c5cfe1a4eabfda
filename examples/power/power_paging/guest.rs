//! The guests' program: load, then the comparison of every byte.

use std::collections::VecDeque;
use std::sync::Arc;

use rand_core::Rng as _;
use spin::Mutex;
use uv_core::{GuestAddr, PageSize};
use uv_power::abi::numbers::UvCall;
use uv_power::abi::{Msr, Regs};
use uv_power::sim::{GuestInsn, GuestProgram, GuestStep};
use uv_sim::guest::{Outcome, Step};
use uv_sim::rng::SimRng;

use crate::boot::Layout;

const PAGE: usize = PageSize::K64.bytes();

/// What a guest did, and whether it found what it wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// The guest runs in secure mode.
    pub secure: bool,
    /// Pages written under load.
    pub written: u64,
    /// Pages read under load.
    pub read: u64,
    /// Bytes compared, under load and at the end.
    pub compared: u64,
    /// Bytes that were not what they had to be.
    pub wrong: u64,
    /// The comparison at the end is over.
    pub finished: bool,
}

/// What a stretch of memory must hold.
#[derive(Clone)]
enum Expected {
    /// A page of the work area: its number.
    Work(usize),
    Zeros,
    Bytes(Arc<[u8]>, usize),
}

struct Guest {
    layout: Layout,
    tally: Arc<Mutex<Tally>>,
    rng: SimRng,
    seed: u64,
    /// How often each page of the work area was written.
    versions: Vec<u32>,
    steps: u32,
    /// What is compared at the end, `None` until then.
    rest: Option<VecDeque<(GuestAddr, usize, Expected)>>,
    /// The load at work.
    at_work: Option<(usize, Expected)>,
}

/// The program of a guest and what comes of it. It becomes secure, then works.
pub(super) fn program(layout: &Layout, work_pages: u64, steps: u32, seed: u64) -> (GuestProgram, Arc<Mutex<Tally>>) {
    let tally = Arc::<Mutex<Tally>>::default();
    let mut guest = Guest {
        layout: layout.clone(),
        tally: Arc::clone(&tally),
        rng: SimRng::from_seed(seed),
        seed,
        versions: vec![0; usize::try_from(work_pages).unwrap_or(0)],
        steps,
        rest: None,
        at_work: None,
    };
    (Box::new(move |last| guest.next(last)), tally)
}

impl Guest {
    fn next(&mut self, last: Outcome<Box<Regs>>) -> GuestStep {
        match last {
            Outcome::Started => {
                let args = [self.layout.kernel.at.0, self.layout.tree.0];
                return Step::Call(GuestInsn::ultracall(UvCall::UV_ESM, &args));
            }
            Outcome::Returned(regs) if !self.tally.lock().secure => {
                if !regs.msr().contains(Msr::S) {
                    return Step::Halt;
                }
                self.tally.lock().secure = true;
            }
            Outcome::Loaded(bytes) => self.compare(&bytes),
            _ => {}
        }
        if self.rest.is_none() && self.steps > 0 {
            self.steps -= 1;
            return self.work();
        }
        self.check()
    }

    /// One step of the load: a page is written anew, or read.
    fn work(&mut self) -> GuestStep {
        let count = self.versions.len() as u64;
        let page = usize::try_from(self.rng.next_u64() % count).unwrap_or(0);
        let mut tally = self.tally.lock();
        if self.rng.next_u32().is_multiple_of(2) {
            tally.written += 1;
            drop(tally);
            self.versions[page] += 1;
            Step::store(self.address(page), &self.content(page))
        } else {
            tally.read += 1;
            drop(tally);
            self.at_work = Some((PAGE, Expected::Work(page)));
            Step::load(self.address(page), PAGE)
        }
    }

    /// One step of the comparison of everything.
    fn check(&mut self) -> GuestStep {
        if self.rest.is_none() {
            self.rest = Some(self.everything());
        }
        match self.rest.as_mut().and_then(VecDeque::pop_front) {
            Some((at, len, expected)) => {
                self.at_work = Some((len, expected));
                Step::load(at, len)
            }
            None => {
                self.tally.lock().finished = true;
                Step::Halt
            }
        }
    }

    /// All memory that the guest can know: what nothing was loaded to, what was loaded, what it wrote. The rest is the
    /// ultravisor's: the device tree that it changed, and its own buffers.
    fn everything(&self) -> VecDeque<(GuestAddr, usize, Expected)> {
        let mut all = VecDeque::new();
        let low = usize::try_from(self.layout.kernel.at.0).unwrap_or(0);
        all.extend((0..low).step_by(PAGE).map(|at| (GuestAddr(at as u64), PAGE, Expected::Zeros)));
        for piece in self.layout.pieces() {
            let bytes: Arc<[u8]> = piece.bytes.as_slice().into();
            for from in (0..bytes.len()).step_by(PAGE) {
                let len = PAGE.min(bytes.len() - from);
                all.push_back((GuestAddr(piece.at.0 + from as u64), len, Expected::Bytes(Arc::clone(&bytes), from)));
            }
        }
        all.extend((0..self.versions.len()).map(|page| (self.address(page), PAGE, Expected::Work(page))));
        all
    }

    fn compare(&mut self, seen: &[u8]) {
        let Some((len, expected)) = self.at_work.take() else { return };
        let expected: Vec<u8> = match expected {
            Expected::Work(page) => self.content(page),
            Expected::Zeros => vec![0; len],
            Expected::Bytes(bytes, from) => bytes[from..from + len].to_vec(),
        };
        let wrong = seen.iter().zip(&expected).filter(|(a, b)| a != b).count() + expected.len().abs_diff(seen.len());
        let mut tally = self.tally.lock();
        tally.compared += expected.len() as u64;
        tally.wrong += wrong as u64;
    }

    fn address(&self, page: usize) -> GuestAddr {
        GuestAddr(self.layout.work.0 + (page * PAGE) as u64)
    }

    /// What a page of the work area holds: zeros before it was written for the first time.
    fn content(&self, page: usize) -> Vec<u8> {
        let mut bytes = vec![0; PAGE];
        if let Some(version) = self.versions.get(page).filter(|version| **version > 0) {
            SimRng::from_seed(self.seed).fork(&format!("page {page} version {version}")).fill_bytes(&mut bytes);
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::{Expected, Guest, PAGE, SimRng, Tally};
    use crate::boot::{Input, Layout};

    fn guest(seed: u64) -> Guest {
        let layout = Layout::new(&Input::sample().unwrap()).unwrap();
        let tally = std::sync::Arc::default();
        let rng = SimRng::from_seed(seed);
        Guest { layout, tally, rng, seed, versions: vec![0; 2], steps: 0, rest: None, at_work: None }
    }

    #[test]
    fn wrong_bytes_are_counted() {
        let mut guest = guest(1);
        let mut seen = |bytes: &[u8], expected: Expected| {
            guest.at_work = Some((bytes.len(), expected));
            guest.compare(bytes);
            core::mem::take(&mut *guest.tally.lock())
        };
        assert_eq!(seen(&[0; 8], Expected::Zeros), Tally { compared: 8, ..Tally::default() });
        assert_eq!(seen(&[0, 1, 0, 2], Expected::Zeros), Tally { compared: 4, wrong: 2, ..Tally::default() });
        let bytes = [1, 2, 3].as_slice();
        assert_eq!(seen(&[2, 4], Expected::Bytes(bytes.into(), 1)).wrong, 1);
        assert_eq!(seen(&[0; PAGE], Expected::Work(1)).wrong, 0);
    }

    #[test]
    fn each_version_of_each_page_is_its_own() {
        let mut guest = guest(1);
        guest.versions = vec![1, 1];
        let (first, second) = (guest.content(0), guest.content(1));
        guest.versions[0] = 2;
        assert!(first != second && first != guest.content(0) && first.iter().any(|byte| *byte != 0));
    }
}
