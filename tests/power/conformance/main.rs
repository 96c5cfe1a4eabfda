//! POWER keeps the rules of `uv-core`, with the ultravisor of the documents and with the published one, and behind each wrapper.

mod power;
#[path = "../../backends/todo.rs"]
mod todo;
#[path = "../../backends/wrapped.rs"]
mod wrapped;

use power::Power;
use uv_conformance::run_all;
use wrapped::{Disturbed, Recorded};

#[test]
fn the_documented_ultravisor_keeps_the_rules() {
    run_all::<Power<false>>(2026);
}

#[test]
fn the_firmware_keeps_the_rules() {
    run_all::<Power<true>>(2026);
}

#[test]
fn power_behind_wrappers_keeps_the_rules() {
    run_all::<Disturbed<Power<false>>>(2027);
    run_all::<Recorded<Power<true>>>(2028);
}
