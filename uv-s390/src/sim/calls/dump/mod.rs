//! Dump.

mod complete;
mod cpu;
mod init;
mod storage;

#[cfg(test)]
mod tests;

pub(in crate::sim) use complete::complete;
pub(in crate::sim) use cpu::cpu;
pub(in crate::sim) use init::init;
pub(in crate::sim) use storage::storage;

use alloc::sync::Arc;

use uv_core::{HostAddr, NormalMemory};

use super::super::answer::Answer;
use super::super::machine::Machine;
use super::super::memory::HostView;
use crate::crypto::Cck;
use crate::dump::DumpKey;
use crate::uvc::UvRc;

/// A dump that has begun.
pub(crate) struct Session {
    pub(crate) seed: [u8; 64],
    pub(crate) cck: Cck,
    pub(crate) key: DumpKey,
}

/// Writes an answer into the host's dump area, zeros behind it.
fn put(machine: &Machine, at: u64, len: u64, bytes: &[u8]) -> Answer {
    let host = HostView(Arc::clone(&machine.storage));
    let len = usize::try_from(len).map_err(|_| UvRc::STATE)?;
    let mut area = alloc::vec![0; len.max(bytes.len())];
    area[..bytes.len()].copy_from_slice(bytes);
    host.write(HostAddr(at), &area).map_err(|_| UvRc::INVALID_ABSOLUTE.into())
}

/// Whether the host's dump area can be written.
fn check_area(machine: &Machine, at: u64, len: u64) -> Answer {
    machine.storage.host_check(HostAddr(at), len).map_err(|_| UvRc::INVALID_ABSOLUTE.into())
}
