//! §11.4: a reset inside protection, DIAG 308 subcodes 0 and 1. The host tells the guest which subcode to issue through
//! GR2 of DIAG 0x500.

use crate::registry::Tests;
use crate::rig::{Guest, OK, RESET_PSW, Rig, Vcpu, diag, items};
use uv_core::GuestAddr;
use uv_s390::abi::psw::Psw;
use uv_s390::abi::sie::{InterceptionCode, Validity};
use uv_s390::abi::uvcb::{CpuState, UvCommand};
use uv_s390::sim::{GuestInsn, InsnResult};
use uv_sim::guest::{Outcome, Program, Step};

/// Stores the short PSW that the reset loads, asks for the subcode, issues it; started anew, tells the PSW's address.
fn program(psw: Psw) -> Box<dyn Program<GuestInsn, InsnResult>> {
    if psw.address.get() == RESET_PSW {
        return Box::new(|_| diag(0x9c, [RESET_PSW, 0, 0, 0, 0]));
    }
    Box::new(|last: Outcome<InsnResult>| match last {
        Outcome::Started => Step::store(GuestAddr(0), &Psw::at(RESET_PSW).short().unwrap().to_be_bytes()),
        Outcome::Returned(InsnResult::Registers(gr)) => {
            Step::Call(GuestInsn::Diag308 { subcode: gr[2], address: 0, ipib: Vec::new() })
        }
        _ => diag(0x500, [0; 5]),
    })
}

/// A VM whose guest has issued the subcode, and how far the host has come.
struct Reset {
    rig: Rig,
    guest: Guest,
    cpu: Vcpu,
    subcode: u64,
}

/// Steps of the host, in order.
const STOPPED: usize = 1;
const UNSHARED: usize = 2;
const PREPARED: usize = 3;
const CPU_RESET: usize = 4;
const LOADED: usize = 5;

impl Reset {
    fn asked(subcode: u64) -> Self {
        let rig = Rig::ready();
        let (guest, cpu, _) = rig.booted(0, []);
        rig.machine.set_guest(cpu.state, program);
        let sd = rig.enter(&guest, cpu);
        assert_eq!((sd.interception(), sd.gr(5)), (InterceptionCode::PV_INSTRUCTION, 0x500));
        rig.change(cpu, |sd| sd.set_gr(2, subcode));
        let sd = rig.enter(&guest, cpu);
        assert_eq!(sd.interception(), InterceptionCode::PV_NOTIFICATION);
        assert_eq!((sd.ipa.get(), sd.ipb.get()), (0x8302, 0x5000_0000));
        assert_eq!((sd.gr(5), sd.gr(2)), (0x308, subcode));
        Self { rig, guest, cpu, subcode }
    }

    /// Holds that step number `step` is done with cc 0 and rc 1.
    fn step(&self, step: usize) {
        let (rig, conf, cpu) = (&self.rig, self.guest.conf, self.cpu);
        let codes = match step {
            STOPPED => rig.set_state(cpu, CpuState::STOPPED),
            UNSHARED => rig.no_data(UvCommand::SET_UNSHARE_ALL, conf),
            PREPARED => rig.no_data(UvCommand::PREPARE_RESET, conf),
            CPU_RESET if self.subcode == 0 => rig.no_data(UvCommand::CPU_RESET_CLEAR, cpu.handle),
            CPU_RESET => rig.no_data(UvCommand::CPU_RESET_INITIAL, cpu.handle),
            _ => rig.set_state(cpu, CpuState::OPERATING_LOAD),
        };
        assert_eq!(codes, OK, "step {step}");
    }

    /// The first steps are done.
    fn after(subcode: u64, steps: usize) -> Self {
        let reset = Self::asked(subcode);
        (1..=steps).for_each(|step| reset.step(step));
        reset
    }
}

pub(crate) fn register(tests: &mut Tests) {
    let subcodes = || items([("subcode_0", 0), ("subcode_1", 1)]);
    tests.each("pv_ipl::r00_exit", subcodes(), |subcode| drop(Reset::asked(subcode)));
    for (name, steps) in [
        ("pv_ipl::r01_nothing_done", 0),
        ("pv_ipl::r03_stopped_only", STOPPED),
        ("pv_ipl::r05_unshared_only", UNSHARED),
        ("pv_ipl::r07_prepared_only", PREPARED),
        ("pv_ipl::r09_still_stopped", CPU_RESET),
    ] {
        let items: Vec<_> = subcodes().into_iter().map(|(item, subcode)| (item, (subcode, steps))).collect();
        tests.each(name, items, |(subcode, steps)| {
            let reset = Reset::after(subcode, steps);
            for _ in 0..2 {
                reset.rig.refuses_entry(&reset.guest, reset.cpu, Validity::CONF_STATE);
            }
        });
    }
    for (name, step) in [
        ("pv_ipl::r02_set_state_stopped", STOPPED),
        ("pv_ipl::r04_unshare_all", UNSHARED),
        ("pv_ipl::r06_prepare_reset", PREPARED),
        ("pv_ipl::r08_cpu_reset", CPU_RESET),
        ("pv_ipl::r10_operating_load", LOADED),
    ] {
        let items: Vec<_> = subcodes().into_iter().map(|(item, subcode)| (item, (subcode, step))).collect();
        tests.each(name, items, |(subcode, step)| {
            // As in the suite: a refused entry lies between any two steps, and does no harm.
            let reset = Reset::asked(subcode);
            for step in 1..=step {
                reset.rig.refuses_entry(&reset.guest, reset.cpu, Validity::CONF_STATE);
                reset.step(step);
            }
        });
    }
    tests.each("pv_ipl::r11_runs", subcodes(), |subcode| {
        let reset = Reset::after(subcode, LOADED);
        let sd = reset.rig.enter(&reset.guest, reset.cpu);
        assert_eq!(sd.interception(), InterceptionCode::PV_NOTIFICATION);
        assert_eq!((sd.gr(5), sd.gr(0)), (0x9c, RESET_PSW));
    });
}
