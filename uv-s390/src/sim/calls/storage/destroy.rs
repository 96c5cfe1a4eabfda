//! DESTR_SEC_STOR: a secure page is gone, the host gets its frame zeroed.
//!
//! | # | check | result |
//! |---|---|---|
//! | 1 | the address is that of a frame | rc 0x0032 |
//! | 2 | nobody else is changing frame or page | cc 2 |
//! | 3 | the frame is not donated storage | rc 0x01f3 (UNSURE) |
//! | 4 | the frame is secure | z15: rc 0x0107 rrc 0x000d; later: success, nothing done |

use uv_core::HostAddr;

use crate::abi::ConvertFrom;
use crate::sim::answer::{Answer, Refusal};
use crate::sim::frames::Frame;
use crate::sim::machine::Machine;
use crate::sim::profile::Generation;
use crate::uvc::{UvRc, UvRrc};

pub(in crate::sim) fn destroy(machine: &Machine, block: &mut ConvertFrom) -> Answer {
    let frame = machine.storage.frames.claim(HostAddr(block.paddr.get()))?;
    match (frame.old(), machine.generation) {
        (Frame::Normal, Generation::Z15) => Err(Refusal::code(UvRc::NOT_SECURE, UvRrc::NOT_SECURE)),
        (Frame::Normal, _) => Ok(()),
        _ => machine.destroy(&frame),
    }
}
