//! UNPACK_IMG: one page of the image becomes secure, measured and deciphered.
//!
//! | # | check | result |
//! |---|---|---|
//! | 1 | the handle is a whole configuration's | rc 0x0020, rc 0x01f0 (UNSURE) |
//! | 2 | a header was taken, the image is not verified yet | rc 0x01f0 (UNSURE) |
//! | 3 | the address is in guest storage and page aligned | rc 0x01f4 (UNSURE) |
//! | 4 | the page is mapped, writable | rc 0x010a |
//! | 5 | … by a 4 KiB entry (1 MiB with feature bit 6) | rc 0x01f4 (UNSURE) |
//! | 6 | the frame exists | rc 0x0032 |
//! | 7 | nobody else is changing frame or page, or unpacking for this configuration | cc 2 |
//! | 8 | the page was never secure | rc 0x0104 (UNSURE) |
//! | 9 | the frame belongs to nobody | rc 0x01f3 (UNSURE) |
//!
//! A page that was refused counts in no digest.

use core::sync::atomic::Ordering;

use crate::abi::se_header::PlaintextControlFlags;
use crate::abi::uvc::UvRc;
use crate::abi::uvcb::Unpack;
use crate::owner::image::PageHasher;
use crate::sim::answer::{Answer, Refusal};
use crate::sim::conf::{Image, Phase};
use crate::sim::frames::Frame;
use crate::sim::machine::Machine;
use uv_core::{GuestAddr, PageRange, PageState};

pub(in crate::sim) fn unpack(machine: &Machine, block: &mut Unpack) -> Answer {
    let conf = machine.conf(block.guest_handle.get())?;
    let _open = conf.open_whole()?;
    let mut turn = conf.measure.turn().ok_or(Refusal::Busy)?;
    if conf.life.lock().phase != Phase::Unpacking {
        return Err(UvRc::STATE.into());
    }
    let image = conf.image.read().clone().ok_or(UvRc::STATE)?;
    let addr = GuestAddr(block.gaddr.get());
    let gfn = conf.gfn(addr).filter(|_| addr.0 & 0xfff == 0).ok_or(UvRc::ADDRESS)?;
    let frame = machine.import_frame(&conf, addr)?;
    let frame = machine.storage.claim(frame)?;
    if conf.space.state(gfn)? != PageState::Absent {
        return Err(UvRc::ALREADY_SECURE.into());
    }
    if frame.old() != Frame::Normal {
        return Err(UvRc::FOREIGN_FRAME.into());
    }
    let mut tweak = [0; 16];
    tweak[..8].copy_from_slice(&block.tweak[0].to_bytes());
    tweak[8..].copy_from_slice(&block.tweak[1].to_bytes());
    let helped = machine.helped.load(Ordering::Relaxed);
    let plain = image.header.pcf().contains(PlaintextControlFlags::NO_COMPONENT_ENCRYPTION);
    let filled = conf.space.fill_from(PageRange::from(gfn), &machine.storage.bytes, frame.at(), |_, stored, pages| {
        for (stored, page) in stored.iter().zip(pages) {
            let bytes = <&[u8; 4096]>::try_from(*stored).map_err(|_| Refusal::from(UvRc::STATE))?;
            turn.page(bytes, addr.0, tweak, helped);
            if plain {
                page.copy_from_slice(bytes);
            } else {
                image.cipher.key().decrypt_page(tweak, bytes, page).map_err(|_| Refusal::from(UvRc::STATE))?;
            }
        }
        Ok::<(), Refusal>(())
    });
    filled.map_err(|error| error.error)?;
    frame.set(Frame::Secure(conf.id, gfn));
    Ok(())
}

