//! CONV_TO_SEC_STOR: import, a guest page becomes secure.
//!
//! | # | check | result |
//! |---|---|---|
//! | 1 | the handle is a whole configuration's | rc 0x0020, rc 0x01f0 (UNSURE) |
//! | 2 | the address is in guest storage and page aligned | rc 0x01f4 (UNSURE) |
//! | 3 | no dump is in progress: the tweaks that were told have to stay true | rc 0x01f0 (UNSURE); cc 2 while a dump call is at work |
//! | 4 | the page is mapped, writable | rc 0x010a |
//! | 5 | … by a 4 KiB entry (1 MiB with feature bit 6) | rc 0x01f4 (UNSURE) |
//! | 6 | the frame exists | rc 0x0032 |
//! | 7 | nobody else is changing frame or page | cc 2 |
//! | 8 | the page is secure or shared in this frame already | success, nothing is done (UNSURE: rc 0x0104 exists and means this; Linux ends the guest with it, and two CPUs that take 0x3e for one page would) |
//! | 9 | the frame belongs to nobody else (a shared frame of another configuration is taken over with feature bit 0), the page is in no other frame | rc 0x01f3 (UNSURE) |
//! | 10 | exported before: the content is the newest that was exported for this page of this guest | rc 0x01f1 (UNSURE) |
//!
//! A page that never was secure is zero afterwards. A page that was shared when it was exported is shared again, with the
//! content that the frame has.

use crate::abi::uvc::UvRc;
use crate::abi::uvcb::ConvertTo;
use crate::sim::answer::{Answer, Refusal};
use crate::sim::machine::Machine;

