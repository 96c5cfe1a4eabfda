//! `KVM_RUN` and single registers.

use crate::ordinary::{diag, diag308, outcomes, programs};
use crate::rig::Rig;
use uv_core::GuestAddr;
use uv_s390::abi::Errno;
use uv_s390::abi::psw::Psw;
use uv_s390::abi::sie::InterceptionCode;
use uv_s390::hypervisor::kernel::diag308::ResetFlags;
use uv_s390::hypervisor::kernel::{CpuReset, MpState};
use uv_s390::hypervisor::uapi::{
    Argument, ExitReason, KvmPv, KvmRun, OneReg, RegId, Sieic, SyncFields, Target, capability, client, request,
};
use uv_s390::sim::{Generation, GuestInsn, InsnResult};
use uv_sim::guest::{Outcome, Step};
use zerocopy::IntoBytes;

const START: u64 = 0x1_0000;
const DIAG: Sieic = Sieic { icptcode: InterceptionCode::INSTRUCTION, ipa: 0x8302, ipb: 0x5000_0000 };

fn mask(mask: u64) -> Step<GuestInsn> {
    Step::Call(GuestInsn::SetMask { mask })
}

fn wait() -> Step<GuestInsn> {
    Step::Call(GuestInsn::Wait)
}

#[test]
fn what_is_refused_before_the_guest_runs() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(1);
    let mut area = KvmRun::new();
    let mut short = Argument { block: &mut area.as_mut_bytes()[..2367], ..Argument::default() };
    assert_eq!(guest.ioctl(Target::Vcpu(0), request::RUN, &mut short), Err(Errno::EFAULT));
    assert_eq!(guest.ioctl(Target::Vm, request::RUN, &mut Argument::default()), Err(Errno::ENOTTY));
    assert_eq!(client::run(&*guest, 7, &mut KvmRun::new()), Err(Errno::EINVAL), "no such CPU");
    for change in [
        |area: &mut KvmRun| area.kvm_valid_regs = (1 << 13).into(),
        |area: &mut KvmRun| {
            area.kvm_dirty_regs = (1 << 63).into();
        },
    ] {
        let mut area = KvmRun::new();
        change(&mut area);
        let before = area;
        assert_eq!((client::run(&*guest, 0, &mut area), area), (Err(Errno::EINVAL), before));
    }
    let mut area = KvmRun { immediate_exit: 1, ..KvmRun::new() };
    assert_eq!(client::run(&*guest, 0, &mut area), Err(Errno::EINTR));
    assert_eq!((area.exit_reason(), guest.is_stopped(0)), (ExitReason::UNKNOWN, Ok(true)));

    // Nobody asked for the states: the kernel starts the CPU. Then user space does.
    let mut area = KvmRun::new();
    assert_eq!(client::run(&*guest, 0, &mut area), Ok(()));
    client::set_mp_state(&*guest, 0, MpState::Stopped).unwrap();
    area.set_gr(3, 0x333);
    (area.kvm_dirty_regs, area.regs.pp) = (SyncFields::ARCH0.bits().into(), 0x999.into());
    let before = area;
    assert_eq!((client::run(&*guest, 0, &mut area), area), (Err(Errno::EINVAL), before), "a stopped CPU");
    assert_ne!((guest.registers(0).unwrap().grs[3], guest.state(0).unwrap().pp.get()), (0x333, 0x999));
    let other = rig.guest(1);
    assert!(client::disable(&*other).is_err());
    assert_eq!(client::run(&*other, 0, &mut area), Err(Errno::EINVAL), "any PV command hands the states over");

    rig.verified(&guest);
    guest.set_mp_state(0, MpState::Load).unwrap();
    guest.set_mp_state(0, MpState::Operating).unwrap();
    client::dump_init(&*guest).unwrap();
    let mut area = KvmRun { immediate_exit: 1, ..KvmRun::new() };
    assert_eq!(client::run(&*guest, 0, &mut area), Err(Errno::EINVAL), "no CPU runs while a dump is made");
}

