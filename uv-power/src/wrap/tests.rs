use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};

use uv_core::{
    EnterSecureMode as _, Exit, Gfn, GuestAddr, HostAddr, MemSlot, MemSlots, NormalMemory, PageIn as _, PageSize,
    SlotId, Vcpu as _,
};
use uv_sim::HostMemory;
use uv_sim::guest::{Script, Step, Transcript};
use uv_sim::wrap::Draws;

use super::*;
use crate::abi::numbers::{HvCall, UltracallNumber};
use crate::abi::regs::{Lpid, Regs};
use crate::abi::{GuestEntry, HvCode, Profile, Ultracall, UvCode, UvError, ultracall};
use crate::guest::EsmRequest;
use crate::hypervisor::kernel::{DevicePool, Host, KvmError, KvmVcpu, PowerExit, Vm, VmConfig};
use crate::owner::keys::PrivateKey;
use crate::owner::samples;
use crate::sim::{GuestInsn, Machine, MachineConfig};

const LPID: Lpid = Lpid(1);
const HOST: HostAddr = HostAddr(16 << 20);
const MEMORY: u64 = 4 << 20;
const PAGES: u64 = MEMORY >> 16;

fn memory() -> Arc<HostMemory> {
    Arc::new(HostMemory::new(HOST.0 + MEMORY))
}

fn machine(profile: Profile, memory: Arc<dyn NormalMemory>) -> Machine {
    let key = PrivateKey::from_pem(samples::MACHINE1, None).unwrap();
    Machine::new(MachineConfig::new(key).with_profile(profile), memory)
}

/// A VM whose seams these are, and its boot CPU.
fn vm(seams: impl Ultracall + GuestEntry + 'static, memory: Arc<dyn NormalMemory>) -> (Arc<Vm>, KvmVcpu) {
    let seams = Arc::new(seams);
    let pool = DevicePool::new(PAGES << 16).map(Arc::new);
    let host = Host { uv: seams.clone(), entry: seams, memory, pool };
    let mut slots = MemSlots::new(PageSize::K64);
    slots.insert(SlotId(0), MemSlot { first: Gfn(0), pages: PAGES, host: HOST }).unwrap();
    let vm = Arc::new(Vm::new(host, VmConfig { lpid: LPID, radix: true, slots }));
    vm.enable_secure_guest_capability().unwrap();
    let cpu = KvmVcpu::new(Arc::clone(&vm), 0).starting_at(GuestAddr(0x1_0000));
    (vm, cpu)
}

/// A guest that waits three times, then asks for secure mode without a device tree and is refused.
fn guest(machine: &Machine) -> Transcript<Box<Regs>> {
    let request = EsmRequest { kernel: GuestAddr(0x1_0000), tree: GuestAddr(0x2_0000) };
    let wait = || Step::Call(GuestInsn::hypercall(HvCall::H_RANDOM, &[]));
    let esm = Step::Call(GuestInsn::ultracall(EsmRequest::NUMBER, &request.arguments()));
    let (script, seen) = Script::new([wait(), wait(), wait(), esm]);
    machine.add_vcpu(LPID, 0, Box::new(script));
    seen
}

/// Runs the guest to its end: its exits.
fn run(vm: &Vm, cpu: &mut KvmVcpu) -> Result<Vec<Exit<PowerExit>>, KvmError> {
    let mut exits = Vec::new();
    loop {
        let exit = cpu.run()?;
        exits.push(exit.clone());
        match exit {
            Exit::EnterSecureMode => drop(vm.enter_secure_mode(cpu)),
            Exit::PageMissing { gfn, .. } => vm.page_in(gfn)?,
            Exit::Halted => return Ok(exits),
            Exit::Arch(PowerExit::Hypercall { .. }) => cpu.complete(HvCode::H_SUCCESS, &[4]),
            exit => panic!("{exit:?}"),
        }
    }
}

fn page_inval(uv: &dyn Ultracall) -> UvCode {
    ultracall::page_inval(uv, LPID, GuestAddr(0)).unwrap_err().code
}

#[test]
fn one_seed_one_schedule_and_each_profile_its_own_busy() {
    for (profile, busy) in [(Profile::Documented, UvCode::U_BUSY), (Profile::Firmware, UvCode::U_RETRY)] {
        let answers = |seed| {
            let schedule = Schedule { seed, busy: 128, profile, ..Schedule::default() };
            let uv = Disturbed::new(machine(profile, memory()), schedule);
            (0..64).map(|_| page_inval(&uv)).collect::<Vec<_>>()
        };
        assert_eq!(answers(1), answers(1));
        assert_ne!(answers(1), answers(2));
        let undisturbed = page_inval(&machine(profile, memory()));
        let (struck, passed): (Vec<_>, Vec<_>) = answers(1).into_iter().partition(|code| *code == busy);
        assert!(!struck.is_empty() && !passed.is_empty() && passed.iter().all(|code| *code == undisturbed));
    }
}

