//! §11.5: prefix pages, and what makes an entry invalid.

use crate::registry::Tests;
use crate::rig::{Guest, OK, Rig, Running, Vcpu, diag, items, share};
use std::sync::{Arc, Barrier};
use uv_s390::abi::sie::{AddressSpaces, InterceptionCode, Sie, Validity};
use uv_s390::sim::{GuestInsn, InsnResult, TOD_PER_MICROSECOND};
use uv_sim::guest::{Outcome, Program, Step};

const DONE: [u64; 5] = [42, 0, 0, 0, 0];

/// The prefix page is exported, the entry gives 112, and again, until it is imported.
fn needs(rig: &Rig, guest: &Guest, cpu: Vcpu, page: u64) {
    assert_eq!(rig.export(guest.base + page), OK);
    for _ in 0..2 {
        assert_eq!(rig.enter(guest, cpu).interception(), InterceptionCode::PV_PREFIX);
    }
    assert_eq!(rig.import(guest, page), OK);
}

fn re_enters(rig: &Rig, guest: &Guest, cpu: Vcpu) {
    let sd = rig.enter(guest, cpu);
    assert_eq!(sd.interception(), InterceptionCode::PV_NOTIFICATION);
    assert_eq!((sd.ipa.get(), sd.gr(5), sd.gr(0)), (0x8302, 0x9c, 42));
}

/// A guest that has shared its prefix pages if it is to, moved its prefix if it is to, and stopped at a notification.
fn prefixed(prefix: u32, shared: bool) -> (Rig, Running) {
    let rig = Rig::ready();
    let pages = [u64::from(prefix), u64::from(prefix) + 0x1000];
    let shares = pages.into_iter().filter(|_| shared).map(share);
    let stop = if prefix == 0 { diag(0x44, [0; 5]) } else { Step::Call(GuestInsn::Spx { prefix }) };
    let running = rig.booted(0, shares.chain([stop, diag(0x9c, DONE)]));
    let (guest, cpu, _) = &running;
    if prefix != 0 {
        assert_eq!(pages.map(|page| rig.import(guest, page)), [OK, OK]);
    }
    assert_eq!(rig.enter(guest, *cpu).interception(), InterceptionCode::PV_NOTIFICATION);
    assert!(pages.iter().all(|page| rig.is_closed(guest.base + page) != shared));
    (rig, running)
}

/// A guest between two notifications.
fn stopped() -> (Rig, Running) {
    prefixed(0, false)
}

pub(crate) fn register(tests: &mut Tests) {
    for (name, prefix, shared) in [
        ("pv_icptcode::r01_prefix_0x0_unshared", 0, false),
        ("pv_icptcode::r02_prefix_0x0_shared", 0, true),
        ("pv_icptcode::r04_prefix_0x8000_unshared", 0x8000, false),
        ("pv_icptcode::r05_prefix_0x8000_shared", 0x8000, true),
    ] {
        let pages = items([("page_0", (prefix, shared, 0)), ("page_1", (prefix, shared, 0x1000))]);
        tests.each(name, pages, |(prefix, shared, page)| {
            let (rig, (guest, cpu, _)) = prefixed(prefix, shared);
            needs(&rig, &guest, cpu, u64::from(prefix) + page);
            re_enters(&rig, &guest, cpu);
        });
    }
    tests.row("pv_icptcode::r03_spx_notification", || {
        let (rig, (_, cpu, _)) = prefixed(0x8000, false);
        let sd = rig.sd(cpu);
        assert_eq!((sd.interception(), sd.ipa.get()), (InterceptionCode::PV_NOTIFICATION, 0xb210));
        assert_eq!(rig.word(sd.sida().origin().0) >> 32, 0x8000);
    });
    tests.row("pv_icptcode::r06_re_entry", || {
        let (rig, (guest, cpu, _)) = stopped();
        needs(&rig, &guest, cpu, 0);
        needs(&rig, &guest, cpu, 0x1000);
        re_enters(&rig, &guest, cpu);
    });
    space(tests);
    handles(tests);
    timer(tests);
    tests.row("pv_icptcode::r13_already_running", running_twice);
}

fn space(tests: &mut Tests) {
    let copied = || {
        let (rig, (guest, cpu, _)) = stopped();
        let copy = guest.asce + 0x4000;
        rig.machine.attach(copy, Arc::clone(&guest.tables) as _);
        rig.machine.enter(cpu.state, copy, &mut [0; 16]).unwrap();
        assert_eq!(rig.sd(cpu).validity(), Some(Validity::ASCE));
        (rig, guest, cpu)
    };
    tests.row("pv_icptcode::r07_asce_copy", move || drop(copied()));
    tests.row("pv_icptcode::r08_asce_original", move || {
        let (rig, guest, cpu) = copied();
        re_enters(&rig, &guest, cpu);
    });
}

