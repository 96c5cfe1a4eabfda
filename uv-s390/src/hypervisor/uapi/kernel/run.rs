//! `KVM_RUN`.

use super::super::run::{ExitReason, KvmRun, Sieic};
use super::super::sync::SyncFields;
use super::copy::{from_user, to_user};
use crate::abi::Errno;
use crate::abi::psw::{PSW_CC, Psw};
use crate::abi::sie::{ExecutionControl, StateDescription};
use crate::hypervisor::kernel::Vm;
use crate::hypervisor::kernel::{HostError, S390Exit, S390Vcpu};
use crate::hypervisor::uapi::Argument;
use alloc::sync::Arc;
use uv_core::Exit;

/// Runs the vCPU whose `kvm_run` area is the block. The area is copied back in any case.
///
/// | what happens | result |
/// |---|---|
/// | a dump is in progress | EINVAL |
/// | immediate exit | EINTR, the area as it was |
/// | unknown register groups; a stopped CPU whose state is user space's | EINVAL, the area as it was |
/// | an instruction or another interception that the kernel does not handle | KVM_EXIT_S390_SIEIC |
/// | DIAG 308 subcode 3 or 4 | KVM_EXIT_S390_RESET |
/// | TEST SUBCHANNEL, with a channel subsystem of user space | KVM_EXIT_S390_TSCH |
/// | STSI that user space wants to complete | KVM_EXIT_S390_STSI |
/// | a wait with all interruptions masked | KVM_EXIT_S390_SIEIC with code 0x1c |
/// | a wait that something ends which is pending | it is delivered, and the guest goes on |
/// | a wait that an interruption may end | EINTR with KVM_EXIT_INTR: nothing comes while this thread waits, so it is woken as by a signal |
/// | DIAG 0x44, 0x9c | the guest goes on |
/// | the process is to die, or a dump begins | EINTR with KVM_EXIT_INTR, before the next entry |
/// | an external call | the guest goes on: its machine has made the call pending, and the thread of the target finds it at its next run |
/// | SIGP, STSI, STHYI, TPI, other channel I/O without a channel subsystem | the guest goes on with the kernel's answer |
/// | a notification of SERVC | the guest goes on: the service signal is pending |
/// | an access of an ordinary guest outside memory | it goes on with an addressing exception |
/// | the unpin for an unshare is busy | EAGAIN |
/// | a program interruption that a protected CPU cannot take | EINVAL |
/// | a validity interception | EINVAL |
/// | an access of a protected guest outside memory | EINVAL: the addressing exception is one that it cannot take |
/// | memory that cannot become secure, or a page that the Ultravisor does not give | EFAULT |
pub(super) fn run(guest: &Vm, cpu: u16, argument: &mut Argument<'_>) -> Result<u64, Errno> {
    let mut area: KvmRun = from_user(argument.block)?;
    let result = enter(guest, cpu, &mut area);
    to_user(argument.block, &area)?;
    result.map(|()| 0)
}

fn enter(guest: &Vm, cpu: u16, area: &mut KvmRun) -> Result<(), Errno> {
    if guest.is_dumping() {
        return Err(Errno::EINVAL);
    }
    if area.immediate_exit != 0 {
        return Err(Errno::EINTR);
    }
    let known = SyncFields::all().bits();
    if (area.kvm_valid_regs.get() | area.kvm_dirty_regs.get()) & !known != 0 {
        return Err(Errno::EINVAL);
    }
    let guest: Arc<Vm> = guest.shared().ok_or(Errno::EINVAL)?;
    let mut vcpu = guest.vcpu(cpu).map_err(|_| Errno::EINVAL)?;
    if guest.has_user_cpu_states() && guest.is_stopped(cpu).map_err(|_| Errno::EINVAL)? {
        return Err(Errno::EINVAL);
    }
    let protected = guest.is_cpu_protected(cpu);
    take(area, &mut vcpu, protected).map_err(|_| Errno::EFAULT)?;
    let result = until_exit(&mut vcpu, area);
    give(area, &vcpu, protected).map_err(|_| Errno::EFAULT)?;
    result
}

