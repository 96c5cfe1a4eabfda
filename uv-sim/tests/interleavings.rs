//! Every interleaving of a few calls on the words of a page table, by the rules of the memory model and not of one processor.
//!
//! The table is compiled here a second time, over the model checker's atomics. A `Page` stands for what a word guards: a
//! frame, or a normal page. Two uses of it that nothing orders, of which one is a change, end the test. Each pair of calls is
//! run with either of them in the first thread, and each test names outcomes that must have been seen.

extern crate alloc;

mod sync {
    pub(crate) use loom::hint::spin_loop;
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU64};
    use std::sync::atomic::Ordering;

    /// Enough to see a wait.
    pub(crate) const PATIENCE: u32 = 3;

    /// As `spin::Once`: the value is made under a lock, and seen by who sees that it is there.
    pub(crate) struct Once<T> {
        value: std::sync::OnceLock<T>,
        making: loom::sync::Mutex<()>,
        made: AtomicBool,
    }

    impl<T> Once<T> {
        pub(crate) fn new() -> Self {
            Self { value: std::sync::OnceLock::new(), making: loom::sync::Mutex::new(()), made: AtomicBool::new(false) }
        }

        pub(crate) fn get(&self) -> Option<&T> {
            if self.made.load(Ordering::Acquire) { self.value.get() } else { None }
        }

        pub(crate) fn call_once(&self, make: impl FnOnce() -> T) -> &T {
            let _making = self.making.lock().expect("nobody panics");
            let value = self.value.get_or_init(make);
            self.made.store(true, Ordering::Release);
            value
        }
    }
}

// The engine's own file, compiled over loom's atomics: what the models do not call is unused here, and its visibility is the engine's.
#[path = "../src/table/mod.rs"]
#[allow(dead_code, unreachable_pub, unused_imports)]
mod table;

use std::collections::BTreeSet;

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;
use table::{ClaimError, Label, PageTable, Word};
use uv_core::{Gfn, PageRange, PageState};

const PAGE: Gfn = Gfn(0);

/// A table of two pages and what page 0 stands for.
struct Vm {
    table: PageTable,
    page: UnsafeCell<u8>,
}

impl Vm {
    /// Page 0 in a state; page 1 absent in the same leaf.
    fn new(state: PageState) -> Arc<Self> {
        let vm = Self::untouched();
        assert!(vm.table.claim(PAGE).is_ok());
        vm.table.release(PAGE, word(state));
        vm
    }

    /// Without a leaf.
    fn untouched() -> Arc<Self> {
        Arc::new(Self { table: PageTable::new(2), page: UnsafeCell::new(0) })
    }

    fn change(&self) {
        self.page.with_mut(|_| ());
    }

    /// Claims the page, changes it and gives it a state.
    fn become_(&self, gfn: Gfn, state: PageState) -> Result<(), ClaimError> {
        self.table.claim(gfn)?;
        self.change();
        self.table.release(gfn, word(state));
        Ok(())
    }

    /// A guest access to the shared page; whether it was made.
    fn access(&self) -> bool {
        let entered = self.table.enter(PAGE).is_some();
        if entered {
            self.page.with(|_| ());
            self.table.leave(PAGE);
        }
        entered
    }
}

fn word(state: PageState) -> Word {
    Word::new(state, Label(0), u64::from(state != PageState::Absent))
}

type Seen = BTreeSet<&'static str>;

/// Runs two calls on a VM at the same time, in every order. `check` looks at what they answered and at the VM afterwards,
/// and names the outcome; all names come back.
fn at_once<A: 'static, B: 'static>(
    new: fn() -> Arc<Vm>,
    one: fn(&Vm) -> A,
    other: fn(&Vm) -> B,
    check: fn(&Vm, A, B) -> &'static str,
) -> Seen {
    fn both<A: 'static, B>(vm: &Arc<Vm>, one: fn(&Vm) -> A, other: fn(&Vm) -> B) -> (A, B) {
        let theirs = Arc::clone(vm);
        let thread = thread::spawn(move || one(&theirs));
        let other = other(vm);
        (thread.join().expect("no panic"), other)
    }
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Seen::new()));
    for swapped in [false, true] {
        let seen = std::sync::Arc::clone(&seen);
        loom::model(move || {
            let vm = new();
            let (one, other) = if swapped {
                let (other, one) = both(&vm, other, one);
                (one, other)
            } else {
                both(&vm, one, other)
            };
            let outcome = check(&vm, one, other);
            seen.lock().expect("one thread").insert(outcome);
        });
    }
    let seen = seen.lock().expect("one thread");
    seen.clone()
}

