//! The smallest backend: a machine of your own that keeps every rule of `uv-core`. It has none of what a machine may lack. In a test
//! file, `uv_conformance::rule_tests!(Candidate::new("mine", Machine::new))` makes a test of each rule.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use spin::Mutex;
use uv_conformance::{Backend, Candidate, GuestOp, Host, Saw, Script, Setup};
use uv_core::{
    AcceptSharing, Access, DestroyPages, EnterSecureMode, Error, ErrorKind, ErrorType, Exit, Gfn, GuestAddr, HostAddr,
    MemSlot, MemSlots, NormalMemory, PageCounts, PageIn, PageOut, PageRange, PageSize, PageState, RangeError, SecureVm,
    SharePages, SlotId, Unsupported, Vcpu, VmState, check_in_slots,
};
use uv_sim::HostMemory;

const SIZE: PageSize = PageSize::K4;
const ZEROS: [u8; SIZE.bytes()] = [0; SIZE.bytes()];
const PAGES: u64 = 32;
type Pages = BTreeMap<Gfn, Option<Vec<u8>>>;

#[derive(Debug, thiserror::Error)]
#[error("refused: {0:?}")]
struct Refused(ErrorKind);

impl Error for Refused {
    fn kind(&self) -> ErrorKind {
        self.0
    }
}

impl From<Unsupported> for Refused {
    fn from(_: Unsupported) -> Self {
        Self(ErrorKind::Unsupported)
    }
}

/// A VM: its place in normal memory, and while it is secure its pages; `None` is a page that it shares.
#[derive(Clone)]
struct Vm {
    memory: Arc<HostMemory>,
    slots: MemSlots,
    pages: Arc<Mutex<Option<Pages>>>,
}

impl Vm {
    /// The guest reads a byte, or writes it; or it needs a page.
    fn byte(&self, at: GuestAddr, write: Option<u8>) -> Result<u8, Gfn> {
        let gfn = SIZE.gfn(at);
        if let Some(pages) = &mut *self.pages.lock()
            && let Some(content) = pages.get_mut(&gfn).ok_or(gfn)?
        {
            let byte = content.get_mut(usize::try_from(SIZE.offset(at.0)).unwrap_or(0)).ok_or(gfn)?;
            *byte = write.unwrap_or(*byte);
            return Ok(*byte);
        }
        let (host, mut byte) = (self.slots.host_addr(at).ok_or(gfn)?, [0]);
        let done = write.map_or_else(|| self.memory.read(host, &mut byte), |byte| self.memory.write(host, &[byte]));
        done.map(|()| byte[0]).map_err(|_| gfn)
    }

    /// What the guest does, or the page that it needs first.
    fn execute(&self, op: &GuestOp) -> Result<Saw, Gfn> {
        let from = |at: &GuestAddr| (at.0..).map(GuestAddr);
        match op {
            GuestOp::Load(at, len) => {
                from(at).take(*len).map(|at| self.byte(at, None)).collect::<Result<_, _>>().map(Saw::Bytes)
            }
            GuestOp::Store(at, bytes) => {
                from(at).zip(bytes).try_for_each(|(at, byte)| self.byte(at, Some(*byte)).map(drop)).map(|()| Saw::Done)
            }
            GuestOp::Share(gfn) | GuestOp::Unshare(gfn) => {
                // Either side finds zeros.
                self.memory.write(self.slots.host_page(*gfn).ok_or(*gfn)?, &ZEROS).map_err(|_| *gfn)?;
                let page = matches!(op, GuestOp::Unshare(_)).then(|| ZEROS.to_vec());
                let done = self.pages.lock().as_mut().map(|pages| pages.insert(*gfn, page));
                Ok(done.map_or(Saw::Refused, |_| Saw::Done))
            }
            GuestOp::End => Ok(Saw::Done),
        }
    }
}

impl ErrorType for Vm {
    type Error = Refused;
}

impl SecureVm for Vm {
    fn page_size(&self) -> PageSize {
        SIZE
    }

    fn mem_slots(&self) -> MemSlots {
        self.slots.clone()
    }

    fn vm_state(&self) -> VmState {
        if self.pages.lock().is_some() { VmState::Secure } else { VmState::Normal }
    }

    fn page_state(&self, gfn: Gfn) -> Result<PageState, Refused> {
        check_in_slots(&self.slots, gfn.into()).map_err(|e| Refused(e.kind()))?;
        Ok(match self.pages.lock().as_ref().and_then(|pages| pages.get(&gfn)) {
            None => PageState::Absent,
            Some(Some(_)) => PageState::Secure,
            Some(None) => PageState::Shared,
        })
    }

