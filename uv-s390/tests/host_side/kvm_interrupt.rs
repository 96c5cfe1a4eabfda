//! `KVM_S390_INTERRUPT` and `KVM_S390_IRQ`: numbers, refusals, and what reaches an ordinary CPU's prefix area.

use uv_core::GuestAddr;
use uv_s390::host::{Guest, IoIrq, MpState};
use uv_s390::kvm::{
    Argument, Errno, Interrupt, IrqBlock, KvmPv, KvmRun, MchkInfo, PgmInfo, SyncFields, Target, capability, client,
    irq_type, pgm_flags, request,
};
use uv_s390::psw::Psw;
use uv_s390::sim::{Generation, GuestInsn};
use uv_sim::guest::Step;
use zerocopy::{FromZeros, IntoBytes};

use crate::interrupt::{EXTERNAL, IO, MACHINE_CHECK, WAIT};
use crate::ordinary::{diag, programs};
use crate::rig::Rig;

const START: u64 = 0x1_0000;

fn interrupt(guest: &Guest, target: Target, kind: u32, parm: u32, parm64: u64) -> Result<u64, Errno> {
    let mut block = Interrupt { kind: kind.into(), parm: parm.into(), parm64: parm64.into() };
    let mut argument = Argument { block: block.as_mut_bytes(), ..Argument::default() };
    guest.ioctl(target, request::INTERRUPT, &mut argument)
}

fn irq(guest: &Guest, kind: u64, payload: &[u8]) -> Result<u64, Errno> {
    let mut block = IrqBlock { kind: kind.into(), ..IrqBlock::new(0, payload) };
    let mut argument = Argument { block: block.as_mut_bytes(), ..Argument::default() };
    guest.ioctl(Target::Vcpu(0), request::IRQ, &mut argument)
}

#[test]
fn numbers_are_those_of_the_public_header() {
    assert_eq!((request::INTERRUPT, request::IRQ), (0x4010_ae94, 0x4048_aeb4));
    let types = [
        (irq_type::SIGP_STOP, 0xfffe_0000_u32),
        (irq_type::PROGRAM_INT, 0xfffe_0001),
        (irq_type::SIGP_SET_PREFIX, 0xfffe_0002),
        (irq_type::RESTART, 0xfffe_0003),
        (irq_type::INT_PFAULT_INIT, 0xfffe_0004),
        (irq_type::INT_PFAULT_DONE, 0xfffe_0005),
        (irq_type::MCHK, 0xfffe_1000),
        (irq_type::INT_CLOCK_COMP, 0xffff_1004),
        (irq_type::INT_CPU_TIMER, 0xffff_1005),
        (irq_type::INT_EMERGENCY, 0xffff_1201),
        (irq_type::INT_EXTERNAL_CALL, 0xffff_1202),
        (irq_type::INT_SERVICE, 0xffff_2401),
        (irq_type::INT_VIRTIO, 0xffff_2603),
        (irq_type::io(true, 0xfe, 3, 0x1234), 0x07fb_1234),
    ];
    assert!(types.iter().all(|(ours, theirs)| ours == theirs), "{types:x?}");
    let block = IrqBlock::new(irq_type::INT_EMERGENCY, &[0, 7]);
    assert_eq!(block.as_bytes()[..10], [0, 0, 0, 0, 0xff, 0xff, 0x12, 0x01, 0, 7]);
    let io = Interrupt::io(IoIrq { subchannel_id: 1, subchannel_nr: 2, parameter: 3, word: 4 });
    assert_eq!(io.as_bytes(), [0, 0, 0, 2, 0, 1, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4]);
}

