//! Which small changes of the libraries does no test notice?
//!
//! All changes (*mutants*) go into one build of a copy of the workspace under `target/mutants`; an environment variable switches
//! one on. So a mutant costs the run of a few tests and not a build. First every test runs alone and notes which mutants it
//! reaches, then each mutant meets the tests that reach it, quick ones and good catchers first, until one fails.
//!
//! ```text
//! cargo run --release -p uv-mutants -- --package uv-sim
//! cargo run --release -p uv-mutants -- --package uv-power --files sim/calls/ --sample 200 --seed 7
//! cargo run --release -p uv-mutants -- --package uv-power --again target/mutants/uv-power/report.txt
//! ```

mod compile;
mod copy;
mod find;
mod judge;
mod known;
mod layout;
mod modules;
mod plan;
mod prepare;
mod render;
mod report;
mod site;
mod suite;
mod switch;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;

use crate::known::Known;
use crate::layout::LIBRARIES;
use crate::plan::Plan;
use crate::prepare::Prepared;

/// Which small changes of the libraries does no test notice?
#[derive(Debug, Parser)]
struct Arguments {
    /// The library.
    #[arg(long, short)]
    package: String,
    /// Only files whose path below src/ has this in it; may be given again. An empty text means all files.
    #[arg(long)]
    files: Vec<String>,
    /// Only this many of the mutants, drawn by --seed.
    #[arg(long)]
    sample: Option<usize>,
    /// What the order of the mutants, and so the sample, is drawn from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Mutants at a time.
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Start no mutant after this many minutes.
    #[arg(long, default_value_t = 600)]
    minutes: u64,
    /// Only mutants that a report names among its survivors.
    #[arg(long)]
    again: Option<PathBuf>,
    /// Only the library's unit tests.
    #[arg(long)]
    lib: bool,
    /// Leave out tests that take more seconds than this, each alone.
    #[arg(long, default_value_t = 600)]
    slowest: u64,
    /// Only show the mutants.
    #[arg(long)]
    list: bool,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> io::Result<()> {
    let start = Instant::now();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap_or(Path::new("."));
    let library = LIBRARIES.iter().find(|library| library.package == arguments.package).ok_or_else(|| {
        let names: Vec<&str> = LIBRARIES.iter().map(|library| library.package).collect();
        io::Error::other(format!("--package is one of {}", names.join(", ")))
    })?;
    let known = Known::parse(&std::fs::read_to_string(root.join("docs/mutants.md"))?).map_err(io::Error::other)?;
    let chosen = |path: &str| match arguments.files.as_slice() {
        [] => library.files.is_empty() || library.files.iter().any(|part| path.contains(part)),
        parts => parts.iter().any(|part| path.contains(part.as_str())),
    };
    let prepared = Prepared::read(root, library.folder, chosen)?;
    if arguments.list {
        for mutant in &prepared.mutants {
            println!("{}:{} {}", mutant.file, mutant.line, mutant.key());
        }
        println!("{} mutants", prepared.mutants.len());
        return Ok(());
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let plan = Plan {
        jobs: arguments.jobs,
        only: arguments.again.as_ref().map(std::fs::read_to_string).transpose()?,
        sample: arguments.sample,
        seed: arguments.seed,
        units_only: arguments.lib,
        slowest: Duration::from_secs(arguments.slowest),
        end: start + Duration::from_secs(60 * arguments.minutes),
    };
    let (mutants, verdicts) = plan.carry_out(prepared, library, &target)?;
    let text = report::report(&mutants, &verdicts, &known);
    let file = target.join("mutants").join(library.package).join("report.txt");
    std::fs::write(&file, &text)?;
    println!("{text}\n{} s; also in {}", start.elapsed().as_secs(), file.display());
    Ok(())
}
