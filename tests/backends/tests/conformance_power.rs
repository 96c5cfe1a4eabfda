//! POWER keeps every rule, with the ultravisor of the documents and with the published one.

use uv_conformance_programs::backends::named;

mod documented {
    uv_conformance::rule_tests!(super::named("power-documented"));
}

mod firmware {
    uv_conformance::rule_tests!(super::named("power-firmware"));
}
