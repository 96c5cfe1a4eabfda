//! Running a CPU: KVM's loop around SIE, and what it serves of a protected CPU's exits.

use super::convert::Retry;
use super::cpu::Cpu;
use super::fault::Served;
use super::{HostError, Intercept, S390Exit, Vm, wait};
use crate::abi::sie::{InterceptionCode, StateDescription};
use crate::abi::uvc::ProgramInterruption;
use crate::abi::uvcb::{ConvertTo, Share, UvCommand};
use alloc::sync::Arc;
use uv_core::{Access, ErrorType, Exit, PageSize, Vcpu};
use zerocopy::IntoBytes;

/// IPA of what a protected guest notifies the kernel of, besides SIGP and DIAGNOSE.
mod ipa {
    /// SET PREFIX.
    pub(super) const SPX: u16 = 0xb210;
    /// SERVICE CALL.
    pub(super) const SERVC: u16 = 0xb220;
    /// UV call.
    pub(super) const UVC: u16 = 0xb9a4;
}

/// A virtual CPU, for the thread that runs it.
///
/// Source: s390-ultravisor §6. What KVM serves in the kernel never becomes an exit. Of a protected CPU: the prefix pages (112),
/// the notifications of SET PREFIX, of SERVC and of an unshare of a pinned page. Of either: pages that are not mapped, pages
/// that belong to a dead configuration, STSI, STHYI, TPI, most orders of SIGP, and exits that only make way for an
/// interruption.
#[derive(Debug)]
pub struct S390Vcpu {
    guest: Arc<Vm>,
    cpu: Arc<Cpu>,
}

impl Vm {
    /// The vCPU with this number, to be run.
    ///
    /// # Errors
    /// [`HostError::Cpu`].
    pub fn vcpu(self: &Arc<Self>, number: u16) -> Result<S390Vcpu, HostError> {
        Ok(S390Vcpu { guest: self.clone(), cpu: self.cpu(number)? })
    }
}

impl S390Vcpu {
    /// CPU number.
    #[must_use]
    pub fn number(&self) -> u16 {
        self.cpu.number
    }

    /// The VM.
    #[must_use]
    pub const fn vm(&self) -> &Arc<Vm> {
        &self.guest
    }

    pub(super) const fn cpu(&self) -> &Arc<Cpu> {
        &self.cpu
    }

    /// Runs as `KVM_RUN` does: pages that the guest misses are imported in the kernel and never reach user space.
    ///
    /// # Errors
    /// As [`Vcpu::run`], and those of the import.
    pub fn run_served(&mut self) -> Result<Exit<S390Exit>, HostError> {
        let cpu = self.cpu.clone();
        let _vcpu = cpu.mutex.lock();
        self.run_served_held()
    }

    /// As [`S390Vcpu::run_served`], for a caller that holds the CPU already.
    pub(crate) fn run_served_held(&mut self) -> Result<Exit<S390Exit>, HostError> {
        loop {
            match self.run_held()? {
                Exit::PageMissing { gfn, .. } => self.guest.import(gfn)?,
                other => return Ok(other),
            }
        }
    }

    /// What the state description shows of the CPU: for a protected guest the filtered copy.
    ///
    /// # Errors
    /// [`HostError::Access`].
    pub fn state(&self) -> Result<StateDescription, HostError> {
        self.guest.host.hardware.read_state(self.cpu.block.origin())
    }

    /// The instruction of an exit, with the registers.
    pub(super) fn intercept(&self, state: &StateDescription) -> Intercept {
        if self.cpu.is_protected() { Intercept::of(state) } else { Intercept::ordinary(state, &self.registers()) }
    }

