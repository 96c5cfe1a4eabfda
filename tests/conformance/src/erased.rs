//! Any backend behind one shape, so that the rules are compiled once.

use core::cell::RefCell;

use uv_core::{
    EnterSecureMode, Error, ErrorKind, Exit, Gfn, MemSlots, PageCounts, PageIn, PageRange, PageSize, PageState,
    RangeError, SecureVm, Unsupported, Vcpu, VmState,
};

use crate::{Ability, Backend, Host, Refusal, Script};

/// The error of a backend: its kind and everything it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) kind: ErrorKind,
    /// `Display`, and `Debug` in brackets.
    pub(crate) text: String,
}

impl Failure {
    fn of<E: Error>(error: E) -> Self {
        Self { kind: error.kind(), text: format!("{error} [{error:?}]") }
    }

    fn of_range<E: Error>(stopped: RangeError<E>) -> RangeError<Self> {
        RangeError { done: stopped.done, error: Self::of(stopped.error) }
    }
}

impl core::fmt::Display for Failure {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&self.text)
    }
}

impl core::error::Error for Failure {}

impl Error for Failure {
    fn kind(&self) -> ErrorKind {
        self.kind
    }
}

type Done = Result<(), Failure>;
type RangeDone = Result<(), RangeError<Failure>>;

/// A VM of any backend. What its machine lacks is `Unsupported`.
pub(crate) trait Vm: Send + Sync {
    fn page_size(&self) -> PageSize;
    fn mem_slots(&self) -> MemSlots;
    fn vm_state(&self) -> VmState;
    fn page_state(&self, gfn: Gfn) -> Result<PageState, Failure>;
    fn page_counts(&self) -> Result<PageCounts, Failure>;
    /// The counts by looking at each page.
    fn counted(&self) -> Result<PageCounts, Failure>;
    fn terminate(&self) -> Done;
    /// Whether the VM shows an ability; `None` for what is not asked of the VM.
    fn shows(&self, ability: Ability) -> Option<bool>;
    fn page_in(&self, gfn: Gfn) -> Done;
    fn page_in_range(&self, range: PageRange) -> RangeDone;
    fn page_out(&self, gfn: Gfn) -> Done;
    fn page_out_range(&self, range: PageRange) -> RangeDone;
    fn is_shared(&self, gfn: Gfn) -> Result<bool, Failure>;
    fn withdraw(&self, gfn: Gfn) -> Done;
    fn accept_sharing(&self, pages: PageRange, share: bool) -> RangeDone;
    fn destroy_range(&self, range: PageRange) -> RangeDone;
}

fn lacking<T>() -> Result<T, Failure> {
    Err(Failure::of(Unsupported))
}

fn lacking_range() -> RangeDone {
    Err(Failure::of_range(RangeError { done: 0, error: Unsupported }))
}

impl<V: EnterSecureMode + PageIn> Vm for V {
    fn page_size(&self) -> PageSize {
        SecureVm::page_size(self)
    }

    fn mem_slots(&self) -> MemSlots {
        SecureVm::mem_slots(self)
    }

    fn vm_state(&self) -> VmState {
        SecureVm::vm_state(self)
    }

    fn page_state(&self, gfn: Gfn) -> Result<PageState, Failure> {
        SecureVm::page_state(self, gfn).map_err(Failure::of)
    }

    fn page_counts(&self) -> Result<PageCounts, Failure> {
        SecureVm::page_counts(self).map_err(Failure::of)
    }

    fn counted(&self) -> Result<PageCounts, Failure> {
        PageCounts::of(self).map_err(Failure::of)
    }

    fn terminate(&self) -> Done {
        SecureVm::terminate(self).map_err(Failure::of)
    }

    fn shows(&self, ability: Ability) -> Option<bool> {
        Some(match ability {
            Ability::PageOut => self.as_page_out().is_some(),
            Ability::SharePages => self.as_share_pages().is_some(),
            Ability::AcceptSharing => self.as_accept_sharing().is_some(),
            Ability::DestroyPages => self.as_destroy_pages().is_some(),
            Ability::LimitedMemory | Ability::RawCodes => return None,
        })
    }

    fn page_in(&self, gfn: Gfn) -> Done {
        PageIn::page_in(self, gfn).map_err(Failure::of)
    }

    fn page_in_range(&self, range: PageRange) -> RangeDone {
        PageIn::page_in_range(self, range).map_err(Failure::of_range)
    }

    fn page_out(&self, gfn: Gfn) -> Done {
        self.as_page_out().map_or_else(lacking, |out| out.page_out(gfn).map_err(Failure::of))
    }

    fn page_out_range(&self, range: PageRange) -> RangeDone {
        self.as_page_out().map_or_else(lacking_range, |out| out.page_out_range(range).map_err(Failure::of_range))
    }

    fn is_shared(&self, gfn: Gfn) -> Result<bool, Failure> {
        self.as_share_pages().map_or_else(lacking, |sharing| sharing.is_shared(gfn).map_err(Failure::of))
    }

