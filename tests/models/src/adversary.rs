//! Random sequences of calls on machine and model.

use core::fmt::Debug;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// Numbers from a seed.
#[derive(Clone, Debug)]
pub struct Seed(u64);

impl Seed {
    /// The numbers of this seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: u8) -> u8 {
        u8::try_from(self.next() % u64::from(bound)).unwrap_or(0)
    }

    /// One of these.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[usize::try_from(self.next() % (from.len() as u64)).unwrap_or(0)]
    }

    /// Whether something happens that happens once in `times`.
    pub fn one_in(&mut self, times: u8) -> bool {
        self.below(times) == 0
    }
}

/// A machine with its model.
pub trait Machine: Sized {
    /// A call.
    type Call: Clone + Debug;
    /// What came of a call, on either side.
    type Answer: Clone + Debug + PartialEq;

    /// A fresh machine and a fresh model.
    fn new(variant: u8) -> Self;

    /// How many kinds of machine there are.
    const VARIANTS: u8;

    /// A call that a hostile hypervisor or guest may make now.
    fn choose(&self, seed: &mut Seed) -> Self::Call;

    /// Makes the call on the machine and on the model: what each answers, and what else is not the same.
    fn call(&mut self, call: &Self::Call) -> (Self::Answer, Self::Answer, Option<String>);

    /// The name of a call and its code, as the tables have them; nothing for a call or an answer that stands in no table.
    fn pair(call: &Self::Call, answer: &Self::Answer) -> Option<(String, String)>;

    /// The pairs of the tables.
    fn table() -> Vec<(String, String)>;
}

/// A sequence at whose end machine and model do not agree.
#[derive(Clone, Debug)]
pub struct Disagreement<C> {
    /// The seed of the sequence.
    pub seed: u64,
    /// The kind of machine.
    pub variant: u8,
    /// The calls, as few as still disagree.
    pub calls: Vec<C>,
    /// What is not the same.
    pub what: String,
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Run<C> {
    /// Calls made.
    pub calls: u64,
    /// Sequences begun.
    pub sequences: u64,
    /// How long it took.
    pub time: Duration,
    /// Pairs of call and code of the tables that were reached.
    pub reached: BTreeSet<(String, String)>,
    /// Pairs of the tables that were not.
    pub missed: Vec<(String, String)>,
    /// The first disagreement.
    pub disagreement: Option<Disagreement<C>>,
}

/// Calls of a sequence: short ones reach the begin of a machine's life in its variety, long ones its depth.
const LENGTHS: [usize; 3] = [40, 150, 500];

/// Who makes the calls.
#[derive(Clone, Copy, Debug)]
pub struct Adversary {
    /// The first sequence's seed; the next ones follow.
    pub seed: u64,
}

impl Adversary {
    /// Makes sequences until the time is over, or machine and model disagree.
    pub fn run<M: Machine>(self, time: Duration) -> Run<M::Call> {
        let begun = Instant::now();
        let table: BTreeSet<(String, String)> = M::table().into_iter().collect();
        let (mut calls, mut sequences, mut reached) = (0, 0, BTreeSet::new());
        let mut disagreement = None;
        while disagreement.is_none() && (sequences == 0 || begun.elapsed() < time) {
            let seed = self.seed.wrapping_add(sequences);
            sequences += 1;
            disagreement = one::<M>(seed, &mut calls, &mut |pair| {
                reached.insert(pair);
            });
        }
        let missed = table.difference(&reached).cloned().collect();
        let reached = table.intersection(&reached).cloned().collect();
        Run { calls, sequences, time: begun.elapsed(), reached, missed, disagreement }
    }

    /// Makes one sequence.
    pub fn replay<M: Machine>(self) -> Option<Disagreement<M::Call>> {
        one::<M>(self.seed, &mut 0, &mut |_| ())
    }
}

/// What the machine and the model say of a call, if they do not agree. A panic of either is a disagreement.
fn step<M: Machine>(both: &mut M, call: &M::Call) -> Result<M::Answer, String> {
    match catch_unwind(AssertUnwindSafe(|| both.call(call))) {
        Ok((machine, model, None)) if machine == model => Ok(machine),
        Ok((machine, model, other)) => {
            Err(format!("the machine answers {machine:?}, the model {model:?} {}", other.unwrap_or_default()))
        }
        Err(_) => Err("a panic".into()),
    }
}

fn one<M: Machine>(
    seed: u64,
    count: &mut u64,
    reached: &mut dyn FnMut((String, String)),
) -> Option<Disagreement<M::Call>> {
    let mut numbers = Seed::new(seed);
    let variant = numbers.below(M::VARIANTS);
    let length = numbers.pick(&LENGTHS);
    let (mut both, mut calls) = (M::new(variant), Vec::new());
    while calls.len() < length {
        let call = both.choose(&mut numbers);
        calls.push(call.clone());
        *count += 1;
        match step(&mut both, &call) {
            Ok(answer) => M::pair(&call, &answer).into_iter().for_each(&mut *reached),
            Err(what) => {
                let (calls, what) = shrink::<M>(variant, calls, what);
                return Some(Disagreement { seed, variant, calls, what });
            }
        }
    }
    None
}

/// Where these calls disagree, if they do.
fn disagrees<M: Machine>(variant: u8, calls: &[M::Call]) -> Option<(usize, String)> {
    let mut both = M::new(variant);
    calls.iter().enumerate().find_map(|(at, call)| step(&mut both, call).err().map(|what| (at + 1, what)))
}

/// Takes out calls, many at first, then one by one, as long as what is left disagrees.
fn shrink<M: Machine>(variant: u8, mut calls: Vec<M::Call>, mut what: String) -> (Vec<M::Call>, String) {
    let mut size = calls.len() / 2;
    while size > 0 {
        let mut at = 0;
        while at < calls.len() {
            let mut fewer = calls.clone();
            fewer.drain(at..(at + size).min(calls.len()));
            match disagrees::<M>(variant, &fewer) {
                Some((end, seen)) => {
                    fewer.truncate(end);
                    (calls, what) = (fewer, seen);
                }
                None => at += size,
            }
        }
        size /= 2;
    }
    (calls, what)
}
