//! POWER keeps the rules of `uv-core`, with the ultravisor of the documents and with the published one.

mod power;

use power::Power;
use uv_conformance::run_all;

#[test]
fn the_documented_ultravisor_keeps_the_rules() {
    run_all::<Power<false>>(2026);
}

#[test]
fn the_firmware_keeps_the_rules() {
    run_all::<Power<true>>(2026);
}