    fn withdraw(&self, gfn: Gfn) -> Done {
        self.as_share_pages().map_or_else(lacking, |sharing| sharing.withdraw(gfn).map_err(Failure::of))
    }

    fn accept_sharing(&self, pages: PageRange, share: bool) -> RangeDone {
        let accept = self.as_accept_sharing();
        accept.map_or_else(lacking_range, |sharing| sharing.accept_sharing(pages, share).map_err(Failure::of_range))
    }

    fn destroy_range(&self, range: PageRange) -> RangeDone {
        let destroy = self.as_destroy_pages();
        destroy.map_or_else(lacking_range, |pages| pages.destroy_range(range).map_err(Failure::of_range))
    }
}

/// Any backend, with the boot CPUs of its VMs.
pub(crate) trait Machine {
    fn abilities(&self) -> &[Ability];
    fn sharing_keeps_content(&self) -> bool;
    fn vm(&self, index: usize) -> &dyn Vm;
    fn boot(&self, index: usize, refusal: Option<&str>);
    /// An exit that only the machine has is kept for [`Machine::serve`].
    fn run(&self, index: usize) -> Result<Exit<()>, Failure>;
    fn serve(&self, index: usize) -> Done;
    /// Enters VM `index` as the CPU of VM `asking` asked for.
    fn enter(&self, index: usize, asking: usize) -> Done;
    fn refusals(&self) -> Vec<&'static str>;
    fn test_pages(&self) -> Gfn;
    fn host(&self) -> Host<'_>;
    fn script(&self, index: usize) -> &Script;
    fn code(&self, refusal: Refusal) -> Option<&'static str>;
}

type Cpu<B> = (<B as Backend>::Cpu, Option<<<B as Backend>::Cpu as Vcpu>::Arch>);

/// A backend and its boot CPUs, each with an exit that is not served yet.
pub(crate) struct Erased<B: Backend> {
    backend: B,
    cpus: [RefCell<Option<Cpu<B>>>; 2],
}

impl<B: Backend> Erased<B> {
    pub(crate) fn new(backend: B) -> Self {
        Self { backend, cpus: [RefCell::new(None), RefCell::new(None)] }
    }
}

fn not_booted() -> Failure {
    Failure { kind: ErrorKind::Fatal, text: "the VM was not booted".into() }
}

impl<B: Backend> Machine for Erased<B> {
    fn abilities(&self) -> &[Ability] {
        self.backend.abilities()
    }

    fn sharing_keeps_content(&self) -> bool {
        self.backend.sharing_keeps_content()
    }

    fn vm(&self, index: usize) -> &dyn Vm {
        self.backend.vm(index)
    }

    fn boot(&self, index: usize, refusal: Option<&str>) {
        let cpu = self.backend.boot(index, refusal);
        *self.cpus[index].borrow_mut() = Some((cpu, None));
    }

    fn run(&self, index: usize) -> Result<Exit<()>, Failure> {
        let mut cpu = self.cpus[index].borrow_mut();
        let (cpu, unserved) = cpu.as_mut().ok_or_else(not_booted)?;
        Ok(match cpu.run().map_err(Failure::of)? {
            Exit::PageMissing { gfn, access } => Exit::PageMissing { gfn, access },
            Exit::EnterSecureMode => Exit::EnterSecureMode,
            Exit::EnterAborted => Exit::EnterAborted,
            Exit::ShareRequest { pages, share } => Exit::ShareRequest { pages, share },
            Exit::Halted => Exit::Halted,
            Exit::Arch(exit) => {
                *unserved = Some(exit);
                Exit::Arch(())
            }
            _ => return Err(Failure { kind: ErrorKind::Fatal, text: "an exit that the suite does not know".into() }),
        })
    }

    fn serve(&self, index: usize) -> Done {
        let mut cpu = self.cpus[index].borrow_mut();
        let (cpu, unserved) = cpu.as_mut().ok_or_else(not_booted)?;
        let exit = unserved.take().ok_or_else(not_booted)?;
        self.backend.serve(index, cpu, exit).map_err(Failure::of)
    }

    fn enter(&self, index: usize, asking: usize) -> Done {
        let mut cpu = self.cpus[asking].borrow_mut();
        let (cpu, _) = cpu.as_mut().ok_or_else(not_booted)?;
        self.backend.vm(index).enter_secure_mode(cpu).map(drop).map_err(Failure::of)
    }

    fn refusals(&self) -> Vec<&'static str> {
        self.backend.refusals()
    }

    fn test_pages(&self) -> Gfn {
        self.backend.test_pages()
    }

    fn host(&self) -> Host<'_> {
        self.backend.host()
    }

    fn script(&self, index: usize) -> &Script {
        self.backend.script(index)
    }

    fn code(&self, refusal: Refusal) -> Option<&'static str> {
        self.backend.code(refusal)
    }
}
