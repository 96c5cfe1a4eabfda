//! Switches mutants on one after another and runs the tests that reach them until one fails.

use std::collections::BTreeMap;
use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::compile::Program;
use crate::suite::{self, Choice, Outcome, Test};

/// What became of a mutant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// A test failed: its name, or that of the first of several that ran together.
    Caught(String),
    /// A test did not come to an end.
    TimedOut(String),
    /// All tests that reach it passed.
    Survived,
    /// No test reaches it.
    Unreached,
}

impl Verdict {
    pub(crate) fn is_caught(&self) -> bool {
        matches!(self, Self::Caught(_) | Self::TimedOut(_))
    }
}

/// The tests with what is known about them.
pub(crate) struct Runner<'a> {
    pub(crate) programs: &'a [Program],
    /// For each program.
    pub(crate) choices: &'a [Choice],
    pub(crate) tests: &'a [Test],
    /// How many mutants each test has caught.
    pub(crate) catches: Vec<AtomicU32>,
}

/// How many of the likeliest tests run one by one before the rest runs together.
const ALONE: usize = 3;
/// How long tests that run together may take in all.
const TOGETHER: Duration = Duration::from_secs(3);

/// Judges mutants with `jobs` of them at a time, and starts none after `end`. What was not started has no verdict.
pub(crate) fn judge(runner: &Runner<'_>, ids: &[u32], jobs: usize, end: Instant) -> io::Result<BTreeMap<u32, Verdict>> {
    let next = AtomicUsize::new(0);
    let verdicts = Mutex::new(BTreeMap::new());
    let work = || -> io::Result<()> {
        while let Some(id) = ids.get(next.fetch_add(1, Ordering::Relaxed)) {
            if Instant::now() > end {
                break;
            }
            let verdict = runner.judge(*id)?;
            let mut verdicts = verdicts.lock().map_err(|_| io::Error::other("another job failed"))?;
            verdicts.insert(*id, verdict);
            if verdicts.len() % 100 == 0 {
                eprintln!("{} of {} mutants", verdicts.len(), ids.len());
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..jobs).map(|_| scope.spawn(work)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| io::Error::other("a job failed"))?)
    })?;
    verdicts.into_inner().map_err(|_| io::Error::other("a job failed"))
}

impl Runner<'_> {
    fn judge(&self, id: u32) -> io::Result<Verdict> {
        let mut tests: Vec<usize> = (0..self.tests.len()).filter(|n| self.tests[*n].reaches.contains(&id)).collect();
        if tests.is_empty() {
            return Ok(Verdict::Unreached);
        }
        tests.sort_by_key(|n| self.tests[*n].took / (1 + self.catches[*n].load(Ordering::Relaxed)));
        for group in self.groups(&tests) {
            let chosen: Vec<&Test> = group.iter().map(|n| &self.tests[*n]).collect();
            let Some(first) = chosen.first() else { continue };
            let usual = chosen.iter().map(|test| test.took).sum();
            match suite::run(&self.programs[first.program], &self.choices[first.program], &chosen, id, usual)? {
                Outcome::Passed => {}
                Outcome::Failed => {
                    group.iter().take(1).for_each(|n| _ = self.catches[*n].fetch_add(1, Ordering::Relaxed));
                    return Ok(Verdict::Caught(first.name.clone()));
                }
                Outcome::TimedOut => return Ok(Verdict::TimedOut(first.name.clone())),
            }
        }
        Ok(Verdict::Survived)
    }

    /// Tests in the order given, in runs: the first alone, the rest together.
    fn groups(&self, tests: &[usize]) -> Vec<Vec<usize>> {
        let (alone, rest) = tests.split_at(ALONE.min(tests.len()));
        let mut groups: Vec<Vec<usize>> = alone.iter().map(|n| vec![*n]).collect();
        let mut open: BTreeMap<usize, (usize, Duration)> = BTreeMap::new();
        for n in rest {
            let test = &self.tests[*n];
            match open.get_mut(&test.program) {
                Some((group, took)) if *took + test.took < TOGETHER => {
                    groups[*group].push(*n);
                    *took += test.took;
                }
                _ => {
                    open.insert(test.program, (groups.len(), test.took));
                    groups.push(vec![*n]);
                }
            }
        }
        groups
    }
}
