//! The shared conformance suite: the rules of `uv-core`, for every backend.
//!
//! A backend implements [`Backend`] (what to build, how its guest is told what to do) and calls [`run_all`]. Each rule runs on a
//! fresh machine; when one does not hold, the report names it. The same rules run on the bare engine, on IBM Z and on POWER
//! in this repository; a backend of yours joins by a test of five lines:
//!
//! ```no_run
//! # use uv_conformance::{Backend, run_all};
//! # fn demo<MyBackend: Backend>() {
//! // #[test]
//! // fn my_backend_keeps_the_rules()
//! run_all::<MyBackend>(2026);
//! # }
//! ```
//!
//! Rules about an ability that the backend does not declare ([`Backend::ABILITIES`]) are skipped and reported; that its VMs have
//! none of the abilities it does not declare is a rule. One rule alone is run by [`run_rule`].
//!
//! A call that is `Busy` is made again, so a backend may refuse anything for a moment.
//!
//! Everything random comes from the seed.

mod backend;
mod bench;
mod rules;

pub use backend::{Ability, Backend, GuestOp, Host, Saw};
pub use bench::Bench;

/// A rule of `uv-core`: its name, and a check that says what went wrong.
pub struct Rule<B: Backend> {
    /// The name under which a broken rule is reported.
    pub name: &'static str,
    /// What holds, in a sentence.
    pub says: &'static str,
    /// The ability that it is about.
    pub needs: Option<Ability>,
    /// The check, on a fresh machine.
    pub check: fn(&mut Bench<B>) -> Result<(), String>,
}

impl<B: Backend> Rule<B> {
    fn new(name: &'static str, says: &'static str, check: fn(&mut Bench<B>) -> Result<(), String>) -> Self {
        Self { name, says, needs: None, check }
    }

    fn needs(self, ability: Ability) -> Self {
        Self { needs: Some(ability), ..self }
    }

    /// The ability that the backend lacks for this rule.
    #[must_use]
    pub fn lacks(&self) -> Option<Ability> {
        self.needs.filter(|ability| !B::ABILITIES.contains(ability))
    }

    /// Checks the rule on a fresh machine.
    ///
    /// # Errors
    /// What was seen when it does not hold.
    pub fn run(&self, seed: u64) -> Result<(), String> {
        (self.check)(&mut Bench::new(seed)).map_err(|seen| format!("rule {} ({}): {seen}", self.name, self.says))
    }
}

impl<B: Backend> core::fmt::Debug for Rule<B> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}: {}", self.name, self.says)
    }
}

/// All rules, in the order they are run.
#[must_use]
pub fn rules<B: Backend>() -> Vec<Rule<B>> {
    let mut all = rules::lifecycle::rules();
    all.extend(rules::running::rules());
    all.extend(rules::paging::rules());
    all.extend(rules::isolation::rules());
    all.extend(rules::sealing::rules());
    all.extend(rules::sharing::rules());
    all.extend(rules::random::rules());
    all
}

/// What came of all rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Names of the rules that hold.
    pub kept: Vec<&'static str>,
    /// Names of the rules that were skipped, each with the ability that the backend lacks.
    pub skipped: Vec<(&'static str, Ability)>,
    /// The rules that do not hold, each with what was seen.
    pub broken: Vec<String>,
}

/// Runs every rule on a machine of its own.
#[must_use]
pub fn report<B: Backend>(seed: u64) -> Report {
    let mut report = Report::default();
    for rule in rules::<B>() {
        match rule.lacks() {
            Some(ability) => report.skipped.push((rule.name, ability)),
            None => match rule.run(seed) {
                Ok(()) => report.kept.push(rule.name),
                Err(seen) => report.broken.push(seen),
            },
        }
    }
    report
}

/// Runs every rule on a machine of its own, and says which were skipped.
///
/// # Panics
/// When a rule does not hold: the message names every broken rule and what was seen.
pub fn run_all<B: Backend>(seed: u64) {
    let report = report::<B>(seed);
    for (name, ability) in &report.skipped {
        println!("rule {name} is skipped: the machine lacks {ability:?}");
    }
    assert!(report.broken.is_empty(), "{} broken rules:\n{}", report.broken.len(), report.broken.join("\n"));
}

/// Runs one rule by its name; a rule about an ability that the backend lacks is skipped.
///
/// # Panics
/// When the rule does not hold, or there is none of this name.
pub fn run_rule<B: Backend>(name: &str, seed: u64) {
    let rule = rules::<B>().into_iter().find(|rule| rule.name == name);
    let Some(rule) = rule else { panic!("there is no rule {name}") };
    match rule.lacks() {
        Some(ability) => println!("rule {name} is skipped: the machine lacks {ability:?}"),
        None => rule.run(seed).unwrap_or_else(|seen| panic!("{seen}")),
    }
}
