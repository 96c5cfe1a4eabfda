//! Random calls of a hostile hypervisor and hostile guests, on a simulated machine and on its reference model: they must agree in
//! every code, state and content.
//!
//! ```text
//! adversary --arch s390 --seconds N [--seed N] [--replay] [--json]
//! ```
//! Prints calls, calls a second, and how many of the pairs of call and code in the tables were reached, with those that were not.
//! Where machine and model do not agree it prints the seed and the shortest sequence of calls it finds that still shows it;
//! `--seed N --replay` makes that sequence alone.
//!
//! Exit status: 0 no disagreement; 1 a disagreement; 2 unusable options.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use serde_json::json;
use uv_models::{Adversary, Disagreement, Machine, Run, s390::Z};
use uv_programs::{Failure, output};

/// Whose machine.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Arch {
    /// IBM Z
    S390,
}

/// Looks for a disagreement between a machine and its model
#[derive(Parser, Debug)]
#[command(after_help = "Exit status: 0 no disagreement; 1 a disagreement; 2 unusable options.")]
struct Cli {
    /// Whose machine
    #[arg(long)]
    arch: Arch,
    /// How long
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Seed of the first sequence
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Make the sequence of the seed and no other
    #[arg(long)]
    replay: bool,
    /// Print one JSON object and nothing else
    #[arg(long)]
    json: bool,
}

fn told<C: core::fmt::Debug>(found: &Disagreement<C>) -> String {
    let calls: Vec<String> = found.calls.iter().map(|call| format!("  {call:?}")).collect();
    format!(
        "disagreement with --seed {} (kind {} of machine) after\n{}\n{}",
        found.seed,
        found.variant,
        calls.join("\n"),
        found.what
    )
}

fn report<C: core::fmt::Debug>(run: &Run<C>, json: bool) -> Result<(), Failure> {
    let all = run.reached.len() + run.missed.len();
    let millis = u64::try_from(run.time.as_millis()).unwrap_or(u64::MAX).max(1);
    let (rate, part) = (run.calls.saturating_mul(1000) / millis, 100 * run.reached.len() / all.max(1));
    let missed: Vec<String> = run.missed.iter().map(|(call, code)| format!("{call} {code}")).collect();
    if json {
        let found = run.disagreement.as_ref().map(|found| {
            let calls: Vec<String> = found.calls.iter().map(|call| format!("{call:?}")).collect();
            json!({ "seed": found.seed, "kind": found.variant, "calls": calls, "what": found.what })
        });
        let value = json!({
            "calls": run.calls, "sequences": run.sequences, "calls_per_second": rate, "pairs_reached": run.reached.len(),
            "pairs": all, "missed": missed, "disagreement": found,
        });
        return output::print(&value.to_string());
    }
    let mut lines = vec![
        format!("{} calls in {} sequences, {rate} a second", run.calls, run.sequences),
        format!("{} of {all} pairs of call and code reached ({part} %)", run.reached.len()),
    ];
    if !missed.is_empty() {
        lines.push(format!("not reached: {}", missed.join(", ")));
    }
    lines.extend(run.disagreement.as_ref().map(told));
    output::print(&lines.join("\n"))
}

fn go<M: Machine>(cli: &Cli) -> Result<ExitCode, Failure> {
    let adversary = Adversary { seed: cli.seed };
    if cli.replay {
        let found = adversary.replay::<M>();
        output::print(&found.as_ref().map_or_else(|| "machine and model agree".to_owned(), told))?;
        return Ok(if found.is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS });
    }
    // A panic is a disagreement like any other.
    std::panic::set_hook(Box::new(|_| {}));
    let run = adversary.run::<M>(Duration::from_secs(cli.seconds));
    let _ = std::panic::take_hook();
    report(&run, cli.json)?;
    Ok(if run.disagreement.is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn main() -> ExitCode {
    uv_programs::run(|| {
        let cli = Cli::parse();
        match cli.arch {
            Arch::S390 => go::<Z>(&cli),
        }
    })
}
