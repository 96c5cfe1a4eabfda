//! The shared conformance suite: the rules of `uv-core`, for every backend.
//!
//! A backend implements [`Backend`]: what to build, how its guest is told what to do. Every rule runs on a fresh machine, and is
//! one test of its own:
//!
//! ```
//! # use uv_conformance::{Backend, Candidate, Setup};
//! # fn demo<MyBackend: Backend + 'static>(new: fn(&Setup) -> MyBackend) {
//! let mine = Candidate::new("mine", new);
//! mine.run_all(2026); // or in a test file: uv_conformance::rule_tests!(Candidate::new("mine", MyBackend::new));
//! # }
//! ```
//!
//! A rule names the promise of `uv-core` that it holds the backend to ([`Rule::source`]) and what must have happened for it to mean
//! something ([`Rule::acts`]): a rule that was not exercised fails. A rule about something that the backend does not declare
//! ([`Backend::abilities`]) is not run: the machine must lack it, whatever state its VM is in.
//!
//! A call that is `Busy` is made again, so a backend may refuse anything for a moment. Everything random comes from the seed.

mod backend;
mod bench;
mod candidate;
mod erased;
mod lacks;
mod rule;
mod rules;
mod script;
mod tests_of;

pub use backend::{Ability, Backend, GuestOp, Host, Refusal, Saw, Setup, TEST_PAGES};
pub use candidate::{Candidate, Report};
pub use rule::{Act, Outcome, Rule};
pub use rules::FAMILIES;
pub use script::Script;

/// All rules, in the order they are run.
pub fn rules() -> impl Iterator<Item = Rule> {
    FAMILIES.iter().flat_map(|(_, rules)| rules.iter().copied())
}

/// The rule of a name.
#[must_use]
pub fn rule_named(name: &str) -> Option<Rule> {
    rules().find(|rule| rule.name == name)
}
