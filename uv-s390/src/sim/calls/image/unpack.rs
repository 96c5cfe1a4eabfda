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
//! | 8 | the page was never secure, the frame is nobody's | rc 0x0104 (UNSURE) |
//! | 9 | the machine can hold one more secure page | rc 0x01f2 (this machine's own) |
//!
//! A page that was refused counts in no digest.

use uv_core::{GuestAddr, PageRange, PageState};

use crate::abi::Unpack;
use crate::header::PlaintextControlFlags;
use crate::sim::answer::{Answer, Refusal};
use crate::sim::conf::Phase;
use crate::sim::frames::Frame;
use crate::sim::machine::Machine;
use crate::uvc::UvRc;

pub(in crate::sim) fn unpack(machine: &Machine, block: &mut Unpack) -> Answer {
    let conf = machine.conf(block.guest_handle.get())?;
    let _open = conf.open_whole()?;
    let mut hasher = conf.hasher.try_lock().ok_or(Refusal::Busy)?;
    if conf.life.lock().phase != Phase::Unpacking {
        return Err(UvRc::STATE.into());
    }
    let image = conf.image.read().clone().ok_or(UvRc::STATE)?;
    let addr = GuestAddr(block.gaddr.get());
    let gfn = conf.gfn(addr).filter(|_| addr.0 & 0xfff == 0).ok_or(UvRc::ADDRESS)?;
    let frame = machine.import_frame(&conf, addr)?;
    let frame = machine.storage.frames.claim(frame)?;
    if frame.old() != Frame::Normal || conf.space.state(gfn)? != PageState::Absent {
        return Err(UvRc::ALREADY_SECURE.into());
    }
    let mut tweak = [0; 16];
    tweak[..8].copy_from_slice(&block.tweak[0].to_bytes());
    tweak[8..].copy_from_slice(&block.tweak[1].to_bytes());
    let plain = image.header.pcf().contains(PlaintextControlFlags::NO_COMPONENT_ENCRYPTION);
    let filled = conf.space.fill(PageRange::from(gfn), &machine.storage.bytes, frame.at(), |_, pages| {
        for page in pages {
            let stored = <&[u8; 4096]>::try_from(&**page).map_err(|_| Refusal::from(UvRc::STATE))?;
            hasher.page(stored, addr.0, &tweak);
            if !plain {
                image.cipher.key().decrypt_page_in_place(tweak, page).map_err(|_| Refusal::from(UvRc::STATE))?;
            }
        }
        Ok::<(), Refusal>(())
    });
    filled.map_err(|error| error.error)?;
    frame.set(Frame::Secure(conf.id, gfn));
    Ok(())
}
