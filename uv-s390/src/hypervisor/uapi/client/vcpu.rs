//! The ioctls of a vCPU.

use super::super::{Argument, IrqBlock, IrqState, KvmPv, KvmRun, MemOp, OneReg, RegId, Target, mem_op, request};
use crate::abi::Errno;
use crate::abi::psw::Psw;
use crate::hypervisor::kernel::MpState;
use alloc::vec;
use alloc::vec::Vec;
use core::mem::size_of;
use zerocopy::byteorder::big_endian::U32;
use zerocopy::{FromBytes, FromZeros, IntoBytes};

/// Sets the state of a vCPU.
///
/// # Errors
/// The error number.
pub fn set_mp_state(kvm: &dyn KvmPv, cpu: u16, state: MpState) -> Result<(), Errno> {
    let mut block = U32::new(state.into());
    let mut argument = Argument { block: block.as_mut_bytes(), ..Argument::default() };
    kvm.ioctl(Target::Vcpu(cpu), request::SET_MP_STATE, &mut argument).map(|_| ())
}

/// Resets a vCPU; `number` is one of the three reset requests.
///
/// # Errors
/// The error number.
pub fn reset_cpu(kvm: &dyn KvmPv, cpu: u16, number: u32) -> Result<(), Errno> {
    kvm.ioctl(Target::Vcpu(cpu), number, &mut Argument::default()).map(|_| ())
}

/// Runs a vCPU until user space has to act; why is in `area`.
///
/// # Errors
/// The error number: EINTR with [`ExitReason::INTR`](crate::hypervisor::uapi::ExitReason::INTR) when there is nothing to wait for; EINVAL for a
/// CPU that cannot run or that the machine refuses to enter; EFAULT for a page that is not there; EAGAIN while the Ultravisor is
/// busy.
pub fn run(kvm: &dyn KvmPv, cpu: u16, area: &mut KvmRun) -> Result<(), Errno> {
    let mut argument = Argument { block: area.as_mut_bytes(), ..Argument::default() };
    kvm.ioctl(Target::Vcpu(cpu), request::RUN, &mut argument).map(|_| ())
}

/// Reads a register of an ordinary vCPU.
///
/// # Errors
/// The error number.
pub fn get_one_reg(kvm: &dyn KvmPv, cpu: u16, id: RegId) -> Result<u64, Errno> {
    let mut value = [0; 8];
    let data = &mut value[8_usize.saturating_sub(id.size())..];
    one_reg(kvm, cpu, request::GET_ONE_REG, id, data)?;
    Ok(u64::from_be_bytes(value))
}

/// Sets a register of an ordinary vCPU, to as many of the last bytes of `value` as it has.
///
/// # Errors
/// The error number.
pub fn set_one_reg(kvm: &dyn KvmPv, cpu: u16, id: RegId, value: u64) -> Result<(), Errno> {
    let mut value = value.to_be_bytes();
    let data = &mut value[8_usize.saturating_sub(id.size())..];
    one_reg(kvm, cpu, request::SET_ONE_REG, id, data)
}

fn one_reg(kvm: &dyn KvmPv, cpu: u16, number: u32, id: RegId, data: &mut [u8]) -> Result<(), Errno> {
    let mut block = OneReg { id: id.0.into(), addr: 0.into() };
    let mut argument = Argument { value: 0, block: block.as_mut_bytes(), data, buffer: &mut [] };
    kvm.ioctl(Target::Vcpu(cpu), number, &mut argument).map(|_| ())
}

/// Reads the SIDA of a vCPU.
///
/// # Errors
/// The error number.
pub fn sida_read(kvm: &dyn KvmPv, cpu: u16, offset: u32, into: &mut [u8]) -> Result<(), Errno> {
    sida(kvm, cpu, mem_op::SIDA_READ, offset, into)
}

/// Writes the SIDA of a vCPU.
///
/// # Errors
/// The error number.
pub fn sida_write(kvm: &dyn KvmPv, cpu: u16, offset: u32, from: &[u8]) -> Result<(), Errno> {
    sida(kvm, cpu, mem_op::SIDA_WRITE, offset, &mut from.to_vec())
}

fn sida(kvm: &dyn KvmPv, cpu: u16, op: u32, offset: u32, data: &mut [u8]) -> Result<(), Errno> {
    let size = u32::try_from(data.len()).map_err(|_| Errno::E2BIG)?;
    let mut block = MemOp::sida(op, offset, size);
    let mut argument = Argument { value: 0, block: block.as_mut_bytes(), data, buffer: &mut [] };
    kvm.ioctl(Target::Vcpu(cpu), request::MEM_OP, &mut argument).map(|_| ())
}

/// What is pending for a vCPU, at most `room` interruptions.
///
/// # Errors
/// The error number: ENOBUFS when there are more; EINVAL without room.
pub fn get_irq_state(kvm: &dyn KvmPv, cpu: u16, room: usize) -> Result<Vec<IrqBlock>, Errno> {
    let mut bytes = vec![0; room.saturating_mul(size_of::<IrqBlock>())];
    let stored = irq_state(kvm, cpu, request::GET_IRQ_STATE, &mut bytes)?;
    let stored = usize::try_from(stored).map_err(|_| Errno::EFAULT)?;
    let blocks = bytes.get(..stored).ok_or(Errno::EFAULT)?.chunks_exact(size_of::<IrqBlock>());
    blocks.map(|block| IrqBlock::read_from_bytes(block).map_err(|_| Errno::EFAULT)).collect()
}

/// Makes interruptions pending for a vCPU that has none.
///
/// # Errors
/// The error number: EBUSY when something is pending; EINVAL for none at all, for too many, and as
/// [`inject_cpu`](super::inject_cpu).
pub fn set_irq_state(kvm: &dyn KvmPv, cpu: u16, irqs: &[IrqBlock]) -> Result<(), Errno> {
    irq_state(kvm, cpu, request::SET_IRQ_STATE, &mut irqs.as_bytes().to_vec()).map(|_| ())
}

fn irq_state(kvm: &dyn KvmPv, cpu: u16, number: u32, data: &mut [u8]) -> Result<u64, Errno> {
    let len = u32::try_from(data.len()).map_err(|_| Errno::EINVAL)?;
    let mut block = IrqState { len: len.into(), ..IrqState::new_zeroed() };
    let mut argument = Argument { value: 0, block: block.as_mut_bytes(), data, buffer: &mut [] };
    kvm.ioctl(Target::Vcpu(cpu), number, &mut argument)
}

/// Stores the status of a vCPU: `u64::MAX` for absolute 0, one less for its prefix area, else the 512 bytes at an address.
///
/// # Errors
/// The error number: EFAULT without storage there.
pub fn store_status(kvm: &dyn KvmPv, cpu: u16, place: u64) -> Result<(), Errno> {
    let mut argument = Argument { value: place, ..Argument::default() };
    kvm.ioctl(Target::Vcpu(cpu), request::STORE_STATUS, &mut argument).map(|_| ())
}

/// Sets the PSW of a stopped vCPU, in the kernel and in `area`.
///
/// # Errors
/// The error number: EBUSY when it is not stopped.
pub fn set_initial_psw(kvm: &dyn KvmPv, cpu: u16, psw: Psw, area: &mut KvmRun) -> Result<(), Errno> {
    let mut block = psw;
    let mut argument = Argument { block: block.as_mut_bytes(), ..Argument::default() };
    kvm.ioctl(Target::Vcpu(cpu), request::SET_INITIAL_PSW, &mut argument)?;
    area.set_psw(psw);
    Ok(())
}
