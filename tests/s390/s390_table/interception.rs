//! §6.2: interceptions that no row of §11 asserts: the loop of an external-new PSW, and the call to a CPU that waits.

use uv_core::GuestAddr;
use uv_s390::abi::sie::{InterceptionCode, StateDescription};
use uv_s390::abi::uvcb::CpuState;
use uv_s390::sim::{GuestInsn, InsnResult, Interruption};
use uv_sim::guest::Step;

use crate::registry::Tests;
use crate::rig::{OK, Rig, diag, items, results};

/// PSW bit 7.
const EXTERNAL: u64 = 1 << 56;

/// CPU 0 sends an external call to CPU 1, which waits with its masks open. With what CPU 1 has been delivered after it was
/// entered again, and what CPU 0 got for its SIGP.
fn call(flag: u32) -> (StateDescription, Vec<InsnResult>, InsnResult) {
    let rig = Rig::ready();
    let call = GuestInsn::Sigp { order: 0x02, cpu: 1, parameter: 7 };
    let (guest, source, sent) = rig.booted(0, [Step::Call(call)]);
    let target = rig.cpu(&guest, 1);
    let steps = [
        GuestInsn::Interruptions,
        GuestInsn::SetCr { number: 0, value: 0x2000 },
        GuestInsn::SetMask { mask: EXTERNAL },
        GuestInsn::Wait,
    ];
    let got = rig.script(target, steps.map(Step::Call));
    assert_eq!(rig.set_state(target, CpuState::OPERATING), OK);
    rig.change(target, |sd| sd.iictl = 0x04);
    assert_eq!(rig.enter(&guest, target).interception(), InterceptionCode::WAIT);
    rig.change(target, |sd| sd.cpu_flags = flag.into());
    let sd = rig.enter(&guest, source);
    assert_eq!(rig.enter(&guest, source).interception(), InterceptionCode::WAIT);
    assert_eq!(rig.enter(&guest, target).interception(), InterceptionCode::WAIT);
    (sd, results(&got).split_off(3), results(&sent).remove(0))
}

fn assert_sigp(sd: &StateDescription, code: u8) {
    assert_eq!(sd.interception(), InterceptionCode(code));
    assert_eq!((sd.ipa.get(), sd.ipb.get()), (0xae02, 0x5000_0000));
    assert_eq!((sd.gr(5), sd.gr(2), sd.gr(1)), (2, 1, 7));
}

/// What the target takes note of: the machine has delivered the call.
fn called() -> Vec<InsnResult> {
    vec![InsnResult::Interruptions(vec![Interruption::External { code: 0x1202, cpu: 0, parameter: 0 }])]
}

pub(crate) fn register(tests: &mut Tests) {
    let codes = [("clock_comparator", (0x1004, 0x800)), ("cpu_timer", (0x1005, 0x400))];
    tests.each("s602_interception::external_loop", items(codes), |(code, cr0)| {
        let rig = Rig::ready();
        let new = [EXTERNAL | 1, 0x1234].map(u64::to_be_bytes).concat();
        let steps = [
            Step::store(GuestAddr(0x1b0), &new),
            Step::Call(GuestInsn::SetCr { number: 0, value: cr0 }),
            Step::Call(GuestInsn::SetMask { mask: EXTERNAL }),
            diag(0x44, [0; 5]),
            diag(0x9c, [42, 0, 0, 0, 0]),
        ];
        let (guest, cpu, _) = rig.booted(0, steps);
        assert_eq!(rig.enter(&guest, cpu).gr(5), 0x44);
        rig.change(cpu, |sd| {
            sd.iictl = 0x02;
            sd.ext_code = code.into();
        });
        for _ in 0..2 {
            let sd = rig.enter(&guest, cpu);
            assert_eq!((sd.interception(), sd.ext_code.get()), (InterceptionCode(0x14), code));
            assert_eq!((sd.psw.mask.get(), sd.psw.address.get()), (EXTERNAL, 0));
        }
    });
    tests.row("s602_interception::service_call_complete", || {
        let rig = Rig::ready();
        let servc = GuestInsn::Servc { command: 1, sccb: vec![0, 8, 0, 0, 0, 0, 0, 0] };
        let (guest, cpu, _) = rig.booted(0, [Step::Call(servc), diag(0x44, [0; 5])]);
        for code in [0x68, 0x6c] {
            let sd = rig.enter(&guest, cpu);
            assert_eq!((sd.interception(), sd.ipa.get()), (InterceptionCode(code), 0xb220));
        }
        assert_eq!(rig.enter(&guest, cpu).gr(5), 0x44);
    });
    tests.row("s602_interception::call_to_nobody", || {
        let rig = Rig::ready();
        let call = GuestInsn::Sigp { order: 0x02, cpu: 7, parameter: 0 };
        let (guest, cpu, sent) = rig.booted(0, [Step::Call(call), diag(0x44, [0; 5])]);
        assert_eq!(rig.enter(&guest, cpu).gr(5), 0x44, "no exit");
        assert_eq!(results(&sent), [InsnResult::Condition { cc: 3, value: 0 }]);
    });
    tests.row("s602_interception::call_to_waiting", || {
        let (sd, got, sent) = call(0x1000_0000);
        assert_sigp(&sd, 0x38);
        assert_eq!((got, sent), (called(), InsnResult::Condition { cc: 0, value: 0 }));
    });
    tests.row("s602_interception::call_to_other", || {
        let (sd, got, sent) = call(0);
        assert_sigp(&sd, 0x6c);
        assert_eq!((got, sent), (called(), InsnResult::Condition { cc: 0, value: 0 }));
    });
}
