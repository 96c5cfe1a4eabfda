use alloc::vec;
use alloc::vec::Vec;

use uv_sim::guest::{Outcome, Step, Transcript};

use crate::abi::sie::{InjectionControl, InterceptionCode, StateDescription};
use crate::abi::uvcb::{CpuState, UvCommand};
use crate::sim::rig::{Guest, OK, Rig, Vcpu, diag};
use crate::sim::{Generation, GuestInsn, InsnResult, Interruption};

const PARTIAL: InterceptionCode = InterceptionCode(0x38);
const NOTIFICATION: InterceptionCode = InterceptionCode::PV_NOTIFICATION;
const WAIT: InterceptionCode = InterceptionCode::WAIT;
const SENSE: u8 = 1;
const CALL: u8 = 2;

fn sigp(order: u8, cpu: u16) -> Step<GuestInsn> {
    Step::Call(GuestInsn::Sigp { order, cpu, parameter: 3 })
}

fn set_mask(mask: u64) -> Step<GuestInsn> {
    Step::Call(GuestInsn::SetMask { mask })
}

fn set_cr0(value: u64) -> Step<GuestInsn> {
    Step::Call(GuestInsn::SetCr { number: 0, value })
}

fn condition(cc: u8, value: u64) -> InsnResult {
    InsnResult::Condition { cc, value }
}

/// What the machine delivers after a call of CPU 0.
fn called() -> InsnResult {
    InsnResult::Interruptions(vec![Interruption::External { code: 0x1202, cpu: 0, parameter: 0 }])
}

/// CPU 0 boots with a script; CPU 1 has been started by a restart, has taken note of it, and runs its own.
struct Pair {
    rig: Rig,
    guest: Guest,
    source: Vcpu,
    target: Vcpu,
    sent: Transcript<InsnResult>,
    got: Transcript<InsnResult>,
}

impl Pair {
    fn new(source: Vec<Step<GuestInsn>>, target: Vec<Step<GuestInsn>>) -> Self {
        let rig = Rig::ready(Generation::Z17);
        let (guest, first, sent) = rig.booted(0, source);
        let second = rig.cpu(&guest, 1);
        let started = [Step::Call(GuestInsn::Interruptions), diag(0x44, [0; 5])];
        let got = rig.script(second, started.into_iter().chain(target));
        assert_eq!(rig.set_state(second, CpuState::OPERATING), OK);
        rig.change(second, |sd| sd.iictl = InjectionControl::RESTART.0);
        let pair = Self { rig, guest, source: first, target: second, sent, got };
        assert_eq!(pair.enter(second).gr(5), 0x44);
        pair
    }

    fn enter(&self, cpu: Vcpu) -> StateDescription {
        self.rig.enter(&self.guest, cpu)
    }

    fn icpt(&self, cpu: Vcpu) -> InterceptionCode {
        self.enter(cpu).interception()
    }

    /// The host's note that the target waits.
    fn waiting(&self, on: bool) {
        self.rig.change(self.target, |sd| sd.cpu_flags = (u32::from(on) << 28).into());
    }

    fn sent(&self) -> Vec<InsnResult> {
        results(&self.sent)
    }

    /// What the target's script got after its start.
    fn got(&self) -> Vec<InsnResult> {
        results(&self.got).split_off(2)
    }
}

fn results(seen: &Transcript<InsnResult>) -> Vec<InsnResult> {
    let results = seen.lock();
    let results = results.iter().map(|outcome| match outcome {
        Outcome::Returned(result) => result.clone(),
        other => panic!("{other:?}"),
    });
    results.collect()
}

#[test]
fn a_call_to_a_cpu_that_waits_is_the_machines_to_deliver() {
    let target = vec![set_cr0(0x2000), set_mask(u64::MAX), Step::Call(GuestInsn::Wait)];
    let pair = Pair::new(vec![sigp(CALL, 1), diag(0x9c, [1, 0, 0, 0, 0])], target);
    assert_eq!(pair.icpt(pair.target), WAIT);
    pair.waiting(true);
    let sd = pair.enter(pair.source);
    assert_eq!((sd.interception(), sd.ipa.get(), sd.ipb.get()), (PARTIAL, 0xae02, 0x5000_0000));
    let mut registers = [0; 16];
    (registers[1], registers[2], registers[5]) = (3, 1, 2);
    assert_eq!(core::array::from_fn(|number| sd.gr(number)), registers, "as for the notification");
    // What the host puts there does not count.
    pair.rig.change(pair.source, |sd| sd.psw = crate::abi::psw::Psw::new(3 << 44, 0));
    assert_eq!(pair.enter(pair.source).gr(5), 0x9c);
    assert_eq!(pair.sent(), [condition(0, 0)]);
    pair.waiting(false);
    assert_eq!(pair.icpt(pair.target), WAIT, "its script is over");
    assert_eq!(pair.got()[2..], [called()]);
}

