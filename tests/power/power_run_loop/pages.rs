//! Pages that a guest misses.

use proptest::prelude::*;
use uv_core::{Exit, Gfn, HostAddr, MemSlot, SlotId, Vcpu};
use uv_power::abi::HvCode;
use uv_power::abi::msr::SC_LEVEL_1;
use uv_power::abi::numbers::{HvCall, UltracallNumber};
use uv_power::hypervisor::kernel::{GfnState, KvmError};

use crate::rig::*;

#[test]
fn pages_go_to_the_user_or_are_served_in_the_kernel() {
    let fault = |vector: u64| -> Next {
        let inner = interrupted(vector, SECURE);
        Box::new(move |regs| {
            inner(regs);
            regs.asdr = 0x1_0000;
        })
    };
    let next =
        || -> Vec<Next> { vec![reflected(HvCall::H_SVM_PAGE_IN, &[0x2_0000, 0, 16]), fault(0xe00), fault(0xe20)] };
    let prepared = |next| {
        let rig = secure(next);
        assert_eq!(ask(&rig.vm, HvCall::H_SVM_PAGE_IN, [0x1_0000, 1, 16]), HvCode::H_SUCCESS);
        rig.vm.host_unmaps(Gfn(1));
        rig.vm.host_touches(Gfn(2)).unwrap();
        rig.uv.take();
        rig
    };
    let Rig { uv, vm, cpu, .. } = prepared(next());
    let mut cpu = cpu.paging_in_kernel();
    assert_eq!(cpu.run(), Ok(Exit::Halted));
    assert_eq!(calls(&uv), [UltracallNumber::UV_PAGE_IN; 3], "the page that is out, the shared one, and once more");
    assert!(matches!(vm.gfn_state(Gfn(2)), GfnState::Uvmem(_)));
    assert_eq!(vm.gfn_state(Gfn(1)), GfnState::Shared);

    let mut rig = prepared(next());
    let missing = |gfn, access| Ok(Exit::PageMissing { gfn: Gfn(gfn), access });
    assert_eq!(rig.cpu.run(), missing(2, uv_core::Access::Load));
    assert_eq!(rig.cpu.run(), missing(1, uv_core::Access::Load), "H_PARAMETER for the page that did not come");
    assert_eq!(rig.entered(1, true).gpr[0], HvCode::H_PARAMETER.to_register());
    assert_eq!(rig.cpu.run(), missing(1, uv_core::Access::Fetch));
    rig.vm.guest_faults(Gfn(1)).unwrap();
    assert_eq!(rig.cpu.run(), Ok(Exit::Halted));

    // A page out of every slot, and a normal guest.
    let mut rig = secure(vec![Box::new(|regs| (regs.nip, regs.asdr) = (0xe00, 0x100_0000))]);
    assert_eq!(rig.cpu.run(), Err(KvmError::Fault(Gfn(0x100))));
    for started in [false, true] {
        let mut rig = Rig::new(vec![fault(0xe00)]);
        if started {
            assert_eq!(ask(&rig.vm, HvCall::H_SVM_INIT_START, [0; 3]), HvCode::H_SUCCESS);
        }
        assert_eq!(rig.cpu.run(), Err(KvmError::Fault(Gfn(1))), "not before H_SVM_INIT_DONE");
    }
    // A guest that makes the ultravisor's call.
    let call = reflected(HvCall::H_SVM_PAGE_IN, &[0x2_0000, 0, 16]);
    let mut rig = prepared(vec![Box::new(move |regs| {
        call(regs);
        regs.srr1 = NORMAL | SC_LEVEL_1;
    })]);
    assert_eq!(rig.cpu.run(), Ok(Exit::Halted));
    assert_eq!(rig.entered(1, true).gpr[0], HvCode::H_UNSUPPORTED.to_register());
    // On the way to secure mode no page goes to the user.
    let page = &[0x1_0000, 0, 16];
    let mut rig = Rig::new(vec![
        reflected(HvCall::H_SVM_INIT_START, &[]),
        reflected(HvCall::H_SVM_PAGE_IN, page),
        reflected(HvCall::H_SVM_PAGE_OUT, page),
        reflected(HvCall::H_SVM_INIT_DONE, &[]),
    ]);
    assert_eq!(rig.enter(), Ok(3), "the page that went out is not asked for before the guest runs");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    /// Whatever is asked in whatever order, and whatever the ultravisor answers: each device page in use stands for one
    /// resident guest page, and a VM that was ended has none once the ultravisor has given every page.
    #[test]
    fn device_pages_are_neither_lost_nor_given_twice(
        steps in prop::collection::vec((0..12_u8, 0..20_u64, 0..3_u64), 1..60),
        codes in prop::collection::vec(prop::sample::select(vec![0_i64, 0, 0, 0, -4, -55, -56, 1]), 0..60),
    ) {
        let rig = Rig::new(vec![]);
        *rig.uv.inner().codes.lock().unwrap() = codes.into();
        let ask = |call, args| ask(&rig.vm, call, args);
        for (step, gfn, flags) in steps {
            match step {
                0 | 1 => drop(ask(HvCall::H_SVM_INIT_START, [0; 3])),
                2 => drop(ask(HvCall::H_SVM_INIT_DONE, [0; 3])),
                3 => drop(ask(HvCall::H_SVM_INIT_ABORT, [0; 3])),
                4..=6 => drop(ask(HvCall::H_SVM_PAGE_IN, [gfn << 16, flags, 16])),
                7 => drop(ask(HvCall::H_SVM_PAGE_OUT, [gfn << 16, flags & 1, 16])),
                8 => drop(rig.vm.host_touches(Gfn(gfn))),
                9 => rig.vm.host_unmaps(Gfn(gfn)),
                10 if flags == 0 => drop(rig.vm.svm_off()),
                10 => rig.vm.delete_memslot(SlotId(u16::try_from(gfn % 3).unwrap())),
                _ => {
                    let slot = MemSlot { first: Gfn(gfn), pages: flags + 1, host: HostAddr(0x18_0000) };
                    let _ = rig.vm.add_memslot(SlotId(1 + u16::try_from(gfn % 2).unwrap()), slot);
                }
            }
            let devices: Vec<_> = (0..24).filter_map(|gfn| match rig.vm.gfn_state(Gfn(gfn)) {
                GfnState::Uvmem(device) => Some(device.0),
                _ => None,
            }).collect();
            let different: std::collections::BTreeSet<_> = devices.iter().collect();
            prop_assert_eq!(different.len(), devices.len());
            prop_assert_eq!(rig.pool.pages() - rig.pool.free(), devices.len() as u64);
        }
        rig.uv.inner().codes.lock().unwrap().clear();
        prop_assert_eq!(rig.vm.svm_off(), Ok(()));
        // What the ultravisor refused at an abort comes out when the host touches it.
        let slots = rig.vm.slots();
        for gfn in (0..24).map(Gfn).filter(|gfn| slots.find(*gfn).is_some()) {
            prop_assert_eq!(rig.vm.host_touches(gfn), Ok(()));
        }
        prop_assert_eq!(rig.pool.free(), rig.pool.pages());
    }
}

