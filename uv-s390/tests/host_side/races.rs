//! Threads that get in each other's way, and what one life of a VM leaves to the next.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use uv_core::{DestroyPages, Gfn, GuestAddr, HostAddr, MemSlot, PageIn, PageOut, PageState, SecureVm, SlotId};
use uv_s390::abi::Errno;
use uv_s390::abi::psw::Psw;
use uv_s390::abi::uvc::UvRc;
use uv_s390::abi::uvcb::{Share, UvCommand as C};
use uv_s390::hypervisor::kernel::{Irq, MpState, Vm};
use uv_s390::hypervisor::uapi::{Argument, ExitReason, KvmPv, KvmRun, MemOp, Target, client, mem_op, request};
use uv_s390::hypervisor::vmm::diag308::ResetRequest;
use uv_s390::hypervisor::vmm::ipl::{self, IplOptions, NoDevices};
use uv_s390::sim::{Generation, GuestInsn, InsnResult};
use uv_sim::guest::{Outcome, Program, Step};
use zerocopy::{FromZeros, IntoBytes};

use crate::ordinary::{diag, outcomes, programs};
use crate::rig::{BUSY, PARTIAL, Rig, rc, refuse};

/// First page behind 2 GiB: what a configuration that is set aside keeps of it stays until the cleanup.
const HIGH: Gfn = Gfn(2 << 18);

/// What a test knows of a guest that does the same thing forever, and tells it.
#[derive(Clone, Default)]
struct Loop {
    runs: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
}

/// Lets CPU 0 do the same thing until it is told to stop.
fn forever(rig: &Rig, guest: &Vm, step: GuestInsn) -> Loop {
    let state = Loop::default();
    let known = state.clone();
    let code = move |_: Psw| -> Box<dyn Program<GuestInsn, InsnResult>> {
        let (known, step) = (known.clone(), step.clone());
        Box::new(move |_: Outcome<InsnResult>| {
            known.runs.store(true, Ordering::Release);
            if known.stop.load(Ordering::Relaxed) { Step::Halt } else { Step::Call(step.clone()) }
        })
    };
    rig.machine.set_guest(guest.state_address(0).expect("a CPU"), code);
    state
}

/// The guest runs in a thread, and `act` is done when it does; the result of KVM_RUN and its exit.
fn meanwhile(guest: &Arc<Vm>, state: &Loop, act: impl FnOnce()) -> (Result<(), Errno>, ExitReason) {
    let vm = guest.clone();
    let runner = thread::spawn(move || {
        let mut area = KvmRun::new();
        let result = client::run(&*vm, 0, &mut area);
        (result, area.exit_reason())
    });
    while !state.runs.load(Ordering::Acquire) {
        thread::yield_now();
    }
    act();
    runner.join().expect("no panic")
}

fn with_high_memory(rig: &Rig) -> Arc<Vm> {
    let guest = rig.guest(1);
    guest.add_slot(SlotId(1), MemSlot { first: HIGH, pages: 256, host: HostAddr(0x400_0000) }).expect("free addresses");
    guest
}

#[test]
fn the_end_of_protection_waits_for_a_cpu_that_runs() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(1);
    let state = forever(&rig, &guest, GuestInsn::Diag { code: 0x44, gr: [0; 5] });
    guest.start_protected(&rig.ipib).unwrap();
    let ended = Arc::new(AtomicBool::new(false));
    let (vm, flag) = (guest.clone(), ended.clone());
    let mut ender = None;
    let (result, exit) = meanwhile(&guest, &state, || {
        ender = Some(thread::spawn(move || {
            client::disable(&*vm).unwrap();
            flag.store(true, Ordering::Release);
        }));
        thread::sleep(std::time::Duration::from_millis(30));
        assert!(!ended.load(Ordering::Acquire) && guest.is_cpu_protected(0), "the CPU runs still");
        state.stop.store(true, Ordering::Relaxed);
    });
    assert_eq!((result, exit), (Ok(()), ExitReason::S390_SIEIC), "its own wait");
    ender.unwrap().join().unwrap();
    assert!(!guest.is_protected() && !guest.is_cpu_protected(0));
}

