//! A run: build, record, judge.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use crate::compile::Program;
use crate::judge::{Runner, Verdict, judge};
use crate::layout::Library;
use crate::prepare::Prepared;
use crate::report;
use crate::site::Mutant;
use crate::suite::{self, Choice, Test};

/// What is to be done.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Mutants at a time.
    pub(crate) jobs: usize,
    /// Only mutants that this report names.
    pub(crate) only: Option<String>,
    /// How many mutants; `None`: all.
    pub(crate) sample: Option<usize>,
    /// What their order is drawn from.
    pub(crate) seed: u64,
    /// Without integration tests and the tests of other packages.
    pub(crate) units_only: bool,
    /// Tests that take longer are left out.
    pub(crate) slowest: Duration,
    /// No mutant is started after this.
    pub(crate) end: Instant,
}

impl Plan {
    /// Mutants that compile, and what became of those that had their turn.
    pub(crate) fn carry_out(
        &self,
        mut prepared: Prepared,
        library: &Library,
        target: &Path,
    ) -> io::Result<(Vec<Mutant>, BTreeMap<u32, Verdict>)> {
        let start = Instant::now();
        let own = target.join("mutants").join(library.package);
        let (testers, integration) =
            if self.units_only { (&[][..], &[][..]) } else { (library.testers, library.tests) };
        let packages: Vec<&str> = [library.package].iter().chain(testers).copied().collect();
        let programs = prepared.build(&packages, integration, &own, target)?;
        eprintln!("built after {} s", start.elapsed().as_secs());
        let tests = self.record(&programs, &own.join("reached"), prepared.stamp())?;
        eprintln!("recorded after {} s", start.elapsed().as_secs());
        let choices = programs.iter().map(Choice::of).collect::<io::Result<Vec<_>>>()?;
        let catches = tests.iter().map(|_| AtomicU32::new(0)).collect();
        let runner = Runner { programs: &programs, choices: &choices, tests: &tests, catches };
        let verdicts = judge(&runner, &self.drawn(&prepared.mutants), self.jobs, self.end)?;
        Ok((prepared.mutants, verdicts))
    }

    /// The tests that pass by themselves and reach a mutant.
    fn record(&self, programs: &[Program], file: &Path, stamp: u32) -> io::Result<Vec<Test>> {
        let mut tests = Vec::new();
        for (index, program) in programs.iter().enumerate() {
            for name in suite::names(program)? {
                tests.push(suite::record(program, index, &name, file, stamp)?);
            }
        }
        for test in &tests {
            let program = &programs[test.program].name;
            if !test.passed {
                eprintln!("left out, for it fails without a mutant: {} of {program}", test.name);
            } else if test.took > self.slowest {
                eprintln!("left out, for it takes {} s: {} of {program}", test.took.as_secs(), test.name);
            }
        }
        tests.retain(|test| test.passed && test.took <= self.slowest && !test.reaches.is_empty());
        let all: Duration = tests.iter().map(|test| test.took).sum();
        eprintln!("{} tests, {} s in all", tests.len(), all.as_secs());
        Ok(tests)
    }

    /// The mutants in an order drawn by the seed, so that a run that is cut short has seen a fair part.
    fn drawn(&self, mutants: &[Mutant]) -> Vec<u32> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let named = self.only.as_deref().map(report::survivors);
        let chosen =
            |mutant: &&Mutant| named.as_ref().is_none_or(|named| named.contains(&(mutant.file.clone(), mutant.key())));
        let mut order: Vec<(u64, u32)> =
            mutants.iter().filter(chosen).map(|mutant| (rng.next_u64(), mutant.id)).collect();
        order.sort_unstable();
        order.into_iter().map(|(_, id)| id).take(self.sample.unwrap_or(usize::MAX)).collect()
    }
}