#[test]
fn planned_errors_come_once_and_callers_come_through() {
    let planned = PlannedError { call: UltracallNumber::UV_PAGE_INVAL, nth: 1, code: UvCode::U_P4 };
    let schedule = Schedule { seed: 3, busy: 255, errors: [planned].to_vec(), ..Schedule::default() };
    let uv = Traced(Disturbed::new(machine(Profile::Documented, memory()), schedule));
    let mut codes = Vec::new();
    for _ in 0..3 {
        let tries = (0..=Draws::<u64>::LONGEST_RUN).map(|_| page_inval(&uv));
        codes.extend(tries.filter(|code| *code != UvCode::U_BUSY));
    }
    assert_eq!(codes, [UvCode::U_PARAMETER, UvCode::U_P4, UvCode::U_PARAMETER]);
}

#[test]
fn a_refused_return_is_the_hypervisors_to_hear_of() {
    let machine = machine(Profile::Documented, memory());
    let seen = guest(&machine);
    let planned = PlannedError { call: UltracallNumber::UV_RETURN, nth: 0, code: UvCode::U_STATE };
    let schedule = Schedule { errors: [planned].to_vec(), ..Schedule::default() };
    let (vm, mut cpu) = vm(Recorder::new(Disturbed::new(machine, schedule)), memory());
    let refused = UvError { call: UltracallNumber::UV_RETURN, code: UvCode::U_STATE };
    for call in 0..4 {
        let exit = cpu.run().unwrap();
        assert_eq!(matches!(exit, Exit::EnterSecureMode), call == 3, "{exit:?}");
    }
    assert_eq!(vm.enter_secure_mode(&mut cpu), Err(refused.into()));
    assert_eq!(seen.lock().len(), 3, "the guest stands at UV_ESM");
}

#[test]
fn an_interrupted_entry_changes_nothing_for_the_guest() {
    let outcomes = |interrupts| {
        let memory = memory();
        let machine = machine(Profile::Documented, memory.clone());
        let seen = guest(&machine);
        let schedule = Schedule { seed: 9, interrupts, ..Schedule::default() };
        let interrupted = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&interrupted);
        let watched = Watched::new(Disturbed::new(machine, schedule), move |call: &RecordedCall| {
            count.fetch_add(u32::from(call.is_entry() && call.after.nip == 0x980), Ordering::Relaxed);
        });
        let (vm, mut cpu) = vm(watched, memory);
        let exits = run(&vm, &mut cpu).unwrap();
        let seen = core::mem::take(&mut *seen.lock());
        (exits, seen, interrupted.load(Ordering::Relaxed))
    };
    let (exits, seen, none) = outcomes(0);
    let (disturbed_exits, disturbed_seen, some) = outcomes(200);
    assert_eq!((none, some > 3), (0, true), "{some} interrupts");
    assert_eq!((exits, seen), (disturbed_exits, disturbed_seen));
}

#[test]
fn a_hypervisor_runs_on_a_recording_as_on_the_machine() {
    for profile in [Profile::Documented, Profile::Firmware] {
        let recorded = {
            let memory = memory();
            let machine = machine(profile, memory.clone());
            let seen = guest(&machine);
            let recorder = Arc::new(Recorder::new(machine));
            let (vm, mut cpu) = vm(recorder.clone(), memory);
            let exits = run(&vm, &mut cpu).unwrap();
            assert_eq!(seen.lock().len(), 4, "all calls came back, the last one from UV_ESM");
            (recorder.take(), exits)
        };
        let (calls, exits) = recorded;
        let asked = |call: HvCall| calls.iter().filter(|recorded| recorded.hypercall() == Some(call)).count();
        assert_eq!([HvCall::H_RANDOM, HvCall::H_SVM_INIT_START, HvCall::H_SVM_INIT_ABORT].map(asked), [3, 1, 1]);
        let first = calls.iter().find(|call| call.ultracall() == Some(UltracallNumber::UV_REGISTER_MEM_SLOT)).unwrap();
        assert_eq!((first.code(), first.args()[..3].to_vec()), (Some(UvCode::U_SUCCESS), [1, 0, MEMORY].to_vec()));
        let replayer = Arc::new(Replayer::new(calls));
        let (vm, mut cpu) = vm(replayer.clone(), memory());
        assert_eq!(run(&vm, &mut cpu), Ok(exits));
        assert!(replayer.is_done());
    }
}

#[test]
fn what_was_not_recorded_is_not_answered() {
    let recorder = Recorder::new(machine(Profile::Documented, memory()));
    assert_eq!(page_inval(&recorder), UvCode::U_PARAMETER);
    let replayer = Replayer::new(recorder.take());
    assert!(recorder.calls().is_empty());
    let other = ultracall::page_inval(&replayer, Lpid(2), GuestAddr(0)).unwrap_err();
    assert_eq!(other.code, UvCode::U_FUNCTION);
    let mut regs = Regs::hypervisor();
    replayer.enter(&mut regs);
    assert_eq!(regs.nip, 0x700);
    assert!(!replayer.is_done());
    assert_eq!((page_inval(&replayer), replayer.is_done()), (UvCode::U_PARAMETER, true));
    assert_eq!(page_inval(&replayer), UvCode::U_FUNCTION);
}
