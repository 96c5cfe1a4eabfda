//! The guests' program: load, then the comparison of every byte.

use std::collections::VecDeque;
use std::sync::Arc;

use rand_core::Rng as _;
use spin::Mutex;
use uv_core::{GuestAddr, PageSize};
use uv_power::abi::{Msr, Regs};
use uv_power::guest::EsmRequest;
use uv_power::hypervisor::vmm::boot::{BootLayout, KERNEL_LOAD_ADDR};
use uv_power::sim::{GuestInsn, GuestProgram, GuestStep};
use uv_sim::guest::{Outcome, Step};
use uv_sim::rng::SimRng;

const PAGE: usize = PageSize::K64.bytes();

/// The load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// Pages that the guest works on.
    pub(crate) pages: u64,
    /// Pages that it writes or reads.
    pub(crate) steps: u32,
    /// Everything random comes from this number.
    pub(crate) seed: u64,
}

/// What a guest did, and whether it found what it wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// The guest runs in secure mode.
    pub(crate) secure: bool,
    /// Pages written under load.
    pub(crate) written: u64,
    /// Pages read under load.
    pub(crate) read: u64,
    /// Bytes compared, under load and at the end.
    pub(crate) compared: u64,
    /// Bytes that were not what they had to be.
    pub(crate) wrong: u64,
    /// The comparison at the end is over.
    pub(crate) finished: bool,
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
    request: EsmRequest,
    /// What was loaded, and where.
    loaded: Vec<(GuestAddr, Arc<[u8]>)>,
    /// The first page of the work area.
    work: GuestAddr,
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
pub(crate) fn program(layout: &BootLayout<'_>, load: &Load) -> (GuestProgram, Arc<Mutex<Tally>>) {
    let mut guest = Guest::new(layout, load);
    let tally = Arc::clone(&guest.tally);
    (Box::new(move |last| guest.next(last)), tally)
}

impl Guest {
    fn new(layout: &BootLayout<'_>, load: &Load) -> Self {
        Self {
            request: layout.request(),
            loaded: layout.pieces().map(|piece| (piece.at, piece.bytes.into())).collect(),
            work: layout.free,
            tally: Arc::default(),
            rng: SimRng::from_seed(load.seed),
            seed: load.seed,
            versions: vec![0; usize::try_from(load.pages).unwrap_or(0)],
            steps: load.steps,
            rest: None,
            at_work: None,
        }
    }

    fn next(&mut self, last: Outcome<Box<Regs>>) -> GuestStep {
        match last {
            Outcome::Started => {
                return Step::Call(GuestInsn::ultracall(EsmRequest::NUMBER, &self.request.arguments()));
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
            return self.work_on();
        }
        self.check()
    }

    /// One step of the load: a page is written anew, or read.
    fn work_on(&mut self) -> GuestStep {
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
        let low = usize::try_from(KERNEL_LOAD_ADDR.0).unwrap_or(0);
        all.extend((0..low).step_by(PAGE).map(|at| (GuestAddr(at as u64), PAGE, Expected::Zeros)));
        for (at, bytes) in &self.loaded {
            for from in (0..bytes.len()).step_by(PAGE) {
                let len = PAGE.min(bytes.len() - from);
                all.push_back((GuestAddr(at.0 + from as u64), len, Expected::Bytes(Arc::clone(bytes), from)));
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
        GuestAddr(self.work.0 + (page * PAGE) as u64)
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
    use uv_power::hypervisor::vmm::boot::{BootFiles, BootLayout};

    use super::{Expected, Guest, Load, PAGE, Tally};

    fn guest(seed: u64) -> Guest {
        let files = BootFiles { kernel: &[], initrd: &[], blob: None, rtas: &[], bootargs: "", cores: 1 };
        Guest::new(&BootLayout::new(&files).unwrap(), &Load { pages: 2, steps: 0, seed })
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