fn secure() -> Arc<Vm> {
    Vm::new(PageState::Secure)
}

fn shared() -> Arc<Vm> {
    Vm::new(PageState::Shared)
}

fn withdraw(vm: &Vm) -> Result<(), ClaimError> {
    vm.become_(PAGE, PageState::Withdrawn)?;
    // The host uses its page for something else.
    vm.change();
    Ok(())
}

#[test]
fn of_two_claims_one_has_the_page() {
    let seal = |vm: &Vm| vm.become_(PAGE, PageState::Sealed);
    let withdraw = |vm: &Vm| vm.become_(PAGE, PageState::Withdrawn);
    let seen = at_once(secure, seal, withdraw, |vm, sealed, withdrawn| {
        let last = vm.table.get(PAGE).expect("page 0").state();
        vm.change();
        match (sealed, withdrawn) {
            (Ok(()), Err(ClaimError::Busy)) if last == PageState::Sealed => "first",
            (Err(ClaimError::Busy), Ok(())) if last == PageState::Withdrawn => "second",
            (Ok(()), Ok(())) => "both",
            answers => panic!("{answers:?}, {last:?}"),
        }
    });
    assert_eq!(seen, Seen::from(["first", "second", "both"]));
}

/// Closing beside a call that seals page `GFN`: nothing that the call made is left, whoever came first.
fn close_beside_claim<const GFN: u64>(new: fn() -> Arc<Vm>) {
    fn close(vm: &Vm) -> (Result<(), Gfn>, u32) {
        let mut ended = 0;
        let closed = vm.table.close(|word| ended += u32::from(word.state() == PageState::Sealed));
        if closed.is_ok() {
            // Whoever was at work has ended.
            vm.change();
        }
        (closed, ended)
    }
    let seal = |vm: &Vm| vm.become_(Gfn(GFN), PageState::Sealed);
    let seen = at_once(new, seal, close, |vm, claimed, (closed, ended)| {
        let outcome = match (claimed, closed, ended) {
            (Ok(()), Ok(()), 1) => "what was made before is ended",
            (Ok(()), Err(held), 0) if held == Gfn(GFN) => {
                assert_eq!(close(vm), (Ok(()), 1), "closing again ends it");
                "the claim lasted"
            }
            (Err(ClaimError::Closed | ClaimError::Busy), _, 0) => {
                // A claim that closing refuses holds the page for a moment.
                assert_eq!(close(vm), (Ok(()), 0));
                "refused"
            }
            answers => panic!("{answers:?}"),
        };
        assert!(vm.table.claim(Gfn(GFN)) == Err(ClaimError::Closed));
        assert_eq!(vm.table.used(PageRange::new(Gfn(0), 2)).count(), 0);
        outcome
    });
    assert!(seen.is_superset(&Seen::from(["what was made before is ended", "refused"])), "{seen:?}");
}

#[test]
fn no_claim_passes_a_closing_table_at_a_page_in_use() {
    close_beside_claim::<0>(secure);
}

#[test]
fn no_claim_passes_a_closing_table_at_an_absent_page() {
    close_beside_claim::<1>(secure);
}

#[test]
fn no_claim_passes_a_closing_table_at_an_untouched_leaf() {
    close_beside_claim::<0>(Vm::untouched);
}

