//! The rules of injection into a protected CPU, one by one.

use crate::interrupt::{
    ASK, EXTERNAL, OPEN, REPRESSIBLE, WAIT, YIELD, asks, cr, delivered, external, flags, io, mask, protected, servc,
    yields,
};
use crate::rig::Rig;
use std::sync::Arc;
use uv_core::{Exit, GuestAddr};
use uv_s390::abi::psw::Psw;
use uv_s390::abi::sie::{ExecutionControl, InjectionControl, InterceptionCode};
use uv_s390::abi::uvc::PgmCode;
use uv_s390::hypervisor::kernel::{CpuReset, HostError, Irq, MpState, ProgramIrq, S390Exit};
use uv_s390::sim::{Generation, GuestInsn, InsnResult};
use uv_sim::guest::{Outcome, Program, Script, Step};

#[test]
fn program_interruptions_answer_an_instruction_and_nothing_else() {
    let rig = Rig::new(Generation::Z17);
    let steps = [YIELD(), ASK(), ASK(), ASK(), ASK(), ASK(), YIELD()];
    let (guest, mut cpu, seen) = protected(&rig, 1, steps.into());
    let program = |code| Irq::Program(ProgramIrq { code, ..ProgramIrq::default() });
    yields(&mut cpu);
    guest.inject(Some(0), program(6)).unwrap();
    assert_eq!(cpu.run_served(), Err(HostError::InterruptionRefused), "nothing to answer");
    asks(&mut cpu);
    for code in [0x06, 0x15, 0x86, 0x05, 0x11] {
        guest.inject(Some(0), program(code)).unwrap();
        if matches!(code, 0x05 | 0x11) {
            assert_eq!(cpu.run_served(), Err(HostError::InterruptionRefused), "code {code:#x}");
        }
        if code != 0x11 { asks(&mut cpu) } else { yields(&mut cpu) }
    }
    let seen = seen.lock();
    let exception = |code| Outcome::Returned(InsnResult::Exception(code));
    let expected = [PgmCode::SPECIFICATION, PgmCode::OPERAND, PgmCode::SPECIFICATION].map(exception);
    assert_eq!(seen[2..5], expected);
    let completed = Outcome::Returned(InsnResult::Registers([0, 1, 2, 3, 4]));
    assert_eq!(seen[5..7], [completed.clone(), completed], "as if nothing had been asked for");
}

#[test]
fn a_service_signal_waits_for_the_service_call() {
    let rig = Rig::new(Generation::Z17);
    let bad = || servc(&[0, 7, 0, 0, 0, 0, 0, 0]);
    let steps = [cr(0, 0x200), mask(EXTERNAL), YIELD(), WAIT, bad(), WAIT, YIELD(), bad(), WAIT, WAIT];
    let (guest, mut cpu, seen) = protected(&rig, 1, steps.into());
    yields(&mut cpu);
    guest.inject(None, Irq::Service { parameter: 0x10_0000 }).unwrap();
    assert_eq!(cpu.run_served(), Ok(Exit::Halted), "the guest has asked for nothing");
    assert_eq!(flags(&cpu), ExecutionControl::WAIT);
    guest.inject(None, Irq::Service { parameter: 1 }).unwrap();
    yields(&mut cpu);
    assert_eq!(delivered(&seen).last(), Some(&external(0x2401, 0, 0x14_3000)), "the first one counts");
    guest.inject(None, Irq::Service { parameter: 0x4000 }).unwrap();
    assert_eq!(cpu.run_served(), Ok(Exit::Halted), "the notification is the kernel's");
    let got = delivered(&seen);
    assert_eq!((got.len(), got.last()), (3, Some(&external(0x2401, 0, 0x4_7000))));
    guest.inject(None, Irq::Service { parameter: 0x4000 }).unwrap();
    assert_eq!(cpu.run_served(), Ok(Exit::Halted), "and after each delivery");
    assert_eq!(delivered(&seen).len(), 3);
}

#[test]
fn an_emergency_signal_is_the_kernels() {
    let rig = Rig::new(Generation::Z17);
    let sigp = |cpu| Step::Call(GuestInsn::Sigp { order: 3, cpu, parameter: 0 });
    let steps = [sigp(0), sigp(7), YIELD(), cr(0, 0x4000), mask(EXTERNAL), WAIT];
    let (guest, mut cpu, seen) = protected(&rig, 1, steps.into());
    yields(&mut cpu);
    assert_eq!(guest.inject(Some(0), Irq::Emergency { source: 7 }), Err(HostError::InterruptionRefused));
    assert_eq!(cpu.run_served(), Ok(Exit::Halted));
    assert_eq!(delivered(&seen), [external(0x1201, 0, 0)]);
    assert_eq!(seen.lock()[2], Outcome::Returned(InsnResult::Condition { cc: 3, value: 0 }));
}

