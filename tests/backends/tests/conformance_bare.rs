//! The bare engine keeps every rule: with both page sizes, and without sealing.

use uv_conformance_programs::backends::named;

mod with_4_kib_pages {
    uv_conformance::rule_tests!(super::named("engine-4k"));
}

mod with_64_kib_pages {
    uv_conformance::rule_tests!(super::named("engine-64k"));
}

mod without_sealing {
    uv_conformance::rule_tests!(super::named("engine-4k-no-sealing"));
}
