//! A backend under test, and what came of the rules.

use crate::bench::Bench;
use crate::erased::{Erased, Machine};
use crate::{Ability, Backend, Outcome, Setup, rule_named, rules};

type Make = Box<dyn Fn(&Setup) -> Box<dyn Machine> + Send + Sync>;

/// A backend under a name, built anew for each rule.
pub struct Candidate {
    name: String,
    make: Make,
}

impl core::fmt::Debug for Candidate {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Candidate({})", self.name)
    }
}

/// What came of all rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Each rule with its outcome, in the order of [`rules`].
    pub outcomes: Vec<(&'static str, Outcome)>,
}

impl Report {
    /// Names of the rules with an outcome of this kind.
    fn names(&self, wanted: impl Fn(&Outcome) -> bool) -> Vec<&'static str> {
        self.outcomes.iter().filter(|(_, outcome)| wanted(outcome)).map(|(name, _)| *name).collect()
    }

    /// Names of the rules that hold.
    #[must_use]
    pub fn kept(&self) -> Vec<&'static str> {
        self.names(|outcome| *outcome == Outcome::Pass)
    }

    /// Names of the rules that do not hold.
    #[must_use]
    pub fn broken(&self) -> Vec<&'static str> {
        self.names(|outcome| matches!(outcome, Outcome::Fail(_)))
    }

    /// The rules about what the machine lacks, each with what it lacks.
    #[must_use]
    pub fn lacking(&self) -> Vec<(&'static str, Ability)> {
        let lacking = self.outcomes.iter().filter_map(|(name, outcome)| match outcome {
            Outcome::RefusedAsRequired(ability) => Some((*name, *ability)),
            _ => None,
        });
        lacking.collect()
    }
}

impl Candidate {
    /// A backend; `make` builds a machine with two normal VMs.
    pub fn new<B: Backend + 'static>(
        name: impl Into<String>,
        make: impl Fn(&Setup) -> B + Send + Sync + 'static,
    ) -> Self {
        Self { name: name.into(), make: Box::new(move |setup| Box::new(Erased::new(make(setup)))) }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn bench(&self, seed: u64, tight: bool) -> Bench {
        Bench::new((self.make)(&Setup { seed, tight }), seed)
    }

    /// Checks every rule, each on a machine of its own.
    #[must_use]
    pub fn report(&self, seed: u64) -> Report {
        Report { outcomes: rules().map(|rule| (rule.name, rule.outcome(self, seed))).collect() }
    }

    /// Checks every rule, each on a machine of its own, and prints those that were not run because the machine lacks what they
    /// are about.
    ///
    /// # Panics
    /// When a rule does not hold: the message names every broken rule and what was seen.
    pub fn run_all(&self, seed: u64) {
        let report = self.report(seed);
        for (name, ability) in report.lacking() {
            println!("{}: {name} is refused as required: the machine lacks {ability:?}", self.name);
        }
        let broken = report.outcomes.iter().filter(|(_, outcome)| matches!(outcome, Outcome::Fail(_)));
        let broken: Vec<String> = broken.map(|(name, outcome)| format!("{name}: {}", outcome.detail())).collect();
        assert!(broken.is_empty(), "{}: {} broken rules:\n{}", self.name, broken.len(), broken.join("\n"));
    }

    /// Checks one rule by its name.
    ///
    /// # Panics
    /// When the rule does not hold, or there is none of this name.
    pub fn run_rule(&self, name: &str, seed: u64) {
        let Some(rule) = rule_named(name) else { panic!("there is no rule {name}") };
        match rule.outcome(self, seed) {
            Outcome::Fail(seen) => panic!("{}: rule {name} ({}): {seen}", self.name, rule.sentence),
            Outcome::RefusedAsRequired(ability) => println!("{}: the machine lacks {ability:?}", self.name),
            Outcome::Pass => {}
        }
    }
}
