//! Slots and their pages at the limits.

use uv_core::Gfn;
use uv_power::abi::numbers::UltracallNumber;
use uv_power::abi::ultracall;
use uv_power::abi::{Profile, UvCode};
use uv_power::sim::GfnState;

use crate::rig::*;

rows! {
    a_page_in_does_not_outlive_its_slot the_last_page_of_a_table_can_be_in_a_slot reservations_are_given_back_and_kept_once
}

const GPA: u64 = 0x100_0000;
const GFN: u64 = GPA >> 16;
const RA: u64 = 0x400_0000;

fn a_page_in_does_not_outlive_its_slot() {
    // The firmware waits for a page's lock: the call has seen the slot, and it is gone when the lock comes.
    let rig = Rig::active_with_slot(Profile::Firmware);
    rig.fill(RA, 0x21);
    let machine = &rig.machine;
    let moment = std::time::Duration::from_millis(60);
    std::thread::scope(|scope| {
        let (paged, removed) = machine
            .while_page_is_held(VM, Gfn(GFN), || {
                let paged =
                    scope.spawn(|| ultracall::call(machine, UltracallNumber::UV_PAGE_IN, &[7, RA, GPA, 0, 16]).0);
                std::thread::sleep(moment);
                let removed =
                    scope.spawn(|| ultracall::call(machine, UltracallNumber::UV_UNREGISTER_MEM_SLOT, &[7, 1]).0);
                std::thread::sleep(moment);
                (paged, removed)
            })
            .unwrap();
        assert_eq!((paged.join().unwrap(), removed.join().unwrap()), (UvCode::U_P3, UvCode::U_SUCCESS));
    });
    assert_eq!(rig.machine.secure_pages().0, 0, "no frame outside of the slots");
}

fn the_last_page_of_a_table_can_be_in_a_slot() {
    both(|p| {
        // 4 TiB of guest memory.
        let last = (1 << 42) - PAGE;
        let rig = Rig::active(p);
        assert_eq!(rig.register(last, 2 * PAGE, 0, 1), pick(p, UvCode::U_P3, UvCode::U_PARAMETER));
        assert_eq!(rig.register(last, PAGE, 0, 1), UvCode::U_SUCCESS);
        rig.fill(RA, 1);
        assert_eq!(rig.page_in(RA, last), UvCode::U_SUCCESS);
        assert_eq!(rig.page_in(RA, last + PAGE), UvCode::U_P3);
        assert_eq!(rig.gfn(last / PAGE), Some(GfnState::Secure));
    });
}

fn reservations_are_given_back_and_kept_once() {
    let unit = 2 << 20;
    let rig = Rig::active(Profile::Firmware);
    let ok = UvCode::U_SUCCESS;
    // 64 units; the transition has one. What is refused reserves nothing.
    for _ in 0..3 {
        assert_eq!(rig.register(0, 64 * unit, 0, 0), UvCode::U_PARAMETER);
        assert_eq!(rig.register(PAGE / 2, 62 * unit, 0, 0), UvCode::U_PARAMETER);
    }
    assert_eq!((rig.register(0, 62 * unit, 0, 0), rig.register(62 * unit, PAGE, 0, 1)), (ok, ok));
    assert_eq!(rig.register(63 * unit, PAGE, 0, 2), UvCode::U_PARAMETER);
    // A slot that goes keeps its reservation until the VM ends.
    assert_eq!(rig.call(UltracallNumber::UV_UNREGISTER_MEM_SLOT, &[7, 1]), ok);
    assert_eq!(rig.register(62 * unit, PAGE, 0, 1), UvCode::U_PARAMETER);
    // Another VM has what is left, which is nothing, and all of it afterwards.
    let other = |mut rig: Rig, expected| {
        rig.start(vec![sc2(UltracallNumber::UV_ESM, &[KERNEL, TREE])]);
        rig.run();
        assert_eq!(rig.register(0, 63 * unit, 0, 0), expected);
        rig
    };
    assert_eq!(rig.call(UltracallNumber::UV_SVM_TERMINATE, &[7]), ok);
    assert_eq!(rig.call(UltracallNumber::UV_SVM_TERMINATE, &[7]), ok, "and not twice");
    let mut rig = other(rig, ok);
    rig.slots = vec![];
    assert_eq!(rig.register(63 * unit, PAGE, 0, 1), UvCode::U_PARAMETER, "all is taken");
    assert_eq!(rig.call(UltracallNumber::UV_SVM_TERMINATE, &[7]), ok);
    other(rig, ok);
}
