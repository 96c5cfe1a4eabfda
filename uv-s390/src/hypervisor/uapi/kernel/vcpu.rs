//! ioctls of a vCPU.

use super::super::{PvCommand, Target, capability, request};
use super::copy::{from_user, to_user};
use super::extension::check_system;
use super::{capabilities, dump, interrupt, irq_state, mem_op, one_reg, run};
use crate::abi::Errno;
use crate::abi::psw::Psw;
use crate::hypervisor::kernel::Vm;
use crate::hypervisor::kernel::{CpuReset, HostError, MpState, StatusPlace};
use crate::hypervisor::uapi::{Argument, PvCmd};
use zerocopy::byteorder::big_endian::U32;

pub(super) fn ioctl(guest: &Vm, cpu: u16, number: u32, argument: &mut Argument<'_>) -> Result<u64, Errno> {
    match number {
        // An interruption can be injected while the CPU runs.
        request::INTERRUPT => interrupt::local(guest, cpu, argument),
        request::IRQ => interrupt::one(guest, cpu, argument),
        _ => guest.with_cpu(cpu, || held(guest, cpu, number, argument)),
    }
}

/// `KVM_CREATE_VCPU`: where a file descriptor would be, the number.
///
/// | # | condition | result |
/// |---|---|---|
/// | 1 | a number that an extended SCA or the machine does not have | EINVAL |
/// | 2 | a number that is taken | EEXIST |
/// | 3 | no storage | ENOMEM |
/// | 4 | the VM is protected, and the Ultravisor refuses the CPU | EIO |
pub(super) fn create(guest: &Vm, number: u64) -> Result<u64, Errno> {
    if number >= check_system(guest.host(), capability::MAX_VCPU_ID) {
        return Err(Errno::EINVAL);
    }
    let cpu = u16::try_from(number).map_err(|_| Errno::EINVAL)?;
    guest.add_cpu(cpu).map(|()| number).map_err(|error| match error {
        HostError::Cpu(_) => Errno::EEXIST,
        HostError::NoStorage(_) => Errno::ENOMEM,
        HostError::Call(_) => Errno::EIO,
        _ => Errno::EINVAL,
    })
}

/// With the vCPU held: no two ioctls work on one CPU, and none on one that is being converted.
fn held(guest: &Vm, cpu: u16, number: u32, argument: &mut Argument<'_>) -> Result<u64, Errno> {
    match number {
        request::NORMAL_RESET => reset(guest, cpu, CpuReset::Normal),
        request::INITIAL_RESET => reset(guest, cpu, CpuReset::Initial),
        request::CLEAR_RESET => reset(guest, cpu, CpuReset::Clear),
        request::GET_MP_STATE => {
            let stopped = guest.is_stopped(cpu).map_err(|_| Errno::EINVAL)?;
            let state = if stopped { MpState::Stopped } else { MpState::Operating };
            to_user(argument.block, &U32::new(state.into())).map(|()| 0)
        }
        request::SET_MP_STATE => set_mp_state(guest, cpu, from_user::<U32>(argument.block)?.get()),
        request::MEM_OP => mem_op::vcpu(guest, cpu, argument),
        request::PV_CPU_COMMAND => pv_cpu_command(guest, cpu, argument),
        request::RUN => run::run(guest, cpu, argument),
        request::ENABLE_CAP => capabilities::enable(guest, Target::Vcpu(cpu), argument),
        request::STORE_STATUS => store_status(guest, cpu, argument.value),
        request::SET_INITIAL_PSW => set_initial_psw(guest, cpu, argument),
        request::GET_IRQ_STATE => irq_state::get(guest, cpu, argument),
        request::SET_IRQ_STATE => irq_state::set(guest, cpu, argument),
        request::GET_ONE_REG => one_reg::get(guest, cpu, argument),
        request::SET_ONE_REG => one_reg::set(guest, cpu, argument),
        _ => Err(Errno::ENOTTY),
    }
}

/// `KVM_S390_STORE_STATUS`: at absolute 0 for the value -1, in the prefix area for -2, else the save areas alone at the address.
/// EFAULT without storage there. Of a protected CPU, what the kernel sees.
fn store_status(guest: &Vm, cpu: u16, place: u64) -> Result<u64, Errno> {
    let place = match place {
        u64::MAX => StatusPlace::Absolute,
        0xffff_ffff_ffff_fffe => StatusPlace::Prefixed,
        address => StatusPlace::At(address),
    };
    guest.store_status(cpu, place).map(|()| 0).map_err(|error| match error {
        HostError::Cpu(_) => Errno::EINVAL,
        _ => Errno::EFAULT,
    })
}

/// `KVM_S390_SET_INITIAL_PSW`: EBUSY unless the CPU is stopped. The next run takes the PSW of its `kvm_run` area: user space
/// sets it there too, with [`KvmRun::set_psw`](crate::hypervisor::uapi::KvmRun::set_psw), as the kernel does where the area is mapped.
fn set_initial_psw(guest: &Vm, cpu: u16, argument: &Argument<'_>) -> Result<u64, Errno> {
    let psw: Psw = from_user(argument.block)?;
    if !guest.is_stopped(cpu).map_err(|_| Errno::EINVAL)? {
        return Err(Errno::EBUSY);
    }
    if !guest.is_cpu_protected(cpu) {
        guest.change_registers(cpu, |_, state| state.psw = psw).map_err(|_| Errno::EINVAL)?;
    }
    Ok(0)
}

fn reset(guest: &Vm, cpu: u16, kind: CpuReset) -> Result<u64, Errno> {
    guest.reset_cpu(cpu, kind).map(|()| 0).map_err(|_| Errno::EINVAL)
}

/// ENXIO for check-stop, for an unknown state, and for load on a CPU that is not protected; EINVAL when refused.
fn set_mp_state(guest: &Vm, cpu: u16, state: u32) -> Result<u64, Errno> {
    guest.take_cpu_states();
    let state = MpState::try_from(state).map_err(|_| Errno::ENXIO)?;
    if state == MpState::CheckStop {
        return Err(Errno::ENXIO);
    }
    guest.set_mp_state(cpu, state).map(|()| 0).map_err(|error| match error {
        HostError::NotProtected => Errno::ENXIO,
        _ => Errno::EINVAL,
    })
}

/// `KVM_S390_PV_CPU_COMMAND`: dump only. EINVAL when the CPU is not protected or flags are set.
fn pv_cpu_command(guest: &Vm, cpu: u16, argument: &mut Argument<'_>) -> Result<u64, Errno> {
    let mut cmd: PvCmd = from_user(argument.block)?;
    if !guest.is_cpu_protected(cpu) || cmd.flags.get() != 0 {
        return Err(Errno::EINVAL);
    }
    let result = match PvCommand(cmd.cmd.get()) {
        PvCommand::DUMP => dump::cpu(guest, cpu, &mut cmd, argument),
        _ => Err(Errno::EINVAL),
    };
    to_user(argument.block, &cmd)?;
    result.map(|()| 0)
}
