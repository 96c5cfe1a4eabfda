//! The program `power_paging`: more guest memory than secure memory, and no wrong byte.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::{Command, Output};

use serde_json::Value;
use uv_test_support::example;

fn run(arguments: &[&str]) -> Output {
    Command::new(example("power_paging")).args(arguments).output().unwrap()
}

#[test]
fn guests_larger_than_the_pool_find_every_byte() {
    let output = run(&["--memory", "6", "--pool", "6", "--steps", "250", "--seed", "11", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(shown["result"], "right", "{shown}");
    let number = |value: &Value| value.as_u64().unwrap();
    let of = |key: &str| number(&shown[key]);
    assert_eq!(of("secure_pages"), 96);
    assert!(of("vm_pages") * 2 > of("secure_pages") && of("most_in_use") <= of("secure_pages"), "{shown}");
    assert!(["pages_in", "pages_out", "asked_out"].iter().all(|key| of(key) > 0), "{shown}");
    assert_eq!(shown["guests"].as_array().unwrap().len(), 2);
    for guest in shown["guests"].as_array().unwrap() {
        let [written, read, compared, wrong] =
            ["pages_written", "pages_read", "bytes_compared", "bytes_wrong"].map(|key| number(&guest[key]));
        assert_eq!((written + read, wrong), (250, 0));
        // Everything but the pages of the tree and the ultravisor's: the work area, 4 MiB of zeros, what was loaded.
        assert!(compared > (96 + 64 + read) << 16, "{compared} bytes compared");
    }
    let lines = String::from_utf8(output.stderr).unwrap();
    assert!(!lines.is_empty() && lines.lines().all(|line| line.contains("secure pool") && line.contains("pages in")));
}

#[test]
fn options_that_make_no_sense_end_with_status_2() {
    for bad in [["--memory", "0"], ["--pool", "0"], ["--pool", "x"], ["--steps", "-1"], ["--other", "1"]] {
        let output = run(&bad);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{bad:?}");
    }
    let output = run(&["--memory", "2", "--pool", "5", "--steps", "60"]);
    let shown = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{shown}");
    assert!(shown.ends_with("every byte is as the guests wrote it\n"), "{shown}");
}
