//! The shared conformance suite on IBM Z, also behind each wrapper.

mod s390;
#[path = "../../backends/todo.rs"]
mod todo;
#[path = "../../backends/wrapped.rs"]
mod wrapped;

use s390::Z;
use uv_conformance::run_all;
use wrapped::{Disturbed, Recorded};

#[test]
fn ibm_z_keeps_the_rules() {
    run_all::<Z>(31);
}

#[test]
fn ibm_z_behind_wrappers_keeps_the_rules() {
    run_all::<Disturbed<Z>>(32);
    run_all::<Recorded<Z>>(33);
}
