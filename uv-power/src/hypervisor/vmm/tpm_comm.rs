//! `H_SVM_TPM_COMM`: the ultravisor talks to the host's TPM through a device of user space (power-pef §4.7).
//!
//! R4 operation; for operation 1: R5 address and R6 length of the command, R7 address and R8 length of the buffer for the response; R4 → length
//! of the response.
//!
//! | # | condition | result |
//! |---|---|---|
//! | 1 | no device | `H_FUNCTION` |
//! | 2 | operation not 1 (execute) or 2 (close) | `H_PARAMETER` |
//! | 3 | command not in guest memory | `H_P2` |
//! | 4 | command longer than 4096 bytes | `H_P3` |
//! | 5 | response buffer not in guest memory | `H_P4` |
//! | 6 | response buffer shorter than 4096 bytes | `H_P5` |
//! | 7 | the TPM cannot be opened, written or read | `H_RESOURCE` |
//! | 8 | else | `H_SUCCESS` |
//!
//! Checks 3 and 5 are documented; where the device makes them was not seen, so they stand in the order of the registers. Lengths
//! are judged as they are given, addresses for the bytes that are then used.

use uv_core::{GuestAddr, HostAddr};

use crate::abi::codes::HvCode;
use crate::hypervisor::kernel::Vm;

/// Bytes of the ultravisor's buffer: the longest command, and the least room for a response.
pub const TPM_BUFFER: u64 = 4096;

const EXECUTE: u64 = 1;
const CLOSE: u64 = 2;

/// The host's TPM did not work. What the ultravisor gets to know of it is `H_RESOURCE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the host's TPM cannot be used")]
pub struct TpmError;

/// The host's TPM resource manager, `host-path` of the device.
pub trait HostTpm {
    /// Sends a command and reads the response; gives its length. Opens the TPM at the first command.
    ///
    /// # Errors
    /// [`TpmError`] when it cannot be opened, written or read.
    fn execute(&mut self, command: &[u8], response: &mut [u8]) -> Result<usize, TpmError>;

    /// Closes the TPM; the next command opens it again.
    fn close(&mut self);
}

/// Serves the call: result, and the length of the response for R4.
pub fn tpm_comm(vm: &Vm, tpm: Option<&mut dyn HostTpm>, args: [u64; 5]) -> (HvCode, u64) {
    let Some(tpm) = tpm else { return (HvCode::H_FUNCTION, 0) };
    let [operation, command, command_len, response, response_len] = args;
    match operation {
        EXECUTE => match execute(vm, tpm, (command, command_len), (response, response_len)) {
            Ok(len) => (HvCode::H_SUCCESS, len),
            Err(code) => (code, 0),
        },
        CLOSE => {
            tpm.close();
            (HvCode::H_SUCCESS, 0)
        }
        _ => (HvCode::H_PARAMETER, 0),
    }
}

fn execute(vm: &Vm, tpm: &mut dyn HostTpm, command: (u64, u64), response: (u64, u64)) -> Result<u64, HvCode> {
    let from = buffer(vm, command.0, command.1.min(TPM_BUFFER)).ok_or(HvCode::H_P2)?;
    if command.1 > TPM_BUFFER {
        return Err(HvCode::H_P3);
    }
    let into = buffer(vm, response.0, TPM_BUFFER).ok_or(HvCode::H_P4)?;
    if response.1 < TPM_BUFFER {
        return Err(HvCode::H_P5);
    }
    let len = usize::try_from(command.1).map_err(|_| HvCode::H_P3)?;
    let mut sent = alloc::vec![0; len];
    let mut got = alloc::vec![0; 4096];
    vm.host.memory.read(from, &mut sent).map_err(|_| HvCode::H_P2)?;
    let len = tpm.execute(&sent, &mut got).map_err(|TpmError| HvCode::H_RESOURCE)?;
    let bytes = got.get(..len).ok_or(HvCode::H_RESOURCE)?;
    vm.host.memory.write(into, bytes).map_err(|_| HvCode::H_P4)?;
    Ok(bytes.len() as u64)
}

/// Where guest memory lies for the host: inside one page, and touched, so that a secure page is ciphertext.
fn buffer(vm: &Vm, at: u64, len: u64) -> Option<HostAddr> {
    let at = GuestAddr(at);
    if Vm::PAGE_SIZE.offset(at.0) + len > Vm::PAGE_SIZE.size() {
        return None;
    }
    vm.host_touches(Vm::PAGE_SIZE.gfn(at)).ok()?;
    vm.slots.read().host_addr(at)
}
