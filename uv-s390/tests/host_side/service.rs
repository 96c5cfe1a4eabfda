//! Instructions of ordinary guests that the kernel serves.

use uv_core::{Exit, GuestAddr, Vcpu};
use uv_s390::abi::Errno;
use uv_s390::abi::psw::{PSW_DAT, PSW_PROBLEM, PSW_WAIT, Psw};
use uv_s390::abi::sie::InterceptionCode;
use uv_s390::hypervisor::kernel::{Irq, MpState, S390Exit, VmOptions};
use uv_s390::hypervisor::uapi::{Argument, EnableCap, ExitReason, KvmPv, KvmRun, Target, capability, client, request};
use uv_s390::sim::{Generation, GuestInsn, InsnResult};
use uv_sim::guest::{Outcome, Step};
use zerocopy::{FromZeros, IntoBytes};

use crate::interrupt::{cr, io};
use crate::ordinary::{diag, outcomes, programs};
use crate::rig::Rig;

fn gr(number: u8, value: u64) -> Step<GuestInsn> {
    Step::Call(GuestInsn::SetGr { number, value })
}

fn sigp(order: u8, cpu: u16, parameter: u64) -> Step<GuestInsn> {
    Step::Call(GuestInsn::Sigp { order, cpu, parameter })
}

fn stsi(gr0: u32, gr1: u32) -> Step<GuestInsn> {
    Step::Call(GuestInsn::Stsi { gr0, gr1 })
}

fn channel(opcode: u16) -> Step<GuestInsn> {
    Step::Call(GuestInsn::ChannelIo { opcode, subchannel: 0x1_0007, operand: vec![] })
}

fn conditions(outcomes: &[Outcome<InsnResult>]) -> Vec<(u8, u64)> {
    let condition = |outcome: &Outcome<InsnResult>| match outcome {
        Outcome::Returned(InsnResult::Condition { cc, value }) => Some((*cc, *value)),
        _ => None,
    };
    outcomes.iter().filter_map(condition).collect()
}

#[test]
fn system_information_goes_to_the_operand() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(2);
    let sthyi = |code| Step::Call(GuestInsn::Sthyi { code });
    let program = vec![
        gr(5, 0x20_1000),
        stsi(0x1000_0001, 1),
        stsi(0x1000_0001, 2),
        stsi(0x2000_0002, 2),
        gr(4, 0x20_2000),
        sthyi(0),
        sthyi(1),
        gr(5, 0x20_1000),
        stsi(0x3000_0002, 2),
        Step::load(GuestAddr(0x20_1020), 12),
        gr(5, 0x1000),
        stsi(0x2000_0002, 2),
    ];
    let seen = programs(&rig, &guest, 0, vec![program]);
    let mut cpu = guest.vcpu(0).unwrap();
    cpu.change_registers(|_, state| state.set_prefix_address(0x30_0000)).unwrap();
    assert_eq!(cpu.run(), Ok(Exit::Halted), "nothing for user space");
    let seen = outcomes(&seen, 0);
    assert_eq!(
        conditions(&seen),
        [(0, 0), (3, 0x1000_0001), (0, 0), (0, 0), (3, 4), (0, 0), (0, 0)],
        "condition code, and GR0 or return code"
    );
    assert!(matches!(&seen[9], Outcome::Loaded(bytes) if bytes[..] == [0, 0, 0, 0, 0, 2, 0, 2, 0, 0, 0, 0]));
    let mut bytes = [0; 4];
    guest.storage().read(GuestAddr(0x20_2000 + 68), &mut bytes).unwrap();
    assert_eq!(bytes, [0xf3, 0xf9, 0xf3, 0xf1], "machine type, by STHYI");
    guest.storage().read(GuestAddr(0x30_1000 + 44), &mut bytes).unwrap();
    assert_eq!(bytes, [0xd3, 0xd7, 0xc1, 0xd9], "real 0x1000 is in the prefix area");
}

/// Runs one instruction with this PSW mask: code and address of its exception, `None` when it is user space's.
fn exception(step: Step<GuestInsn>, before: Step<GuestInsn>, mask: u64) -> Option<(u16, u64)> {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(1);
    guest.set_options(VmOptions::CSS_SUPPORT);
    guest.inject(None, Irq::Io(io(2, 9))).expect("a guest of this test");
    programs(&rig, &guest, 0, vec![vec![before, step]]);
    guest.storage().write(GuestAddr(0x1d0), Psw::new(PSW_WAIT, 0).as_bytes()).expect("a guest of this test");
    let mut cpu = guest.vcpu(0).expect("a guest of this test");
    cpu.change_registers(|_, state| {
        let psw = Psw::at(0x1_0000);
        state.psw = Psw::new(psw.mask.get() | mask, 0x1_0000);
        state.crs[6] = 0xff00_0000.into();
    })
    .expect("a guest of this test");
    match cpu.run().expect("a guest of this test") {
        Exit::Halted => {
            let (mut cause, mut old) = ([0; 4], Psw::new_zeroed());
            guest.storage().read(GuestAddr(0x8c), &mut cause).expect("a guest of this test");
            guest.storage().read(GuestAddr(0x150), old.as_mut_bytes()).expect("a guest of this test");
            assert_eq!(cause[..2], [0, 4], "length");
            Some((u16::from_be_bytes([cause[2], cause[3]]), old.address.get()))
        }
        Exit::Arch(S390Exit::Instruction(_)) => None,
        other => panic!("{other:?}"),
    }
}

