//! Every rule of the conformance suite on every backend of this workspace, and which rules catch the wrong ones.
//!
//! ```text
//! conformance [--wrapped] [--backend NAME]... [--rule NAME]... [--seed N] [--json]
//! ```
//! Without `--json` it prints one line for a rule, with a column for each backend: `+` the rule holds, `-` the machine lacks what it
//! is about and refuses it, `F` it does not hold; then each wrong backend with the rules that catch it, and the rules that catch none.
//!
//! Exit status: 0 all rules hold and every wrong backend is caught; 1 not so; 2 unusable options.

use std::process::ExitCode;

use clap::Parser;
use serde_json::{Value, json};
use uv_conformance::{Candidate, Outcome, Rule, rules};
use uv_conformance_programs::{backends, wrong};
use uv_programs::{Failure, output};

/// The conformance suite on every backend
#[derive(Parser, Debug)]
#[command(
    after_help = "Exit status: 0 all rules hold and every wrong backend is caught; 1 not so; 2 unusable options."
)]
struct Cli {
    /// Also every backend behind each wrapper
    #[arg(long)]
    wrapped: bool,
    /// Only this backend (can be given again)
    #[arg(long)]
    backend: Vec<String>,
    /// Only this rule (can be given again)
    #[arg(long)]
    rule: Vec<String>,
    /// Everything random comes from this number
    #[arg(long, default_value_t = 2026)]
    seed: u64,
    /// Print one JSON object and nothing else
    #[arg(long)]
    json: bool,
}

/// The outcomes of one backend, in the order of the rules.
struct Column {
    backend: String,
    outcomes: Vec<Outcome>,
}

/// A wrong backend and the rules that do not hold on it.
struct Caught {
    backend: &'static str,
    by: Vec<&'static str>,
}

/// The names that were asked for, all of which must be there; everything without any.
fn chosen<T>(all: Vec<T>, wanted: &[String], name: impl Fn(&T) -> &str, what: &str) -> Result<Vec<T>, Failure> {
    if let Some(unknown) = wanted.iter().find(|wanted| !all.iter().any(|one| name(one) == *wanted)) {
        return Err(Failure::unusable(format_args!("there is no {what} {unknown}")));
    }
    Ok(all.into_iter().filter(|one| wanted.is_empty() || wanted.iter().any(|wanted| name(one) == wanted)).collect())
}

fn table(rules: &[Rule], columns: &[Column], teeth: &[Caught]) -> String {
    let mut lines: Vec<String> = (1..).zip(columns).map(|(n, column)| format!("{n:>3} {}", column.backend)).collect();
    lines.push(String::new());
    for (at, rule) in rules.iter().enumerate() {
        let marks = columns.iter().map(|column| match column.outcomes[at] {
            Outcome::Pass => '+',
            Outcome::RefusedAsRequired(_) => '-',
            Outcome::Fail(_) => 'F',
        });
        lines.push(format!("{:24} {}  {}", rule.name, marks.collect::<String>(), rule.sentence));
    }
    for column in columns {
        for (rule, outcome) in rules.iter().zip(&column.outcomes).filter(|(_, outcome)| is_failure(outcome)) {
            lines.push(format!("{}: {} fails: {}", column.backend, rule.name, outcome.detail()));
        }
    }
    lines.push(String::new());
    for caught in teeth {
        lines.push(match caught.by.as_slice() {
            [] => format!("{:28} NOT CAUGHT", caught.backend),
            by => format!("{:28} caught by {}", caught.backend, by.join(" ")),
        });
    }
    let idle = rules.iter().filter(|rule| !teeth.iter().any(|caught| caught.by.contains(&rule.name)));
    let idle: Vec<&str> = idle.map(|rule| rule.name).collect();
    if !teeth.is_empty() && !idle.is_empty() {
        lines.push(format!("rules that no wrong backend breaks: {}", idle.join(" ")));
    }
    lines.join("\n")
}

fn as_json(rules: &[Rule], columns: &[Column], teeth: &[Caught]) -> Value {
    let described =
        rules.iter().map(|rule| json!({ "name": rule.name, "sentence": rule.sentence, "source": rule.source() }));
    let results = columns.iter().flat_map(|column| {
        rules.iter().zip(&column.outcomes).map(|(rule, outcome)| {
            json!({
                "rule": rule.name, "backend": column.backend, "outcome": outcome.word(), "detail": outcome.detail(),
            })
        })
    });
    json!({
        "rules": described.collect::<Vec<_>>(),
        "backends": columns.iter().map(|column| column.backend.as_str()).collect::<Vec<_>>(),
        "results": results.collect::<Vec<_>>(),
        "teeth": teeth.iter().map(|one| json!({ "backend": one.backend, "caught_by": one.by })).collect::<Vec<_>>(),
    })
}

const fn is_failure(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Fail(_))
}

fn main() -> ExitCode {
    uv_programs::run(|| {
        let cli = Cli::parse();
        let mut all = backends::plain();
        if cli.wrapped {
            all.extend(backends::wrapped());
        }
        let rules = chosen(rules().collect(), &cli.rule, |rule: &Rule| rule.name, "rule")?;
        let all = chosen(all, &cli.backend, Candidate::name, "backend")?;
        let outcomes = |candidate: &Candidate| -> Vec<Outcome> {
            rules.iter().map(|rule| rule.outcome(candidate, cli.seed)).collect()
        };
        let columns: Vec<Column> = all
            .iter()
            .map(|candidate| Column { backend: candidate.name().to_owned(), outcomes: outcomes(candidate) })
            .collect();
        // A wrong backend may panic where it goes wrong: that is an outcome, and no message.
        std::panic::set_hook(Box::new(|_| {}));
        let teeth: Vec<Caught> = match cli.backend.as_slice() {
            [] => wrong::all()
                .map(|(backend, candidate)| {
                    let broken = rules.iter().zip(outcomes(&candidate)).filter(|(_, outcome)| is_failure(outcome));
                    Caught { backend, by: broken.map(|(rule, _)| rule.name).collect() }
                })
                .collect(),
            _ => Vec::new(),
        };
        let _ = std::panic::take_hook();
        if cli.json {
            output::print(&as_json(&rules, &columns, &teeth).to_string())?;
        } else {
            output::print(&table(&rules, &columns, &teeth))?;
        }
        let holds = !columns.iter().any(|column| column.outcomes.iter().any(is_failure));
        // Single rules need not catch everything.
        let bites = !cli.rule.is_empty() || teeth.iter().all(|caught| !caught.by.is_empty());
        Ok(if holds && bites { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    })
}
