use alloc::vec;

use uv_core::{HostAddr, NormalMemory};
use uv_sim::guest::{Outcome, Step};
use zerocopy::IntoBytes;
use zeroize::Zeroizing;

use crate::abi::sie::{InterceptionCode, StateDescription};
use crate::abi::uvc::PgmCode;
use crate::abi::uvcb::{QueryInfo, Role, UvCommand};
use crate::sim::rig::{GUEST_LEN, Guest, Rig, Vcpu, diag};
use crate::sim::{Generation, GuestInsn, InsnResult};

const INSTRUCTION: InterceptionCode = InterceptionCode::PV_INSTRUCTION;
const NOTIFICATION: InterceptionCode = InterceptionCode::PV_NOTIFICATION;

fn sida(rig: &Rig, sd: &StateDescription, len: usize) -> vec::Vec<u8> {
    let mut bytes = vec![0; len];
    rig.host.read(sd.sida().origin(), &mut bytes).unwrap();
    bytes
}

fn put_sida(rig: &Rig, cpu: Vcpu, bytes: &[u8]) {
    rig.host.write(rig.sd(cpu).sida().origin(), bytes).unwrap();
}

fn shape(sd: &StateDescription) -> (InterceptionCode, u16, u32) {
    (sd.interception(), sd.ipa.get(), sd.ipb.get())
}

#[test]
fn diagnose_shows_only_what_it_needs() {
    let rig = Rig::ready(Generation::Z17);
    let steps = [
        Step::Call(GuestInsn::SetGr { number: 9, value: 0xdead }),
        diag(0x44, [1, 2, 3, 4, 5]),
        diag(0x9c, [42, 2, 3, 4, 5]),
        diag(0x288, [1, 2, 3, 4, 5]),
        diag(0x500, [9, 1, 2, 3, 4]),
        diag(0x123, [0; 5]),
    ];
    let (guest, cpu, seen) = rig.booted(0, steps);
    let diag = |code, gr: &[(usize, u64)]| {
        let sd = rig.enter(&guest, cpu);
        let mut all = [0; 16];
        gr.iter().for_each(|(n, value)| all[*n] = *value);
        assert_eq!(shape(&sd), (code, 0x8302, 0x5000_0000));
        assert_eq!(core::array::from_fn(|n| sd.gr(n)), all);
    };
    diag(NOTIFICATION, &[(5, 0x44)]);
    rig.change(cpu, |sd| sd.set_gr(0, 99));
    diag(NOTIFICATION, &[(0, 42), (5, 0x9c)]);
    diag(INSTRUCTION, &[(0, 1), (1, 2), (2, 3), (5, 0x288)]);
    rig.change(cpu, |sd| sd.set_gr(1, 7));
    diag(INSTRUCTION, &[(1, 1), (2, 2), (3, 3), (4, 4), (5, 0x500)]);
    rig.change(cpu, |sd| sd.set_gr(2, 8));
    assert_eq!(rig.icpt(&guest, cpu), InterceptionCode::WAIT);
    let returned = |result| Outcome::Returned(result);
    assert_eq!(
        seen.lock()[1..],
        [
            returned(InsnResult::Done),
            returned(InsnResult::Done),
            returned(InsnResult::Registers([1, 7, 3, 4, 5])),
            returned(InsnResult::Registers([9, 1, 8, 3, 4])),
            returned(InsnResult::Exception(PgmCode::SPECIFICATION)),
        ]
    );
}

#[test]
fn operands_pass_through_the_sida() {
    let rig = Rig::ready(Generation::Z17);
    let mut sccb = vec![0; 4096];
    sccb[1] = 16;
    sccb[2] = 0xaa;
    let steps = [
        Step::Call(GuestInsn::Servc { command: 0x12_0001, sccb: sccb.clone() }),
        Step::Call(GuestInsn::Servc { command: 0x12_0001, sccb: vec![0; 16] }),
        Step::Call(GuestInsn::Stsi { gr0: 0x3000_0002, gr1: 2 }),
        Step::Call(GuestInsn::ChannelIo { opcode: 0xb234, subchannel: 0x1_0000, operand: vec![1, 2, 3] }),
    ];
    let (guest, cpu, seen) = rig.booted(0, steps);
    let sd = rig.enter(&guest, cpu);
    assert_eq!((sd.interception(), sd.ipa.get(), sd.gr(1)), (INSTRUCTION, 0xb220, 0x12_0001));
    assert_eq!(sida(&rig, &sd, 4096), sccb);
    sccb[7] = 0x20;
    put_sida(&rig, cpu, &sccb);
    rig.change(cpu, |sd| sd.psw = crate::abi::psw::Psw::new(3 << 44, 0));
    let sd = rig.enter(&guest, cpu);
    assert_eq!((sd.interception(), sd.ipa.get(), sd.gr(1)), (NOTIFICATION, 0xb220, 0x12_0001), "it is complete");
    assert_eq!(seen.lock().len(), 0, "the guest goes on with the next entry");
    let sd = rig.enter(&guest, cpu);
    assert_eq!((sd.interception(), sd.ipa.get()), (NOTIFICATION, 0xb220), "a bad SCCB");
    let sd = rig.enter(&guest, cpu);
    assert_eq!((sd.interception(), sd.ipa.get(), sd.gr(0), sd.gr(1)), (INSTRUCTION, 0xb27d, 0x3000_0002, 2));
    let result = vec![5; 4096];
    put_sida(&rig, cpu, &result);
    rig.change(cpu, |sd| sd.psw = crate::abi::psw::Psw::new(3 << 44, 0x1234));
    let sd = rig.enter(&guest, cpu);
    assert_eq!((sd.interception(), sd.ipa.get(), sd.gr(1)), (INSTRUCTION, 0xb234, 0x1_0000));
    assert_eq!(sida(&rig, &sd, 3), [1, 2, 3]);
    assert_eq!(rig.icpt(&guest, cpu), InterceptionCode::WAIT);
    let seen = seen.lock();
    let data = |cc, bytes: &[u8]| Outcome::Returned(InsnResult::Data { cc, bytes: Zeroizing::new(bytes.to_vec()) });
    assert_eq!(seen[0], data(0, &sccb), "the condition code of a service call is the Ultravisor's");
    assert_eq!(seen[1], Outcome::Returned(InsnResult::Condition { cc: 0, value: 0 }));
    assert_eq!(seen[2], data(3, &result));
}