    /// KVM's part of an exit; `None` when the guest can go on. A CPU that stops is stopped unless user space has the CPU states.
    fn kernel_exit(&self, state: &StateDescription) -> Result<Option<Exit<S390Exit>>, HostError> {
        let other = || S390Exit::Other(self.intercept(state));
        let exit = match state.interception() {
            InterceptionCode::VALIDITY => {
                return Err(state.validity().map_or(HostError::CannotRun, HostError::Validity));
            }
            InterceptionCode::PV_PREFIX => {
                self.import_prefix(state);
                None
            }
            InterceptionCode::WAIT => {
                // Marked before it is looked at what is pending: who injects later sees a CPU that waits.
                self.guest.mark_waiting(&self.cpu, wait::is_enabled_wait(state))?;
                return Ok((!self.guest.is_runnable(&self.cpu)?).then_some(Exit::Halted));
            }
            InterceptionCode::PARTIAL_EXECUTION => Some(self.external_call(state)?.unwrap_or_else(other)),
            // What became deliverable is found before the next entry.
            InterceptionCode::EXTERNAL_REQUEST
            | InterceptionCode::IO_REQUEST
            | InterceptionCode::MACHINE_CHECK_REQUEST
            | InterceptionCode::INTERRUPT_ENABLE => None,
            InterceptionCode::STOP if !self.guest.stops(&self.cpu)? => None,
            InterceptionCode::STOP => {
                self.guest.stop_unless_user(&self.cpu)?;
                Some(S390Exit::Stop)
            }
            InterceptionCode::PV_NOTIFICATION => self.notification(state)?,
            InterceptionCode::INSTRUCTION | InterceptionCode::PV_INSTRUCTION => self.instruction(state)?,
            InterceptionCode::OPERATION_EXCEPTION => self.operation_exception(state)?,
            _ => Some(other()),
        };
        Ok(exit.map(Exit::Arch))
    }

    /// Interception 108. An external call is the machine's; other orders of SIGP are served like an instruction.
    fn notification(&self, state: &StateDescription) -> Result<Option<S390Exit>, HostError> {
        match state.ipa.get() {
            ipa::SPX => self.set_prefix()?,
            ipa::SERVC => self.guest.floating.lock().service_notified(),
            ipa::UVC => self.unpin_for_unshare()?,
            _ => {
                let call = self.external_call(state)?;
                return if call.is_some() { Ok(call) } else { self.instruction(state) };
            }
        }
        Ok(None)
    }

    /// Imports both prefix pages. What comes of it shows at the next entry: a page that was not imported leads back here.
    fn import_prefix(&self, state: &StateDescription) {
        let prefix = PageSize::K4.gfn(uv_core::GuestAddr(state.prefix_address()));
        // Also what a large frame with the prefix area gives when it is none any more.
        self.guest.gmap.split(prefix);
        for gfn in [prefix, prefix.add(1)] {
            if let Err(error) = self.guest.import(gfn) {
                tracing::debug!(%gfn, %error, "prefix page not imported");
            }
        }
    }

    /// The new prefix is in the first word of the SIDA.
    fn set_prefix(&self) -> Result<(), HostError> {
        let mut word = [0; 4];
        self.sida_read(0, &mut word)?;
        self.guest.host.hardware.update_state(self.cpu.block.origin(), |state| {
            state.set_prefix_address(u32::from_be_bytes(word));
        })
    }

