use uv_sim::guest::Step;

use crate::abi::sie::InterceptionCode;
use crate::abi::uvcb::{Share, UvCommand};
use crate::sim::rig::{Guest, OK, Rig, Vcpu, diag, uvc};
use crate::sim::{Generation, GuestInsn};

/// Either page of the prefix area is taken away and brought back; the guest is not entered without it.
fn both_pages(rig: &Rig, guest: &Guest, cpu: Vcpu, prefix: u64) {
    for page in [prefix, prefix + 0x1000] {
        assert_eq!(rig.export(guest.base + page), OK);
        assert_eq!(rig.icpt(guest, cpu), InterceptionCode::PV_PREFIX);
        assert_eq!(rig.icpt(guest, cpu), InterceptionCode::PV_PREFIX, "until it is back");
        assert_eq!(rig.import(guest, page), OK);
    }
}

#[test]
fn prefix_pages_must_be_secure_at_every_entry() {
    let rig = Rig::ready(Generation::Z17);
    let (guest, cpu, _) = rig.booted(0, [diag(0x44, [0; 5]), diag(0x9c, [42, 0, 0, 0, 0])]);
    assert_eq!(rig.enter(&guest, cpu).gr(5), 0x44);
    both_pages(&rig, &guest, cpu, 0);
    let sd = rig.enter(&guest, cpu);
    assert_eq!((sd.interception(), sd.gr(0)), (InterceptionCode::PV_NOTIFICATION, 42));
}

#[test]
fn also_when_they_are_shared() {
    let rig = Rig::ready(Generation::Z17);
    let share = |page| uvc(&Share::new(UvCommand::SET_SHARED_ACCESS, page));
    let (guest, cpu, _) = rig.booted(0, [share(0), share(0x1000), diag(0x44, [0; 5]), diag(0x9c, [42, 0, 0, 0, 0])]);
    assert_eq!(rig.enter(&guest, cpu).gr(5), 0x44);
    assert!(!rig.is_closed(guest.base) && !rig.is_closed(guest.base + 0x1000));
    both_pages(&rig, &guest, cpu, 0);
    assert_eq!(rig.enter(&guest, cpu).gr(0), 42);
}

#[test]
fn and_where_the_guest_moves_them() {
    let rig = Rig::ready(Generation::Z17);
    let (guest, cpu, _) =
        rig.booted(0, [Step::Call(GuestInsn::Spx { prefix: 0x8000_9fff }), diag(0x9c, [42, 0, 0, 0, 0])]);
    assert_eq!((rig.import(&guest, 0x8000), rig.import(&guest, 0x9000)), (OK, OK));
    let sd = rig.enter(&guest, cpu);
    assert_eq!((sd.interception(), sd.ipa.get()), (InterceptionCode::PV_NOTIFICATION, 0xb210));
    let mut word = [0; 4];
    uv_core::NormalMemory::read(&rig.host, sd.sida().origin(), &mut word).unwrap();
    assert_eq!(u32::from_be_bytes(word), 0x8000);
    both_pages(&rig, &guest, cpu, 0x8000);
    assert_eq!(rig.enter(&guest, cpu).gr(0), 42);
}
