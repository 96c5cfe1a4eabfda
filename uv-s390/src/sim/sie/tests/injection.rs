use uv_sim::guest::{Outcome, Step};

use crate::abi::sie::{InjectionControl, InterceptionCode, StateDescription, Validity};
use crate::abi::uvc::PgmCode;
use crate::abi::uvcb::{CpuState, UvCommand};
use crate::sim::rig::{Guest, Rig, Vcpu, diag};
use crate::sim::{Generation, GuestInsn, InsnResult, Interruption};

fn inject(rig: &Rig, guest: &Guest, cpu: Vcpu, control: InjectionControl) -> StateDescription {
    rig.change(cpu, |sd| sd.iictl = control.0);
    rig.enter(guest, cpu)
}

const REFUSED: Option<Validity> = Some(Validity::INJECTION);

#[test]
fn exceptions_instead_of_a_result() {
    let rig = Rig::ready(Generation::Z17);
    let steps = [0x500, 0x500, 0x288, 0x9c].map(|code| diag(code, [0; 5]));
    let (guest, cpu, seen) = rig.booted(0, steps);
    assert_eq!(rig.enter(&guest, cpu).gr(5), 0x500);
    let sd = inject(&rig, &guest, cpu, InjectionControl::OPERAND);
    assert_eq!((sd.gr(5), sd.iictl), (0x500, 0), "taken");
    assert_eq!(inject(&rig, &guest, cpu, InjectionControl::SPECIFICATION).gr(5), 0x288);
    assert_eq!(inject(&rig, &guest, cpu, InjectionControl::OPERAND).validity(), REFUSED);
    assert_eq!(inject(&rig, &guest, cpu, InjectionControl::SPECIFICATION).gr(5), 0x9c);
    assert_eq!(inject(&rig, &guest, cpu, InjectionControl::SPECIFICATION).validity(), REFUSED, "after a 108");
    let exception = |code| Outcome::Returned(InsnResult::Exception(code));
    assert_eq!(
        *seen.lock(),
        [exception(PgmCode::OPERAND), exception(PgmCode::SPECIFICATION), exception(PgmCode::SPECIFICATION)]
    );
}

#[test]
fn interruptions_only_for_a_guest_that_is_enabled_and_done() {
    let rig = Rig::ready(Generation::Z17);
    let steps = [
        diag(0x44, [0; 5]),
        Step::Call(GuestInsn::SetMask { mask: u64::MAX }),
        diag(0x500, [0; 5]),
        diag(0x9c, [0; 5]),
        Step::Call(GuestInsn::SetCr { number: 6, value: 1 << (31 - 5) | 7 }),
        diag(0x44, [0; 5]),
        Step::Call(GuestInsn::Wait),
    ];
    let (guest, cpu, seen) = rig.booted(0, steps);
    assert_eq!(inject(&rig, &guest, cpu, InjectionControl(0x77)).validity(), REFUSED, "unknown class");
    rig.change(cpu, |sd| sd.iictl = 0);
    assert_eq!(rig.enter(&guest, cpu).gr(5), 0x44);
    for control in [InjectionControl::EXTERNAL, InjectionControl::IO, InjectionControl::MACHINE_CHECK] {
        assert_eq!(inject(&rig, &guest, cpu, control).validity(), REFUSED, "masked");
    }
    rig.change(cpu, |sd| sd.iictl = 0);
    assert_eq!(rig.enter(&guest, cpu).gr(5), 0x500);
    assert_eq!(inject(&rig, &guest, cpu, InjectionControl::IO).validity(), REFUSED, "completes a 104");
    rig.change(cpu, |sd| sd.iictl = 0);
    assert_eq!(rig.enter(&guest, cpu).gr(5), 0x9c);
    assert_eq!(inject(&rig, &guest, cpu, InjectionControl::IO).validity(), REFUSED, "all subclasses are closed");
    rig.change(cpu, |sd| sd.iictl = 0);
    let sd = rig.enter(&guest, cpu);
    assert_eq!((sd.gr(5), sd.crs[6].get()), (0x44, 1 << (31 - 5)), "the host sees the subclass masks, and they alone");
    rig.change(cpu, |sd| sd.io_int_word = (4 << 27).into());
    assert_eq!(inject(&rig, &guest, cpu, InjectionControl::IO).validity(), REFUSED, "another subclass");
    rig.change(cpu, |sd| {
        sd.subchannel_id = 1.into();
        sd.subchannel_nr = 2.into();
        sd.io_int_parm = 3.into();
        sd.io_int_word = (5 << 27 | 4).into();
    });
    assert_eq!(inject(&rig, &guest, cpu, InjectionControl::IO).interception(), InterceptionCode::WAIT);
    let io = Interruption::Io { subchannel: 0x1_0002, parameter: 3, word: 5 << 27 | 4 };
    assert_eq!(seen.lock().last(), Some(&Outcome::Returned(InsnResult::Interruptions([io].to_vec()))));
}

