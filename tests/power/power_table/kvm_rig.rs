//! KVM over an ultravisor that answers as the row says; what it is asked is recorded.

use crate::rig::{PAGE, VM};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use uv_core::{Gfn, HostAddr, MemSlot, MemSlots, NormalMemory, PageSize, SlotId};
use uv_power::abi::numbers::{HvCall, UltracallNumber};
use uv_power::abi::regs::Lpid;
use uv_power::abi::{GuestEntry, HvCode, Msr, Regs, Ultracall};
use uv_power::hypervisor::kernel::hcall::Served;
use uv_power::hypervisor::kernel::{Defects, DevicePool, Host, HostPages, PublishedKernel, SecureGuest, Vm, VmConfig};
use uv_power::wrap::Recorder;
use uv_sim::HostMemory;

/// Normal memory behind guest address 0.
pub(crate) const AT: u64 = 0x10_0000;
/// Pages of the first slot; the second one begins after a gap.
pub(crate) const PAGES: u64 = 4;
/// First page of the second slot.
pub(crate) const SECOND: u64 = 16;
/// What `UV_PAGE_OUT` leaves in the normal page.
pub(crate) const SEALED: [u8; 16] = [0xe7; 16];

/// A call: number and R4 … R8.
pub(crate) type Call = (UltracallNumber, [u64; 5]);

type Hook = Box<dyn Fn(&mut Regs) + Send>;

/// The ultravisor and the guests of the rows.
pub(crate) struct Fake {
    memory: Arc<HostMemory>,
    answers: Mutex<BTreeMap<u64, Vec<i64>>>,
    /// What the guest does when it is entered, and what it reaches as a normal one.
    guest: Mutex<Option<Hook>>,
    reaches: Mutex<Option<MemSlots>>,
    /// `UV_PAGE_OUT` succeeds without writing.
    empty_page_out: Mutex<bool>,
}

impl Ultracall for Fake {
    fn ultracall(&self, regs: &mut Regs) {
        let call = UltracallNumber(regs.gpr[3]);
        if call == UltracallNumber::UV_RETURN {
            return self.enter(regs);
        }
        let mut answers = self.answers.lock().unwrap();
        let code = answers.get_mut(&call.0).filter(|list| !list.is_empty()).map_or(0, |list| list.remove(0));
        if call == UltracallNumber::UV_PAGE_OUT && code == 0 && !*self.empty_page_out.lock().unwrap() {
            self.memory.write(HostAddr(regs.gpr[5]), &SEALED).unwrap();
        }
        regs.gpr[3] = code.cast_unsigned();
    }
}

impl GuestEntry for Fake {
    fn enter(&self, regs: &mut Regs) {
        if let Some(guest) = &*self.guest.lock().unwrap() {
            guest(regs);
        }
        regs.nip = 0x100;
        (regs.srr0, regs.srr1) = (regs.hsrr0, regs.hsrr1);
    }

    fn set_partition_memory(&self, _: Lpid, slots: Option<&MemSlots>) {
        *self.reaches.lock().unwrap() = slots.cloned();
    }
}

/// The calls since the last time, without `UV_RETURN`.
pub(crate) fn calls(uv: &Recorder<Fake>) -> Vec<Call> {
    let calls = uv.take().into_iter().filter_map(|call| {
        let [r4, r5, r6, r7, r8, ..] = call.args();
        Some((call.ultracall()?, [r4, r5, r6, r7, r8]))
    });
    calls.filter(|(call, _)| *call != UltracallNumber::UV_RETURN).collect()
}

impl Fake {
    /// Whether a normal guest reaches any memory.
    pub(crate) fn is_reachable(&self) -> bool {
        self.reaches.lock().unwrap().is_some()
    }
}

/// A VM of two slots on the fake ultravisor.
pub(crate) struct Kvm {
    pub(crate) vm: Arc<Vm>,
    pub(crate) uv: Arc<Recorder<Fake>>,
    kernel: Arc<PublishedKernel<Arc<Recorder<Fake>>>>,
    pub(crate) pool: Option<Arc<DevicePool>>,
    pub(crate) memory: Arc<HostMemory>,
}

/// How the VM is made.
pub(crate) struct Made {
    pub(crate) pool_pages: u64,
    pub(crate) radix: bool,
    pub(crate) enabled: bool,
    pub(crate) defects: Defects,
    /// Pages of the host for what comes out.
    pub(crate) pages: Option<Arc<Pages>>,
}

/// Pages of the host, used in turn.
#[derive(Default)]
pub(crate) struct Pages(pub(crate) Mutex<VecDeque<HostAddr>>);

impl HostPages for Pages {
    fn take(&self) -> Option<HostAddr> {
        self.0.lock().unwrap().pop_front()
    }

    fn give_back(&self, page: HostAddr) {
        self.0.lock().unwrap().push_back(page);
    }
}

impl Default for Made {
    fn default() -> Self {
        Self { pool_pages: 32, radix: true, enabled: true, defects: Defects::empty(), pages: None }
    }
}

