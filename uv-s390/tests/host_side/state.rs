//! What user space reads and sets of a vCPU's state: pending interruptions, status, first PSW.

use uv_core::GuestAddr;
use uv_s390::abi::Errno;
use uv_s390::abi::psw::Psw;
use uv_s390::hypervisor::kernel::{Irq, MachineCheckIrq, ProgramIrq};
use uv_s390::hypervisor::uapi::{
    Argument, IrqBlock, IrqState, KvmPv, KvmRun, STOP_FLAG_STORE_STATUS, Target, client, irq_type, request,
};
use uv_s390::sim::Generation;
use zerocopy::{FromZeros, IntoBytes};

use crate::rig::Rig;

fn all() -> [Irq; 9] {
    let check = MachineCheckIrq {
        cr14: 1 << 26,
        mcic: 1 << 63 | 1 << 58,
        failing_address: 9,
        external_damage: 8,
        fixed_logout: [7; 16],
    };
    let program = ProgramIrq {
        code: 0x91,
        length: Some(4),
        no_rewind: true,
        translation: 0x1_0001,
        monitor_code: 2,
        monitor_class: 3,
        data: 4,
        per_code: 5,
        per_atmid: 6,
        per_address: 7,
        per_access: 8,
        exception_access: 9,
        operand_access: 10,
    };
    [
        Irq::Restart,
        Irq::StopAndStoreStatus,
        Irq::CpuTimer,
        Irq::ClockComparator,
        Irq::ExternalCall { source: 1 },
        Irq::Program(program),
        Irq::MachineCheck(check),
        Irq::Emergency { source: 0 },
        Irq::Emergency { source: 1 },
    ]
}

#[test]
fn pending_interruptions_are_saved_and_set_again() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(2);
    assert_eq!(client::get_irq_state(&*guest, 0, 1), Ok(vec![]));
    let blocks: Vec<_> = all().iter().map(IrqBlock::of).collect();
    guest.set_mp_state(0, uv_s390::hypervisor::kernel::MpState::Operating).unwrap();
    client::set_irq_state(&*guest, 0, &blocks).unwrap();
    assert_eq!(guest.pending_interruptions(0).unwrap(), all());
    assert_eq!(client::get_irq_state(&*guest, 0, 9), Ok(blocks.clone()));
    assert_eq!(client::get_irq_state(&*guest, 0, 8), Err(Errno::ENOBUFS));
    assert_eq!(client::get_irq_state(&*guest, 0, 0), Err(Errno::EINVAL));
    assert_eq!(client::set_irq_state(&*guest, 0, &blocks), Err(Errno::EBUSY));
    assert_eq!(blocks[1].payload[..4], STOP_FLAG_STORE_STATUS.to_be_bytes());
    assert_eq!((blocks[5].payload[28..30].to_vec(), blocks[5].payload[37]), (vec![0, 0x91], 0x0d));

    // A protected CPU's are the kernel's just as well.
    let other = rig.guest(2);
    other.enable().unwrap();
    client::set_irq_state(&*other, 1, &blocks[..1]).unwrap();
    assert_eq!(client::get_irq_state(&*other, 1, 9), Ok(blocks[..1].to_vec()));
}

