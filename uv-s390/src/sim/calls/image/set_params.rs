//! SET_SEC_CONF_PARAMS: takes the SE header.
//!
//! | # | check | rc, rrc |
//! |---|---|---|
//! | 1 | the handle is a whole configuration's | 0x0020; 0x01f0 (UNSURE) |
//! | 2 | no header was taken before | 0x01f0 (UNSURE) |
//! | 3 | the length is that of a header at all: 416 to 8192 bytes | 0x010a, 0x0031 |
//! | 4 | every byte is accessible | 0x0103 |
//! | 5 | magic and version | 0x0104, 0x0001 |
//! | 6 | a key slot | 0x010a, 0x0040 |
//! | 7 | size of the encrypted area | 0x010a, 0x0039 |
//! | 8 | stated size fits slots and given length | 0x010a, 0x0031 |
//! | 9 | plaintext control flags | 0x0106, 0x0030 |
//! | 10 | a slot for the host key, or with PCF bit 62 for the backup host key | 0x0108, 0x0005; 0x0034 when bit 62 is on and this machine's backup key has no slot either |
//! | 11 | customer key, and the slot opens | 0x0108, 0x000b; 0x0108, 0x0005 |
//! | 12 | tag | 0x010a, 0x0000 (UNSURE) |
//! | 13 | optional items | 0x010a, 0x0039 (UNSURE) |
//! | 14 | secret control flags | 0x0109, 0x0000 |
//!
//! Whether a length above 8192 bytes or an inaccessible byte is found first is not known; the order of 3 and 4 keeps the
//! machine from reading more than a header can have. Two rows of the test suite give a length of one page.

use alloc::sync::Arc;
use alloc::vec::Vec;

use uv_core::{HostAddr, NormalMemory};

use crate::abi::SetParams;
use crate::header::{HeaderError, HeaderView, MAX_SIZE, OpenedHeader, PlaintextControlFlags, SeHeader};
use crate::image::{PageCipher, PageHasher};
use crate::sim::answer::{Answer, Refusal};
use crate::sim::conf::{Image, Phase};
use crate::sim::machine::Machine;
use crate::uvc::{UvRc, UvRrc};

pub(in crate::sim) fn set_params(machine: &Machine, block: &mut SetParams) -> Answer {
    let conf = machine.conf(block.guest_handle.get())?;
    let _open = conf.open_whole()?;
    // Held to the end: one header is taken, once.
    let mut image = conf.image.try_write().ok_or(Refusal::Busy)?;
    if conf.life.lock().phase != Phase::Created {
        return Err(UvRc::STATE.into());
    }
    let bytes = read(machine, block)?;
    let header = check(machine, &bytes).map_err(|error| Refusal::from(error.uv_code()))?;
    let opened = open(machine, &header)?;
    let area = &opened.confidential;
    area.check_items().and_then(|()| area.check_scf(machine.generation.secret_flags())).map_err(|e| e.uv_code())?;

    let cipher = PageCipher::new(&area.image_key);
    tracing::debug!(handle = conf.handle, pages = header.fixed().page_count.get(), "SE header accepted");
    *image = Some(Arc::new(Image { header, opened, cipher }));
    *conf.hasher.lock() = PageHasher::new();
    conf.life.lock().phase = Phase::Unpacking;
    Ok(())
}

fn read(machine: &Machine, block: &SetParams) -> Result<Vec<u8>, Refusal> {
    let (origin, len) = (HostAddr(block.sec_header_origin.get()), block.sec_header_len.get());
    let length = Refusal::code(UvRc::HEADER_CORRUPT, UvRrc::HEADER_LENGTH);
    let len = usize::try_from(len).ok().filter(|len| *len <= MAX_SIZE).ok_or(length)?;
    let mut bytes = alloc::vec![0; len];
    let memory = crate::sim::memory::HostView(Arc::clone(&machine.storage));
    memory.read(origin, &mut bytes).map_err(|_| UvRc::HEADER_ACCESS)?;
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
