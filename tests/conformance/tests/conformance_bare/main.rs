//! The shared conformance suite on the bare engine, with both page sizes; and the suite itself: does it name the rule
//! that a wrong backend breaks?

mod bare;

use bare::{Bare, Cpu};
use uv_conformance::{Backend, GuestOp, Host, Saw, broken_rules, run_all};
use uv_core::{
    EnterSecureMode, Error, ErrorKind, ErrorType, Exit, Gfn, MemSlots, PageIn, PageOut, PageRange, PageSize, PageState,
    RangeError, SecureVm, SharePages, Vcpu, VmState,
};
use uv_sim::bare::{BareError, BareVm, Image};

#[test]
fn bare_engine_with_4_kib_pages() {
    run_all::<Bare<false>>(1);
}

#[test]
fn bare_engine_with_64_kib_pages() {
    run_all::<Bare<true>>(2);
}

#[test]
fn refused_kinds_are_told_apart() {
    let bare = Bare::<false>::new(3);
    let refused = bare.enter_refused(0, "").expect_err("past the end");
    assert_eq!(refused.kind(), ErrorKind::InvalidArgument);
}

/// What is wrong with a wrong backend.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    TakesAnything,
    KeepsPages,
    WithdrawsPrivatePages,
    NeverEnds,
    EntersTwice,
    SharedForever,
}

const FAULTS: [Fault; 6] = [
    Fault::TakesAnything,
    Fault::KeepsPages,
    Fault::WithdrawsPrivatePages,
    Fault::NeverEnds,
    Fault::EntersTwice,
    Fault::SharedForever,
];

/// The bare VM with fault number `N`.
struct WrongVm<const N: usize>(BareVm);

struct Wrong<const N: usize> {
    right: Bare<false>,
    vms: [WrongVm<N>; 2],
}

impl<const N: usize> ErrorType for WrongVm<N> {
    type Error = BareError;
}

impl<const N: usize> SecureVm for WrongVm<N> {
    fn page_size(&self) -> PageSize {
        self.0.page_size()
    }

    fn vm_state(&self) -> VmState {
        self.0.vm_state()
    }

    fn page_state(&self, gfn: Gfn) -> Result<PageState, BareError> {
        self.0.page_state(gfn)
    }

    fn terminate(&self) -> Result<(), BareError> {
        if FAULTS[N] == Fault::NeverEnds { Ok(()) } else { self.0.terminate() }
    }
}

impl<const N: usize> EnterSecureMode for WrongVm<N> {
    type Request = Image;
    type Entry = ();

    fn enter_secure_mode(&self, image: &Image) -> Result<(), BareError> {
        match self.0.enter_secure_mode(image) {
            Err(BareError::State(_)) if FAULTS[N] == Fault::EntersTwice => Ok(()),
            other => other,
        }
    }
}

impl<const N: usize> PageIn for WrongVm<N> {
    fn page_in_range(&self, range: PageRange) -> Result<(), RangeError<BareError>> {
        match self.0.page_in_range(range) {
            Err(e) if e.kind() == ErrorKind::Integrity && FAULTS[N] == Fault::TakesAnything => Ok(()),
            other => other,
        }
    }
}

impl<const N: usize> PageOut for WrongVm<N> {
    fn page_out_range(&self, range: PageRange) -> Result<(), RangeError<BareError>> {
        if FAULTS[N] == Fault::KeepsPages { Ok(()) } else { self.0.page_out_range(range) }
    }
}

impl<const N: usize> SharePages for WrongVm<N> {
    fn is_shared(&self, gfn: Gfn) -> Result<bool, BareError> {
        Ok(FAULTS[N] == Fault::SharedForever || self.0.is_shared(gfn)?)
    }

    fn withdraw(&self, gfn: Gfn) -> Result<(), BareError> {
        if FAULTS[N] == Fault::WithdrawsPrivatePages { Ok(()) } else { self.0.withdraw(gfn) }
    }
}

impl<const N: usize> Backend for Wrong<N> {
    const SHARING_KEEPS_CONTENT: bool = true;

    type Error = BareError;
    type Vm = WrongVm<N>;
    type Cpu = Cpu;

    fn new(seed: u64) -> Self {
        let right = Bare::new(seed);
        let vms = [0, 1].map(|index| WrongVm(right.vm(index).clone()));
        Self { right, vms }
    }

    fn vm(&self, index: usize) -> &WrongVm<N> {
        &self.vms[index]
    }

    fn enter(&self, index: usize) -> Result<(), BareError> {
        self.vms[index].enter_secure_mode(&Image { pages: PageRange::new(Gfn(0), 1) })
    }

    fn refusals(&self) -> Vec<&'static str> {
        self.right.refusals()
    }

    fn enter_refused(&self, index: usize, refusal: &str) -> Result<(), BareError> {
        self.right.enter_refused(index, refusal)
    }

    fn test_pages(&self) -> Gfn {
        self.right.test_pages()
    }

    fn slots(&self, index: usize) -> MemSlots {
        self.right.slots(index)
    }

    fn host(&self) -> Host<'_> {
        self.right.host()
    }

    fn cpu(&self, index: usize, ops: Vec<GuestOp>) -> Cpu {
        self.right.cpu(index, ops)
    }

    fn serve(&self, index: usize, cpu: &mut Cpu, exit: Exit<<Cpu as Vcpu>::Arch>) -> Result<(), BareError> {
        self.right.serve(index, cpu, exit)
    }

    fn saw(&self, cpu: &Cpu) -> Vec<Saw> {
        self.right.saw(cpu)
    }
}

/// The names of the rules that a wrong backend breaks.
fn broken<const N: usize>() -> Vec<String> {
    let name = |line: String| line.split_whitespace().nth(1).unwrap_or_default().to_owned();
    broken_rules::<Wrong<N>>(1).into_iter().map(name).collect()
}

#[test]
fn the_suite_names_the_rule_that_a_wrong_backend_breaks() {
    let attacks = ["flipped", "swapped", "replayed", "foreign"];
    assert!(attacks.iter().all(|rule| broken::<0>().contains(&(*rule).to_owned())), "{:?}", broken::<0>());
    assert!(broken::<1>().contains(&"round-trip".to_owned()), "{:?}", broken::<1>());
    assert_eq!(broken::<2>(), ["withdraw"]);
    assert!(broken::<3>().contains(&"lifecycle".to_owned()), "{:?}", broken::<3>());
    assert_eq!(broken::<4>(), ["enter-once"]);
    assert!(broken::<5>().contains(&"unshare".to_owned()), "{:?}", broken::<5>());
}
