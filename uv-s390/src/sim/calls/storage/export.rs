//! CONV_FROM_SEC_STOR: export, the host gets its frame with ciphertext in it.
//!
//! | # | check | result |
//! |---|---|---|
//! | 1 | the address is that of a frame | rc 0x0032 |
//! | 2 | nobody else is changing frame or page | cc 2 |
//! | 3 | the frame is not donated storage | rc 0x01f3 (UNSURE) |
//!
//! A frame that is not secure is left alone, and that is success. A shared page is taken from the guest with its content in
//! clear; it stays shared. A frame of a configuration that was destroyed fast is zero afterwards.

use uv_core::HostAddr;

use crate::abi::ConvertFrom;
use crate::sim::answer::Answer;
use crate::sim::machine::Machine;

pub(in crate::sim) fn export(machine: &Machine, block: &mut ConvertFrom) -> Answer {
    let frame = machine.storage.frames.claim(HostAddr(block.paddr.get()))?;
    machine.export(&frame)
}
