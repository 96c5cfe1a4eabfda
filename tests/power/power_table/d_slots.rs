//! Rows D: memory slots.

use uv_power::abi::UvCode;
use uv_power::abi::numbers::UltracallNumber;

use crate::rig::*;

rows! { d01 d02 d03 d04 d05 d06 d07 d08 d09 d10 d11 d12 d13 }

fn unregister(rig: &Rig, id: u64) -> UvCode {
    rig.call(UltracallNumber::UV_UNREGISTER_MEM_SLOT, &[7, id])
}

fn d01() {
    both(|p| {
        let rig = Rig::active(p);
        assert_eq!(rig.register(0x8000, PAGE, 0, 0), pick(p, UvCode::U_P2, UvCode::U_PARAMETER));
        assert_eq!(
            rig.call(UltracallNumber::UV_REGISTER_MEM_SLOT, &[8, 1, 1, 1, 999]),
            UvCode::U_PARAMETER,
            "unknown VM first"
        );
    });
}

fn d02() {
    both(|p| {
        let rig = Rig::active(p);
        assert_eq!(rig.register(0, 0x1_0001, 0, 0), UvCode::U_SUCCESS);
        assert!(rig.gfn(1).is_some() && rig.gfn(2).is_none());
    });
}

fn d03() {
    both(|p| {
        let rig = Rig::active(p);
        let code = pick(p, UvCode::U_P3, UvCode::U_PARAMETER);
        assert_eq!(rig.register(0xffff_ffff_ffff_0000, 0x2_0000, 0, 0), code);
        assert_eq!(rig.register(0, 1 << 52, 0, 0), code, "past the page table");
    });
}

fn d04() {
    both(|p| {
        let rig = Rig::active(p);
        assert_eq!(rig.register(0, PAGE, 0, 512), pick(p, UvCode::U_P5, UvCode::U_PARAMETER));
        assert_eq!(rig.register(0, PAGE, 0, 511), UvCode::U_SUCCESS);
    });
}

fn d05() {
    both(|p| {
        let rig = Rig::active(p);
        assert_eq!(rig.register(0, PAGE, 0xff, 1), pick(p, UvCode::U_P4, UvCode::U_SUCCESS));
    });
}

fn d06() {
    both(|p| {
        let rig = Rig::active(p);
        assert_eq!(rig.register(0, 0x2_0000, 0, 1), UvCode::U_SUCCESS);
        assert_eq!(rig.register(PAGE, PAGE, 0, 2), pick(p, UvCode::U_P2, UvCode::U_PARAMETER));
        assert_eq!(rig.register(PAGE, PAGE, 0, 1), UvCode::U_SUCCESS, "a slot does not overlap itself");
        assert!(rig.gfn(0).is_none() && rig.gfn(1).is_some());
        assert_eq!(rig.register(0, 0, 0, 1), pick(p, UvCode::U_P3, UvCode::U_SUCCESS));
        assert_eq!(rig.gfn(1).is_some(), pick(p, true, false), "size 0 takes the slot away");
    });
}

fn d07() {
    both(|p| {
        let rig = Rig::active(p);
        assert_eq!(rig.register(0, 0x2_0000, 0, 1), UvCode::U_SUCCESS);
        assert_eq!(rig.register(0x2_0000, PAGE, 0, 2), UvCode::U_SUCCESS);
    });
}

fn d08() {
    both(|p| {
        let rig = Rig::active(p);
        assert_eq!(rig.register(0, PAGE, 0, 0x1_0005), UvCode::U_SUCCESS);
        assert_eq!(unregister(&rig, 5), UvCode::U_SUCCESS);
        assert_eq!(rig.gfn(0), None);
    });
}

fn d09() {
    both(|p| {
        let rig = Rig::active(p);
        // 2048 pages are 64 units of 2 MiB; one is the transition's own.
        let all = 64 << 21;
        assert_eq!(rig.register(0, all, 0, 0), pick(p, UvCode::U_SUCCESS, UvCode::U_PARAMETER));
        assert_eq!(rig.register(0, all - (1 << 21), 0, 0), UvCode::U_SUCCESS);
        let next = rig.register(1 << 32, PAGE, 0, 1);
        assert_eq!(next, pick(p, UvCode::U_SUCCESS, UvCode::U_PARAMETER));
        rig.call(UltracallNumber::UV_SVM_TERMINATE, &[7]);
        assert_eq!(Rig::active(p).register(0, 63 << 21, 0, 0), UvCode::U_SUCCESS);
    });
}

fn d10() {
    both(|p| {
        let rig = Rig::active(p);
        rig.register(0, 0x2_0000, 0, 1);
        rig.register(0x2_0000, PAGE, 0, 2);
        assert_eq!(unregister(&rig, 1), UvCode::U_SUCCESS);
        assert!(rig.gfn(0).is_none() && rig.gfn(1).is_none() && rig.gfn(2).is_some());
        assert_eq!(unregister(&rig, 512), UvCode::U_P2);
        assert_eq!(unregister(&rig, 0x1_0002), pick(p, UvCode::U_P2, UvCode::U_SUCCESS));
        assert_eq!(rig.gfn(2).is_some(), pick(p, true, false), "the firmware looks at the low 16 bits");
        assert_eq!(rig.call(UltracallNumber::UV_UNREGISTER_MEM_SLOT, &[8, 1]), UvCode::U_PARAMETER);
    });
}

fn d11() {
    both(|p| {
        let rig = Rig::active(p);
        rig.register(0, 0x2_0000, 0, 1);
        rig.register(0x2_0000, PAGE, 0, 2);
        assert_eq!(unregister(&rig, 9), pick(p, UvCode::U_P2, UvCode::U_SUCCESS));
        assert!(rig.gfn(0).is_some() && rig.gfn(2).is_some());
    });
}

fn d12() {
    both(|p| {
        let rig = Rig::active_with_slot(p);
        rig.fill(HOST, 7);
        assert_eq!(rig.page_in(HOST, 0), UvCode::U_SUCCESS);
        let used = rig.machine.secure_pages().0;
        assert_eq!(unregister(&rig, 1), UvCode::U_SUCCESS);
        assert_eq!(rig.page_in(HOST, 0), UvCode::U_P3);
        assert_eq!(rig.machine.secure_pages().0, used - 1);
    });
}

fn d13() {
    both(|p| {
        let rig = Rig::active_with_slot(p);
        unregister(&rig, 9);
        assert!(rig.gfn(0).is_some(), "only the slot that was named");
    });
}
