//! The run loop of KVM's virtual CPUs, register by register, and what it makes of a transition that fails late.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use uv_core::{
    EnterSecureMode, ErrorKind, Exit, Gfn, GuestAddr, HostAddr, MemSlot, MemSlots, PageSize, SecureVm, SlotId, Vcpu,
    VmState,
};
use uv_power::abi::msr::SC_LEVEL_1;
use uv_power::abi::numbers::{HvCall, UvCall};
use uv_power::abi::regs::Lpid;
use uv_power::abi::{GuestEntry, HvCode, Msr, Regs, Ultracall};
use uv_power::hypervisor::kernel::{
    Defects, DevicePool, GfnState, Host, KvmError, KvmVcpu, PowerExit, SecureGuest, Vm, VmConfig, hcall,
};
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
        match self.next.lock().unwrap().pop_front() {
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
        assert_eq!(hcall::dispatch(&rig.vm, call, [0; 3], true), Some(HvCode::H_SUCCESS));
    }
    let mut secure = KvmVcpu::started(rig.vm.clone(), 1, GuestAddr(0x7000), COOKIE);
    secure.run().unwrap();
    let first = rig.entered(1, true);
    assert_eq!((first.gpr[0], first.gpr[3], first.vcpu), (COOKIE, UvCall::UV_RETURN.0, 1));
}

#[test]
fn entering_secure_mode_ends_in_one_of_two_states() {
    // The ultravisor gives up after H_SVM_INIT_DONE: the guest is told H_STATE, the VM is cleaned up.
    let late = vec![reflected(HvCall::H_SVM_INIT_START, &[]), reflected(HvCall::H_SVM_INIT_DONE, &[]), aborted()];
    let Rig { door, vm, cpu, .. } = Rig::new(late);
    let error = vm.enter_secure_mode(&spin::Mutex::new(cpu)).unwrap_err();
    assert_eq!(error, KvmError::Refused(HvCode::H_STATE));
    assert_eq!((vm.vm_state(), vm.secure_guest()), (VmState::Normal, SecureGuest::empty()));
    assert_eq!(door.entered.lock().unwrap()[3].1.gpr[3], HvCode::H_STATE.to_register());
    assert!(door.calls.lock().unwrap().contains(&UvCall::UV_SVM_TERMINATE));

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

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    /// Whatever is asked in whatever order, and whatever the ultravisor answers: each device page in use stands for one
    /// resident guest page, and a VM that was ended has none.
    #[test]
    fn device_pages_are_neither_lost_nor_given_twice(
        steps in prop::collection::vec((0..12_u8, 0..20_u64, 0..3_u64), 1..60),
        codes in prop::collection::vec(prop::sample::select(vec![0_i64, 0, 0, 0, -4, -55, -56, 1]), 0..60),
    ) {
        let rig = Rig::new(vec![]);
        *rig.door.codes.lock().unwrap() = codes.into();
        let ask = |call, args| hcall::dispatch(&rig.vm, call, args, true).unwrap();
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
        prop_assert_eq!(rig.pool.free(), rig.pool.pages());
    }
}
