//! The shared conformance suite on the bare engine: with both page sizes, without sealing, and behind each wrapper; and the suite
//! itself: does it name the rule that a wrong backend breaks, and skip what a machine lacks?

mod bare;
#[path = "../../../backends/todo.rs"]
mod todo;
#[path = "../../../backends/wrapped.rs"]
mod wrapped;

use bare::Bare;
use uv_conformance::{Ability, Backend, GuestOp, Host, Saw, report, run_all, run_rule};
use uv_core::{
    AcceptSharing, DestroyPages, EnterSecureMode, Error, ErrorKind, ErrorType, Exit, Gfn, MemSlots, PageCounts, PageIn,
    PageOut, PageRange, PageSize, PageState, RangeError, SecureVm, SharePages, Vcpu, VmState,
};
use uv_sim::bare::{BareError, BareVcpu, BareVm};
use wrapped::{Disturbed, Recorded};

#[test]
fn bare_engine_with_4_kib_pages() {
    run_all::<Bare<false>>(1);
}

#[test]
fn bare_engine_with_64_kib_pages() {
    run_all::<Bare<true>>(2);
}

#[test]
fn bare_engine_without_sealing() {
    run_all::<Bare<false, false>>(3);
}

#[test]
fn bare_engine_behind_wrappers() {
    run_all::<Disturbed<Bare<false>>>(4);
    run_all::<Recorded<Bare<false>>>(5);
    run_all::<Disturbed<Bare<false, false>>>(6);
}

#[test]
fn what_a_machine_lacks_is_skipped_and_said() {
    let all = report::<Bare<false>>(1);
    assert_eq!(all.skipped, [("unserved-share", Ability::AcceptSharing)]);
    let less = report::<Bare<false, false>>(1);
    assert_eq!((&all.broken, &less.broken), (&vec![], &vec![]));
    assert_eq!(less.kept.len() + less.skipped.len(), all.kept.len() + all.skipped.len());
    let skipped = |rule| less.skipped.iter().any(|(name, _)| *name == rule);
    assert!(["round-trip", "flipped", "range-done", "withdraw"].into_iter().all(skipped), "{:?}", less.skipped);
    assert!(!["destroy", "share", "unserved-share", "no-plaintext"].into_iter().any(skipped));
}

#[test]
fn one_rule_can_be_run_alone() {
    run_rule::<Bare<false>>("swapped", 7);
}

/// What is wrong with a wrong backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    TakesAnything,
    KeepsPages,
    WithdrawsPrivatePages,
    NeverEnds,
    EntersTwice,
    SharedForever,
    DoneIsZero,
    HaltsOnce,
    DropsDestroy,
    CountsNothing,
    EntersUnasked,
    RunsOn,
}

/// Each fault with a rule that it breaks.
const FAULTS: [(Fault, &str); 12] = [
    (Fault::TakesAnything, "flipped"),
    (Fault::KeepsPages, "round-trip"),
    (Fault::WithdrawsPrivatePages, "withdraw"),
    (Fault::NeverEnds, "lifecycle"),
    (Fault::EntersTwice, "enter-once"),
    (Fault::SharedForever, "unshare"),
    (Fault::DoneIsZero, "range-done"),
    (Fault::HaltsOnce, "halted-again"),
    (Fault::DropsDestroy, "abilities"),
    (Fault::CountsNothing, "counts"),
    (Fault::EntersUnasked, "guest-asks"),
    (Fault::RunsOn, "enter-returns-first"),
];

/// The bare VM with fault number `N`.
struct WrongVm<const N: usize>(BareVm);

/// Its virtual CPU; whether it has halted, and an exit that was met too early.
struct WrongCpu<const N: usize>(BareVcpu, bool, Option<Exit<core::convert::Infallible>>);

struct Wrong<const N: usize> {
    right: Bare<false>,
    vms: [WrongVm<N>; 2],
}

const fn has(n: usize, fault: Fault) -> bool {
    FAULTS[n].0 as u8 == fault as u8
}

impl<const N: usize> ErrorType for WrongVm<N> {
    type Error = BareError;
}

impl<const N: usize> ErrorType for WrongCpu<N> {
    type Error = BareError;
}

impl<const N: usize> Vcpu for WrongCpu<N> {
    type Arch = core::convert::Infallible;

    fn run(&mut self) -> Result<Exit<Self::Arch>, BareError> {
        if let Some(exit) = self.2.take() {
            return Ok(exit);
        }
        if self.1 && has(N, Fault::HaltsOnce) {
            return Err(BareError::State(VmState::Secure));
        }
        let exit = self.0.run()?;
        self.1 = exit == Exit::Halted;
        Ok(exit)
    }
}

impl<const N: usize> SecureVm for WrongVm<N> {
    fn page_size(&self) -> PageSize {
        self.0.page_size()
    }

    fn mem_slots(&self) -> MemSlots {
        self.0.mem_slots()
    }

    fn vm_state(&self) -> VmState {
        self.0.vm_state()
    }

    fn page_state(&self, gfn: Gfn) -> Result<PageState, BareError> {
        self.0.page_state(gfn)
    }

