//! The shared conformance suite on IBM Z, also behind each wrapper.

mod backends;

use backends::s390::Z;
use backends::wrapped::{Disturbed, Recorded};
use uv_conformance::run_all;

#[test]
fn ibm_z_keeps_the_rules() {
    run_all::<Z>(31);
}

#[test]
fn ibm_z_behind_wrappers_keeps_the_rules() {
    run_all::<Disturbed<Z>>(32);
    run_all::<Recorded<Z>>(33);
}
