mod ends;

use alloc::vec;
use alloc::vec::Vec;

use uv_core::GuestAddr;
use uv_sim::guest::{Outcome, Step};
use zerocopy::FromBytes;

use crate::abi::ap::{ApConfigInfo, ApMode, ApQueueInfo, ApQueueStatus, ApResponse, Apqn, BindState, PqapFunction};
use crate::abi::secret::SecretId;
use crate::abi::uvc::{PgmCode, UvRc};
use crate::abi::uvcb::{DestroyFast, ListSecrets, UvCommand};
use crate::owner::crypto::SecretBytes;
use crate::owner::secret::GuestSecret;
use crate::sim::calls::secret::tests::{adding, plaintext, request, sealed};
use crate::sim::rig::{ANSWER, GUEST_LEN, Guest, OK, Rig, diag, loaded, refused, returned, uvc};
use crate::sim::{ApCard, ApResult, Generation, GuestInsn, InsnResult};

const EP11: Apqn = Apqn::new(3, 7);
const CCA: Apqn = Apqn::new(1, 7);
const ACCELERATOR: Apqn = Apqn::new(2, 7);
const ELSEWHERE: Apqn = Apqn::new(3, 8);

/// Answers with the request, and behind it the secret.
fn echo(request: &[u8], secret: Option<&SecretBytes<32>>) -> Vec<u8> {
    [request, secret.map_or(&[][..], |secret| &secret.expose()[..])].concat()
}

/// A machine with queues, and a VM that may use AP instructions.
fn rig() -> (Rig, Guest) {
    let rig = Rig::ready(Generation::Z17);
    for (queue, mode) in [(EP11, ApMode::Ep11), (CCA, ApMode::Cca), (ACCELERATOR, ApMode::Accelerator)] {
        rig.machine.install_ap_queue(queue, mode, echo);
    }
    rig.machine.install_ap_queue(ELSEWHERE, ApMode::Ep11, echo);
    let guest = guest(&rig, 0);
    for queue in [EP11, CCA, ACCELERATOR] {
        assert!(rig.machine.assign_ap_queue(queue, Some(guest.conf)));
    }
    (rig, guest)
}

fn guest(rig: &Rig, n: u64) -> Guest {
    rig.guest_with(n, |create| create.flags = 1.into())
}

fn pqap(function: PqapFunction, queue: Apqn, bits: u64, gr2: u64) -> Step<GuestInsn> {
    Step::Call(GuestInsn::Pqap { gr0: function.register(queue) | bits, gr2 })
}

fn test(queue: Apqn) -> Step<GuestInsn> {
    pqap(PqapFunction::TEST, queue, PqapFunction::TEST_FACILITIES, 0)
}

fn bind(queue: Apqn) -> Step<GuestInsn> {
    pqap(PqapFunction::BIND, queue, 0, 0)
}

fn associate(queue: Apqn, index: u64) -> Step<GuestInsn> {
    pqap(PqapFunction::ASSOCIATE, queue, 0, index)
}

fn reset(queue: Apqn, bits: u64) -> Step<GuestInsn> {
    pqap(PqapFunction::RESET, queue, bits, 0)
}

fn send(queue: Apqn, psmid: u64, message: &[u8]) -> Step<GuestInsn> {
    Step::Call(GuestInsn::Nqap { queue, psmid, message: message.to_vec() })
}

fn receive(queue: Apqn, size: usize) -> Step<GuestInsn> {
    Step::Call(GuestInsn::Dqap { queue, size })
}

/// Long enough for an association.
fn wait() -> impl Iterator<Item = Step<GuestInsn>> {
    (0..32).map(|_| Step::Call(GuestInsn::Interruptions))
}

/// The guest does this after it has added the secrets; what its AP instructions gave back, in order.
fn run(rig: &Rig, guest: Guest, secrets: Vec<GuestSecret>, steps: Vec<Step<GuestInsn>>) -> Vec<ApResult> {
    let requests: Vec<_> = secrets.into_iter().map(|secret| sealed(rig, &request(rig, secret))).collect();
    let all = adding(requests.iter().map(Vec::as_slice)).into_iter().chain(steps);
    let (guest, cpu, seen) = rig.boot(guest, all);
    rig.serve(&guest, cpu);
    let seen = seen.lock();
    let adds = seen.iter().filter(|seen| matches!(seen, Outcome::Returned(InsnResult::Data { .. })));
    assert!(adds.map(returned).all(|(cc, rc, _)| (cc, rc) == (0, 1)));
    results(&seen)
}

