//! Fails runs at every point and looks at what is left.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::{FileMode, Outputs, OverwriteArg, cannot_write};
use crate::exit::Failure;

/// Counts down to the system call that fails.
#[derive(Debug, Default)]
pub(super) struct Faults {
    left: Cell<Option<usize>>,
}

impl Faults {
    pub(super) fn step(&self) -> io::Result<()> {
        match self.left.get() {
            Some(0) => Err(io::ErrorKind::StorageFull.into()),
            Some(left) => {
                self.left.set(Some(left - 1));
                Ok(())
            }
            None => Ok(()),
        }
    }
}

/// Names below a folder with content and permissions; folders have no content.
fn everything(folder: &Path) -> BTreeMap<PathBuf, (Option<Vec<u8>>, u32)> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("the folder is readable").path();
        let metadata = path.symlink_metadata().expect("it is there");
        #[cfg(unix)]
        let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o777;
        #[cfg(not(unix))]
        let mode = 0;
        if metadata.is_dir() {
            found.extend(everything(&path));
        }
        let content = metadata.is_file().then(|| fs::read(&path).expect("it is readable"));
        found.insert(path, (content, mode));
    }
    found
}

fn refused<T: std::fmt::Debug>(result: Result<T, Failure>, part: &str) {
    let failure = result.expect_err("refused");
    assert_eq!(failure.status(), 2, "{failure}");
    let sentence = failure.sentence();
    assert!(sentence.contains(part), "{sentence}");
    assert!(!sentence.contains(".new-") && !sentence.contains(".old-"), "{sentence}");
}

/// One run: a file for each of `old`, which says whether it exists before; the last one in a new folder; a list that grows.
fn run(folder: &Path, old: &[bool], overwrite: bool, fail_at: Option<usize>, last: bool) -> Result<(), Failure> {
    let mut outputs = OverwriteArg { overwrite }.outputs();
    outputs.faults.left.set(fail_at);
    outputs.folder(&folder.join("new"));
    let mut slots = Vec::new();
    for index in 0..old.len() {
        let mode = if index % 2 == 0 { FileMode::Secret } else { FileMode::Plain };
        slots.push(outputs.file(&folder.join(format!("f{index}")), mode)?);
    }
    let deep = outputs.file(&folder.join("new/deep/f"), FileMode::Secret)?;
    let list = outputs.append(&folder.join("list"))?;
    for slot in slots.into_iter().chain([deep, list]) {
        outputs.write(slot, b"new content\n")?;
    }
    outputs.commit(|| if last { Ok(()) } else { Err(Failure::unusable("cannot write the output")) })
}

/// Steps of the largest run that can fail: for three files that exist, a temporary one, its content, the old one set aside and
/// a name; for the one in new folders, both folders, a temporary one, its content and a name; the list.
const MOST: usize = 18;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    #[test]
    fn all_or_nothing_wherever_it_fails(
        old in proptest::collection::vec(any::<bool>(), 1..4),
        overwrite: bool,
        list: bool,
        last: bool,
    ) {
        for fail_at in (0..MOST).map(Some).chain([None]) {
            let folder = tempfile::tempdir().unwrap();
            for (index, _) in old.iter().enumerate().filter(|(_, old)| **old) {
                fs::write(folder.path().join(format!("f{index}")), format!("old {index}")).unwrap();
            }
            if list {
                fs::write(folder.path().join("list"), "first\n").unwrap();
            }
            let before = everything(folder.path());
            let result = run(folder.path(), &old, overwrite, fail_at, last);
            let after = everything(folder.path());
            if result.is_err() {
                prop_assert_eq!(before, after);
                continue;
            }
            prop_assert!(last && (overwrite || !old.contains(&true)));
            prop_assert_eq!(after.len(), old.len() + 4, "files, two folders, the list; nothing else");
            for (path, (content, mode)) in after {
                let Some(content) = content else { continue };
                let expected = if list && path.ends_with("list") { "first\nnew content\n" } else { "new content\n" };
                prop_assert_eq!(content, expected.as_bytes());
                if cfg!(unix) && (path.ends_with("f0") || path.ends_with("f")) {
                    prop_assert_eq!(mode, 0o600);
                }
            }
        }
    }
}

/// The loop above reaches every step.
#[test]
fn steps_of_the_largest_run() {
    let folder = tempfile::tempdir().unwrap();
    for index in 0..3 {
        fs::write(folder.path().join(format!("f{index}")), "old").unwrap();
    }
    let first = (0..).find(|fail_at| run(folder.path(), &[true; 3], true, Some(*fail_at), true).is_ok());
    assert_eq!(first, Some(MOST));
}

#[test]
fn a_writer_that_fails_at_any_byte_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for bytes in [0, 1, 4096, 100_000] {
        let mut outputs = Outputs::new(false);
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        let first = outputs.file(&one, FileMode::Secret).unwrap();
        let second = outputs.file(&two, FileMode::Plain).unwrap();
        outputs.write(first, b"a key").unwrap();
        let filled = outputs.fill(second, |file| {
            file.write_all(&vec![1; bytes]).unwrap();
            Err::<(), _>(cannot_write(&two, &io::ErrorKind::StorageFull.into()))
        });
        refused(filled, "no space left");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 2, "temporary files until the run ends");
        drop(outputs);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    }
}