#[test]
fn a_dump_keeps_cpus_out_and_ends_their_runs() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(1);
    let state = forever(&rig, &guest, GuestInsn::Diag { code: 0x44, gr: [0; 5] });
    guest.start_protected(&rig.ipib).unwrap();
    let ran = meanwhile(&guest, &state, || client::dump_init(&*guest).unwrap());
    assert_eq!(ran, (Err(Errno::EINTR), ExitReason::INTR));
    let mut area = KvmRun::new();
    assert_eq!(client::run(&*guest, 0, &mut area), Err(Errno::EINVAL), "a new run is refused");
    guest.dump_complete().unwrap();
    rig.uvc.plan(C::DUMP_INIT, [refuse(0x1f5)]);
    assert!(client::dump_init(&*guest).is_err() && !guest.is_dumping(), "unblocked again");
    state.stop.store(true, Ordering::Relaxed);
    assert_eq!(client::run(&*guest, 0, &mut area), Ok(()));
}

#[test]
fn a_signal_ends_every_run() {
    for step in [
        GuestInsn::Diag { code: 0x44, gr: [0; 5] },
        GuestInsn::Sigp { order: 2, cpu: 0, parameter: 0 },
        GuestInsn::SetMask { mask: 0 },
    ] {
        let rig = Rig::new(Generation::Z17);
        let guest = rig.guest(1);
        let state = forever(&rig, &guest, step.clone());
        guest.start_protected(&rig.ipib).unwrap();
        let ran = meanwhile(&guest, &state, || guest.set_fatal_signal(true));
        assert_eq!(ran, (Err(Errno::EINTR), ExitReason::INTR), "{step:?}");
    }
}

#[test]
fn an_unpin_that_somebody_else_did_is_no_failure() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(1);
    let call = |command| Step::Call(GuestInsn::Uvc { block: Share::new(command, 0x30_0000).as_bytes().to_vec() });
    let steps = vec![
        Step::store(GuestAddr(0x30_0000), b"open"),
        call(C::SET_SHARED_ACCESS),
        diag(0x500, [0; 5]),
        call(C::REMOVE_SHARED_ACCESS),
    ];
    let seen = programs(&rig, &guest, 0, vec![steps]);
    guest.start_protected(&rig.ipib).unwrap();
    let mut area = KvmRun::new();
    client::run(&*guest, 0, &mut area).unwrap();
    guest.pin(Gfn(0x300)).unwrap();
    // The page is unpinned by another thread between the notification and the call.
    rig.uvc.plan(C::UNPIN_PAGE_SHARED, [refuse(UvRc::STATE.0)]);
    assert_eq!(client::run(&*guest, 0, &mut area), Ok(()));
    assert_eq!(area.sieic().map(|exit| exit.icptcode.0), Some(0x1c), "the guest has got through");
    assert_eq!(outcomes(&seen, 0).len(), 4);
    assert_eq!(guest.page_state(Gfn(0x300)), Ok(PageState::Secure));
}

#[test]
fn a_run_whose_unpin_finds_the_ultravisor_busy_is_tried_again_by_user_space() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(1);
    let call = |command| Step::Call(GuestInsn::Uvc { block: Share::new(command, 0x30_0000).as_bytes().to_vec() });
    let steps = vec![
        Step::store(GuestAddr(0x30_0000), b"open"),
        call(C::SET_SHARED_ACCESS),
        diag(0x500, [0; 5]),
        call(C::REMOVE_SHARED_ACCESS),
    ];
    let seen = programs(&rig, &guest, 0, vec![steps]);
    guest.start_protected(&rig.ipib).unwrap();
    let mut area = KvmRun::new();
    client::run(&*guest, 0, &mut area).unwrap();
    guest.pin(Gfn(0x300)).unwrap();
    for spoil in [BUSY, PARTIAL] {
        rig.uvc.plan(C::UNPIN_PAGE_SHARED, [spoil]);
        assert_eq!(client::run(&*guest, 0, &mut area), Err(Errno::EAGAIN));
    }
    assert_eq!(client::run(&*guest, 0, &mut area), Ok(()));
    assert_eq!(area.sieic().map(|exit| exit.icptcode.0), Some(0x1c), "the guest has got through");
    assert_eq!(outcomes(&seen, 0).len(), 4);
}

