//! The programs `conformance` and `write_a_backend` as a user runs them.

use std::collections::BTreeSet;
use std::process::{Command, Output};

use serde_json::Value;
use uv_conformance::rules;
use uv_conformance_programs::wrong::Fault;
use uv_test_support::example;

fn run(program: &str, args: &[&str]) -> Output {
    Command::new(example(program)).args(args).output().expect("the program runs")
}

fn json(args: &[&str]) -> Value {
    let output = run("conformance", args);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("one JSON object")
}

fn texts<'a>(list: &'a Value, key: &str) -> Vec<&'a str> {
    let text = |one: &'a Value| if key.is_empty() { one.as_str() } else { one[key].as_str() };
    list.as_array().expect("a list").iter().map(|one| text(one).expect("a text")).collect()
}

#[test]
fn the_smallest_backend_keeps_the_rules_and_is_small() {
    let output = run("write_a_backend", &[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let source =
        std::fs::read_to_string(uv_test_support::file("examples/conformance/write_a_backend.rs")).expect("text");
    assert!(source.lines().count() <= 250, "{} lines", source.lines().count());
}

#[test]
fn a_chosen_backend_and_rule_as_json() {
    let all = json(&["--json", "--backend", "engine-4k", "--backend", "power-firmware", "--rule", "destroy"]);
    assert_eq!(texts(&all["backends"], ""), ["engine-4k", "power-firmware"]);
    assert_eq!(texts(&all["rules"], "name"), ["destroy"]);
    let source = texts(&all["rules"], "source")[0];
    assert!(source.starts_with("uv_core::DestroyPages::destroy_range: Every page"), "{source}");
    assert_eq!(texts(&all["rules"], "sentence").len(), 1);
    assert_eq!(texts(&all["results"], "outcome"), ["pass", "refused-as-required"]);
    assert_eq!(texts(&all["results"], "detail"), ["", "the machine lacks DestroyPages"]);
    assert_eq!(texts(&all["results"], "backend"), ["engine-4k", "power-firmware"]);
    assert_eq!(all["teeth"], Value::Array(Vec::new()));
}

#[test]
fn one_rule_on_everything_as_json() {
    let all = json(&["--json", "--rule", "key-stream"]);
    let backends: BTreeSet<_> = texts(&all["backends"], "").into_iter().collect();
    assert!(
        ["engine-4k", "engine-64k", "s390-z15", "s390-z17", "power-documented"].iter().all(|b| backends.contains(b))
    );
    assert_eq!(texts(&all["teeth"], "backend").len(), Fault::ALL.len());
    let caught = all["teeth"].as_array().expect("a list").iter().find(|one| one["backend"] == "OneStream");
    assert_eq!(texts(&caught.expect("the backend")["caught_by"], ""), ["key-stream"]);
}

#[test]
fn the_table_has_a_line_for_each_rule() {
    let output = run("conformance", &["--backend", "toy"]);
    assert!(output.status.success());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    for rule in rules() {
        assert!(text.contains(&format!("{:24} ", rule.name)) && text.contains(rule.sentence), "{}", rule.name);
    }
}

#[test]
fn unknown_names_are_unusable() {
    for args in [["--backend", "engine-5k"], ["--rule", "no-such-rule"]] {
        let output = run("conformance", &args);
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains("there is no"));
    }
}