#[test]
fn what_is_refused_for_the_vm() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(1);
    assert_eq!(client::has_capability(&*guest, capability::INJECT_IRQ), Ok(true));
    for number in [request::INTERRUPT, request::IRQ] {
        let mut short = Argument { block: &mut [0; 15], ..Argument::default() };
        assert_eq!(guest.ioctl(Target::Vcpu(0), number, &mut short), Err(Errno::EFAULT));
    }
    let mut short = Argument { block: &mut [0; 15], ..Argument::default() };
    assert_eq!(guest.ioctl(Target::Vm, request::INTERRUPT, &mut short), Err(Errno::EFAULT));
    assert_eq!(guest.ioctl(Target::Vm, request::IRQ, &mut short), Err(Errno::ENOTTY));
    let vm = |kind| interrupt(&guest, Target::Vm, kind, 0, 0);
    for kind in [
        irq_type::SIGP_STOP,
        irq_type::PROGRAM_INT,
        irq_type::SIGP_SET_PREFIX,
        irq_type::RESTART,
        irq_type::INT_PFAULT_INIT,
        irq_type::INT_CLOCK_COMP,
        irq_type::INT_CPU_TIMER,
        irq_type::INT_EMERGENCY,
        irq_type::INT_EXTERNAL_CALL,
        0xfffe_0006,
        0xffff_ffff,
    ] {
        assert_eq!(vm(kind), Err(Errno::EINVAL), "{kind:#x}");
    }
    for kind in [irq_type::INT_SERVICE, irq_type::INT_VIRTIO, irq_type::INT_PFAULT_DONE, irq_type::MCHK, 0, 0xfffd_ffff]
    {
        assert_eq!(vm(kind), Ok(0), "{kind:#x}");
    }
    let room = |kind, most: usize| {
        guest.clear_floating_interruptions();
        assert!((0..most).all(|_| vm(kind) == Ok(0)), "{kind:#x}");
        assert_eq!(vm(kind), Err(Errno::EBUSY));
    };
    room(irq_type::INT_VIRTIO, 87_381);
    room(irq_type::INT_PFAULT_DONE, 16_320);
    room(irq_type::io(false, 0, 0, 0), 266_250);
    guest.enable().unwrap();
    assert_eq!(vm(irq_type::INT_VIRTIO), Err(Errno::EINVAL), "its prefix area is out of reach");
    assert_eq!(vm(irq_type::INT_PFAULT_DONE), Err(Errno::EINVAL));
}

#[test]
fn what_is_refused_for_a_cpu() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(2);
    guest.set_mp_state(0, MpState::Operating).unwrap();
    let old = |kind, parm| interrupt(&guest, Target::Vcpu(0), kind, parm, 0);
    let new = |kind: u32, payload: &[u8]| irq(&guest, kind.into(), payload);
    for kind in [
        irq_type::INT_SERVICE,
        irq_type::INT_VIRTIO,
        irq_type::INT_PFAULT_DONE,
        irq_type::INT_PFAULT_INIT,
        irq_type::SIGP_SET_PREFIX,
        irq_type::io(false, 0, 0, 1),
        0xffff_ffff,
    ] {
        assert_eq!((old(kind, 0), new(kind, &[])), (Err(Errno::EINVAL), Err(Errno::EINVAL)), "{kind:#x}");
    }
    assert_eq!(irq(&guest, 1 << 32 | 0xfffe_0003, &[]), Err(Errno::EINVAL), "64 bits count");
    assert_eq!(interrupt(&guest, Target::Vcpu(9), irq_type::RESTART, 0, 0), Err(Errno::EINVAL));
    for kind in [irq_type::PROGRAM_INT, irq_type::INT_EXTERNAL_CALL, irq_type::INT_EMERGENCY] {
        assert_eq!(old(kind, 0x1_0000), Err(Errno::EINVAL), "{kind:#x}");
    }
    for kind in [irq_type::INT_EXTERNAL_CALL, irq_type::INT_EMERGENCY] {
        assert_eq!((old(kind, 2), new(kind, &[0, 2])), (Err(Errno::EINVAL), Err(Errno::EINVAL)), "no such source");
    }
    assert_eq!((old(irq_type::INT_EMERGENCY, 1), new(irq_type::INT_EMERGENCY, &[0, 1])), (Ok(0), Ok(0)));
    assert_eq!(old(irq_type::INT_EXTERNAL_CALL, 1), Ok(0));
    assert_eq!(new(irq_type::INT_EXTERNAL_CALL, &[0, 0]), Err(Errno::EBUSY));
    assert_eq!(
        (old(irq_type::SIGP_STOP, 1), new(irq_type::SIGP_STOP, &[0, 0, 0, 2])),
        (Err(Errno::EINVAL), Err(Errno::EINVAL))
    );
    assert_eq!((old(irq_type::SIGP_STOP, 0), new(irq_type::SIGP_STOP, &[])), (Ok(0), Err(Errno::EBUSY)));
    for kind in [irq_type::RESTART, irq_type::INT_CLOCK_COMP, irq_type::INT_CPU_TIMER, irq_type::MCHK] {
        assert_eq!((old(kind, 0), new(kind, &[])), (Ok(0), Ok(0)), "{kind:#x}");
    }
}

