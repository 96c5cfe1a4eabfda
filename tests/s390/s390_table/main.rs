//! Every row of the assertion table of the Z Ultravisor (s390-ultravisor §11) as a test named after it.
//!
//! A row that holds for a list of commands, registers or bits has one test for each item, named `row::item`.
//! `cargo test --test s390_table -- --nocapture` ends with the number of rows covered, and fails when a row has no test,
//! when an item of its list has none, or when a test belongs to no row. Rows of other sections (`s105` is §1.5) are
//! counted apart.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod attest;
mod codes_common;
mod codes_conf;
mod codes_image;
mod codes_pages;
mod diag308;
mod diags;
mod entry;
mod hostile;
mod icptcode;
mod interception;
mod ipl;
mod large;
mod privilege;
mod query;
mod registry;
mod rig;
mod table;
mod uv_guest;
mod uv_host;
mod uv_host_calls;

use libtest_mimic::{Arguments, Trial};

use registry::Tests;
use table::{Row, TABLE};

fn main() {
    let arguments = Arguments::from_args();
    let mut tests = Tests::default();
    for register in [
        uv_host::register,
        uv_host_calls::register,
        uv_guest::register,
        diags::register,
        ipl::register,
        icptcode::register,
        attest::register,
        large::register,
        diag308::register,
        query::register,
        codes_common::register,
        interception::register,
        entry::register,
        privilege::register,
        codes_conf::register,
        codes_image::register,
        codes_pages::register,
    ] {
        register(&mut tests);
    }
    let faults = tests.compare(TABLE);
    let covered = |wanted: fn(&Row) -> bool| tests.count(|name| TABLE.iter().any(|row| wanted(row) && row.owns(name)));
    let (rows, others) = (covered(|row| row.asserted), covered(|row| !row.asserted));
    let mut trials = tests.into_trials();
    trials.push(Trial::test("every_row_has_a_test", move || {
        if faults.is_empty() { Ok(()) } else { Err(faults.join("; ").into()) }
    }));
    for (name, generation) in hostile::MACHINES {
        trials.push(Trial::test(format!("whatever_is_called_the_rules_hold::{name}"), move || {
            hostile::random_calls(*generation);
            Ok(())
        }));
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    if !arguments.list {
        println!("{others} rows of other sections covered");
        println!("{rows} rows covered");
    }
    conclusion.exit();
}
