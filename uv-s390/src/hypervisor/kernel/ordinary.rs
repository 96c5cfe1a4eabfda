//! Running an ordinary CPU: its registers around SIE, and its accesses outside memory.

use super::interrupt::PROGRAM_NEW_PSW;
use super::{HostError, Irq, ProgramIrq, S390Vcpu};
use crate::abi::psw::{PSW_DAT, PSW_WAIT, Psw};
use crate::abi::sie::StateDescription;
use crate::abi::uvc::{PgmCode, ProgramInterruption};
use core::mem::offset_of;
use uv_core::{Gfn, GuestAddr, HostAddr, NormalMemory};
use zerocopy::{FromZeros, IntoBytes};

/// Place of GR14 and GR15 in the state description.
const GR14: u64 = 0xa0;

impl S390Vcpu {
    /// Enters the guest with its general registers: 0 to 13 go with the instruction, 14 and 15 through the state description.
    /// Nothing else of that is written, for other host CPUs set flags in it.
    pub(super) fn enter_ordinary(&self, asce: u64) -> Result<Result<(), ProgramInterruption>, HostError> {
        let hardware = &self.vm().host.hardware;
        let block = self.cpu().block.origin();
        let mut grs = self.cpu().registers.lock().grs;
        let mut high = [0; 16];
        high[..8].copy_from_slice(&grs[14].to_be_bytes());
        high[8..].copy_from_slice(&grs[15].to_be_bytes());
        hardware.memory.write(HostAddr(block.0 + GR14), &high)?;
        let left = hardware.sie.enter(block, asce, &mut grs);
        let state = hardware.read_state(block)?;
        (grs[14], grs[15]) = (state.gr14.get(), state.gr15.get());
        self.cpu().registers.lock().grs = grs;
        Ok(left)
    }

    /// The guest touched an address without storage: an addressing exception. The PSW is still at the instruction, which the
    /// exception does not nullify, so it goes on by the instruction's length. A protected CPU cannot be given the exception.
    ///
    /// A program-new PSW that leads straight back would repeat it without end; KVM goes on with that until a signal comes, and here
    /// it ends the run.
    ///
    /// UNSURE: the length where the instruction cannot be read, or only through the guest's own page tables; 4, as KVM has it
    /// for the first.
    ///
    /// # Errors
    /// [`HostError::Fault`] for such a loop; [`HostError::Access`] without storage at the prefix area.
    pub(super) fn addressing_exception(&self, gfn: Gfn) -> Result<(), HostError> {
        let state = self.state()?;
        let (mask, address) = (state.psw.mask.get(), state.psw.address.get());
        let mut opcode = [0x40];
        if mask & PSW_DAT == 0 && !self.cpu().is_protected() {
            let at = GuestAddr(super::prefixed(address, state.prefix_address()));
            // What was not read stays as it is: an operation code of length 4.
            let _ = self.vm().host_read(at, &mut opcode);
        }
        let length = instruction_length(opcode[0]);
        if !self.cpu().is_protected() {
            let mut new = Psw::new_zeroed();
            self.vm().host_read(GuestAddr(state.prefix_address() + PROGRAM_NEW_PSW), new.as_mut_bytes())?;
            if new.address == state.psw.address && new.mask.get() & PSW_WAIT == 0 {
                return Err(HostError::Fault(gfn));
            }
            let next = address.wrapping_add(u64::from(length));
            self.vm().store(self.cpu(), offset_of!(StateDescription, psw) + 8, &next.to_be_bytes())?;
        }
        let irq = ProgramIrq { code: PgmCode::ADDRESSING.0, length: Some(length), ..ProgramIrq::default() };
        self.vm().inject(Some(self.number()), Irq::Program(irq))
    }
}

/// Bytes of an instruction, by its first byte.
pub(super) const fn instruction_length(opcode: u8) -> u8 {
    match opcode >> 6 {
        0 => 2,
        1 | 2 => 4,
        _ => 6,
    }
}