/// Stores a new PSW for each class: the address tells the class.
fn new_psws(guest: &Guest, mask: u64) {
    for new in [0x1a0, 0x1b0, 0x1d0, 0x1e0, 0x1f0] {
        guest.storage().write(GuestAddr(0x4000 + new), Psw::new(mask, 0x1000 * new).as_bytes()).expect("storage");
    }
}

fn lowcore<const N: usize>(guest: &Guest, offset: u64) -> [u8; N] {
    let mut bytes = [0; N];
    guest.storage().read(GuestAddr(0x4000 + offset), &mut bytes).expect("storage");
    bytes
}

/// An ordinary CPU at `START`, with everything open.
fn area() -> KvmRun {
    let mut area = KvmRun::new();
    area.set_psw(Psw::new(EXTERNAL | IO | MACHINE_CHECK, START));
    area.regs.prefix = 0x4000.into();
    (area.regs.crs[0], area.regs.crs[6], area.regs.crs[14]) = (0x6e00.into(), 0xff00_0000.into(), 0x1f00_0000.into());
    area.kvm_dirty_regs = (SyncFields::PREFIX | SyncFields::CRS).bits().into();
    area
}

#[test]
fn an_ordinary_cpu_finds_its_interruptions_in_the_prefix_area() {
    let rig = Rig::new(Generation::Z17);
    let io = IoIrq { subchannel_id: 1, subchannel_nr: 0x203, parameter: 0x0405_0607, word: 0x3800_0001 };
    let pgm = PgmInfo {
        code: 0x11.into(),
        trans_exc_code: 0x5004.into(),
        exc_access_id: 1,
        op_access_id: 2,
        ..PgmInfo::new_zeroed()
    };
    let mchk = MchkInfo {
        cr14: (1 << 26).into(),
        mcic: (1 << 58 | 1 << 38 | 1 << 27).into(),
        failing_storage_address: 0x9000.into(),
        ext_damage_code: 8.into(),
        pad: 0.into(),
        fixed_logout: [0xf1; 16],
    };
    let inject: [(u64, &dyn Fn(&Guest) -> Result<(), Errno>); 9] = [
        (0x1a0, &|guest| client::inject_restart(guest, 0)),
        (0x1b0, &|guest| client::inject_cpu(guest, 0, IrqBlock::new(irq_type::INT_EMERGENCY, &[0, 1]))),
        (0x1b0, &|guest| client::inject_cpu(guest, 0, IrqBlock::new(irq_type::INT_CLOCK_COMP, &[]))),
        (0x1b0, &|guest| client::inject_service(guest, 0x1238)),
        (0x1b0, &|guest| {
            client::inject(guest, Interrupt { kind: irq_type::INT_VIRTIO.into(), parm: 9.into(), parm64: 10.into() })
        }),
        (0x1b0, &|guest| {
            client::inject(
                guest,
                Interrupt { kind: irq_type::INT_PFAULT_DONE.into(), parm: 0.into(), parm64: 11.into() },
            )
        }),
        (0x1d0, &|guest| client::inject_program(guest, 0, pgm)),
        (0x1e0, &|guest| client::inject_machine_check(guest, 0, mchk)),
        (0x1f0, &|guest| client::inject_io(guest, io)),
    ];
    for (n, (class, inject)) in inject.into_iter().enumerate() {
        let guest = rig.guest(2);
        new_psws(&guest, 0);
        let first = vec![diag(0x500, [0; 5]), WAIT];
        let seen = programs(&rig, &guest, 0, vec![first, vec![diag(0x500, [0, 9, 9, 9, 9])]]);
        let mut area = area();
        area.set_gr(13, 0x33);
        area.regs.acrs[15] = 0xaf.into();
        area.regs.vrs[15][0] = 0xf15.into();
        area.regs.fpc = 0xfc.into();
        client::run(&*guest, 0, &mut area).expect("an exit");
        inject(&guest).expect("room");
        client::run(&*guest, 0, &mut area).expect("an exit");
        assert_eq!((area.gr(1), area.psw_addr.get()), (9, 0x1000 * class + 4), "case {n}: the new program's");
        assert_eq!(seen.lock().expect("one thread").len(), 2);
        let old = lowcore::<16>(&guest, class - 0x80);
        let nullified = if class == 0x1d0 { START } else { START + 4 };
        assert_eq!(old, *Psw::new(EXTERNAL | IO | MACHINE_CHECK, nullified).as_bytes(), "case {n}");
        let code = |code: u16, cpu: u16| {
            assert_eq!(lowcore::<4>(&guest, 0x84), (u32::from(cpu) << 16 | u32::from(code)).to_be_bytes(), "case {n}");
        };
        match n {
            1 => code(0x1201, 1),
            2 => code(0x1004, 0),
            3 => {
                code(0x2401, 0);
                assert_eq!(lowcore::<4>(&guest, 0x80), [0, 0, 0x12, 0x38]);
            }
            4 => {
                code(0x2603, 0x0d00);
                assert_eq!((lowcore::<4>(&guest, 0x80)[3], lowcore::<8>(&guest, 0x11b8)[7]), (9, 10));
            }
            5 => {
                code(0x2603, 0x0680);
                assert_eq!(lowcore::<8>(&guest, 0x11b8)[7], 11);
            }
            6 => {
                assert_eq!(lowcore::<4>(&guest, 0x8c), [0, 4, 0, 0x11], "length of the intercepted instruction");
                assert_eq!(lowcore::<8>(&guest, 0xa8)[6..], [0x50, 0x04]);
                assert_eq!((lowcore::<1>(&guest, 0xa0), lowcore::<1>(&guest, 0xa2)), ([1], [2]));
                assert_eq!(lowcore::<8>(&guest, 0x110)[7], 1, "breaking-event address");
            }
            7 => {
                assert_eq!(lowcore::<8>(&guest, 0xe8), (1_u64 << 58).to_be_bytes(), "nothing extended");
                assert_eq!((lowcore::<4>(&guest, 0xf4)[3], lowcore::<8>(&guest, 0xf8)[6]), (8, 0x90));
                assert_eq!((lowcore::<1>(&guest, 0xa3), lowcore::<16>(&guest, 0x1300)), ([1], [0xf1; 16]));
                assert_eq!(lowcore::<8>(&guest, 0x1200 + 15 * 8)[6..], [0x0f, 0x15]);
                assert_eq!((lowcore::<8>(&guest, 0x1280 + 13 * 8)[7], lowcore::<4>(&guest, 0x131c)[3]), (0x33, 0xfc));
                assert_eq!(lowcore::<4>(&guest, 0x1340 + 15 * 4)[3], 0xaf);
                assert_eq!(lowcore::<8>(&guest, 0x1380)[6..], [0x6e, 0]);
            }
            8 => assert_eq!(lowcore::<12>(&guest, 0xb8), [0, 1, 2, 3, 4, 5, 6, 7, 0x38, 0, 0, 1]),
            _ => {}
        }
    }
}

