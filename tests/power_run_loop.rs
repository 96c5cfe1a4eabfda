//! The run loop of KVM's virtual CPUs, register by register, and what it makes of a transition that fails late.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::*;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use uv_core::{
    EnterSecureMode, ErrorKind, Exit, Gfn, GuestAddr, HostAddr, MemSlot, MemSlots, PageSize, SecureVm, SlotId, Vcpu,
    VmState,
};
use uv_power::abi::msr::{SC_LEVEL_1, STATUS_ILLEGAL, STATUS_PRIVILEGED};
use uv_power::abi::numbers::{HvCall, UvCall};
use uv_power::abi::regs::Lpid;
use uv_power::abi::{GuestEntry, HvCode, Msr, Regs, Ultracall};
use uv_power::hypervisor::kernel::hcall::{self, Served};
use uv_power::hypervisor::kernel::{
    Defects, DevicePool, GfnState, Host, KvmError, KvmVcpu, PowerExit, SecureGuest, Vm, VmConfig,
};
use uv_power::hypervisor::kernel::{HostTpm, TpmError};
use uv_sim::HostMemory;

const COOKIE: u64 = 0x1_2340;
const NORMAL: u64 = Msr::SF.bits() | Msr::ME.bits() | Msr::EE.bits();
const SECURE: u64 = NORMAL | Msr::S.bits();

/// How the hypervisor was entered next, or the code that the way in was refused with.
type Next = Box<dyn FnOnce(&mut Regs) + Send>;

/// The way into guests: what the hypervisor loaded each time, and what comes next.
#[derive(Default)]
struct Door {
    entered: Mutex<Vec<(bool, Regs)>>,
    next: Mutex<VecDeque<Next>>,
    calls: Mutex<Vec<UvCall>>,
    /// What calls are answered with; then with success.
    codes: Mutex<VecDeque<i64>>,
}

impl Door {
    fn pass(&self, by_ultracall: bool, regs: &mut Regs) {
        self.entered.lock().unwrap().push((by_ultracall, regs.clone()));
        let next = self.next.lock().unwrap().pop_front();
        match next {
            Some(next) => next(regs),
            None => regs.nip = 0x100,
        }
    }
}

impl Ultracall for Door {
    fn ultracall(&self, regs: &mut Regs) {
        match UvCall(regs.gpr[3]) {
            UvCall::UV_RETURN => self.pass(true, regs),
            call => {
                self.calls.lock().unwrap().push(call);
                regs.gpr[3] = self.codes.lock().unwrap().pop_front().unwrap_or(0).cast_unsigned();
            }
        }
    }
}

impl GuestEntry for Door {
    fn enter(&self, regs: &mut Regs) {
        self.pass(false, regs);
    }

    fn set_partition_memory(&self, _: Lpid, _: Option<&MemSlots>) {}
}

struct Rig {
    door: Arc<Door>,
    vm: Arc<Vm>,
    cpu: KvmVcpu,
    pool: Arc<DevicePool>,
}

impl Rig {
    fn new(next: Vec<Next>) -> Self {
        let door = Arc::new(Door { next: Mutex::new(next.into()), ..Door::default() });
        let mut slots = MemSlots::new(PageSize::K64);
        slots.insert(SlotId(0), MemSlot { first: Gfn(0), pages: 4, host: HostAddr(0x10_0000) }).unwrap();
        let pool = Arc::new(DevicePool::new(8 << 16).unwrap());
        let host = Host {
            uv: door.clone(),
            entry: door.clone(),
            memory: Arc::new(HostMemory::new(0x20_0000)),
            pool: Some(pool.clone()),
        };
        let vm = Vm::new(host, VmConfig { lpid: Lpid(3), radix: true, slots, defects: Defects::empty() });
        vm.enable_secure_guest_capability().unwrap();
        assert_eq!(core::mem::take(&mut *door.calls.lock().unwrap()), [UvCall::UV_WRITE_PATE]);
        let vm = Arc::new(vm);
        let cpu = KvmVcpu::new(vm.clone(), 0).starting_at(GuestAddr(0x4000));
        Self { door, vm, cpu, pool }
    }

    /// The registers that were loaded at entry `index`, which must have been by `UV_RETURN` or by HRFID.
    fn entered(&self, index: usize, by_ultracall: bool) -> Regs {
        let entered = self.door.entered.lock().unwrap();
        assert_eq!(entered[index].0, by_ultracall, "entry {index}");
        entered[index].1.clone()
    }
}

/// A hypercall of the ultravisor that the kernel answers.
fn ask(vm: &Vm, call: HvCall, args: [u64; 3]) -> HvCode {
    match hcall::dispatch(vm, call, args, Msr::S) {
        Served::Answer(code) => code,
        other => panic!("the kernel does not answer: {other:?}"),
    }
}

/// A VM that is secure, and its virtual CPU before its first entry.
fn secure(next: Vec<Next>) -> Rig {
    let rig = Rig::new(next);
    for call in [HvCall::H_SVM_INIT_START, HvCall::H_SVM_INIT_DONE] {
        assert_eq!(ask(&rig.vm, call, [0; 3]), HvCode::H_SUCCESS);
    }
    rig.door.calls.lock().unwrap().clear();
    rig
}

/// An interrupt at `vector` that the ultravisor presents, with the machine state of the guest.
fn interrupted(vector: u64, state: u64) -> Next {
    Box::new(move |regs| {
        regs.gpr = [0; 32];
        regs.gpr[31] = COOKIE;
        regs.nip = vector;
        (regs.srr0, regs.hsrr0) = (COOKIE, COOKIE);
        (regs.srr1, regs.hsrr1) = (state, state);
    })
}

