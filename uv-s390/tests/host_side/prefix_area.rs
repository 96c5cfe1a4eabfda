//! Interruptions of ordinary CPUs, as they find them in their prefix areas.

use uv_core::GuestAddr;
use uv_s390::abi::Errno;
use uv_s390::abi::psw::Psw;
use uv_s390::hypervisor::kernel::{IoIrq, Vm};
use uv_s390::hypervisor::uapi::{
    Interrupt, IrqBlock, KvmRun, MchkInfo, PgmInfo, SyncFields, client, irq_type, pgm_flags,
};
use uv_s390::sim::{Generation, GuestInsn, InsnResult};
use uv_sim::guest::{Outcome, Step};
use zerocopy::{FromZeros, IntoBytes};

use crate::interrupt::{EXTERNAL, IO, MACHINE_CHECK, WAIT};
use crate::ordinary::{diag, outcomes, programs};
use crate::rig::Rig;

const START: u64 = 0x1_0000;

type Inject<'a> = &'a dyn Fn(&Vm) -> Result<(), Errno>;

/// Stores a new PSW for each class: the address tells the class.
fn new_psws(guest: &Vm, mask: u64) {
    for new in [0x1a0, 0x1b0, 0x1d0, 0x1e0, 0x1f0] {
        guest.storage().write(GuestAddr(0x4000 + new), Psw::new(mask, 0x1000 * new).as_bytes()).expect("storage");
    }
}

fn lowcore<const N: usize>(guest: &Vm, offset: u64) -> [u8; N] {
    let mut bytes = [0; N];
    guest.storage().read(GuestAddr(0x4000 + offset), &mut bytes).expect("storage");
    bytes
}

/// An ordinary CPU at `START`, with everything open.
fn opened() -> KvmRun {
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
    let inject: [(u64, Inject<'_>); 9] = [
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
        let mut area = opened();
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
    let mut area = opened();
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
        let mut area = opened();
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

#[test]
fn an_emergency_signal_of_an_ordinary_cpu_is_the_kernels() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(2);
    let sigp = |cpu| Step::Call(GuestInsn::Sigp { order: 3, cpu, parameter: 0 });
    let seen = programs(&rig, &guest, 0, vec![vec![sigp(1), sigp(2), diag(0x500, [0; 5])]]);
    let mut area = opened();
    client::run(&*guest, 0, &mut area).unwrap();
    assert_eq!(area.diagnose(), Some(0x500));
    let done = |cc| Outcome::Returned(InsnResult::Condition { cc, value: 0 });
    assert_eq!(outcomes(&seen, 0), [done(0), done(3)]);
    new_psws(&guest, 0);
    let mut other = opened();
    client::run(&*guest, 1, &mut other).unwrap();
    assert_eq!(lowcore::<4>(&guest, 0x84), [0, 0, 0x12, 0x01], "from CPU 0");
}
