//! Labels go with a page wherever it goes, and end with it; moves from states that they do not know.

use super::*;

fn states(s: &Setup) -> [(Gfn, PageState); 4] {
    s.space.zero_in(Gfn(4)).unwrap();
    s.seal(4, 20);
    s.space.share(Gfn(5), &s.memory, at(21), Content::Zeroed).unwrap();
    s.space.share(Gfn(6), &s.memory, at(22), Content::Zeroed).unwrap();
    s.space.withdraw(Gfn(6)).unwrap();
    [
        (Gfn(3), PageState::Secure),
        (Gfn(4), PageState::Sealed),
        (Gfn(5), PageState::Shared),
        (Gfn(6), PageState::Withdrawn),
    ]
}

#[test]
fn a_label_stays_with_its_page_until_the_page_is_absent() {
    let s = setup(Suite::Aes256Ccm);
    let label = |page| s.space.label(Gfn(page)).unwrap();
    s.space.set_label(Gfn(3), Label(0x5a)).unwrap();
    let mut after = Vec::new();
    let mut note = |name| after.push((name, label(3)));
    s.seal(3, 100);
    note("sealed");
    s.open(3, 100).unwrap();
    note("opened");
    s.space.fill::<SpaceError>(Gfn(3).into(), &s.memory, at(9), |_, _| Ok(())).unwrap();
    note("filled");
    s.space.share(Gfn(3), &s.memory, at(50), Content::Kept).unwrap();
    note("shared");
    s.space.zero_shared(Gfn(3), &s.memory).unwrap();
    note("zeroed");
    s.space.withdraw(Gfn(3)).unwrap();
    note("withdrawn");
    s.space.restore(Gfn(3), &s.memory, at(51)).unwrap();
    note("restored");
    s.space.unshare(Gfn(3), &s.memory, Content::Kept).unwrap();
    note("unshared");
    assert!(after.iter().all(|(_, label)| *label == Label(0x5a)), "{after:?}");
    s.space.destroy(Gfn(3)).unwrap();
    assert_eq!(label(3), Label(0));
    s.space.zero_in(Gfn(3)).unwrap();
    assert_eq!(label(3), Label(0), "a new page");
}

#[test]
fn an_absent_page_takes_no_label() {
    let s = setup(Suite::Aes256Ccm);
    let absent = Err(SpaceError::State { gfn: Gfn(9), state: PageState::Absent });
    assert_eq!(s.space.set_label(Gfn(9), Label(1)), absent);
    assert_eq!((s.space.label(Gfn(9)), s.space.state(Gfn(9))), (Ok(Label(0)), Ok(PageState::Absent)));
    for (gfn, state) in states(&s) {
        assert_eq!(s.space.set_label(gfn, Label(7)), Ok(()));
        assert_eq!((s.space.label(gfn), s.space.state(gfn)), (Ok(Label(7)), Ok(state)));
    }
}

/// Each call against each state: only the moves of the table exist, and a refused one changes nothing.
#[test]
fn every_move_is_refused_from_every_other_state() {
    use PageState::{Absent, Sealed, Secure, Shared, Withdrawn};
    type Call = fn(&Setup, Gfn) -> Result<(), SpaceError>;
    let calls: [(&str, Call, &[PageState]); 11] = [
        ("zero_in", |s, g| s.space.zero_in(g), &[Absent]),
        (
            "fill",
            |s, g| s.space.fill::<SpaceError>(g.into(), &s.memory, at(9), |_, _| Ok(())).map_err(|e| e.error),
            &[Absent, Secure],
        ),
        ("seal_out", |s, g| s.space.seal_out(g.into(), &s.memory, at(90)).map_err(|e| e.error), &[Secure]),
        ("seal_copy", |s, g| s.space.seal_copy(g, &s.memory, at(90)), &[Secure]),
        ("open_in", |s, g| s.space.open_in(g.into(), &s.memory, at(20)).map_err(|e| e.error), &[Sealed]),
        ("share", |s, g| s.space.share(g, &s.memory, at(91), Content::Kept), &[Absent, Secure, Shared]),
        ("unshare", |s, g| s.space.unshare(g, &s.memory, Content::Kept), &[Shared, Withdrawn]),
        ("withdraw", |s, g| s.space.withdraw(g), &[Shared, Withdrawn]),
        ("restore", |s, g| s.space.restore(g, &s.memory, at(92)), &[Shared, Withdrawn]),
        ("restore, withdrawn", |s, g| s.space.restore_withdrawn(g, &s.memory, at(92)), &[Withdrawn]),
        ("zero_shared", |s, g| s.space.zero_shared(g, &s.memory), &[Shared]),
    ];
    for (name, call, from) in calls {
        let s = setup(Suite::Aes256Ccm);
        for (gfn, state) in states(&s).into_iter().chain([(Gfn(7), Absent)]) {
            let before = (s.space.counts(), s.engine.frames_in_use());
            let expected = if from.contains(&state) { Ok(()) } else { Err(SpaceError::State { gfn, state }) };
            assert_eq!(call(&s, gfn), expected, "{name} from {state:?}");
            if expected.is_err() {
                assert_eq!((s.space.counts(), s.engine.frames_in_use()), before, "{name} from {state:?}");
                assert_eq!(s.space.state(gfn), Ok(state));
            }
        }
        assert!(s.space.pool.free_frames_are_zero(), "{name}");
    }
}

#[test]
fn a_page_is_restored_to_memory_that_is_there() {
    let s = setup(Suite::Aes256Ccm);
    s.space.share(Gfn(3), &s.memory, at(50), Content::Kept).unwrap();
    s.space.withdraw(Gfn(3)).unwrap();
    let nowhere = HostAddr(1 << 20);
    let unmapped = uv_core::AccessError::Unmapped { at: nowhere, len: 4096 };
    assert_eq!(s.space.restore(Gfn(3), &s.memory, nowhere), Err(unmapped.into()));
    assert_eq!((s.space.state(Gfn(3)), s.space.shared_at(Gfn(3))), (Ok(PageState::Withdrawn), Some(at(50))));
}
