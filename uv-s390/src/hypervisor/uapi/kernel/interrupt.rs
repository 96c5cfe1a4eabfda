//! `KVM_S390_INTERRUPT` (vm and vcpu) and `KVM_S390_IRQ` (vcpu).
//!
//! | # | condition | result |
//! |---|---|---|
//! | 1 | the argument is short | EFAULT |
//! | 2 | no such vCPU | EINVAL |
//! | 3 | a type that is not for the VM, or not for a vCPU | EINVAL |
//! | 4 | `KVM_S390_INTERRUPT` on a vCPU: program code or source with a bit in the upper half | EINVAL |
//! | 5 | stop with an unknown flag | EINVAL |
//! | 6 | unknown source | EINVAL |
//! | 7 | an external call or a stop is pending already; too many floating interruptions are; a new prefix for a CPU that is not stopped | EBUSY |
//!
//! Not served, and refused with EINVAL where the kernel takes them: INT_PFAULT_INIT, INT_VIRTIO and INT_PFAULT_DONE for a
//! protected VM.

use zerocopy::byteorder::big_endian::{U16, U32};

use super::super::interrupt::STOP_FLAG_STORE_STATUS;
use super::super::interrupt::{Interrupt, IrqBlock, MchkInfo, PgmInfo, irq_type};
use super::copy::from_user;
use crate::abi::Errno;
use crate::hypervisor::kernel::Vm;
use crate::hypervisor::kernel::{HostError, IoIrq, Irq, MachineCheckIrq, ProgramIrq};
use crate::hypervisor::uapi::Argument;

/// `KVM_S390_INTERRUPT` on the VM.
pub(super) fn floating(guest: &Vm, argument: &Argument<'_>) -> Result<u64, Errno> {
    let interrupt: Interrupt = from_user(argument.block)?;
    let (kind, parm, parm64) = (interrupt.kind.get(), interrupt.parm.get(), interrupt.parm64.get());
    let irq = match kind {
        irq_type::INT_VIRTIO => Irq::Virtio { parameter: parm, parameter64: parm64 },
        irq_type::INT_SERVICE => Irq::Service { parameter: parm },
        irq_type::INT_PFAULT_DONE => Irq::PfaultDone { token: parm64 },
        irq_type::MCHK => {
            Irq::MachineCheck(MachineCheckIrq { cr14: parm.into(), mcic: parm64, ..MachineCheckIrq::default() })
        }
        0..=irq_type::INT_IO_MAX => {
            let ((subchannel_id, subchannel_nr), (parameter, word)) = (halves(parm), words(parm64));
            Irq::Io(IoIrq { subchannel_id, subchannel_nr, parameter, word })
        }
        _ => return Err(Errno::EINVAL),
    };
    guest.inject(None, irq).map(|()| 0).map_err(errno)
}

/// The floating interruption that a block describes.
pub(super) fn floating_irq(block: &IrqBlock) -> Result<Irq, Errno> {
    let ext = block.read::<[u8; 16]>();
    let [p0, p1, p2, p3, _, _, _, _, q @ ..] = ext;
    let (parameter, parameter64) = (u32::from_be_bytes([p0, p1, p2, p3]), u64::from_be_bytes(q));
    Ok(match u32::try_from(block.kind.get()).map_err(|_| Errno::EINVAL)? {
        irq_type::INT_VIRTIO => Irq::Virtio { parameter, parameter64 },
        irq_type::INT_SERVICE => Irq::Service { parameter },
        irq_type::INT_PFAULT_DONE => Irq::PfaultDone { token: parameter64 },
        irq_type::MCHK => Irq::MachineCheck(block.read::<MchkInfo>().irq()),
        0..=irq_type::INT_IO_MAX => {
            let ((subchannel_id, subchannel_nr), [_, _, _, _, io @ ..]) = (halves(parameter), ext);
            let [a, b, c, d, e, f, g, h, ..] = io;
            let (parameter, word) = words(u64::from_be_bytes([a, b, c, d, e, f, g, h]));
            Irq::Io(IoIrq { subchannel_id, subchannel_nr, parameter, word })
        }
        _ => return Err(Errno::EINVAL),
    })
}

