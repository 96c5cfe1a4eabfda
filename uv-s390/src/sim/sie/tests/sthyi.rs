//! STHYI: what the guest is given is what the host has put into the SIDA, and the condition code.

use alloc::vec::Vec;

use uv_core::{HostAddr, NormalMemory};
use uv_sim::guest::{Outcome, Step};
use zeroize::Zeroizing;

use crate::abi::psw::Psw;
use crate::abi::sie::{InjectionControl, InterceptionCode, StateDescription, Validity};
use crate::abi::uvc::PgmCode;
use crate::sim::rig::{Guest, Rig, Vcpu, diag};
use crate::sim::{Generation, GuestInsn, InsnResult};

const STHYI: Step<GuestInsn> = Step::Call(GuestInsn::Sthyi { code: 0x1234_5678_9abc_def0 });

/// Enters the CPU and holds that it leaves with STHYI.
fn asked(rig: &Rig, guest: &Guest, cpu: Vcpu) -> StateDescription {
    let sd = rig.enter(guest, cpu);
    assert_eq!((sd.interception(), sd.ipa.get()), (InterceptionCode::PV_INSTRUCTION, 0xb256));
    sd
}

fn result(fill: u8) -> Vec<u8> {
    (0..0x1000).map(|n: u16| n.to_be_bytes()[1] ^ fill).collect()
}

fn data(cc: u8, bytes: Vec<u8>) -> Outcome<InsnResult> {
    Outcome::Returned(InsnResult::Data { cc, bytes: Zeroizing::new(bytes) })
}

#[test]
fn only_the_function_code_is_in_sight() {
    let rig = Rig::ready(Generation::Z17);
    let secret = Step::Call(GuestInsn::SetGr { number: 4, value: 0xdead });
    let (guest, cpu, _) = rig.booted(0, [secret, STHYI]);
    rig.host.write(rig.sd(cpu).sida().origin(), &[0x5a; 16]).unwrap();
    let sd = asked(&rig, &guest, cpu);
    assert_eq!(sd.ipb.get(), 0x0024_0000);
    let mut registers = [0; 16];
    registers[2] = 0x1234_5678_9abc_def0;
    assert_eq!(core::array::from_fn(|number| sd.gr(number)), registers);
    let mut left = [0; 16];
    rig.host.read(sd.sida().origin(), &mut left).unwrap();
    assert_eq!(left, [0x5a; 16], "no operand goes out");
}

#[test]
fn a_page_or_the_return_code_comes_back() {
    let rig = Rig::ready(Generation::Z17);
    let (guest, cpu, seen) = rig.booted(0, [const { STHYI }; 5]);
    for cc in 0..4u8 {
        let sd = asked(&rig, &guest, cpu);
        rig.host.write(sd.sida().origin(), &result(cc)).unwrap();
        // Of the PSW only the condition code counts, of the registers the return code where there is no data.
        rig.change(cpu, |sd| {
            sd.psw = Psw::new(!(3 << 44) | u64::from(cc) << 44, u64::MAX);
            (0..16).for_each(|number| sd.set_gr(number, u64::MAX));
            sd.set_gr(5, 4);
        });
    }
    let sd = asked(&rig, &guest, cpu);
    assert_eq!((sd.psw.mask.get(), sd.psw.address.get()), (3 << 44, 0), "no mask was opened");
    let code = |cc| Outcome::Returned(InsnResult::Condition { cc, value: 4 });
    assert_eq!(seen.lock()[..], [data(0, result(0)), code(1), code(2), code(3)]);
}

#[test]
fn an_exception_comes_instead_and_takes_nothing_from_the_sida() {
    let rig = Rig::ready(Generation::Z17);
    let (guest, cpu, seen) = rig.booted(0, [STHYI, STHYI, diag(0x9c, [0; 5])]);
    for control in [InjectionControl::SPECIFICATION, InjectionControl::OPERAND] {
        let sd = asked(&rig, &guest, cpu);
        rig.host.write(sd.sida().origin(), &result(7)).unwrap();
        rig.change(cpu, |sd| sd.iictl = control.0);
    }
    assert_eq!(rig.enter(&guest, cpu).gr(5), 0x9c);
    let exceptions = [PgmCode(0x06), PgmCode(0x15)].map(|code| Outcome::Returned(InsnResult::Exception(code)));
    assert_eq!(seen.lock()[..], exceptions);
}

#[test]
fn a_sida_that_is_gone_is_no_entry() {
    let rig = Rig::ready(Generation::Z17);
    let (guest, cpu, seen) = rig.booted(0, [STHYI]);
    let sd = asked(&rig, &guest, cpu);
    let donated = guest.create.conf_base_stor_origin.get();
    for sidad in [donated, 4 << 30] {
        rig.change(cpu, |sd| sd.sidad = sidad.into());
        assert_eq!(rig.enter(&guest, cpu).validity(), Some(Validity(0x200a)));
    }
    assert_eq!(seen.lock()[..], [], "the instruction is still at work");
    rig.host.write(HostAddr(sd.sida().origin().0), &result(1)).unwrap();
    rig.change(cpu, |changed| changed.sidad = sd.sidad);
    assert_eq!(rig.icpt(&guest, cpu), InterceptionCode::WAIT);
    assert_eq!(seen.lock()[..], [data(0, result(1))]);
}