#[test]
fn an_ordinary_cpu_and_its_area() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(1);
    let program = vec![
        diag(0x44, [0; 5]),
        diag(0x500, [0, 1, 2, 3, 4]),
        Step::Call(GuestInsn::SetGr { number: 15, value: 0xf5 }),
        Step::Call(GuestInsn::SetCr { number: 9, value: 0x99 }),
        Step::Call(GuestInsn::Sigp { order: 6, cpu: 0, parameter: 7 }),
        Step::Call(GuestInsn::Spx { prefix: 0x6000 }),
        diag308(3, 0),
    ];
    let seen = programs(&rig, &guest, 0, vec![program]);
    let mut area = KvmRun::new();
    area.set_psw(Psw::at(START));
    area.set_gr(14, 0xee);
    area.regs.prefix = 0x4000.into();
    area.regs.crs[6] = 0x66.into();
    (area.regs.ckc, area.regs.pp, area.regs.todpr, area.regs.gbea) = (5.into(), 6.into(), 7.into(), 8.into());
    area.regs.pft = 9.into();
    area.regs.acrs[3] = 3.into();
    area.regs.vrs[31] = [1.into(), 2.into()];
    area.kvm_dirty_regs = (SyncFields::CRS | SyncFields::ARCH0 | SyncFields::PFAULT).bits().into();
    client::run(&*guest, 0, &mut area).unwrap();
    assert_eq!(area.sieic(), Some(DIAG), "and no exit for the yield");
    assert_eq!((area.gr(5), area.gr(4), area.gr(14)), (0x500, 4, 0xee));
    assert_eq!(area.psw(), Psw::at(START + 8));
    let regs = area.regs;
    assert_eq!((regs.prefix.get(), regs.crs[6].get()), (0, 0x66), "the prefix was not marked");
    assert_eq!((regs.ckc.get(), regs.pp.get(), regs.todpr.get(), regs.gbea.get(), regs.pft.get()), (5, 6, 7, 8, 9));
    assert_eq!((regs.acrs[3].get(), regs.vrs[31][1].get()), (3, 2));
    assert_eq!(area.kvm_dirty_regs.get(), 0);
    let valid = SyncFields::from_bits_retain(area.kvm_valid_regs.get());
    assert!(valid.contains(SyncFields::PREFIX | SyncFields::CRS | SyncFields::ARCH0 | SyncFields::VRS));

    area.set_gr(2, 0x1234);
    area.regs.prefix = 0x4000.into();
    area.kvm_dirty_regs = SyncFields::PREFIX.bits().into();
    client::run(&*guest, 0, &mut area).unwrap();
    assert_eq!(area.sieic().unwrap().ipa, 0xae02);
    assert_eq!((area.gr(15), area.regs.crs[9].get(), area.regs.prefix.get()), (0xf5, 0x99, 0x4000));
    area.set_cc(3);
    client::run(&*guest, 0, &mut area).unwrap();
    let flags = ResetFlags::CLEAR | ResetFlags::SUBSYSTEM | ResetFlags::CPU_INIT | ResetFlags::IPL;
    assert_eq!((area.exit_reason(), area.reset_flags()), (ExitReason::S390_RESET, Some(flags)));
    assert_eq!((guest.is_stopped(0), area.regs.prefix.get()), (Ok(true), 0x6000));
    client::run(&*guest, 0, &mut area).unwrap();
    let seen = outcomes(&seen, 0);
    assert_eq!(seen[1], Outcome::Returned(InsnResult::Registers([0, 1, 0x1234, 3, 4])));
    assert_eq!(seen[4], Outcome::Returned(InsnResult::Condition { cc: 3, value: 0 }));
}

