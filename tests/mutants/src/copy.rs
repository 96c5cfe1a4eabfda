//! A copy of the workspace under the target folder. Files that are the same stay untouched, so that nothing is built twice.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The text in front of a library's root file: what changed code may do that written code may not.
const PREAMBLE: &str = "#![allow(warnings, arithmetic_overflow, unconditional_panic, unconditional_recursion)]\n";

/// Folders that are no sources.
const LEFT_OUT: &[&str] = &["target", ".git", "corpus", "artifacts"];

/// Copies `from` to `to` as a workspace of the version suffix `name`, with the files of `replaced` (paths from the root) in place of the originals.
pub(crate) fn copy(from: &Path, to: &Path, name: &str, replaced: &[(PathBuf, String)]) -> io::Result<()> {
    let mut kept = BTreeSet::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(from.join(&folder))? {
            let entry = entry?;
            let path = folder.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                if !LEFT_OUT.iter().any(|name| entry.file_name() == *name) {
                    folders.push(path);
                }
            } else if !replaced.iter().any(|(other, _)| *other == path) && entry.file_name() != ".git" {
                let content = fs::read(entry.path())?;
                let content = if path == Path::new("Cargo.toml") { manifest(&content, name)? } else { content };
                put(&to.join(&path), &content)?;
                kept.insert(path);
            }
        }
    }
    for (path, text) in replaced {
        put(&to.join(path), text.as_bytes())?;
        kept.insert(path.clone());
    }
    remove_others(to, Path::new(""), &kept)
}

/// A root file that has the switch in a module.
pub(crate) fn with_switch(root: &str) -> String {
    format!("{PREAMBLE}{root}\nmod __mutants;\n")
}

/// The workspace's manifest. Lints that are denied would only stop the build. Packages of another version share the target
/// folder: cargo takes packages of one version and place in their workspace for the same, wherever the workspace is.
fn manifest(original: &[u8], name: &str) -> io::Result<Vec<u8>> {
    let text = std::str::from_utf8(original).map_err(io::Error::other)?;
    let text = text.replace("= \"deny\"", "= \"allow\"").replace("= \"forbid\"", "= \"allow\"");
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let package = lines.iter().position(|line| line == "[workspace.package]").unwrap_or(lines.len());
    if let Some(version) = lines[package..].iter_mut().find(|line| line.starts_with("version = \"")) {
        *version = format!("{}-mutants.{name}\"", version.trim_end_matches('"'));
    }
    Ok(lines.join("\n").into_bytes())
}

fn put(path: &Path, content: &[u8]) -> io::Result<()> {
    if fs::read(path).is_ok_and(|old| old == content) {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, content)
}

fn remove_others(root: &Path, folder: &Path, kept: &BTreeSet<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(root.join(folder))? {
        let entry = entry?;
        let path = folder.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            remove_others(root, &path, kept)?;
        } else if !kept.contains(&path) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