fn handles(tests: &mut Tests) {
    let bits = || (0..64).map(|bit| (format!("bit_{bit:02}"), bit));
    tests.each("pv_icptcode::r09_conf_handle_bit", bits(), |bit| {
        let (rig, (guest, cpu, _)) = stopped();
        rig.change(cpu, |sd| sd.conf_handle = (guest.conf ^ 1 << bit).into());
        rig.refuses_entry(&guest, cpu, Validity::CONF_HANDLE);
        rig.change(cpu, |sd| sd.conf_handle = guest.conf.into());
        re_enters(&rig, &guest, cpu);
    });
    tests.each("pv_icptcode::r10_cpu_handle_bit", bits(), |bit| {
        let (rig, (guest, cpu, _)) = stopped();
        rig.change(cpu, |sd| sd.cpu_handle = (cpu.handle ^ 1 << bit).into());
        rig.refuses_entry(&guest, cpu, Validity::CPU_HANDLE);
        rig.change(cpu, |sd| sd.cpu_handle = cpu.handle.into());
        re_enters(&rig, &guest, cpu);
    });
    tests.row("pv_icptcode::r11_foreign_cpu_handle", || {
        let (rig, (guest, cpu, _)) = stopped();
        let (_, foreign, _) = rig.booted(1, []);
        rig.change(cpu, |sd| sd.cpu_handle = foreign.handle.into());
        rig.refuses_entry(&guest, cpu, Validity::FOREIGN);
    });
    tests.row("pv_icptcode::r12_foreign_conf_handle", || {
        let (rig, (guest, cpu, _)) = stopped();
        let (foreign, _, _) = rig.booted(1, []);
        rig.change(cpu, |sd| sd.conf_handle = foreign.conf.into());
        rig.refuses_entry(&guest, cpu, Validity::FOREIGN);
    });
}

fn timer(tests: &mut Tests) {
    const MILLISECOND: u64 = 1000 * TOD_PER_MICROSECOND;
    /// Some time after an exit with the CPU timer well above 0, it is changed.
    fn changed(change: impl FnOnce(u64, u64) -> u64) {
        let rig = Rig::ready();
        let (guest, cpu, _) = rig.booted(0, [diag(0x44, [0; 5]), diag(0x9c, DONE)]);
        rig.change(cpu, |sd| sd.cpu_timer = (100 * MILLISECOND).into());
        let timer = rig.enter(&guest, cpu).cpu_timer.get();
        let exit = rig.machine.clock();
        rig.machine.advance_clock(3 * MILLISECOND);
        let elapsed = rig.machine.clock() - exit;
        rig.change(cpu, |sd| sd.cpu_timer = change(timer, elapsed).into());
        rig.refuses_entry(&guest, cpu, Validity::CPU_TIMER);
        rig.change(cpu, |sd| sd.cpu_timer = (timer - elapsed).into());
        re_enters(&rig, &guest, cpu);
    }
    tests.row("pv_icptcode::r14_timer_later", || changed(|timer, _| timer + MILLISECOND));
    tests.row("pv_icptcode::r15_timer_earlier", || changed(|timer, elapsed| timer - (elapsed + MILLISECOND)));
}

/// A guest that stays inside until a second host CPU has tried to enter its CPU.
fn running_twice() {
    let (rig, (guest, cpu, _)) = {
        let rig = Rig::ready();
        let running = rig.booted(0, []);
        (rig, running)
    };
    let barrier = Arc::new(Barrier::new(2));
    let inside = Arc::clone(&barrier);
    rig.machine.set_guest(cpu.state, move |_| {
        let barrier = Arc::clone(&inside);
        let program = move |last: Outcome<InsnResult>| match last {
            Outcome::Started => {
                barrier.wait();
                barrier.wait();
                diag(0x9c, DONE)
            }
            _ => Step::Halt,
        };
        Box::new(program) as Box<dyn Program<GuestInsn, InsnResult>>
    });
    std::thread::scope(|scope| {
        let first = scope.spawn(|| rig.machine.enter(cpu.state, guest.asce, &mut [0; 16]));
        barrier.wait();
        rig.machine.enter(cpu.state, guest.asce, &mut [0; 16]).unwrap();
        let second = rig.sd(cpu);
        barrier.wait();
        first.join().unwrap().unwrap();
        assert_eq!(second.validity(), Some(Validity::RUNNING));
    });
    assert_eq!(rig.sd(cpu).gr(0), 42, "the first went on undisturbed");
}
