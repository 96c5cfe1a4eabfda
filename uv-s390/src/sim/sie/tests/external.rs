use alloc::vec;

use uv_core::GuestAddr;
use uv_sim::guest::{Outcome, Step, Transcript};
use zerocopy::IntoBytes;

use crate::abi::psw::{MASK_64BIT, Psw};
use crate::abi::sie::{InjectionControl, InterceptionCode, StateDescription, Validity};
use crate::abi::uvcb::{CpuState, UvCommand};
use crate::sim::rig::{Guest, OK, Rig, Vcpu, diag};
use crate::sim::{Generation, GuestInsn, InsnResult, Interruption};

const CLOCK_COMPARATOR: u16 = 0x1004;
const CPU_TIMER: u16 = 0x1005;
/// External mask of a PSW.
const EXTERNAL: u64 = 1 << (63 - 7);

/// A guest that has set its external-new PSW and control register 0, opened its masks, and stopped at DIAG 0x44. Next it
/// issues DIAG 0x9c with 1, then it tells what was delivered, then it waits.
fn opened(rig: &Rig, prefix: u32, new: Psw, cr0: u64) -> (Guest, Vcpu, Transcript<InsnResult>) {
    let steps = [
        Step::Call(GuestInsn::Spx { prefix }),
        Step::store(GuestAddr(u64::from(prefix) + 0x1b0), new.as_bytes()),
        Step::Call(GuestInsn::SetCr { number: 0, value: cr0 }),
        Step::Call(GuestInsn::SetMask { mask: u64::MAX }),
        diag(0x44, [0; 5]),
        diag(0x9c, [1, 0, 0, 0, 0]),
        Step::Call(GuestInsn::Interruptions),
    ];
    let (guest, cpu, seen) = rig.booted(0, steps);
    for page in [prefix, prefix + 0x1000].into_iter().filter(|_| prefix != 0) {
        assert_eq!(rig.import(&guest, u64::from(page)), OK);
    }
    assert_eq!(rig.enter(&guest, cpu).ipa.get(), 0xb210);
    assert_eq!(rig.enter(&guest, cpu).gr(5), 0x44);
    (guest, cpu, seen)
}

fn inject(rig: &Rig, guest: &Guest, cpu: Vcpu, code: u16) -> StateDescription {
    rig.change(cpu, |sd| {
        sd.iictl = InjectionControl::EXTERNAL.0;
        sd.ext_code = code.into();
        sd.ext_cpu_addr = 3.into();
        sd.ext_params = 0xabcd.into();
    });
    rig.enter(guest, cpu)
}

/// Interception 0x14 with the filtered new PSW and the code.
fn assert_loop(sd: &StateDescription, code: u16, mask: u64) {
    assert_eq!((sd.interception(), sd.ext_code.get()), (InterceptionCode(0x14), code));
    assert_eq!((sd.psw.mask.get(), sd.psw.address.get()), (mask, 0), "masks, wait and cc, nothing else");
    assert!((0..16).all(|number| sd.gr(number) == 0));
    assert_eq!((sd.ipa.get(), sd.ipb.get(), sd.iictl), (0, 0, 0));
}

#[test]
fn a_new_psw_that_is_enabled_for_what_stays_is_a_loop() {
    for (code, cr0) in [(CLOCK_COMPARATOR, 0x800), (CPU_TIMER, 0x400)] {
        for prefix in [0, 0x8000] {
            let rig = Rig::ready(Generation::Z17);
            let new = Psw::new(MASK_64BIT | EXTERNAL | 1 << 44 | 1 << 48, 0x1234);
            let (guest, cpu, seen) = opened(&rig, prefix, new, cr0);
            let before = seen.lock().len();
            assert_loop(&inject(&rig, &guest, cpu, code), code, EXTERNAL | 1 << 44);
            for _ in 0..3 {
                // The host may write what it likes into the field.
                rig.change(cpu, |sd| sd.ext_code = 0.into());
                assert_loop(&rig.enter(&guest, cpu), code, EXTERNAL | 1 << 44);
            }
            assert_eq!(seen.lock().len(), before, "the program is asked for nothing more");
            let fields = rig.sd(cpu);
            assert_eq!((fields.ext_cpu_addr.get(), fields.ext_params.get()), (3, 0xabcd), "the host's, as they were");
        }
    }
}

