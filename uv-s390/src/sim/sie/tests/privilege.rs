use alloc::vec;
use alloc::vec::Vec;

use uv_sim::guest::{Outcome, Step};

use crate::abi::sie::InterceptionCode;
use crate::abi::uvc::PgmCode;
use crate::sim::rig::{Rig, diag};
use crate::sim::{Generation, GuestInsn, InsnResult};

/// Every privileged instruction, with operands that would be an exit, and with operands that would be another exception.
fn privileged() -> Vec<GuestInsn> {
    vec![
        GuestInsn::Diag { code: 0x44, gr: [9; 5] },
        GuestInsn::Diag { code: 0x500, gr: [9; 5] },
        GuestInsn::Diag { code: 0x123, gr: [9; 5] },
        GuestInsn::Diag308 { subcode: 0, address: 0, ipib: vec![] },
        GuestInsn::Diag308 { subcode: 5, address: 0x1000, ipib: vec![0; 200] },
        GuestInsn::Diag308 { subcode: 5, address: 8, ipib: vec![] },
        GuestInsn::Diag308 { subcode: u64::MAX, address: 0, ipib: vec![] },
        GuestInsn::Uvc { block: vec![0; 8] },
        GuestInsn::Uvc { block: vec![] },
        GuestInsn::Servc { command: 1, sccb: [0, 8, 0, 0, 0, 0, 0, 0].to_vec() },
        GuestInsn::Spx { prefix: 0x8000 },
        GuestInsn::Spx { prefix: 0x7fff_e000 },
        GuestInsn::Sigp { order: 1, cpu: 0, parameter: 0 },
        GuestInsn::Sigp { order: 9, cpu: 0, parameter: 0 },
        GuestInsn::Stsi { gr0: 0x3000_0002, gr1: 2 },
        GuestInsn::Sthyi { code: 0 },
        GuestInsn::ChannelIo { opcode: 0xb234, subchannel: 0x1_0000, operand: vec![1] },
        GuestInsn::SetMask { mask: u64::MAX },
        GuestInsn::SetCr { number: 0, value: u64::MAX },
    ]
}

#[test]
fn privileged_instructions_are_the_supervisors() {
    let rig = Rig::ready(Generation::Z17);
    assert!(privileged().iter().all(GuestInsn::is_privileged));
    let count = privileged().len();
    let steps = privileged().into_iter().map(|insn| Step::Call(insn.in_problem_state()));
    let (guest, cpu, seen) = rig.booted(0, steps.chain([diag(0x9c, [42, 0, 0, 0, 0])]));
    let sd = rig.enter(&guest, cpu);
    assert_eq!(
        (sd.interception(), sd.gr(5), sd.gr(0)),
        (InterceptionCode::PV_NOTIFICATION, 0x9c, 42),
        "no exit before"
    );
    assert_eq!((sd.psw.mask.get(), sd.prefix_address()), (0, 0), "none of them did anything");
    let exception = Outcome::Returned(InsnResult::Exception(PgmCode(0x02)));
    assert_eq!(seen.lock()[..], vec![exception; count]);
}

#[test]
fn what_only_a_script_has_is_for_both_states() {
    let rig = Rig::ready(Generation::Z17);
    let steps = [
        GuestInsn::SetGr { number: 1, value: 7 },
        GuestInsn::Interruptions,
        GuestInsn::Interruptions.in_problem_state(),
        GuestInsn::Crash,
    ];
    let steps = steps.map(|insn| Step::Call(insn.in_problem_state()));
    let (guest, cpu, seen) = rig.booted(0, steps);
    assert_eq!(rig.icpt(&guest, cpu), InterceptionCode::PROGRAM);
    let none = Outcome::Returned(InsnResult::Interruptions(vec![]));
    assert_eq!(seen.lock()[..], [Outcome::Returned(InsnResult::Done), none.clone(), none]);
}