#[test]
fn a_folder_that_goes_away_takes_no_other_output_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let (one, gone) = (folder.path().join("one"), folder.path().join("gone"));
    fs::write(&one, "old").unwrap();
    fs::create_dir(&gone).unwrap();
    let mut outputs = Outputs::new(true);
    let slots = [&one, &gone.join("two")].map(|path| outputs.file(path, FileMode::Plain).unwrap());
    for slot in slots {
        outputs.write(slot, b"new").unwrap();
    }
    fs::remove_dir_all(&gone).unwrap();
    refused(outputs.commit(|| Ok(())), "gone/two: its folder is not there");
    assert_eq!(fs::read(&one).unwrap(), b"old");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
}

#[test]
fn what_appears_meanwhile_is_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    let mut outputs = Outputs::new(false);
    for path in [&one, &two] {
        let slot = outputs.file(path, FileMode::Plain).unwrap();
        outputs.write(slot, b"new").unwrap();
    }
    fs::write(&two, "somebody else's").unwrap();
    refused(outputs.commit(|| Ok(())), "two exists already; --overwrite replaces it");
    assert_eq!(fs::read(&two).unwrap(), b"somebody else's");
    assert!(!one.exists());
    let mut outputs = Outputs::new(false);
    let slot = outputs.in_place(&two).unwrap();
    outputs.input(&one).unwrap();
    fs::write(&two, "somebody else's, again").unwrap();
    outputs.write(slot, b"new").unwrap();
    refused(outputs.commit(|| Ok(())), "two was changed by somebody else");
    assert_eq!(fs::read(&two).unwrap(), b"somebody else's, again");
}

/// Spellings of `folder/a`, where `folder/sub` is a folder and `folder/a` may exist or not.
fn spellings(folder: &Path) -> Vec<PathBuf> {
    let mut paths = vec![folder.join("a"), folder.join("./a"), folder.join("sub/../a")];
    #[cfg(unix)]
    {
        use std::os::unix::fs::symlink;
        let (link, way) = (folder.join("link"), folder.join("way"));
        symlink("a", &link).expect("links can be made");
        symlink(".", &way).expect("links can be made");
        paths.extend([link, way.join("a"), folder.join("way/sub/../link")]);
    }
    paths
}

#[test]
fn one_file_is_never_two_things_however_it_is_spelt() {
    for exists in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("sub")).unwrap();
        let mut paths = spellings(folder.path());
        if exists {
            fs::write(folder.path().join("a"), "old").unwrap();
            fs::hard_link(folder.path().join("a"), folder.path().join("hard")).unwrap();
            paths.push(folder.path().join("hard"));
        }
        let before = everything(folder.path());
        for one in &paths {
            for two in &paths {
                let mut outputs = Outputs::new(true);
                outputs.file(one, FileMode::Secret).unwrap();
                refused(outputs.file(two, FileMode::Plain), "are one file");
                refused(outputs.append(two), "are one file");
                refused(outputs.input(two), "would replace the input");
                let mut outputs = Outputs::new(true);
                outputs.input(one).unwrap();
                refused(outputs.file(two, FileMode::Secret), "would replace the input");
            }
        }
        assert_eq!(everything(folder.path()), before);
        let other = folder.path().join("b");
        let mut outputs = Outputs::new(true);
        for path in [&paths[0], &other] {
            outputs.file(path, FileMode::Plain).unwrap();
        }
    }
}

#[test]
fn relative_and_absolute_paths_meet() {
    let here = std::env::current_dir().unwrap();
    let mut outputs = Outputs::new(false);
    outputs.file(Path::new("not-there"), FileMode::Plain).unwrap();
    refused(outputs.file(&here.join("not-there"), FileMode::Plain), "not-there are one file");
}

#[test]
fn paths_that_are_no_files() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "old").unwrap();
    let plan = |path: &Path| Outputs::new(true).file(path, FileMode::Plain);
    refused(plan(folder.path()), "it is a folder");
    refused(plan(&file.join("below")), "is a file, not a folder");
    refused(plan(&folder.path().join("none/below")), "its folder is not there");
    refused(plan(&folder.path().join("none/")), "no name of a file");
    refused(plan(Path::new("")), "cannot write");
    #[cfg(unix)]
    {
        refused(plan(Path::new("/dev/full")), "not a regular file");
        let ring = folder.path().join("ring");
        std::os::unix::fs::symlink("ring", &ring).unwrap();
        refused(plan(&ring), "cannot write");
        let nowhere = folder.path().join("nowhere");
        std::os::unix::fs::symlink("lost", &nowhere).unwrap();
        refused(Outputs::new(false).file(&nowhere, FileMode::Plain), "exists already");
    }
    refused(Outputs::new(false).file(&file, FileMode::Plain), "file exists already; --overwrite replaces it");
    assert_eq!(fs::read(&file).unwrap(), b"old");
}

#[cfg(unix)]
#[test]
fn links_and_permissions_stay() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let (path, link) = (folder.path().join("a"), folder.path().join("link"));
    fs::write(&path, "one").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::symlink("a", &link).unwrap();
    let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    for (how, expected) in [(FileMode::Plain, 0o640), (FileMode::Secret, 0o600)] {
        let mut outputs = Outputs::new(true);
        let slot = outputs.file(&link, how).unwrap();
        // Nobody else reads a secret at any time.
        outputs
            .fill(slot, |file| {
                assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, expected);
                file.write_all(b"two").map_err(|error| cannot_write(&link, &error))
            })
            .unwrap();
        outputs.commit(|| Ok(())).unwrap();
        assert_eq!(fs::read_link(&link).unwrap().to_str(), Some("a"));
        assert_eq!((fs::read(&path).unwrap(), mode()), (b"two".to_vec(), expected));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
