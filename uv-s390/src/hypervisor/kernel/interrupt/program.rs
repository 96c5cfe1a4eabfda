//! The cause of a program interruption in the prefix area of an ordinary CPU.
//!
//! | codes | fields besides code 0x8e, length 0x8c and breaking-event address 0x110 | PSW |
//! |---|---|---|
//! | 0x20, 0x22–0x26, 0x21, 0x2e, 0x27 | translation-exception identification 0xa8 | nullified |
//! | 0x1c | the same | behind the instruction |
//! | 0x29–0x2d, 0x2f | exception access identification 0xa0 | nullified |
//! | 0x10, 0x11, 0x38–0x3b | 0xa8, 0xa0, operand access identification 0xa2 | nullified |
//! | 0x40 | monitor class 0x94, monitor code 0xb0 | behind |
//! | 0x07, 0x1b | data-exception code 0x90 | behind |
//! | 0x04 | 0xa8, 0xa0 | behind |
//! | 0x16, 0x30–0x34, 0x119 | | nullified |
//! | others | | behind |
//! | with PER (0x80) | PER code 0x96, ATMID 0x97, address 0x98, access identification 0xa1 | |
//!
//! A nullified instruction is issued again: the PSW goes back by its length.

use super::ProgramIrq;
use super::lowcore::Lowcore;
use crate::abi::psw::Psw;
use crate::abi::sie::StateDescription;
use crate::hypervisor::kernel::HostError;

/// Program interruption code of PER.
const PER: u16 = 0x80;

impl Lowcore<'_> {
    /// Stores the cause, and moves the PSW back to an instruction that is nullified.
    pub(super) fn put_program(
        &self,
        program: &ProgramIrq,
        psw: &mut Psw,
        state: &StateDescription,
    ) -> Result<(), HostError> {
        let translation = || self.put(0xa8, &program.translation.to_be_bytes());
        let exception = || self.put(0xa0, &[program.exception_access]);
        let nullified = match program.code & !PER {
            0x20..=0x27 | 0x2e => {
                translation()?;
                true
            }
            0x1c => {
                translation()?;
                false
            }
            0x29..=0x2d | 0x2f => {
                exception()?;
                true
            }
            0x10 | 0x11 | 0x38..=0x3b => {
                translation()?;
                exception()?;
                self.put(0xa2, &[program.operand_access])?;
                true
            }
            0x40 => {
                self.put(0x94, &program.monitor_class.to_be_bytes())?;
                self.put(0xb0, &program.monitor_code.to_be_bytes())?;
                false
            }
            0x07 | 0x1b => {
                self.put(0x90, &program.data.to_be_bytes())?;
                false
            }
            0x04 => {
                translation()?;
                exception()?;
                false
            }
            0x16 | 0x30..=0x34 | 0x119 => true,
            _ => false,
        };
        if program.code & PER != 0 {
            self.put(0x96, &[program.per_code, program.per_atmid])?;
            self.put(0x98, &program.per_address.to_be_bytes())?;
            self.put(0xa1, &[program.per_access])?;
        }
        let length = program.length.unwrap_or(0);
        if nullified && !program.no_rewind {
            psw.address = psw.address.get().wrapping_sub(u64::from(length)).into();
        }
        self.put(0x8c, &u16::from(length).to_be_bytes())?;
        self.put(0x110, &state.sidad.get().to_be_bytes())?;
        self.put(0x8e, &program.code.to_be_bytes())
    }
}
