//! The SIDA of a protected CPU, through which operands of its instructions pass.

use spin::MutexGuard;

use super::cpu::Cpu;
use super::{HostError, S390Vcpu, Vm};

impl S390Vcpu {
    /// Copies bytes of an instruction's operand out of the SIDA.
    ///
    /// # Errors
    /// [`HostError::NotProtected`]; [`HostError::Access`] past its end.
    pub fn sida_read(&self, offset: u64, into: &mut [u8]) -> Result<(), HostError> {
        self.vm().sida_read(self.number(), offset, into)
    }

    /// Copies bytes of an instruction's result into the SIDA.
    ///
    /// # Errors
    /// As [`S390Vcpu::sida_read`].
    pub fn sida_write(&self, offset: u64, from: &[u8]) -> Result<(), HostError> {
        self.vm().sida_write(self.number(), offset, from)
    }
}

impl Vm {
    fn sida(&self, cpu: &Cpu, offset: u64, len: usize) -> Result<uv_core::HostAddr, HostError> {
        let secure: MutexGuard<'_, _> = cpu.secure.lock();
        let sida = &secure.as_ref().ok_or(HostError::NotProtected)?.sida;
        let outside = uv_core::AccessError::Unmapped { at: sida.origin(), len };
        let end = u64::try_from(len).ok().and_then(|len| len.checked_add(offset)).ok_or(outside)?;
        if end > sida.bytes() {
            return Err(outside.into());
        }
        sida.origin().checked_add(offset).ok_or_else(|| outside.into())
    }

    /// Size of the SIDA in bytes, as the designation in the state description says. For an ordinary CPU the field has another
    /// meaning and so has the number.
    ///
    /// # Errors
    /// [`HostError::Cpu`], [`HostError::Access`].
    pub fn sida_size(&self, number: u16) -> Result<u64, HostError> {
        Ok(self.host.hardware.read_state(self.cpu(number)?.block.origin())?.sida().size())
    }

    /// Reads the SIDA of a CPU.
    ///
    /// # Errors
    /// [`HostError::Cpu`], [`HostError::NotProtected`], [`HostError::Access`] past its end.
    pub fn sida_read(&self, number: u16, offset: u64, into: &mut [u8]) -> Result<(), HostError> {
        let at = self.sida(&*self.cpu(number)?, offset, into.len())?;
        Ok(self.host.hardware.memory.read(at, into)?)
    }

    /// Writes the SIDA of a CPU.
    ///
    /// # Errors
    /// As [`Vm::sida_read`].
    pub fn sida_write(&self, number: u16, offset: u64, from: &[u8]) -> Result<(), HostError> {
        let at = self.sida(&*self.cpu(number)?, offset, from.len())?;
        Ok(self.host.hardware.memory.write(at, from)?)
    }
}
