//! The kernel's side of the user API.

mod capabilities;
mod codes;
mod copy;
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
use crate::abi::uvcb::UvCommand;
use crate::hypervisor::kernel::Vm;
use copy::{from_user, to_user};
pub(super) use extension::check_system;

impl KvmPv for Vm {
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

fn vm(guest: &Vm, number: u32, argument: &mut Argument<'_>) -> Result<u64, Errno> {
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
fn pv_command(guest: &Vm, argument: &mut Argument<'_>) -> Result<u64, Errno> {
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