#[test]
fn exceptions_of_served_instructions() {
    let sthyi = || Step::Call(GuestInsn::Sthyi { code: 0 });
    let behind = 0x1_0008;
    for (step, before, code) in [
        (stsi(0x3000_0002, 2), gr(5, 0x20_1004), 6),
        (stsi(0x3000_0102, 2), gr(5, 0x20_1000), 6),
        (stsi(0x3000_0002, 2), gr(5, 0x4000_0000), 5),
        (sthyi(), gr(4, 0x20_1004), 6),
        (sthyi(), gr(4, 0x4000_0000), 5),
        (channel(0xb236), gr(5, 2), 6),
        (channel(0xb236), gr(5, 0x4000_0000), 5),
    ] {
        assert_eq!(exception(step, before, 0), Some((code, behind)), "code {code}");
    }
    for step in [stsi(0, 0), channel(0xb234), sigp(1, 0, 0), diag(0x44, [0; 5])] {
        assert_eq!(exception(step, gr(9, 9), PSW_PROBLEM), Some((2, behind)), "problem state");
    }
    for (step, before) in
        [(stsi(0x3000_0002, 2), gr(5, 0x20_1000)), (sthyi(), gr(4, 0x20_1000)), (channel(0xb236), gr(5, 8))]
    {
        assert_eq!(exception(step, before, PSW_DAT), None, "a virtual address");
    }
}

#[test]
fn channel_io_is_divided_between_kernel_and_user_space() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(1);
    let program = vec![channel(0xb234), cr(6, 1 << (31 - 3)), channel(0xb236), channel(0xb235)];
    let seen = programs(&rig, &guest, 0, vec![program]);
    for (subclass, parameter) in [(2, 20), (3, 31), (3, 32), (4, 40)] {
        guest.inject(None, Irq::Io(io(subclass, parameter))).unwrap();
    }
    let mut area = KvmRun::new();
    let enable = || client::enable_capability(&*guest, Target::Vcpu(0), capability::CSS_SUPPORT);
    // Without a channel subsystem.
    let mut cpu = guest.vcpu(0).unwrap();
    assert_eq!(cpu.run(), Ok(Exit::Halted), "all of them end with cc 3");
    let cc: Vec<_> = conditions(&outcomes(&seen, 0)).iter().map(|(cc, _)| *cc).collect();
    assert_eq!(cc, [3; 3]);

    let seen = programs(
        &rig,
        &guest,
        0,
        vec![vec![
            cr(6, 1 << (31 - 3)),
            gr(5, 0),
            channel(0xb236),
            Step::load(GuestAddr(0xb8), 12),
            gr(5, 0x20_0000),
            channel(0xb236),
            channel(0xb236),
            Step::load(GuestAddr(0x20_0000), 12),
            channel(0xb235),
            channel(0xb235),
            channel(0xb235),
            channel(0xb234),
        ]],
    );
    enable().unwrap();
    area.set_psw(Psw::at(0x5000));
    for (dequeued, parameter) in [(1, 20), (1, 40), (0, 0)] {
        client::run(&*guest, 0, &mut area).unwrap();
        let tsch = area.tsch().unwrap();
        assert_eq!((tsch.dequeued, tsch.io_int_parm.get()), (dequeued, parameter));
        area.set_cc(dequeued);
    }
    client::run(&*guest, 0, &mut area).unwrap();
    assert_eq!((area.exit_reason(), area.sieic().unwrap().ipa), (ExitReason::S390_SIEIC, 0xb234));
    let seen = outcomes(&seen, 0);
    let cc: Vec<_> = conditions(&seen).iter().map(|(cc, _)| *cc).collect();
    assert_eq!(cc, [1, 1, 0, 1, 1, 0]);
    let words = |parameter: u8| [0, 1, 0, 7, 0, 0, 0, parameter, 0x18, 0, 0, 0];
    assert!(matches!(&seen[3], Outcome::Loaded(bytes) if bytes[..] == words(31)), "three words");
    assert!(
        matches!(&seen[7], Outcome::Loaded(bytes) if bytes[..8] == words(32)[..8] && bytes[8..] == [0; 4]),
        "two words"
    );
}

