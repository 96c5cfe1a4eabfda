extern crate std;

use alloc::sync::Arc;
use std::sync::Barrier;

use uv_sim::guest::{Outcome, Program, Step};

use crate::sie::{AddressSpaces, InterceptionCode, Sie, Validity};
use crate::sim::rig::{OK, Rig, diag};
use crate::sim::{Generation, GuestInsn, InsnResult, TOD_PER_MICROSECOND};

#[test]
fn handles_and_address_space() {
    let rig = Rig::ready(Generation::Z17);
    let (guest, cpu, _) = rig.booted(0, [diag(0x44, [0; 5])]);
    let (other, foreign, _) = rig.booted(1, []);
    for bit in 0..64 {
        rig.change(cpu, |sd| sd.conf_handle = (guest.conf ^ 1 << bit).into());
        assert_eq!(rig.enter(&guest, cpu).validity(), Some(Validity::CONF_HANDLE));
        rig.change(cpu, |sd| {
            sd.conf_handle = guest.conf.into();
            sd.cpu_handle = (cpu.handle ^ 1 << bit).into();
        });
        assert_eq!(rig.enter(&guest, cpu).validity(), Some(Validity::CPU_HANDLE));
        rig.change(cpu, |sd| sd.cpu_handle = cpu.handle.into());
    }
    rig.change(cpu, |sd| sd.cpu_handle = foreign.handle.into());
    assert_eq!(rig.enter(&guest, cpu).validity(), Some(Validity::FOREIGN));
    rig.change(cpu, |sd| {
        sd.cpu_handle = cpu.handle.into();
        sd.conf_handle = other.conf.into();
    });
    assert_eq!(rig.enter(&guest, cpu).validity(), Some(Validity::FOREIGN));
    rig.change(cpu, |sd| {
        sd.conf_handle = guest.conf.into();
        sd.sdf = 0;
    });
    assert_eq!(rig.enter(&guest, cpu).validity(), Some(Validity::FORMAT));
    rig.change(cpu, |sd| sd.sdf = 2);
    let copy = guest.asce + 0x1000;
    rig.machine.attach(copy, Arc::clone(&guest.tables) as _);
    rig.machine.enter(cpu.state, copy, &mut [0; 16]).unwrap();
    assert_eq!(rig.sd(cpu).validity(), Some(Validity::ASCE));
    assert_eq!(rig.enter(&guest, cpu).gr(5), 0x44);
}

#[test]
fn the_cpu_timer_runs_with_time() {
    let rig = Rig::ready(Generation::Z17);
    let (guest, cpu, _) = rig.booted(0, [0; 6].map(|_| diag(0x44, [0; 5])));
    rig.change(cpu, |sd| sd.cpu_timer = 0x1_0000_0000.into());
    assert_eq!(rig.icpt(&guest, cpu), InterceptionCode::PV_NOTIFICATION);
    let timer = rig.sd(cpu).cpu_timer.get();
    assert!(timer < 0x1_0000_0000, "it ran with the guest");
    let millisecond = 1000 * TOD_PER_MICROSECOND;
    let with = |value: u64| {
        rig.change(cpu, |sd| sd.cpu_timer = value.into());
        rig.enter(&guest, cpu).validity()
    };
    assert_eq!(with(timer + millisecond), Some(Validity::CPU_TIMER));
    assert_eq!(with(timer - 2 * millisecond), Some(Validity::CPU_TIMER));
    rig.machine.advance_clock(2 * millisecond);
    assert_eq!(with(timer - millisecond), None);
}

#[test]
fn one_cpu_runs_at_one_place() {
    let rig = Rig::ready(Generation::Z17);
    let (guest, cpu, _) = rig.booted(0, []);
    let barrier = Arc::new(Barrier::new(2));
    let inside = Arc::clone(&barrier);
    rig.machine.set_guest(cpu.state, move |_| {
        let barrier = Arc::clone(&inside);
        let mut first = true;
        let program = move |_: Outcome<InsnResult>| {
            if core::mem::take(&mut first) {
                barrier.wait();
                barrier.wait();
            }
            Step::<GuestInsn>::Halt
        };
        alloc::boxed::Box::new(program) as alloc::boxed::Box<dyn Program<GuestInsn, InsnResult>>
    });
    std::thread::scope(|scope| {
        let running = scope.spawn(|| rig.machine.enter(cpu.state, guest.asce, &mut [0; 16]));
        barrier.wait();
        rig.machine.enter(cpu.state, guest.asce, &mut [0; 16]).unwrap();
        assert_eq!(rig.sd(cpu).validity(), Some(Validity::RUNNING));
        let busy = rig.set_state(cpu, crate::abi::CpuState::STOPPED);
        assert_eq!(busy.0, crate::uvc::Cc::Busy);
        barrier.wait();
        running.join().unwrap().unwrap();
    });
    assert_eq!(rig.icpt(&guest, cpu), InterceptionCode::WAIT);
    assert_eq!(rig.set_state(cpu, crate::abi::CpuState::STOPPED), OK);
    assert_eq!(rig.enter(&guest, cpu).validity(), Some(Validity::CPU_STATE));
}

#[test]
fn nothing_runs_before_verify() {
    let rig = Rig::ready(Generation::Z17);
    let guest = rig.guest(0);
    let cpu = rig.cpu(&guest, 0);
    assert_eq!(rig.enter(&guest, cpu).validity(), Some(Validity::CONF_STATE));
    rig.unpacked(&guest, crate::header::PlaintextControlFlags::PCKMO);
    assert_eq!(rig.enter(&guest, cpu).validity(), Some(Validity::CONF_STATE));
}