#[test]
fn ipl_functions_that_a_protected_guest_has() {
    let rig = Rig::ready(Generation::Z17);
    let call = |subcode, address| Step::Call(GuestInsn::Diag308 { subcode, address, ipib: vec![7; 200] });
    let bad = [2, 4, 7, 8, 9, 10, 0x101, 0xffff, 0x1_0001, u64::MAX];
    let steps = bad.map(|subcode| call(subcode, 0)).into_iter().chain([call(5, 8), call(6, 1)]);
    let outside = [call(5, GUEST_LEN), call(6, 1 << 50), call(5, 0x1000)];
    let (guest, cpu, seen) = rig.booted(0, steps.chain(outside).chain([call(6, 0x5000), call(3, 0)]));
    let sd = rig.enter(&guest, cpu);
    assert_eq!((sd.interception(), sd.gr(0), sd.gr(2), sd.gr(5)), (INSTRUCTION, 0x1000, 5, 0x308));
    assert_eq!(sida(&rig, &sd, 200), [7; 200]);
    rig.change(cpu, |sd| sd.set_gr(1, 1));
    let missing = rig.machine_enter(&guest, cpu).unwrap_err();
    assert_eq!((missing.code, missing.teid.unwrap().page()), (PgmCode::NON_SECURE_STORAGE_ACCESS, 0x5000));
    assert_eq!(rig.serve(&guest, cpu).gr(2), 6);
    put_sida(&rig, cpu, &[9; 4096]);
    rig.change(cpu, |sd| sd.set_gr(1, 0x102));
    assert_eq!(shape(&rig.enter(&guest, cpu)), (INSTRUCTION, 0x8302, 0x5000_0000));
    let seen = seen.lock();
    let exception = Outcome::Returned(InsnResult::Exception(PgmCode::SPECIFICATION));
    assert!(seen[..12].iter().all(|outcome| *outcome == exception));
    let addressing = Outcome::Returned(InsnResult::Exception(PgmCode::ADDRESSING));
    assert!(seen[12..14].iter().all(|outcome| *outcome == addressing));
    let set = InsnResult::Ipl { response: 1, ipib: Zeroizing::new(vec![]) };
    let stored = InsnResult::Ipl { response: 0x102, ipib: Zeroizing::new(vec![9; 4096]) };
    assert_eq!(seen[14..], [Outcome::Returned(set), Outcome::Returned(stored)]);
}

#[test]
fn an_operand_that_does_not_fit_the_sida_is_no_entry() {
    let rig = Rig::ready(Generation::Z17);
    let mut sccb = vec![0; 0x1001];
    sccb[1] = 8;
    let (guest, cpu, _) = rig.booted(0, [Step::Call(GuestInsn::Servc { command: 1, sccb })]);
    assert_eq!(rig.enter(&guest, cpu).validity(), Some(crate::abi::sie::Validity::SIDA));
}

#[test]
fn masks_are_visible_and_the_host_is_told_when_it_asked() {
    let rig = Rig::ready(Generation::Z17);
    let steps = [
        Step::Call(GuestInsn::SetMask { mask: u64::MAX }),
        diag(0x44, [0; 5]),
        Step::Call(GuestInsn::SetMask { mask: 0 }),
        Step::Call(GuestInsn::SetCr { number: 0, value: 5 }),
        Step::Call(GuestInsn::Wait),
    ];
    let (guest, cpu, _) = rig.booted(0, steps);
    let sd = rig.enter(&guest, cpu);
    assert_eq!((sd.psw.mask.get(), sd.psw.address.get()), (0x0304_0000_0000_0000, 0));
    rig.change(cpu, |sd| {
        sd.ictl = 0x0040_0000.into();
        sd.lctl = 0x8000.into();
    });
    assert_eq!(rig.icpt(&guest, cpu), InterceptionCode::MACHINE_CHECK_REQUEST);
    assert_eq!(rig.icpt(&guest, cpu), InterceptionCode::INTERRUPT_ENABLE);
    assert_eq!(rig.icpt(&guest, cpu), InterceptionCode::WAIT);
}