pub(in crate::sim) fn import(machine: &Machine, block: &mut ConvertTo) -> Answer {
    let conf = machine.conf(block.guest_handle.get())?;
    let _open = conf.open_whole()?;
    let (addr, gfn) = conf.seen_page(block.gaddr.get()).ok_or(UvRc::ADDRESS)?;
    // Held to the end: a dump that begins now finds the page where it is then.
    let dump = conf.dump.try_read().ok_or(Refusal::Busy)?;
    if dump.is_some() {
        return Err(UvRc::STATE.into());
    }
    let frame = machine.import_frame(&conf, addr)?;
    let frame = machine.storage.claim(frame)?;
    machine.import(&conf, gfn, &frame)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::sie::{HostMapping, MappingSize};
    use crate::abi::uvcb::UvCommand;
    use crate::sim::Generation;
    use crate::sim::rig::{GIB, GUEST_LEN, Guest, MIB, OK, Rig, refused};
    use uv_core::{HostAddr, NormalMemory};

    fn map(guest: &Guest, addr: u64, frame: u64, writable: bool, size: MappingSize) {
        let mapping = HostMapping { frame: HostAddr(frame), writable, size };
        guest.tables.moved.lock().insert(addr, Some(mapping));
    }

    #[test]
    fn codes_in_their_order() {
        let rig = Rig::ready(Generation::Z16);
        let guest = rig.guest(0);
        let handle = |handle| rig.call(&mut ConvertTo::new(UvCommand::CONV_TO_SEC_STOR, handle, 0));
        assert_eq!(handle(guest.conf ^ 1), refused(UvRc::INVALID_CONF_HANDLE));
        assert_eq!(rig.import(&guest, GUEST_LEN), refused(UvRc::ADDRESS));
        assert_eq!(rig.import(&guest, 0x1008), refused(UvRc::ADDRESS));
        guest.tables.moved.lock().insert(0x1000, None);
        assert_eq!(rig.import(&guest, 0x1000), refused(UvRc::NOT_MAPPED));
        map(&guest, 0x1000, guest.base, false, MappingSize::Page);
        assert_eq!(rig.import(&guest, 0x1000), refused(UvRc::NOT_MAPPED));
        map(&guest, 0x1000, guest.base, true, MappingSize::Segment);
        assert_eq!(rig.import(&guest, 0x1000), refused(UvRc::ADDRESS), "no large frames on z16");
        map(&guest, 0x1000, 4 * GIB, true, MappingSize::Page);
        assert_eq!(rig.import(&guest, 0x1000), refused(UvRc::INVALID_ABSOLUTE));
        let donated = guest.create.conf_base_stor_origin.get();
        map(&guest, 0x1000, donated, true, MappingSize::Page);
        assert_eq!(rig.import(&guest, 0x1000), refused(UvRc::FOREIGN_FRAME));
        map(&guest, 0x1000, guest.base + 0x1000, true, MappingSize::Page);
        assert_eq!(rig.import(&guest, 0x1000), OK);
        assert_eq!(rig.import(&guest, 0x1000), OK, "secure already: nothing to do");
        map(&guest, 0x2000, guest.base + 0x1000, true, MappingSize::Page);
        assert_eq!(rig.import(&guest, 0x2000), refused(UvRc::FOREIGN_FRAME), "the frame is another page's");
        map(&guest, 0x1000, guest.base + 0x9000, true, MappingSize::Page);
        assert_eq!(rig.import(&guest, 0x1000), refused(UvRc::FOREIGN_FRAME), "the page is in another frame");
        let other = rig.guest(1);
        map(&other, 0, guest.base + 0x1000, true, MappingSize::Page);
        assert_eq!(rig.import(&other, 0), refused(UvRc::FOREIGN_FRAME), "the frame is another guest's");
    }

    #[test]
    fn a_frame_being_changed_is_busy() {
        let rig = Rig::ready(Generation::Z17);
        let guest = rig.guest(0);
        let claim = rig.machine.storage.claim(HostAddr(guest.base)).unwrap();
        let busy = (crate::abi::uvc::Cc::Busy, UvRc(0), crate::abi::uvc::UvRrc(0));
        assert_eq!(rig.import(&guest, 0), busy);
        assert_eq!(rig.export(guest.base), busy);
        drop(claim);
        assert_eq!(rig.import(&guest, 0), OK);
    }

    #[test]
    fn exported_pages_cannot_be_swapped_replayed_or_moved() {
        let rig = Rig::ready(Generation::Z17);
        let (guest, other) = (rig.guest(0), rig.guest(1));
        for guest in [&guest, &other] {
            assert_eq!((rig.import(guest, 0), rig.import(guest, 0x1000)), (OK, OK));
            assert_eq!((rig.export(guest.base), rig.export(guest.base + 0x1000)), (OK, OK));
        }
        let read = |at: u64| {
            let mut page = [0; 4096];
            rig.host.read(HostAddr(at), &mut page).unwrap();
            page
        };
        let write = |at: u64, page: &[u8; 4096]| rig.host.write(HostAddr(at), page).unwrap();
        let integrity = refused(UvRc::STORAGE_INTEGRITY);
        let (zero, one, foreign) = (read(guest.base), read(guest.base + 0x1000), read(other.base));
        write(guest.base, &one);
        assert_eq!(rig.import(&guest, 0), integrity, "another page");
        write(guest.base, &foreign);
        assert_eq!(rig.import(&guest, 0), integrity, "another guest");
        let mut bit = zero;
        bit[77] ^= 1;
        write(guest.base, &bit);
        assert_eq!(rig.import(&guest, 0), integrity, "one bit");
        write(guest.base, &zero);
        assert_eq!(rig.import(&guest, 0), OK, "the right one is still taken");
        assert_eq!(rig.export(guest.base), OK);
        write(guest.base, &zero);
        assert_eq!(rig.import(&guest, 0), integrity, "an older version");
    }

    #[test]
    fn addresses_are_seen_through_the_asce() {
        let rig = Rig::ready(Generation::Z17);
        let mut block = rig.create_block(0);
        block.guest_stor_origin = (2 * MIB).into();
        assert_eq!(rig.call(&mut block), OK);
        let guest = Guest { conf: block.guest_handle.get(), create: block, ..rig.guest(1) };
        assert_eq!(rig.import(&guest, MIB), refused(UvRc::ADDRESS), "below MSO");
        assert_eq!(rig.import(&guest, 2 * MIB), refused(UvRc::NOT_MAPPED), "nothing is attached to this ASCE");
    }
}
