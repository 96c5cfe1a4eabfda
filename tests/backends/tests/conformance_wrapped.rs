//! Every machine keeps every rule behind each wrapper too.

use uv_conformance_programs::backends::{plain, wrapped};

/// Runs all rules on the machines whose name begins so, behind each wrapper.
fn keep_the_rules(begins: &str, wrappers: usize) {
    let all: Vec<_> = wrapped().into_iter().filter(|candidate| candidate.name().starts_with(begins)).collect();
    let machines = plain().iter().filter(|candidate| candidate.name().starts_with(begins)).count();
    assert_eq!(all.len(), machines * wrappers);
    for candidate in all {
        candidate.run_all(7);
    }
}

#[test]
fn engines_behind_wrappers() {
    keep_the_rules("engine-", 4);
}

#[test]
fn ibm_z_behind_wrappers() {
    keep_the_rules("s390-", 7);
}

#[test]
fn power_behind_wrappers() {
    keep_the_rules("power-", 4);
}
