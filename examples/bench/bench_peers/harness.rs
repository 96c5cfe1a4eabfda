//! Parties in turn over cold memory, timed by the thread's own CPU time.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Bytes of each of the two regions a party works on, one behind the other: the working set is twice this.
const REGION: usize = 512 << 20;

/// Bytes one turn takes.
pub(crate) const SPAN: usize = 4 << 20;

/// The same in megabytes.
pub(crate) const SPAN_MEGABYTES: f64 = 4.194_304;

/// Bytes of a page.
pub(crate) const PAGE: usize = 4096;

/// Turns of each party; the medians are taken over them.
pub(crate) const ROUNDS: usize = 31;

/// One turn's work: `SPAN` bytes of source and as many of destination (in place: the destination alone).
pub(crate) type Work<'a> = Box<dyn FnMut(&[u8], &mut [u8]) + 'a>;

/// The memory of all rows. No byte is touched again before 1 GiB of other bytes has gone by.
pub(crate) struct Arena {
    src: Region,
    dst: Region,
    at: usize,
}

/// Whole pages, beginning on a page's border as guest memory does.
struct Region {
    bytes: Vec<u8>,
    start: usize,
}

impl Region {
    fn new(fill: u8) -> Self {
        let bytes = vec![fill; REGION + PAGE];
        let start = bytes.as_ptr().align_offset(PAGE);
        Self { bytes, start }
    }

    fn bytes(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..][..REGION]
    }
}

/// One turn's work on anything; it is told the number of the round, from 0 on, of which the first is not counted.
pub(crate) type Turn<'a> = Box<dyn FnMut(&mut Arena, usize) + 'a>;

/// What was measured: megabytes a second of each party, and the first party's against each of them.
pub(crate) struct Measured {
    pub(crate) rates: Vec<f64>,
    pub(crate) ratios: Vec<f64>,
}

impl Arena {
    /// Takes and touches the memory.
    pub(crate) fn new() -> Self {
        let (mut src, dst) = (Region::new(1), Region::new(2));
        for (span, at) in src.bytes().chunks_mut(PAGE).zip(0..) {
            span[..8].copy_from_slice(&u64::to_le_bytes(at));
        }
        Self { src, dst, at: 0 }
    }

    /// Prepares the source.
    pub(crate) fn source<T>(&mut self, fill: impl FnOnce(&mut [u8]) -> T) -> T {
        fill(self.src.bytes())
    }

    /// The next span: source and destination.
    pub(crate) fn next(&mut self) -> (&[u8], &mut [u8]) {
        let span = self.at..self.at + SPAN;
        self.at = span.end % REGION;
        (&self.src.bytes()[span.clone()], &mut self.dst.bytes()[span])
    }

    /// Lets the parties work in turn; the seconds of each in each round.
    pub(crate) fn turns(&mut self, rounds: usize, parties: &mut [Turn<'_>]) -> Vec<Vec<f64>> {
        let mut seconds = vec![Vec::with_capacity(rounds); parties.len()];
        for round in 0..=rounds {
            for (turn, times) in parties.iter_mut().zip(&mut seconds) {
                let took = thread_seconds(|| turn(self, round));
                if round > 0 {
                    times.push(took);
                }
            }
        }
        seconds
    }

    /// Lets the parties work in turn, each turn on the next span.
    pub(crate) fn measure(&mut self, parties: &mut [Work<'_>]) -> Measured {
        let mut seconds = vec![Vec::with_capacity(ROUNDS); parties.len()];
        for round in 0..=ROUNDS {
            for (work, times) in parties.iter_mut().zip(&mut seconds) {
                let (src, dst) = self.next();
                let took = thread_seconds(|| work(src, dst));
                // The first round only warms code and keys.
                if round > 0 {
                    times.push(took);
                }
            }
        }
        Measured::new(&seconds, SPAN_MEGABYTES)
    }
}

impl Measured {
    fn new(seconds: &[Vec<f64>], amount: f64) -> Self {
        let ratios = seconds.iter().map(|peer| ratio(peer, &seconds[0])).collect();
        Self { rates: seconds.iter().map(|times| amount / median(times.clone())).collect(), ratios }
    }

    /// The parties `which` alone, the first of them as ours.
    pub(crate) fn only(seconds: &[Vec<f64>], which: &[usize], amount: f64) -> Self {
        let chosen: Vec<_> = which.iter().map(|at| seconds[*at].clone()).collect();
        Self::new(&chosen, amount)
    }
}

/// Median over the rounds of `peer / ours`, both of the same round.
fn ratio(peer: &[f64], ours: &[f64]) -> f64 {
    median(peer.iter().zip(ours).map(|(peer, ours)| peer / ours).collect())
}

/// The middle value.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Seconds of CPU time this thread spends in `work`.
pub(crate) fn thread_seconds(work: impl FnOnce()) -> f64 {
    let start = thread_time();
    work();
    thread_time().saturating_sub(start).as_secs_f64()
}

fn thread_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0))
}
