//! What goes wrong for a VMM, and what a correct one does: the tests of docs/fault-catalogue.md that hold on every machine, and that
//! the others are where the catalogue says.

use std::sync::atomic::{AtomicBool, Ordering};

use uv_conformance::{Backend, GuestOp, Saw, Setup, TEST_PAGES};
use uv_conformance_programs::engine::{Bare, EngineKind};
use uv_conformance_programs::memory::MemoryWrap;
use uv_conformance_programs::power::{Power, PowerKind};
use uv_conformance_programs::s390::{UvcWrap, Z, ZKind};
use uv_conformance_programs::wrapped::Disturbed;
use uv_core::{
    EnterSecureMode, Error, ErrorKind, Exit, GuestAddr, PageIn, PageOut, PageSize, PageState, SecureVm, Vcpu, VmState,
};
use uv_power::abi::Profile;
use uv_s390::abi::uvc::{UvRc, UvRrc};
use uv_s390::abi::uvcb::UvCommand;
use uv_s390::sim::Generation;
use uv_s390::wrap::PlannedError;

const SETUP: Setup = Setup { seed: 9, tight: false };

fn engine(setup: &Setup) -> Bare {
    Bare::new(EngineKind { page_size: PageSize::K4, sealing: true, memory: MemoryWrap::Plain }, setup)
}

fn z(uvc: UvcWrap) -> Z {
    Z::new(ZKind { generation: Generation::Z17, memory: MemoryWrap::Plain, uvc }, &SETUP)
}

fn power() -> Power {
    Power::new(PowerKind { profile: Profile::Firmware, memory: MemoryWrap::Plain }, &SETUP)
}

/// Makes a call again while it is busy or done in part, and counts.
fn again<T, E: Error>(times: &mut u32, mut call: impl FnMut() -> Result<T, E>) -> Result<T, E> {
    loop {
        match call() {
            Err(e) if matches!(e.kind(), ErrorKind::Busy | ErrorKind::Partial) => *times += 1,
            other => return other,
        }
    }
}

/// Boots VM 0 until its guest asks, and serves that.
fn enter<B: Backend>(b: &B) -> (B::Cpu, Result<(), B::Error>) {
    let mut cpu = b.boot(0, None);
    loop {
        match again(&mut 0, || cpu.run()).expect("the guest runs") {
            Exit::EnterSecureMode => break,
            Exit::Arch(exit) => b.serve(0, &mut cpu, exit).expect("served"),
            _ => {}
        }
    }
    let entered = again(&mut 0, || b.vm(0).enter_secure_mode(&mut cpu)).map(drop);
    (cpu, entered)
}

/// The guest does this, and the hypervisor serves its faults; a page that does not come in ends it.
fn guest<B: Backend>(b: &B, cpu: &mut B::Cpu, op: GuestOp) -> Result<Saw, B::Error> {
    let before = b.script(0).saw().len();
    b.script(0).tell(op);
    loop {
        match again(&mut 0, || cpu.run())? {
            Exit::PageMissing { gfn, .. } => again(&mut 0, || b.vm(0).page_in(gfn))?,
            Exit::Arch(exit) => b.serve(0, cpu, exit)?,
            _ => {}
        }
        if let Some(saw) = b.script(0).saw().into_iter().nth(before) {
            return Ok(saw);
        }
    }
}

fn at<B: Backend>(b: &B, n: u64) -> GuestAddr {
    b.vm(0).page_size().addr(b.test_pages().add(n))
}

fn store<B: Backend>(b: &B, cpu: &mut B::Cpu, n: u64, bytes: &[u8]) {
    let saw = guest(b, cpu, GuestOp::Store(at(b, n), bytes.to_vec())).expect("the guest stores");
    assert_eq!(saw, Saw::Done);
}

fn load<B: Backend>(b: &B, cpu: &mut B::Cpu, n: u64, len: usize) -> Vec<u8> {
    match guest(b, cpu, GuestOp::Load(at(b, n), len)).expect("the guest loads") {
        Saw::Bytes(bytes) => bytes,
        saw => panic!("{saw:?}"),
    }
}

fn out<B: Backend>(b: &B) -> &dyn PageOut<Error = B::Error> {
    b.vm(0).as_page_out().expect("the machine pages out")
}

