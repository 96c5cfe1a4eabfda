//! CONV_FROM_SEC_STOR: export, the host gets its frame with ciphertext in it.
//!
//! | # | check | result |
//! |---|---|---|
//! | 1 | the address is that of a frame; where it is host virtual ([`FrameAddress`](crate::sim::FrameAddress)): it is mapped | rc 0x0032; rc 0x0030, 0x0031 |
//! | 2 | nobody else is changing frame or page | cc 2 |
//! | 3 | the frame is not donated storage | rc 0x01f3 (UNSURE) |
//!
//! A frame that is not secure is left alone, and that is success. A shared page is taken from the guest with its content in
//! clear; it stays shared. A frame of a configuration that was destroyed fast is zero afterwards.

use crate::abi::uvcb::ConvertFrom;
use crate::sim::answer::Answer;
use crate::sim::machine::Machine;

pub(in crate::sim) fn export(machine: &Machine, block: &mut ConvertFrom) -> Answer {
    let frame = machine.claim_named(block.paddr.get())?;
    machine.export(&frame)
}

#[cfg(test)]
mod tests {
    use crate::abi::uvc::UvRc;
    use crate::sim::Generation;
    use crate::sim::rig::{GIB, OK, Rig, refused};

    #[test]
    fn codes() {
        let rig = Rig::ready(Generation::Z17);
        let guest = rig.guest(0);
        assert_eq!(rig.export(4 * GIB), refused(UvRc::INVALID_ABSOLUTE));
        assert_eq!(rig.export(guest.base + 8), refused(UvRc::INVALID_ABSOLUTE));
        assert_eq!(rig.export(guest.create.conf_base_stor_origin.get()), refused(UvRc::FOREIGN_FRAME));
        assert_eq!(rig.export(guest.base), OK, "not secure: nothing to do");
        assert_eq!(rig.import(&guest, 0), OK);
        assert!(rig.is_closed(guest.base));
        assert_eq!([rig.export(guest.base), rig.export(guest.base)], [OK, OK]);
        assert!(!rig.is_closed(guest.base));
    }
}
