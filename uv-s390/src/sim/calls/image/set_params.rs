//! SET_SEC_CONF_PARAMS: takes the SE header.
//!
//! | # | check | rc, rrc |
//! |---|---|---|
//! | 1 | the handle is a whole configuration's | 0x0020; 0x01f0 (UNSURE) |
//! | 2 | no header was taken before | 0x01f0 (UNSURE) |
//! | 3 | the home space is no real space | 0x0030 |
//! | 4 | the length is that of a header at all: 416 to 8192 bytes | 0x010a, 0x0031 |
//! | 5 | every byte is accessible | 0x0103 |
//! | 6 | magic and version | 0x0104, 0x0001 |
//! | 7 | a key slot | 0x010a, 0x0040 |
//! | 8 | size of the encrypted area | 0x010a, 0x0039 |
//! | 9 | stated size fits slots and given length | 0x010a, 0x0031 |
//! | 10 | plaintext control flags | 0x0106, 0x0030 |
//! | 11 | a slot for the host key, or with PCF bit 62 for the backup host key | 0x0108, 0x0005; 0x0034 when bit 62 is on and this machine's backup key has no slot either |
//! | 12 | customer key, and the slot opens | 0x0108, 0x000b; 0x0108, 0x0005 |
//! | 13 | tag | 0x010a, 0x0000 (UNSURE) |
//! | 14 | optional items | 0x010a, 0x0039 (UNSURE) |
//! | 15 | secret control flags | 0x0109, 0x0000 |
//!
//! Whether a length above 8192 bytes or an inaccessible byte is found first is not known; the order of 4 and 5 keeps the
//! machine from reading more than a header can have. Two rows of the test suite give a length of one page.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::abi::se_header::{HeaderError, HeaderView, MAX_SIZE, PlaintextControlFlags, SeHeader};
use crate::abi::uvc::{UvRc, UvRrc};
use crate::abi::uvcb::SetParams;
use crate::owner::image::PageCipher;
use crate::owner::se_header::OpenedHeader;
use crate::sim::answer::{Answer, Refusal};
use crate::sim::conf::{Image, Phase};
use crate::sim::machine::Machine;

pub(in crate::sim) fn set_params(machine: &Machine, block: &mut SetParams) -> Answer {
    let conf = machine.conf(block.guest_handle.get())?;
    let _open = conf.open_whole()?;
    // Held to the end: one header is taken, once.
    let mut image = conf.image.try_write().ok_or(Refusal::Busy)?;
    if conf.life.lock().phase != Phase::Created {
        return Err(UvRc::STATE.into());
    }
    let accepted = accept(machine, &read(machine, block)?)?;
    tracing::debug!(handle = conf.handle, pages = accepted.header.fixed().page_count.get(), "SE header accepted");
    *image = Some(Arc::new(accepted));
    conf.life.lock().phase = Phase::Unpacking;
    Ok(())
}

/// Checks 6 to 15 on the bytes of a header.
pub(in crate::sim) fn accept(machine: &Machine, bytes: &[u8]) -> Result<Image, Refusal> {
    let header = check(machine, bytes).map_err(|error| Refusal::from(error.uv_code()))?;
    let opened = open(machine, &header)?;
    let area = &opened.confidential;
    area.check_items().and_then(|()| area.check_scf(machine.generation.secret_flags())).map_err(|e| e.uv_code())?;
    let cipher = PageCipher::new(&area.image_key);
    Ok(Image { header, opened, cipher })
}

fn read(machine: &Machine, block: &SetParams) -> Result<Vec<u8>, Refusal> {
    machine.check_home_space()?;
    let len = block.sec_header_len.get();
    let length = Refusal::code(UvRc::HEADER_CORRUPT, UvRrc::HEADER_LENGTH);
    let len = usize::try_from(len).ok().filter(|len| *len <= MAX_SIZE).ok_or(length)?;
    let mut bytes = alloc::vec![0; len];
    machine.read_home(block.sec_header_origin.get(), &mut bytes).map_err(|_| UvRc::HEADER_ACCESS)?;
    Ok(bytes)
}

fn check(machine: &Machine, bytes: &[u8]) -> Result<SeHeader, HeaderError> {
    let view = HeaderView::new(bytes)?;
    view.check()?;
    view.check_pcf(machine.generation.plaintext_flags())?;
    SeHeader::parse(bytes)
}