    /// The guest unshares a page that is pinned: its control block is in the SIDA, the page at 0x20. After the unpin the
    /// guest issues the call again, also when the unpin is refused, for somebody else was faster: then it finds the page as it
    /// is now.
    ///
    /// # Errors
    /// [`HostError::Again`] when the call was busy; [`HostError::Fault`] without memory there.
    fn unpin_for_unshare(&self) -> Result<(), HostError> {
        let mut block = Share::new(UvCommand::REMOVE_SHARED_ACCESS, 0);
        self.sida_read(0, block.as_mut_bytes())?;
        if block.header.command() != UvCommand::REMOVE_SHARED_ACCESS {
            tracing::warn!(command = %block.header.command(), "notification of another call than an unshare");
            return Ok(());
        }
        let gfn = PageSize::K4.gfn(uv_core::GuestAddr(block.paddr.get()));
        if !self.guest.gmap.fault_in(gfn) {
            return Err(HostError::Fault(gfn));
        }
        let address = PageSize::K4.addr(gfn).0;
        let mut unpin = ConvertTo::new(UvCommand::UNPIN_PAGE_SHARED, self.guest.handle()?, address);
        match self.guest.make_secure(gfn, &mut unpin) {
            Ok(Retry::Done) => Ok(()),
            Ok(Retry::Again) => Err(HostError::Again),
            Err(HostError::Call(error)) => {
                tracing::debug!(%error, "no page to unpin");
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

impl ErrorType for S390Vcpu {
    type Error = HostError;
}

impl Vcpu for S390Vcpu {
    type Arch = S390Exit;

    /// Enters the guest with SIE until somebody has to act. What is pending is delivered before each entry, and a CPU that has
    /// something to take does not wait. The state description is left as the machine stored it; its wait
    /// flag is on after [`Exit::Halted`] when an interruption can end the wait, and off otherwise. A stopped CPU is started,
    /// unless user space has the CPU states.
    ///
    /// # Errors
    /// [`HostError::CannotRun`] while the VM is dumped, or when the CPU is stopped and its state is user space's;
    /// [`HostError::Stopped`] when a dump begins or the process is to die meanwhile;
    /// [`HostError::Again`]; [`HostError::Validity`]; [`HostError::Fault`] for memory that cannot become secure; [`HostError::Interruption`] for what cannot be
    /// served; [`HostError::InterruptionRefused`] for a program interruption that a protected CPU cannot take; those of serving.
    fn run(&mut self) -> Result<Exit<S390Exit>, HostError> {
        let cpu = self.cpu.clone();
        let _vcpu = cpu.mutex.lock();
        self.run_held()
    }
}

impl S390Vcpu {
    /// As [`Vcpu::run`], for a caller that holds the CPU already.
    fn run_held(&mut self) -> Result<Exit<S390Exit>, HostError> {
        if self.guest.is_dumping() {
            return Err(HostError::CannotRun);
        }
        self.guest.start_to_run(&self.cpu)?;
        let protected = self.cpu.is_protected();
        loop {
            if *self.cpu.stopped.lock() {
                return Err(HostError::CannotRun);
            }
            match self.enter(protected)? {
                Err(interruption) => {
                    self.guest.left(&self.cpu, None)?;
                    match self.guest.serve(protected, interruption)? {
                        Served::Missing(gfn) => return Ok(Exit::PageMissing { gfn, access: Access::Load }),
                        Served::Addressing(gfn) => self.addressing_exception(gfn)?,
                        Served::Again => {}
                    }
                }
                Ok(()) => {
                    let state = self.state()?;
                    if protected {
                        self.guest.left(&self.cpu, Some(&state))?;
                    }
                    let exit = match state.interception() {
                        InterceptionCode::HOST_INTERRUPTION => None,
                        _ => self.kernel_exit(&state)?,
                    };
                    if let Some(exit) = exit {
                        return Ok(exit);
                    }
                }
            }
        }
    }

    /// One entry. A dump or a signal that came while the CPU ran keeps it from being entered again.
    fn enter(&self, protected: bool) -> Result<Result<(), ProgramInterruption>, HostError> {
        let _in_sie = self.cpu.in_sie.lock();
        if self.guest.is_dumping() || self.guest.fatal_signal() {
            return Err(HostError::Stopped);
        }
        self.guest.mark_waiting(&self.cpu, false)?;
        self.guest.deliver(&self.cpu)?;
        let asce = self.guest.asce().0;
        if protected {
            Ok(self.guest.host.hardware.sie.enter(self.cpu.block.origin(), asce, &mut [0; 16]))
        } else {
            self.enter_ordinary(asce)
        }
    }
}
