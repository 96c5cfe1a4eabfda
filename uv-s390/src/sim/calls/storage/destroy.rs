//! DESTR_SEC_STOR: a secure page is gone, the host gets its frame zeroed.
//!
//! | # | check | result |
//! |---|---|---|
//! | 1 | the address is that of a frame; where it is host virtual ([`FrameAddress`](crate::sim::FrameAddress)): it is mapped | rc 0x0032; rc 0x0030, 0x0031 |
//! | 2 | nobody else is changing frame or page | cc 2 |
//! | 3 | the frame is not donated storage | rc 0x01f3 (UNSURE) |
//! | 4 | the frame is secure | z15: rc 0x0107 rrc 0x000d; later: success, nothing done |

use crate::abi::uvc::{UvRc, UvRrc};
use crate::abi::uvcb::ConvertFrom;
use crate::sim::answer::{Answer, Refusal};
use crate::sim::frames::Frame;
use crate::sim::machine::Machine;
use crate::sim::profile::Generation;

pub(in crate::sim) fn destroy(machine: &Machine, block: &mut ConvertFrom) -> Answer {
    let frame = machine.claim_named(block.paddr.get())?;
    match (frame.old(), machine.generation) {
        (Frame::Normal, Generation::Z15) => Err(Refusal::code(UvRc::NOT_SECURE, UvRrc::NOT_SECURE)),
        (Frame::Normal, _) => Ok(()),
        _ => machine.destroy(&frame),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::uvc::Cc;
    use crate::abi::uvcb::UvCommand;
    use crate::sim::rig::{OK, Rig, refused};
    use uv_core::{HostAddr, NormalMemory};

    #[test]
    fn the_frame_is_zero_and_the_content_gone() {
        let rig = Rig::ready(Generation::Z17);
        let guest = rig.guest(0);
        rig.unpacked(&guest, crate::abi::se_header::PlaintextControlFlags::PCKMO);
        let at = guest.base + crate::sim::rig::COMPONENT;
        let destroy = |at| rig.storage(UvCommand::DESTR_SEC_STOR, at);
        assert_eq!(destroy(at), OK);
        let mut page = [1; 4096];
        rig.host.read(HostAddr(at), &mut page).unwrap();
        assert_eq!(page, [0; 4096]);
        assert_eq!(destroy(at), OK, "not secure any more: nothing to do");
        assert_eq!(rig.import(&guest, crate::sim::rig::COMPONENT), OK);
        assert_eq!(destroy(guest.create.conf_base_stor_origin.get()), refused(UvRc::FOREIGN_FRAME));
        assert_eq!(destroy(1), refused(UvRc::INVALID_ABSOLUTE));
    }

    #[test]
    fn older_machines_say_that_there_was_nothing() {
        let rig = Rig::ready(Generation::Z15);
        let guest = rig.guest(0);
        let nothing = (Cc::Error, UvRc(0x107), UvRrc(0xd));
        assert_eq!(rig.storage(UvCommand::DESTR_SEC_STOR, guest.base), nothing);
        assert_eq!(rig.import(&guest, 0), OK);
        assert_eq!(rig.storage(UvCommand::DESTR_SEC_STOR, guest.base), OK);
        assert_eq!(rig.storage(UvCommand::DESTR_SEC_STOR, guest.base), nothing);
    }
}
