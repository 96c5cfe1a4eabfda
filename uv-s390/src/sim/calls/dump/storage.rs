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
//! here (UNSURE) to the frame it lies in, mapped or not: the host finds there what an access would have given it. While the
//! dump goes on no page becomes secure again, so the tweak stays the page's. Pages behind the end of guest storage are told as
//! zero pages that are not mapped.

use alloc::vec::Vec;

use uv_core::{Gfn, GuestAddr, HostAddr, PageState};

use crate::abi::dump::{STORAGE_STATE_PER_MIB, STORAGE_STATE_SIZE, StorageState, TweakComponent};
use crate::abi::uvc::UvRc;
use crate::abi::uvcb::DumpStorageState;
use crate::sim::answer::{Answer, Refusal};
use crate::sim::conf::Conf;
use crate::sim::frames::Frame;
use crate::sim::machine::Machine;
use crate::sim::profile::DUMP_STORAGE_STATE;

const MIB: u64 = 1 << 20;

pub(in crate::sim) fn storage(machine: &Machine, block: &mut DumpStorageState) -> Answer {
    let conf = machine.conf(block.config_handle.get())?;
    let _open = conf.open_whole()?;
    conf.resumable.in_parts(block, || tell(machine, &conf, block))
}

fn tell(machine: &Machine, conf: &Conf, block: &DumpStorageState) -> Answer {
    let dump = conf.dump.write();
    if dump.is_none() {
        return Err(UvRc::STATE.into());
    }
    let first = GuestAddr(block.gaddr.get());
    if !first.0.is_multiple_of(MIB) || conf.gfn(first).is_none() {
        return Err(UvRc::ADDRESS.into());
    }
    super::check_area(machine, block.dump_area_origin.get(), DUMP_STORAGE_STATE)?;
    export_private(machine, conf, first)?;
    let mut entries = [0; STORAGE_STATE_PER_MIB];
    let mut addr = first.0;
    for entry in entries.chunks_exact_mut(STORAGE_STATE_SIZE) {
        entry.copy_from_slice(&state(machine, conf, GuestAddr(addr))?.encode());
        addr += 0x1000;
    }
    super::put(machine, block.dump_area_origin.get(), DUMP_STORAGE_STATE, &entries)
}

/// Exports the pages of a MiB that are private still.
fn export_private(machine: &Machine, conf: &Conf, first: GuestAddr) -> Answer {
    let pages = Gfn(first.0 >> 12)..Gfn((first.0 + MIB) >> 12);
    let is_private = |gfn: Gfn| conf.space.state(gfn) == Ok(PageState::Secure);
    let mut left: Vec<Gfn> = (pages.start.0..pages.end.0).map(Gfn).filter(|gfn| is_private(*gfn)).collect();
    left.retain(|gfn| {
        let at = machine.translate(conf, GuestAddr(gfn.0 << 12)).map(|mapping| mapping.frame);
        at.is_none_or(|at| {
            machine.storage.frames.get(at) != Some(Frame::Secure(conf.id, *gfn)) || export(machine, conf, at) != Ok(())
        })
    });
    if left.is_empty() {
        return Ok(());
    }
    // The host's tables lead elsewhere, or to a frame that another call holds: the frame table knows where the pages are.
    for (at, frame) in machine.storage.frames.owned() {
        if let Frame::Secure(owner, gfn) = frame
            && owner == conf.id
            && pages.contains(&gfn)
        {
            export(machine, conf, at)?;
        }
    }
    Ok(())
}

/// Exports the private page in a frame, if there still is one.
fn export(machine: &Machine, conf: &Conf, at: HostAddr) -> Answer {
    let frame = machine.storage.claim(at).map_err(|_| Refusal::Partial)?;
    match frame.old() {
        Frame::Secure(owner, gfn) if owner == conf.id => match machine.export_open(conf, gfn, &frame) {
            Err(Refusal::Busy) => Err(Refusal::Partial),
            done => done,
        },
        _ => Ok(()),
    }
}

fn state(machine: &Machine, conf: &Conf, addr: GuestAddr) -> Result<StorageState, Refusal> {
    let Some(gfn) = conf.gfn(addr) else { return Ok(StorageState::Zero { mapped: false }) };
    let mapped = machine.translate(conf, addr).is_some();
    match conf.space.state(gfn)? {
        PageState::Absent => Ok(StorageState::Zero { mapped }),
        PageState::Shared | PageState::Withdrawn => Ok(StorageState::Shared { mapped }),
        PageState::Sealed => component(conf, gfn).ok_or_else(|| UvRc::STATE.into()),
        // In motion when it was looked for.
        _ => Err(Refusal::Partial),
    }
}

fn component(conf: &Conf, gfn: Gfn) -> Option<StorageState> {
    let version = conf.space.seal_record(gfn)?.version;
    let entry = conf.space.sealer().xts_entry(gfn.0, version)?;
    TweakComponent::new(entry).map(StorageState::Encrypted)
}