#[test]
fn new_psws_decide_what_comes_next() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(2);
    // Nested: an external interruption whose new PSW is open for I/O is interrupted before its first instruction.
    new_psws(&guest, IO);
    let programs = programs(&rig, &guest, 0, vec![vec![diag(0x500, [0; 5])], vec![WAIT, Step::Call(GuestInsn::Wait)]]);
    let mut area = area();
    client::run(&*guest, 0, &mut area).unwrap();
    client::inject_cpu(&*guest, 0, IrqBlock::new(irq_type::INT_EXTERNAL_CALL, &[0, 1])).unwrap();
    client::inject_cpu(&*guest, 0, IrqBlock::new(irq_type::INT_EMERGENCY, &[0, 1])).unwrap();
    client::inject_io(&*guest, IoIrq { word: 5 << 27, ..IoIrq::default() }).unwrap();
    assert_eq!(client::run(&*guest, 0, &mut area), Err(Errno::EINTR), "a wait that is open for I/O");
    assert_eq!(lowcore::<16>(&guest, 0x170), *Psw::new(IO, 0x1b_0000).as_bytes(), "interrupted");
    assert_eq!(lowcore::<4>(&guest, 0x84), [0, 1, 0x12, 0x01]);
    assert_eq!(programs.lock().unwrap().len(), 2);
    assert_eq!(area.psw_addr.get(), 0x1f_0004);
    // The external call is still pending: it comes when the guest opens its mask again.
    area.psw_mask = EXTERNAL.into();
    client::run(&*guest, 0, &mut area).unwrap();
    assert_eq!(lowcore::<4>(&guest, 0x84), [0, 1, 0x12, 0x02]);

    // Without storage at the prefix area there is nowhere to deliver it.
    area.psw_mask = EXTERNAL.into();
    area.regs.prefix = 0x4000_0000.into();
    area.kvm_dirty_regs = SyncFields::PREFIX.bits().into();
    client::inject_restart(&*guest, 0).unwrap();
    assert_eq!(client::run(&*guest, 0, &mut area), Err(Errno::EFAULT));
}

