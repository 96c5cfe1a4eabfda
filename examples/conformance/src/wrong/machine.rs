//! The toy machine: normal memory, room for secure pages, and what it remembers.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use uv_core::{AccessError, ErrorKind, HostAddr, NormalMemory, PageSize, Unsupported};
use uv_sim::HostMemory;

use super::Fault;
use super::seal::Sealed;

pub(super) const PAGE_SIZE: PageSize = PageSize::K4;
pub(super) const SIZE: usize = PAGE_SIZE.bytes();
/// The number of the refusal of a sealed page.
pub(super) const NOT_SEALED: &str = "code 17";
/// Pages of a VM.
pub(super) const PAGES: u64 = 64;
/// The first of them are the image.
pub(super) const IMAGE: u64 = 4;

/// An error of the toy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToyError {
    kind: ErrorKind,
    text: String,
}

impl core::fmt::Display for ToyError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&self.text)
    }
}

impl core::error::Error for ToyError {}

impl uv_core::Error for ToyError {
    fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl From<Unsupported> for ToyError {
    fn from(_: Unsupported) -> Self {
        Self { kind: ErrorKind::Unsupported, text: Unsupported.to_string() }
    }
}

/// Takes a lock; a panic of somebody else does not matter.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The machine, with what is wrong with it.
pub(super) struct Machine {
    pub(super) fault: Option<Fault>,
    pub(super) host: ToyHost,
    free: Mutex<u64>,
    /// The content of freed frames, for the next who gets one.
    left: Mutex<Vec<Vec<u8>>>,
    versions: Mutex<Vec<Sealed>>,
    next: AtomicU64,
}

impl Machine {
    pub(super) fn new(fault: Option<Fault>, frames: u64) -> Self {
        Self {
            fault,
            host: ToyHost {
                memory: HostMemory::new((2 * PAGES) << PAGE_SIZE.shift()),
                held: Mutex::default(),
                written: Mutex::default(),
            },
            free: Mutex::new(frames),
            left: Mutex::default(),
            versions: Mutex::default(),
            next: AtomicU64::new(1),
        }
    }

    pub(super) fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    pub(super) fn error(&self, kind: ErrorKind, text: &str) -> ToyError {
        let text = if self.has(Fault::ErrorsCount) { format!("{text} ({})", self.number()) } else { text.to_owned() };
        ToyError { kind, text }
    }

    /// A number that was not used before.
    pub(super) fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Takes a frame, of zeros.
    pub(super) fn frame(&self) -> Option<Vec<u8>> {
        let mut free = lock(&self.free);
        if !self.has(Fault::NeverFull) {
            *free = free.checked_sub(1)?;
        }
        let left = lock(&self.left).pop();
        Some(left.filter(|_| self.has(Fault::KeepsContent)).unwrap_or_else(|| vec![0; SIZE]))
    }

    /// Takes a frame back.
    pub(super) fn give_back(&self, content: Vec<u8>) {
        *lock(&self.free) += 1;
        if self.has(Fault::KeepsContent) {
            lock(&self.left).push(content);
        }
    }

    pub(super) fn remember(&self, sealed: &Sealed) {
        if self.fault.is_some() {
            lock(&self.versions).push(sealed.clone());
        }
    }

    /// A sealed page that was there once.
    pub(super) fn versions(&self, wanted: impl Fn(&Sealed) -> bool) -> Option<Sealed> {
        lock(&self.versions).iter().rev().find(|sealed| wanted(sealed)).cloned()
    }
}

/// Normal memory as the hypervisor reaches it.
pub(super) struct ToyHost {
    pub(super) memory: HostMemory,
    /// Pages that it cannot reach.
    pub(super) held: Mutex<BTreeSet<u64>>,
    /// Pages that it wrote.
    pub(super) written: Mutex<BTreeSet<u64>>,
}

impl NormalMemory for ToyHost {
    fn read(&self, at: HostAddr, into: &mut [u8]) -> Result<(), AccessError> {
        self.check(at, into.len() as u64)?;
        self.memory.read(at, into)
    }

    fn write(&self, at: HostAddr, from: &[u8]) -> Result<(), AccessError> {
        self.check(at, from.len() as u64)?;
        lock(&self.written).insert(at.0 >> PAGE_SIZE.shift());
        self.memory.write(at, from)
    }

    fn check(&self, at: HostAddr, len: u64) -> Result<(), AccessError> {
        if lock(&self.held).contains(&(at.0 >> PAGE_SIZE.shift())) {
            return Err(AccessError::Secure { at });
        }
        self.memory.check(at, len)
    }
}
