//! Machine checks with a registered address (power-pef §9.4).
//!
//! The hypervisor puts a log into its own page of the RTAS area; the ultravisor copies what it understands of it into the
//! guest's page. Layout of the log (its field numbers are not confirmed by a source): 8 bytes of the guest's R3, then
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 1 | version, 6 |
//! | 4 | 4 | bytes of the extended part |
//! | 8 + 2 | 1 | low nibble: format, 14 |
//! | 8 + 12 | 4 | company, "IBM" NUL |
//! | 8 + 16 … | | sections {id 2, length 2, version, subtype, creator 2, content} |
//!
//! Only the section "MC" is copied; the effective address at byte 24 of it is filled in.

use alloc::vec::Vec;

use uv_core::{GuestAddr, HostAddr, PageSize};
use uv_sim::GuestFault;

use super::super::inner::Inner;
use super::super::svm::Svm;
use super::super::vcpu::state::VcpuState;
use super::super::vectors;
use crate::abi::regs::Spr;

/// Bytes of a log that are looked at.
const LONGEST: usize = 4096;
const HEADER: usize = 8;
const SECTIONS: usize = HEADER + 16;
const EFFECTIVE_ADDRESS: usize = 24;

impl Svm {
    /// Where the guest wants its machine checks.
    pub(crate) fn machine_check_vector(&self) -> u64 {
        self.rtas.read().as_ref().and_then(|rtas| rtas.machine_check).unwrap_or(vectors::MACHINE_CHECK)
    }
}

/// Copies the log at guest address `at`, as the hypervisor named it; `false` for a malformed one. An address outside of
/// the RTAS data is ignored, and so is everything when the guest has not registered an address of its own.
pub(crate) fn copy_log(machine: &Inner, svm: &Svm, st: &mut VcpuState, at: u64, vector: u64) -> bool {
    let area = svm.rtas.read().as_ref().map(|rtas| (rtas.base, rtas.code, rtas.size));
    let Some((base, code, size)) = area.filter(|_| vector != vectors::MACHINE_CHECK) else { return true };
    let end = base.saturating_add(size);
    if at < base.saturating_add(code) || at >= end.saturating_sub(16) {
        return true;
    }
    let room = usize::try_from(end - at - 8).unwrap_or(LONGEST).min(LONGEST);
    let address = st.regs.spr.get(Spr::DAR).filter(|dar| *dar != 0).unwrap_or(st.regs.nip);
    let log = normal_bytes(machine, svm, at + 8, room).and_then(|bytes| rebuilt(&bytes, address));
    let Some(log) = log else { return false };
    let copy = [st.regs.gpr[3].to_be_bytes().as_slice(), &log].concat();
    // The page is the guest's frame; another CPU that changes its state is done at once.
    let written = loop {
        match svm.space.guest_write(&*machine.platform.memory, GuestAddr(at), &copy) {
            Err(GuestFault::Busy(_)) => core::hint::spin_loop(),
            written => break written,
        }
    };
    if written.is_err() {
        return false;
    }
    st.regs.gpr[3] = at;
    true
}

/// What the hypervisor's pages of the RTAS area hold.
fn normal_bytes(machine: &Inner, svm: &Svm, at: u64, len: usize) -> Option<Vec<u8>> {
    let mut bytes = alloc::vec![0; len];
    let mut done = 0;
    while done < len {
        let here = at.checked_add(done as u64)?;
        let gfn = PageSize::K64.gfn(GuestAddr(here));
        // Held: the hypervisor cannot take the page away while it is read.
        let _held = svm.hold(gfn)?;
        let page = svm.noted(gfn)?;
        let offset = PageSize::K64.offset(here);
        let take = usize::try_from(PageSize::K64.size() - offset).ok()?.min(len - done);
        machine.platform.memory.read(HostAddr(page.0 + offset), &mut bytes[done..done + take]).ok()?;
        done += take;
    }
    Some(bytes)
}

/// A log of header, extended header and the "MC" section, with the effective address filled in.
fn rebuilt(log: &[u8], address: u64) -> Option<Vec<u8>> {
    let half = |at: usize| Some(usize::from(u16::from_be_bytes(log.get(at..at + 2)?.try_into().ok()?)));
    let extended = u32::from_be_bytes(log.get(4..8)?.try_into().ok()?);
    let end = usize::try_from(extended).ok()?.checked_add(HEADER)?;
    let known = log.first() == Some(&6) && log.get(10)? & 0xf == 14 && log.get(20..24)? == b"IBM\0";
    if !known || end > log.len() {
        return None;
    }
    let mut at = SECTIONS;
    while at + 8 <= end {
        let len = half(at + 2)?;
        if len < 8 || at + len > end {
            return None;
        }
        if log.get(at..at + 2)? == b"MC" {
            let mut section = log.get(at..at + len)?.to_vec();
            if let Some(field) = section.get_mut(EFFECTIVE_ADDRESS..EFFECTIVE_ADDRESS + 8) {
                field.copy_from_slice(&address.to_be_bytes());
            }
            let mut copy = log.get(..SECTIONS)?.to_vec();
            let bytes = u32::try_from(SECTIONS - HEADER + section.len()).ok()?;
            copy[4..8].copy_from_slice(&bytes.to_be_bytes());
            copy.append(&mut section);
            return Some(copy);
        }
        at += len;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(section: &[u8]) -> Vec<u8> {
        let mut log = alloc::vec![0; SECTIONS];
        log[0] = 6;
        log[10] = 14;
        log[20..24].copy_from_slice(b"IBM\0");
        log.extend_from_slice(section);
        let extended = u32::try_from(log.len() - HEADER).unwrap();
        log[4..8].copy_from_slice(&extended.to_be_bytes());
        log
    }

    #[test]
    fn only_the_machine_check_section_is_copied() {
        let mut sections = Vec::from(b"PH\0\x0c\0\0\0\0priv".as_slice());
        sections.extend_from_slice(b"MC\0\x20\0\0\0\0aaaabbbbccccddddeeeeeeee");
        let copy = rebuilt(&log(&sections), 0x1122).unwrap();
        assert_eq!(copy.len(), SECTIONS + 32);
        assert_eq!(copy[SECTIONS..SECTIONS + 2], *b"MC");
        assert_eq!(copy[SECTIONS + 24..], 0x1122_u64.to_be_bytes());
        assert!(!copy.windows(4).any(|w| w == b"priv"));
    }

    #[test]
    fn malformed_logs_are_refused() {
        let good = log(b"MC\0\x08\0\0\0\0");
        assert!(rebuilt(&good, 0).is_some());
        for (at, value) in
            [(0, 5), (10, 13), (20, b'X'), (4, 0xff), (SECTIONS + 3, 0xff), (SECTIONS + 3, 1), (SECTIONS, b'X')]
        {
            let mut bad = good.clone();
            bad[at] = value;
            assert!(rebuilt(&bad, 0).is_none(), "byte {at}");
        }
        assert!(rebuilt(&[], 0).is_none());
    }
}