#[test]
fn requests_of_the_host_stop_a_guest_between_instructions() {
    let rig = Rig::ready(Generation::Z17);
    let (guest, cpu, _) = rig.booted(0, [Step::Call(GuestInsn::SetMask { mask: u64::MAX }), diag(0x44, [0; 5])]);
    rig.change(cpu, |sd| sd.cpu_flags = 0x0400_0000.into());
    assert_eq!(rig.icpt(&guest, cpu), InterceptionCode::STOP);
    rig.change(cpu, |sd| sd.cpu_flags = 0x0300_0000.into());
    assert_eq!(rig.icpt(&guest, cpu), InterceptionCode::EXTERNAL_REQUEST, "as soon as the guest is enabled");
    rig.change(cpu, |sd| sd.cpu_flags = 0x0200_0000.into());
    assert_eq!(rig.icpt(&guest, cpu), InterceptionCode::IO_REQUEST);
    rig.change(cpu, |sd| sd.cpu_flags = 0.into());
    assert_eq!(rig.icpt(&guest, cpu), NOTIFICATION);
}

#[test]
fn signals_to_other_cpus_are_told() {
    let rig = Rig::ready(Generation::Z17);
    let sigp = |order, cpu| Step::Call(GuestInsn::Sigp { order, cpu, parameter: 3 });
    let (guest, cpu, seen) = rig.booted(0, [sigp(1, 1), sigp(6, 2), sigp(9, 1)]);
    rig.cpu(&guest, 1);
    let sd = rig.enter(&guest, cpu);
    assert_eq!((sd.interception(), sd.gr(5), sd.gr(2), sd.gr(1)), (NOTIFICATION, 1, 1, 3));
    assert_eq!(rig.enter(&guest, cpu).gr(5), 6);
    assert_eq!(rig.icpt(&guest, cpu), InterceptionCode::WAIT);
    let condition = |cc, value| Outcome::Returned(InsnResult::Condition { cc, value });
    assert_eq!(*seen.lock(), [condition(1, 0x40), condition(3, 0), condition(1, 2)]);
}

#[test]
fn calls_of_the_guest_have_their_own_role() {
    let rig = Rig::ready(Generation::Z17);
    let uvc = |block: &[u8]| Step::Call(GuestInsn::Uvc { block: block.to_vec() });
    let mut query = QueryInfo::new();
    let full = uvc(query.as_bytes());
    query.header.len = 0xa0.into();
    let steps = [
        full,
        uvc(query.as_bytes()),
        uvc(&[0; 7]),
        uvc(&[0, 0x48, 0, 0x0f, 0, 0, 0, 0]),
        uvc(&[0, 0x30, 0x10, 0, 0, 0, 0, 0]),
    ];
    let (guest, cpu, seen) = rig.booted(0, steps);
    assert_eq!(rig.icpt(&guest, cpu), InterceptionCode::WAIT);
    let seen = seen.lock();
    let rc = |n: usize| match &seen[n] {
        Outcome::Returned(InsnResult::Data { cc, bytes }) => (*cc, u16::from_be_bytes([bytes[4], bytes[5]])),
        other => panic!("{other:?}"),
    };
    assert_eq!((rc(0), rc(1), rc(3)), ((0, 1), (1, 5), (1, 2)));
    let exception = |code| Outcome::Returned(InsnResult::Exception(code));
    assert_eq!(seen[2], exception(PgmCode::PAGE_TRANSLATION));
    assert_eq!(seen[4], exception(PgmCode::PAGE_TRANSLATION));
    let Outcome::Returned(InsnResult::Data { bytes, .. }) = &seen[0] else { panic!("{:?}", seen[0]) };
    let calls = Generation::Z17.query(Role::Guest).calls;
    assert_eq!(bytes[0x10..0x30], *calls.as_bytes());
    assert_eq!(calls.has(UvCommand::INIT_UV), Some(false));
}

#[test]
fn a_state_description_that_cannot_be_reached() {
    use crate::abi::sie::Sie;
    let rig = Rig::ready(Generation::Z17);
    let (guest, _, _): (Guest, _, _) = rig.booted(0, []);
    let enter = |at| rig.machine.enter(HostAddr(at), guest.asce, &mut [0; 16]).unwrap_err().code;
    assert_eq!([enter(8), enter(0x1100)], [PgmCode::SPECIFICATION; 2], "a multiple of 512");
    assert_eq!(enter(4 << 30), PgmCode::ADDRESSING);
    assert_eq!(enter(guest.create.conf_base_stor_origin.get()), PgmCode::SECURE_STORAGE_ACCESS);
}
