//! TEST_COUNT: how many pages of a configuration are secure. No machine has it; it shows what a new call takes: its row in
//! `abi/uvcb/table.rs`, its block in `abi/uvcb/test_count.rs`, this file.
//!
//! | # | check | result |
//! |---|---|---|
//! | 1 | the handle is a configuration's | rc 0x0020 |

use crate::abi::uvcb::TestCount;
use crate::sim::answer::Answer;
use crate::sim::machine::Machine;

pub(in crate::sim) fn count(machine: &Machine, block: &mut TestCount) -> Answer {
    let conf = machine.conf(block.guest_handle.get())?;
    block.secure = conf.space.counts().secure.into();
    Ok(())
}

mod tests {
    use super::*;
    use crate::abi::uvc::UvRc;
    use crate::abi::uvcb::{Role, UvCommand};
    use crate::sim::Generation;
    use crate::sim::rig::{OK, Rig, refused, returned, uvc};

    #[test]
    fn a_row_a_block_and_a_file_make_a_call() {
        let rig = Rig::ready(Generation::Z17);
        let guest = rig.guest(0);
        rig.verified(&guest);
        let mut block = TestCount::new(guest.conf);
        assert_eq!((rig.call(&mut block), block.secure.get()), (OK, 2));
        assert_eq!(rig.call(&mut TestCount::new(1)), refused(UvRc::INVALID_CONF_HANDLE));
        let mut short = TestCount::new(guest.conf);
        short.header.len = 0x20.into();
        assert_eq!(rig.call(&mut short), refused(UvRc::INVALID_LENGTH));
        assert_eq!(Rig::new(Generation::Z17).call(&mut TestCount::new(1)), refused(UvRc::INVALID_STATE));
        assert_eq!(Rig::new(Generation::Z16).call(&mut TestCount::new(1)), refused(UvRc::INVALID_COMMAND));
    }

    #[test]
    fn it_is_indicated_where_it_is_installed_and_has_its_name() {
        let has = |generation: Generation, role| generation.query(role).calls.has(UvCommand::TEST_COUNT);
        assert_eq!(has(Generation::Z16, Role::Host), Some(false));
        assert_eq!(has(Generation::Z17, Role::Host), Some(true));
        assert_eq!(has(Generation::Z17, Role::Guest), Some(false));
        assert_eq!(alloc::format!("{}", UvCommand(0x7000)), "TEST_COUNT");
    }

    #[test]
    fn a_guest_cannot_issue_it() {
        let rig = Rig::ready(Generation::Z17);
        let seen = rig.run(0, [uvc(&TestCount::new(1))]);
        let (cc, rc, _) = returned(&seen[0]);
        assert_eq!((cc, rc), (1, 0x0002));
    }
}