/// The normal page of test page 0 after the guest wrote this and the page went out.
fn sealed<B: Backend>(b: &B, cpu: &mut B::Cpu, bytes: &[u8]) -> Vec<u8> {
    store(b, cpu, 0, bytes);
    again(&mut 0, || out(b).page_out(b.test_pages())).expect("the page goes out");
    let mut page = vec![0; b.vm(0).page_size().bytes()];
    b.host().read(home(b), &mut page).expect("a sealed page is the hypervisor's");
    page
}

fn home<B: Backend>(b: &B) -> uv_core::HostAddr {
    b.vm(0).mem_slots().host_page(b.test_pages()).expect("in a slot")
}

#[test]
fn busy_storm() {
    let b = Disturbed::new(engine(&SETUP), 3);
    let (mut cpu, entered) = enter(&b);
    entered.expect("the VM enters");
    store(&b, &mut cpu, 0, b"through the storm");
    let mut busy = 0;
    for _ in 0..100 {
        again(&mut busy, || out(&b).page_out(b.test_pages())).expect("the page goes out");
        again(&mut busy, || b.vm(0).page_in(b.test_pages())).expect("the page comes in");
    }
    assert!(busy > 20, "{busy} calls were busy");
    assert_eq!(load(&b, &mut cpu, 0, 17), b"through the storm");
}

#[test]
fn unpack_that_must_be_tried_again() {
    let b = z(UvcWrap::Disturbed);
    let (mut cpu, entered) = enter(&b);
    entered.expect("every UNPACK_IMG is made again until it is done");
    store(&b, &mut cpu, 0, b"booted");
    assert_eq!(load(&b, &mut cpu, 0, 6), b"booted");
}

#[test]
fn out_of_secure_memory() {
    let b = engine(&Setup { tight: true, ..SETUP });
    let (mut cpu, entered) = enter(&b);
    entered.expect("the VM enters");
    let mut full = 0;
    for n in 0..TEST_PAGES {
        let page = b.test_pages().add(n);
        while let Err(e) = b.vm(0).page_in(page) {
            assert_eq!(e.kind(), ErrorKind::Exhausted);
            // Another page goes out, and the call is made again.
            out(&b).page_out(b.test_pages().add(full)).expect("the page goes out");
            full += 1;
        }
        store(&b, &mut cpu, n, &n.to_be_bytes());
    }
    assert!(full > 0, "there was room for everything");
}

#[test]
fn donation_refused() {
    const REFUSED: &[PlannedError] =
        &[PlannedError { command: UvCommand::CREATE_SEC_CONF, nth: 0, rc: UvRc(0x0108), rrc: UvRrc(0) }];
    let b = z(UvcWrap::Planned(REFUSED));
    let (_, refused) = enter(&b);
    assert!(refused.is_err(), "the storage was not taken");
    assert_eq!(b.vm(0).vm_state(), VmState::Normal);
    b.host().write(home(&b), &[7; 64]).expect("the memory is the hypervisor's");
    let (mut cpu, entered) = enter(&b);
    entered.expect("the same VM enters when storage is taken");
    store(&b, &mut cpu, 0, b"second try");
}

#[test]
fn teardown_interrupted() {
    let b = Disturbed::new(engine(&SETUP), 5);
    let mut busy = 0;
    for _ in 0..20 {
        let (mut cpu, entered) = enter(&b);
        entered.expect("the VM enters");
        store(&b, &mut cpu, 0, b"until the end");
        while let Err(e) = b.vm(0).terminate() {
            assert_eq!((e.kind(), b.vm(0).vm_state()), (ErrorKind::Busy, VmState::Secure), "as before");
            busy += 1;
        }
        assert_eq!(b.vm(0).vm_state(), VmState::Normal);
    }
    assert!(busy > 0, "nothing was interrupted");
}

/// A changed page is refused and the right one still taken; one that is lost costs the guest its page, and nothing else.
fn tampered<B: Backend>(b: &B) {
    let (mut cpu, entered) = enter(b);
    entered.expect("the VM enters");
    let good = sealed(b, &mut cpu, b"the guest's bytes");
    let mut bad = good.clone();
    bad[5] ^= 1;
    b.host().write(home(b), &bad).expect("the hypervisor's");
    let refused = guest(b, &mut cpu, GuestOp::Load(at(b, 0), 17)).expect_err("a changed page is refused");
    assert_eq!(refused.kind(), ErrorKind::Integrity);
    assert_eq!(b.vm(0).page_state(b.test_pages()).expect("in a slot"), PageState::Sealed);
    b.host().write(home(b), &good).expect("the hypervisor's");
    assert_eq!(load(b, &mut cpu, 0, 17), b"the guest's bytes");
    // Lost for good: the VM can only be ended.
    sealed(b, &mut cpu, b"the guest's bytes");
    b.host().write(home(b), &bad).expect("the hypervisor's");
    let refused = guest(b, &mut cpu, GuestOp::Load(at(b, 0), 17)).expect_err("a lost page is refused");
    assert_eq!(refused.kind(), ErrorKind::Integrity);
    again(&mut 0, || b.vm(0).terminate()).expect("the VM ends");
    assert_eq!(b.vm(0).vm_state(), VmState::Normal);
}

