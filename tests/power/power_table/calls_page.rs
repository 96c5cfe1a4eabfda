//! `docs/power-calls.md` is made from the tables of calls.

use uv_power::abi::Profile;
use uv_power::abi::calls::{Caller, HYPERCALLS, ULTRACALLS};

const PAGE: &str = include_str!("../../../docs/power-calls.md");

fn caller(caller: Caller) -> &'static str {
    match caller {
        Caller::Hypervisor => "hypervisor",
        Caller::Supervisor => "kernel of a VM",
        Caller::SecureSupervisor => "kernel of a secure VM",
        Caller::SecureVm => "kernel or user code of a secure VM",
        _ => "not named on this page",
    }
}

/// The page as it has to be.
fn page() -> String {
    let mut page = String::from(
        "# The calls of POWER PEF\n\nOne row a call, as `uv_power::abi::calls` has them; a test of the assertion table compares this page with the rows.\n\n\
         ## Ultracalls\n\n| number | call | who may make it | profiles | served by (`sim::calls`) |\n|---|---|---|---|---|\n",
    );
    for row in ULTRACALLS {
        let profiles: Vec<&str> = row.profiles.iter().copied().map(Profile::name).collect();
        let columns = [caller(row.caller), &profiles.join(", "), &format!("`{}`", row.handler)].join(" | ");
        page += &format!("| {:#x} | `{}` | {columns} |\n", row.call.0, row.call);
    }
    page += "\n## Hypercalls of a secure VM\n\nRegisters are counted from R3: how many the hypervisor gets, how many come back.\n\n\
             | number | call | served by (`sim::reflect::hypercalls`) | out | back |\n|---|---|---|---|---|\n";
    for row in HYPERCALLS {
        let window = row.window.map_or("- | -".to_owned(), |window| format!("{} | {}", window.inputs, window.outputs));
        page += &format!("| {:#x} | `{}` | `{}` | {window} |\n", row.call.0, row.call, row.handler);
    }
    page
}

pub(crate) fn page_is_made_from_the_rows() {
    let page = page();
    if let Some((line, (is, should))) =
        PAGE.lines().zip(page.lines()).enumerate().find(|(_, (is, should))| is != should)
    {
        panic!("line {}: {is:?} should be {should:?}", line + 1);
    }
    assert!(PAGE == page, "the page should be:\n{page}");
}