#[test]
fn waiting_and_what_cannot_go_on() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(1);
    programs(&rig, &guest, 0, vec![vec![mask(1 << 56), wait(), mask(0), wait(), Step::load(GuestAddr(1 << 30), 1)]]);
    let mut area = KvmRun::new();
    for _ in 0..2 {
        assert_eq!(client::run(&*guest, 0, &mut area), Err(Errno::EINTR));
        assert_eq!(area.exit_reason(), ExitReason::INTR);
    }
    const WAIT: u64 = 1 << 49;
    area.psw_mask = (area.psw_mask.get() & !WAIT).into();
    client::run(&*guest, 0, &mut area).unwrap();
    assert_eq!(area.sieic().unwrap().icptcode, InterceptionCode::WAIT, "disabled");
    area.psw_mask = (area.psw_mask.get() & !WAIT).into();
    let wait = Psw::new(WAIT, 0xbad);
    guest.storage().write(GuestAddr(0x1d0), wait.as_bytes()).unwrap();
    client::run(&*guest, 0, &mut area).unwrap();
    assert_eq!((area.sieic().unwrap().icptcode, area.psw()), (InterceptionCode::WAIT, wait), "no memory there");

    // A guest that only ever yields goes on until its process is to die.
    let guest = rig.guest(1);
    let code = |_: Psw| -> Box<dyn uv_sim::guest::Program<GuestInsn, InsnResult>> {
        Box::new(|_: Outcome<InsnResult>| diag(0x44, [0; 5]))
    };
    rig.machine.set_guest(guest.state_address(0).unwrap(), code);
    guest.set_fatal_signal(true);
    assert_eq!(client::run(&*guest, 0, &mut KvmRun::new()), Err(Errno::EINTR));
}

#[test]
fn a_protected_cpu_and_its_area() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(1);
    let program = vec![
        Step::store(GuestAddr(0x20_0000), b"private"),
        diag(0x500, [0, 1, 2, 3, 4]),
        Step::Call(GuestInsn::ChannelIo { opcode: 0xb234, subchannel: 0x1_0000, operand: vec![7; 52] }),
        diag308(0, 0),
    ];
    let seen = programs(&rig, &guest, 0, vec![program]);
    client::enable_capability(&*guest, Target::Vcpu(0), capability::CSS_SUPPORT).unwrap();
    rig.verified(&guest);
    guest.set_mp_state(0, MpState::Load).unwrap();
    guest.set_mp_state(0, MpState::Operating).unwrap();
    let mut area = KvmRun::new();
    area.set_psw(Psw::at(0xdead));
    area.regs.gprs = [0x77.into(); 16];
    client::run(&*guest, 0, &mut area).unwrap();
    assert_eq!(area.sieic(), Some(Sieic { icptcode: InterceptionCode::PV_INSTRUCTION, ..DIAG }));
    let grs: Vec<_> = area.regs.gprs.iter().map(|gr| gr.get()).collect();
    assert_eq!(grs, [0, 1, 2, 3, 4, 0x500, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], "what the instruction needs");
    assert_eq!((area.psw_addr.get(), area.psw_mask.get() & 7 << 50), (0, 0), "the filtered copy");
    area.set_gr(2, 0xbeef);
    area.set_gr(3, 0xbad);
    client::run(&*guest, 0, &mut area).unwrap();
    assert_eq!(area.sieic().unwrap().ipa, 0xb234);
    client::sida_write(&*guest, 0, 0, b"a page of information").unwrap();
    area.set_cc(2);
    area.psw_mask = (area.psw_mask.get() | 1 << 63).into();
    client::run(&*guest, 0, &mut area).unwrap();
    assert_eq!(area.sieic(), Some(Sieic { icptcode: InterceptionCode::PV_NOTIFICATION, ..DIAG }));
    assert_eq!((area.gr(5), area.gr(2)), (0x308, 0));
    let seen = outcomes(&seen, 0);
    assert_eq!(seen[1], Outcome::Returned(InsnResult::Registers([0, 1, 0xbeef, 3, 4])), "only GR2 is an answer");
    assert!(matches!(&seen[2], Outcome::Returned(InsnResult::Data { cc: 2, bytes }) if bytes.starts_with(b"a page")));
    // A reset is under way: the machine refuses the entry.
    assert_eq!(client::run(&*guest, 0, &mut area), Err(Errno::EINVAL));
    let mut bytes = [0; 7];
    assert!(guest.storage().read(GuestAddr(0x20_0000), &mut bytes).is_err());
}

