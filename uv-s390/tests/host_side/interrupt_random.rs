//! Random interruptions against a protected guest with random masks: none is refused by the machine, none is lost, none comes
//! twice.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use uv_core::{Exit, Gfn, GuestAddr};
use uv_s390::abi::psw::Psw;
use uv_s390::abi::sie::ExecutionControl;
use uv_s390::hypervisor::kernel::{
    HostError, IoIrq, Irq, MachineCheckIrq, MpState, ProgramIrq, S390Exit, S390Vcpu, Vm,
};
use uv_s390::sim::{Generation, GuestInsn, InsnResult, Interruption};
use uv_sim::guest::{Outcome, Program, Step};

use crate::interrupt::{EXTERNAL, IO, MACHINE_CHECK, WAIT, cr, mask, servc, subclasses};
use crate::ordinary::diag;
use crate::rig::Rig;

/// What the hypervisor does at an exit.
#[derive(Clone, Debug)]
enum Act {
    Local(Irq),
    Io(u32),
    Service(u32),
    Report,
    /// Specification or operand exception, where an instruction is to be answered.
    Program(u16),
    /// A page goes out of the page tables.
    Unmap(u64),
    /// The CPU is stopped and started.
    Stop,
    Nothing,
}

fn act() -> impl Strategy<Value = Act> {
    let check = MachineCheckIrq { cr14: 1 << 26, mcic: 1 << 58, ..MachineCheckIrq::default() };
    prop_oneof![
        1 => Just(Act::Local(Irq::ClockComparator)),
        1 => Just(Act::Local(Irq::CpuTimer)),
        1 => (0_u16..2).prop_map(|source| Act::Local(Irq::Emergency { source })),
        1 => (0_u16..2).prop_map(|source| Act::Local(Irq::ExternalCall { source })),
        1 => Just(Act::Local(Irq::MachineCheck(check))),
        1 => Just(Act::Local(Irq::MachineCheck(MachineCheckIrq { mcic: 1 << 63, ..check }))),
        3 => (0_u32..8).prop_map(Act::Io),
        1 => (0_u32..4).prop_map(Act::Service),
        1 => Just(Act::Service(0x4000)),
        1 => Just(Act::Report),
        1 => prop_oneof![Just(0x06), Just(0x15)].prop_map(Act::Program),
        1 => prop_oneof![Just(0), Just(1), Just(8), Just(9)].prop_map(Act::Unmap),
        1 => Just(Act::Stop),
        2 => Just(Act::Nothing),
    ]
}

fn one(step: Step<GuestInsn>) -> Vec<Step<GuestInsn>> {
    vec![step]
}

/// A wait that ends: everything is open, and the CPU has signalled to itself.
fn wait() -> Vec<Step<GuestInsn>> {
    let open = subclasses().into_iter().chain([mask(EXTERNAL | IO | MACHINE_CHECK)]);
    open.chain([Step::Call(GuestInsn::Sigp { order: 3, cpu: 0, parameter: 0 }), WAIT]).collect()
}

fn steps() -> impl Strategy<Value = Vec<Step<GuestInsn>>> {
    prop_oneof![
        3 => any::<u64>().prop_map(|value| one(mask(value))),
        1 => any::<u64>().prop_map(|value| one(cr(0, value))),
        1 => any::<u64>().prop_map(|value| one(cr(6, value))),
        1 => any::<u64>().prop_map(|value| one(cr(14, value))),
        2 => Just(one(diag(0x9c, [0; 5]))),
        2 => Just(one(diag(0x500, [0, 1, 2, 3, 4]))),
        1 => Just(one(Step::Call(GuestInsn::Stsi { gr0: 1, gr1: 1 }))),
        1 => Just(one(servc(&[0, 8, 0, 0, 0, 0, 0, 0]))),
        1 => Just(one(servc(&[0, 7, 0, 0, 0, 0, 0, 0]))),
        1 => prop_oneof![Just(0), Just(0x8000)].prop_map(|prefix| one(Step::Call(GuestInsn::Spx { prefix }))),
        1 => (0_u16..3).prop_map(|cpu| one(Step::Call(GuestInsn::Sigp { order: 3, cpu, parameter: 0 }))),
        1 => Just(one(Step::load(GuestAddr(0x9000), 8))),
        1 => Just(one(Step::Call(GuestInsn::Interruptions))),
        1 => Just(wait()),
    ]
}

type Delivered = Arc<Mutex<Vec<Interruption>>>;

/// A guest with these steps, which opens everything at the end and waits forever.
fn guest(rig: &Rig, steps: Vec<Step<GuestInsn>>) -> (Arc<Vm>, S390Vcpu, Delivered) {
    let guest = rig.guest(2);
    let masked = [0x1b0, 0x81b0].map(|at| Step::store(GuestAddr(at), &[0; 16]));
    let last = subclasses().into_iter().chain([mask(EXTERNAL | IO | MACHINE_CHECK)]);
    let mut steps: VecDeque<_> = masked.into_iter().chain(steps).chain(last).collect();
    let got = Delivered::default();
    let log = got.clone();
    let program = move |outcome: Outcome<InsnResult>| {
        if let Outcome::Returned(InsnResult::Interruptions(list)) = outcome {
            log.lock().expect("one thread").extend(list);
        }
        steps.pop_front().unwrap_or(WAIT)
    };
    let mut program = Some(program);
    let code =
        move |_: Psw| -> Box<dyn Program<GuestInsn, InsnResult>> { Box::new(program.take().expect("one start")) };
    rig.machine.set_guest(guest.state_address(0).expect("a CPU"), code);
    guest.start_protected(&rig.ipib).expect("a good image");
    let cpu = guest.vcpu(0).expect("a CPU");
    (guest, cpu, got)
}

