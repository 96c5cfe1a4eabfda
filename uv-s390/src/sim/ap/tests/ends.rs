//! How bindings, associations and assignments end, and whose they are.

use alloc::boxed::Box;
use alloc::sync::Arc;

use spin::Mutex;

use super::*;
use crate::sim::TOD_PER_MICROSECOND;
use crate::sim::ap::Queue;
use crate::sim::frames::ConfId;

/// A card that notes its resets.
struct Noting(Arc<Mutex<Vec<bool>>>);

impl ApCard for Noting {
    fn reply(&mut self, request: &[u8], secret: Option<&SecretBytes<32>>) -> Vec<u8> {
        echo(request, secret)
    }

    fn reset(&mut self, zeroize: bool) {
        self.0.lock().push(zeroize);
    }
}

#[test]
fn resets_reach_the_card_and_end_what_they_are_to_end() {
    let (rig, guest) = rig();
    let resets = Arc::default();
    rig.machine.install_ap_queue(EP11, ApMode::Ep11, Noting(Arc::clone(&resets)));
    assert!(rig.machine.assign_ap_queue(EP11, Some(guest.conf)));
    let begin = || [bind(EP11), associate(EP11, 0)].into_iter().chain(wait()).chain([test(EP11)]);
    let zeroize = pqap(PqapFunction::ZEROIZE, EP11, 0, 0);
    let steps = begin().chain([reset(EP11, 0), test(EP11), zeroize, test(EP11)]).chain(begin()).chain([
        reset(EP11, PqapFunction::UNBIND),
        bind(EP11),
        test(EP11),
    ]);
    let seen = run(&rig, guest, vec![association("one", 1)], steps.collect());
    let states = [2, 4, 6, 9, 12].map(|n| state(&seen[n]));
    let usable = BindState::USABLE;
    assert_eq!(states, [usable, usable, BindState::AVAILABLE, usable, BindState::NO_SECURE_KEY]);
    assert!(seen.iter().all(|result| result.status.response() == ApResponse::NORMAL));
    for n in [0, 1, 3, 5, 10, 11] {
        assert_eq!((seen[n].cc, seen[n].gr2, seen[n].psmid, seen[n].message.len()), (0, 0, 0, 0), "{n}");
    }
    assert_eq!(*resets.lock(), [false, true, false]);
    assert!(rig.machine.zeroize_ap_queue(EP11));
    assert_eq!(*resets.lock(), [false, true, false, true]);
}

#[test]
fn what_is_under_way_for_one_guest_is_not_for_another() {
    let (one, two) = (ConfId(1), ConfId(2));
    let mut queue = Queue::new(ApMode::Ep11, Box::new(echo));
    assert_eq!((queue.bind(one), queue.bind(two)), (Ok(()), Err(ApResponse::BOUND_TO_ANOTHER)));
    queue.associate(5, Ok(SecretBytes::new([1; 32])));
    let done = 5 + 16 * TOD_PER_MICROSECOND;
    queue.at(done - 1);
    let pending = Err(ApResponse::STATE_CHANGE_IN_PROGRESS);
    assert_eq!((queue.usable(one), queue.usable(two)), (pending, Err(ApResponse::NOT_BOUND)));
    queue.at(done);
    assert_eq!((queue.usable(one), queue.usable(two)), (Ok(()), Err(ApResponse::NOT_BOUND)));
    let states = [one, two].map(|conf| queue.info(conf).bind_state());
    assert_eq!(states, [BindState::USABLE, BindState::UNUSABLE]);
}

#[test]
fn a_failure_is_told_to_the_guest_that_has_bound_the_queue() {
    let (rig, one) = rig();
    let two = guest(&rig, 1);
    let second = two.conf;
    let secrets = [association("one", 1), association("two", 1)].map(|secret| sealed(&rig, &request(&rig, secret)));
    let steps = adding(secrets.iter().map(Vec::as_slice)).into_iter();
    let steps = steps.chain([bind(EP11), associate(EP11, 1)]).chain(wait()).chain([test(EP11)]);
    let (one, cpu, seen) = rig.boot(one, steps);
    rig.serve(&one, cpu);
    assert_eq!(codes(&results(&seen.lock())), [0, 0, 0x35], "the value is that of an earlier secret");
    assert!(rig.machine.assign_ap_queue(EP11, Some(second)));
    let (two, other, got) = rig.boot(two, [test(EP11), send(EP11, 1, b"x")]);
    rig.serve(&two, other);
    assert_eq!(codes(&results(&got.lock())), [0, 0x0b]);
}

#[test]
fn an_end_of_one_guest_leaves_the_queues_of_another() {
    let (rig, one) = rig();
    let two = guest(&rig, 1);
    assert!(rig.machine.assign_ap_queue(ELSEWHERE, Some(two.conf)));
    let query = pqap(PqapFunction::QUERY_CONFIGURATION, Apqn(0), 0, ANSWER);
    let (two, cpu, seen) =
        rig.boot(two, [bind(ELSEWHERE), send(ELSEWHERE, 1, b"mine"), query, diag(0x44, [0; 5]), receive(ELSEWHERE, 9)]);
    assert_eq!(rig.serve(&two, cpu).gr(5), 0x44);
    let fast = guest(&rig, 2);
    assert!(rig.machine.assign_ap_queue(CCA, Some(fast.conf)));
    assert_eq!(rig.no_data(UvCommand::DESTROY_SEC_CONF, one.conf), OK);
    assert_eq!(rig.call(&mut DestroyFast::new(fast.conf)), OK);
    let assigned = |queue| rig.machine.ap_queue(queue).unwrap().lock().assigned.is_some();
    assert_eq!([EP11, CCA, ACCELERATOR, ELSEWHERE].map(assigned), [false, false, false, true]);
    rig.serve(&two, cpu);
    let seen = results(&seen.lock());
    assert_eq!((codes(&seen), &seen[3].message[..]), (vec![0; 4], &b"mine"[..]));
    assert_eq!((seen[2].cc, seen[2].status.0), (0, 0), "a query has no status");
    rig.machine.load_normal();
    let id = rig.machine.ap_queue(ELSEWHERE).unwrap();
    assert_eq!(id.lock().info(ConfId(0)).bind_state(), BindState::AVAILABLE, "nobody's");
}
