//! What is taken back when a run does not come to its end: by a failure, or by a signal.
//!
//! Every change to a folder is made under one lock together with the entry that takes it back, so that a signal never finds
//! a change without its entry. A signal takes back what all unfinished runs did, and then ends the process as it would have
//! without being caught.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How a change is taken back.
#[derive(Debug)]
pub(super) enum Undo {
    /// Remove a new file.
    Remove(PathBuf),
    /// Remove a new folder.
    RemoveFolder(PathBuf),
    /// Give a replaced file its place again.
    Restore { backup: PathBuf, target: PathBuf },
    /// Cut off what was appended, if nobody appended more since then.
    Cut { target: PathBuf, before: u64, after: u64 },
}

/// Entries of all runs in this process, with the number of their run.
static ENTRIES: Mutex<Vec<(u64, Undo)>> = Mutex::new(Vec::new());
static RUNS: AtomicU64 = AtomicU64::new(0);

fn entries() -> MutexGuard<'static, Vec<(u64, Undo)>> {
    ENTRIES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The entries of one run. Dropped, it takes everything back.
#[derive(Debug)]
pub(super) struct Journal(u64);

impl Journal {
    pub(super) fn new() -> Self {
        Self(RUNS.fetch_add(1, Ordering::Relaxed))
    }

    /// Makes a change; `act` gives what takes it back.
    pub(super) fn change<T>(&self, act: impl FnOnce() -> io::Result<(T, Option<Undo>)>) -> io::Result<T> {
        let mut entries = entries();
        let (value, undo) = act()?;
        entries.extend(undo.map(|undo| (self.0, undo)));
        Ok(value)
    }

    /// The run came to its end: all its changes stay.
    pub(super) fn keep(self) {
        let mut entries = entries();
        entries.retain(|(run, undo)| {
            if *run == self.0
                && let Undo::Restore { backup, target } = undo
                && let Err(error) = fs::remove_file(backup)
            {
                told(&format!("the old {} is still there as {}", target.display(), backup.display()), &error);
            }
            *run != self.0
        });
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        let mut entries = entries();
        let (own, others): (Vec<_>, Vec<_>) = entries.drain(..).partition(|(run, _)| *run == self.0);
        *entries = others;
        own.into_iter().rev().for_each(|(_, undo)| undo.run());
    }
}

impl Undo {
    fn run(self) {
        match self {
            // What is gone already needs no removal.
            Self::Remove(path) => drop(fs::remove_file(path)),
            Self::RemoveFolder(path) => drop(fs::remove_dir(path)),
            Self::Restore { backup, target } => match fs::rename(&backup, &target) {
                // Two names of one file: a rename changes nothing.
                Ok(()) => drop(fs::remove_file(backup)),
                Err(error) => told(&format!("the old {} is now {}", target.display(), backup.display()), &error),
            },
            Self::Cut { target, before, after } => {
                if let Err(error) = cut(&target, before, after) {
                    told(&format!("{} has a line too much at its end", target.display()), &error);
                }
            }
        }
    }
}

fn cut(target: &Path, before: u64, after: u64) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(target)?;
    if file.metadata()?.len() == after { file.set_len(before) } else { Ok(()) }
}

fn told(what: &str, error: &io::Error) {
    eprintln!("warning: {what}: {error}");
}

/// From now on a signal that ends the process takes back first what is not finished, and a file that grows too large is an
/// error of its writer. Signals that were ignored when the process began stay ignored.
#[cfg(unix)]
pub fn catch_signals() {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGXFSZ};
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let ignored = ignored_signals();
        let caught = [SIGHUP, SIGINT, SIGQUIT, SIGTERM].into_iter().filter(|signal| ignored >> (signal - 1) & 1 == 0);
        // Without the handler the files are as safe as the system leaves them.
        if let Ok(mut signals) = signal_hook::iterator::Signals::new(caught) {
            std::thread::spawn(move || {
                for signal in signals.forever() {
                    let mut entries = entries();
                    entries.drain(..).rev().for_each(|(_, undo)| undo.run());
                    // The lock stays taken: nothing is written any more.
                    let _ = signal_hook::low_level::emulate_default_handler(signal);
                }
            });
        }
        let _ = signal_hook::flag::register(SIGXFSZ, std::sync::Arc::default());
    });
}

/// Does nothing: signals are a matter of Unix.
#[cfg(not(unix))]
pub fn catch_signals() {}

/// Signals that are ignored, bit 0 for signal 1; 0 where the system does not tell.
#[cfg(unix)]
fn ignored_signals() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
