//! What must hold for any bytes from outside: one function per kind of input.
//!
//! Each function takes arbitrary bytes. It must return: no panic, no endless loop, no memory by a length that nobody checked;
//! and what it asserts must be true. [`TARGETS`] names them all, with valid files to start from.
//!
//! - `cargo test --test fuzz_smoke` runs every target on a fixed set of mutations (see [`mutate`]); it is part of CI.
//! - `cargo fuzz run NAME` runs one under libFuzzer until it fails; `cargo run -p uv-fuzz --example seeds -- fuzz/corpus` writes the
//!   files to start from. libFuzzer needs flags of the compiler that are not stable, so set `RUSTC_BOOTSTRAP=1` for that
//!   command.
//! - `cargo run -p uv-fuzz --bin NAME FILE...` runs a target on files, for example on an input that failed.

pub mod mutate;
pub mod power;
pub mod s390;

pub use power::{esm_blob, esm_cpio, esm_kernel, esm_key, esm_tree, esm_verify, esm_yaml};
pub use s390::{
    add_secret_request, attestation_request, certificate, dump_blocks, dump_file, exchange_file, host_key_chain, ipib,
    s390_key, se_header, se_image, secret_list,
};

/// A kind of input.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Name of the function and of the libFuzzer program.
    pub name: &'static str,
    /// The function.
    pub run: fn(&[u8]),
    /// Valid inputs.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

macro_rules! targets {
    ($($name:ident: $seeds:path,)*) => {
        /// Every kind of input.
        pub const TARGETS: &[Target] = &[$(Target { name: stringify!($name), run: $name, seeds: $seeds },)*];
    };
}

targets! {
    se_header: s390::seeds::headers,
    ipib: s390::seeds::ipibs,
    se_image: s390::seeds::images,
    dump_file: s390::seeds::dumps,
    dump_blocks: s390::seeds::dump_blocks,
    attestation_request: s390::seeds::attestation_requests,
    exchange_file: s390::seeds::exchange_files,
    add_secret_request: s390::seeds::add_secret_requests,
    secret_list: s390::seeds::secret_lists,
    certificate: s390::seeds::documents,
    host_key_chain: s390::seeds::documents,
    s390_key: s390::seeds::keys,
    esm_tree: power::seeds::trees,
    esm_blob: power::seeds::blobs,
    esm_verify: power::seeds::blobs,
    esm_cpio: power::seeds::archives,
    esm_kernel: power::seeds::kernels,
    esm_yaml: power::seeds::yaml,
    esm_key: power::seeds::keys,
}

/// Runs a target on the files that a program was given.
///
/// # Panics
/// If a file cannot be read, or if the target fails.
pub fn replay(run: fn(&[u8])) {
    for path in std::env::args_os().skip(1) {
        let data = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        run(&data);
    }
}

/// The body of a libFuzzer program; without libFuzzer, a program that runs the target on files.
#[macro_export]
macro_rules! fuzz {
    ($target:ident) => {
        #[cfg(fuzzing)]
        libfuzzer_sys::fuzz_target!(|data: &[u8]| $crate::$target(data));

        #[cfg(not(fuzzing))]
        fn main() {
            $crate::replay($crate::$target);
        }
    };
}
