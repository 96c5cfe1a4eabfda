//! Every input of every command, damaged in every way: one sentence, no output, no other file touched.

use std::fs::{self, File};
use std::path::Path;

use super::Place;
use super::cases::CASES;

type Damage = (&'static str, fn(&Path));

/// Ways to damage a file. Only the last one may go unnoticed: not every bit of every file counts.
const DAMAGES: [Damage; 7] = [
    ("missing", |path| fs::remove_file(path).expect("it is there")),
    ("empty", |path| fs::write(path, []).expect("writable")),
    ("cut off", |path| {
        let file = fs::read(path).expect("readable");
        fs::write(path, &file[..file.len() / 2]).expect("writable");
    }),
    ("huge", |path| File::options().write(true).open(path).and_then(|file| file.set_len(1 << 40)).expect("writable")),
    ("noise", |path| fs::write(path, [0xa5; 5000]).expect("writable")),
    ("a folder", |path| {
        fs::remove_file(path).expect("it is there");
        fs::create_dir(path).expect("a folder");
    }),
    ("a bit", |path| {
        let mut file = fs::read(path).expect("readable");
        let at = file.len() / 2;
        file[at] ^= 1;
        fs::write(path, file).expect("writable");
    }),
];

/// Inputs of which any bytes will do, so that they can be wrong in their size only.
const FREE: [&str; 4] = ["kernel-odd.bin", "ramdisk-odd.bin", "cmdline.txt", "initrd.img"];

#[test]
fn damaged_inputs_give_one_sentence_and_no_output() {
    for case in CASES {
        for input in case.inputs() {
            for (what, damage) in DAMAGES {
                let place = Place::new(case);
                damage(&place.input(input));
                let before = place.snapshot_of(&["out"]);
                let output = place.run(&[], &[]);
                let error = String::from_utf8_lossy(&output.stderr);
                let told = format!("{} {:?}, {input} {what}: {error}", case.program, case.arguments.first());
                let any =
                    FREE.iter().any(|name| input.ends_with(name)) && !["missing", "huge", "a folder"].contains(&what);
                // Of an image that only identifies the guest no more than the start is read, of a dump what its headers name.
                let at = case.arguments.iter().position(|argument| argument.strip_prefix('<') == Some(input));
                let start = at.is_some_and(|at| case.arguments[at - 1] == "--hdr");
                let start =
                    start && ["huge", "cut off"].contains(&what) || input.ends_with("dump.elf") && what == "huge";
                if output.status.success() {
                    assert!(any || start || what == "a bit", "{told}");
                    continue;
                }
                assert!(matches!(output.status.code(), Some(1 | 2)), "{told}");
                if ["missing", "empty", "huge", "a folder"].contains(&what) {
                    assert_eq!(output.status.code(), Some(case.unusable), "{told}");
                }
                let name = place.input(input);
                assert_eq!(error.lines().filter(|line| line.starts_with("error: ")).count(), 1, "{told}");
                if ["missing", "huge", "a folder"].contains(&what) {
                    assert!(error.contains(name.to_str().expect("a UTF-8 path")), "{told}");
                }
                assert!(place.snapshot_of(&["out"]) == before, "{told}");
            }
        }
    }
}