#[test]
fn no_guest_access_outlives_a_withdrawal() {
    let seen = at_once(shared, Vm::access, withdraw, |vm, accessed, withdrawn| {
        assert_eq!(vm.access(), withdrawn.is_err(), "refused, it is as before");
        match (accessed, withdrawn) {
            (true, Ok(())) => "waited for",
            (false, Ok(())) => "came late",
            (true, Err(ClaimError::Busy)) => "lasted",
            answers => panic!("{answers:?}"),
        }
    });
    assert!(seen.is_superset(&Seen::from(["waited for", "came late"])), "{seen:?}");
}

#[test]
fn no_guest_access_outlives_a_closing_table() {
    fn close(vm: &Vm) -> bool {
        let closed = vm.table.close(|word| {
            if word.state() == PageState::Shared {
                vm.change();
            }
        });
        if closed.is_ok() {
            vm.change();
        }
        closed.is_ok()
    }
    let seen = at_once(shared, Vm::access, close, |vm, accessed, closed| {
        assert!(closed || close(vm), "nobody is left");
        assert!(!vm.access());
        match (accessed, closed) {
            (true, true) => "waited for",
            (false, true) => "came late",
            (true, false) => "lasted",
            (false, false) => panic!("nobody was in the way"),
        }
    });
    assert!(seen.is_superset(&Seen::from(["waited for", "came late"])), "{seen:?}");
}

#[test]
fn guest_accesses_of_two_cpus_are_both_waited_for() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(|| {
        let vm = shared();
        let cpus = [0, 1].map(|_| {
            let vm = Arc::clone(&vm);
            thread::spawn(move || vm.access())
        });
        let _ = withdraw(&vm);
        cpus.into_iter().for_each(|cpu| assert!(cpu.join().is_ok()));
        assert_eq!(withdraw(&vm), Ok(()), "no access is left counted");
    });
}

#[test]
fn a_guest_access_sees_the_page_as_it_was_shared() {
    let share = |vm: &Vm| vm.become_(PAGE, PageState::Shared);
    let seen = at_once(secure, share, Vm::access, |vm, shared, accessed| {
        assert_eq!(shared, Ok(()), "an access to a page that is not shared is in nobody's way");
        assert!(vm.access());
        if accessed { "after" } else { "before" }
    });
    assert_eq!(seen, Seen::from(["after", "before"]));
}

#[test]
fn share_and_withdraw_come_one_after_the_other() {
    fn withdraw_shared(vm: &Vm) -> Result<bool, ClaimError> {
        let old = vm.table.claim(PAGE)?;
        let can = old.state() == PageState::Shared;
        if can {
            vm.change();
        }
        vm.table.release(PAGE, if can { word(PageState::Withdrawn) } else { old });
        Ok(can)
    }
    let share = |vm: &Vm| vm.become_(PAGE, PageState::Shared);
    let seen = at_once(secure, share, withdraw_shared, |vm, shared, withdrawn| {
        match (shared, withdrawn, vm.table.get(PAGE).expect("page 0").state()) {
            (Ok(()), Ok(true), PageState::Withdrawn) => "withdrawn",
            (Ok(()), Ok(false), PageState::Shared) => "too early",
            (Ok(()), Err(ClaimError::Busy), PageState::Shared) => "not yet shared",
            (Err(ClaimError::Busy), Ok(false), PageState::Secure) => "not shared",
            answers => panic!("{answers:?}"),
        }
    });
    assert_eq!(seen, Seen::from(["withdrawn", "too early", "not yet shared", "not shared"]));
}

#[test]
fn a_late_mark_of_use_counts_no_access() {
    let used = |vm: &Vm| vm.table.reference(PAGE, vm.table.get(PAGE).expect("page 0"));
    fn share(vm: &Vm) -> bool {
        let cold = vm.table.cold(PAGE).is_some();
        assert_eq!(vm.become_(PAGE, PageState::Shared), Ok(()));
        cold
    }
    let seen = at_once(secure, used, share, |vm, (), cold| {
        assert_eq!(withdraw(vm), Ok(()), "nobody is at work on it");
        if cold { "cold" } else { "used" }
    });
    assert_eq!(seen, Seen::from(["cold", "used"]));
}
