//! Where the libraries' code lies and which tests concern it. The one table to change when code moves.

/// A library whose code is changed.
pub(crate) struct Library {
    /// The cargo package.
    pub(crate) package: &'static str,
    /// Its folder in the workspace.
    pub(crate) folder: &'static str,
    /// Parts of paths below `src/`: without `--files`, only files that have one of them are changed. Empty: all files.
    pub(crate) files: &'static [&'static str],
    /// Other packages whose tests take part.
    pub(crate) testers: &'static [&'static str],
    /// Integration tests that take part, of this package or of the testers.
    pub(crate) tests: &'static [&'static str],
}

/// All libraries.
pub(crate) const LIBRARIES: &[Library] = &[
    Library {
        package: "uv-sim",
        folder: "uv-sim",
        files: &[],
        testers: &["ultravisor"],
        tests: &["conformance_bare", "conformance_power", "conformance_s390"],
    },
    Library { package: "uv-core", folder: "uv-core", files: &[], testers: &[], tests: &[] },
    Library { package: "uv-crypto", folder: "uv-sim/crypto", files: &[], testers: &[], tests: &[] },
    Library {
        package: "uv-power",
        folder: "uv-power",
        files: &["sim/calls/", "hypervisor/"],
        testers: &["ultravisor"],
        tests: &["power_table", "power_vm", "power_run_loop", "power_paging", "conformance_power"],
    },
    Library {
        package: "uv-s390",
        folder: "uv-s390",
        files: &["sim/calls/", "hypervisor/", "guest/uvdevice/"],
        testers: &["ultravisor"],
        tests: &["s390_table", "host_side", "s390_lifecycle", "s390_run_loop", "s390_dump", "conformance_s390"],
    },
];
