//! What an exit stores, to the byte; the forms of all instructions; the masks.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

use uv_core::{HostAddr, NormalMemory};
use uv_sim::guest::{Outcome, Program, Step};
use zerocopy::IntoBytes;

use crate::abi::psw::Psw;
use crate::abi::sie::{AddressSpaces, InjectionControl, InterceptionCode, Sie, StateDescription, Validity};
use crate::sim::rig::{GUEST_LEN, MIB, Rig, Tables, diag};
use crate::sim::sie::{intercept, subclass};
use crate::sim::{Generation, GuestInsn, HostView, InsnResult, Interruption, TOD_PER_MICROSECOND};

/// Fills a state description while its CPU runs, as another host CPU may.
fn filling(host: HostView, state: HostAddr) -> impl FnMut(Psw) -> Box<dyn Program<GuestInsn, InsnResult>> {
    move |_| {
        let host = host.clone();
        Box::new(move |_: Outcome<InsnResult>| {
            host.write(state, &[0xee; 0x400]).unwrap();
            Step::<GuestInsn>::Halt
        })
    }
}

/// Which bytes of a filled state description an exit has stored to.
fn stored(rig: &Rig, state: HostAddr) -> Vec<Range<usize>> {
    let mut bytes = [0; 0x400];
    rig.host.read(state, &mut bytes).unwrap();
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for at in (0..bytes.len()).filter(|at| bytes[*at] != 0xee) {
        match ranges.last_mut().filter(|last| last.end == at) {
            Some(last) => last.end += 1,
            None => ranges.push(at..at + 1),
        }
    }
    ranges
}

#[test]
fn an_exit_stores_to_its_own_fields_alone() {
    let rig = Rig::ready(Generation::Z17);
    let (guest, cpu, _) = rig.booted(0, []);
    rig.machine.set_guest(cpu.state, filling(rig.host.clone(), cpu.state));
    assert_eq!(rig.machine.enter(cpu.state, guest.asce, &mut [0; 16]), Ok(()));
    assert_eq!(stored(&rig, cpu.state), [0x28..0x30, 0x50..0x5c, 0x90..0xa0, 0x100..0x180, 0x380..0x400]);
}

#[test]
fn so_does_the_exit_of_an_ordinary_cpu() {
    let rig = Rig::new(Generation::Z17);
    let (state, asce) = (HostAddr(8 * MIB), (9 * MIB) | 0x107);
    rig.machine.attach(asce, Arc::new(Tables::new(16 * MIB, GUEST_LEN)));
    let mut sd = StateDescription::new();
    sd.psw = Psw::at(0x1_0000);
    rig.host.write(state, sd.as_bytes()).unwrap();
    rig.machine.set_guest(state, filling(rig.host.clone(), state));
    assert_eq!(rig.machine.enter(state, asce, &mut [0; 16]), Ok(()));
    assert_eq!(stored(&rig, state), [0x04..0x08, 0x28..0x30, 0x50..0x52, 0x56..0x5c, 0x90..0xb0, 0x100..0x180]);
}

