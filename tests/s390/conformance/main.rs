//! The shared conformance suite on IBM Z.

mod s390;

use uv_conformance::run_all;

#[test]
fn ibm_z_keeps_the_rules() {
    run_all::<s390::Z>(31);
}
