//! The program `s390_lifecycle`: its table is right.

use std::process::Command;

use uv_test_support::example;

/// State of the VM, and pages secure, sealed, shared, withdrawn.
fn rows(arguments: &[&str]) -> Vec<(String, [u64; 4])> {
    let output = Command::new(example("s390_lifecycle")).args(arguments).output().expect("the program starts");
    let text = String::from_utf8(output.stdout).expect("text");
    assert_eq!(output.status.code(), Some(0), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.trim_end().ends_with("zeros where it had not written"));
    let parse = |line: &str| {
        let words: Vec<_> = line.split_whitespace().rev().take(6).collect();
        let number = |at: usize| words.get(at).and_then(|word| word.parse().ok());
        Some((words.get(5)?.to_string(), [number(4)?, number(3)?, number(2)?, number(1)?]))
    };
    text.lines().filter_map(parse).collect()
}

#[test]
fn pages_are_where_each_step_leaves_them() {
    let rows = rows(&["--pages", "100"]);
    let states: Vec<_> = rows.iter().map(|(state, _)| state.as_str()).collect();
    let (p, o) = ("protected", "ordinary");
    assert_eq!(states, [p, p, p, p, p, p, o, p, o, o, p, o]);
    let pages = |row: usize| rows[row].1;
    let image = pages(0)[0];
    assert_eq!(pages(0), [image, 0, 0, 0]);
    // Image, 100 pages, both prefix pages.
    assert_eq!(pages(1), [image + 102, 0, 0, 0]);
    let [secure, sealed, ..] = pages(2);
    assert_eq!(secure + sealed, image + 102);
    assert!(sealed.abs_diff(secure) <= 4, "half is out");
    let [secure, sealed, ..] = pages(3);
    assert!(secure + sealed == image + 102 && sealed < image, "all that was read is in again");
    assert_eq!(pages(4), [secure - 1, sealed, 1, 0]);
    assert_eq!(pages(5), [secure, sealed, 0, 0], "a reset takes shared pages back");
    for ordinary in [6, 8, 9, 11] {
        assert_eq!(pages(ordinary), [0; 4]);
    }
    assert_eq!(pages(7), pages(10));
}

#[test]
fn only_2_to_200_pages_fit() {
    for (pages, status) in [("1", 2), ("2", 0), ("201", 2), ("-1", 2), ("many", 2)] {
        let output = Command::new(example("s390_lifecycle")).args(["--pages", pages]).output().unwrap();
        assert_eq!(output.status.code(), Some(status), "{pages}");
    }
    let output = Command::new(example("s390_lifecycle")).args(["--pages", "201"]).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("2..=200"));
}
