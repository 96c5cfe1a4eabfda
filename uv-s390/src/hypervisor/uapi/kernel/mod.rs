//! The kernel's side of the user API.

mod capabilities;
mod cpu_model;
mod crypto;
mod dump;
mod eventfd;
mod extension;
mod flic;
mod image;
mod info;
mod interrupt;
mod irq_state;
mod life;
mod mem_ctrl;
mod mem_op;
mod memory;
mod model;
mod one_reg;
mod run;
mod tod;
mod vcpu;

use super::{Argument, KvmPv, PvCmd, PvCommand, Target, request};
use crate::abi::Errno;
use crate::abi::uvc::{UvRc, UvRrc};
use crate::abi::uvcb::UvCommand;
use crate::hypervisor::kernel::{Guest, HostError};
pub(super) use extension::check_system;
use zerocopy::{FromBytes, IntoBytes};

impl KvmPv for Guest {
    fn ioctl(&self, target: Target, number: u32, argument: &mut Argument<'_>) -> Result<u64, Errno> {
        let result = match target {
            Target::Vm => vm(self, number, argument),
            Target::Vcpu(cpu) => vcpu::ioctl(self, cpu, number, argument),
            Target::Flic => flic::ioctl(self, number, argument),
        };
        match request::name(number) {
            Some(request) => tracing::debug!(?target, request, ?result, "ioctl"),
            None => tracing::debug!(?target, request = format_args!("{number:#x}"), ?result, "ioctl"),
        }
        result
    }
}

fn vm(guest: &Guest, number: u32, argument: &mut Argument<'_>) -> Result<u64, Errno> {
    match number {
        request::CHECK_EXTENSION => Ok(extension::check(guest, argument.value)),
        request::ENABLE_CAP => capabilities::enable(guest, Target::Vm, argument),
        request::CREATE_IRQCHIP => capabilities::create_irqchip(guest),
        request::CREATE_DEVICE => flic::create(guest, argument),
        request::IRQFD => Err(Errno::EINVAL),
        request::SET_GSI_ROUTING => capabilities::set_routes(argument),
        request::IOEVENTFD => eventfd::assign(guest, argument),
        request::CREATE_VCPU => vcpu::create(guest, argument.value),
        request::PV_COMMAND => pv_command(guest, argument),
        request::SET_USER_MEMORY_REGION => memory::set_region(guest, argument),
        request::INTERRUPT => interrupt::floating(guest, argument),
        request::MEM_OP => mem_op::vm(guest, argument),
        request::GET_SKEYS => mem_op::get_skeys(guest, argument),
        request::SET_SKEYS => mem_op::set_skeys(guest, argument),
        request::SET_DEVICE_ATTR => model::set(guest, argument),
        request::GET_DEVICE_ATTR => model::get(guest, argument),
        request::HAS_DEVICE_ATTR => model::has(argument),
        _ => Err(Errno::ENOTTY),
    }
}

/// `KVM_S390_PV_COMMAND`. The block is copied back in any case, so the codes of a refusal reach user space. Whatever the
/// command, the CPU states are user space's from now on.
fn pv_command(guest: &Guest, argument: &mut Argument<'_>) -> Result<u64, Errno> {
    guest.take_cpu_states();
    let mut cmd: PvCmd = from_user(argument.block)?;
    let command = PvCommand(cmd.cmd.get());
    if cmd.flags.get() != 0 || !guest.host().has(UvCommand::INIT_UV) {
        return Err(Errno::EINVAL);
    }
    let result = match command {
        PvCommand::ENABLE => life::enable(guest, &mut cmd),
        PvCommand::DISABLE => life::disable(guest, &mut cmd),
        PvCommand::SET_SEC_PARMS => image::set_sec_parms(guest, &mut cmd, argument),
        PvCommand::UNPACK => image::unpack(guest, &mut cmd, argument),
        PvCommand::VERIFY => image::verify(guest, &mut cmd),
        PvCommand::PREP_RESET => life::prepare_reset(guest, &mut cmd),
        PvCommand::UNSHARE_ALL => life::unshare_all(guest, &mut cmd),
        PvCommand::INFO => info::info(guest, argument),
        PvCommand::DUMP => dump::vm(guest, &mut cmd, argument),
        PvCommand::ASYNC_CLEANUP_PREPARE => life::cleanup_prepare(guest, &mut cmd),
        PvCommand::ASYNC_CLEANUP_PERFORM => life::cleanup_perform(guest, &mut cmd),
        _ => Err(Errno::ENOTTY),
    };
    to_user(argument.block, &cmd)?;
    result.map(|()| 0)
}

/// Copies a structure in.
fn from_user<T: FromBytes>(bytes: &[u8]) -> Result<T, Errno> {
    T::read_from_prefix(bytes).map(|(value, _)| value).map_err(|_| Errno::EFAULT)
}

/// Copies a structure out.
fn to_user<T: IntoBytes + zerocopy::Immutable + ?Sized>(bytes: &mut [u8], value: &T) -> Result<(), Errno> {
    value.write_to_prefix(bytes).map_err(|_| Errno::EFAULT)
}

/// Puts the Ultravisor's codes into the block and turns a failure into an error number: a refusal into `refused`.
/// Without a call, the codes stay what user space sent.
fn finish<T>(cmd: &mut PvCmd, result: Result<T, HostError>, refused: Errno) -> Result<T, Errno> {
    match &result {
        Ok(_) => set_codes(cmd, UvRc::EXECUTED, UvRrc(0)),
        Err(HostError::Call(call)) => {
            if let Some(refusal) = call.refused() {
                set_codes(cmd, refusal.rc, refusal.rrc);
            }
        }
        Err(_) => {}
    }
    result.map_err(|error| match error {
        HostError::Call(_) => refused,
        HostError::NoStorage(_) => Errno::ENOMEM,
        HostError::Fault(_) | HostError::Access(_) => Errno::EFAULT,
        HostError::Stopped => Errno::EAGAIN,
        _ => Errno::EINVAL,
    })
}

fn set_codes(cmd: &mut PvCmd, rc: UvRc, rrc: UvRrc) {
    cmd.rc = rc.0.into();
    cmd.rrc = rrc.0.into();
}
