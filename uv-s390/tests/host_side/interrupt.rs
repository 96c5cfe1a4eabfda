//! Delivery of interruptions to protected CPUs: order, requests, waits, who is woken.

use std::sync::Arc;

use uv_core::{Exit, GuestAddr};
use uv_s390::abi::psw::Psw;
use uv_s390::abi::sie::{ExecutionControl, InjectionControl};
use uv_s390::hypervisor::kernel::{IoIrq, Irq, MachineCheckIrq, MpState, S390Exit, S390Vcpu, Vm};
use uv_s390::sim::{Generation, GuestInsn, InsnResult, Interruption};
use uv_sim::guest::{Outcome, Program, Script, Step, Transcript};

use crate::ordinary::diag;
use crate::rig::Rig;

pub(crate) const WAIT: Step<GuestInsn> = Step::Call(GuestInsn::Wait);
pub(crate) const EXTERNAL: u64 = 1 << 56;
pub(crate) const IO: u64 = 1 << 57;
pub(crate) const MACHINE_CHECK: u64 = 1 << 50;

pub(crate) fn mask(mask: u64) -> Step<GuestInsn> {
    Step::Call(GuestInsn::SetMask { mask })
}

pub(crate) fn cr(number: u8, value: u64) -> Step<GuestInsn> {
    Step::Call(GuestInsn::SetCr { number, value })
}

pub(crate) fn servc(sccb: &[u8]) -> Step<GuestInsn> {
    Step::Call(GuestInsn::Servc { command: 0x12_0001, sccb: sccb.to_vec() })
}

/// All subclasses.
pub(crate) fn subclasses() -> [Step<GuestInsn>; 3] {
    [cr(0, 0x6e00), cr(6, 0xff00_0000), cr(14, 0x1f00_0000)]
}

/// A protected VM with this many CPUs; the first one runs `steps`, the others wait for a start.
pub(crate) fn protected(
    rig: &Rig,
    cpus: u16,
    steps: Vec<Step<GuestInsn>>,
) -> (Arc<Vm>, S390Vcpu, Transcript<InsnResult>) {
    let guest = rig.guest(cpus);
    // The external-new PSW is masked: no loop through it.
    let first = Step::store(GuestAddr(0x1b0), &[0; 16]);
    let (script, seen) = Script::new([first].into_iter().chain(steps));
    let mut first = Some(script);
    let code = move |_: Psw| -> Box<dyn Program<GuestInsn, InsnResult>> {
        Box::new(first.take().unwrap_or_else(|| Script::new([]).0))
    };
    rig.machine.set_guest(guest.state_address(0).expect("a CPU"), code);
    guest.start_protected(&rig.ipib).expect("a good image");
    let cpu = guest.vcpu(0).expect("a CPU");
    (guest, cpu, seen)
}

/// What was delivered, in its order.
pub(crate) fn delivered(seen: &Transcript<InsnResult>) -> Vec<Interruption> {
    let seen = seen.lock();
    let each = seen.iter().filter_map(|outcome| match outcome {
        Outcome::Returned(InsnResult::Interruptions(list)) => Some(list.clone()),
        _ => None,
    });
    each.flatten().collect()
}

pub(crate) const fn external(code: u16, cpu: u16, parameter: u32) -> Interruption {
    Interruption::External { code, cpu, parameter }
}

pub(crate) fn io(subclass: u32, parameter: u32) -> IoIrq {
    IoIrq { subchannel_id: 1, subchannel_nr: 7, parameter, word: subclass << 27 }
}

pub(crate) fn flags(cpu: &S390Vcpu) -> ExecutionControl {
    ExecutionControl::from_bits_retain(cpu.state().expect("host memory").cpu_flags.get())
}

pub(crate) const REPRESSIBLE: MachineCheckIrq = MachineCheckIrq {
    cr14: 1 << 26,
    mcic: 1 << 58 | 5,
    failing_address: 0x9000,
    external_damage: 0x0800_0000,
    fixed_logout: [0; 16],
};

pub(crate) fn yields(cpu: &mut S390Vcpu) {
    assert!(matches!(cpu.run_served(), Ok(Exit::Arch(S390Exit::Yield(_)))));
}

/// At an instruction that the hypervisor has to answer.
pub(crate) fn asks(cpu: &mut S390Vcpu) {
    assert!(matches!(cpu.run_served(), Ok(Exit::Arch(S390Exit::Instruction(_)))));
}

pub(crate) const YIELD: fn() -> Step<GuestInsn> = || diag(0x9c, [0; 5]);
pub(crate) const ASK: fn() -> Step<GuestInsn> = || diag(0x500, [0, 1, 2, 3, 4]);
pub(crate) const OPEN: u64 = EXTERNAL | IO | MACHINE_CHECK;

