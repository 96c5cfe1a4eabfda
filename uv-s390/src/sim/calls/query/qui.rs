//! QUI: query UV information.
//!
//! | # | check | result |
//! |---|---|---|
//! | 1 | the block has room for all information | stored as far as it fits, rc 0x0100 |
//!
//! The answer depends on the role. A block that is longer than all information is left alone behind it. Works before INIT_UV.

use zerocopy::IntoBytes;

use crate::abi::uvc::UvRc;
use crate::abi::uvcb::Role;
use crate::sim::answer::Answer;
use crate::sim::machine::Machine;

/// Where the header ends and the information begins.
const HEADER: usize = 8;

pub(in crate::sim) fn qui(machine: &Machine, role: Role, block: &mut [u8]) -> Answer {
    let info = machine.generation.query(role);
    let length = usize::from(u16::from_be_bytes([block[0], block[1]])).min(block.len());
    let all = info.as_bytes();
    let fits = all.len().min(length);
    block[HEADER..fits].copy_from_slice(&all[HEADER..fits]);
    if fits < all.len() { Err(UvRc::MORE_DATA.into()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use crate::abi::uvc::{UvRc, query};
    use crate::abi::uvcb::{QueryInfo, Role};
    use crate::sim::Generation;
    use crate::sim::rig::{OK, Rig, refused};

    #[test]
    fn as_much_as_fits() {
        let rig = Rig::new(Generation::Z16);
        let with = |len: u16| {
            let mut block = QueryInfo::new();
            block.header.len = len.into();
            (rig.call(&mut block), block)
        };
        assert_eq!(with(0xa0).0, refused(UvRc::INVALID_LENGTH));
        let (codes, short) = with(0xa8);
        assert_eq!(codes, refused(UvRc::MORE_DATA));
        assert_eq!((short.max_guest_cpu_id.get(), short.features.get()), (247, Generation::Z16.features().bits()));
        assert_eq!(short.supported_header_versions.get(), 0, "behind the block");
        let (codes, full) = with(0x120);
        assert_eq!(codes, OK);
        assert_eq!(full.dump_storage_state_len.get(), 0x1000);
        assert_eq!(query(&*rig.machine).unwrap().calls, Generation::Z16.query(Role::Host).calls);
    }
}
