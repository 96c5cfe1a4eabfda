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

use super::super::answer::Answer;
use super::super::machine::Machine;
use crate::abi::uvc::UvRc;

/// Writes an answer into the host's dump area, zeros behind it.
fn put(machine: &Machine, at: u64, len: u64, bytes: &[u8]) -> Answer {
    let len = usize::try_from(len).map_err(|_| UvRc::STATE)?;
    let mut area = alloc::vec![0; len.max(bytes.len())];
    area[..bytes.len()].copy_from_slice(bytes);
    Ok(machine.write_home(at, &area)?)
}

/// Whether the host's dump area can be written.
fn check_area(machine: &Machine, at: u64, len: u64) -> Answer {
    Ok(machine.check_home(at, len)?)
}