#[test]
fn one_with_each_entry_by_priority() {
    let rig = Rig::new(Generation::Z17);
    let steps = subclasses().into_iter().chain([YIELD(), mask(OPEN), YIELD(), WAIT, WAIT]);
    let (guest, mut cpu, seen) = protected(&rig, 3, steps.collect());
    yields(&mut cpu);
    let exigent = MachineCheckIrq { mcic: 1 << 63, ..REPRESSIBLE };
    for irq in [
        Irq::CpuTimer,
        Irq::ClockComparator,
        Irq::ExternalCall { source: 1 },
        Irq::Emergency { source: 2 },
        Irq::Emergency { source: 1 },
        Irq::Emergency { source: 2 },
        Irq::MachineCheck(exigent),
        Irq::MachineCheck(REPRESSIBLE),
    ] {
        guest.inject(Some(0), irq).unwrap();
    }
    let report = MachineCheckIrq { mcic: 1 << 54, cr14: !0, ..MachineCheckIrq::default() };
    for irq in [
        Irq::Io(io(3, 33)),
        Irq::Io(io(0, 30)),
        Irq::Io(io(3, 34)),
        Irq::Service { parameter: 3 },
        Irq::MachineCheck(report),
    ] {
        guest.inject(None, irq).unwrap();
    }
    yields(&mut cpu);
    assert_eq!(cpu.run_served(), Ok(Exit::Halted));
    let io = |word: u32, parameter| Interruption::Io { subchannel: 1 << 16 | 7, parameter, word: word << 27 };
    let check = Interruption::MachineCheck {
        mcic: 1 << 63 | 1 << 58 | 5 | 1 << 54,
        failing_address: 0x9000,
        external_damage: 0x0800_0000,
    };
    let expected = [
        check,
        external(0x1201, 1, 0),
        external(0x1201, 2, 0),
        external(0x1202, 1, 0),
        external(0x1004, 0, 0),
        external(0x1005, 0, 0),
        external(0x2401, 0, 3),
        io(0, 30),
        io(3, 33),
        io(3, 34),
    ];
    assert_eq!(delivered(&seen), expected);
}

#[test]
fn what_cannot_be_delivered_makes_the_guest_leave_in_time() {
    let rig = Rig::new(Generation::Z17);
    let steps = [
        YIELD(),
        YIELD(),
        mask(OPEN),
        YIELD(),
        cr(14, 1 << 26),
        cr(6, 1 << 31),
        cr(0, 0x2000),
        YIELD(),
        YIELD(),
        Step::Call(GuestInsn::Interruptions),
    ];
    let (guest, mut cpu, seen) = protected(&rig, 2, steps.into());
    yields(&mut cpu);
    guest.inject(Some(0), Irq::ExternalCall { source: 1 }).unwrap();
    guest.inject(None, Irq::Io(io(0, 1))).unwrap();
    guest.inject(Some(0), Irq::MachineCheck(REPRESSIBLE)).unwrap();
    yields(&mut cpu);
    let state = cpu.state().unwrap();
    let both = ExecutionControl::EXTERNAL_INTERCEPT | ExecutionControl::IO_INTERCEPT;
    assert_eq!((flags(&cpu), state.lctl.get(), state.ictl.get()), (both, 0, 0x0040_0000), "the PSW is closed");
    yields(&mut cpu);
    let state = cpu.state().unwrap();
    let none = ExecutionControl::empty();
    assert_eq!((flags(&cpu), state.lctl.get(), state.ictl.get()), (none, 0x8202, 0), "the subclasses are");
    yields(&mut cpu);
    yields(&mut cpu);
    let state = cpu.state().unwrap();
    assert_eq!((flags(&cpu), state.lctl.get(), state.ictl.get()), (none, 0, 0), "all is done");
    assert_eq!(cpu.run_served(), Ok(Exit::Halted));
    let check = Interruption::MachineCheck { mcic: 1 << 58 | 5, failing_address: 0x9000, external_damage: 0x0800_0000 };
    let io = Interruption::Io { subchannel: 1 << 16 | 7, parameter: 1, word: 0 };
    assert_eq!(delivered(&seen), [check, io, external(0x1202, 1, 0)]);
}

#[test]
fn a_wait_goes_on_with_what_is_deliverable() {
    let rig = Rig::new(Generation::Z17);
    let steps = subclasses().into_iter().chain([mask(EXTERNAL), WAIT, WAIT, mask(0), WAIT]);
    let (guest, mut cpu, seen) = protected(&rig, 2, steps.collect());
    assert_eq!(cpu.run_served(), Ok(Exit::Halted));
    assert!(flags(&cpu).contains(ExecutionControl::WAIT));
    guest.inject(None, Irq::Io(io(0, 1))).unwrap();
    assert_eq!(cpu.run_served(), Ok(Exit::Halted), "closed for I/O");
    guest.inject(Some(0), Irq::Emergency { source: 0 }).unwrap();
    guest.inject(Some(0), Irq::Emergency { source: 1 }).unwrap();
    assert_eq!(cpu.run_served(), Ok(Exit::Halted));
    let got = delivered(&seen);
    assert_eq!(got, [external(0x1201, 0, 0), external(0x1201, 1, 0)]);
}

