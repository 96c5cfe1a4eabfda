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
//! // fn my_backend_keeps_the_rules() {
//! run_all::<MyBackend>(2026);
//! // }
//! # }
//! ```
//!
//! Everything random comes from the seed given to [`run_all`].

mod backend;
mod bench;
mod rules;

pub use backend::{Backend, GuestOp, Host, Saw};
pub use bench::Bench;

/// A rule of `uv-core`: its name, and a check that says what went wrong.
pub struct Rule<B: Backend> {
    /// The name under which a broken rule is reported.
    pub name: &'static str,
    /// What holds, in a sentence.
    pub says: &'static str,
    /// The check, on a fresh machine.
    pub check: fn(&mut Bench<B>) -> Result<(), String>,
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
    all.extend(rules::paging::rules());
    all.extend(rules::isolation::rules());
    all.extend(rules::sharing::rules());
    all.extend(rules::random::rules());
    all
}

/// Runs every rule on a machine of its own.
///
/// # Panics
/// When a rule does not hold: the message names every broken rule and what was seen.
pub fn run_all<B: Backend>(seed: u64) {
    let broken = broken_rules::<B>(seed);
    assert!(broken.is_empty(), "{} broken rules:\n{}", broken.len(), broken.join("\n"));
}

/// The rules that do not hold, each with what was seen. For tests of the suite itself and for reports.
#[must_use]
pub fn broken_rules<B: Backend>(seed: u64) -> Vec<String> {
    let check = |rule: &Rule<B>| (rule.check)(&mut Bench::new(seed)).err().map(|seen| (rule.name, rule.says, seen));
    let broken = rules::<B>().iter().filter_map(check).collect::<Vec<_>>();
    broken.into_iter().map(|(name, says, seen)| format!("rule {name} ({says}): {seen}")).collect()
}