#[test]
fn what_is_refused_as_pending_state() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(2);
    let set = |len: u32, data: &mut [u8]| {
        let mut block = IrqState { len: len.into(), ..IrqState::new_zeroed() };
        let mut argument = Argument { block: block.as_mut_bytes(), data, ..Argument::default() };
        guest.ioctl(Target::Vcpu(0), request::SET_IRQ_STATE, &mut argument)
    };
    let mut bytes = vec![0; 72 * 288];
    assert_eq!(
        (set(0, &mut bytes), set(71, &mut bytes), set(73, &mut bytes)),
        (Err(Errno::EINVAL), Err(Errno::EINVAL), Err(Errno::EINVAL))
    );
    assert_eq!(set(72 * 288, &mut bytes), Err(Errno::EINVAL), "too many");
    assert_eq!(set(72 * 287, &mut bytes), Err(Errno::EINVAL), "of no type");
    assert_eq!(set(144, &mut bytes[..143]), Err(Errno::EFAULT));
    assert_eq!(guest.ioctl(Target::Vcpu(0), request::SET_IRQ_STATE, &mut Argument::default()), Err(Errno::EFAULT));
    let restart = IrqBlock::of(&Irq::Restart);
    let io = IrqBlock::of(&Irq::Io(uv_s390::hypervisor::kernel::IoIrq { subchannel_nr: 7, ..Default::default() }));
    assert_eq!(io.kind.get(), 7);
    assert_eq!(client::set_irq_state(&*guest, 0, &[restart, io, restart]), Err(Errno::EINVAL));
    assert_eq!(client::get_irq_state(&*guest, 0, 9), Ok(vec![restart]), "what came before it stays");
    assert_eq!(client::get_irq_state(&*guest, 9, 9), Err(Errno::EINVAL));
    let service = IrqBlock::of(&Irq::Service { parameter: 3 });
    assert_eq!((service.kind.get(), service.payload[3]), (irq_type::INT_SERVICE.into(), 3));
    let virtio = IrqBlock::of(&Irq::Virtio { parameter: 4, parameter64: 5 });
    assert_eq!((virtio.payload[3], virtio.payload[15]), (4, 5));
    assert_eq!(IrqBlock::of(&Irq::PfaultDone { token: 6 }).payload[8..16], 6_u64.to_be_bytes());
}

#[test]
fn status_is_stored_at_three_places() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(1);
    guest
        .change_registers(0, |registers, state| {
            registers.grs[15] = 0xf15;
            registers.vrs[15] = [0xf0f, 1];
            registers.ars[15] = 0xa15;
            registers.fpc = 0xfc;
            state.psw = Psw::new(1, 2);
            state.set_prefix_address(0x20_0000);
            (state.todpr, state.cpu_timer, state.clock_comparator) = (0x0d.into(), 0xc1.into(), 0xcc00.into());
            state.crs[15] = 0xc15.into();
        })
        .unwrap();
    let word = |at: u64| {
        let mut bytes = [0; 8];
        guest.storage().read(GuestAddr(at), &mut bytes).unwrap();
        u64::from_be_bytes(bytes)
    };
    let mode = |at: u64| word(at + 0xa0) >> 32 & 0xff;
    guest.storage().write(GuestAddr(0), &[0; 0x2000]).unwrap();
    for (place, base, with_mode) in [(u64::MAX, 0, 1), (u64::MAX - 1, 0x20_0000, 1), (0x30_1200, 0x30_0000, 0)] {
        client::store_status(&*guest, 0, place).unwrap();
        assert_eq!(mode(base), with_mode);
        let fields = [0x1278, 0x12f8, 0x1300, 0x1308, 0x1318, 0x1324, 0x1328, 0x1330, 0x1378, 0x13f8];
        let expected = [0xf0f, 0xf15, 1, 2, 0x0020_0000_0000_00fc, 0x0d_0000_0000, 0xc1, 0xcc, 0xa15, 0xc15];
        assert_eq!(fields.map(|at| word(base + at)), expected);
    }
    assert_eq!(client::store_status(&*guest, 0, 0x4000_0000), Err(Errno::EFAULT));
    assert_eq!(client::store_status(&*guest, 7, 0), Err(Errno::EINVAL));
}

#[test]
fn the_first_psw_is_for_a_stopped_cpu() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(1);
    let mut area = KvmRun::new();
    client::set_initial_psw(&*guest, 0, Psw::at(0x5000), &mut area).unwrap();
    assert_eq!((area.psw(), guest.state(0).unwrap().psw), (Psw::at(0x5000), Psw::at(0x5000)));
    guest.set_mp_state(0, uv_s390::hypervisor::kernel::MpState::Operating).unwrap();
    assert_eq!(client::set_initial_psw(&*guest, 0, Psw::at(0x6000), &mut area), Err(Errno::EBUSY));
    assert_eq!(area.psw(), Psw::at(0x5000));
    let mut argument = Argument { block: &mut [0; 15], ..Argument::default() };
    assert_eq!(guest.ioctl(Target::Vcpu(0), request::SET_INITIAL_PSW, &mut argument), Err(Errno::EFAULT));
    assert_eq!(client::set_initial_psw(&*guest, 9, Psw::at(0), &mut area), Err(Errno::EINVAL));
}
