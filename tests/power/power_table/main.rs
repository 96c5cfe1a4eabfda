//! Every row of the assertion table of POWER PEF (power-pef §19) as a test named after it.
//!
//! `cargo test --test power_table -- --nocapture` ends with the number of rows covered, and fails when a row of a family has no
//! test, when a test has the name of a row that the table does not have, and when two tests have one name.
#![expect(clippy::cast_possible_truncation, reason = "test data is small")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod a_privilege;
mod accesses;
mod b_partition;
mod c_platform;
mod calls_page;
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
mod m_host;
mod m_paging;
mod m_transition;
mod m_vm;
mod machine_check;
mod n_blob;
mod n_verify;
mod pressure;
mod quiet;
mod rig;
mod rtas;
mod threads;
mod watch;
mod x_beyond;
mod x_esm;
mod x_pages;
mod x_sharing;
mod x_slots;
mod x_state;
mod x_tpm;
mod x_tree;

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
    ('x', 0, accesses::ROWS),
    ('x', 0, x_beyond::ROWS),
    ('x', 0, rtas::ROWS),
    ('x', 0, machine_check::ROWS),
    ('x', 0, x_esm::ROWS),
    ('x', 0, x_pages::ROWS),
    ('x', 0, x_sharing::ROWS),
    ('x', 0, x_slots::ROWS),
    ('x', 0, x_state::ROWS),
    ('x', 0, x_tpm::ROWS),
    ('x', 0, x_tree::ROWS),
];

/// Rows of the assertion table.
const ROWS: usize = 225;

/// Whether a name is that of a row: a letter and two digits.
fn is_row(name: &str) -> bool {
    matches!(name.as_bytes(), [b'a'..=b'z', b'0'..=b'9', b'0'..=b'9'])
}

fn main() {
    quiet::hear_all();
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
    let mut surplus: Vec<&str> = rows().map(|(name, _)| name).filter(|name| is_row(name)).collect();
    surplus.retain(|name| !wanted.iter().any(|row| row == name));
    let mut names: Vec<&str> = rows().map(|(name, _)| name).collect();
    names.sort_unstable();
    surplus.extend(names.windows(2).filter(|two| two[0] == two[1]).map(|two| two[0]));
    trials.push(Trial::test("every_test_of_a_row_has_its_row", move || {
        if surplus.is_empty() {
            Ok(())
        } else {
            Err(format!("no row, or two tests, for {}", surplus.join(", ")).into())
        }
    }));
    let all = wanted.len();
    trials.push(Trial::test("the_table_has_its_rows", move || {
        if all == ROWS { Ok(()) } else { Err(format!("{all} rows of {ROWS}").into()) }
    }));
    let untested = uv_power::abi::differences::DIFFERENCES.iter().flat_map(|difference| difference.shown_by);
    let untested: Vec<&str> = untested.copied().filter(|row| !rows().any(|(name, _)| name == *row)).collect();
    trials.push(Trial::test("every_difference_is_shown", move || {
        if untested.is_empty() { Ok(()) } else { Err(format!("no test for {}", untested.join(", ")).into()) }
    }));
    for (name, test) in [
        ("the_page_of_calls_is_made_from_the_rows", calls_page::page_is_made_from_the_rows as fn()),
        ("no_register_outside_its_window_shows_a_guest_value", l_reflection::nothing_leaks),
        ("a_hypervisor_that_means_harm_reaches_nothing", hostile::calls),
        ("harm_from_both_sides_during_and_after_a_transition_reaches_nothing", hostile_transition::transitions),
        ("virtual_cpus_keep_their_bytes_while_pages_come_and_go", threads::run),
        ("a_hypercall_of_user_mode_is_an_interrupt_for_the_guest", m_transition::user_mode),
        ("a_second_start_takes_init_done_back", m_transition::second_start),
        ("a_page_whose_page_out_is_refused_at_abort_stays_secure", m_transition::refused_page_out_at_abort),
        ("every_fault_of_a_secure_guest_is_a_page_in", m_paging::every_fault_is_a_page_in),
        ("a_page_that_comes_out_gets_a_page_of_its_own", m_paging::host_pages),
        ("a_page_out_that_writes_nothing_leaves_zeros", m_paging::page_out_that_writes_nothing),
        ("normal_guests_reach_stretches_of_pages", m_paging::stretches),
        ("areas_of_virtual_cpus_pin_their_page", m_vm::areas_pin_their_page),
        ("what_a_normal_guest_reaches_follows_its_slots", m_vm::slots_are_reachable),
        ("a_pinned_page_does_not_move", m_paging::pinned_pages),
        ("the_tpm_proxy_judges_lengths_and_no_address", m_vm::tpm_addresses),
        ("areas_of_virtual_cpus_are_judged", m_host::areas_are_judged),
        ("the_host_touches_and_unmaps_pages", m_host::accesses_of_the_host),
        ("a_page_is_cleared_to_its_end", m_host::a_page_is_cleared_to_its_end),
        ("a_reset_ends_secure_mode", m_host::reset_ends_secure_mode),
        ("a_vm_of_kvm_keeps_the_promises_of_its_traits", m_host::the_vm_by_its_traits),
        ("errors_of_kvm_have_kinds", m_host::errors_have_kinds),
        ("responses_are_as_long_as_the_tpm_says", m_host::responses_are_as_long_as_the_tpm_says),
        ("the_pool_counts_its_pages", m_host::the_pool_counts_its_pages),
        ("every_vm_has_its_partition_entry", m_vm::every_vm_has_its_entry),
        ("no_event_and_no_debug_tells_a_secret", quiet::quiet),
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
