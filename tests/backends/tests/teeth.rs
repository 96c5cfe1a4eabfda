//! The suite has teeth: each wrong backend breaks a rule, and each rule is broken by a wrong backend.

use std::collections::BTreeSet;

use uv_conformance::{Ability, Outcome, rule_named, rules};
use uv_conformance_programs::backends::named;
use uv_conformance_programs::wrong::{self, Fault};

#[test]
fn the_toy_without_a_fault_keeps_the_rules() {
    let report = wrong::right().report(1);
    assert_eq!(report.broken(), Vec::<&str>::new());
    assert!(report.lacking().iter().all(|(_, ability)| *ability == Ability::AcceptSharing), "{:?}", report.lacking());
}

#[test]
fn every_wrong_backend_is_caught_and_every_rule_catches_one() {
    assert!(Fault::ALL.len() >= 100);
    let mut idle: BTreeSet<&str> = rules().map(|rule| rule.name).collect();
    for (name, candidate) in wrong::all() {
        let broken = candidate.report(2026).broken();
        assert!(!broken.is_empty(), "{name} is not caught");
        for rule in broken {
            idle.remove(rule);
        }
    }
    assert_eq!(idle, BTreeSet::new());
}

#[test]
fn the_rule_that_goes_with_a_fault_is_the_one_that_names_it() {
    for (fault, rule) in [
        (Fault::OneStream, "key-stream"),
        (Fault::OneStreamACall, "key-stream-range"),
        (Fault::StreamOfThePage, "sealed-anew"),
        (Fault::DoneIsZero, "range-done"),
        (Fault::HaltsOnce, "halted-again"),
        (Fault::TakesOldVersions, "replayed"),
        (Fault::TakesOtherVm, "foreign"),
        (Fault::TakesOtherLife, "stale-after-end"),
        (Fault::KeepsContent, "reused-frame"),
        (Fault::EntersForOthers, "enter-other-vm"),
        (Fault::LosesStores, "guest-beside-paging"),
        (Fault::HidesCodes, "raw-code"),
        (Fault::SharesUnserved, "unserved-share"),
        (Fault::AcceptsUnasked, "accept-unasked"),
    ] {
        let candidate = wrong::all().find(|(name, _)| *name == fault.name()).expect("a backend for each fault").1;
        let outcome = rule_named(rule).expect("a rule").outcome(&candidate, 2026);
        assert!(matches!(outcome, Outcome::Fail(_)), "{fault:?} keeps {rule}");
    }
}

#[test]
fn a_rule_that_was_not_exercised_fails() {
    let candidate = wrong::all().find(|(name, _)| *name == Fault::NoRefusals.name()).expect("the backend").1;
    let outcome = rule_named("refusal-kind").expect("a rule").outcome(&candidate, 1);
    assert_eq!(outcome, Outcome::Fail("the rule was not exercised: never EnterRefused".into()));
}

#[test]
fn what_a_machine_lacks_is_refused_and_said() {
    let (all, less) = (named("engine-4k").report(1), named("engine-4k-no-sealing").report(1));
    assert_eq!(
        all.lacking().iter().map(|(rule, _)| *rule).collect::<Vec<_>>(),
        ["unserved-share", "accept-unasked", "raw-code"]
    );
    assert_eq!((all.broken(), less.broken()), (vec![], vec![]));
    let lacking = |rule| less.lacking().iter().any(|(name, _)| *name == rule);
    assert!(["round-trip", "flipped", "range-done", "withdraw"].into_iter().all(lacking), "{:?}", less.lacking());
    assert!(!["destroy", "share", "unserved-share", "no-plaintext"].into_iter().any(lacking));
}
