//! External interruptions whose condition outlives their delivery, and the loop that they can be (interception 0x14,
//! s390-ultravisor §6.2).
//!
//! The condition of the clock comparator (0x1004) and of the CPU timer (0x1005) stays until the guest's handler does something
//! about it. If the PSW that the interruption loads, the external-new PSW at prefix + 0x1b0, is itself enabled for it, the
//! CPU is interrupted again before the handler's first instruction, without end:
//!
//! | # | check | else |
//! |---|---|---|
//! | 1 | the last external interruption was 0x1004 or 0x1005 | the guest goes on |
//! | 2 | the external-new PSW has its external mask (bit 7) on | the guest goes on |
//! | 3 | control register 0 has the subclass mask on: bit 52 for 0x1004, bit 53 for 0x1005 | the guest goes on |
//!
//! The host sees the new PSW, filtered, and the code. Every further entry looks again and ends the same way, until the
//! CPU is reset, loads another PSW, or another CPU of the guest corrects the new PSW. The condition of an external call
//! (0x1202) ends with its delivery, so it makes no loop (UNSURE: no source says that 0x14 never names it). A script has
//! no handler: where there is no loop the interruption is delivered as any other, and the script's PSW stays.

use alloc::sync::Arc;

use uv_core::GuestAddr;
use zerocopy::FromBytes;

use super::intercept::Exit;
use super::load;
use super::subclass;
use crate::abi::psw::PSW_EXTERNAL;
use crate::abi::psw::Psw;
use crate::abi::uvc::ProgramInterruption;
use crate::sim::conf::Conf;
use crate::sim::cpu::Core;
use crate::sim::machine::Machine;
use crate::sim::view::GuestView;

/// External-new PSW in the prefix area.
const EXTERNAL_NEW: u64 = 0x1b0;

impl Machine {
    /// The exit when the guest loops through its external-new PSW.
    pub(super) fn external_loop(&self, conf: &Arc<Conf>, core: &mut Core) -> Result<Option<Exit>, ProgramInterruption> {
        let Some(lasting) = core.lasting else { return Ok(None) };
        let mut new = [0; 16];
        let at = GuestAddr(u64::from(core.registers.prefix) + EXTERNAL_NEW);
        load::read(&GuestView::new(self, conf), at, &mut new)?;
        let new = Psw::read_from_bytes(&new).unwrap_or(Psw::new(0, 0));
        if new.mask.get() & PSW_EXTERNAL == 0 || !subclass::is_open_for(&core.registers.cr, lasting.code()) {
            core.lasting = None;
            return Ok(None);
        }
        Ok(Some(Exit::external(lasting.code(), new)))
    }
}
