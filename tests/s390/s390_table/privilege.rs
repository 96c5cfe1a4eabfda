//! §5.3 row 1 and §1.1 for a protected guest: a privileged instruction in problem state is the guest's own exception, which
//! no host hears of.

use crate::registry::Tests;
use crate::rig::{Rig, diag, items, results};
use uv_s390::abi::ap::Apqn;
use uv_s390::abi::sie::InterceptionCode;
use uv_s390::abi::uvc::PgmCode;
use uv_s390::sim::{GuestInsn, InsnResult};
use uv_sim::guest::Step;

pub(crate) fn register(tests: &mut Tests) {
    let instructions = [
        ("diag_0x44", GuestInsn::Diag { code: 0x44, gr: [0; 5] }),
        ("diag_0x9c", GuestInsn::Diag { code: 0x9c, gr: [0; 5] }),
        ("diag_0x288", GuestInsn::Diag { code: 0x288, gr: [0; 5] }),
        ("diag_0x500", GuestInsn::Diag { code: 0x500, gr: [0; 5] }),
        ("diag_unknown", GuestInsn::Diag { code: 0x123, gr: [0; 5] }),
        ("diag308_0", GuestInsn::Diag308 { subcode: 0, address: 0, ipib: vec![] }),
        ("diag308_3", GuestInsn::Diag308 { subcode: 3, address: 0, ipib: vec![] }),
        ("diag308_5", GuestInsn::Diag308 { subcode: 5, address: 0x2000, ipib: vec![0; 200] }),
        ("diag308_unknown", GuestInsn::Diag308 { subcode: 0x1_0001, address: 1, ipib: vec![] }),
        ("uvc", GuestInsn::Uvc { block: vec![0; 8] }),
        ("servc", GuestInsn::Servc { command: 1, sccb: vec![0, 8, 0, 0, 0, 0, 0, 0] }),
        ("spx", GuestInsn::Spx { prefix: 0x8000 }),
        ("sigp", GuestInsn::Sigp { order: 1, cpu: 0, parameter: 0 }),
        ("stsi", GuestInsn::Stsi { gr0: 0x3000_0002, gr1: 2 }),
        ("sthyi", GuestInsn::Sthyi { code: 0 }),
        ("channel_io", GuestInsn::ChannelIo { opcode: 0xb234, subchannel: 0x1_0000, operand: vec![] }),
        ("pqap", GuestInsn::Pqap { gr0: 0, gr2: 0 }),
        ("nqap", GuestInsn::Nqap { queue: Apqn(0), psmid: 0, message: vec![] }),
        ("dqap", GuestInsn::Dqap { queue: Apqn(0), size: 0 }),
        ("set_mask", GuestInsn::SetMask { mask: u64::MAX }),
        ("set_cr", GuestInsn::SetCr { number: 0, value: 0 }),
    ];
    tests.each("s503_guest::problem_state", items(instructions), |insn| {
        let rig = Rig::ready();
        let (guest, cpu, seen) = rig.booted(0, [Step::Call(insn.in_problem_state()), diag(0x9c, [42, 0, 0, 0, 0])]);
        // Asked for every mask that it can ask for, the host hears of none.
        rig.change(cpu, |sd| {
            sd.ictl = u32::MAX.into();
            sd.lctl = u16::MAX.into();
        });
        let sd = rig.enter(&guest, cpu);
        assert_eq!((sd.interception(), sd.gr(5), sd.gr(0)), (InterceptionCode::PV_NOTIFICATION, 0x9c, 42));
        assert_eq!(results(&seen)[..], [InsnResult::Exception(PgmCode(0x02))]);
    });
}