#[test]
fn cleanup_touches_the_old_life_only() {
    for generation in [Generation::Z15, Generation::Z16, Generation::Z17] {
        let rig = Rig::new(generation);
        let guest = with_high_memory(&rig);
        rig.verified(&guest);
        for page in 0..3 {
            guest.page_in(HIGH.add(page)).unwrap();
        }
        guest.set_aside().unwrap();
        rig.load(&guest);
        rig.verified(&guest);
        // One page is taken over into the new life, and exported; another one is left to the old.
        guest.serve_missing(HIGH.add(9)).unwrap();
        guest.page_in(HIGH.add(8)).unwrap();
        guest.page_out(HIGH.add(8)).unwrap();
        guest.cleanup(&mut |_| true).unwrap();
        let state = |page| guest.page_state(HIGH.add(page)).unwrap();
        assert_eq!([0, 1, 2].map(state), [PageState::Absent; 3], "{generation:?}: the old life is gone");
        assert_eq!([8, 9].map(state), [PageState::Sealed, PageState::Secure], "{generation:?}: the new one is not");
        guest.destroy_range(uv_core::PageRange::new(HIGH.add(8), 1)).unwrap();
        assert_eq!(state(8), PageState::Absent);
        guest.disable().unwrap();
        assert_eq!(rig.host.protected_count(), 0);
    }
}

#[test]
fn a_page_that_moves_is_told_as_what_it_is() {
    let rig = Rig::new(Generation::Z17);
    let guest = with_high_memory(&rig);
    rig.verified(&guest);
    let vm = guest.clone();
    let mover = thread::spawn(move || {
        for _ in 0..3000 {
            vm.page_in(HIGH).unwrap();
            let _ = vm.page_out(HIGH);
        }
    });
    let mut page = [0; 64];
    while !mover.is_finished() {
        guest.host_read(GuestAddr(HIGH.0 << 12), &mut page).unwrap();
        assert_ne!(guest.page_state(HIGH), Ok(PageState::Withdrawn), "nobody has shared it");
    }
    mover.join().unwrap();
    assert_eq!(guest.page_state(HIGH), Ok(PageState::Sealed));
}

#[test]
fn every_reset_stops_the_cpus() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(2);
    programs(&rig, &guest, 1, vec![vec![diag(0x500, [0; 5])]]);
    let options = IplOptions { others: vec![1], ..IplOptions::default() };
    let start = || ipl::start(&*guest, &guest.storage(), &rig.ipib, &options, &mut |_| {}).unwrap();
    start();
    client::set_mp_state(&*guest, 1, MpState::Operating).unwrap();
    let storage = guest.storage();
    ipl::reset(&mut NoDevices, &*guest, &storage, &options, true, ResetRequest::ReIpl).unwrap();
    assert_eq!([0, 1].map(|cpu| guest.is_stopped(cpu).unwrap()), [true; 2]);
    rig.load(&guest);
    start();
    assert_eq!([0, 1].map(|cpu| guest.is_stopped(cpu).unwrap()), [false, true]);
    rig.log();
    client::set_mp_state(&*guest, 1, MpState::Operating).unwrap();
    assert_eq!(rig.log(), [C::CPU_SET_STATE], "the Ultravisor is told");
}

