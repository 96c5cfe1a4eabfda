//! DUMP_CONF_STOR_STATE: how the pages of one MiB are to be read.
//!
//! | # | check | result |
//! |---|---|---|
//! | 1 | the handle is a whole configuration's | rc 0x0020, rc 0x01f0 (UNSURE) |
//! | 2 | a part was done before, and the dump it was of is over | rc 0x0007 (UNSURE), once |
//! | 3 | a dump has begun | rc 0x01f0 (UNSURE) |
//! | 4 | the address is 1 MiB aligned and in guest storage | rc 0x01f4 (UNSURE) |
//! | 5 | the area (conf_dump_storage_state_len bytes) is accessible | rc 0x0030, 0x0031, 0x0032 |
//! | 6 | nobody is changing a page of the MiB | cc 3 |
//!
//! The entry of a page names the tweak of its newest ciphertext. A page that still is private has none, so it is exported
//! here (UNSURE): the host finds in its frame what an access would have given it. One that is not mapped cannot be in the
//! dump; it is told as a zero page that is not mapped, as are pages behind the end of guest storage.

use uv_core::{Gfn, GuestAddr, PageState};

use crate::abi::DumpStorageState;
use crate::dump::{STORAGE_STATE_PER_MIB, STORAGE_STATE_SIZE, StorageState, TweakComponent};
use crate::sim::answer::{Answer, Refusal};
use crate::sim::conf::Conf;
use crate::sim::frames::Frame;
use crate::sim::machine::Machine;
use crate::sim::profile::DUMP_STORAGE_STATE;
use crate::uvc::UvRc;

const MIB: u64 = 1 << 20;

pub(in crate::sim) fn storage(machine: &Machine, block: &mut DumpStorageState) -> Answer {
    let conf = machine.conf(block.config_handle.get())?;
    let _open = conf.open_whole()?;
    conf.in_parts(block, || tell(machine, &conf, block))
}

fn tell(machine: &Machine, conf: &Conf, block: &DumpStorageState) -> Answer {
    let dump = conf.dump.lock();
    if dump.is_none() {
        return Err(UvRc::STATE.into());
    }
    let first = GuestAddr(block.gaddr.get());
    if !first.0.is_multiple_of(MIB) || conf.gfn(first).is_none() {
        return Err(UvRc::ADDRESS.into());
    }
    super::check_area(machine, block.dump_area_origin.get(), DUMP_STORAGE_STATE)?;
    let mut entries = [0; STORAGE_STATE_PER_MIB];
    let mut addr = first.0;
    for entry in entries.chunks_exact_mut(STORAGE_STATE_SIZE) {
        entry.copy_from_slice(&state(machine, conf, GuestAddr(addr))?.encode());
        addr += 0x1000;
    }
    super::put(machine, block.dump_area_origin.get(), DUMP_STORAGE_STATE, &entries)
}

fn state(machine: &Machine, conf: &Conf, addr: GuestAddr) -> Result<StorageState, Refusal> {
    let unmapped = StorageState::Zero { mapped: false };
    let Some(gfn) = conf.gfn(addr) else { return Ok(unmapped) };
    let mapping = machine.translate(conf, addr);
    let mapped = mapping.is_some();
    match conf.space.state(gfn)? {
        PageState::Absent => Ok(StorageState::Zero { mapped }),
        PageState::Shared | PageState::Withdrawn => Ok(StorageState::Shared { mapped }),
        PageState::Sealed => Ok(component(conf, gfn).unwrap_or(unmapped)),
        PageState::Secure => {
            let Some(mapping) = mapping else { return Ok(unmapped) };
            let frame = machine.storage.frames.claim(mapping.frame).map_err(|_| Refusal::Partial)?;
            if frame.old() != Frame::Secure(conf.id, gfn) {
                return Ok(unmapped);
            }
            machine.export_open(conf, gfn, &frame).map_err(|_| Refusal::Partial)?;
            Ok(component(conf, gfn).unwrap_or(unmapped))
        }
    }
}

fn component(conf: &Conf, gfn: Gfn) -> Option<StorageState> {
    let version = conf.space.seal_record(gfn)?.version;
    let entry = conf.space.sealer().xts_entry(gfn.0, version)?;
    TweakComponent::new(entry).map(StorageState::Encrypted)
}
