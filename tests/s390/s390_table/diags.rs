//! §11.3: what the host sees of a DIAGNOSE, and which exceptions it may answer with. The guest tells the host the exception
//! it got with DIAG 0x9c.

use uv_s390::abi::sie::{InterceptionCode, StateDescription};
use uv_s390::sim::{GuestInsn, InsnResult};
use uv_sim::guest::{Outcome, Program};

use crate::registry::Tests;
use crate::rig::{Guest, Rig, Vcpu, diag};

const OPERAND: u8 = 0x11;
const SPECIFICATION: u8 = 0x10;

/// The guest issues a DIAGNOSE; after an exception it issues DIAG 0x9c with the interruption code, then the DIAGNOSE again.
fn first(code: u16, gr: [u64; 5]) -> (Rig, Guest, Vcpu, StateDescription) {
    let rig = Rig::ready();
    let (guest, cpu, _) = rig.booted(0, []);
    rig.machine.set_guest(cpu.state, move |_| {
        let program = move |last: Outcome<InsnResult>| match last {
            Outcome::Returned(InsnResult::Exception(pgm)) => diag(0x9c, [pgm.0.into(), 0, 0, 0, 0]),
            _ => diag(code, gr),
        };
        Box::new(program) as Box<dyn Program<GuestInsn, InsnResult>>
    });
    let sd = rig.enter(&guest, cpu);
    (rig, guest, cpu, sd)
}

fn first_0x500() -> (Rig, Guest, Vcpu, StateDescription) {
    first(0x500, [0, 1, 2, 3, 4])
}

fn first_0x288() -> (Rig, Guest, Vcpu, StateDescription) {
    first(0x288, [1, 2, 3, 0, 0])
}

fn assert_instruction(sd: &StateDescription, code: u64) {
    assert_eq!(sd.interception(), InterceptionCode::PV_INSTRUCTION);
    assert_eq!((sd.ipa.get(), sd.ipb.get(), sd.gr(5) & 0xffff), (0x8302, 0x5000_0000, code));
}

/// The host injects, enters, and is told which exception the guest saw.
fn assert_told(rig: &Rig, guest: &Guest, cpu: Vcpu, iictl: u8, pgm: u64) {
    rig.change(cpu, |sd| sd.iictl = iictl);
    let sd = rig.enter(guest, cpu);
    assert_eq!(sd.interception(), InterceptionCode::PV_NOTIFICATION);
    assert_eq!((sd.ipa.get(), sd.gr(5), sd.gr(0)), (0x8302, 0x9c, pgm));
}

pub(crate) fn register(tests: &mut Tests) {
    tests.row("pv_diags::r01_0x500_exit", || assert_instruction(&first_0x500().3, 0x500));
    tests.row("pv_diags::r02_0x500_registers", || {
        let sd = first_0x500().3;
        assert_eq!([1, 2, 3, 4].map(|number| sd.gr(number)), [1, 2, 3, 4]);
        assert_eq!([0, 6, 7, 8, 15].map(|number| sd.gr(number)), [0; 5], "no other register is in sight");
    });
    tests.row("pv_diags::r03_0x500_operand_exception", || {
        let (rig, guest, cpu, _) = first_0x500();
        assert_told(&rig, &guest, cpu, OPERAND, 0x15);
    });
    tests.row("pv_diags::r04_0x500_specification_exception", || {
        let (rig, guest, cpu, _) = first_0x500();
        assert_told(&rig, &guest, cpu, OPERAND, 0x15);
        assert_instruction(&rig.enter(&guest, cpu), 0x500);
        assert_told(&rig, &guest, cpu, SPECIFICATION, 0x06);
    });
    tests.row("pv_diags::r05_0x288_exit", || assert_instruction(&first_0x288().3, 0x288));
    tests.row("pv_diags::r06_0x288_registers", || {
        let sd = first_0x288().3;
        assert_eq!([0, 1, 2].map(|number| sd.gr(number)), [1, 2, 3]);
    });
    tests.row("pv_diags::r07_0x288_specification_exception", || {
        let (rig, guest, cpu, _) = first_0x288();
        assert_told(&rig, &guest, cpu, SPECIFICATION, 0x06);
    });
    for (name, code) in [("pv_diags::r08_0x44", 0x44), ("pv_diags::r09_0x9c", 0x9c)] {
        tests.row(name, move || {
            let sd = first(code, [42, 7, 7, 7, 7]).3;
            assert_eq!((sd.interception(), sd.gr(5)), (InterceptionCode::PV_NOTIFICATION, u64::from(code)));
        });
    }
    tests.row("pv_diags::r10_0x9c_register", || {
        let sd = first(0x9c, [42, 7, 7, 7, 7]).3;
        assert_eq!([0, 1, 2, 3, 4].map(|number| sd.gr(number)), [42, 0, 0, 0, 0]);
    });
}
