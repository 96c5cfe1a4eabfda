//! Every machine keeps every rule behind each wrapper too: one of a kind here, all of them in the slow tier.

use uv_conformance_programs::backends::{plain, wrapped};

/// Runs all rules on the machines whose name begins so, behind each wrapper.
fn keep_the_rules(begins: &str, machines: usize, wrappers: usize) {
    let all: Vec<_> = wrapped().into_iter().filter(|candidate| candidate.name().starts_with(begins)).collect();
    assert_eq!(plain().iter().filter(|candidate| candidate.name().starts_with(begins)).count(), machines);
    assert_eq!(all.len(), machines * wrappers);
    for candidate in all {
        candidate.run_all(7);
    }
}

#[test]
fn an_engine_behind_wrappers() {
    keep_the_rules("engine-4k", 2, 4);
}

#[test]
fn the_newest_ibm_z_behind_wrappers() {
    keep_the_rules("s390-z17", 1, 7);
}

#[test]
fn documented_power_behind_wrappers() {
    keep_the_rules("power-documented", 1, 4);
}

#[test]
#[ignore = "takes minutes: .ci/slow"]
fn every_machine_behind_wrappers() {
    keep_the_rules("engine-", 3, 4);
    keep_the_rules("s390-", 3, 7);
    keep_the_rules("power-", 2, 4);
}