/// What was made pending.
#[derive(Default)]
struct Made {
    io: BTreeMap<u32, u32>,
    calls: usize,
    mcic: u64,
    kinds: BTreeMap<u16, usize>,
    next: u32,
}

fn perform(guest: &Vm, act: Act, answerable: bool, made: &mut Made) -> Result<(), HostError> {
    match act {
        Act::Local(irq @ Irq::ExternalCall { .. }) => match guest.inject(Some(0), irq) {
            Ok(()) => made.calls += 1,
            Err(error) => assert_eq!(error, HostError::InterruptionPending),
        },
        Act::Local(irq) => {
            match irq {
                Irq::MachineCheck(check) => made.mcic |= check.mcic,
                Irq::ClockComparator => *made.kinds.entry(0x1004).or_default() += 1,
                Irq::CpuTimer => *made.kinds.entry(0x1005).or_default() += 1,
                _ => *made.kinds.entry(0x1201).or_default() += 1,
            }
            guest.inject(Some(0), irq)?;
        }
        Act::Io(subclass) => {
            made.next += 1;
            made.io.insert(made.next, subclass << 27);
            let irq = IoIrq { subchannel_id: 1, subchannel_nr: 2, parameter: made.next, word: subclass << 27 };
            guest.inject(None, Irq::Io(irq))?;
        }
        Act::Service(parameter) => guest.inject(None, Irq::Service { parameter })?,
        Act::Report => {
            made.mcic |= 1 << 54;
            let check = MachineCheckIrq { mcic: 1 << 54, cr14: 1 << 28, ..MachineCheckIrq::default() };
            guest.inject(None, Irq::MachineCheck(check))?;
        }
        Act::Program(code) if answerable => {
            guest.inject(Some(0), Irq::Program(ProgramIrq { code, ..ProgramIrq::default() }))?;
        }
        Act::Unmap(page) => guest.unmap(Gfn(page)),
        Act::Stop => {
            guest.set_mp_state(0, MpState::Stopped)?;
            guest.set_mp_state(0, MpState::Operating)?;
        }
        Act::Program(_) | Act::Nothing => {}
    }
    Ok(())
}

fn check(got: &[Interruption], made: &Made) {
    let (mut io, mut mcic) = (BTreeMap::new(), 0);
    let mut kinds = BTreeMap::<u16, usize>::new();
    for interruption in got {
        match *interruption {
            Interruption::Io { parameter, word, .. } => {
                assert_eq!(io.insert(parameter, word), None, "twice");
            }
            Interruption::External { code, .. } => *kinds.entry(code).or_default() += 1,
            Interruption::MachineCheck { mcic: code, .. } => mcic |= code,
            Interruption::Restart => panic!("nobody asked for it"),
        }
    }
    assert_eq!((io, mcic), (made.io.clone(), made.mcic));
    assert_eq!(kinds.get(&0x1202).copied().unwrap_or(0), made.calls);
    for (code, made) in &made.kinds {
        let got = kinds.get(code).copied().unwrap_or(0);
        assert!(0 < got && got <= *made, "{code:#x}: {got} of {made}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_interruption_arrives_once_and_none_is_refused(
        steps in prop::collection::vec(steps(), 1..30),
        acts in prop::collection::vec(prop::collection::vec(act(), 0..4), 1..40),
    ) {
        let rig = Rig::new(Generation::Z17);
        let steps: Vec<_> = steps.into_iter().flatten().collect();
        let sent = steps.iter().filter(|step| matches!(step, Step::Call(GuestInsn::Sigp { cpu: 0, .. }))).count();
        let (guest, mut cpu, got) = guest(&rig, steps);
        let mut made = Made::default();
        if sent > 0 {
            made.kinds.insert(0x1201, sent);
        }
        let mut acts = acts.into_iter();
        for _ in 0..400 {
            let exit = cpu.run_served();
            let (waits, answerable) = match &exit {
                Ok(Exit::Halted) => (true, false),
                Ok(Exit::Arch(S390Exit::Instruction(insn))) => (false, insn.ipa != 0xb220),
                Ok(Exit::Arch(S390Exit::Yield(_) | S390Exit::Notification(_))) => (false, false),
                other => panic!("{other:?}"),
            };
            let state = cpu.state().expect("host memory");
            let done = waits && acts.len() == 0;
            for act in acts.next().into_iter().flatten() {
                perform(&guest, act, answerable, &mut made).expect("no refusal");
            }
            if matches!(exit, Ok(Exit::Arch(S390Exit::Instruction(_)))) && state.ipa.get() == 0xb220 {
                guest.inject(None, Irq::Service { parameter: 0x4000 }).expect("room");
            }
            if done {
                break;
            }
        }
        let state = cpu.state().expect("host memory");
        prop_assert_eq!(state.psw.mask.get() & (EXTERNAL | IO | MACHINE_CHECK), EXTERNAL | IO | MACHINE_CHECK);
        check(&got.lock().expect("one thread"), &made);
        let flags = ExecutionControl::WAIT.bits();
        prop_assert_eq!((state.cpu_flags.get(), state.lctl.get(), state.ictl.get()), (flags, 0, 0));
    }
}