#[test]
fn the_service_signal_waits_for_a_service_call() {
    let rig = Rig::ready(Generation::Z17);
    let servc = Step::Call(GuestInsn::Servc { command: 1, sccb: [0; 8].to_vec() });
    let steps = [
        Step::Call(GuestInsn::SetMask { mask: u64::MAX }),
        Step::Call(GuestInsn::SetCr { number: 0, value: 0x200 }),
        diag(0x44, [0; 5]),
        servc,
        diag(0x44, [0; 5]),
        diag(0x44, [0; 5]),
    ];
    let answered = Step::Call(GuestInsn::Servc { command: 1, sccb: [0, 8, 0, 0, 0, 0, 0, 0].to_vec() });
    let (guest, cpu, _) = rig.booted(0, steps.into_iter().chain([answered, diag(0x44, [0; 5]), diag(0x44, [0; 5])]));
    let signal = || {
        rig.change(cpu, |sd| sd.ext_code = 0x2401.into());
        let sd = inject(&rig, &guest, cpu, InjectionControl::EXTERNAL);
        rig.change(cpu, |sd| sd.iictl = 0);
        sd
    };
    assert_eq!(rig.enter(&guest, cpu).gr(5), 0x44);
    assert_eq!(signal().validity(), REFUSED, "no service call was seen");
    assert_eq!(rig.enter(&guest, cpu).ipa.get(), 0xb220);
    assert_eq!(signal().gr(5), 0x44);
    assert_eq!(signal().validity(), REFUSED, "one signal for one call");
    assert_eq!(rig.enter(&guest, cpu).gr(5), 0x44);
    let servc = |code| (InterceptionCode(code), 0xb220);
    let exit = |sd: &crate::abi::sie::StateDescription| (sd.interception(), sd.ipa.get());
    assert_eq!(exit(&rig.enter(&guest, cpu)), servc(0x68));
    assert_eq!(signal().validity(), REFUSED, "an instruction is at work");
    assert_eq!(exit(&rig.enter(&guest, cpu)), servc(0x6c), "it is complete");
    assert_eq!(signal().gr(5), 0x44);
    assert_eq!(signal().validity(), REFUSED, "one signal for one answer");
}

#[test]
fn nothing_is_injected_into_a_cpu_that_starts() {
    let rig = Rig::ready(Generation::Z17);
    let (guest, cpu, _) = rig.booted(0, [diag(0x44, [0; 5])]);
    assert_eq!(inject(&rig, &guest, cpu, InjectionControl::EXTERNAL).validity(), REFUSED);
}

#[test]
fn a_restart_loads_the_restart_psw() {
    let rig = Rig::ready(Generation::Z17);
    let psw = crate::abi::psw::Psw::at(0x7000);
    let store = Step::store(uv_core::GuestAddr(0x1a0), zerocopy::IntoBytes::as_bytes(&psw));
    let (guest, cpu, _) = rig.booted(0, [store, diag(0x44, [0; 5])]);
    let other = rig.cpu(&guest, 1);
    let started = alloc::sync::Arc::new(spin::Mutex::new(None));
    let seen = alloc::sync::Arc::clone(&started);
    rig.machine.set_guest(other.state, move |psw: crate::abi::psw::Psw| {
        *seen.lock() = Some(psw);
        alloc::boxed::Box::new(uv_sim::guest::Script::new([diag(0x9c, [1, 0, 0, 0, 0])]).0)
            as alloc::boxed::Box<dyn uv_sim::guest::Program<GuestInsn, InsnResult>>
    });
    assert_eq!(rig.enter(&guest, cpu).gr(5), 0x44);
    assert_eq!(rig.set_state(other, CpuState::OPERATING), crate::sim::rig::OK);
    assert_eq!(inject(&rig, &guest, other, InjectionControl::RESTART).gr(5), 0x9c);
    assert_eq!(*started.lock(), Some(psw));
}

#[test]
fn the_service_signal_floats() {
    let rig = Rig::ready(Generation::Z17);
    let open = || [GuestInsn::SetMask { mask: u64::MAX }, GuestInsn::SetCr { number: 0, value: 0x200 }].map(Step::Call);
    let servc = Step::Call(GuestInsn::Servc { command: 1, sccb: [0, 8, 0, 0, 0, 0, 0, 0].to_vec() });
    let (guest, first, _) = rig.booted(0, open().into_iter().chain([servc, diag(0x44, [0; 5])]));
    let second = rig.cpu(&guest, 1);
    let seen = rig.script(second, open().into_iter().chain([diag(0x44, [0; 5]), Step::Call(GuestInsn::Wait)]));
    assert_eq!(rig.set_state(second, CpuState::OPERATING), crate::sim::rig::OK);
    assert_eq!(inject(&rig, &guest, second, InjectionControl::RESTART).gr(5), 0x44);
    assert_eq!(rig.icpt(&guest, first), InterceptionCode::PV_INSTRUCTION, "one CPU makes the call");
    rig.change(second, |sd| sd.ext_code = 0x2401.into());
    assert_eq!(inject(&rig, &guest, second, InjectionControl::EXTERNAL).validity(), REFUSED, "it is not complete");
    assert_eq!(rig.icpt(&guest, first), InterceptionCode::PV_NOTIFICATION);
    assert_eq!(inject(&rig, &guest, second, InjectionControl::EXTERNAL).interception(), InterceptionCode::WAIT);
    let signal = Interruption::External { code: 0x2401, cpu: 0, parameter: 0 };
    let Some(Outcome::Returned(InsnResult::Interruptions(got))) = seen.lock().last().cloned() else { panic!("a wait") };
    assert_eq!(got.last(), Some(&signal), "the other one takes the signal");
    assert_eq!(rig.enter(&guest, first).gr(5), 0x44);
    rig.change(first, |sd| sd.ext_code = 0x2401.into());
    assert_eq!(inject(&rig, &guest, first, InjectionControl::EXTERNAL).validity(), REFUSED, "once");
}

