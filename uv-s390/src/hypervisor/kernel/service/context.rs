//! An intercepted instruction, its operands, and where its results go.

use core::mem::offset_of;

use uv_core::GuestAddr;
use zerocopy::{FromZeros, IntoBytes};

use super::Service;
use crate::abi::psw::{PSW_DAT, Psw, with_condition_code};
use crate::abi::sie::StateDescription;
use crate::abi::uvc::PgmCode;
use crate::hypervisor::kernel::{HostError, Irq, ProgramIrq, S390Vcpu, prefixed};

/// Extended and basic addressing mode in a PSW mask.
const PSW_EXTENDED: u64 = 1 << (63 - 31);
const PSW_BASIC: u64 = 1 << (63 - 32);

/// Whether a storage operand was stored.
pub(super) enum Stored {
    Yes,
    /// There is no storage: the guest gets an addressing exception.
    Addressing,
    /// The address is a virtual one.
    Virtual,
}

/// An intercepted instruction.
pub(super) struct Context<'a> {
    vcpu: &'a S390Vcpu,
    /// The state description at the exit.
    pub(super) state: &'a StateDescription,
    /// General registers at the exit.
    grs: [u64; 16],
    pub(super) protected: bool,
}

impl<'a> Context<'a> {
    pub(super) fn new(vcpu: &'a S390Vcpu, state: &'a StateDescription) -> Self {
        Self { vcpu, state, grs: vcpu.intercept(state).grs, protected: vcpu.cpu().is_protected() }
    }

    /// A general register, numbered by the low 4 bits.
    pub(super) fn gr(&self, number: u32) -> u64 {
        usize::try_from(number & 0xf).ok().and_then(|number| self.grs.get(number)).copied().unwrap_or(0)
    }

    /// r1 and r2 of the RRE format.
    pub(super) fn registers_rre(&self) -> (u32, u32) {
        let ipb = self.state.ipb.get();
        (ipb >> 20 & 0xf, ipb >> 16 & 0xf)
    }

    /// r1 and r3 of the RS format.
    pub(super) fn registers_rs(&self) -> (u32, u32) {
        let ipa = u32::from(self.state.ipa.get());
        (ipa >> 4 & 0xf, ipa & 0xf)
    }

    /// Second-operand address of the S and RS formats: base and displacement.
    pub(super) fn second_operand(&self) -> u64 {
        let ipb = self.state.ipb.get();
        let base = if ipb >> 28 == 0 { 0 } else { self.gr(ipb >> 28) };
        base.wrapping_add(u64::from(ipb >> 16 & 0xfff))
    }

    /// Sets a general register for the guest.
    pub(super) fn set_gr(&self, number: u32, value: u64) -> Result<(), HostError> {
        let number = usize::try_from(number & 0xf).unwrap_or(0);
        if self.protected {
            let at = offset_of!(StateDescription, save_area) + 8 * number;
            return self.vcpu.vm().store(self.vcpu.cpu(), at, &value.to_be_bytes());
        }
        if let Some(gr) = self.vcpu.cpu().registers.lock().grs.get_mut(number) {
            *gr = value;
        }
        Ok(())
    }

    /// Sets the condition code; the guest goes on.
    pub(super) fn condition(&self, cc: u8) -> Result<Service, HostError> {
        // The mask may have been changed since the exit.
        let mask = with_condition_code(self.vcpu.state()?.psw.mask.get(), cc);
        self.vcpu.vm().store(self.vcpu.cpu(), offset_of!(StateDescription, psw), &mask.to_be_bytes())?;
        Ok(Service::Done)
    }

    /// Makes a program interruption pending as the answer.
    pub(super) fn exception(&self, code: PgmCode) -> Result<Service, HostError> {
        let irq = Irq::Program(ProgramIrq { code: code.0, ..ProgramIrq::default() });
        self.vcpu.vm().inject(Some(self.vcpu.number()), irq).map(|()| Service::Done)
    }

    /// Stores an operand: a protected CPU's at the beginning of the SIDA, an ordinary one's at its logical address.
    pub(super) fn store_operand(&self, at: u64, bytes: &[u8]) -> Result<Stored, HostError> {
        if self.protected {
            return self.vcpu.sida_write(0, bytes).map(|()| Stored::Yes);
        }
        if self.state.psw.mask.get() & PSW_DAT != 0 {
            return Ok(Stored::Virtual);
        }
        let address = GuestAddr(prefixed(self.effective(at), self.state.prefix_address()));
        match self.vcpu.vm().host_write(address, bytes) {
            Ok(()) => Ok(Stored::Yes),
            Err(HostError::Access(_)) => Ok(Stored::Addressing),
            Err(error) => Err(error),
        }
    }

    /// Stores in the prefix area of an ordinary CPU.
    pub(super) fn store_prefix(&self, offset: u64, bytes: &[u8]) -> Result<(), HostError> {
        self.vcpu.vm().host_write(GuestAddr(self.state.prefix_address() + offset), bytes)
    }

    /// A PSW in the prefix area of an ordinary CPU.
    pub(super) fn prefix_psw(&self, offset: u64) -> Result<Psw, HostError> {
        let mut psw = Psw::new_zeroed();
        self.vcpu.vm().host_read(GuestAddr(self.state.prefix_address() + offset), psw.as_mut_bytes())?;
        Ok(psw)
    }

    /// An address as the addressing mode cuts it.
    fn effective(&self, address: u64) -> u64 {
        let mask = self.state.psw.mask.get();
        match (mask & PSW_EXTENDED != 0, mask & PSW_BASIC != 0) {
            (true, _) => address,
            (false, true) => address & 0x7fff_ffff,
            (false, false) => address & 0xff_ffff,
        }
    }
}
