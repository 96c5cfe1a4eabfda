//! Making interruptions pending.

use zerocopy::IntoBytes;

use super::super::interrupt::{Interrupt, IrqBlock, MchkInfo, PgmInfo, irq_type};
use super::super::{Argument, KvmPv, Target, request};
use crate::abi::Errno;
use crate::hypervisor::kernel::IoIrq;

/// Makes a floating interruption pending.
///
/// # Errors
/// The error number: EINVAL for a type that does not float; EBUSY when too many are pending.
pub fn inject(kvm: &dyn KvmPv, interrupt: Interrupt) -> Result<(), Errno> {
    let mut block = interrupt;
    let mut argument = Argument { block: block.as_mut_bytes(), ..Argument::default() };
    kvm.ioctl(Target::Vm, request::INTERRUPT, &mut argument).map(|_| ())
}

/// Makes a service signal pending: the answer to a SERVC (address of the SCCB; for a protected guest 0x4000, which stands for the
/// address), and 1 for events.
///
/// # Errors
/// As [`inject`].
pub fn inject_service(kvm: &dyn KvmPv, parameter: u32) -> Result<(), Errno> {
    let kind = irq_type::INT_SERVICE.into();
    inject(kvm, Interrupt { kind, parm: parameter.into(), parm64: 0.into() })
}

/// Makes an I/O interruption pending.
///
/// # Errors
/// As [`inject`].
pub fn inject_io(kvm: &dyn KvmPv, irq: IoIrq) -> Result<(), Errno> {
    inject(kvm, Interrupt::io(irq))
}

/// Makes an interruption of a vCPU pending.
///
/// # Errors
/// The error number: EINVAL for a type that is not a vCPU's, an unknown source, unknown flags; EBUSY for an external call or a
/// stop while one is pending.
pub fn inject_cpu(kvm: &dyn KvmPv, cpu: u16, irq: IrqBlock) -> Result<(), Errno> {
    let mut block = irq;
    let mut argument = Argument { block: block.as_mut_bytes(), ..Argument::default() };
    kvm.ioctl(Target::Vcpu(cpu), request::IRQ, &mut argument).map(|_| ())
}

/// Makes a restart of a vCPU pending.
///
/// # Errors
/// As [`inject_cpu`].
pub fn inject_restart(kvm: &dyn KvmPv, cpu: u16) -> Result<(), Errno> {
    inject_cpu(kvm, cpu, IrqBlock::new(irq_type::RESTART, &[]))
}

/// Makes a program interruption pending, for the instruction that the vCPU was intercepted with. For a protected vCPU the next run
/// refuses with EINVAL every code but 0x06 and 0x15.
///
/// # Errors
/// As [`inject_cpu`].
pub fn inject_program(kvm: &dyn KvmPv, cpu: u16, program: PgmInfo) -> Result<(), Errno> {
    inject_cpu(kvm, cpu, IrqBlock::new(irq_type::PROGRAM_INT, program.as_bytes()))
}

/// Makes a machine check of a vCPU pending.
///
/// # Errors
/// As [`inject_cpu`].
pub fn inject_machine_check(kvm: &dyn KvmPv, cpu: u16, check: MchkInfo) -> Result<(), Errno> {
    inject_cpu(kvm, cpu, IrqBlock::new(irq_type::MCHK, check.as_bytes()))
}
