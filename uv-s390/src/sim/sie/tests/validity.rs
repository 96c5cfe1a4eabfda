extern crate std;

use alloc::sync::Arc;
use std::sync::Barrier;

use uv_sim::guest::{Outcome, Program, Step};

use crate::abi::sie::{AddressSpaces, InterceptionCode, Sie, StateDescription, Validity};
use crate::abi::uvcb::UvCommand;
use crate::sim::rig::{GUEST_LEN, Guest, MIB, OK, Rig, Vcpu, diag};
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

/// Validity of an entry with a changed state description, which is put back afterwards.
fn with(rig: &Rig, guest: &Guest, cpu: Vcpu, change: impl FnOnce(&mut StateDescription)) -> Option<Validity> {
    let good = rig.sd(cpu);
    rig.change(cpu, change);
    let validity = rig.enter(guest, cpu).validity();
    rig.change(cpu, |sd| {
        (sd.ecb2, sd.sca_high, sd.sca_low) = (good.ecb2, good.sca_high, good.sca_low);
        (sd.mso, sd.msl) = (good.mso, good.msl);
    });
    validity
}

#[test]
fn what_the_creation_was_told() {
    let rig = Rig::ready(Generation::Z17);
    let (guest, cpu, _) = rig.booted(0, [diag(0x44, [0; 5]), diag(0x44, [0; 5])]);
    let with = |change: &dyn Fn(&mut StateDescription)| with(&rig, &guest, cpu, change);
    assert_eq!(with(&|sd| sd.ecb2 &= !0x04), Some(Validity(0x200c)));
    assert_eq!(with(&|sd| sd.ecb2 = 0xfb), Some(Validity(0x200c)), "no other bit says it");
    let sca = guest.create.guest_sca.get();
    assert_eq!(with(&|sd| sd.set_sca_origin(sca + 64)), Some(Validity(0x200d)));
    assert_eq!(with(&|sd| sd.set_sca_origin(sca | 1 << 32)), Some(Validity(0x200d)));
    assert_eq!(with(&|sd| sd.set_sca_origin(0)), Some(Validity(0x200d)));
    assert_eq!(with(&|sd| sd.mso = MIB.into()), Some(Validity(0x200e)));
    assert_eq!(with(&|sd| sd.mso = 1.into()), Some(Validity(0x200e)));
    assert_eq!(with(&|sd| sd.msl = (GUEST_LEN - 2 * MIB).into()), Some(Validity(0x200f)), "a MiB is missing");
    assert_eq!(with(&|sd| sd.msl = 0.into()), Some(Validity(0x200f)));
    assert_eq!(with(&|sd| sd.msl = (GUEST_LEN - 1).into()), None, "the low bits have no meaning");
    assert_eq!(with(&|sd| sd.msl = u64::MAX.into()), None, "a bound from above");
}

/// Something wrong in a state description.
type Fault = fn(&mut StateDescription);

#[test]
fn the_first_difference_is_told() {
    let rig = Rig::ready(Generation::Z17);
    let (guest, cpu, _) = rig.booted(0, [diag(0x44, [0; 5])]);
    // In the order in which they are looked at; each is told while all after it are there too.
    let faults: [(Fault, Validity); 5] = [
        (|sd| sd.ecb2 = 0, Validity::EXTENDED_SCA),
        (|sd| sd.sca_low = 0.into(), Validity::SCA),
        (|sd| sd.mso = MIB.into(), Validity::MSO),
        (|sd| sd.msl = 0.into(), Validity::MSL),
        (|_| (), Validity::CONF_STATE),
    ];
    rig.machine.enter(cpu.state, guest.asce + 0x1000, &mut [0; 16]).unwrap();
    assert_eq!(rig.sd(cpu).validity(), Some(Validity::ASCE));
    assert_eq!(rig.no_data(UvCommand::DUMP_INIT, guest.conf), OK);
    for first in 0..faults.len() {
        let change = |sd: &mut StateDescription| faults[first..].iter().for_each(|(fault, _)| fault(sd));
        assert_eq!(with(&rig, &guest, cpu, change), Some(faults[first].1), "{first}");
        rig.change(cpu, change);
        rig.machine.enter(cpu.state, guest.asce + 0x1000, &mut [0; 16]).unwrap();
        assert_eq!(rig.sd(cpu).validity(), Some(Validity::ASCE), "the ASCE comes before");
        rig.change(cpu, |sd| {
            sd.ecb2 = 0x04;
            sd.set_sca_origin(guest.create.guest_sca.get());
            sd.mso = 0.into();
            sd.msl = (GUEST_LEN - MIB).into();
        });
    }
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
        let busy = rig.set_state(cpu, crate::abi::uvcb::CpuState::STOPPED);
        assert_eq!(busy.0, crate::abi::uvc::Cc::Busy);
        barrier.wait();
        running.join().unwrap().unwrap();
    });
    assert_eq!(rig.icpt(&guest, cpu), InterceptionCode::WAIT);
    assert_eq!(rig.set_state(cpu, crate::abi::uvcb::CpuState::STOPPED), OK);
    assert_eq!(rig.enter(&guest, cpu).validity(), Some(Validity::CPU_STATE));
}

#[test]
fn nothing_runs_before_verify() {
    let rig = Rig::ready(Generation::Z17);
    let guest = rig.guest(0);
    let cpu = rig.cpu(&guest, 0);
    assert_eq!(rig.enter(&guest, cpu).validity(), Some(Validity::CONF_STATE));
    rig.unpacked(&guest, crate::abi::se_header::PlaintextControlFlags::PCKMO);
    assert_eq!(rig.enter(&guest, cpu).validity(), Some(Validity::CONF_STATE));
}