/// A hypercall that the ultravisor presents: everything is neutral but number, arguments and cookie.
fn reflected(number: HvCall, args: &'static [u64]) -> Next {
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
fn aborted() -> Next {
    Box::new(|regs| {
        regs.gpr = core::array::from_fn(|register| 0x100 + register as u64);
        regs.gpr[3] = HvCall::H_SVM_INIT_ABORT.0;
        regs.nip = 0xc00;
        (regs.srr0, regs.srr1) = (0x4004, NORMAL | SC_LEVEL_1);
    })
}

#[test]
fn a_reflected_hypercall_goes_back_by_uv_return() {
    let mut rig = Rig::new(vec![reflected(HvCall::H_SVM_INIT_START, &[])]);
    assert_eq!(rig.cpu.run(), Ok(Exit::Halted));
    let first = rig.entered(0, false);
    assert_eq!((first.hsrr0, first.hsrr1 & Msr::S.bits(), first.lpidr), (0x4000, 0, Lpid(3)));
    let back = rig.entered(1, true);
    assert_eq!((back.gpr[0], back.gpr[3]), (HvCode::H_SUCCESS.to_register(), UvCall::UV_RETURN.0));
    assert_eq!((back.gpr[2], back.gpr[31], back.hsrr0), (SECURE | SC_LEVEL_1, COOKIE, COOKIE));
    assert_eq!(back.msr, Regs::hypervisor().msr);
    assert_eq!(rig.vm.secure_guest(), SecureGuest::INIT_START);
}

#[test]
fn init_abort_goes_back_to_the_guest_by_hrfid_with_the_result_in_r3() {
    let mut rig = Rig::new(vec![reflected(HvCall::H_SVM_INIT_START, &[]), aborted()]);
    assert_eq!(rig.cpu.run(), Ok(Exit::Halted));
    let back = rig.entered(2, false);
    assert_eq!((back.hsrr0, back.hsrr1), (0x4004, NORMAL), "after UV_ESM, without the level of the call");
    for (register, value) in back.gpr.iter().enumerate() {
        let expected = if register == 3 { HvCode::H_PARAMETER.to_register() } else { 0x100 + register as u64 };
        assert_eq!(*value, expected, "R{register}");
    }
    assert_eq!(rig.vm.vm_state(), VmState::Normal);
    assert_eq!(*rig.door.calls.lock().unwrap(), [UvCall::UV_REGISTER_MEM_SLOT, UvCall::UV_SVM_TERMINATE]);
}

#[test]
fn a_guest_that_writes_s_into_its_srr1_is_not_taken_for_a_secure_one() {
    let tick: Next = Box::new(|regs| {
        regs.gpr[7] = 77;
        regs.nip = 0x980;
        (regs.srr0, regs.srr1) = (0x1111, SECURE);
        (regs.hsrr0, regs.hsrr1) = (0x4040, NORMAL);
    });
    let mut rig = Rig::new(vec![tick]);
    assert_eq!(rig.cpu.run(), Ok(Exit::Halted));
    let back = rig.entered(1, false);
    assert_eq!((back.hsrr0, back.hsrr1, back.gpr[7]), (0x4040, NORMAL, 77));
    assert_eq!((back.srr0, back.srr1), (0x1111, SECURE), "the guest's own");
}

#[test]
fn a_guest_that_gets_nowhere_gives_the_user_a_say() {
    let tick = || -> Next {
        Box::new(|regs| {
            regs.nip = 0x980;
            (regs.hsrr0, regs.hsrr1) = (0x4040, NORMAL);
        })
    };
    let mut rig = Rig::new((0..70).map(|_| tick()).collect());
    assert_eq!(rig.cpu.run(), Ok(Exit::Arch(PowerExit::Interrupt(0x980))));
    rig.cpu.complete(HvCode::H_FUNCTION, &[9]);
    assert_eq!(rig.cpu.run(), Ok(Exit::Halted), "and may be run again");
    assert_eq!(rig.entered(64, false).gpr[3..5], [0, 0], "what is no hypercall is not answered");
}

#[test]
fn hypercalls_of_user_space_are_answered_where_the_way_back_takes_them_from() {
    let plain: Next = Box::new(|regs| {
        regs.gpr[3] = HvCall::H_CEDE.0;
        regs.nip = 0xc00;
        (regs.srr0, regs.srr1) = (0x4004, NORMAL | SC_LEVEL_1);
    });
    let mut rig =
        Rig::new(vec![plain, reflected(HvCall::H_LOGICAL_CI_LOAD, &[8, 0x9000]), reflected(HvCall(0x58), &[])]);
    assert!(matches!(rig.cpu.run(), Ok(Exit::Arch(PowerExit::Hypercall { call: HvCall::H_CEDE, .. }))));
    rig.cpu.complete(HvCode::H_SUCCESS, &[5]);
    let Ok(Exit::Arch(PowerExit::Hypercall { call: HvCall::H_LOGICAL_CI_LOAD, args })) = rig.cpu.run() else {
        panic!("the load is user space's");
    };
    assert_eq!(args[..2], [8, 0x9000]);
    let back = rig.entered(1, false);
    assert_eq!(back.gpr[3..5], [0, 5]);
    assert_eq!(ask(&rig.vm, HvCall::H_SVM_INIT_START, [0; 3]), HvCode::H_SUCCESS);
    rig.cpu.complete(HvCode::H_SUCCESS, &[0xabcd]);
    rig.cpu.run().unwrap();
    let back = rig.entered(2, true);
    assert_eq!((back.gpr[0], back.gpr[4]), (0, 0xabcd));
    // No answer is an answer.
    assert_eq!(rig.cpu.run(), Ok(Exit::Halted));
    assert_eq!(rig.entered(3, true).gpr[0], HvCode::H_FUNCTION.to_register());
    assert_eq!(rig.cpu.run(), Ok(Exit::Halted));
}

#[test]
fn a_refused_uv_return_ends_the_run() {
    let refused: Next = Box::new(|regs| regs.gpr[3] = (-75_i64).cast_unsigned());
    let mut rig = Rig::new(vec![reflected(HvCall::H_SVM_INIT_START, &[]), refused]);
    let error = rig.cpu.run().unwrap_err();
    assert!(matches!(error, KvmError::Uv(error) if error.call == UvCall::UV_RETURN && error.code.0 == -75));
}

#[test]
fn a_virtual_cpu_started_in_a_secure_vm_shows_the_cookie() {
    let rig = Rig::new(vec![]);
    let mut normal = KvmVcpu::started(rig.vm.clone(), 1, GuestAddr(0x7000), 9);
    normal.run().unwrap();
    let first = rig.entered(0, false);
    assert_eq!((first.hsrr0, first.gpr[3], first.vcpu), (0x7000, 9, 1));
    for call in [HvCall::H_SVM_INIT_START, HvCall::H_SVM_INIT_DONE] {
        assert_eq!(ask(&rig.vm, call, [0; 3]), HvCode::H_SUCCESS);
    }
    let mut secure = KvmVcpu::started(rig.vm.clone(), 1, GuestAddr(0x7000), COOKIE);
    secure.run().unwrap();
    let first = rig.entered(1, true);
    assert_eq!((first.gpr[0], first.gpr[3], first.vcpu), (COOKIE, UvCall::UV_RETURN.0, 1));
}

#[test]
fn entering_secure_mode_ends_in_one_of_two_states() {
    // The ultravisor gives up after H_SVM_INIT_DONE. H_STATE leaves secure_guest set, so the way back is UV_RETURN; an
    // ultravisor that expects none refuses it, one that takes it lets the guest go on. Either way the VM is cleaned up.
    for expects in [false, true] {
        let mut late =
            vec![reflected(HvCall::H_SVM_INIT_START, &[]), reflected(HvCall::H_SVM_INIT_DONE, &[]), aborted()];
        if !expects {
            late.push(Box::new(|regs| regs.gpr[3] = (-4_i64).cast_unsigned()));
        }
        let Rig { door, vm, cpu, .. } = Rig::new(late);
        let cpu = spin::Mutex::new(cpu);
        assert_eq!(vm.enter_secure_mode(&cpu).unwrap_err(), KvmError::Refused(HvCode::H_STATE));
        assert_eq!((vm.vm_state(), vm.secure_guest()), (VmState::Normal, SecureGuest::empty()));
        let entered = door.entered.lock().unwrap().clone();
        assert!(entered[3].0, "UV_RETURN");
        assert_eq!((entered[3].1.gpr[0], entered[3].1.gpr[31]), (HvCode::H_STATE.to_register(), 0x11f));
        assert!(door.calls.lock().unwrap().contains(&UvCall::UV_SVM_TERMINATE));
        assert_eq!(cpu.lock().run(), Ok(Exit::Halted));
        assert_eq!(door.entered.lock().unwrap().len(), entered.len(), "the guest is not entered again");
    }

    let Rig { vm, cpu, .. } = Rig::new(vec![]);
    assert_eq!(vm.enter_secure_mode(&spin::Mutex::new(cpu)), Err(KvmError::NotAsked));

    // The exit at which the guest stops is kept for the user.
    let good = vec![
        reflected(HvCall::H_SVM_INIT_START, &[]),
        reflected(HvCall::H_SVM_PAGE_IN, &[0x1_0000, 0, 16]),
        reflected(HvCall::H_SVM_INIT_DONE, &[]),
        reflected(HvCall::H_CEDE, &[]),
    ];
    let Rig { vm, cpu, .. } = Rig::new(good);
    let cpu = spin::Mutex::new(cpu);
    assert_eq!(vm.enter_secure_mode(&cpu).unwrap().resident, 4);
    assert_eq!(vm.vm_state(), VmState::Secure);
    assert!(matches!(cpu.lock().run(), Ok(Exit::Arch(PowerExit::Hypercall { call: HvCall::H_CEDE, .. }))));
    let again = vm.enter_secure_mode(&cpu).unwrap_err();
    assert_eq!(uv_core::Error::kind(&again), ErrorKind::WrongState);

    // A virtual CPU of another VM.
    let (mine, theirs) = (Rig::new(vec![]), Rig::new(vec![]));
    let refused = mine.vm.enter_secure_mode(&spin::Mutex::new(theirs.cpu));
    assert_eq!(refused, Err(KvmError::State(VmState::Normal)));
}

#[test]
fn the_way_in_follows_the_vm_and_not_the_interrupt() {
    // S is in no machine state, and yet the VM has begun to be secure.
    let mut rig = Rig::new(vec![interrupted(0x980, NORMAL), interrupted(0x980, NORMAL)]);
    assert_eq!(ask(&rig.vm, HvCall::H_SVM_INIT_START, [0; 3]), HvCode::H_SUCCESS);
    assert_eq!(rig.cpu.run(), Ok(Exit::Halted));
    let back = [0, 1, 2].map(|index| rig.entered(index, true));
    assert_eq!(
        (back[1].hsrr0, back[1].gpr[0], back[1].gpr[2]),
        (COOKIE, 0, NORMAL),
        "R0 is the guest's R3, R2 is SRR1"
    );
    // And with S in SRR1 of a VM that is normal again.
    let mut rig = Rig::new(vec![reflected(HvCall::H_CEDE, &[]), interrupted(0x980, SECURE)]);
    rig.cpu.run().unwrap();
    rig.cpu.complete(HvCode::H_SUCCESS, &[]);
    assert_eq!(rig.cpu.run(), Ok(Exit::Halted));
    assert_eq!(rig.entered(1, false).gpr[3], 0);
    rig.entered(2, false);
}

#[test]
fn a_hypercall_of_user_mode_is_a_privileged_instruction_for_the_kernel() {
    let user = |state: u64| -> Next {
        let call = reflected(HvCall::H_SVM_INIT_DONE, &[]);
        Box::new(move |regs| {
            call(regs);
            (regs.srr1, regs.hsrr1) = (state | Msr::PR.bits() | SC_LEVEL_1, state | Msr::PR.bits() | SC_LEVEL_1);
        })
    };
    let mut rig = Rig::new(vec![user(NORMAL)]);
    assert_eq!(rig.cpu.run(), Ok(Exit::Halted));
    let back = rig.entered(1, false);
    assert_eq!((back.hsrr0, back.srr0, back.gpr[3]), (0x700, COOKIE, HvCall::H_SVM_INIT_DONE.0));
    assert_eq!(back.srr1, NORMAL | Msr::PR.bits() | STATUS_PRIVILEGED);
    assert_eq!(back.hsrr1, (Msr::SF | Msr::ME).bits());

    let mut rig = secure(vec![user(SECURE)]);
    assert_eq!(rig.cpu.run(), Ok(Exit::Halted));
    let back = rig.entered(1, true);
    assert_eq!((back.hsrr0, back.gpr[31], back.gpr[0]), (0x700, COOKIE, HvCall::H_SVM_INIT_DONE.0));
    assert_eq!(back.gpr[2], SECURE | Msr::PR.bits() | STATUS_PRIVILEGED);
}

#[test]
fn interrupts_are_injected_through_hsrr0_hsrr1_and_r2() {
    let state = SECURE | Msr::LE.bits() | Msr::IR.bits() | Msr::DR.bits();
    let mut rig = secure(vec![interrupted(0xea0, state), interrupted(0xf80, state & !Msr::EE.bits())]);
    rig.door.next.lock().unwrap().push_front(interrupted(0xf80, state));
    assert_eq!(rig.cpu.run(), Ok(Exit::Arch(PowerExit::Interrupt(0xf80))));
    assert!(rig.cpu.takes_external());
    rig.cpu.inject(0x700, STATUS_ILLEGAL | Msr::PR.bits() | 1);
    assert_eq!(rig.cpu.run(), Ok(Exit::Arch(PowerExit::Interrupt(0xf80))), "0xea0 is served here");
    let back = rig.entered(1, true);
    assert_eq!((back.hsrr0, back.hsrr1), (0x700, (Msr::SF | Msr::ME | Msr::LE).bits()));
    assert_eq!((back.srr0, back.gpr[2], back.gpr[31]), (COOKIE, state | STATUS_ILLEGAL, COOKIE), "status bits only");
    assert_eq!(rig.entered(2, true).hsrr0, COOKIE, "once");
    assert!(!rig.cpu.takes_external());

    // A normal guest with LPCR.AIL = 3 and a transaction.
    let active = NORMAL | Msr::IR.bits() | Msr::DR.bits() | Msr::TS_T.bits();
    let tick = |state| -> Next {
        Box::new(move |regs| {
            (regs.nip, regs.lpcr) = (0xe40, 3 << 23);
            (regs.hsrr0, regs.hsrr1) = (0x4040, state);
        })
    };
    let suspended = active & !Msr::TS_T.bits() | Msr::TS_S.bits();
    let taken = Msr::SF | Msr::ME | Msr::TS_S;
    let expected = [
        (active, 0x900, 0xc000_0000_0000_4900, taken | Msr::IR | Msr::DR),
        (active, 0x100, 0x100, taken),
        (active, 0x200, 0x200, taken),
        (active & !Msr::IR.bits(), 0x900, 0x900, taken),
        (suspended & !Msr::DR.bits(), 0x900, 0x900, taken),
        (NORMAL, 0x900, 0x900, Msr::SF | Msr::ME),
    ];
    let mut rig = Rig::new(expected.into_iter().map(|(state, ..)| tick(state)).collect());
    for (_, vector, ..) in expected {
        assert_eq!(rig.cpu.run(), Ok(Exit::Arch(PowerExit::Interrupt(0xe40))));
        rig.cpu.inject(vector, 0);
    }
    assert_eq!(rig.cpu.run(), Ok(Exit::Halted));
    for (entry, (.., at, msr)) in (1..).zip(expected) {
        let back = rig.entered(entry, false);
        assert_eq!((back.hsrr0, back.hsrr1, back.srr0), (at, msr.bits(), 0x4040));
    }
}

#[test]
fn the_cause_of_an_interrupt_is_told() {
    let caused: Next = Box::new(|regs| {
        regs.nip = 0xf80;
        (regs.srr1, regs.hsrr1) = (NORMAL | 0x0001_0000, NORMAL | 0x0008_0000);
        regs.hfscr = 5 << 56 | 0x22;
        assert!(regs.spr.set(uv_power::abi::regs::Spr::HEIR, 0x7c00_0001));
    });
    let woken: Next = Box::new(|regs| (regs.nip, regs.srr1, regs.hsrr1) = (0x200, NORMAL | 0x0001_0000, 0));
    let mut rig = Rig::new(vec![caused, woken]);
    assert_eq!(rig.cpu.run(), Ok(Exit::Arch(PowerExit::Interrupt(0xf80))));
    let cause = rig.cpu.cause();
    assert_eq!((cause.status, cause.facility, cause.instruction), (0x0008_0000, 5, 0x7c00_0001), "HSRR1 counts");
    assert_eq!(rig.cpu.run(), Ok(Exit::Arch(PowerExit::Interrupt(0x200))));
    assert_eq!(rig.cpu.cause().status, 0x0001_0000, "SRR1 counts");
}

#[test]
fn pages_go_to_the_user_or_are_served_in_the_kernel() {
    let fault = |vector: u64| -> Next {
        let inner = interrupted(vector, SECURE);
        Box::new(move |regs| {
            inner(regs);
            regs.asdr = 0x1_0000;
        })
    };
    let next =
        || -> Vec<Next> { vec![reflected(HvCall::H_SVM_PAGE_IN, &[0x2_0000, 0, 16]), fault(0xe00), fault(0xe20)] };
    let prepared = |next| {
        let rig = secure(next);
        assert_eq!(ask(&rig.vm, HvCall::H_SVM_PAGE_IN, [0x1_0000, 1, 16]), HvCode::H_SUCCESS);
        rig.vm.host_unmaps(Gfn(1));
        rig.vm.host_touches(Gfn(2)).unwrap();
        rig.door.calls.lock().unwrap().clear();
        rig
    };
    let Rig { door, vm, cpu, .. } = prepared(next());
    let mut cpu = cpu.paging_in_kernel();
    assert_eq!(cpu.run(), Ok(Exit::Halted));
    assert_eq!(
        *door.calls.lock().unwrap(),
        [UvCall::UV_PAGE_IN; 3],
        "the page that is out, the shared one, and once more"
    );
    assert!(matches!(vm.gfn_state(Gfn(2)), GfnState::Uvmem(_)));
    assert_eq!(vm.gfn_state(Gfn(1)), GfnState::Shared);

    let mut rig = prepared(next());
    let missing = |gfn, access| Ok(Exit::PageMissing { gfn: Gfn(gfn), access });
    assert_eq!(rig.cpu.run(), missing(2, uv_core::Access::Load));
    assert_eq!(rig.cpu.run(), missing(1, uv_core::Access::Load), "H_PARAMETER for the page that did not come");
    assert_eq!(rig.entered(1, true).gpr[0], HvCode::H_PARAMETER.to_register());
    assert_eq!(rig.cpu.run(), missing(1, uv_core::Access::Fetch));
    rig.vm.guest_faults(Gfn(1)).unwrap();
    assert_eq!(rig.cpu.run(), Ok(Exit::Halted));

    // A page out of every slot, and a normal guest.
    let mut rig = secure(vec![Box::new(|regs| (regs.nip, regs.asdr) = (0xe00, 0x100_0000))]);
    assert_eq!(rig.cpu.run(), Err(KvmError::Fault(Gfn(0x100))));
    for started in [false, true] {
        let mut rig = Rig::new(vec![fault(0xe00)]);
        if started {
            assert_eq!(ask(&rig.vm, HvCall::H_SVM_INIT_START, [0; 3]), HvCode::H_SUCCESS);
        }
        assert_eq!(rig.cpu.run(), Err(KvmError::Fault(Gfn(1))), "not before H_SVM_INIT_DONE");
    }
    // A guest that makes the ultravisor's call.
    let call = reflected(HvCall::H_SVM_PAGE_IN, &[0x2_0000, 0, 16]);
    let mut rig = prepared(vec![Box::new(move |regs| {
        call(regs);
        regs.srr1 = NORMAL | SC_LEVEL_1;
    })]);
    assert_eq!(rig.cpu.run(), Ok(Exit::Halted));
    assert_eq!(rig.entered(1, true).gpr[0], HvCode::H_UNSUPPORTED.to_register());
    // On the way to secure mode no page goes to the user.
    let page = &[0x1_0000, 0, 16];
    let Rig { vm, cpu, .. } = Rig::new(vec![
        reflected(HvCall::H_SVM_INIT_START, &[]),
        reflected(HvCall::H_SVM_PAGE_IN, page),
        reflected(HvCall::H_SVM_PAGE_OUT, page),
        reflected(HvCall::H_SVM_INIT_DONE, &[]),
        reflected(HvCall::H_SVM_PAGE_IN, page),
    ]);
    assert_eq!(vm.enter_secure_mode(&spin::Mutex::new(cpu)).unwrap().resident, 4);
}

/// A TPM that answers with the command's length.
struct Tpm;

impl HostTpm for Tpm {
    fn execute(&mut self, command: &[u8], response: &mut [u8]) -> Result<usize, TpmError> {
        response[0] = u8::try_from(command.len()).map_err(|_| TpmError)?;
        Ok(1)
    }

    fn close(&mut self) {}
}

#[test]
fn tpm_calls_are_served_on_the_way_to_secure_mode() {
    let next = || -> Vec<Next> {
        vec![
            reflected(HvCall::H_SVM_INIT_START, &[]),
            reflected(HvCall::H_SVM_TPM_COMM, &[1, 0, 12, 0x1000, 4096]),
            reflected(HvCall::H_SVM_INIT_DONE, &[]),
            reflected(HvCall::H_SVM_TPM_COMM, &[2, 0, 0, 0, 0]),
        ]
    };
    for (tpm, answer, len) in [(true, HvCode::H_SUCCESS, 1), (false, HvCode::H_FUNCTION, 0)] {
        let Rig { door, vm, cpu, .. } = Rig::new(next());
        if tpm {
            vm.attach_tpm(Box::new(Tpm));
        }
        let cpu = spin::Mutex::new(cpu);
        vm.enter_secure_mode(&cpu).unwrap();
        let back = door.entered.lock().unwrap()[2].1.clone();
        assert_eq!((back.gpr[0], back.gpr[4]), (answer.to_register(), len));
    }
    // Later: served if the VM has a TPM, else the user's.
    for tpm in [true, false] {
        let mut rig = secure(vec![reflected(HvCall::H_SVM_TPM_COMM, &[2, 0, 0, 0, 0])]);
        if tpm {
            rig.vm.attach_tpm(Box::new(Tpm));
        }
        let is_user =
            matches!(rig.cpu.run(), Ok(Exit::Arch(PowerExit::Hypercall { call: HvCall::H_SVM_TPM_COMM, .. })));
        assert_eq!(is_user, !tpm);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    /// Whatever is asked in whatever order, and whatever the ultravisor answers: each device page in use stands for one
    /// resident guest page, and a VM that was ended has none once the ultravisor has given every page.
    #[test]
    fn device_pages_are_neither_lost_nor_given_twice(
        steps in prop::collection::vec((0..12_u8, 0..20_u64, 0..3_u64), 1..60),
        codes in prop::collection::vec(prop::sample::select(vec![0_i64, 0, 0, 0, -4, -55, -56, 1]), 0..60),
    ) {
        let rig = Rig::new(vec![]);
        *rig.door.codes.lock().unwrap() = codes.into();
        let ask = |call, args| ask(&rig.vm, call, args);
        for (step, gfn, flags) in steps {
            match step {
                0 | 1 => drop(ask(HvCall::H_SVM_INIT_START, [0; 3])),
                2 => drop(ask(HvCall::H_SVM_INIT_DONE, [0; 3])),
                3 => drop(ask(HvCall::H_SVM_INIT_ABORT, [0; 3])),
                4..=6 => drop(ask(HvCall::H_SVM_PAGE_IN, [gfn << 16, flags, 16])),
                7 => drop(ask(HvCall::H_SVM_PAGE_OUT, [gfn << 16, flags & 1, 16])),
                8 => drop(rig.vm.host_touches(Gfn(gfn))),
                9 => rig.vm.host_unmaps(Gfn(gfn)),
                10 if flags == 0 => drop(rig.vm.svm_off()),
                10 => rig.vm.delete_memslot(SlotId(u16::try_from(gfn % 3).unwrap())),
                _ => {
                    let slot = MemSlot { first: Gfn(gfn), pages: flags + 1, host: HostAddr(0x18_0000) };
                    let _ = rig.vm.add_memslot(SlotId(1 + u16::try_from(gfn % 2).unwrap()), slot);
                }
            }
            let devices: Vec<_> = (0..24).filter_map(|gfn| match rig.vm.gfn_state(Gfn(gfn)) {
                GfnState::Uvmem(device) => Some(device.0),
                _ => None,
            }).collect();
            let different: std::collections::BTreeSet<_> = devices.iter().collect();
            prop_assert_eq!(different.len(), devices.len());
            prop_assert_eq!(rig.pool.pages() - rig.pool.free(), devices.len() as u64);
        }
        rig.door.codes.lock().unwrap().clear();
        prop_assert_eq!(rig.vm.svm_off(), Ok(()));
        // What the ultravisor refused at an abort comes out when the host touches it.
        let slots = rig.vm.slots();
        for gfn in (0..24).map(Gfn).filter(|gfn| slots.find(*gfn).is_some()) {
            prop_assert_eq!(rig.vm.host_touches(gfn), Ok(()));
        }
        prop_assert_eq!(rig.pool.free(), rig.pool.pages());
    }
}

#[test]
fn a_new_virtual_cpu_begins_with_a_clean_state() {
    let rig = Rig::new(vec![]);
    let mut cpu = KvmVcpu::new(rig.vm.clone(), 6);
    assert!(Arc::ptr_eq(cpu.vm(), &rig.vm) && !cpu.takes_external());
    assert_eq!([cpu.run(), cpu.run()], [Ok(Exit::Halted), Ok(Exit::Halted)]);
    assert_eq!(rig.door.entered.lock().unwrap().len(), 1, "what has halted is not entered again");
    let first = rig.entered(0, false);
    assert_eq!((first.hsrr0, first.hsrr1), (0, (Msr::SF | Msr::ME | Msr::RI | Msr::LE).bits()));
    assert_eq!((first.gpr, first.vcpu, first.lpidr, first.msr), ([0; 32], 6, Lpid(3), Regs::hypervisor().msr));
    assert_eq!(cpu.regs().nip, 0x100);
}

#[test]
fn nine_registers_are_answered() {
    let mut rig = Rig::new(vec![Box::new(|regs| {
        regs.gpr = core::array::from_fn(|register| 0x500 + register as u64);
        regs.gpr[3] = 0x58;
        (regs.nip, regs.srr0, regs.srr1) = (0xc00, 0x4004, NORMAL | SC_LEVEL_1);
        regs.msr = Msr::ME.bits();
    })]);
    let Ok(Exit::Arch(PowerExit::Hypercall { call, args })) = rig.cpu.run() else { panic!("it is user space's") };
    assert_eq!((call, args), (HvCall(0x58), core::array::from_fn(|index| 0x504 + index as u64)));
    rig.cpu.complete(HvCode::H_STATE, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    // An answer counts once.
    rig.cpu.complete(HvCode::H_SUCCESS, &[11]);
    assert_eq!(rig.cpu.run(), Ok(Exit::Halted));
    let back = rig.entered(1, false);
    assert_eq!(back.msr, Regs::hypervisor().msr);
    assert_eq!(back.gpr[3..14], [HvCode::H_STATE.to_register(), 1, 2, 3, 4, 5, 6, 7, 8, 9, 0x50d]);
}

#[test]
fn ticks_in_a_row_are_counted() {
    let tick = || interrupted(0x980, NORMAL);
    let entries = |rig: &Rig| rig.door.entered.lock().unwrap().len();
    let say = Ok(Exit::Arch(PowerExit::Interrupt(0x980)));
    let mut rig = Rig::new((0..128).map(|_| tick()).collect());
    assert_eq!((rig.cpu.run(), entries(&rig)), (say.clone(), 64));
    assert_eq!((rig.cpu.run(), entries(&rig)), (say.clone(), 128), "counted anew");
    // Anything else begins a new row; what the host serves itself goes to nobody.
    let between = [0x500, 0xe80, 0xea0].map(|vector| interrupted(vector, NORMAL));
    let mut next: Vec<Next> = (0..63).map(|_| tick()).collect();
    next.extend(between);
    next.extend((0..64).map(|_| tick()));
    let mut rig = Rig::new(next);
    assert_eq!((rig.cpu.run(), entries(&rig)), (say, 63 + 3 + 64));
    // Other vectors are told by their number.
    for vector in [0x200, 0x300, 0x700, 0xe40, 0xe60, 0xf80, 0x1500] {
        let mut rig = Rig::new(vec![interrupted(vector, NORMAL)]);
        assert_eq!(rig.cpu.run(), Ok(Exit::Arch(PowerExit::Interrupt(vector))));
    }
}

#[test]
fn where_an_interrupt_saved_its_state() {
    // Vector, LPCR, and whether HSRR0/1 count.
    for (vector, lpcr, hsrr) in [
        (0x500, 0, true),
        (0x500, 1 << 3, false),
        (0x500, 1 << 4, true),
        (0x980, 0, true),
        (0xf80, 0, true),
        (0x1500, 0, true),
        (0xe60, 0, true),
        (0xea0, 0, true),
        (0xec0, 0, false),
        (0x200, 0, false),
        (0x900, 0, false),
    ] {
        let next: Next = Box::new(move |regs| {
            (regs.nip, regs.lpcr) = (vector, lpcr);
            (regs.srr0, regs.srr1) = (0x1110, NORMAL | 0x0001_0000);
            (regs.hsrr0, regs.hsrr1) = (0x2220, NORMAL | 0x0002_0000);
        });
        let mut rig = Rig::new(vec![next]);
        rig.cpu.run().unwrap();
        let (at, status) = if hsrr { (0x2220, 0x0002_0000) } else { (0x1110, 0x0001_0000) };
        if rig.door.entered.lock().unwrap().len() == 1 {
            assert_eq!(rig.cpu.cause().status, status, "{vector:#x}");
            assert_eq!(rig.cpu.run(), Ok(Exit::Halted));
        }
        let back = rig.entered(1, false);
        assert_eq!((back.hsrr0, back.hsrr1), (at, NORMAL), "{vector:#x}: and no status");
    }
}

#[test]
fn only_a_secure_page_that_is_out_goes_to_the_user() {
    let answer = |call: HvCall, args: &'static [u64]| {
        let mut rig = secure(vec![reflected(call, args)]);
        rig.vm.host_touches(Gfn(2)).unwrap();
        assert_eq!(rig.vm.gfn_state(Gfn(2)), GfnState::PagedOut);
        let exit = rig.cpu.run();
        let entered = rig.door.entered.lock().unwrap().get(1).map(|(_, regs)| regs.gpr[0]);
        (exit, entered)
    };
    let served = |code: HvCode| (Ok(Exit::Halted), Some(code.to_register()));
    let missing = Ok(Exit::PageMissing { gfn: Gfn(2), access: uv_core::Access::Load });
    assert_eq!(answer(HvCall::H_SVM_PAGE_IN, &[0x2_0000, 0, 16]), (missing, None));
    assert_eq!(answer(HvCall::H_SVM_PAGE_IN, &[0x2_0000, 1, 16]), served(HvCode::H_SUCCESS), "it is to be shared");
    assert_eq!(answer(HvCall::H_SVM_PAGE_IN, &[0x2_0000, 0, 12]), served(HvCode::H_P3));
    assert_eq!(answer(HvCall::H_SVM_PAGE_OUT, &[0x2_0000, 0, 16]), served(HvCode::H_SUCCESS));
    assert_eq!(answer(HvCall::H_SVM_PAGE_IN, &[0x1_0000, 0, 16]), served(HvCode::H_PARAMETER), "it is in");
    // The user brings it, and the ultravisor hears so.
    let mut rig = secure(vec![reflected(HvCall::H_SVM_PAGE_IN, &[0x2_0000, 0, 16])]);
    rig.vm.host_touches(Gfn(2)).unwrap();
    assert!(matches!(rig.cpu.run(), Ok(Exit::PageMissing { .. })));
    rig.cpu.complete(HvCode::H_STATE, &[]);
    uv_core::PageIn::page_in(&*rig.vm, Gfn(2)).unwrap();
    assert_eq!(rig.cpu.run(), Ok(Exit::Halted));
    assert_eq!(rig.entered(1, true).gpr[0], HvCode::H_SUCCESS.to_register());
    // A VM on its way to secure mode has no page for the user.
    let mut rig = Rig::new(vec![reflected(HvCall::H_SVM_PAGE_IN, &[0x2_0000, 0, 16])]);
    assert_eq!(ask(&rig.vm, HvCall::H_SVM_INIT_START, [0; 3]), HvCode::H_SUCCESS);
    for call in [HvCall::H_SVM_PAGE_IN, HvCall::H_SVM_PAGE_OUT] {
        assert_eq!(ask(&rig.vm, call, [0x2_0000, 0, 16]), HvCode::H_SUCCESS);
    }
    assert_eq!(rig.cpu.run(), Ok(Exit::Halted));
    assert_eq!(rig.entered(1, true).gpr[0], HvCode::H_SUCCESS.to_register());
}

#[test]
fn a_transition_is_judged_by_itself() {
    // A guest that gave up once can try again; a second failure is not taken from the first.
    let start = || reflected(HvCall::H_SVM_INIT_START, &[]);
    let call: fn() -> Next = || {
        Box::new(|regs| {
            regs.gpr[3] = 0x58;
            (regs.nip, regs.srr0, regs.srr1) = (0xc00, 0x4004, NORMAL | SC_LEVEL_1);
        })
    };
    let done = || reflected(HvCall::H_SVM_INIT_DONE, &[]);
    let wait = || reflected(HvCall::H_CEDE, &[]);
    let Rig { vm, cpu, door, .. } = Rig::new(vec![start(), aborted(), call(), start(), done(), wait()]);
    let cpu = spin::Mutex::new(cpu);
    assert_eq!(vm.enter_secure_mode(&cpu), Err(KvmError::Refused(HvCode::H_PARAMETER)));
    assert!(matches!(cpu.lock().run(), Ok(Exit::Arch(PowerExit::Hypercall { call: HvCall(0x58), .. }))));
    assert_eq!(vm.enter_secure_mode(&cpu).map(|entered| entered.resident), Ok(4));
    assert!(matches!(cpu.lock().run(), Ok(Exit::Arch(PowerExit::Hypercall { call: HvCall::H_CEDE, .. }))));
    // Afterwards pages that are out are the user's again.
    vm.host_touches(Gfn(2)).unwrap();
    door.next.lock().unwrap().push_back(reflected(HvCall::H_SVM_PAGE_IN, &[0x2_0000, 0, 16]));
    assert!(matches!(cpu.lock().run(), Ok(Exit::PageMissing { gfn: Gfn(2), .. })));

    // An abort outside of a transition is not remembered.
    let Rig { vm, mut cpu, .. } = Rig::new(vec![start(), aborted(), call(), call()]);
    assert!(matches!(cpu.run(), Ok(Exit::Arch(PowerExit::Hypercall { .. }))));
    cpu.complete(HvCode::H_SUCCESS, &[]);
    assert_eq!(vm.enter_secure_mode(&spin::Mutex::new(cpu)), Err(KvmError::NotAsked));

    // The error of an ultravisor that lets the guest not in goes to the user, and the VM is normal.
    let refused: Next = Box::new(|regs| regs.gpr[3] = (-75_i64).cast_unsigned());
    let Rig { vm, cpu, .. } = Rig::new(vec![start(), refused]);
    let error = vm.enter_secure_mode(&spin::Mutex::new(cpu)).unwrap_err();
    assert!(matches!(error, KvmError::Uv(error) if error.call == UvCall::UV_RETURN));
    assert_eq!(vm.secure_guest(), SecureGuest::empty());
    // One that does not end the VM leaves it where it is.
    let Rig { vm, cpu, door, .. } = Rig::new(vec![start()]);
    door.codes.lock().unwrap().extend([0, 0, -4]);
    let error = vm.enter_secure_mode(&spin::Mutex::new(cpu)).unwrap_err();
    assert!(matches!(error, KvmError::NotEnded(error) if error.code.0 == -4), "{error}");
    assert_eq!(vm.secure_guest(), SecureGuest::INIT_START);
}

#[test]
fn a_running_virtual_cpu_is_counted() {
    // Two virtual CPUs of one VM: it runs until both have stopped.
    let rig = Rig::new(vec![]);
    assert_eq!(ask(&rig.vm, HvCall::H_SVM_INIT_START, [0; 3]), HvCode::H_SUCCESS);
    let (inner, vm) = (Arc::new(Mutex::new(Vec::new())), rig.vm.clone());
    let seen = inner.clone();
    let mut second = KvmVcpu::new(rig.vm.clone(), 1);
    let outer: Next = Box::new(move |regs| {
        second.run().unwrap();
        seen.lock().unwrap().push(vm.svm_off());
        regs.nip = 0x100;
    });
    rig.door.next.lock().unwrap().push_back(outer);
    let Rig { mut cpu, vm, .. } = rig;
    assert_eq!(cpu.run(), Ok(Exit::Halted));
    assert_eq!(*inner.lock().unwrap(), [Err(KvmError::Running)]);
    assert_eq!(vm.svm_off(), Ok(()));
}