#[test]
fn signals_between_ordinary_cpus() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(3);
    let program = vec![
        sigp(1, 1, 0),
        sigp(2, 1, 0),
        sigp(2, 1, 0),
        sigp(1, 1, 0),
        sigp(3, 1, 0),
        sigp(0x13, 2, 0),
        sigp(0x15, 1, 0),
        sigp(0x15, 0, 0),
        sigp(0x12, 9, 0),
        sigp(1, 9, 0),
        sigp(0x0d, 0, 0x8000),
        sigp(0x0d, 1, 0x4000_0000),
        sigp(0x0d, 1, 0x9234),
        sigp(0x0e, 0, 0x20_0000),
        sigp(0x0e, 1, 0x4000_0000),
        sigp(0x0e, 1, 0x20_01ff),
        sigp(9, 1, 0),
        sigp(5, 0, 0),
        sigp(1, 0, 0),
    ];
    let seen = programs(&rig, &guest, 0, vec![program]);
    let mut cpu = guest.vcpu(0).unwrap();
    let mut area = KvmRun::new();
    area.set_gr(0, 0xaaaa_0000_0000);
    area.set_psw(Psw::at(0x5000));
    guest.change_registers(1, |registers, _| registers.grs = [0x1111; 16]).unwrap();
    client::run(&*guest, 0, &mut area).unwrap();
    assert_eq!(area.sieic().unwrap().icptcode, InterceptionCode::STOP);
    assert_eq!(guest.is_stopped(0), Ok(true));
    let answers = conditions(&outcomes(&seen, 0));
    let high = 0xaaaa_0000_0000;
    let expected = [
        (1, high | 0x40),
        (0, high | 0x40),
        (1, high | 0x80),
        (1, high | 0xc0),
        (0, high | 0xc0),
        (0, high | 0xc0),
        (1, high | 0x400),
        (0, high | 0x400),
        (1, high | 0x100),
        (3, high | 0x100),
        (1, high | 0x200),
        (1, high | 0x100),
        (0, high | 0x100),
        (1, high | 0x200),
        (1, high | 0x100),
        (0, high | 0x100),
        (0, high | 0x100),
    ];
    assert_eq!(answers[..17], expected);
    let mut stored = [0; 8];
    guest.storage().read(GuestAddr(0x20_0080), &mut stored).unwrap();
    assert_eq!(stored, 0x1111_u64.to_be_bytes(), "general registers of CPU 1, at the address cut to 512");
    guest.storage().read(GuestAddr(0x1280), &mut stored).unwrap();
    assert_eq!(stored, 0x1111_u64.to_be_bytes(), "stop and store status of a stopped CPU");
    let pending = guest.pending_interruptions(1).unwrap();
    let expected = [Irq::SetPrefix { address: 0x8000 }, Irq::ExternalCall { source: 0 }, Irq::Emergency { source: 0 }];
    assert_eq!(pending, expected);
    assert_eq!(guest.pending_interruptions(2).unwrap(), [Irq::Emergency { source: 0 }]);
    // The new prefix is there before the CPU runs.
    let mut other = guest.vcpu(1).unwrap();
    assert_eq!(other.run(), Ok(Exit::Halted));
    assert_eq!(other.state().unwrap().prefix_address(), 0x8000);
    // A stop that is pending makes the target busy.
    assert_eq!(cpu.run(), Ok(Exit::Halted));
    assert_eq!(conditions(&outcomes(&seen, 0)).last().unwrap().0, 0);
}

#[test]
fn user_space_may_take_most_signals() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(2);
    let orders = [5, 9, 0x0d, 0x0e, 0x12, 6, 0x0b, 0xff];
    let mut program: Vec<_> = [1, 2, 3, 0x13, 0x15].map(|order| sigp(order, 1, 0)).into();
    program.extend(orders.map(|order| sigp(order, 1, 0)));
    programs(&rig, &guest, 0, vec![program]);
    client::enable_capability(&*guest, Target::Vm, capability::USER_SIGP).unwrap();
    let mut area = KvmRun::new();
    for order in orders {
        client::run(&*guest, 0, &mut area).unwrap();
        assert_eq!((area.sieic().unwrap().ipa, area.gr(5)), (0xae02, u64::from(order)));
    }
}