/// An instruction, its text, and the registers that the host sees.
type Form = (GuestInsn, u16, u32, &'static [(usize, u64)]);

#[test]
fn the_form_of_every_instruction() {
    let gr = [0xa0, 0xa1, 0xa2, 0xa3, 0xa4];
    let diag = |code| GuestInsn::Diag { code, gr };
    let cases: [Form; 15] = [
        (diag(0x44), 0x8302, 0x5000_0000, &[(5, 0x44)]),
        (diag(0x9c), 0x8302, 0x5000_0000, &[(0, 0xa0), (5, 0x9c)]),
        (diag(0x500), 0x8302, 0x5000_0000, &[(1, 0xa1), (2, 0xa2), (3, 0xa3), (4, 0xa4), (5, 0x500)]),
        (diag(0x288), 0x8302, 0x5000_0000, &[(0, 0xa0), (1, 0xa1), (2, 0xa2), (5, 0x288)]),
        (
            GuestInsn::Diag308 { subcode: 3, address: 0x7000, ipib: vec![] },
            0x8302,
            0x5000_0000,
            &[(0, 0x7000), (2, 3), (5, 0x308)],
        ),
        (GuestInsn::Spx { prefix: 0x8000 }, 0xb210, 0x5000_0000, &[]),
        (GuestInsn::Servc { command: 0x77, sccb: vec![] }, 0xb220, 0x0012_0000, &[(1, 0x77), (2, 0x4000)]),
        (GuestInsn::Uvc { block: vec![] }, 0xb9a4, 0, &[]),
        (GuestInsn::Sigp { order: 6, cpu: 9, parameter: 4 }, 0xae02, 0x5000_0000, &[(1, 4), (2, 9), (5, 6)]),
        (GuestInsn::Stsi { gr0: 3, gr1: 2 }, 0xb27d, 0x5000_0000, &[(0, 3), (1, 2)]),
        (GuestInsn::Sthyi { code: 7 }, 0xb256, 0x0024_0000, &[(2, 7)]),
        (
            GuestInsn::ChannelIo { opcode: 0xb234, subchannel: 0x1_0003, operand: vec![] },
            0xb234,
            0x5000_0000,
            &[(1, 0x1_0003)],
        ),
        (GuestInsn::Wait, 0, 0, &[]),
        (GuestInsn::Crash, 0, 0, &[]),
        (GuestInsn::SetGr { number: 1, value: 1 }, 0, 0, &[]),
    ];
    for (insn, ipa, ipb, gr) in cases {
        assert_eq!(insn.shape(), intercept::Shape { ipa, ipb, gr: gr.to_vec() }, "{insn:?}");
    }
}

#[test]
fn which_exceptions_the_host_may_answer_with() {
    let diag = |code| GuestInsn::Diag { code, gr: [0; 5] };
    let cases = [
        (diag(0x500), true, true),
        (GuestInsn::Stsi { gr0: 0, gr1: 0 }, true, true),
        (GuestInsn::Sthyi { code: 0 }, true, true),
        (GuestInsn::ChannelIo { opcode: 0xb234, subchannel: 0, operand: vec![] }, true, true),
        (diag(0x288), true, false),
        (GuestInsn::Diag308 { subcode: 3, address: 0, ipib: vec![] }, true, false),
        (GuestInsn::Servc { command: 0, sccb: vec![] }, true, false),
        (diag(0x44), false, false),
        (GuestInsn::Spx { prefix: 0 }, false, false),
    ];
    for (insn, specification, operand) in cases {
        assert_eq!(insn.permits(InjectionControl::SPECIFICATION), specification, "{insn:?}");
        assert_eq!(insn.permits(InjectionControl::OPERAND), operand, "{insn:?}");
    }
}

#[test]
fn every_subclass_has_one_mask() {
    let external = [
        (0x1200, Some(48)),
        (0x1201, Some(49)),
        (0x1202, Some(50)),
        (0x1004, Some(52)),
        (0x1005, Some(53)),
        (0x2401, Some(54)),
        (0x2603, Some(54)),
        (0x1406, None),
    ];
    for (code, mask) in external {
        for bit in 0..64_u32 {
            let mut cr = [0; 16];
            cr[0] = 1 << (63 - bit);
            assert_eq!(subclass::is_open_for(&cr, code), mask.is_none_or(|mask| mask == bit), "{code:#x}, bit {bit}");
        }
    }
    for class in 0..8_u32 {
        let io = Interruption::Io { subchannel: 0, parameter: 0, word: class << 27 | 0xc7ff_ffff };
        for bit in 0..64_u32 {
            let mut cr = [0; 16];
            cr[6] = 1 << (63 - bit);
            assert_eq!(subclass::is_open(&cr, &io), bit == 32 + class, "class {class}, bit {bit}");
        }
    }
    let seen = subclass::visible(&[u64::MAX; 16]);
    let mut expected = [0; 16];
    (expected[0], expected[6], expected[14]) = (0xee60, 0xff00_0000, 0x1f00_0000);
    assert_eq!(seen, expected);
    assert_eq!(subclass::visible(&[0; 16]), [0; 16]);
}

#[test]
fn a_state_description_that_is_gone_at_the_exit() {
    let taking = |rig: &Rig, state: HostAddr| {
        let machine = Arc::clone(&rig.machine);
        let program = move |_: Psw| -> Box<dyn Program<GuestInsn, InsnResult>> {
            let machine = Arc::clone(&machine);
            Box::new(move |_: Outcome<InsnResult>| {
                machine.storage.donate(state.0, 0x1000, crate::sim::frames::ConfId(77)).unwrap();
                Step::<GuestInsn>::Halt
            })
        };
        rig.machine.set_guest(state, program);
    };
    let rig = Rig::ready(Generation::Z17);
    let (guest, cpu, _) = rig.booted(0, []);
    let (state, asce) = (HostAddr(8 * MIB), (9 * MIB) | 0x107);
    rig.machine.attach(asce, Arc::new(Tables::new(16 * MIB, GUEST_LEN)));
    let mut sd = StateDescription::new();
    sd.psw = Psw::at(0x1_0000);
    rig.host.write(state, sd.as_bytes()).unwrap();
    for (state, asce) in [(cpu.state, guest.asce), (state, asce)] {
        taking(&rig, state);
        assert_eq!(rig.machine.enter(state, asce, &mut [0; 16]), Err(rig.machine.secure_access(state)));
    }
}

#[test]
fn the_address_of_a_closed_frame_is_told_where_the_machine_can() {
    use crate::abi::uvc::Teid;
    use crate::abi::uvcb::Features;
    for generation in [Generation::Z15, Generation::Z16, Generation::Z17] {
        let reliable = generation.features().contains(Features::MISC);
        let interruption = Rig::new(generation).machine.secure_access(HostAddr(0x7000));
        assert_eq!(interruption.teid, Some(Teid::new(0x7000, reliable, Teid::HOME)), "{generation:?}");
    }
}

#[test]
fn an_access_across_pages_waits_for_the_page_that_is_missing() {
    for store in [false, true] {
        let rig = Rig::ready(Generation::Z17);
        let at = uv_core::GuestAddr(0x8ff8);
        let step = if store { Step::store(at, &[7; 16]) } else { Step::load(at, 16) };
        let (guest, cpu, seen) = rig.booted(0, [step]);
        assert_eq!(rig.import(&guest, 0x8000), crate::sim::rig::OK);
        let missing = rig.machine_enter(&guest, cpu).unwrap_err();
        assert_eq!(missing.teid.map(|teid| teid.page()), Some(0x9000));
        assert_eq!(rig.import(&guest, 0x9000), crate::sim::rig::OK);
        assert_eq!(rig.icpt(&guest, cpu), InterceptionCode::WAIT);
        assert_eq!(seen.lock().len(), 1);
    }
}

#[test]
fn the_condition_code_of_the_host_is_the_guests() {
    let rig = Rig::ready(Generation::Z17);
    let mask = Step::Call(GuestInsn::SetMask { mask: u64::MAX });
    let (guest, cpu, seen) = rig
        .booted(0, [mask].into_iter().chain([3, 0, 1, 2, 0].map(|_| Step::Call(GuestInsn::Stsi { gr0: 0, gr1: 0 }))));
    rig.enter(&guest, cpu);
    for cc in [3, 0, 1, 2] {
        rig.change(cpu, |sd| sd.psw = Psw::new(cc << 44, 0));
        let sd = rig.enter(&guest, cpu);
        assert_eq!(sd.psw.mask.get(), 0x0304_0000_0000_0000 | cc << 44);
    }
    let ccs: Vec<u8> = seen.lock()[1..]
        .iter()
        .map(|outcome| match outcome {
            Outcome::Returned(InsnResult::Data { cc, .. }) => *cc,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(ccs, [3, 0, 1, 2]);
}

#[test]
fn a_service_signal_that_tells_of_events_needs_no_service_call() {
    for (parameter, events) in [(1, true), (2, true), (3, true), (0, false), (4, false), (8, false), (0x1001, false)] {
        let rig = Rig::ready(Generation::Z17);
        let open =
            [GuestInsn::SetMask { mask: u64::MAX }, GuestInsn::SetCr { number: 0, value: 0x200 }].map(Step::Call);
        let (guest, cpu, _) = rig.booted(0, open.into_iter().chain([diag(0x44, [0; 5]), diag(0x9c, [0; 5])]));
        assert_eq!(rig.enter(&guest, cpu).gr(5), 0x44);
        rig.change(cpu, |sd| {
            sd.iictl = InjectionControl::EXTERNAL.0;
            (sd.ext_code, sd.ext_params) = (0x2401.into(), parameter.into());
        });
        let refused = (!events).then_some(Validity::INJECTION);
        assert_eq!(rig.enter(&guest, cpu).validity(), refused, "{parameter:#x}");
    }
}

#[test]
fn a_condition_that_was_dealt_with_makes_no_loop_later() {
    let rig = Rig::ready(Generation::Z17);
    let enabled = Psw::new(1 << 56, 0);
    let steps = [
        Step::Call(GuestInsn::SetCr { number: 0, value: 0x800 }),
        Step::Call(GuestInsn::SetMask { mask: u64::MAX }),
        diag(0x44, [0; 5]),
        diag(0x9c, [1, 0, 0, 0, 0]),
        Step::store(uv_core::GuestAddr(0x1b0), enabled.as_bytes()),
        diag(0x9c, [2, 0, 0, 0, 0]),
        diag(0x9c, [3, 0, 0, 0, 0]),
    ];
    let (guest, cpu, _) = rig.booted(0, steps);
    assert_eq!(rig.enter(&guest, cpu).gr(5), 0x44);
    rig.change(cpu, |sd| {
        sd.iictl = InjectionControl::EXTERNAL.0;
        sd.ext_code = 0x1004.into();
    });
    assert_eq!([1, 2, 3].map(|_| rig.enter(&guest, cpu).gr(0)), [1, 2, 3]);
}

#[test]
fn the_timer_may_be_as_early_as_time_passed() {
    let rig = Rig::ready(Generation::Z17);
    let (guest, cpu, _) = rig.booted(0, [0; 4].map(|_| diag(0x44, [0; 5])));
    rig.change(cpu, |sd| sd.cpu_timer = 0x1_0000_0000.into());
    assert_eq!(rig.icpt(&guest, cpu), InterceptionCode::PV_NOTIFICATION);
    let timer = rig.sd(cpu).cpu_timer.get();
    // The entry itself takes a microsecond.
    let with = |value: u64| {
        rig.change(cpu, |sd| sd.cpu_timer = value.into());
        rig.enter(&guest, cpu).validity()
    };
    assert_eq!(with(timer - TOD_PER_MICROSECOND - 1), Some(Validity::CPU_TIMER));
    assert_eq!(with(timer - 2 * TOD_PER_MICROSECOND), None, "two entries by now");
}

#[test]
fn an_operand_of_more_than_a_page_comes_back_whole() {
    let rig = Rig::ready(Generation::Z17);
    let operand: Vec<u8> = (0..0x1100_u32).map(|n| (n % 251).to_be_bytes()[3]).collect();
    let insn = GuestInsn::ChannelIo { opcode: 0xb234, subchannel: 1, operand: operand.clone() };
    let (guest, cpu, seen) = rig.booted(0, [Step::Call(insn)]);
    rig.change(cpu, |sd| {
        sd.sidad = crate::abi::sie::SidaDesignation::new(sd.sida().origin(), 2).unwrap().0.into();
    });
    assert_eq!(rig.icpt(&guest, cpu), InterceptionCode::PV_INSTRUCTION);
    assert_eq!(rig.icpt(&guest, cpu), InterceptionCode::WAIT);
    let Some(Outcome::Returned(InsnResult::Data { bytes, .. })) = seen.lock().first().cloned() else { panic!("data") };
    assert_eq!(bytes[..], operand[..]);
}
