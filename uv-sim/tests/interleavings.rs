//! Every interleaving of a few calls on the words of a page table, by the rules of the memory model and not of one processor.
//!
//! The table is compiled here a second time, over the model checker's atomics. A `Page` stands for what a word guards: a
//! frame, or a normal page. Two uses of it that nothing orders, of which one is a change, end the test.

extern crate alloc;

mod sync {
    pub(crate) use loom::hint::spin_loop;
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU64};

    /// Enough to see both ends of a wait.
    pub(crate) const PATIENCE: u32 = 3;
}

#[path = "../src/table/mod.rs"]
#[allow(dead_code, unreachable_pub, unused_imports)]
mod table;

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

/// Runs calls in threads of their own, in every order, and gives what they answered.
fn both<A: 'static, B: 'static>(
    vm: &Arc<Vm>,
    one: impl FnOnce(&Vm) -> A + 'static,
    other: impl FnOnce(&Vm) -> B,
) -> (A, B) {
    let theirs = Arc::clone(vm);
    let thread = thread::spawn(move || one(&theirs));
    let other = other(vm);
    (thread.join().expect("no panic"), other)
}

#[test]
fn of_two_claims_one_has_the_page() {
    loom::model(|| {
        let vm = Vm::new(PageState::Secure);
        let claim = |state| move |vm: &Vm| vm.become_(PAGE, state);
        let answers = both(&vm, claim(PageState::Sealed), claim(PageState::Withdrawn));
        assert!(answers.0.is_ok() || answers.1.is_ok());
        let last = vm.table.get(PAGE).expect("page 0").state();
        match answers {
            (Ok(()), Err(ClaimError::Busy)) => assert_eq!(last, PageState::Sealed),
            (Err(ClaimError::Busy), Ok(())) => assert_eq!(last, PageState::Withdrawn),
            both => assert_eq!(both, (Ok(()), Ok(()))),
        }
        vm.change();
    });
}

/// Closing beside a claim of page `gfn`: nothing that the claim made is left, whoever came first.
fn close_beside_claim(new: fn() -> Arc<Vm>, gfn: Gfn) {
    loom::model(move || {
        let vm = new();
        let close = |vm: &Vm| {
            let mut ended = 0;
            let closed = vm.table.close(|word| ended += u32::from(word.state() == PageState::Sealed));
            if closed.is_ok() {
                // Whoever was at work has ended.
                vm.change();
            }
            (closed, ended)
        };
        let (claimed, (closed, ended)) = both(&vm, move |vm| vm.become_(gfn, PageState::Sealed), close);
        match (claimed, closed) {
            (Ok(()), Ok(())) => assert_eq!(ended, 1, "what was made before is ended"),
            (Ok(()), Err(held)) => {
                assert_eq!(held, gfn);
                let mut late = 0;
                assert_eq!(vm.table.close(|word| late += u32::from(word.state() == PageState::Sealed)), Ok(()));
                assert_eq!(late, 1, "closing again ends it");
            }
            // A claim that closing refuses holds the page for a moment.
            (refused, _) => {
                assert!(matches!(refused, Err(ClaimError::Closed | ClaimError::Busy)));
                assert_eq!((ended, vm.table.close(|_| ())), (0, Ok(())));
            }
        }
        assert!(vm.table.claim(gfn) == Err(ClaimError::Closed));
        assert_eq!(vm.table.used(PageRange::new(Gfn(0), 2)).count(), 0);
    });
}

#[test]
fn no_claim_passes_a_closing_table_at_a_page_in_use() {
    close_beside_claim(|| Vm::new(PageState::Secure), PAGE);
}

#[test]
fn no_claim_passes_a_closing_table_at_an_absent_page() {
    close_beside_claim(|| Vm::new(PageState::Secure), Gfn(1));
}

#[test]
fn no_claim_passes_a_closing_table_at_an_untouched_leaf() {
    close_beside_claim(Vm::untouched, PAGE);
}

#[test]
fn no_guest_access_outlives_a_withdrawal() {
    loom::model(|| {
        let vm = Vm::new(PageState::Shared);
        let withdraw = |vm: &Vm| {
            let withdrawn = vm.become_(PAGE, PageState::Withdrawn);
            if withdrawn.is_ok() {
                // The host uses its page for something else.
                vm.change();
            }
            withdrawn
        };
        let (_, withdrawn) = both(&vm, Vm::access, withdraw);
        assert_eq!(vm.access(), withdrawn.is_err(), "refused, it is as before");
    });
}

#[test]
fn no_guest_access_outlives_a_closing_table() {
    loom::model(|| {
        let vm = Vm::new(PageState::Shared);
        let close = |vm: &Vm| {
            let closed = vm.table.close(|_| vm.change());
            if closed.is_ok() {
                vm.change();
            }
            closed
        };
        both(&vm, Vm::access, close).1.unwrap_or_else(|_| vm.table.close(|_| vm.change()).expect("nobody is left"));
        assert!(!vm.access());
    });
}

#[test]
fn guest_accesses_of_two_cpus_are_both_waited_for() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let vm = Vm::new(PageState::Shared);
        let cpus = [0, 1].map(|_| {
            let vm = Arc::clone(&vm);
            thread::spawn(move || vm.access())
        });
        if vm.become_(PAGE, PageState::Withdrawn).is_ok() {
            vm.change();
        }
        cpus.map(|cpu| cpu.join().expect("no panic"));
        assert!(vm.become_(PAGE, PageState::Absent).is_ok(), "no access is left counted");
    });
}

#[test]
fn a_guest_access_sees_the_page_as_it_was_shared() {
    loom::model(|| {
        let vm = Vm::new(PageState::Secure);
        let (shared, _) = both(&vm, |vm| vm.become_(PAGE, PageState::Shared), Vm::access);
        assert_eq!(shared, Ok(()), "an access to a page that is not shared is in nobody's way");
        assert!(vm.access());
    });
}

#[test]
fn share_and_withdraw_come_one_after_the_other() {
    loom::model(|| {
        let vm = Vm::new(PageState::Secure);
        let share = |vm: &Vm| vm.become_(PAGE, PageState::Shared);
        let withdraw = |vm: &Vm| {
            let old = vm.table.claim(PAGE)?;
            let can = old.state() == PageState::Shared;
            if can {
                vm.change();
            }
            vm.table.release(PAGE, if can { word(PageState::Withdrawn) } else { old });
            Ok::<_, ClaimError>(can)
        };
        let (shared, withdrawn) = both(&vm, share, withdraw);
        let last = vm.table.get(PAGE).expect("page 0").state();
        let expected = match (shared, withdrawn) {
            (Ok(()), Ok(true)) => PageState::Withdrawn,
            (Ok(()), _) => PageState::Shared,
            (Err(_), Ok(can)) => {
                assert!(!can);
                PageState::Secure
            }
            (Err(_), Err(_)) => panic!("one of them has the page"),
        };
        assert_eq!(last, expected);
    });
}

#[test]
fn a_late_mark_of_use_counts_no_access() {
    loom::model(|| {
        let vm = Vm::new(PageState::Secure);
        let used = |vm: &Vm| vm.table.reference(PAGE, vm.table.get(PAGE).expect("page 0"));
        both(&vm, used, |vm: &Vm| {
            let _ = vm.table.cold(PAGE);
            assert_eq!(vm.become_(PAGE, PageState::Shared), Ok(()));
        });
        assert_eq!(vm.become_(PAGE, PageState::Withdrawn), Ok(()), "nobody is at work on it");
    });
}