#[test]
fn a_call_to_another_cpu_is_told_and_delivered_too() {
    let target = vec![set_cr0(0x2000), set_mask(u64::MAX), Step::Call(GuestInsn::Wait), Step::Call(GuestInsn::Wait)];
    let pair = Pair::new(vec![sigp(CALL, 1), sigp(SENSE, 1), sigp(CALL, 0), sigp(CALL, 7), sigp(SENSE, 7)], target);
    assert_eq!(pair.icpt(pair.target), WAIT);
    let sd = pair.enter(pair.source);
    assert_eq!((sd.interception(), sd.gr(5), sd.gr(2)), (NOTIFICATION, 2, 1));
    // A host that injects what the machine delivers.
    pair.rig.change(pair.target, |sd| {
        sd.iictl = InjectionControl::EXTERNAL.0;
        sd.ext_code = 0x1202.into();
    });
    assert_eq!(pair.icpt(pair.target), WAIT, "the second wait");
    let InsnResult::Interruptions(one) = called() else { panic!("interruptions") };
    assert_eq!(pair.got()[2..], [InsnResult::Interruptions([one.clone(), one].concat())], "the guest sees it twice");
    assert_eq!(pair.enter(pair.source).gr(5), 1);
    assert_eq!(pair.enter(pair.source).gr(2), 0, "itself");
    let sd = pair.enter(pair.source);
    assert_eq!((sd.gr(2), sd.gr(5)), (7, u64::from(SENSE)), "a call to a CPU that is not there is no exit");
    assert_eq!(pair.icpt(pair.source), WAIT);
    assert_eq!(pair.sent()[..3], [condition(0, 0), condition(0, 0), condition(0, 0)]);
    assert_eq!(pair.sent()[3..], [condition(3, 0), condition(3, 0)]);
}

#[test]
fn one_call_can_be_pending() {
    let source = vec![sigp(CALL, 1), sigp(CALL, 1), sigp(SENSE, 1), sigp(CALL, 1), diag(0x44, [0; 5]), sigp(CALL, 1)];
    let target = vec![set_cr0(0x2000), set_mask(u64::MAX), Step::Call(GuestInsn::Wait)];
    let pair = Pair::new(source, target);
    assert_eq!(pair.icpt(pair.target), WAIT);
    pair.waiting(true);
    assert_eq!(pair.icpt(pair.source), PARTIAL);
    assert_eq!(pair.enter(pair.source).gr(5), u64::from(SENSE), "the second call is no exit");
    // A host that has stopped it to wait does not make room.
    pair.waiting(false);
    assert_eq!(pair.enter(pair.source).gr(5), 0x44, "nor is the third");
    let busy = condition(1, 0x80);
    assert_eq!(pair.sent(), [condition(0, 0), busy.clone(), busy.clone(), busy]);
    assert_eq!(pair.icpt(pair.target), WAIT);
    assert_eq!(pair.got()[2..], [called()]);
    pair.waiting(true);
    assert_eq!(pair.icpt(pair.source), PARTIAL, "there is room again");
}

#[test]
fn a_call_waits_for_both_masks() {
    let target = vec![
        diag(0x9c, [1, 0, 0, 0, 0]),
        set_mask(u64::MAX),
        Step::Call(GuestInsn::Interruptions),
        set_mask(0),
        set_cr0(0x2000),
        Step::Call(GuestInsn::Interruptions),
        diag(0x500, [0; 5]),
        set_mask(1 << 56),
        Step::Call(GuestInsn::Interruptions),
    ];
    let pair = Pair::new(vec![sigp(CALL, 1)], target);
    pair.waiting(true);
    assert_eq!(pair.icpt(pair.source), PARTIAL);
    assert_eq!(pair.enter(pair.target).gr(5), 0x9c);
    assert_eq!(pair.enter(pair.target).gr(5), 0x500);
    assert_eq!(pair.icpt(pair.target), WAIT);
    let got = pair.got();
    let none = InsnResult::Interruptions(vec![]);
    assert_eq!((&got[2], &got[5]), (&none, &none), "one mask is not enough");
    assert_eq!(got.last(), Some(&called()), "as soon as the guest opens the other");
}

#[test]
fn an_instruction_at_work_is_completed_first() {
    let target = vec![set_cr0(0x2000), set_mask(u64::MAX), diag(0x500, [0; 5]), Step::Call(GuestInsn::Interruptions)];
    let pair = Pair::new(vec![sigp(CALL, 1)], target);
    assert_eq!(pair.enter(pair.target).gr(5), 0x500);
    pair.waiting(true);
    assert_eq!(pair.icpt(pair.source), PARTIAL);
    pair.rig.change(pair.target, |sd| sd.set_gr(2, 9));
    assert_eq!(pair.icpt(pair.target), WAIT);
    assert_eq!(pair.got()[2..], [InsnResult::Registers([0, 0, 9, 0, 0]), called()]);
}

#[test]
fn a_reset_clears_a_call() {
    for reset in [UvCommand::CPU_RESET, UvCommand::CPU_RESET_INITIAL, UvCommand::CPU_RESET_CLEAR] {
        let pair = Pair::new(vec![sigp(CALL, 1), sigp(SENSE, 1), sigp(SENSE, 1)], vec![]);
        pair.waiting(true);
        assert_eq!(pair.icpt(pair.source), PARTIAL);
        assert_eq!(pair.rig.set_state(pair.target, CpuState::STOPPED), OK);
        assert_eq!(pair.enter(pair.source).gr(5), u64::from(SENSE));
        assert_eq!(pair.enter(pair.source).gr(5), u64::from(SENSE));
        assert_eq!(pair.rig.no_data(reset, pair.target.handle), OK);
        assert_eq!(pair.icpt(pair.source), WAIT);
        assert_eq!(pair.sent(), [condition(0, 0), condition(1, 0xc0), condition(1, 0x40)]);
    }
}