#[test]
fn nothing_with_the_completion_of_an_instruction() {
    let rig = Rig::new(Generation::Z17);
    let steps = subclasses().into_iter().chain([mask(OPEN), ASK(), YIELD(), WAIT]);
    let (guest, mut cpu, seen) = protected(&rig, 2, steps.collect());
    asks(&mut cpu);
    assert_eq!(cpu.state().unwrap().psw.mask.get() & OPEN, 0, "masked in the copy");
    guest.inject(Some(0), Irq::Emergency { source: 1 }).unwrap();
    guest.inject(None, Irq::Io(io(2, 2))).unwrap();
    guest.inject(Some(0), Irq::MachineCheck(REPRESSIBLE)).unwrap();
    guest.inject(Some(0), Irq::Restart).unwrap();
    // Even when the copy is tampered with.
    cpu.change_registers(|_, state| state.psw.mask = OPEN.into()).unwrap();
    cpu.answer(|answer| answer.set_gr(2, 9)).unwrap();
    yields(&mut cpu);
    assert_eq!(seen.lock().last(), Some(&Outcome::Returned(InsnResult::Registers([0, 1, 9, 3, 4]))), "completed");
    let state = cpu.state().unwrap();
    assert_eq!((state.injection(), flags(&cpu)), (InjectionControl::NONE, ExecutionControl::empty()), "all delivered");
    assert_eq!(cpu.run_served(), Ok(Exit::Halted), "the restart is the last one, and ends the program");
}

#[test]
fn who_is_woken_for_what_floats() {
    let rig = Rig::new(Generation::Z17);
    let steps = [YIELD(), cr(0, 0x200), mask(EXTERNAL), WAIT];
    let (guest, mut cpu, _) = protected(&rig, 3, steps.into());
    let woken = |flag| -> Vec<u16> {
        let has = |number: &u16| {
            let flags = ExecutionControl::from_bits_retain(guest.state(*number).expect("a CPU").cpu_flags.get());
            flags.contains(flag)
        };
        guest.cpu_numbers().into_iter().filter(has).collect()
    };
    guest.inject(None, Irq::Io(io(0, 1))).unwrap();
    assert_eq!(woken(ExecutionControl::IO_INTERCEPT), [0], "the others are stopped");
    guest.set_mp_state(2, MpState::Operating).unwrap();
    guest.inject(None, Irq::Io(io(0, 1))).unwrap();
    guest.inject(None, Irq::Io(io(0, 1))).unwrap();
    assert_eq!(woken(ExecutionControl::IO_INTERCEPT), [0, 2], "in turn");
    yields(&mut cpu);
    let report = MachineCheckIrq { mcic: 1 << 54, cr14: 1 << 28, ..MachineCheckIrq::default() };
    guest.inject(None, Irq::MachineCheck(report)).unwrap();
    let stop = woken(ExecutionControl::STOP_INTERCEPT);
    assert_eq!(stop.len(), 1);
    assert_eq!(cpu.run_served(), Ok(Exit::Halted), "what is only a wake-up is no stop");
    for _ in 0..3 {
        guest.inject(None, Irq::Service { parameter: 1 }).unwrap();
    }
    assert_eq!(woken(ExecutionControl::EXTERNAL_INTERCEPT), [0], "one that waits is preferred");
}

#[test]
fn a_cpu_that_runs_is_made_to_leave() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(1);
    // A guest that never leaves by itself before it has seen both.
    let mut begin = vec![diag(0x9c, [0; 5]), mask(EXTERNAL | IO), cr(6, 0xff00_0000), cr(0, 0x4000)];
    let mut seen = 0;
    let program = move |outcome: Outcome<InsnResult>| {
        if let Outcome::Returned(InsnResult::Interruptions(list)) = outcome {
            seen += list.len();
        }
        let busy = if seen < 2 { Step::Call(GuestInsn::Interruptions) } else { diag(0x500, [0; 5]) };
        begin.pop().unwrap_or(busy)
    };
    let mut program = Some(program);
    let code = move |_: Psw| -> Box<dyn Program<GuestInsn, InsnResult>> { Box::new(program.take().expect("once")) };
    rig.machine.set_guest(guest.state_address(0).unwrap(), code);
    guest.start_protected(&rig.ipib).unwrap();
    let mut cpu = guest.vcpu(0).unwrap();
    yields(&mut cpu);
    std::thread::scope(|scope| {
        let runs = scope.spawn(move || asks(&mut cpu));
        for inject in [(None, Irq::Io(io(4, 4))), (Some(0), Irq::Emergency { source: 0 })] {
            std::thread::sleep(std::time::Duration::from_millis(20));
            guest.inject(inject.0, inject.1).unwrap();
        }
        runs.join().unwrap();
    });
}