#[test]
fn a_stop_comes_after_everything_deliverable() {
    let rig = Rig::new(Generation::Z17);
    let steps = [cr(0, 0x4000), mask(EXTERNAL), YIELD(), Step::Call(GuestInsn::Interruptions), WAIT];
    let (guest, mut cpu, seen) = protected(&rig, 2, steps.into());
    yields(&mut cpu);
    guest.inject(Some(0), Irq::Stop).unwrap();
    assert_eq!(guest.inject(Some(0), Irq::Stop), Err(HostError::InterruptionPending));
    for source in [0, 1] {
        guest.inject(Some(0), Irq::Emergency { source }).unwrap();
    }
    assert_eq!(cpu.run_served(), Ok(Exit::Arch(S390Exit::Stop)));
    assert_eq!(cpu.run_served(), Ok(Exit::Arch(S390Exit::Stop)), "until user space stops it");
    guest.set_mp_state(0, MpState::Stopped).unwrap();
    assert_eq!(guest.inject(Some(0), Irq::Stop), Ok(()), "it is stopped");
    guest.set_mp_state(0, MpState::Operating).unwrap();
    assert_eq!(cpu.run_served(), Ok(Exit::Halted));
    assert_eq!(delivered(&seen), [external(0x1201, 0, 0), external(0x1201, 1, 0)]);
}

#[test]
fn nothing_before_the_first_exit_of_a_cpu_that_was_started() {
    let rig = Rig::new(Generation::Z17);
    let steps = [cr(0, 0x4000), mask(EXTERNAL), YIELD(), WAIT];
    let (guest, mut cpu, seen) = protected(&rig, 1, steps.into());
    guest.inject(Some(0), Irq::Emergency { source: 0 }).unwrap();
    yields(&mut cpu);
    guest.set_mp_state(0, MpState::Stopped).unwrap();
    guest.set_mp_state(0, MpState::Operating).unwrap();
    assert_eq!(cpu.state().unwrap().psw.mask.get() & OPEN, 0);
    guest.inject(Some(0), Irq::Emergency { source: 0 }).unwrap();
    assert_eq!(cpu.run_served(), Ok(Exit::Halted));
    assert_eq!(delivered(&seen), [external(0x1201, 0, 0); 2]);
}

#[test]
fn a_restart_sets_another_cpu_to_work() {
    let rig = Rig::new(Generation::Z17);
    let psw = [0_u64.to_be_bytes(), 0x7000_u64.to_be_bytes()].concat();
    let steps = [Step::store(GuestAddr(0x1a0), &psw), YIELD()];
    let (guest, mut cpu, _) = protected(&rig, 2, steps.into());
    yields(&mut cpu);
    let started = Arc::new(std::sync::Mutex::new(None));
    let seen = started.clone();
    let code = move |psw: Psw| -> Box<dyn Program<GuestInsn, InsnResult>> {
        *seen.lock().expect("one thread") = Some(psw);
        Box::new(Script::new([YIELD()]).0)
    };
    rig.machine.set_guest(guest.state_address(1).unwrap(), code);
    guest.restart(1).unwrap();
    guest.set_mp_state(1, MpState::Operating).unwrap();
    yields(&mut guest.vcpu(1).unwrap());
    assert_eq!(*started.lock().unwrap(), Some(Psw::new(0, 0x7000)));
}

#[test]
fn resets_clear_what_is_local() {
    let rig = Rig::new(Generation::Z17);
    let steps = [cr(0, 0xffff), cr(6, !0), mask(OPEN), YIELD(), WAIT];
    let (guest, mut cpu, _) = protected(&rig, 2, steps.into());
    yields(&mut cpu);
    let all = [
        Irq::Restart,
        Irq::Stop,
        Irq::CpuTimer,
        Irq::ExternalCall { source: 1 },
        Irq::Emergency { source: 1 },
        Irq::MachineCheck(REPRESSIBLE),
        Irq::Program(ProgramIrq { code: 5, ..ProgramIrq::default() }),
    ];
    for irq in all {
        guest.inject(Some(0), irq).unwrap();
    }
    guest.inject(None, Irq::Io(io(1, 1))).unwrap();
    guest.set_mp_state(0, MpState::Stopped).unwrap();
    guest.reset_cpu(0, CpuReset::Initial).unwrap();
    guest.set_mp_state(0, MpState::Operating).unwrap();
    guest.inject(Some(0), Irq::ExternalCall { source: 1 }).unwrap();
    assert_eq!(guest.inject(Some(0), Irq::ExternalCall { source: 1 }), Err(HostError::InterruptionPending));
    // The program is over; the CPU waits with everything masked.
    assert_eq!(cpu.run_served(), Ok(Exit::Halted));
    assert_eq!(cpu.state().unwrap().injection(), InjectionControl::NONE);
    assert!(flags(&cpu).contains(ExecutionControl::IO_INTERCEPT), "what floats is still there");
    guest.clear_floating_interruptions();
    assert_eq!(cpu.run_served(), Ok(Exit::Halted));
    assert_eq!(flags(&cpu), ExecutionControl::EXTERNAL_INTERCEPT);
    assert_eq!(cpu.state().unwrap().interception(), InterceptionCode::WAIT);
}