impl Kvm {
    pub(crate) fn made(made: Made) -> Self {
        let memory = Arc::new(HostMemory::new(0x100_0000));
        let fake = Fake {
            memory: memory.clone(),
            answers: Mutex::default(),
            guest: Mutex::default(),
            reaches: Mutex::default(),
            empty_page_out: Mutex::default(),
        };
        let uv = Arc::new(Recorder::new(fake));
        let pool = DevicePool::new(made.pool_pages * PAGE).map(Arc::new);
        let mut slots = MemSlots::new(PageSize::K64);
        slots.insert(SlotId(0), MemSlot { first: Gfn(0), pages: PAGES, host: HostAddr(AT) }).unwrap();
        let second = MemSlot { first: Gfn(SECOND), pages: 2, host: HostAddr(AT + SECOND * PAGE) };
        slots.insert(SlotId(3), second).unwrap();
        let kernel = Arc::new(PublishedKernel::new(uv.clone(), made.defects));
        let host = Host { uv: kernel.clone(), entry: uv.clone(), memory: memory.clone(), pool: pool.clone() };
        let vm = Vm::new(host, VmConfig { lpid: VM, radix: made.radix, slots });
        let vm = made.pages.into_iter().fold(vm, |vm, pages| vm.with_host_pages(pages));
        let entry = if made.radix { 1 << 63 } else { 0 };
        assert_eq!(calls(&uv), [write_pate(entry)]);
        if made.enabled && pool.is_some() {
            vm.enable_secure_guest_capability().unwrap();
        }
        Self { vm: Arc::new(vm), uv, kernel, pool, memory }
    }

    /// A normal VM.
    pub(crate) fn new() -> Self {
        Self::made(Made::default())
    }

    /// A VM after `H_SVM_INIT_START`; the calls so far are forgotten.
    pub(crate) fn started(made: Made) -> Self {
        let kvm = Self::made(made);
        assert_eq!(kvm.ask(HvCall::H_SVM_INIT_START, [0; 3]), HvCode::H_SUCCESS);
        kvm.calls();
        kvm
    }

    /// A VM after `H_SVM_INIT_DONE`: every page has a device page.
    pub(crate) fn secure() -> Self {
        let kvm = Self::started(Made::default());
        assert_eq!(kvm.ask(HvCall::H_SVM_INIT_DONE, [0; 3]), HvCode::H_SUCCESS);
        assert_eq!(kvm.calls(), []);
        kvm
    }

    /// A hypercall of the ultravisor.
    pub(crate) fn ask(&self, call: HvCall, args: [u64; 3]) -> HvCode {
        match self.kernel.dispatch(&self.vm, call, args, Msr::S) {
            Served::Answer(code) => code,
            other => panic!("the kernel does not answer: {other:?}"),
        }
    }

    pub(crate) fn page_in(&self, gfn: u64, flags: u64) -> HvCode {
        self.ask(HvCall::H_SVM_PAGE_IN, [gfn * PAGE, flags, 16])
    }

    pub(crate) fn page_out(&self, gfn: u64) -> HvCode {
        self.ask(HvCall::H_SVM_PAGE_OUT, [gfn * PAGE, 0, 16])
    }

    /// The calls since the last time.
    pub(crate) fn calls(&self) -> Vec<Call> {
        calls(&self.uv)
    }

    /// What the next calls of this number are answered with.
    pub(crate) fn answer(&self, call: UltracallNumber, codes: &[i64]) {
        self.uv.inner().answers.lock().unwrap().insert(call.0, codes.to_vec());
    }

    /// What the guest does when it is entered.
    pub(crate) fn guest(&self, act: impl Fn(&mut Regs) + Send + 'static) {
        *self.uv.inner().guest.lock().unwrap() = Some(Box::new(act));
    }

    /// `UV_PAGE_OUT` answers with success and writes nothing.
    pub(crate) fn page_out_is_empty(&self) {
        *self.uv.inner().empty_page_out.lock().unwrap() = true;
    }

    /// Where a normal guest of the partition finds a page.
    pub(crate) fn reaches(&self, gfn: u64) -> Option<HostAddr> {
        self.uv.inner().reaches.lock().unwrap().as_ref().and_then(|slots| slots.host_page(Gfn(gfn)))
    }

    pub(crate) fn flags(&self) -> SecureGuest {
        self.vm.secure_guest()
    }

    /// Free device pages.
    pub(crate) fn free(&self) -> u64 {
        self.pool.as_ref().map_or(0, |pool| pool.free())
    }
}

/// `UV_PAGE_IN` or `UV_PAGE_OUT` of a page of the first slot.
pub(crate) fn paging(call: UltracallNumber, gfn: u64) -> Call {
    match call {
        UltracallNumber::UV_PAGE_INVAL => (call, [VM.0.into(), gfn * PAGE, 16, 0, 0]),
        call => (call, [VM.0.into(), AT + gfn * PAGE, gfn * PAGE, 0, 16]),
    }
}

pub(crate) fn unregister(id: u64) -> Call {
    (UltracallNumber::UV_UNREGISTER_MEM_SLOT, [VM.0.into(), id, 0, 0, 0])
}

pub(crate) fn register(gfn: u64, pages: u64, id: u64) -> Call {
    (UltracallNumber::UV_REGISTER_MEM_SLOT, [VM.0.into(), gfn * PAGE, pages * PAGE, 0, id])
}

pub(crate) fn terminate() -> Call {
    (UltracallNumber::UV_SVM_TERMINATE, [VM.0.into(), 0, 0, 0, 0])
}

pub(crate) fn write_pate(entry: u64) -> Call {
    (UltracallNumber::UV_WRITE_PATE, [VM.0.into(), entry, entry, 0, 0])
}