    fn page_counts(&self) -> Result<PageCounts, Refused> {
        PageCounts::of(self)
    }

    fn terminate(&self) -> Result<(), Refused> {
        *self.pages.lock() = None;
        Ok(())
    }

    fn as_page_out(&self) -> Option<&dyn PageOut<Error = Refused>> {
        None
    }

    fn as_share_pages(&self) -> Option<&dyn SharePages<Error = Refused>> {
        None
    }

    fn as_accept_sharing(&self) -> Option<&dyn AcceptSharing<Error = Refused>> {
        None
    }

    fn as_destroy_pages(&self) -> Option<&dyn DestroyPages<Error = Refused>> {
        None
    }
}

impl PageIn for Vm {
    fn page_in_range(&self, range: PageRange) -> Result<(), RangeError<Refused>> {
        let fail = |kind| RangeError { done: 0, error: Refused(kind) };
        check_in_slots(&self.slots, range).map_err(|e| fail(e.kind()))?;
        let mut pages = self.pages.lock();
        let pages = pages.as_mut().ok_or(fail(ErrorKind::WrongState))?;
        for gfn in range.iter() {
            pages.entry(gfn).or_insert_with(|| Some(ZEROS.to_vec()));
        }
        Ok(())
    }
}

impl EnterSecureMode for Vm {
    type Cpu = Cpu;
    type Entry = ();

    fn enter_secure_mode(&self, cpu: &mut Cpu) -> Result<(), Refused> {
        if self.vm_state() == VmState::Secure || !cpu.asks || !Arc::ptr_eq(&self.pages, &cpu.vm.pages) {
            return Err(Refused(ErrorKind::WrongState));
        }
        cpu.asks = false;
        cpu.good_image.then_some(()).ok_or(Refused(ErrorKind::Integrity))?;
        *self.pages.lock() = Some(BTreeMap::new());
        Ok(())
    }
}

struct Cpu {
    vm: Vm,
    script: Script,
    good_image: bool,
    began: bool,
    asks: bool,
}

impl ErrorType for Cpu {
    type Error = Refused;
}

impl Vcpu for Cpu {
    type Arch = Infallible;

    fn run(&mut self) -> Result<Exit<Infallible>, Refused> {
        self.asks = !core::mem::replace(&mut self.began, true);
        if self.asks {
            return Ok(Exit::EnterSecureMode);
        }
        while let Some(op) = self.script.now().filter(|op| *op != GuestOp::End) {
            match self.vm.execute(&op) {
                Ok(saw) => self.script.done(saw),
                Err(gfn) => return Ok(Exit::PageMissing { gfn, access: Access::Load }),
            }
        }
        Ok(Exit::Halted)
    }
}

struct Machine {
    vms: [Vm; 2],
    script: [Script; 2],
}

impl Machine {
    fn new(_: &Setup) -> Self {
        let memory = Arc::new(HostMemory::new(2 * PAGES * SIZE.size()));
        let vms = [0, PAGES].map(|first| {
            let mut slots = MemSlots::new(SIZE);
            let slot = MemSlot { first: Gfn(0), pages: PAGES, host: HostAddr(first * SIZE.size()) };
            slots.insert(SlotId(0), slot).expect("one slot fits");
            Vm { memory: Arc::clone(&memory), slots, pages: Arc::default() }
        });
        Self { vms, script: Default::default() }
    }
}

impl Backend for Machine {
    type Error = Refused;
    type Vm = Vm;
    type Cpu = Cpu;

    fn sharing_keeps_content(&self) -> bool {
        false
    }

    fn vm(&self, index: usize) -> &Vm {
        &self.vms[index]
    }

    fn boot(&self, index: usize, refusal: Option<&str>) -> Cpu {
        self.script[index].clear();
        let (vm, script) = (self.vms[index].clone(), self.script[index].clone());
        Cpu { vm, script, good_image: refusal.is_none(), began: false, asks: false }
    }

    fn refusals(&self) -> Vec<&'static str> {
        vec!["a bad image"]
    }

    fn test_pages(&self) -> Gfn {
        Gfn(0)
    }

    fn host(&self) -> Host<'_> {
        &*self.vms[0].memory
    }

    fn script(&self, index: usize) -> &Script {
        &self.script[index]
    }
}

fn main() {
    Candidate::new("mine", Machine::new).run_all(2026);
}
