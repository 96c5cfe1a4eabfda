//! What a rule is, and how one is checked.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::Ability;
use crate::bench::Bench;
use crate::candidate::Candidate;
use crate::lacks;

/// Something that happened on the machine while a rule was checked, as the suite saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Act {
    /// A VM became secure.
    Entered,
    /// A VM was refused to become secure.
    EnterRefused,
    /// A secure VM was ended.
    Ended,
    /// A guest wrote.
    Stored,
    /// A guest read.
    Loaded,
    /// A guest shared a page.
    Shared,
    /// A guest took a page back.
    Unshared,
    /// A page that was not in secure memory came in, or a withdrawn one came back.
    PagedIn,
    /// A secure page was sealed.
    PagedOut,
    /// A shared page was withdrawn.
    Withdrawn,
    /// A page was given up.
    Destroyed,
    /// A guest faulted on a page.
    Faulted,
    /// A virtual CPU halted.
    Halted,
    /// A call was refused as it must be.
    Refused,
    /// The hypervisor read normal memory.
    HostRead,
    /// The hypervisor wrote normal memory.
    HostWrote,
    /// Threads worked side by side, and each finished what it had to do.
    Threads,
}

/// What came of a rule on a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The rule holds, and everything it is about happened.
    Pass,
    /// The rule is about this ability, which the machine does not declare; the machine does refuse it.
    RefusedAsRequired(Ability),
    /// What was seen instead.
    Fail(String),
}

impl Outcome {
    /// The word for it in reports.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::RefusedAsRequired(_) => "refused-as-required",
            Self::Fail(_) => "fail",
        }
    }

    /// The ability that is lacking, or what was seen; empty for a rule that holds.
    #[must_use]
    pub fn detail(&self) -> String {
        match self {
            Self::Pass => String::new(),
            Self::RefusedAsRequired(ability) => format!("the machine lacks {ability:?}"),
            Self::Fail(seen) => seen.clone(),
        }
    }
}

/// A rule of `uv-core`.
#[derive(Clone, Copy)]
pub struct Rule {
    /// The name under which it is reported and run alone.
    pub name: &'static str,
    /// What holds.
    pub sentence: &'static str,
    /// The item of `uv-core` that promises it.
    pub item: &'static str,
    /// The words of that promise, as they stand in the documentation of the item.
    pub promise: &'static str,
    /// What a machine must have for it.
    pub needs: &'static [Ability],
    /// What must have happened, or the rule was not exercised.
    pub acts: &'static [Act],
    /// Whether it wants a machine with little secure memory.
    pub tight: bool,
    pub(crate) check: fn(&Bench) -> Result<(), String>,
}

impl core::fmt::Debug for Rule {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}: {}", self.name, self.sentence)
    }
}

/// A rule, to be completed by `needs` and `acts`.
pub(crate) const fn rule(
    [name, sentence, item, promise]: [&'static str; 4],
    acts: &'static [Act],
    check: fn(&Bench) -> Result<(), String>,
) -> Rule {
    Rule { name, sentence, item, promise, needs: &[], acts, tight: false, check }
}

impl Rule {
    pub(crate) const fn needs(self, needs: &'static [Ability]) -> Self {
        Self { needs, ..self }
    }

    pub(crate) const fn tight(self) -> Self {
        Self { tight: true, ..self }
    }

    /// The item of `uv-core` and what it promises.
    #[must_use]
    pub fn source(&self) -> String {
        format!("uv_core::{}: {}", self.item, self.promise)
    }

    /// Checks the rule on a fresh machine.
    #[must_use]
    pub fn outcome(&self, candidate: &Candidate, seed: u64) -> Outcome {
        let checked = catch_unwind(AssertUnwindSafe(|| self.check(candidate, seed)));
        checked.unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a word");
            Outcome::Fail(format!("the backend panicked: {text}"))
        })
    }

    fn check(&self, candidate: &Candidate, seed: u64) -> Outcome {
        let bench = candidate.bench(seed, self.tight);
        if let Some(lacking) = self.needs.iter().find(|ability| !bench.has(**ability)) {
            return match lacks::check(&bench, *lacking) {
                Ok(()) => Outcome::RefusedAsRequired(*lacking),
                Err(seen) => Outcome::Fail(seen),
            };
        }
        if let Err(seen) = (self.check)(&bench) {
            return Outcome::Fail(seen);
        }
        match self.acts.iter().find(|act| !bench.did(**act)) {
            Some(act) => Outcome::Fail(format!("the rule was not exercised: never {act:?}")),
            None => Outcome::Pass,
        }
    }
}
