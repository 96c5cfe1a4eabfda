//! Rows H: `UV_SVM_TERMINATE`.

use uv_power::abi::numbers::UltracallNumber;
use uv_power::abi::{Profile, UvCode};
use uv_power::sim::SvmState;

use crate::rig::*;

rows! { h01 h02 h03 }

fn terminate(rig: &Rig, lpid: u64) -> UvCode {
    rig.call(UltracallNumber::UV_SVM_TERMINATE, &[lpid])
}

fn h01() {
    both(|p| {
        let rig = Rig::new(p);
        assert_eq!(terminate(&rig, 9), pick(p, UvCode::U_PARAMETER, UvCode::U_SUCCESS));
        rig.call(UltracallNumber::UV_WRITE_PATE, &[9, 1 << 63, 0]);
        assert_eq!(terminate(&rig, 9), pick(p, UvCode::U_INVALID, UvCode::U_SUCCESS));
    });
}

fn h02() {
    both(|p| {
        let mut rig = Rig::secure(p, vec![pause()]);
        assert!(rig.machine.secure_pages().0 > 0);
        assert_eq!(terminate(&rig, 7), UvCode::U_SUCCESS);
        assert_eq!(rig.page_in(HOST, 0), UvCode::U_PARAMETER);
        assert_eq!(rig.machine.secure_pages().0, 0, "no frame is left");
        // The context is gone too.
        rig.go();
        assert_eq!(UvCode::from_register(rig.regs.gpr[3]), UvCode::U_PARAMETER);
    });
}

fn h03() {
    both(|p: Profile| {
        let mut rig = Rig::secure(p, vec![]);
        terminate(&rig, 7);
        rig.load(&Image::default());
        rig.seen.clear();
        rig.make_secure(vec![]);
        assert_eq!((rig.seen[0].number, rig.state()), (0xef08, Some(SvmState::Secure)));
    });
}