/// Registers from user space. Of a protected CPU: the save area and the condition code; the marked groups as well, which the
/// Ultravisor does not take over.
fn take(area: &mut KvmRun, vcpu: &mut S390Vcpu, protected: bool) -> Result<(), HostError> {
    let dirty = SyncFields::from_bits_retain(area.kvm_dirty_regs.get());
    let regs = &area.regs;
    vcpu.change_registers(|registers, state| {
        if dirty.contains(SyncFields::PREFIX) {
            let [_, _, _, _, low @ ..] = regs.prefix.to_bytes();
            state.set_prefix_address(u32::from_be_bytes(low));
        }
        if dirty.contains(SyncFields::CRS) {
            state.crs = regs.crs;
        }
        if dirty.contains(SyncFields::ARCH0) {
            (state.cpu_timer, state.clock_comparator) = (regs.cputm, regs.ckc);
        }
        registers.ars = regs.acrs.map(|value| value.get());
        registers.vrs = regs.vrs.map(|value| value.map(|half| half.get()));
        registers.fpc = regs.fpc.get();
        if protected {
            state.psw.mask = (state.psw.mask.get() & !PSW_CC | area.psw_mask.get() & PSW_CC).into();
            state.save_area = regs.gprs;
            return;
        }
        state.psw = Psw::new(area.psw_mask.get(), area.psw_addr.get());
        registers.grs = regs.gprs.map(|value| value.get());
        if dirty.contains(SyncFields::ARCH0) {
            let [_, _, _, _, low @ ..] = regs.todpr.to_bytes();
            state.todpr = u32::from_be_bytes(low).into();
            (state.pp, state.sidad) = (regs.pp, regs.gbea);
        }
        if dirty.contains(SyncFields::PFAULT) {
            registers.pfault_token = regs.pft.get();
            registers.pfault_select = regs.pfs.get();
            registers.pfault_compare = regs.pfc.get();
        }
    })?;
    area.kvm_dirty_regs = 0.into();
    Ok(())
}

/// Registers for user space.
fn give(area: &mut KvmRun, vcpu: &S390Vcpu, protected: bool) -> Result<(), HostError> {
    let (state, registers) = (vcpu.state()?, vcpu.registers());
    area.set_psw(state.psw);
    area.kvm_valid_regs = SyncFields::KEPT.bits().into();
    let regs = &mut area.regs;
    regs.prefix = state.prefix_address().into();
    regs.crs = state.crs;
    (regs.cputm, regs.ckc) = (state.cpu_timer, state.clock_comparator);
    regs.pft = registers.pfault_token.into();
    regs.pfs = registers.pfault_select.into();
    regs.pfc = registers.pfault_compare.into();
    regs.acrs = registers.ars.map(Into::into);
    regs.vrs = registers.vrs.map(|value| value.map(Into::into));
    regs.fpc = registers.fpc.into();
    if protected {
        regs.gprs = state.save_area;
    } else {
        regs.gprs = registers.grs.map(Into::into);
        regs.todpr = u64::from(state.todpr.get()).into();
        (regs.pp, regs.gbea) = (state.pp, state.sidad);
    }
    Ok(())
}

fn until_exit(vcpu: &mut S390Vcpu, area: &mut KvmRun) -> Result<(), Errno> {
    loop {
        let exit = match vcpu.run_served_held() {
            Err(HostError::Stopped) => return interrupted(area),
            // A dump that began between two entries.
            Err(HostError::CannotRun) if vcpu.vm().is_dumping() => return interrupted(area),
            other => other.map_err(errno)?,
        };
        let state = vcpu.state().map_err(errno)?;
        match exit {
            Exit::Arch(S390Exit::Yield(_) | S390Exit::ExternalCall { .. }) => {}
            Exit::Halted if waits(&state) => return interrupted(area),
            Exit::Arch(S390Exit::Reset(flags)) => {
                area.set_reset(flags);
                return Ok(());
            }
            Exit::Arch(S390Exit::TestSubchannel(test)) => {
                area.set_tsch(test);
                return Ok(());
            }
            Exit::Arch(S390Exit::SystemInformation(request)) => {
                area.set_stsi(request);
                return Ok(());
            }
            Exit::Halted | Exit::Arch(_) => return intercepted(&state, area),
            // A missing page, which was not served; this kernel's CPUs have no other exit.
            exit => {
                tracing::debug!(?exit, "not served");
                return Err(Errno::EFAULT);
            }
        }
    }
}

/// Whether the kernel has the CPU in a wait that an interruption may end.
fn waits(state: &StateDescription) -> bool {
    ExecutionControl::from_bits_retain(state.cpu_flags.get()).contains(ExecutionControl::WAIT)
}

fn interrupted(area: &mut KvmRun) -> Result<(), Errno> {
    area.exit_reason = ExitReason::INTR.0.into();
    Err(Errno::EINTR)
}

/// An interception for user space.
fn intercepted(state: &StateDescription, area: &mut KvmRun) -> Result<(), Errno> {
    area.set_sieic(Sieic { icptcode: state.interception(), ipa: state.ipa.get(), ipb: state.ipb.get() });
    Ok(())
}

/// A refusal to enter is EINVAL; what cannot be served kills a process on a real machine, and is EFAULT here.
fn errno(error: HostError) -> Errno {
    match error {
        HostError::CannotRun | HostError::Validity(_) | HostError::Cpu(_) | HostError::NotProtected => Errno::EINVAL,
        HostError::InterruptionRefused => Errno::EINVAL,
        HostError::Again => Errno::EAGAIN,
        _ => Errno::EFAULT,
    }
}