#[test]
fn every_mask_has_to_be_open_for_a_loop() {
    let open = Psw::new(MASK_64BIT | EXTERNAL, 0x1234);
    for (code, new, cr0) in [
        (CLOCK_COMPARATOR, Psw::at(0x1234), 0x800),
        (CLOCK_COMPARATOR, Psw::new(!EXTERNAL, 0), u64::MAX),
        // An external call and a service signal are over when they are delivered.
        (0x1202, open, u64::MAX),
        (0x1201, open, u64::MAX),
    ] {
        let rig = Rig::ready(Generation::Z17);
        let (guest, cpu, seen) = opened(&rig, 0, new, cr0);
        let sd = inject(&rig, &guest, cpu, code);
        assert_eq!((sd.interception(), sd.gr(5)), (InterceptionCode::PV_NOTIFICATION, 0x9c), "{code:#x}");
        assert_eq!(rig.icpt(&guest, cpu), InterceptionCode::WAIT);
        let delivered = Interruption::External { code, cpu: 3, parameter: 0xabcd };
        assert_eq!(
            seen.lock().last(),
            Some(&Outcome::Returned(InsnResult::Interruptions(vec![delivered]))),
            "delivered as any other"
        );
    }
}

#[test]
fn a_subclass_that_is_closed_takes_nothing() {
    for (code, cr0) in [(CLOCK_COMPARATOR, !0x800), (CPU_TIMER, !0x400), (0x1202, !0x2000), (0x1201, !0x4000)] {
        let rig = Rig::ready(Generation::Z17);
        let (guest, cpu, _) = opened(&rig, 0, Psw::new(0, 0), cr0);
        assert_eq!(inject(&rig, &guest, cpu, code).validity(), Some(Validity::INJECTION), "{code:#x}");
        rig.change(cpu, |sd| sd.iictl = 0);
        assert_eq!(rig.enter(&guest, cpu).gr(5), 0x9c, "the guest goes on");
    }
}

#[test]
fn the_new_psw_is_looked_at_when_the_prefix_pages_are_there() {
    let rig = Rig::ready(Generation::Z17);
    let (guest, cpu, _) = opened(&rig, 0, Psw::new(EXTERNAL, 0), 0x800);
    assert_eq!(rig.export(guest.base), OK);
    assert_eq!(inject(&rig, &guest, cpu, CLOCK_COMPARATOR).interception(), InterceptionCode::PV_PREFIX);
    assert_eq!(rig.icpt(&guest, cpu), InterceptionCode::PV_PREFIX);
    assert_eq!(rig.import(&guest, 0), OK);
    assert_loop(&rig.enter(&guest, cpu), CLOCK_COMPARATOR, EXTERNAL);
}

#[test]
fn a_loop_ends_with_a_reset() {
    for reset in [UvCommand::CPU_RESET, UvCommand::CPU_RESET_INITIAL, UvCommand::CPU_RESET_CLEAR] {
        let rig = Rig::ready(Generation::Z17);
        let (guest, cpu, _) = opened(&rig, 0, Psw::new(EXTERNAL, 0), 0x400);
        assert_loop(&inject(&rig, &guest, cpu, CPU_TIMER), CPU_TIMER, EXTERNAL);
        assert_eq!(rig.set_state(cpu, CpuState::STOPPED), OK);
        assert_eq!(rig.no_data(reset, cpu.handle), OK);
        assert_eq!(rig.set_state(cpu, CpuState::OPERATING), OK);
        assert_eq!(rig.icpt(&guest, cpu), InterceptionCode::WAIT, "without a program");
    }
}

#[test]
fn another_cpu_can_end_a_loop() {
    let rig = Rig::ready(Generation::Z17);
    let (guest, cpu, _) = opened(&rig, 0, Psw::new(EXTERNAL, 0), 0x400);
    let other = rig.cpu(&guest, 1);
    rig.script(other, [Step::store(GuestAddr(0x1b0), &[0; 16])]);
    assert_loop(&inject(&rig, &guest, cpu, CPU_TIMER), CPU_TIMER, EXTERNAL);
    assert_eq!(rig.set_state(other, CpuState::OPERATING), OK);
    rig.change(other, |sd| sd.iictl = InjectionControl::RESTART.0);
    // Both CPUs have their prefix at 0 here, so that the restart PSW is zeros.
    assert_eq!(rig.icpt(&guest, other), InterceptionCode::WAIT);
    assert_eq!(rig.enter(&guest, cpu).gr(5), 0x9c);
}