/// `KVM_S390_INTERRUPT` on a vCPU: the older form, with two parameters.
pub(super) fn local(guest: &Vm, cpu: u16, argument: &Argument<'_>) -> Result<u64, Errno> {
    let interrupt: Interrupt = from_user(argument.block)?;
    let (parm, parm64) = (interrupt.parm.get(), interrupt.parm64.get());
    let short = || u16::try_from(parm).map_err(|_| Errno::EINVAL);
    let irq = match interrupt.kind.get() {
        irq_type::PROGRAM_INT => Irq::Program(ProgramIrq { code: short()?, ..ProgramIrq::default() }),
        irq_type::SIGP_STOP => stop(parm)?,
        irq_type::SIGP_SET_PREFIX => Irq::SetPrefix { address: parm },
        irq_type::INT_EXTERNAL_CALL => Irq::ExternalCall { source: short()? },
        irq_type::INT_EMERGENCY => Irq::Emergency { source: short()? },
        irq_type::MCHK => Irq::MachineCheck(MachineCheckIrq { mcic: parm64, ..MachineCheckIrq::default() }),
        kind => without_payload(kind)?,
    };
    guest.inject(Some(cpu), irq).map(|()| 0).map_err(errno)
}

/// `KVM_S390_IRQ`.
pub(super) fn one(guest: &Vm, cpu: u16, argument: &Argument<'_>) -> Result<u64, Errno> {
    let block: IrqBlock = from_user(argument.block)?;
    guest.inject(Some(cpu), irq(&block)?).map(|()| 0).map_err(errno)
}

/// The interruption of a vCPU that a block describes.
pub(super) fn irq(block: &IrqBlock) -> Result<Irq, Errno> {
    Ok(match u32::try_from(block.kind.get()).map_err(|_| Errno::EINVAL)? {
        irq_type::PROGRAM_INT => Irq::Program(block.read::<PgmInfo>().irq()),
        irq_type::SIGP_STOP => stop(block.read::<U32>().get())?,
        irq_type::SIGP_SET_PREFIX => Irq::SetPrefix { address: block.read::<U32>().get() },
        irq_type::INT_EXTERNAL_CALL => Irq::ExternalCall { source: block.read::<U16>().get() },
        irq_type::INT_EMERGENCY => Irq::Emergency { source: block.read::<U16>().get() },
        irq_type::MCHK => Irq::MachineCheck(block.read::<MchkInfo>().irq()),
        kind => without_payload(kind)?,
    })
}

fn without_payload(kind: u32) -> Result<Irq, Errno> {
    match kind {
        irq_type::RESTART => Ok(Irq::Restart),
        irq_type::INT_CLOCK_COMP => Ok(Irq::ClockComparator),
        irq_type::INT_CPU_TIMER => Ok(Irq::CpuTimer),
        _ => Err(Errno::EINVAL),
    }
}

fn stop(flags: u32) -> Result<Irq, Errno> {
    match flags {
        0 => Ok(Irq::Stop),
        STOP_FLAG_STORE_STATUS => Ok(Irq::StopAndStoreStatus),
        _ => Err(Errno::EINVAL),
    }
}

pub(super) fn errno(error: HostError) -> Errno {
    match error {
        HostError::InterruptionPending => Errno::EBUSY,
        HostError::Access(_) => Errno::EFAULT,
        _ => Errno::EINVAL,
    }
}

fn halves(value: u32) -> (u16, u16) {
    let [a, b, c, d] = value.to_be_bytes();
    (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]))
}

fn words(value: u64) -> (u32, u32) {
    let [a, b, c, d, e, f, g, h] = value.to_be_bytes();
    (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]))
}
