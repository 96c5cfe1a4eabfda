//! Runs that a signal ends.

use std::fs;
use std::io::{Read as _, Write as _, pipe};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::Place;
use super::cases::{CASES, Case};

fn case(program: &str, command: &str) -> &'static Case {
    CASES.iter().find(|case| case.program == program && case.arguments.first() == Some(&command)).expect("a case")
}

fn send(signal: &str, child: &Child) {
    let kill = format!("kill -{signal} {}", child.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().expect("a shell").success());
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !done() {
        assert!(begin.elapsed() < Duration::from_secs(300), "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A pipe that is full: who writes to it waits until somebody reads.
fn full_pipe() -> (std::io::PipeReader, std::io::PipeWriter) {
    let (reader, writer) = pipe().expect("a pipe");
    let mut filler = writer.try_clone().expect("a pipe");
    std::thread::spawn(move || filler.write_all(&[b'\n'; 1 << 21]));
    std::thread::sleep(Duration::from_millis(300));
    (reader, writer)
}

/// The command, with no signal ignored: who runs the tests may ignore some, as `nohup` does.
fn minding_signals(command: &Command) -> Command {
    let mut minding = Command::new("env");
    minding.arg("--default-signal=TERM,INT,HUP").arg(command.get_program()).args(command.get_args());
    minding
}

/// All outputs have their names, and the program waits to tell so: there is nothing between the first name and the last word
/// at which a signal leaves a part.
#[test]
fn a_signal_before_the_end_takes_all_outputs_back() {
    let case = case("s390_secret", "create");
    for (signal, number) in [("TERM", 15), ("INT", 2), ("HUP", 1)] {
        for old in [false, true] {
            let place = Place::new(case);
            if old {
                case.outputs().for_each(|output| fs::write(place.output(output), "old").expect("a file"));
            }
            let before = place.snapshot();
            let (_reader, writer) = full_pipe();
            let mut child = minding_signals(&place.command(&[], &["--overwrite"])).stdout(writer).spawn().unwrap();
            until("the outputs appear", || {
                case.outputs().all(|output| fs::read(place.output(output)).is_ok_and(|content| content != b"old"))
            });
            send(signal, &child);
            assert_eq!(child.wait().unwrap().signal(), Some(number), "{signal}");
            assert!(place.snapshot() == before, "{signal} {old}");
        }
    }
}

#[test]
fn a_signal_while_a_file_is_written_leaves_nothing() {
    let place = Place::new(case("s390_dump", "create"));
    let before = place.snapshot();
    let mut child = place.command(&[], &[]).stdout(Stdio::null()).spawn().unwrap();
    until("a temporary file appears", || place.snapshot() != before);
    send("TERM", &child);
    assert_eq!(child.wait().unwrap().signal(), Some(15));
    assert!(place.snapshot() == before);
}

#[test]
fn an_ignored_signal_stays_ignored() {
    let case = case("s390_secret", "create");
    let place = Place::new(case);
    let command = place.command(&[], &[]);
    let (mut reader, writer) = full_pipe();
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' HUP; exec \"$@\"", "sh"]).arg(command.get_program()).args(command.get_args());
    let mut child = shell.stdout(writer).spawn().unwrap();
    drop(shell);
    until("the outputs appear", || case.outputs().all(|output| place.output(output).exists()));
    send("HUP", &child);
    std::thread::sleep(Duration::from_millis(200));
    let mut told = Vec::new();
    reader.read_to_end(&mut told).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(String::from_utf8_lossy(&told).contains("name"));
    assert!(case.outputs().all(|output| place.output(output).exists()));
}
