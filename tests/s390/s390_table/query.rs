//! §1.5: lengths of the query, for each generation and role.

use uv_s390::abi::uvc::Block;
use uv_s390::abi::uvcb::{QueryInfo, Role, UvCommand};
use uv_s390::sim::{Generation, InsnResult};
use zerocopy::IntoBytes;

use crate::registry::Tests;
use crate::rig::{Rig, header_only, uvc_bytes};

/// Answer of a query with a block of this length: cc, rc, the whole block.
fn query(generation: Generation, role: Role, len: u16) -> (u8, u16, Vec<u8>) {
    let mut block = header_only(UvCommand::QUI, len);
    if role == Role::Host {
        // Before INIT_UV.
        let (cc, rc, _) = Rig::new(generation).bytes(&mut block).unwrap();
        return (cc.into(), rc.0, block);
    }
    let InsnResult::Data { cc, bytes } = Rig::ready_on(generation).run([uvc_bytes(&block)]).remove(0) else {
        panic!("a query returns")
    };
    (cc, u16::from_be_bytes([bytes[4], bytes[5]]), bytes.to_vec())
}

fn callers() -> Vec<(String, (Generation, Role))> {
    let generations = [Generation::Z15, Generation::Z16, Generation::Z17];
    let roles = [Role::Host, Role::Guest];
    let pairs = generations.into_iter().flat_map(|generation| roles.map(|role| (generation, role)));
    pairs.map(|pair| (format!("{:?}_{:?}", pair.0, pair.1).to_lowercase(), pair)).collect()
}

pub(crate) fn register(tests: &mut Tests) {
    tests.each("s105_query::too_short", callers(), |(generation, role)| {
        for len in [8, 0xa0, 0xa7] {
            let (cc, rc, block) = query(generation, role, len);
            assert_eq!((cc, rc), (1, 0x0005), "{len:#x}");
            assert!(block[8..].iter().all(|byte| *byte == 0));
        }
    });
    tests.each("s105_query::part", callers(), |(generation, role)| {
        let whole = generation.query(role);
        for len in [0xa8, 0xa9, 0xf0, 0x11f] {
            let (cc, rc, block) = query(generation, role, len);
            assert_eq!((cc, rc), (1, 0x0100), "{len:#x}");
            assert_eq!(block[8..], whole.as_bytes()[8..usize::from(len)]);
        }
    });
    tests.each("s105_query::whole", callers(), |(generation, role)| {
        let (cc, rc, block) = query(generation, role, QueryInfo::LEN);
        assert_eq!((cc, rc), (0, 1));
        assert_eq!(block[8..], generation.query(role).as_bytes()[8..]);
    });
    tests.each("s105_query::longer", callers(), |(generation, role)| {
        let (cc, rc, block) = query(generation, role, 0x200);
        assert_eq!((cc, rc), (0, 1));
        assert_eq!(block[8..0x120], generation.query(role).as_bytes()[8..]);
        assert!(block[0x120..].iter().all(|byte| *byte == 0));
    });
}