/// Measures a page of the image and makes it what the guest sees.
pub(in crate::sim) fn decipher(
    image: &Image,
    hasher: &mut PageHasher,
    page: &mut [u8],
    address: u64,
    tweak: [u8; 16],
) -> Answer {
    let stored = <&[u8; 4096]>::try_from(&*page).map_err(|_| UvRc::STATE)?;
    hasher.page(stored, address, &tweak);
    if !image.header.pcf().contains(PlaintextControlFlags::NO_COMPONENT_ENCRYPTION) {
        image.cipher.key().decrypt_page_in_place(tweak, page).map_err(|_| UvRc::STATE)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use uv_core::HostAddr;

    use crate::abi::sie::{HostMapping, MappingSize};
    use crate::abi::uvcb::UvCommand;
    use crate::sim::Generation;
    use crate::sim::calls::tests::check;
    use crate::sim::rig::{COMPONENT, GUEST_LEN, Guest, OK, Rig, refused};

    fn header(rig: &Rig, guest: &Guest) {
        let (header, _) = rig.image(&[&rig.machine.host_key], PlaintextControlFlags::PCKMO);
        assert_eq!(rig.set_params(guest, header.as_bytes()), OK);
    }

    #[test]
    fn codes_in_their_order() {
        let rig = Rig::ready(Generation::Z17);
        let guest = rig.guest(0);
        let with = |change: &dyn Fn(&mut Unpack)| {
            let mut block = rig.unpack_block(&guest, 0);
            change(&mut block);
            rig.call(&mut block)
        };
        let bad_handle = |b: &mut Unpack| b.guest_handle = (guest.conf ^ 2).into();
        assert_eq!(with(&bad_handle), refused(UvRc::INVALID_CONF_HANDLE));
        assert_eq!(with(&|_| ()), refused(UvRc::STATE), "no header");
        header(&rig, &guest);
        assert_eq!(with(&|b| b.gaddr = GUEST_LEN.into()), refused(UvRc::ADDRESS));
        assert_eq!(with(&|b| b.gaddr = 0x3001.into()), refused(UvRc::ADDRESS));
        guest.tables.moved.lock().insert(COMPONENT, None);
        assert_eq!(with(&|_| ()), refused(UvRc::NOT_MAPPED));
        guest.tables.moved.lock().clear();
        assert_eq!(with(&|_| ()), OK);
        assert_eq!(with(&|_| ()), refused(UvRc::ALREADY_SECURE));
        assert_eq!(rig.export(guest.base + COMPONENT), OK);
        assert_eq!(with(&|_| ()), refused(UvRc::ALREADY_SECURE), "exported is not new");
        let other = rig.guest(1);
        rig.verified(&other);
        assert_eq!(rig.call(&mut rig.unpack_block(&other, 2)), refused(UvRc::STATE), "after verify");
    }

    #[test]
    fn an_image_that_is_not_encrypted_is_taken_as_it_is() {
        let rig = Rig::ready(Generation::Z17);
        let guest = rig.guest(0);
        let cpu = rig.cpu(&guest, 0);
        let pcf = PlaintextControlFlags::PCKMO | PlaintextControlFlags::NO_COMPONENT_ENCRYPTION;
        let (_, stored) = rig.image(&[&rig.machine.host_key], pcf);
        rig.unpacked(&guest, pcf);
        assert_eq!(rig.no_data(UvCommand::VERIFY_IMG, guest.conf), OK);
        let seen = rig.script(cpu, [uv_sim::guest::Step::load(uv_core::GuestAddr(COMPONENT), 0x2000)]);
        assert_eq!(rig.set_state(cpu, crate::abi::uvcb::CpuState::OPERATING_LOAD), OK);
        assert_eq!([rig.import(&guest, 0), rig.import(&guest, 0x1000)], [OK; 2]);
        rig.serve(&guest, cpu);
        assert_eq!(crate::sim::rig::loaded(&seen.lock()[0]), stored);
    }

    #[test]
    fn frames_of_others_are_not_unpacked_into() {
        let rig = Rig::ready(Generation::Z17);
        let (guest, other) = (rig.guest(0), rig.guest(1));
        header(&rig, &guest);
        assert_eq!([rig.import(&other, 0), rig.import(&guest, 0)], [OK, OK]);
        let donated = other.create.conf_base_stor_origin.get();
        for frame in [other.base, guest.base, donated] {
            let mapping = HostMapping { frame: HostAddr(frame), writable: true, size: MappingSize::Page };
            guest.tables.moved.lock().insert(COMPONENT, Some(mapping));
            assert_eq!(rig.call(&mut rig.unpack_block(&guest, 0)), refused(UvRc::FOREIGN_FRAME), "{frame:#x}");
            assert!(rig.is_closed(frame));
        }
        check(&rig);
        guest.tables.moved.lock().clear();
        assert_eq!(rig.call(&mut rig.unpack_block(&guest, 0)), OK);
        assert_eq!(rig.machine.secure_frames_in_use(), 3);
    }

    #[test]
    fn verify_names_the_first_difference() {
        let rig = Rig::ready(Generation::Z17);
        let mut n = 0;
        let mut verify = |pages: &[(u64, u64, u64)], flip: bool| {
            let guest = rig.guest(n);
            n += 1;
            assert_eq!(rig.no_data(UvCommand::VERIFY_IMG, guest.conf), refused(UvRc::STATE), "no header");
            header(&rig, &guest);
            let (_, mut stored) = rig.image(&[&rig.machine.host_key], PlaintextControlFlags::PCKMO);
            stored[5000] ^= u8::from(flip);
            uv_core::NormalMemory::write(&rig.host, uv_core::HostAddr(guest.base + COMPONENT), &stored).unwrap();
            for (page, prefix, offset) in pages {
                let mut block = rig.unpack_block(&guest, *page);
                block.tweak[0] = (block.tweak[0].get() ^ prefix).into();
                block.tweak[1] = (block.tweak[1].get() ^ offset).into();
                assert_eq!(rig.call(&mut block), OK);
            }
            let codes = rig.no_data(UvCommand::VERIFY_IMG, guest.conf);
            let again = rig.no_data(UvCommand::VERIFY_IMG, guest.conf);
            assert_eq!(again, refused(UvRc::STATE), "once");
            (codes.1.0, codes.2.0)
        };
        assert_eq!(verify(&[(0, 0, 0), (1, 0, 0)], false), (1, 0));
        assert_eq!(verify(&[(0, 0, 0), (1, 0, 0)], true), (0x102, 0x1b));
        assert_eq!(verify(&[(1, 0, 0), (0, 0, 0)], false), (0x102, 0x1a));
        assert_eq!(verify(&[(0, 0, 0)], false), (0x102, 0x1a));
        assert_eq!(verify(&[(0, 1, 0), (1, 0, 0)], false), (0x102, 0x1c));
        assert_eq!(verify(&[(0, 0, 0), (1, 0, 0x1000)], false), (0x102, 0x1c));
    }
}
