//! The tests: which there are, how long each takes, which mutants each reaches.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::compile::Program;
use crate::switch::{ACTIVE, REACHED};

/// One test, and what a run without any mutant said about it.
#[derive(Clone, Debug)]
pub(crate) struct Test {
    /// Which program.
    pub(crate) program: usize,
    pub(crate) name: String,
    pub(crate) took: Duration,
    pub(crate) reaches: BTreeSet<u32>,
    /// Whether it passed.
    pub(crate) passed: bool,
}

/// How a run of tests ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed,
    Failed,
    TimedOut,
}

/// Names of the tests of a program.
pub(crate) fn names(program: &Program) -> io::Result<Vec<String>> {
    let output = command(program).args(["--list", "--format", "terse"]).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(text.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect())
}

/// How a program is told to run some of its tests.
#[derive(Clone, Debug)]
pub(crate) enum Choice {
    /// By their names.
    Names,
    /// It takes one name; for more, these are all there are, and the others are to be skipped.
    AllBut(Vec<String>),
}

impl Choice {
    /// Asks the program.
    pub(crate) fn of(program: &Program) -> io::Result<Self> {
        let output = command(program).arg("--help").output()?;
        let many = String::from_utf8_lossy(&output.stdout).contains("[FILTERS...]");
        if many { Ok(Self::Names) } else { names(program).map(Self::AllBut) }
    }

    fn arguments<'a>(&'a self, chosen: &[&'a Test]) -> Vec<&'a str> {
        match self {
            Self::AllBut(all) if chosen.len() > 1 => {
                let others = all.iter().filter(|name| !chosen.iter().any(|test| test.name == **name));
                others.flat_map(|name| ["--skip", name.as_str()]).collect()
            }
            _ => chosen.iter().map(|test| test.name.as_str()).collect(),
        }
    }
}

/// Runs one test with no mutant on and notes what it reaches. `record` is a file of its own.
pub(crate) fn record(program: &Program, index: usize, name: &str, record: &Path, stamp: u32) -> io::Result<Test> {
    let _ = fs::remove_file(record);
    let start = Instant::now();
    let mut run = command(program);
    run.args(["--exact", name]).env(REACHED, record);
    let outcome = finish(run, Duration::from_secs(600), 300)?;
    let bytes = fs::read(record).unwrap_or_default();
    let numbers = |chunk: &[u8; 8]| {
        let [a, b, c, d, number @ ..] = *chunk;
        if u32::from_le_bytes([a, b, c, d]) == stamp {
            Ok(u32::from_le_bytes(number))
        } else {
            Err(io::Error::other(format!("{} was built from other sources", program.path.display())))
        }
    };
    let reaches = bytes.as_chunks::<8>().0.iter().map(numbers).collect::<io::Result<_>>()?;
    let passed = outcome == Outcome::Passed;
    Ok(Test { program: index, name: name.to_owned(), took: start.elapsed(), reaches, passed })
}

/// Runs tests of one program with a mutant on. `usual` is how long they take without.
pub(crate) fn run(
    program: &Program,
    choice: &Choice,
    tests: &[&Test],
    mutant: u32,
    usual: Duration,
) -> io::Result<Outcome> {
    let mut run = command(program);
    run.arg("--exact").args(choice.arguments(tests)).env(ACTIVE, mutant.to_string());
    finish(run, Duration::from_secs(10) + usual * 20, 5 + usual.as_secs() * 10)
}

/// A test program with bounded memory, so that a mutant that allocates without end ends.
fn command(program: &Program) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -v 8000000; ulimit -t ${UV_MUTANT_SECONDS:-600}; exec \"$0\" \"$@\""]);
    command.arg(&program.path).current_dir(&program.folder);
    command.env_remove(ACTIVE).env_remove(REACHED);
    // Proptest: a failure is enough, the smallest one is not looked for.
    command.env("PROPTEST_MAX_SHRINK_ITERS", "0").env("RUST_BACKTRACE", "0");
    command
}

/// Waits for the end. `cpu` seconds of processor time, `wall` in all.
fn finish(mut command: Command, wall: Duration, cpu: u64) -> io::Result<Outcome> {
    command.env("UV_MUTANT_SECONDS", cpu.to_string());
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let start = Instant::now();
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(match (status.success(), status.code()) {
                (true, _) => Outcome::Passed,
                // Ended by a signal with the time used up.
                (false, None) if start.elapsed() >= Duration::from_secs(cpu) => Outcome::TimedOut,
                (false, _) => Outcome::Failed,
            });
        }
        if start.elapsed() > wall {
            child.kill()?;
            child.wait()?;
            return Ok(Outcome::TimedOut);
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}
