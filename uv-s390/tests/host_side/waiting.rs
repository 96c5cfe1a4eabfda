//! CPUs that wait, and external calls that wake them.

use std::sync::Arc;

use uv_core::Exit;
use uv_s390::abi::psw::Psw;
use uv_s390::abi::sie::{ExecutionControl, InjectionControl};
use uv_s390::hypervisor::kernel::{CpuReset, HostError, MpState, S390Exit, S390Vcpu, Vm};
use uv_s390::sim::{Generation, GuestInsn, InsnResult, Interruption};
use uv_sim::guest::{Outcome, Program, Script, Step, Transcript};

use crate::rig::Rig;

const CALL: Step<GuestInsn> = Step::Call(GuestInsn::Sigp { order: 2, cpu: 1, parameter: 0 });
const WAIT: Step<GuestInsn> = Step::Call(GuestInsn::Wait);

/// Control register 0 and PSW open for external calls and emergency signals.
fn open() -> [Step<GuestInsn>; 2] {
    [GuestInsn::SetCr { number: 0, value: 0x6000 }, GuestInsn::SetMask { mask: 1 << 56 }].map(Step::Call)
}

/// Gives a CPU its program.
fn program(rig: &Rig, guest: &Vm, cpu: u16, steps: Vec<Step<GuestInsn>>) -> Transcript<InsnResult> {
    let (script, seen) = Script::new(steps);
    let mut first = Some(script);
    let code = move |_: Psw| -> Box<dyn Program<GuestInsn, InsnResult>> {
        Box::new(first.take().unwrap_or_else(|| Script::new([]).0))
    };
    rig.machine.set_guest(guest.state_address(cpu).expect("a CPU"), code);
    seen
}

/// A protected VM with two CPUs that run.
fn pair(rig: &Rig, steps: [Vec<Step<GuestInsn>>; 2]) -> (Arc<Vm>, [S390Vcpu; 2], [Transcript<InsnResult>; 2]) {
    let guest = rig.guest(2);
    let [first, second] = steps;
    let seen = [program(rig, &guest, 0, first), program(rig, &guest, 1, second)];
    guest.start_protected(&rig.ipib).expect("a good image");
    guest.set_mp_state(1, MpState::Operating).expect("loaded");
    let mut cpus = [0, 1].map(|number| guest.vcpu(number).expect("a CPU"));
    cpus[1].answer(|answer| answer.inject(InjectionControl::RESTART)).expect("host memory");
    (guest, cpus, seen)
}

fn waits(cpu: &S390Vcpu) -> bool {
    let flags = ExecutionControl::from_bits_retain(cpu.state().expect("host memory").cpu_flags.get());
    assert_eq!(flags - ExecutionControl::WAIT, ExecutionControl::empty());
    flags.contains(ExecutionControl::WAIT)
}

#[test]
fn a_cpu_that_waits_is_woken_by_an_external_call() {
    let rig = Rig::new(Generation::Z17);
    // The restart is taken note of by the first wait.
    let target = open().into_iter().chain([WAIT, WAIT, WAIT]).collect();
    let (_guest, [mut source, mut target], [sent, got]) = pair(&rig, [vec![CALL, CALL, CALL], target]);
    assert_eq!(target.run_served().unwrap(), Exit::Halted);
    assert!(waits(&target) && !waits(&source));

    let call = Exit::Arch(S390Exit::ExternalCall { target: target.number() });
    assert_eq!(source.run_served().unwrap(), call);
    assert_eq!(target.run_served().unwrap(), Exit::Halted, "the last wait");
    let delivered = Interruption::External { code: 0x1202, cpu: 0, parameter: 0 };
    let delivered = Outcome::Returned(InsnResult::Interruptions(vec![delivered]));
    assert_eq!(got.lock().last(), Some(&delivered));

    assert_eq!(source.run_served().unwrap(), call);
    assert_eq!(target.run_served().unwrap(), Exit::Halted, "its program is over");
    assert_eq!(got.lock().iter().filter(|outcome| **outcome == delivered).count(), 2);
    assert!(!waits(&target), "nothing ends this wait");
    assert_eq!(source.run_served().unwrap(), call, "told in any case");
    assert_eq!(source.run_served().unwrap(), Exit::Halted);
    let done = Outcome::Returned(InsnResult::Condition { cc: 0, value: 0 });
    assert_eq!(*sent.lock(), [done.clone(), done.clone(), done]);
}

#[test]
fn the_flag_goes_with_the_wait() {
    let rig = Rig::new(Generation::Z17);
    let busy = Step::Call(GuestInsn::Diag { code: 0x44, gr: [0; 5] });
    let target = open().into_iter().chain([WAIT, WAIT, busy, WAIT]).collect();
    let (guest, [_, mut target], _) = pair(&rig, [vec![], target]);
    assert_eq!(target.run_served().unwrap(), Exit::Halted);
    assert!(waits(&target));
    target
        .answer(|answer| {
            answer.state().ext_code = 0x1201.into();
            answer.inject(InjectionControl::EXTERNAL);
        })
        .unwrap();
    assert!(matches!(target.run_served().unwrap(), Exit::Arch(S390Exit::Yield(_))));
    assert!(!waits(&target), "it has run");
    assert_eq!(target.run_served().unwrap(), Exit::Halted);
    assert!(waits(&target));
    guest.set_mp_state(1, MpState::Stopped).unwrap();
    assert!(matches!(target.run_served(), Err(HostError::CannotRun)));
    assert!(waits(&target), "an entry that is none changes nothing");
    guest.reset_cpu(1, CpuReset::Normal).unwrap();
    assert!(!waits(&target), "a CPU that was reset waits for nothing");
}