fn results(seen: &[Outcome<InsnResult>]) -> Vec<ApResult> {
    let results = seen.iter().filter_map(|outcome| match outcome {
        Outcome::Returned(InsnResult::Ap(result)) => Some(result.clone()),
        _ => None,
    });
    results.collect()
}

fn association(name: &str, value: u8) -> GuestSecret {
    GuestSecret::association(SecretId::of_name(name), &[value; 32])
}

fn codes(results: &[ApResult]) -> Vec<u8> {
    for result in results {
        assert_eq!(result.cc == 3, result.status.response() != ApResponse::NORMAL);
    }
    results.iter().map(|result| result.status.response().0).collect()
}

fn state(result: &ApResult) -> BindState {
    assert_eq!(result.status.response(), ApResponse::NORMAL);
    ApQueueInfo(result.gr2).bind_state()
}

#[test]
fn a_queue_is_bound_associated_and_used() {
    let (rig, guest) = rig();
    let (id, list) = (SecretId::of_name("mine"), uvc(&ListSecrets::new(0, ANSWER)));
    let before = vec![list, test(EP11), send(EP11, 1, b"no"), receive(EP11, 9), associate(EP11, 1)];
    let bound = [bind(EP11), bind(EP11), test(EP11), send(EP11, 0x55, b"clear"), associate(EP11, 1)];
    let received = [receive(EP11, 2), receive(EP11, 9), receive(EP11, 9)];
    let wrong = [associate(EP11, 0), associate(EP11, 2), associate(EP11, 1 << 32 | 1)];
    let pending = [associate(EP11, 1), send(EP11, 6, b"too early"), associate(EP11, 1), test(EP11)];
    let used = [test(EP11), associate(EP11, 1), send(EP11, 7, b"secure"), receive(EP11, 99)];
    let ended = [reset(EP11, 0), test(EP11), send(EP11, 8, b"x"), reset(EP11, PqapFunction::UNBIND), test(EP11)];
    let steps = before.into_iter().chain(bound).chain(received).chain(wrong).chain(pending);
    let steps = steps.chain(wait()).chain(used).chain(ended).collect();
    let secrets = vec![plaintext("other"), GuestSecret::association(id, &[0x42; 32])];
    let seen = run(&rig, guest, secrets, steps);
    assert_eq!(codes(&seen[..4]), [0, 0x0b, 0x0b, 0x0b], "not bound");
    let info = ApQueueInfo(seen[0].gr2);
    assert_eq!((info.bind_state(), info.mode()), (BindState::AVAILABLE, Some(ApMode::Ep11)));
    assert_eq!((info.card_type(), info.depth()), (14, 8));
    assert_eq!(codes(&seen[4..9]), [0, 0x30, 0, 0, 0x32], "bound once, usable, not empty");
    assert_eq!(state(&seen[6]), BindState::NO_SECURE_KEY);
    assert!(seen[6].status.has(ApQueueStatus::EMPTY) && seen[7].status.has(ApQueueStatus::REPLIES));
    assert_eq!((seen[9].cc, seen[9].gr2, seen[9].psmid, &seen[9].message[..]), (1, 3, 0x55, &b"cl"[..]));
    assert_eq!((seen[10].cc, seen[10].gr2, seen[10].psmid, &seen[10].message[..]), (0, 0, 0x55, &b"ear"[..]));
    assert_eq!(codes(&seen[11..12]), [0x10], "no reply is left");
    assert_eq!(codes(&seen[12..15]), [0x34; 3], "plaintext, no secret, no index");
    assert_eq!(codes(&seen[15..19]), [0, 0x0a, 0x0a, 0]);
    assert_eq!(state(&seen[18]), BindState::NO_SECURE_KEY, "under way");
    assert_eq!(state(&seen[19]), BindState::USABLE);
    assert_eq!(codes(&seen[20..22]), [0x31, 0], "associated once");
    assert_eq!((seen[22].psmid, &seen[22].message[..]), (7, &[b"secure", &[0x42; 32][..]].concat()[..]));
    assert_eq!((codes(&seen[23..24]), state(&seen[24])), (vec![0], BindState::USABLE), "a reset leaves the binding");
    assert_eq!((codes(&seen[25..27]), state(&seen[27])), (vec![0, 0], BindState::AVAILABLE), "unless it is to end it");
    assert!(seen[27].status.has(ApQueueStatus::EMPTY), "and the reply is gone");
    assert_eq!(seen.len(), 28);
}

