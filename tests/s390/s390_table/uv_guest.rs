//! §11.2: what a protected guest's kernel may call.

use uv_s390::abi::uvc::PgmCode;
use uv_s390::abi::uvcb::{QueryInfo, Share, UvCommand};
use uv_s390::sim::{Generation, GuestInsn, InsnResult};
use uv_sim::guest::Step;
use zerocopy::FromBytes;

use crate::registry::Tests;
use crate::rig::{GUEST_LEN, Rig, h17, header_only, items, results, returned, share, uvc, uvc_bytes};

const PAGE: u64 = 0x8000;
const ERROR: u8 = 1;

/// What one call gives back to a guest.
fn one(step: Step<GuestInsn>) -> InsnResult {
    Rig::ready().run([step]).remove(0)
}

fn query() -> QueryInfo {
    let InsnResult::Data { bytes, .. } = one(uvc(&QueryInfo::new())) else { panic!("a query returns") };
    QueryInfo::read_from_bytes(&bytes).unwrap()
}

pub(crate) fn register(tests: &mut Tests) {
    tests.row("uv_guest::r01_share_bits", || {
        let (guest, host) = (query().calls, Rig::ready().info.calls);
        assert!(guest.bit(8) && guest.bit(9));
        assert!(!host.bit(8) && !host.bit(9));
    });
    let calls = [
        ("query", (UvCommand::QUI, 0x120)),
        ("share", (UvCommand::SET_SHARED_ACCESS, 0x30)),
        ("unshare", (UvCommand::REMOVE_SHARED_ACCESS, 0x30)),
        ("attest", (UvCommand::RETR_ATTEST, 0x188)),
    ];
    tests.each("uv_guest::r02_privileged", items(calls), |(command, len)| {
        let block = header_only(command, len);
        let result = one(Step::Call(GuestInsn::Uvc { block }.in_problem_state()));
        assert_eq!(result, InsnResult::Exception(PgmCode(0x02)));
    });
    let bogus = ("bogus".to_owned(), (UvCommand(0x4242), 8));
    tests.each("uv_guest::r03_invalid", h17().chain([bogus]), |(command, len)| {
        assert_eq!(returned(&one(uvc_bytes(&header_only(command, len)))), (ERROR, 0x0002));
        assert_ne!(query().calls.has(command), Some(true));
    });
    tests.row("uv_guest::r04_query_length", || {
        assert_eq!(returned(&one(uvc_bytes(&header_only(UvCommand::QUI, 0xa0)))), (ERROR, 0x0005));
    });
    tests.row("uv_guest::r05_query_indicated", || {
        for generation in [Generation::Z15, Generation::Z16, Generation::Z17] {
            let result = Rig::ready_on(generation).run([uvc(&QueryInfo::new())]).remove(0);
            let InsnResult::Data { bytes, .. } = result else { panic!("a query returns") };
            assert!(QueryInfo::read_from_bytes(&bytes).unwrap().calls.bit(0));
        }
    });
    for (name, command) in [
        ("uv_guest::r06_share_length", UvCommand::SET_SHARED_ACCESS),
        ("uv_guest::r09_unshare_length", UvCommand::REMOVE_SHARED_ACCESS),
    ] {
        tests.row(name, move || {
            assert_eq!(returned(&one(uvc_bytes(&header_only(command, 0x28)))), (ERROR, 0x0005));
        });
    }
    tests.row("uv_guest::r07_share", || {
        let rig = Rig::ready();
        let (guest, cpu, seen) = rig.booted(0, [share(PAGE)]);
        rig.serve(&guest, cpu);
        assert_eq!(returned(&results(&seen)[0]), (0, 1));
        assert!(!rig.is_closed(guest.base + PAGE));
    });
    tests.row("uv_guest::r08_share_invalid_memory", || {
        assert_eq!(returned(&one(share(GUEST_LEN + 0x1000))), (ERROR, 0x0101));
    });
    tests.row("uv_guest::r10_unshare", || {
        let rig = Rig::ready();
        let unshare = uvc(&Share::new(UvCommand::REMOVE_SHARED_ACCESS, PAGE));
        let (guest, cpu, seen) = rig.booted(0, [share(PAGE), unshare]);
        rig.serve(&guest, cpu);
        assert_eq!(returned(&results(&seen)[1]), (0, 1));
        assert!(rig.is_closed(guest.base + PAGE));
    });
}
