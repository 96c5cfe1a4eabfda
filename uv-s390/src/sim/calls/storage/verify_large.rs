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

use crate::abi::sie::MappingSize;
use crate::abi::uvc::UvRc;
use crate::abi::uvcb::ConvertTo;
use crate::sim::answer::Answer;
use crate::sim::conf::Conf;
use crate::sim::machine::Machine;

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
    check_frames(machine, &conf, addr, base)?;
    machine.storage.frames.set_merged(base, conf.id, addr.0 / MIB);
    // A page that left while the frames were looked at has taken the mark along, or is seen now.
    check_frames(machine, &conf, addr, base).inspect_err(|_| machine.storage.frames.clear_merged(base))
}

/// Checks 5 and 6.
fn check_frames(machine: &Machine, conf: &Conf, addr: GuestAddr, base: HostAddr) -> Answer {
    let first = Gfn(addr.0 >> 12);
    let (mut ours, mut in_order) = (0, base.0.is_multiple_of(MIB));
    for page in 0..PAGES {
        let mapped = machine.translate(conf, GuestAddr(addr.0 + (page << 12))).map(|mapping| mapping.frame);
        let owner = mapped.and_then(|frame| machine.storage.frames.get(frame)).and_then(|frame| frame.page());
        ours += u64::from(is_in_mib(conf, owner, first));
        in_order &=
            mapped.is_some() && mapped == base.checked_add(page << 12) && owner == Some((conf.id, first.add(page)));
    }
    if ours == 0 {
        return Err(UvRc::LARGE_MAPPING.into());
    }
    if !in_order {
        return Err(UvRc::LARGE_ORDER.into());
    }
    Ok(())
}