#[test]
fn a_reset_leaves_service_signals_as_they_were() {
    for call in [true, false] {
        let rig = Rig::ready(Generation::Z17);
        let (guest, cpu, _) = rig.booted(0, []);
        let psw = crate::abi::psw::Psw::at(0x6000).short().unwrap().to_be_bytes();
        let servc = Step::Call(GuestInsn::Servc { command: 1, sccb: [0, 8, 0, 0, 0, 0, 0, 0].to_vec() });
        let ask = Step::Call(GuestInsn::Diag308 { subcode: 1, address: 0, ipib: alloc::vec![] });
        let first = [Step::store(uv_core::GuestAddr(0), &psw)].into_iter().chain(call.then_some(servc)).chain([ask]);
        let open =
            [GuestInsn::SetMask { mask: u64::MAX }, GuestInsn::SetCr { number: 0, value: 0x200 }].map(Step::Call);
        let second = open.into_iter().chain([diag(0x44, [0; 5]), diag(0x44, [0; 5])]);
        let mut lives = [first.collect::<alloc::vec::Vec<_>>(), second.collect()].into_iter();
        rig.machine.set_guest(cpu.state, move |_: crate::abi::psw::Psw| {
            alloc::boxed::Box::new(uv_sim::guest::Script::new(lives.next().unwrap_or_default()).0)
                as alloc::boxed::Box<dyn uv_sim::guest::Program<GuestInsn, InsnResult>>
        });
        if call {
            assert_eq!(rig.icpt(&guest, cpu), InterceptionCode::PV_INSTRUCTION);
            assert_eq!(rig.icpt(&guest, cpu), InterceptionCode::PV_NOTIFICATION, "the call is complete");
        }
        assert_eq!(rig.enter(&guest, cpu).gr(5), 0x308);
        let ok = crate::sim::rig::OK;
        assert_eq!(rig.set_state(cpu, CpuState::STOPPED), ok);
        for command in [UvCommand::SET_UNSHARE_ALL, UvCommand::PREPARE_RESET] {
            assert_eq!(rig.no_data(command, guest.conf), ok);
        }
        assert_eq!(rig.no_data(UvCommand::CPU_RESET_INITIAL, cpu.handle), ok);
        assert_eq!(rig.set_state(cpu, CpuState::OPERATING_LOAD), ok);
        assert_eq!(rig.enter(&guest, cpu).gr(5), 0x44);
        rig.change(cpu, |sd| sd.ext_code = 0x2401.into());
        let refused = inject(&rig, &guest, cpu, InjectionControl::EXTERNAL).validity();
        assert_eq!(refused, if call { None } else { REFUSED }, "after a service call: {call}");
    }
}

#[test]
fn a_machine_check_brings_its_data() {
    let rig = Rig::ready(Generation::Z17);
    let steps = [Step::Call(GuestInsn::SetMask { mask: u64::MAX }), diag(0x44, [0; 5]), Step::Call(GuestInsn::Wait)];
    let (guest, cpu, seen) = rig.booted(0, steps);
    assert_eq!(rig.enter(&guest, cpu).gr(5), 0x44);
    rig.change(cpu, |sd| {
        (sd.ext_params, sd.ext_cpu_addr, sd.ext_code) = (0x0040_0f1d.into(), 0x4000.into(), 0x1234.into());
        (sd.failing_address, sd.external_damage) = (0x5678_9000.into(), 0x0800_0000.into());
    });
    assert_eq!(inject(&rig, &guest, cpu, InjectionControl::MACHINE_CHECK).interception(), InterceptionCode::WAIT);
    let mcic = 0x0040_0f1d_4000_1234;
    let check = Interruption::MachineCheck { mcic, failing_address: 0x5678_9000, external_damage: 0x0800_0000 };
    assert_eq!(seen.lock().last(), Some(&Outcome::Returned(InsnResult::Interruptions([check].to_vec()))));
}
