//! Every row of the assertion table of POWER PEF (power-pef §19) as a test named after it.
//!
//! `cargo test --test power_table -- --nocapture` ends with the number of rows covered, and fails when a row of a family
//! has no test.
#![expect(clippy::cast_possible_truncation, reason = "test data is small")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod a_privilege;
mod b_partition;
mod c_platform;
mod d_slots;
mod e_page_in;
mod f_page_out;
mod g_page_inval;
mod h_terminate;
mod hostile;
mod hostile_transition;
mod i_esm;
mod j_share;
mod k_files;
mod kvm_rig;
mod l_reflection;
mod m_paging;
mod m_transition;
mod m_vm;
mod machine_check;
mod n_blob;
mod n_verify;
mod pressure;
mod rig;
mod rtas;
mod x_beyond;
mod x_esm;

use libtest_mimic::{Arguments, Trial};

/// A row's name and its test.
type Row = (&'static str, fn());

/// Families of rows and how many each has.
const FAMILIES: &[(char, usize, &[Row])] = &[
    ('a', 15, a_privilege::ROWS),
    ('b', 6, b_partition::ROWS),
    ('c', 16, c_platform::ROWS),
    ('d', 13, d_slots::ROWS),
    ('e', 23, e_page_in::ROWS),
    ('f', 13, f_page_out::ROWS),
    ('g', 13, g_page_inval::ROWS),
    ('h', 3, h_terminate::ROWS),
    ('i', 19, i_esm::ROWS),
    ('j', 16, j_share::ROWS),
    ('k', 9, k_files::ROWS),
    ('l', 21, l_reflection::ROWS),
    ('m', 36, m_transition::ROWS),
    ('m', 0, m_paging::ROWS),
    ('m', 0, m_vm::ROWS),
    ('n', 22, n_blob::ROWS),
    ('n', 0, n_verify::ROWS),
    ('x', 0, x_beyond::ROWS),
    ('x', 0, rtas::ROWS),
    ('x', 0, machine_check::ROWS),
    ('x', 0, x_esm::ROWS),
];

fn main() {
    let arguments = Arguments::from_args();
    let wanted: Vec<String> =
        FAMILIES.iter().flat_map(|(family, count, _)| (1..=*count).map(move |n| format!("{family}{n:02}"))).collect();
    let rows = || FAMILIES.iter().flat_map(|(_, _, rows)| rows.iter().copied());
    let mut trials: Vec<Trial> = rows()
        .map(|(name, row)| {
            Trial::test(name, move || {
                row();
                Ok(())
            })
        })
        .collect();
    let missing: Vec<String> =
        wanted.iter().filter(|row| !rows().any(|(name, _)| name == row.as_str())).cloned().collect();
    trials.push(Trial::test("every_row_has_a_test", move || {
        if missing.is_empty() { Ok(()) } else { Err(format!("no test for {}", missing.join(", ")).into()) }
    }));
    let untested = uv_power::abi::differences::DIFFERENCES.iter().flat_map(|difference| difference.shown_by);
    let untested: Vec<&str> = untested.copied().filter(|row| !rows().any(|(name, _)| name == *row)).collect();
    trials.push(Trial::test("every_difference_is_shown", move || {
        if untested.is_empty() { Ok(()) } else { Err(format!("no test for {}", untested.join(", ")).into()) }
    }));
    for (name, test) in [
        ("no_register_outside_its_window_shows_a_guest_value", l_reflection::nothing_leaks as fn()),
        ("a_hypervisor_that_means_harm_reaches_nothing", hostile::calls),
        ("harm_from_both_sides_during_and_after_a_transition_reaches_nothing", hostile_transition::transitions),
        ("a_guest_bigger_than_secure_memory_sees_its_bytes", pressure::bigger_than_secure_memory),
        ("a_hypervisor_that_refuses_page_outs_gets_a_guest_that_waits", pressure::refused),
    ] {
        trials.push(Trial::test(name, move || {
            test();
            Ok(())
        }));
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    let covered = rows().filter(|(name, _)| wanted.iter().any(|row| row == name)).count();
    if !arguments.list {
        println!("{covered} rows covered");
    }
    conclusion.exit();
}