#[test]
fn only_a_secure_page_that_is_out_goes_to_the_user() {
    let answer = |call: HvCall, args: &'static [u64]| {
        let mut rig = secure(vec![reflected(call, args)]);
        rig.vm.host_touches(Gfn(2)).unwrap();
        assert_eq!(rig.vm.gfn_state(Gfn(2)), GfnState::PagedOut);
        let exit = rig.cpu.run();
        let entered = rig.entries().get(1).map(|call| call.before.gpr[0]);
        (exit, entered)
    };
    let served = |code: HvCode| (Ok(Exit::Halted), Some(code.to_register()));
    let missing = Ok(Exit::PageMissing { gfn: Gfn(2), access: uv_core::Access::Load });
    assert_eq!(answer(HvCall::H_SVM_PAGE_IN, &[0x2_0000, 0, 16]), (missing, None));
    assert_eq!(answer(HvCall::H_SVM_PAGE_IN, &[0x2_0000, 1, 16]), served(HvCode::H_SUCCESS), "it is to be shared");
    assert_eq!(answer(HvCall::H_SVM_PAGE_IN, &[0x2_0000, 0, 12]), served(HvCode::H_P3));
    assert_eq!(answer(HvCall::H_SVM_PAGE_OUT, &[0x2_0000, 0, 16]), served(HvCode::H_SUCCESS));
    assert_eq!(answer(HvCall::H_SVM_PAGE_IN, &[0x1_0000, 0, 16]), served(HvCode::H_PARAMETER), "it is in");
    // The user brings it, and the ultravisor hears so.
    let mut rig = secure(vec![reflected(HvCall::H_SVM_PAGE_IN, &[0x2_0000, 0, 16])]);
    rig.vm.host_touches(Gfn(2)).unwrap();
    assert!(matches!(rig.cpu.run(), Ok(Exit::PageMissing { .. })));
    rig.cpu.complete(HvCode::H_STATE, &[]);
    uv_core::PageIn::page_in(&*rig.vm, Gfn(2)).unwrap();
    assert_eq!(rig.cpu.run(), Ok(Exit::Halted));
    assert_eq!(rig.entered(1, true).gpr[0], HvCode::H_SUCCESS.to_register());
    // A VM on its way to secure mode has no page for the user.
    let mut rig = Rig::new(vec![reflected(HvCall::H_SVM_PAGE_IN, &[0x2_0000, 0, 16])]);
    assert_eq!(ask(&rig.vm, HvCall::H_SVM_INIT_START, [0; 3]), HvCode::H_SUCCESS);
    for call in [HvCall::H_SVM_PAGE_IN, HvCall::H_SVM_PAGE_OUT] {
        assert_eq!(ask(&rig.vm, call, [0x2_0000, 0, 16]), HvCode::H_SUCCESS);
    }
    assert_eq!(rig.cpu.run(), Ok(Exit::Halted));
    assert_eq!(rig.entered(1, true).gpr[0], HvCode::H_SUCCESS.to_register());
}
