use uv_core::{GuestAddr, HostAddr, NormalMemory};
use uv_sim::guest::{Outcome, Step};
use zeroize::Zeroizing;

use crate::abi::sie::InterceptionCode;
use crate::abi::uvc::{PgmCode, Teid};
use crate::abi::uvcb::{CpuState, UvCommand};
use crate::sim::rig::{COMPONENT, GUEST_LEN, OK, PLAIN, Rig, diag};
use crate::sim::{Generation, GuestInsn, InsnResult};

#[test]
fn an_image_becomes_a_running_guest_and_leaves_nothing_behind() {
    let rig = Rig::ready(Generation::Z17);
    let steps = [
        Step::load(GuestAddr(COMPONENT + 0xfff), 2),
        diag(0x500, [0, 1, 2, 3, 4]),
        Step::store(GuestAddr(0x8000), b"secret"),
        Step::load(GuestAddr(0x8000), 8),
    ];
    let (guest, cpu, seen) = rig.booted(0, steps);

    let sd = rig.enter(&guest, cpu);
    assert_eq!((sd.interception(), sd.ipa.get(), sd.ipb.get()), (InterceptionCode(104), 0x8302, 0x5000_0000));
    assert_eq!([1, 2, 3, 4, 5].map(|n| sd.gr(n)), [1, 2, 3, 4, 0x500]);
    rig.change(cpu, |sd| {
        sd.set_gr(2, 77);
        sd.set_gr(3, 88);
    });
    let fault = rig.machine_enter(&guest, cpu).unwrap_err();
    assert_eq!(fault.code, PgmCode::NON_SECURE_STORAGE_ACCESS);
    assert_eq!(fault.teid, Some(Teid::new(0x8000, true, Teid::PRIMARY)));
    assert_eq!(rig.import(&guest, 0x8000), OK);
    assert_eq!(rig.icpt(&guest, cpu), InterceptionCode::WAIT);
    let loaded = |bytes: &[u8]| Outcome::Loaded(Zeroizing::new(bytes.to_vec()));
    assert_eq!(
        *seen.lock(),
        [
            loaded(&PLAIN),
            Outcome::Returned(InsnResult::Registers([0, 1, 77, 3, 4])),
            Outcome::Stored,
            loaded(b"secret\0\0"),
        ]
    );

    let at = guest.base + 0x8000;
    assert!(rig.is_closed(at));
    assert_eq!(rig.export(at), OK);
    let mut sealed = [0; 4096];
    rig.host.read(HostAddr(at), &mut sealed).unwrap();
    assert!(!sealed.windows(6).any(|window| window == b"secret"));

    assert_eq!(rig.set_state(cpu, CpuState::STOPPED), OK);
    assert_eq!(rig.no_data(UvCommand::DESTROY_SEC_CPU, cpu.handle), OK);
    assert_eq!(rig.no_data(UvCommand::DESTROY_SEC_CONF, guest.conf), OK);
    assert_eq!(rig.machine.secure_frames_in_use(), 0);
    let mut all = alloc::vec![1; usize::try_from(GUEST_LEN).unwrap()];
    rig.host.read(HostAddr(guest.base), &mut all).unwrap();
    all[0x8000..0x9000].fill(0);
    assert!(all.iter().all(|byte| *byte == 0), "private frames come back cleared");
}

#[test]
fn a_program_that_is_never_told_halts() {
    let rig = Rig::ready(Generation::Z15);
    let (guest, cpu, _) = rig.booted(0, [Step::Call(GuestInsn::Crash)]);
    assert_eq!(rig.icpt(&guest, cpu), InterceptionCode::PROGRAM);
}
