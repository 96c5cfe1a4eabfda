//! A virtual CPU whose ultravisor and guest answer by a script.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use uv_core::{
    EnterSecureMode, Exit, Gfn, GuestAddr, HostAddr, MemSlot, MemSlots, PageSize, SecureVm, SlotId, Vcpu, VmState,
};
use uv_power::abi::msr::SC_LEVEL_1;
use uv_power::abi::numbers::{HvCall, UltracallNumber};
use uv_power::abi::regs::Lpid;
use uv_power::abi::{GuestEntry, HvCode, Msr, Regs, Ultracall};
use uv_power::hypervisor::kernel::hcall::{self, Served};
use uv_power::hypervisor::kernel::{DevicePool, Host, KvmError, KvmVcpu, Vm, VmConfig};
use uv_power::wrap::{Instruction, RecordedCall, Recorder};
use uv_sim::HostMemory;

pub(crate) const COOKIE: u64 = 0x1_2340;

pub(crate) const NORMAL: u64 = Msr::SF.bits() | Msr::ME.bits() | Msr::EE.bits();

pub(crate) const SECURE: u64 = NORMAL | Msr::S.bits();

/// How the hypervisor was entered next, or the code that the way in was refused with.
pub(crate) type Next = Box<dyn FnOnce(&mut Regs) + Send>;

/// The ultravisor and the guests: what comes next.
#[derive(Default)]
pub(crate) struct Answers {
    pub(crate) next: Mutex<VecDeque<Next>>,
    /// What calls are answered with; then with success.
    pub(crate) codes: Mutex<VecDeque<i64>>,
}

impl Ultracall for Answers {
    fn ultracall(&self, regs: &mut Regs) {
        if UltracallNumber(regs.gpr[3]) == UltracallNumber::UV_RETURN {
            return self.enter(regs);
        }
        regs.gpr[3] = self.codes.lock().unwrap().pop_front().unwrap_or(0).cast_unsigned();
    }
}

impl GuestEntry for Answers {
    fn enter(&self, regs: &mut Regs) {
        let next = self.next.lock().unwrap().pop_front();
        match next {
            Some(next) => next(regs),
            // The guest waits.
            None => {
                (regs.nip, regs.gpr[3]) = (0xc00, HvCall::H_CEDE.0);
                regs.srr1 &= !Msr::PR.bits();
            }
        }
    }

    fn set_partition_memory(&self, _: Lpid, _: Option<&MemSlots>) {}
}

pub(crate) struct Rig {
    pub(crate) uv: Arc<Recorder<Answers>>,
    pub(crate) vm: Arc<Vm>,
    pub(crate) cpu: KvmVcpu,
    pub(crate) pool: Arc<DevicePool>,
}

impl Rig {
    pub(crate) fn new(next: Vec<Next>) -> Self {
        let uv = Arc::new(Recorder::new(Answers { next: Mutex::new(next.into()), ..Answers::default() }));
        let mut slots = MemSlots::new(PageSize::K64);
        slots.insert(SlotId(0), MemSlot { first: Gfn(0), pages: 4, host: HostAddr(0x10_0000) }).unwrap();
        let pool = Arc::new(DevicePool::new(8 << 16).unwrap());
        let host = Host {
            uv: uv.clone(),
            entry: uv.clone(),
            memory: Arc::new(HostMemory::new(0x20_0000)),
            pool: Some(pool.clone()),
        };
        let vm = Vm::new(host, VmConfig { lpid: Lpid(3), radix: true, slots });
        vm.enable_secure_guest_capability().unwrap();
        assert_eq!(calls(&uv), [UltracallNumber::UV_WRITE_PATE]);
        uv.take();
        let vm = Arc::new(vm);
        let cpu = KvmVcpu::new(vm.clone(), 0).starting_at(GuestAddr(0x4000));
        Self { uv, vm, cpu, pool }
    }

    /// Runs the guest until it asks to become secure, and does the hypervisor's part.
    pub(crate) fn enter(&mut self) -> Result<u64, KvmError> {
        assert_eq!(self.cpu.run(), Ok(Exit::EnterSecureMode));
        assert_eq!(self.vm.vm_state(), VmState::Normal);
        self.vm.enter_secure_mode(&mut self.cpu).map(|entered| entered.resident)
    }

    /// The entries of the guest, first one first.
    pub(crate) fn entries(&self) -> Vec<RecordedCall> {
        let mut all = self.uv.calls();
        all.retain(|call| matches!(call.ultracall(), None | Some(UltracallNumber::UV_RETURN)));
        all
    }

    /// The registers that were loaded at entry `index`, which must have been by `UV_RETURN` or by HRFID.
    pub(crate) fn entered(&self, index: usize, by_ultracall: bool) -> Regs {
        let RecordedCall { instruction, before, .. } = self.entries().swap_remove(index);
        assert_eq!(instruction == Instruction::Sc2, by_ultracall, "entry {index}");
        *before
    }
}

/// The calls of the ultravisor, without `UV_RETURN`.
pub(crate) fn calls(uv: &Recorder<Answers>) -> Vec<UltracallNumber> {
    uv.calls().iter().filter_map(RecordedCall::ultracall).filter(|call| *call != UltracallNumber::UV_RETURN).collect()
}

/// A hypercall of the ultravisor that the kernel answers.
pub(crate) fn ask(vm: &Vm, call: HvCall, args: [u64; 3]) -> HvCode {
    match hcall::dispatch(vm, call, args, Msr::S) {
        Served::Answer(code) => code,
        other => panic!("the kernel does not answer: {other:?}"),
    }
}

/// A VM that is secure, and its virtual CPU before its first entry.
pub(crate) fn secure(next: Vec<Next>) -> Rig {
    let rig = Rig::new(next);
    for call in [HvCall::H_SVM_INIT_START, HvCall::H_SVM_INIT_DONE] {
        assert_eq!(ask(&rig.vm, call, [0; 3]), HvCode::H_SUCCESS);
    }
    rig.uv.take();
    rig
}

/// An interrupt at `vector` that the ultravisor presents, with the machine state of the guest.
pub(crate) fn interrupted(vector: u64, state: u64) -> Next {
    Box::new(move |regs| {
        regs.gpr = [0; 32];
        regs.gpr[31] = COOKIE;
        regs.nip = vector;
        (regs.srr0, regs.hsrr0) = (COOKIE, COOKIE);
        (regs.srr1, regs.hsrr1) = (state, state);
    })
}

/// A hypercall that the ultravisor presents: everything is neutral but number, arguments and cookie.
pub(crate) fn reflected(number: HvCall, args: &'static [u64]) -> Next {
    Box::new(move |regs| {
        regs.gpr = [0; 32];
        regs.gpr[3] = number.0;
        regs.gpr[4..4 + args.len()].copy_from_slice(args);
        regs.gpr[31] = COOKIE;
        regs.nip = 0xc00;
        (regs.srr0, regs.hsrr0) = (COOKIE, COOKIE);
        (regs.srr1, regs.hsrr1) = (SECURE | SC_LEVEL_1, SECURE | SC_LEVEL_1);
    })
}

/// `H_SVM_INIT_ABORT`: the guest's registers, S off.
pub(crate) fn aborted() -> Next {
    Box::new(|regs| {
        regs.gpr = core::array::from_fn(|register| 0x100 + register as u64);
        regs.gpr[3] = HvCall::H_SVM_INIT_ABORT.0;
        regs.nip = 0xc00;
        (regs.srr0, regs.srr1) = (0x4004, NORMAL | SC_LEVEL_1);
    })
}