fn is_in_mib(conf: &Conf, owner: Option<(crate::sim::frames::ConfId, Gfn)>, first: Gfn) -> bool {
    owner.is_some_and(|(id, gfn)| id == conf.id && gfn.0 / PAGES == first.0 / PAGES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::sie::HostMapping;
    use crate::abi::uvcb::UvCommand;
    use crate::sim::Generation;
    use crate::sim::rig::{GUEST_LEN, Guest, OK, Rig, refused};

    fn merge(rig: &Rig, guest: &Guest, addr: u64) -> crate::sim::rig::Codes {
        rig.call(&mut ConvertTo::new(UvCommand::VERIFY_LARGE_FRAME, guest.conf, addr))
    }

    fn map(guest: &Guest, addr: u64, frame: u64, size: MappingSize) {
        let mapping = HostMapping { frame: HostAddr(frame), writable: true, size };
        guest.tables.moved.lock().insert(addr, Some(mapping));
    }

    fn import_all(rig: &Rig, guest: &Guest) {
        assert!((0..PAGES).all(|page| rig.import(guest, MIB + (page << 12)) == OK));
    }

    #[test]
    fn codes() {
        let rig = Rig::ready(Generation::Z17);
        let guest = rig.guest(0);
        assert_eq!(merge(&rig, &guest, GUEST_LEN), refused(UvRc::LARGE_RANGE));
        assert_eq!(merge(&rig, &guest, 0x1000), refused(UvRc::LARGE_RANGE));
        assert_eq!(merge(&rig, &guest, MIB), refused(UvRc::LARGE_INCOMPLETE));
        assert_eq!(rig.import(&guest, MIB), OK);
        assert_eq!(merge(&rig, &guest, MIB), refused(UvRc::LARGE_INCOMPLETE));
        *guest.tables.large.lock() = Some(MappingSize::Region);
        assert_eq!(merge(&rig, &guest, MIB), refused(UvRc::LARGE_REGION));
        *guest.tables.large.lock() = None;
        assert!((1..PAGES).all(|page| rig.import(&guest, MIB + (page << 12)) == OK));
        *guest.tables.large.lock() = Some(MappingSize::Segment);
        assert_eq!(merge(&rig, &guest, MIB), OK);
        for page in 0..PAGES {
            map(&guest, MIB + (page << 12), guest.base + 3 * MIB + (page << 12), MappingSize::Segment);
        }
        assert_eq!(merge(&rig, &guest, MIB), refused(UvRc::LARGE_MAPPING));
    }

    #[test]
    fn pages_out_of_order_are_not_one_frame() {
        let rig = Rig::ready(Generation::Z17);
        let guest = rig.guest(0);
        map(&guest, MIB, guest.base + MIB + 0x1000, MappingSize::Page);
        map(&guest, MIB + 0x1000, guest.base + MIB, MappingSize::Page);
        import_all(&rig, &guest);
        guest.tables.moved.lock().clear();
        assert_eq!(merge(&rig, &guest, MIB), refused(UvRc::LARGE_ORDER), "swapped");
        let other = rig.guest(1);
        map(&other, MIB, other.base + 2 * MIB, MappingSize::Page);
        import_all(&rig, &other);
        other.tables.moved.lock().clear();
        assert_eq!(merge(&rig, &other, MIB), refused(UvRc::LARGE_ORDER), "from another frame");
    }

    #[test]
    fn a_whole_mib_of_guest_storage() {
        let rig = Rig::ready(Generation::Z17);
        let guest = rig.guest_with(0, |create| create.guest_stor_len = (2 * MIB + 0x1000).into());
        assert_eq!(merge(&rig, &guest, 2 * MIB), refused(UvRc::LARGE_RANGE), "one page of it");
        assert_eq!(merge(&rig, &guest, MIB), refused(UvRc::LARGE_INCOMPLETE), "there, and not imported");
        let whole = rig.guest_with(1, |create| create.guest_stor_len = (2 * MIB).into());
        assert_eq!(merge(&rig, &whole, MIB), refused(UvRc::LARGE_INCOMPLETE), "the last one");
        import_all(&rig, &whole);
        assert_eq!(rig.export(whole.base + MIB), OK);
        assert_eq!(merge(&rig, &whole, MIB), refused(UvRc::LARGE_INCOMPLETE), "all but the first page");
        assert_eq!(rig.import(&whole, MIB), OK);
        whole.tables.moved.lock().insert(MIB, None);
        assert_eq!(merge(&rig, &whole, MIB), refused(UvRc::LARGE_MAPPING), "not mapped");
        whole.tables.moved.lock().clear();
        assert_eq!(merge(&rig, &whole, MIB), OK);
    }

    #[test]
    fn frames_that_are_not_one_large_frame() {
        let rig = Rig::ready(Generation::Z17);
        let swapped = rig.guest(0);
        map(&swapped, MIB, swapped.base + MIB + 0x1000, MappingSize::Page);
        map(&swapped, MIB + 0x1000, swapped.base + MIB, MappingSize::Page);
        import_all(&rig, &swapped);
        assert_eq!(merge(&rig, &swapped, MIB), refused(UvRc::LARGE_ORDER), "mapped where they lie, out of order");
        let between = rig.guest(1);
        (0..PAGES).for_each(|page| {
            map(&between, MIB + (page << 12), between.base + MIB + 0x8000 + (page << 12), MappingSize::Page);
        });
        import_all(&rig, &between);
        assert_eq!(merge(&rig, &between, MIB), refused(UvRc::LARGE_ORDER), "in order, across two large frames");
        let other = rig.guest(2);
        import_all(&rig, &other);
        assert!((0..PAGES).all(|page| rig.import(&other, 2 * MIB + (page << 12)) == OK));
        (0..PAGES)
            .for_each(|page| map(&other, MIB + (page << 12), other.base + 2 * MIB + (page << 12), MappingSize::Page));
        assert_eq!(merge(&rig, &other, MIB), refused(UvRc::LARGE_MAPPING), "another MiB of the guest");
    }

    #[test]
    fn a_frame_stays_verified_for_its_guest_when_another_one_is_refused() {
        let rig = Rig::ready(Generation::Z17);
        let (guest, other) = (rig.guest(0), rig.guest(1));
        [&guest, &other].into_iter().for_each(|guest| import_all(&rig, guest));
        assert_eq!(merge(&rig, &guest, MIB), OK);
        let conf = rig.machine.conf(guest.conf).unwrap();
        let is_merged = || rig.machine.storage.frames.is_merged(HostAddr(guest.base + MIB), conf.id, 1);
        assert!(is_merged());
        for page in 0..PAGES {
            map(&other, MIB + (page << 12), guest.base + MIB + (page << 12), MappingSize::Segment);
        }
        assert_eq!(merge(&rig, &other, MIB), refused(UvRc::LARGE_MAPPING));
        assert!(is_merged());
    }
}