#[test]
fn program_interruptions_of_an_ordinary_cpu() {
    let rig = Rig::new(Generation::Z17);
    let cases: [(u16, u8, u64, u64, usize); 6] = [
        (0x06, 0, START + 4, 0, 0),
        (0x40, 0, START + 4, 0xb0, 8),
        (0x07, 0, START + 4, 0x90, 4),
        (0x20, 0, START, 0xa8, 8),
        (0x20, pgm_flags::NO_REWIND, START + 4, 0xa8, 8),
        (0x2b, pgm_flags::ILC_VALID | 6, START - 2, 0xa0, 1),
    ];
    for (code, flags, old, field, len) in cases {
        let guest = rig.guest(1);
        new_psws(&guest, 0);
        programs(&rig, &guest, 0, vec![vec![diag(0x500, [0; 5])], vec![diag(0x500, [0; 5])]]);
        let mut area = area();
        client::run(&*guest, 0, &mut area).unwrap();
        let all = PgmInfo {
            trans_exc_code: u64::MAX.into(),
            mon_code: u64::MAX.into(),
            data_exc_code: u32::MAX.into(),
            exc_access_id: 0xff,
            per_code: 0x80,
            per_atmid: 0x40,
            per_address: 0x77.into(),
            per_access_id: 3,
            code: code.into(),
            flags,
            ..PgmInfo::new_zeroed()
        };
        let per = PgmInfo { code: 0x80.into(), ..all };
        client::inject_program(&*guest, 0, PgmInfo { per_address: 0.into(), per_code: 0, ..all }).unwrap();
        client::inject_program(&*guest, 0, per).unwrap();
        client::run(&*guest, 0, &mut area).unwrap();
        assert_eq!(lowcore::<2>(&guest, 0x8e), (code | 0x80).to_be_bytes(), "together");
        assert_eq!(lowcore::<8>(&guest, 0x158), old.to_be_bytes(), "{code:#x}");
        assert_eq!((lowcore::<2>(&guest, 0x96), lowcore::<8>(&guest, 0x98)[7]), ([0x80, 0x40], 0x77));
        assert!(lowcore::<8>(&guest, field)[..len].iter().all(|byte| *byte == 0xff), "{code:#x}");
    }
}
