//! The programs lose nothing, whatever goes wrong: every command that writes files, run as a user runs it.
#![cfg(unix)]

mod bad_inputs;
mod cases;
mod folders;
mod in_place;
mod signals;
mod words;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use cases::{CASES, Case};
use tempfile::TempDir;
use uv_test_support::example;

/// A folder with copies of the inputs of a command.
struct Place {
    folder: TempDir,
    case: &'static Case,
}

type Snapshot = BTreeMap<PathBuf, Option<(Vec<u8>, u32)>>;

impl Place {
    fn new(case: &'static Case) -> Self {
        let place = Self { folder: tempfile::tempdir().expect("a folder"), case };
        fs::create_dir(place.path("in")).expect("a folder");
        fs::create_dir(place.path("out")).expect("a folder");
        for input in case.inputs() {
            let from = uv_test_support::file(input);
            fs::copy(&from, place.input(input)).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
        }
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn input(&self, fixture: &str) -> PathBuf {
        self.path("in").join(Path::new(fixture).file_name().expect("a file name"))
    }

    fn output(&self, name: &str) -> PathBuf {
        self.path("out").join(name)
    }

    /// The command with some outputs elsewhere, relative to its folder `out`, and with more options.
    fn command(&self, elsewhere: &[(&str, &Path)], more: &[&str]) -> Command {
        let mut command = Command::new(example(self.case.program));
        command.current_dir(self.path("out"));
        let (first, rest) = self.case.arguments.split_first().expect("a subcommand");
        command.arg(first).args(more);
        for argument in rest {
            match (argument.strip_prefix('<'), argument.strip_prefix('>')) {
                (Some(input), _) => command.arg(self.input(input)),
                (_, Some(output)) => match elsewhere.iter().find(|(name, _)| *name == output) {
                    Some((_, path)) => command.arg(path),
                    None => command.arg(self.output(output)),
                },
                _ => command.arg(argument),
            };
        }
        command
    }

    fn run(&self, elsewhere: &[(&str, &Path)], more: &[&str]) -> Output {
        self.command(elsewhere, more).output().expect("the program starts")
    }

    /// As a shell runs the command after `before`, with `after` behind it.
    fn shell(&self, before: &str, after: &str, more: &[&str]) -> Output {
        let command = self.command(&[], more);
        let script = format!("{before} exec \"$@\" {after}");
        let mut shell = Command::new("sh");
        shell.args(["-c", &script, "sh"]).arg(command.get_program()).args(command.get_args());
        shell.current_dir(self.path("out")).output().expect("a shell")
    }

    fn snapshot(&self) -> Snapshot {
        self.snapshot_of(&[""])
    }

    /// All files below some folders.
    fn snapshot_of(&self, folders: &[&str]) -> Snapshot {
        fn add(folder: &Path, found: &mut Snapshot) {
            for entry in fs::read_dir(folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                let metadata = path.symlink_metadata().expect("it is there");
                if metadata.is_dir() {
                    add(&path, found);
                }
                let file =
                    metadata.is_file().then(|| (fs::read(&path).expect("readable"), metadata.permissions().mode()));
                found.insert(path, file);
            }
        }
        let mut found = Snapshot::new();
        folders.iter().for_each(|folder| add(&self.folder.path().join(folder), &mut found));
        found
    }

    /// Ends with the status for what cannot be used, a sentence with `part`, and all files as they were.
    fn refused(&self, elsewhere: &[(&str, &Path)], more: &[&str], part: &str) {
        let before = self.snapshot();
        let output = self.run(elsewhere, more);
        self.judge(&output, &before, part, &format!("{elsewhere:?} {more:?}"));
    }

    fn judge(&self, output: &Output, before: &Snapshot, part: &str, what: &str) {
        let error = String::from_utf8_lossy(&output.stderr);
        let place = format!("{} {:?}, {what}: {error}", self.case.program, self.case.arguments.first());
        assert_eq!(output.status.code(), Some(self.case.unusable), "{place}");
        assert!(error.contains(part), "{place}");
        assert!(!error.contains(".new-") && !error.contains(".old-"), "{place}");
        assert_eq!(error.lines().filter(|line| line.starts_with("error: ")).count(), 1, "{place}");
        assert!(self.snapshot() == *before, "{place}");
    }
}

#[test]
fn nothing_is_replaced_unasked() {
    for case in CASES {
        let place = Place::new(case);
        for output in case.outputs() {
            fs::write(place.output(output), "old").unwrap();
            place.refused(&[], &[], &format!("{output} exists already; --overwrite replaces it"));
            fs::remove_file(place.output(output)).unwrap();
            symlink("nowhere", place.output(output)).unwrap();
            place.refused(&[], &[], "exists already");
            fs::remove_file(place.output(output)).unwrap();
        }
    }
}

#[test]
fn everything_is_written_and_replaced_when_asked() {
    for case in CASES {
        let place = Place::new(case);
        for more in [&[][..], &["--overwrite"]] {
            let before = place.snapshot();
            let output = place.run(&[], more);
            assert!(output.status.success(), "{case:?}: {}", String::from_utf8_lossy(&output.stderr));
            let after = place.snapshot();
            assert_eq!(after.len(), 2 + case.inputs().count() + case.outputs().count(), "{case:?}");
            for name in case.outputs() {
                let (content, mode) = after[&place.output(name)].as_ref().expect("a file");
                assert!(!content.is_empty() && content != b"old", "{case:?}");
                assert_eq!(mode & 0o777 == 0o600, case.secrets.contains(&name), "{case:?} {name}");
            }
            for input in case.inputs() {
                assert!(after[&place.input(input)] == before[&place.input(input)], "{case:?} {input}");
            }
        }
    }
}

#[test]
fn one_path_for_two_things_is_refused() {
    for case in CASES {
        let place = Place::new(case);
        symlink(".", place.path("out/here")).unwrap();
        let outputs: Vec<_> = case.outputs().collect();
        for (index, one) in outputs.iter().enumerate() {
            for two in outputs.iter().skip(index + 1) {
                let spellings =
                    [place.output(one), one.into(), format!("./{one}").into(), format!("here/{one}").into()];
                for path in &spellings {
                    for more in [&[][..], &["--overwrite"]] {
                        place.refused(&[(two, path)], more, "are one file");
                    }
                }
            }
            for input in case.inputs() {
                let (path, more) = (place.input(input), ["--overwrite"]);
                place.refused(&[(one, &path)], &more, "would replace the input");
                let (link, hard) = (place.path("out/link"), place.path("out/hard"));
                symlink(&path, &link).unwrap();
                fs::hard_link(&path, &hard).unwrap();
                for path in [&link, &hard] {
                    place.refused(&[(one, path)], &more, "would replace the input");
                    fs::remove_file(path).unwrap();
                }
            }
        }
    }
}

#[test]
fn an_output_that_cannot_be_leaves_the_others_alone() {
    for case in CASES {
        let place = Place::new(case);
        fs::write(place.path("file"), "a file").unwrap();
        symlink("/dev/full", place.path("full")).unwrap();
        for output in case.outputs() {
            for (path, part) in [
                (place.path("file/below"), "is a file, not a folder"),
                (place.path("none/below"), "its folder is not there"),
                (place.path("full"), "not a regular file"),
                (place.path("in"), "it is a folder"),
            ] {
                place.refused(&[(output, &path)], &["--overwrite"], part);
            }
        }
    }
}

#[test]
fn outputs_are_named_alike_everywhere() {
    for case in CASES.iter().filter(|case| case.arguments.iter().any(|argument| ["-o", "--out"].contains(argument))) {
        let place = Place::new(case);
        case.outputs().for_each(|output| fs::write(place.output(output), "old").expect("a file"));
        let before = place.snapshot();
        for spelling in ["-o", "--out", "--output"] {
            let usual = place.command(&[], &[]);
            let named = |argument: &std::ffi::OsStr| {
                if argument == "-o" || argument == "--out" { spelling.into() } else { argument.to_owned() }
            };
            let output =
                Command::new(usual.get_program()).args(usual.get_args().map(named)).output().expect("it starts");
            place.judge(&output, &before, "exists already", spelling);
        }
    }
}

/// A file of that size at most can be written; for each command at least one output is longer.
#[test]
fn no_space_leaves_nothing_behind() {
    for case in CASES {
        let place = Place::new(case);
        for old in [false, true] {
            if old {
                case.outputs().for_each(|output| fs::write(place.output(output), "old").expect("a file"));
            }
            let before = place.snapshot();
            for blocks in if case.large { &[0, 1][..] } else { &[0] } {
                let output = place.shell(&format!("ulimit -f {blocks};"), "", &["--overwrite"]);
                place.judge(&output, &before, "cannot write", &format!("{blocks} blocks, {old}"));
            }
        }
    }
}

#[test]
fn a_result_that_cannot_be_told_leaves_nothing_behind() {
    for case in CASES.iter().filter(|case| case.tells) {
        let place = Place::new(case);
        let before = place.snapshot();
        let output = place.shell("", ">/dev/full", &[]);
        place.judge(&output, &before, "cannot write the output", "a full device");
        // A reader that went away has seen enough.
        let gone = place.shell("", "| true; :", &[]);
        assert!(gone.status.success() && case.outputs().all(|output| place.output(output).exists()), "{case:?}");
    }
}