fn open(machine: &Machine, header: &SeHeader) -> Result<OpenedHeader, Refusal> {
    let backup = machine.backup_key.as_ref().filter(|_| header.pcf().contains(PlaintextControlFlags::BACKUP_KEYS));
    if header.has_slot_for(&machine.host_key.public().phkh()) {
        return header.open(&machine.host_key).map_err(|error| error.uv_code().into());
    }
    match backup {
        None => Err(HeaderError::NoMatchingSlot.uv_code().into()),
        Some(key) if header.has_slot_for(&key.public().phkh()) => {
            header.open(key).map_err(|error| error.uv_code().into())
        }
        Some(_) => Err(Refusal::code(UvRc::HEADER_KEY, UvRrc::BACKUP_KEY)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::uvc::Cc;
    use crate::owner::crypto::HostPrivateKey;
    use crate::sim::Generation;
    use crate::sim::rig::{Codes, GIB, Guest, OK, Rig, refused};

    fn code(rc: u16, rrc: u16) -> Codes {
        (Cc::Error, UvRc(rc), UvRrc(rrc))
    }

    fn changed(rig: &Rig, guest: &Guest, at: usize, value: &[u8]) -> Codes {
        let mut bytes = rig.image(&[&rig.machine.host_key], PlaintextControlFlags::PCKMO).0.as_bytes().to_vec();
        bytes[at..at + value.len()].copy_from_slice(value);
        rig.set_params(guest, &bytes)
    }

    #[test]
    fn codes_in_their_order() {
        let rig = Rig::ready(Generation::Z15);
        let guest = rig.guest(0);
        let at = |handle, origin, len| rig.call(&mut SetParams::new(handle, origin, len));
        assert_eq!(at(guest.conf + 1, 0, 640), refused(UvRc::INVALID_CONF_HANDLE));
        assert_eq!(at(guest.conf, 4 * GIB, 640), refused(UvRc::HEADER_ACCESS));
        assert_eq!(at(guest.conf, 4 * GIB - 0x20, 640), refused(UvRc::HEADER_ACCESS));
        assert_eq!(at(guest.conf, guest.create.conf_base_stor_origin.get(), 640), refused(UvRc::HEADER_ACCESS));
        assert_eq!(at(guest.conf, guest.base, 8193), code(0x10a, 0x31));
        assert_eq!(at(guest.conf, guest.base, 8192), code(0x104, 1), "zeros, of a length that a header may have");
        assert_eq!(at(guest.conf, guest.base, 415), code(0x10a, 0x31));
        assert_eq!(changed(&rig, &guest, 0, b"J"), code(0x104, 1), "magic");
        assert_eq!(changed(&rig, &guest, 8, &[0, 0, 2, 0]), code(0x104, 1), "version");
        assert_eq!(changed(&rig, &guest, 0x20, &[0; 8]), code(0x10a, 0x40), "no slots");
        assert_eq!(changed(&rig, &guest, 0x2f, &[127]), code(0x10a, 0x39), "encrypted area");
        assert_eq!(changed(&rig, &guest, 0x0f, &[0x81]), code(0x10a, 0x31), "size");
        assert_eq!(changed(&rig, &guest, 0x3c, &[0x20]), code(0x106, 0x30), "no dump on z15");
        assert_eq!(changed(&rig, &guest, 0x1a0, &[0xff; 4]), code(0x108, 5), "the slot is another machine's");
        assert_eq!(changed(&rig, &guest, 0x1a0 + 40, &[0xff; 4]), code(0x108, 5), "the slot was changed");
        assert_eq!(changed(&rig, &guest, 0x40 + 70, &[0xff; 4]), code(0x108, 0xb), "no point of the curve");
        assert_eq!(changed(&rig, &guest, 0x10, &[0xff; 4]), code(0x10a, 0), "the tag does not match");
        assert_eq!(changed(&rig, &guest, 0, b"I"), OK);
        assert_eq!(changed(&rig, &guest, 0, b"I"), refused(UvRc::STATE), "one header, once");
    }

    #[test]
    fn which_key_opens() {
        let backup = HostPrivateKey::from_scalar(&[5]).unwrap();
        let stranger = HostPrivateKey::from_scalar(&[6]).unwrap();
        let flags = PlaintextControlFlags::PCKMO;
        let both = flags | PlaintextControlFlags::BACKUP_KEYS;
        let cases = [
            (&stranger, flags, code(0x108, 5)),
            (&stranger, both, code(0x108, 0x34)),
            (&backup, flags, code(0x108, 5)),
            (&backup, both, OK),
        ];
        let rig = Rig::with(|config| config.backup_key = Some(backup.clone()));
        let len = rig.info.uv_base_stor_len.get();
        assert_eq!(rig.call(&mut crate::abi::uvcb::InitUv::new(crate::sim::rig::UV_BASE, len)), OK);
        let guest = rig.guest(0);
        for (key, pcf, expected) in cases {
            let (header, _) = rig.image(&[key], pcf);
            assert_eq!(rig.set_params(&guest, header.as_bytes()), expected, "{pcf:?}");
        }
    }

    #[test]
    fn secret_flags_and_optional_items_are_judged_after_the_tag() {
        let rig = Rig::ready(Generation::Z15);
        let guest = rig.guest(0);
        let with = |flags: u64, items: u32| {
            let (header, _) = rig.image_with(&[&rig.machine.host_key], PlaintextControlFlags::PCKMO, |area| {
                area.secret_flags = flags.into();
                area.optional_items = items.into();
            });
            rig.set_params(&guest, header.as_bytes())
        };
        assert_eq!(with(1 << 62, 0), code(0x109, 0));
        assert_eq!(with(0, 1), code(0x10a, 0x39));
    }
}
