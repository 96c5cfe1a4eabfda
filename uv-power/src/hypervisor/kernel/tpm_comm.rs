//! `H_SVM_TPM_COMM`: the ultravisor talks to the host's TPM through a device of user space (power-pef §4.7).
//!
//! R4 operation; for operation 1: R5 address and R6 length of the command, R7 address and R8 length of the buffer for the response; R4 → length
//! of the response.
//!
//! | # | condition | result |
//! |---|---|---|
//! | 1 | no device | `H_FUNCTION` |
//! | 2 | operation not 1 (execute) or 2 (close) | `H_PARAMETER` |
//! | 3 | command longer than 4096 bytes | `H_P3` |
//! | 4 | response buffer shorter than 4096 bytes | `H_P5` |
//! | 5 | the TPM cannot be opened, written or read; the ultravisor does not give a page of a buffer | `H_RESOURCE` |
//! | 6 | else | `H_SUCCESS` |
//!
//! Addresses are not judged, though `H_P2` and `H_P4` are documented: where there is no memory zeros are read and nothing is
//! written. The four highest bits of an address do not count.

use alloc::{boxed::Box, vec::Vec};
use core::ops::Range;

use uv_core::{GuestAddr, HostAddr};

use super::Vm;
use crate::abi::codes::HvCode;
use crate::abi::tpm::{HostTpm, TPM_BUFFER, TPM_CLOSE, TPM_EXECUTE, TpmError};

/// Bits of an address that count.
const REAL: u64 = u64::MAX >> 4;

/// Serves the call: result, and the length of the response for R4.
pub fn tpm_comm(vm: &Vm, tpm: Option<&mut dyn HostTpm>, args: [u64; 5]) -> (HvCode, u64) {
    let Some(tpm) = tpm else { return (HvCode::H_FUNCTION, 0) };
    let [operation, command, command_len, response, response_len] = args;
    match operation {
        TPM_EXECUTE => match execute(vm, tpm, (command, command_len), (response, response_len)) {
            Ok(len) => (HvCode::H_SUCCESS, len),
            Err(code) => (code, 0),
        },
        TPM_CLOSE => {
            tpm.close();
            (HvCode::H_SUCCESS, 0)
        }
        _ => (HvCode::H_PARAMETER, 0),
    }
}

impl Vm {
    /// `-device spapr-tpm-proxy`: virtual CPUs of the VM serve `H_SVM_TPM_COMM` with this TPM. Without one the call goes to
    /// the user, and gets `H_FUNCTION` while the guest enters secure mode.
    pub fn attach_tpm(&self, tpm: Box<dyn HostTpm>) {
        *self.tpm.lock() = Some(tpm);
    }

    pub(super) fn has_tpm(&self) -> bool {
        self.tpm.lock().is_some()
    }

    /// [`tpm_comm`] with the VM's own TPM.
    pub(super) fn tpm_comm(&self, args: [u64; 5]) -> (HvCode, u64) {
        let mut tpm = self.tpm.lock();
        match tpm.as_deref_mut() {
            Some(tpm) => tpm_comm(self, Some(tpm), args),
            None => tpm_comm(self, None, args),
        }
    }
}

fn execute(vm: &Vm, tpm: &mut dyn HostTpm, command: (u64, u64), response: (u64, u64)) -> Result<u64, HvCode> {
    if command.1 > TPM_BUFFER {
        return Err(HvCode::H_P3);
    }
    if response.1 < TPM_BUFFER {
        return Err(HvCode::H_P5);
    }
    let len = usize::try_from(command.1).map_err(|_| HvCode::H_P3)?;
    let mut sent = alloc::vec![0; len];
    let mut got = alloc::vec![0; 4096];
    for (from, part) in parts(vm, command.0, len)? {
        // Memory that is not there reads as zeros.
        if let (Some(from), Some(part)) = (from, sent.get_mut(part)) {
            let _ = vm.host.memory.read(from, part);
        }
    }
    let len = tpm.execute(&sent, &mut got).map_err(|TpmError| HvCode::H_RESOURCE)?;
    let bytes = got.get(..len).ok_or(HvCode::H_RESOURCE)?;
    for (into, part) in parts(vm, response.0, len)? {
        if let (Some(into), Some(part)) = (into, bytes.get(part)) {
            let _ = vm.host.memory.write(into, part);
        }
    }
    Ok(bytes.len() as u64)
}

/// Where a part of a buffer lies for the host, if anywhere, and which bytes of the buffer it is.
type Part = (Option<HostAddr>, Range<usize>);

/// A buffer page by page. Secure pages come out first, so that the host finds ciphertext.
///
/// # Errors
/// `H_RESOURCE` when the ultravisor keeps a page: the access would end in `SIGBUS`.
fn parts(vm: &Vm, at: u64, len: usize) -> Result<Vec<Part>, HvCode> {
    let mut parts = Vec::new();
    let mut done = 0;
    while done < len {
        let at = GuestAddr((at & REAL) + done as u64);
        let room = usize::try_from(Vm::PAGE_SIZE.size() - Vm::PAGE_SIZE.offset(at.0)).unwrap_or(len);
        let end = len.min(done.saturating_add(room));
        if vm.host_addr(at).is_some() {
            vm.host_touches(Vm::PAGE_SIZE.gfn(at)).map_err(|_| HvCode::H_RESOURCE)?;
        }
        // Coming out may have given the page another place.
        parts.push((vm.host_addr(at), done..end));
        done = end;
    }
    Ok(parts)
}
