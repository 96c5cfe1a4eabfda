//! VERIFY_LARGE_FRAME: 256 pages become usable through one 1 MiB mapping (s390-ultravisor §11.7).
//!
//! | # | check | result |
//! |---|---|---|
//! | 1 | the handle is a whole configuration's | rc 0x0020, rc 0x01f0 (UNSURE) |
//! | 2 | the address is 1 MiB aligned, and the MiB is in guest storage | rc 0x0103 |
//! | 3 | not mapped by a 2 GiB entry | rc 0x0108 |
//! | 4 | all 256 pages are secure (private or shared) | rc 0x0106 |
//! | 5 | the mapping leads to frames of these pages at all | rc 0x0107 |
//! | 6 | the frames are those of one 1 MiB frame, in order | rc 0x0104 |
//!
//! The mark is lost when one page of the frame is exported or destroyed.

use uv_core::{Gfn, GuestAddr, HostAddr, PageState};

use crate::abi::ConvertTo;
use crate::sie::MappingSize;
use crate::sim::answer::Answer;
use crate::sim::conf::Conf;
use crate::sim::machine::Machine;
use crate::uvc::UvRc;

const MIB: u64 = 1 << 20;
const PAGES: u64 = 256;

pub(in crate::sim) fn verify_large(machine: &Machine, block: &mut ConvertTo) -> Answer {
    let conf = machine.conf(block.guest_handle.get())?;
    let _open = conf.open_whole()?;
    let addr = conf.absolute(block.gaddr.get()).filter(|addr| addr.0.is_multiple_of(MIB) && conf.msl - addr.0 >= MIB);
    let addr = addr.ok_or(UvRc::LARGE_RANGE)?;
    let mapping = machine.translate(&conf, addr);
    if mapping.is_some_and(|mapping| mapping.size == MappingSize::Region) {
        return Err(UvRc::LARGE_REGION.into());
    }
    let first = Gfn(addr.0 >> 12);
    for page in 0..PAGES {
        if !matches!(conf.space.state(first.add(page))?, PageState::Secure | PageState::Shared) {
            return Err(UvRc::LARGE_INCOMPLETE.into());
        }
    }
    let base = mapping.ok_or(UvRc::LARGE_MAPPING)?.frame;
    let (mut ours, mut in_order) = (0, base.0.is_multiple_of(MIB));
    for page in 0..PAGES {
        let mapped = machine.translate(&conf, GuestAddr(addr.0 + (page << 12))).map(|mapping| mapping.frame);
        let owner = mapped.and_then(|frame| machine.storage.frames.get(frame)).and_then(|frame| frame.page());
        ours += u64::from(is_in_mib(&conf, owner, first));
        in_order &= mapped == Some(HostAddr(base.0 + (page << 12))) && owner == Some((conf.id, first.add(page)));
    }
    if ours == 0 {
        return Err(UvRc::LARGE_MAPPING.into());
    }
    if !in_order {
        return Err(UvRc::LARGE_ORDER.into());
    }
    machine.storage.frames.set_merged(base, conf.id, addr.0 / MIB);
    Ok(())
}

fn is_in_mib(conf: &Conf, owner: Option<(crate::sim::frames::ConfId, Gfn)>, first: Gfn) -> bool {
    owner.is_some_and(|(id, gfn)| id == conf.id && gfn.0 / PAGES == first.0 / PAGES)
}