#[test]
fn tampered_and_lost_page() {
    tampered(&engine(&SETUP));
    tampered(&z(UvcWrap::Plain));
    tampered(&power());
}

fn replayed<B: Backend>(b: &B) {
    let (mut cpu, entered) = enter(b);
    entered.expect("the VM enters");
    let old = sealed(b, &mut cpu, b"old bytes");
    let new = sealed(b, &mut cpu, b"new bytes");
    // What a backup, a swap partition or a migration that was taken back would put there.
    b.host().write(home(b), &old).expect("the hypervisor's");
    let refused = again(&mut 0, || b.vm(0).page_in(b.test_pages())).expect_err("an old version is refused");
    assert_eq!(refused.kind(), ErrorKind::Integrity);
    b.host().write(home(b), &new).expect("the hypervisor's");
    assert_eq!(load(b, &mut cpu, 0, 9), b"new bytes");
}

#[test]
fn replayed_page() {
    replayed(&engine(&SETUP));
    replayed(&z(UvcWrap::Plain));
    replayed(&power());
}

/// Two threads serve the same fault: both succeed, and the guest finds its page.
fn race<B: Backend>(b: &B) {
    let (mut cpu, entered) = enter(b);
    entered.expect("the VM enters");
    for round in 0..20_u8 {
        sealed(b, &mut cpu, &[round; 30]);
        let (vm, page) = (b.vm(0), b.test_pages());
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(move || again(&mut 0, || vm.page_in(page)).expect("whoever is second finds it done"));
            }
        });
        assert_eq!(vm.page_state(page).expect("in a slot"), PageState::Secure);
        assert_eq!(load(b, &mut cpu, 0, 30), [round; 30]);
    }
}

#[test]
fn two_vcpus_on_one_fault() {
    race(&engine(&SETUP));
    race(&z(UvcWrap::Plain));
    race(&power());
}

/// Ends the thread beside, also when the test fails.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A guest takes a page back while the hypervisor takes it in: no call is refused but as busy, and the page is private at the end.
fn unshared<B: Backend>(b: &B) {
    let (mut cpu, entered) = enter(b);
    entered.expect("the VM enters");
    let (vm, page, stop) = (b.vm(0), b.test_pages(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let beside = scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                again(&mut 0, || vm.page_in(page)).expect("a page that is there already is success");
            }
        });
        let ends = Ends(&stop);
        let machine = core::any::type_name::<B>();
        for _ in 0..30 {
            let shared = guest(b, &mut cpu, GuestOp::Share(page)).expect("the guest shares");
            assert_eq!(shared, Saw::Done, "{machine}");
            let taken = guest(b, &mut cpu, GuestOp::Unshare(page)).expect("the guest takes back");
            assert_eq!(taken, Saw::Done, "{machine}");
        }
        drop(ends);
        beside.join().expect("no call was refused");
    });
    store(b, &mut cpu, 0, b"private again");
    assert_eq!(vm.page_state(page).expect("in a slot"), PageState::Secure);
}

#[test]
fn page_in_during_unshare() {
    unshared(&engine(&SETUP));
    unshared(&z(UvcWrap::Plain));
    unshared(&power());
}

#[test]
fn every_test_of_the_catalogue_is_there() {
    let text = std::fs::read_to_string(uv_test_support::file("docs/fault-catalogue.md")).expect("text");
    let mut tests = 0;
    for named in text.split('`').skip(1).step_by(2).filter(|named| named.contains(".rs::")) {
        let (file, name) = named.split_once("::").expect("a file and a test");
        let source = std::fs::read_to_string(uv_test_support::file(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
        assert!(source.contains(&format!("fn {name}(")), "{file} has no test {name}");
        tests += 1;
    }
    assert!(tests >= 12, "{tests} tests");
}
