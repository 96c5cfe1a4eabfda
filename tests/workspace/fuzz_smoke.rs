//! A bounded run of every fuzz target: valid files, a fixed set of mutations of them, and noise.

use std::panic::{self, AssertUnwindSafe};
use std::time::{Duration, Instant};

use uv_fuzz::mutate::Mutator;
use uv_fuzz::{TARGETS, Target};

/// Mutations per target, fewer for targets that cost more. A longer run: `FUZZ_ROUNDS=100000 cargo test --release --test fuzz_smoke`.
const ROUNDS: usize = 300;
/// No input is large, so none may take this long, even in a debug build on a busy machine.
const LONGEST: Duration = Duration::from_secs(10);

fn rounds() -> usize {
    std::env::var("FUZZ_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(ROUNDS)
}

fn run(target: &Target, what: &str, data: &[u8]) {
    let begin = Instant::now();
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| (target.run)(data)));
    let took = begin.elapsed();
    if outcome.is_err() || took > LONGEST {
        let path = std::env::temp_dir().join(format!("{}-{what}", target.name));
        std::fs::write(&path, data).expect("the temporary folder can be written to");
        panic!("{} fails on {what} after {took:?}; input: {}", target.name, path.display());
    }
}

fn smoke(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("the target is in the table");
    let seeds = (target.seeds)();
    for (number, seed) in seeds.iter().enumerate() {
        run(target, &format!("seed-{number}"), seed);
    }
    run(target, "nothing", &[]);
    for (number, data) in Mutator::new(seeds, 1).take(rounds().div_ceil(target.cost)).enumerate() {
        run(target, &format!("mutation-{number}"), &data);
    }
}

macro_rules! smoke {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            smoke(stringify!($name));
        })*

        #[test]
        fn every_target_runs_here_and_under_libfuzzer() {
            let here = [$(stringify!($name)),*];
            let table: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(here.as_slice(), table.as_slice());
            for name in table {
                let program = format!("fuzz/fuzz_targets/{name}.rs");
                let text = std::fs::read_to_string(uv_test_support::file(&program)).expect("every target has a program");
                assert!(text.contains(&format!("uv_fuzz::fuzz!({name});")), "{program}");
            }
        }
    };
}

smoke! {
    se_header ipib se_image dump_file dump_blocks attestation_request exchange_file add_secret_request secret_list
    certificate host_key_chain s390_key uvc_host uvc_guest
    esm_tree esm_blob esm_verify esm_cpio esm_kernel esm_yaml esm_key ultracall_host ultracall_guest
}

#[test]
fn the_same_seed_gives_the_same_inputs() {
    let stream = |seed| Mutator::new(vec![vec![0; 100]], seed).take(20).collect::<Vec<_>>();
    assert_eq!(stream(1), stream(1));
    assert_ne!(stream(1), stream(2));
}
