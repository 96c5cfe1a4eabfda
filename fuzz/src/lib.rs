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

mod feed;
pub mod mutate;
pub mod power;
pub mod s390;

pub use power::{
    esm_blob, esm_cpio, esm_kernel, esm_key, esm_tree, esm_verify, esm_yaml, ultracall_guest, ultracall_host,
};
pub use s390::{
    add_secret_request, attestation_request, certificate, dump_blocks, dump_file, exchange_file, host_key_chain, ipib,
    s390_key, se_header, se_image, secret_list, uvc_guest, uvc_host,
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
    /// How much longer than a parser it takes; a bounded run does so many times fewer rounds.
    pub cost: usize,
}

macro_rules! targets {
    ($($name:ident: $seeds:path, $cost:literal;)*) => {
        /// Every kind of input.
        pub const TARGETS: &[Target] =
            &[$(Target { name: stringify!($name), run: $name, seeds: $seeds, cost: $cost },)*];
    };
}

targets! {
    se_header: s390::seeds::headers, 1;
    ipib: s390::seeds::ipibs, 1;
    se_image: s390::seeds::images, 1;
    dump_file: s390::seeds::dumps, 1;
    dump_blocks: s390::seeds::dump_blocks, 1;
    attestation_request: s390::seeds::attestation_requests, 1;
    exchange_file: s390::seeds::exchange_files, 1;
    add_secret_request: s390::seeds::add_secret_requests, 1;
    secret_list: s390::seeds::secret_lists, 1;
    certificate: s390::seeds::documents, 1;
    host_key_chain: s390::seeds::documents, 1;
    s390_key: s390::seeds::keys, 1;
    uvc_host: feed::decisions, 20;
    uvc_guest: feed::decisions, 20;
    esm_tree: power::seeds::trees, 1;
    esm_blob: power::seeds::blobs, 1;
    esm_verify: power::seeds::blobs, 1;
    esm_cpio: power::seeds::archives, 1;
    esm_kernel: power::seeds::kernels, 1;
    esm_yaml: power::seeds::yaml, 1;
    esm_key: power::seeds::keys, 1;
    ultracall_host: feed::decisions, 20;
    ultracall_guest: feed::decisions, 20;
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