#[test]
fn an_association_that_fails_is_told_until_a_reset() {
    struct Refusing;
    impl ApCard for Refusing {
        fn reply(&mut self, _: &[u8], secret: Option<&SecretBytes<32>>) -> Vec<u8> {
            assert!(secret.is_none());
            vec![1]
        }

        fn associate(&mut self, _: &SecretBytes<32>) -> bool {
            false
        }
    }
    for (card, twice, code) in [(true, true, 0x35), (false, false, 0x36)] {
        let (rig, guest) = rig();
        if !card {
            rig.machine.install_ap_queue(EP11, ApMode::Ep11, Refusing);
            assert!(rig.machine.assign_ap_queue(EP11, Some(guest.conf)));
        }
        let secrets = vec![association("one", 1), association("two", if twice { 1 } else { 2 })];
        let failed = [test(EP11), send(EP11, 1, b"x"), receive(EP11, 1), bind(EP11), associate(EP11, 0)];
        let after = [reset(EP11, 0), test(EP11), send(EP11, 1, b"x"), receive(EP11, 1)];
        let steps = [bind(EP11), associate(EP11, 0)].into_iter().chain(wait()).chain(failed).chain(after);
        let seen = run(&rig, guest, secrets, steps.collect());
        assert_eq!(codes(&seen[..2]), [0, 0], "it begins well");
        assert_eq!(codes(&seen[2..7]), [code; 5]);
        assert!(seen[2..7].iter().all(|result| result.status.has(ApQueueStatus::ASYNCHRONOUS)));
        assert_eq!((codes(&seen[7..8]), state(&seen[8])), (vec![0], BindState::NO_SECURE_KEY));
        assert_eq!(codes(&seen[9..]), [0, 0]);
        assert!(!seen[10].status.has(ApQueueStatus::ASYNCHRONOUS));
    }
}

#[test]
fn queues_of_other_kinds_and_of_nobody() {
    let (rig, guest) = rig();
    let steps = vec![
        test(CCA),
        bind(CCA),
        send(CCA, 1, b"x"),
        bind(ACCELERATOR),
        test(ACCELERATOR),
        send(ACCELERATOR, 1, b"clear key"),
        receive(ACCELERATOR, 64),
        associate(ACCELERATOR, 0),
        test(ELSEWHERE),
        bind(ELSEWHERE),
        test(Apqn::new(200, 200)),
        pqap(PqapFunction::TEST, EP11, 0, 0),
        pqap(PqapFunction::QUERY_CONFIGURATION, Apqn(0), 0, ANSWER),
    ];
    let seen = run(&rig, guest, vec![association("one", 1)], steps);
    assert_eq!(codes(&seen), [0, 0x30, 0x0b, 0, 0, 0, 0, 0x31, 1, 1, 1, 0, 0]);
    assert_eq!([0, 4].map(|n| state(&seen[n])), [BindState::UNUSABLE, BindState::NO_SECURE_KEY]);
    assert_eq!(seen[6].message[..], b"clear key"[..]);
    assert_eq!(ApQueueInfo(seen[11].gr2).mode(), None, "facilities were not asked for");
}

#[test]
fn a_queue_takes_no_more_than_it_holds() {
    let (rig, guest) = rig();
    let fill = (0..9).map(|n| send(EP11, n, &[7]));
    let steps: Vec<_> = [bind(EP11), send(EP11, 0, &[0; 0x3001]), send(EP11, 0, &[0; 0x3000]), reset(EP11, 0)]
        .into_iter()
        .chain(fill)
        .chain((0..9).map(|_| receive(EP11, 1)))
        .collect();
    let seen = run(&rig, guest, vec![], steps);
    assert_eq!(codes(&seen[..4]), [0, 0x15, 0, 0]);
    assert_eq!(codes(&seen[4..13]), [0, 0, 0, 0, 0, 0, 0, 0, 0x10]);
    assert!(seen[11].status.has(ApQueueStatus::FULL) && !seen[10].status.has(ApQueueStatus::FULL));
    assert_eq!(codes(&seen[13..]), [0, 0, 0, 0, 0, 0, 0, 0, 0x10]);
    assert!((0..8).all(|n| seen[13 + n].psmid == n as u64), "in their order");
}