#[test]
fn a_busy_target_takes_nothing_but_resets() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(2);
    guest.set_mp_state(1, MpState::Operating).unwrap();
    guest.set_mp_state(0, MpState::Operating).unwrap();
    let program = vec![sigp(5, 1, 0), sigp(1, 1, 0), sigp(6, 1, 0), sigp(5, 1, 0), sigp(0x0c, 1, 0), sigp(0x0b, 1, 0)];
    let seen = programs(&rig, &guest, 0, vec![program]);
    let mut area = KvmRun::new();
    for order in [0x0c, 0x0b] {
        client::run(&*guest, 0, &mut area).unwrap();
        assert_eq!(area.gr(5), order);
    }
    let cc: Vec<_> = conditions(&outcomes(&seen, 0)).iter().map(|(cc, _)| *cc).collect();
    assert_eq!(cc[..4], [0, 2, 2, 2]);
    guest.reset_cpu(1, uv_s390::hypervisor::kernel::CpuReset::Normal).unwrap();
    guest.inject(Some(1), Irq::Restart).unwrap();
    let seen = programs(&rig, &guest, 0, vec![vec![sigp(1, 1, 0)]]);
    area.set_psw(Psw::at(0x7000));
    client::run(&*guest, 0, &mut area).unwrap();
    assert_eq!(conditions(&outcomes(&seen, 0))[0].0, 2, "a restart, too");
}

#[test]
fn a_stop_may_store_the_status() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(2);
    programs(&rig, &guest, 0, vec![vec![diag(0x500, [0; 5]), Step::Call(GuestInsn::Wait)]]);
    let mut area = KvmRun::new();
    area.set_psw(Psw::at(0x5000));
    area.set_gr(7, 0x7777);
    client::run(&*guest, 0, &mut area).unwrap();
    guest.inject(Some(0), Irq::StopAndStoreStatus).unwrap();
    client::run(&*guest, 0, &mut area).unwrap();
    assert_eq!(area.sieic().unwrap().icptcode, InterceptionCode::STOP);
    let mut stored = [0; 8];
    guest.storage().read(GuestAddr(0x1280 + 56), &mut stored).unwrap();
    assert_eq!(stored, 0x7777_u64.to_be_bytes());
    guest.storage().read(GuestAddr(0x1308), &mut stored).unwrap();
    assert_eq!(stored, 0x5004_u64.to_be_bytes(), "PSW");
    let mut mode = [0];
    guest.storage().read(GuestAddr(0xa3), &mut mode).unwrap();
    assert_eq!(mode, [1]);
}

#[test]
fn which_capabilities_can_be_enabled() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest_with(0, |config| config.huge_pages = true);
    let vm = |number| client::enable_capability(&*guest, Target::Vm, number);
    let irqchip = || guest.ioctl(Target::Vm, request::CREATE_IRQCHIP, &mut Argument::default());
    assert_eq!(irqchip(), Err(Errno::EINVAL));
    assert_eq!(vm(capability::IRQCHIP), Ok(()));
    assert_eq!(irqchip(), Ok(0));
    for number in [capability::VECTOR_REGISTERS, capability::HPAGE_1M, capability::USER_SIGP] {
        assert_eq!(vm(number), Ok(()), "{number}");
    }
    for number in [capability::USER_STSI, capability::USER_INSTR0] {
        assert_eq!(vm(number), Ok(()), "{number}");
    }
    let on = VmOptions::IRQCHIP | VmOptions::USER_SIGP | VmOptions::USER_STSI | VmOptions::USER_INSTR0;
    assert_eq!(guest.options(), on);
    for number in [0, capability::CSS_SUPPORT, 124, 140, 141, 222, capability::PROTECTED] {
        assert_eq!(vm(number), Err(Errno::EINVAL), "{number}");
    }
    guest.add_cpu(0).unwrap();
    for number in [capability::VECTOR_REGISTERS, capability::HPAGE_1M] {
        assert_eq!(vm(number), Err(Errno::EBUSY), "{number}");
    }
    let cpu = |number| client::enable_capability(&*guest, Target::Vcpu(0), number);
    assert_eq!((cpu(capability::USER_STSI), cpu(capability::CSS_SUPPORT)), (Err(Errno::EINVAL), Ok(())));
    assert!(guest.options().contains(VmOptions::CSS_SUPPORT));
    let mut block = EnableCap { cap: 106.into(), flags: 1.into(), ..EnableCap::new_zeroed() };
    let mut argument = Argument { block: block.as_mut_bytes(), ..Argument::default() };
    assert_eq!(guest.ioctl(Target::Vm, request::ENABLE_CAP, &mut argument), Err(Errno::EINVAL));
    argument.block = &mut [];
    assert_eq!(guest.ioctl(Target::Vm, request::ENABLE_CAP, &mut argument), Err(Errno::EFAULT));
    let small = rig.guest_with(0, |_| {});
    assert_eq!(client::enable_capability(&*small, Target::Vm, capability::HPAGE_1M), Err(Errno::EINVAL));
    for number in [54, 85, 98, 99, 106, 107, 109, 114, 130] {
        assert_eq!(client::has_capability(&*small, number), Ok(true), "{number}");
    }
    assert_eq!(client::has_capability(&*small, 156), Ok(false));
    assert_eq!(client::has_capability(&*guest, 156), Ok(true));
}
