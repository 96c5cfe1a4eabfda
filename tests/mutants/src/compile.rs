//! Builds the tests of the copy. Mutants that do not compile are dropped until the rest does.

use std::collections::BTreeSet;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// A test program.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    /// The folder of its package, where it runs.
    pub(crate) folder: PathBuf,
}

/// What is built.
pub(crate) struct Request<'a> {
    pub(crate) packages: &'a [&'a str],
    pub(crate) tests: &'a [&'a str],
    /// The workspace.
    pub(crate) root: &'a Path,
    pub(crate) target: &'a Path,
}

/// An error of the compiler.
#[derive(Debug)]
pub(crate) struct Fault {
    /// Where: a file from the root of the workspace and bytes in it, the main place first.
    pub(crate) places: Vec<(PathBuf, Range<usize>)>,
    pub(crate) message: String,
}

/// Test programs, or the errors that stand in their way.
pub(crate) fn build(request: &Request<'_>) -> io::Result<Result<Vec<Program>, Vec<Fault>>> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["test", "--no-run", "--offline", "--lib", "--message-format=json"]);
    request.packages.iter().for_each(|package| _ = cargo.args(["--package", package]));
    request.tests.iter().for_each(|test| _ = cargo.args(["--test", test]));
    cargo.current_dir(request.root).env("CARGO_TARGET_DIR", request.target).stderr(Stdio::piped());
    let output = cargo.output()?;
    let (mut programs, mut faults) = (Vec::new(), Vec::new());
    for line in output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let Ok(message) = serde_json::from_slice::<Value>(line) else { continue };
        programs.extend(program(&message));
        faults.extend(fault(&message["message"]));
    }
    if output.status.success() {
        return Ok(Ok(programs));
    }
    if faults.is_empty() {
        return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    Ok(Err(faults))
}

fn program(message: &Value) -> Option<Program> {
    let path = message["executable"].as_str().filter(|_| message["profile"]["test"] == true)?;
    let folder = Path::new(message["manifest_path"].as_str()?).parent()?;
    Some(Program { name: message["target"]["name"].as_str()?.to_owned(), path: path.into(), folder: folder.to_owned() })
}

fn fault(message: &Value) -> Option<Fault> {
    let error = message["level"].as_str()? == "error";
    let spans = message["spans"].as_array().filter(|spans| error && !spans.is_empty())?;
    let byte = |span: &Value, name: &str| usize::try_from(span[name].as_u64().unwrap_or_default()).unwrap_or_default();
    let place = |span: &Value| {
        let file = span["file_name"].as_str().unwrap_or_default();
        (PathBuf::from(file), byte(span, "byte_start")..byte(span, "byte_end"))
    };
    let (main, others): (Vec<&Value>, Vec<&Value>) = spans.iter().partition(|span| span["is_primary"] == true);
    let places = main.into_iter().chain(others).map(place).collect();
    Some(Fault { places, message: message["message"].as_str().unwrap_or_default().to_owned() })
}

/// The mutants to drop for these errors. `rewritten` has the text of a file; `all` the mutants of a file, for errors that
/// are in none of them.
pub(crate) fn to_drop(
    faults: &[Fault],
    rewritten: impl Fn(&Path) -> Option<String>,
    all: impl Fn(&Path) -> Vec<u32>,
) -> BTreeSet<u32> {
    let at = |(file, bytes): &(PathBuf, Range<usize>)| rewritten(file).map(|text| crate::render::blamed(&text, bytes));
    let blamed = |fault: &Fault| fault.places.iter().filter_map(at).find(|ids| !ids.is_empty());
    let found: BTreeSet<u32> = faults.iter().filter_map(blamed).flatten().collect();
    if found.is_empty() {
        return faults.iter().flat_map(|fault| &fault.places).flat_map(|(file, _)| all(file)).collect();
    }
    found
}