#[test]
fn a_bound_queue_is_nobody_elses_and_keeps_its_guest() {
    let (rig, one) = rig();
    let two = guest(&rig, 1);
    let (first, second) = (one.conf, two.conf);
    let steps = [bind(EP11), send(EP11, 1, b"mine"), diag(0x44, [0; 5]), test(EP11), receive(EP11, 9)];
    let (one, cpu, seen) = rig.boot(one, steps);
    assert_eq!(rig.enter(&one, cpu).gr(5), 0x44);
    assert!(rig.machine.assign_ap_queue(EP11, Some(second)));
    assert!(!rig.machine.assign_ap_queue(EP11, Some(first ^ 1)) && !rig.machine.assign_ap_queue(Apqn(9), None));
    let tries =
        [test(EP11), bind(EP11), send(EP11, 1, b"x"), receive(EP11, 9), associate(EP11, 0), reset(EP11, 1 << 22)];
    let (two, other, got) = rig.boot(two, tries.into_iter().chain([diag(0x44, [0; 5]), bind(EP11), receive(EP11, 9)]));
    assert_eq!(rig.enter(&two, other).gr(5), 0x44);
    let got_first = results(&got.lock());
    assert_eq!(codes(&got_first), [0, 0x09, 0x0b, 0x0b, 0x0b, 0x0b]);
    assert_eq!(state(&got_first[0]), BindState::UNUSABLE);
    let bare = |result: &ApResult| result.status == ApQueueStatus::new(0, result.status.response());
    assert!(got_first.iter().all(bare), "nor how full it is");
    rig.serve(&one, cpu);
    assert_eq!(codes(&results(&seen.lock())), [0, 0, 1, 1], "taken away");

    assert_eq!(rig.no_data(UvCommand::DESTROY_SEC_CPU, cpu.handle), OK);
    assert_eq!(rig.no_data(UvCommand::DESTROY_SEC_CONF, first), refused(UvRc::STATE), "a queue is bound");
    assert_eq!(rig.call(&mut DestroyFast::new(first)), refused(UvRc::DESTROY_FAST_AP));
    assert!(rig.machine.zeroize_ap_queue(EP11) && !rig.machine.zeroize_ap_queue(Apqn(9)));
    assert_eq!(rig.no_data(UvCommand::DESTROY_SEC_CONF, first), OK);
    rig.serve(&two, other);
    assert_eq!(codes(&results(&got.lock())[6..]), [0, 0x10], "free, and empty");
    rig.machine.load_normal();
    assert!(rig.machine.ap_queue(EP11).unwrap().lock().assigned.is_none());
}

#[test]
fn what_is_no_ap_instruction_of_a_guest() {
    let (rig, guest) = rig();
    let outside = pqap(PqapFunction::QUERY_CONFIGURATION, Apqn(0), 0, GUEST_LEN - 8);
    let function = |number| pqap(PqapFunction(number), EP11, 0, 0);
    let privileged = [test(EP11), send(EP11, 0, b""), receive(EP11, 0)].map(|step| match step {
        Step::Call(insn) => Step::Call(insn.in_problem_state()),
        other => other,
    });
    let query = [pqap(PqapFunction::QUERY_CONFIGURATION, Apqn(0), 0, ANSWER), Step::load(GuestAddr(ANSWER), 128)];
    let steps = [function(3), function(5), function(6), function(9), outside].into_iter().chain(privileged);
    let (guest, cpu, seen) = rig.boot(guest, steps.chain(query));
    rig.serve(&guest, cpu);
    let seen = seen.lock();
    let exception = |code| Outcome::Returned(InsnResult::Exception(code));
    assert!(
        seen[..4].iter().all(|seen| *seen == exception(PgmCode::SPECIFICATION)),
        "AQIC, QACT and what is not there"
    );
    assert_eq!(seen[4], exception(PgmCode::ADDRESSING));
    assert!(seen[5..8].iter().all(|seen| *seen == exception(PgmCode::PRIVILEGED_OPERATION)));
    let info = loaded(&seen[9]);
    let info = ApConfigInfo::ref_from_bytes(&info).unwrap();
    assert_eq!(*info, ApConfigInfo::new([EP11, CCA, ACCELERATOR]));
    let (_, other, got) = rig.booted(1, [test(EP11), send(EP11, 0, b""), receive(EP11, 1)]);
    rig.machine_enter(&Guest { asce: Rig::asce(1), ..guest }, other).unwrap();
    assert!(got.lock().iter().all(|seen| *seen == exception(PgmCode::OPERATION)), "the flag is off");
    assert_eq!(got.lock().len(), 3);
}
