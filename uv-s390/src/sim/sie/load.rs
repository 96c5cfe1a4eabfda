//! Loading a PSW: where a guest's program begins.

use alloc::sync::Arc;

use uv_core::{GuestAddr, HostAddr};
use uv_sim::guest::GuestCpu;
use zerocopy::FromBytes;

use super::intercept::Exit;
use crate::abi::psw::Psw;
use crate::abi::sie::InterceptionCode;
use crate::abi::uvc::ProgramInterruption;
use crate::sim::conf::Conf;
use crate::sim::cpu::{Core, Cpu, LoadFrom, Pending};
use crate::sim::guest::{GuestInsn, InsnResult};
use crate::sim::machine::Machine;
use crate::sim::view::{GuestView, ViewError};

/// Restart-new PSW in the prefix area.
const RESTART_NEW: u64 = 0x1a0;

impl Machine {
    /// Loads the PSW that is due. `Some` when the guest cannot start: its PSW is no PSW.
    pub(super) fn load_psw(
        &self,
        conf: &Arc<Conf>,
        cpu: &Cpu,
        core: &mut Core,
    ) -> Result<Option<Exit>, ProgramInterruption> {
        let Some(from) = core.load else { return Ok(None) };
        let view = GuestView::new(self, conf);
        let psw = match from {
            LoadFrom::Header => conf.image.read().as_ref().map(|image| image.opened.confidential.psw),
            LoadFrom::Zero => {
                let mut short = [0; 8];
                read(&view, GuestAddr(0), &mut short)?;
                Psw::from_short(u64::from_be_bytes(short))
            }
            LoadFrom::Restart => {
                let mut long = [0; 16];
                read(&view, GuestAddr(u64::from(core.registers.prefix) + RESTART_NEW), &mut long)?;
                Psw::read_from_bytes(&long).ok()
            }
        };
        core.load = None;
        core.pending = Pending::None;
        core.lasting = None;
        let Some(psw) = psw else {
            core.guest = None;
            return Ok(Some(Exit::plain(InterceptionCode::PROGRAM)));
        };
        core.registers.psw = psw;
        core.guest = self.begin_program(cpu.state_origin, psw);
        tracing::debug!(cpu = cpu.number, ?from, "PSW loaded");
        Ok(None)
    }

    /// The program that the code of the CPU with its state description at `state` has for a PSW; `None` when nobody said what
    /// the CPU runs.
    pub(super) fn begin_program(&self, state: HostAddr, psw: Psw) -> Option<GuestCpu<GuestInsn, InsnResult>> {
        // The guest owner's code runs without the lock.
        let mut code = self.guests.lock().remove(&state)?;
        let guest = GuestCpu::new(code.start(psw));
        self.guests.lock().entry(state).or_insert(code);
        Some(guest)
    }
}

/// Reads guest storage that lies in the prefix area or at absolute 0.
pub(super) fn read(view: &GuestView<'_>, at: GuestAddr, into: &mut [u8]) -> Result<(), ProgramInterruption> {
    loop {
        match view.read(at, into) {
            Ok(()) => return Ok(()),
            Err(ViewError::Host(interruption)) => return Err(interruption),
            Err(ViewError::Busy) => core::hint::spin_loop(),
            // Prefix area and absolute 0 lie in guest storage; a guest without storage reads zeros.
            Err(ViewError::Outside) => return Ok(()),
        }
    }
}