#[test]
fn the_first_failure_of_a_disable_is_that_of_the_vm_itself() {
    let rig = Rig::new(Generation::Z15);
    let guest = rig.guest(1);
    rig.verified(&guest);
    guest.set_aside().unwrap();
    rig.load(&guest);
    rig.verified(&guest);
    rig.uvc.plan(C::DESTROY_SEC_CONF, [refuse(0x111), refuse(0x222)]);
    assert_eq!(rc(guest.disable().unwrap_err()), UvRc(0x111));
    let other = rig.guest(1);
    rig.verified(&other);
    rig.uvc.plan(C::DESTR_SEC_STOR, [refuse(0x1f3)]);
    rig.uvc.plan(C::CONV_FROM_SEC_STOR, [refuse(0x1f3)]);
    assert_eq!(other.disable(), Ok(()), "a page that does not come back is no failure of the VM");
    assert!(!other.is_protected());
}

#[test]
fn user_space_reaches_what_an_old_life_has_left() {
    let rig = Rig::new(Generation::Z17);
    let guest = with_high_memory(&rig);
    rig.verified(&guest);
    guest.page_in(HIGH).unwrap();
    guest.set_aside().unwrap();
    let access = |op: u32, bytes: &mut [u8]| {
        let size = u32::try_from(bytes.len()).unwrap();
        let mut op = MemOp { gaddr: (HIGH.0 << 12).into(), size: size.into(), op: op.into(), ..MemOp::new_zeroed() };
        let mut argument = Argument { block: op.as_mut_bytes(), data: bytes, ..Argument::default() };
        guest.ioctl(Target::Vm, request::MEM_OP, &mut argument)
    };
    assert_eq!(access(mem_op::ABSOLUTE_WRITE, &mut b"mine".to_vec()), Ok(0));
    let mut back = [0; 4];
    assert_eq!(access(mem_op::ABSOLUTE_READ, &mut back), Ok(0));
    assert_eq!(&back, b"mine");
    guest.cleanup(&mut |_| true).unwrap();
    assert_eq!((access(mem_op::ABSOLUTE_READ, &mut back), &back), (Ok(0), b"mine"), "it is the VM's own now");
}

#[test]
fn a_shared_page_of_an_old_life_is_the_vms_own_at_once() {
    let rig = Rig::new(Generation::Z15);
    let guest = with_high_memory(&rig);
    let share = Share::new(C::SET_SHARED_ACCESS, HIGH.0 << 12);
    let steps = vec![
        Step::store(GuestAddr(HIGH.0 << 12), b"open"),
        Step::Call(GuestInsn::Uvc { block: share.as_bytes().to_vec() }),
    ];
    programs(&rig, &guest, 0, vec![steps]);
    guest.start_protected(&rig.ipib).unwrap();
    client::run(&*guest, 0, &mut KvmRun::new()).unwrap();
    assert_eq!(guest.page_state(HIGH), Ok(PageState::Shared));
    guest.set_aside().unwrap();
    guest.storage().write(GuestAddr(HIGH.0 << 12), b"mine").unwrap();
    guest.cleanup(&mut |_| true).unwrap();
    let mut back = [0; 4];
    guest.storage().read(GuestAddr(HIGH.0 << 12), &mut back).unwrap();
    assert_eq!(&back, b"mine");
}

#[test]
fn a_reset_takes_back_a_stop_that_was_asked_for() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(1);
    let state = forever(&rig, &guest, GuestInsn::Diag { code: 0x44, gr: [0; 5] });
    client::set_mp_state(&*guest, 0, MpState::Operating).unwrap();
    guest.inject(Some(0), Irq::Stop).unwrap();
    client::reset_cpu(&*guest, 0, request::NORMAL_RESET).unwrap();
    state.stop.store(true, Ordering::Relaxed);
    let mut area = KvmRun::new();
    client::run(&*guest, 0, &mut area).unwrap();
    assert_eq!(area.sieic().map(|exit| exit.icptcode.0), Some(0x1c), "the end of its program, and no stop");
}
