//! IBM Z keeps every rule, in each generation.

use uv_conformance_programs::backends::named;

mod z15 {
    uv_conformance::rule_tests!(super::named("s390-z15"));
}

mod z16 {
    uv_conformance::rule_tests!(super::named("s390-z16"));
}

mod z17 {
    uv_conformance::rule_tests!(super::named("s390-z17"));
}