    fn page_counts(&self) -> Result<PageCounts, BareError> {
        if has(N, Fault::CountsNothing) { Ok(PageCounts::default()) } else { self.0.page_counts() }
    }

    fn terminate(&self) -> Result<(), BareError> {
        if has(N, Fault::NeverEnds) { Ok(()) } else { self.0.terminate() }
    }

    fn as_page_out(&self) -> Option<&dyn PageOut<Error = BareError>> {
        Some(self)
    }

    fn as_share_pages(&self) -> Option<&dyn SharePages<Error = BareError>> {
        Some(self)
    }

    fn as_accept_sharing(&self) -> Option<&dyn AcceptSharing<Error = BareError>> {
        self.0.as_accept_sharing()
    }

    fn as_destroy_pages(&self) -> Option<&dyn DestroyPages<Error = BareError>> {
        if has(N, Fault::DropsDestroy) { None } else { self.0.as_destroy_pages() }
    }
}

impl<const N: usize> EnterSecureMode for WrongVm<N> {
    type Cpu = WrongCpu<N>;
    type Entry = ();

    fn enter_secure_mode(&self, cpu: &mut WrongCpu<N>) -> Result<(), BareError> {
        let entered = match self.0.enter_secure_mode(&mut cpu.0) {
            Err(BareError::NotAsked) if has(N, Fault::EntersTwice) && self.vm_state() == VmState::Secure => Ok(()),
            Err(BareError::NotAsked) if has(N, Fault::EntersUnasked) && self.vm_state() == VmState::Normal => Ok(()),
            other => other,
        };
        if has(N, Fault::RunsOn) && entered.is_ok() {
            while let Exit::PageMissing { gfn, .. } = cpu.0.run()? {
                self.0.page_in(gfn)?;
            }
            cpu.2 = Some(Exit::Halted);
        }
        entered
    }
}

impl<const N: usize> PageIn for WrongVm<N> {
    fn page_in_range(&self, range: PageRange) -> Result<(), RangeError<BareError>> {
        match self.0.page_in_range(range) {
            Err(e) if e.kind() == ErrorKind::Integrity && has(N, Fault::TakesAnything) => Ok(()),
            Err(e) if has(N, Fault::DoneIsZero) => Err(RangeError { done: 0, ..e }),
            other => other,
        }
    }
}

impl<const N: usize> PageOut for WrongVm<N> {
    fn page_out_range(&self, range: PageRange) -> Result<(), RangeError<BareError>> {
        if has(N, Fault::KeepsPages) { Ok(()) } else { self.0.page_out_range(range) }
    }
}

impl<const N: usize> SharePages for WrongVm<N> {
    fn is_shared(&self, gfn: Gfn) -> Result<bool, BareError> {
        Ok(has(N, Fault::SharedForever) || self.0.is_shared(gfn)?)
    }

    fn withdraw(&self, gfn: Gfn) -> Result<(), BareError> {
        if has(N, Fault::WithdrawsPrivatePages) { Ok(()) } else { self.0.withdraw(gfn) }
    }
}

impl<const N: usize> Backend for Wrong<N> {
    const SHARING_KEEPS_CONTENT: bool = true;
    const ABILITIES: &'static [Ability] = <Bare<false> as Backend>::ABILITIES;

    type Error = BareError;
    type Vm = WrongVm<N>;
    type Cpu = WrongCpu<N>;

    fn new(seed: u64) -> Self {
        let right = Bare::new(seed);
        let vms = [0, 1].map(|index| WrongVm(right.vm(index).clone()));
        Self { right, vms }
    }

    fn vm(&self, index: usize) -> &WrongVm<N> {
        &self.vms[index]
    }

    fn boot(&self, index: usize, refusal: Option<&str>) -> WrongCpu<N> {
        WrongCpu(self.right.boot(index, refusal), false, None)
    }

    fn refusals(&self) -> Vec<&'static str> {
        self.right.refusals()
    }

    fn test_pages(&self) -> Gfn {
        self.right.test_pages()
    }

    fn host(&self) -> Host<'_> {
        self.right.host()
    }

    fn tell(&self, index: usize, ops: Vec<GuestOp>) {
        self.right.tell(index, ops);
    }

    fn saw(&self, index: usize) -> Vec<Saw> {
        self.right.saw(index)
    }

    fn serve(&self, _: usize, _: &mut WrongCpu<N>, exit: core::convert::Infallible) -> Result<(), BareError> {
        match exit {}
    }
}

/// A wrong backend must break the rule that goes with its fault.
fn check<const N: usize>() {
    let (fault, rule) = FAULTS[N];
    let report = report::<Wrong<N>>(1);
    let named = report.broken.iter().any(|line| line.split_whitespace().nth(1) == Some(rule));
    assert!(named, "{fault:?} does not break {rule}, but {:?}", report.broken);
}

#[test]
fn the_suite_names_the_rule_that_a_wrong_backend_breaks() {
    check::<0>();
    check::<1>();
    check::<2>();
    check::<3>();
    check::<4>();
    check::<5>();
    check::<6>();
    check::<7>();
    check::<8>();
    check::<9>();
    check::<10>();
    check::<11>();
}