#[test]
fn an_external_call_never_reaches_user_space() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(2);
    let call = Step::Call(GuestInsn::Sigp { order: 2, cpu: 1, parameter: 0 });
    let sense = Step::Call(GuestInsn::Sigp { order: 1, cpu: 1, parameter: 0 });
    let start = Step::Call(GuestInsn::Sigp { order: 4, cpu: 1, parameter: 0 });
    programs(&rig, &guest, 0, vec![vec![call, sense, start]]);
    rig.verified(&guest);
    guest.set_mp_state(0, MpState::Load).unwrap();
    guest.set_mp_state(0, MpState::Operating).unwrap();
    let mut area = KvmRun::new();
    client::run(&*guest, 0, &mut area).unwrap();
    assert_eq!((area.sieic().unwrap().ipa, area.gr(5)), (0xae02, 4), "a start does");
}

#[test]
fn single_registers() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(1);
    let all = [
        (RegId::TODPR, 0),
        (RegId::EPOCHDIFF, 0),
        (RegId::CPU_TIMER, 0),
        (RegId::CLOCK_COMP, 0),
        (RegId::PFTOKEN, u64::MAX),
        (RegId::PFCOMPARE, 0),
        (RegId::PFSELECT, 0),
        (RegId::PP, 0),
        (RegId::GBEA, 1),
    ];
    for (n, (id, first)) in (0x1_1111_1111..).zip(all) {
        assert_eq!(client::get_one_reg(&*guest, 0, id), Ok(first), "{id:?}");
        client::set_one_reg(&*guest, 0, id, n).unwrap();
        let cut = if id == RegId::TODPR { n & 0xffff_ffff } else { n };
        assert_eq!(client::get_one_reg(&*guest, 0, id), Ok(cut), "{id:?}");
    }
    assert_eq!(guest.state(0).unwrap().epoch.get(), 0x1_1111_1112);
    for id in [RegId(0), RegId(RegId::GBEA.0 + 1), RegId(RegId::TODPR.0 | 0x0010_0000_0000_0000)] {
        assert_eq!(client::get_one_reg(&*guest, 0, id), Err(Errno::EINVAL));
        assert_eq!(client::set_one_reg(&*guest, 0, id, 0), Err(Errno::EINVAL));
    }
    let mut block = OneReg { id: RegId::PP.0.into(), addr: 0.into() };
    for number in [request::GET_ONE_REG, request::SET_ONE_REG] {
        let mut argument = Argument { block: block.as_mut_bytes(), data: &mut [0; 7], ..Argument::default() };
        assert_eq!(guest.ioctl(Target::Vcpu(0), number, &mut argument), Err(Errno::EFAULT));
        assert_eq!(guest.ioctl(Target::Vcpu(0), number, &mut Argument::default()), Err(Errno::EFAULT));
        assert_eq!(guest.ioctl(Target::Vcpu(9), number, &mut argument), Err(Errno::EINVAL));
        let mut argument = Argument { block: block.as_mut_bytes(), data: &mut [0; 8], ..Argument::default() };
        assert_eq!(guest.ioctl(Target::Vcpu(0), number, &mut argument), Ok(0));
    }
    guest.reset_cpu(0, CpuReset::Initial).unwrap();
    assert_eq!(client::get_one_reg(&*guest, 0, RegId::GBEA), Ok(1));
    guest.enable().unwrap();
    assert_eq!(client::get_one_reg(&*guest, 0, RegId::PP), Err(Errno::EINVAL));
    assert_eq!(client::set_one_reg(&*guest, 0, RegId::PP, 1), Err(Errno::EINVAL));
}
