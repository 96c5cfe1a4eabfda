//! `KVM_S390_INTERRUPT` and `KVM_S390_IRQ`: numbers and refusals.

use uv_s390::abi::Errno;
use uv_s390::hypervisor::kernel::{IoIrq, MpState, Vm};
use uv_s390::hypervisor::uapi::{Argument, Interrupt, IrqBlock, KvmPv, Target, capability, client, irq_type, request};
use uv_s390::sim::Generation;
use zerocopy::IntoBytes;

use crate::rig::Rig;

fn interrupt(guest: &Vm, target: Target, kind: u32, parm: u32, parm64: u64) -> Result<u64, Errno> {
    let mut block = Interrupt { kind: kind.into(), parm: parm.into(), parm64: parm64.into() };
    let mut argument = Argument { block: block.as_mut_bytes(), ..Argument::default() };
    guest.ioctl(target, request::INTERRUPT, &mut argument)
}

fn irq(guest: &Vm, kind: u64, payload: &[u8]) -> Result<u64, Errno> {
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
        (old(irq_type::SIGP_STOP, 3), new(irq_type::SIGP_STOP, &[0, 0, 0, 2])),
        (Err(Errno::EINVAL), Err(Errno::EINVAL))
    );
    let prefix = [0, 0, 0x80, 0];
    assert_eq!(
        (old(irq_type::SIGP_SET_PREFIX, 0x8000), new(irq_type::SIGP_SET_PREFIX, &prefix)),
        (Err(Errno::EBUSY), Err(Errno::EBUSY)),
        "not stopped"
    );
    assert_eq!((old(irq_type::SIGP_STOP, 0), new(irq_type::SIGP_STOP, &[])), (Ok(0), Err(Errno::EBUSY)));
    for kind in [irq_type::RESTART, irq_type::INT_CLOCK_COMP, irq_type::INT_CPU_TIMER, irq_type::MCHK] {
        assert_eq!((old(kind, 0), new(kind, &[])), (Ok(0), Ok(0)), "{kind:#x}");
    }
}
