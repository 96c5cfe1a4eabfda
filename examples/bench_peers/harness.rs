//! Parties in turn over cold memory, timed by the thread's own CPU time.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Bytes of each of the two regions a party works on, one behind the other: the working set is twice this.
const REGION: usize = 512 << 20;

/// Bytes one turn takes.
pub(crate) const SPAN: usize = 4 << 20;

/// Bytes of a page.
pub(crate) const PAGE: usize = 4096;

/// Turns of each party; the medians are taken over them.
const ROUNDS: usize = 31;

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

    /// Lets the parties work in turn, each turn on the next span.
    pub(crate) fn measure(&mut self, parties: &mut [Work<'_>]) -> Measured {
        let mut seconds = vec![Vec::with_capacity(ROUNDS); parties.len()];
        for round in 0..=ROUNDS {
            for (work, times) in parties.iter_mut().zip(&mut seconds) {
                let span = self.at..self.at + SPAN;
                self.at = span.end % REGION;
                let (src, dst) = (&self.src.bytes()[span.clone()], &mut self.dst.bytes()[span]);
                let took = thread_seconds(|| work(src, dst));
                // The first round only warms code and keys.
                if round > 0 {
                    times.push(took);
                }
            }
        }
        let ratios = seconds.iter().map(|peer| ratio(peer, &seconds[0])).collect();
        let megabytes = f64::from(u32::try_from(SPAN).unwrap_or(u32::MAX)) / 1e6;
        Measured { rates: seconds.iter().map(|times| megabytes / median(times.clone())).collect(), ratios }
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
