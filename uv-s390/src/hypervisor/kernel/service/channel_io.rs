//! Channel I/O instructions: TPI and the interruption of TSCH are the kernel's, for it has the I/O interruptions.
//!
//! | instruction | kernel |
//! |---|---|
//! | any, without [`VmOptions::CSS_SUPPORT`] | cc 3 |
//! | TPI (0xb236), nothing pending for CR6 | cc 0 |
//! | TPI | the interruption is taken, its code stored (two words at the operand, three at 0xb8 of the prefix area), cc 1 |
//! | TSCH (0xb235) | the subchannel's interruption is taken and goes to user space with the instruction |
//! | others | user space |
//!
//! UNSURE: TPI of a protected CPU. Linux has no case for one; here the three words go into the SIDA, and the Ultravisor stores
//! what the guest's operand asks for.

use super::Service;
use super::context::{Context, Stored};
use crate::abi::uvc::PgmCode;
use crate::hypervisor::kernel::{HostError, IoIrq, S390Exit, S390Vcpu, VmOptions};

/// IPA of the instructions.
const TSCH: u16 = 0xb235;
const TPI: u16 = 0xb236;
/// Interruption subclasses, where control register 6 has them.
const ALL_SUBCLASSES: u64 = 0xff00_0000;
/// Offset of the I/O-interruption code in the prefix area.
const IO_CODE: u64 = 0xb8;

/// TEST SUBCHANNEL, which user space completes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubchannelTest {
    /// The interruption of the subchannel, if one was pending: it is not any more. User space makes it pending again when
    /// the instruction ends with an exception.
    pub dequeued: Option<IoIrq>,
    /// Base and displacement of the operand.
    pub ipb: u32,
}

impl S390Vcpu {
    pub(super) fn channel_io(&self, insn: &Context<'_>) -> Result<Service, HostError> {
        if !self.vm().options().contains(VmOptions::CSS_SUPPORT) {
            return insn.condition(3);
        }
        match insn.state.ipa.get() {
            TPI => self.test_pending(insn),
            TSCH => Ok(Service::Exit(self.test_subchannel(insn))),
            _ => Ok(Service::UserSpace),
        }
    }

    fn test_pending(&self, insn: &Context<'_>) -> Result<Service, HostError> {
        let address = insn.second_operand();
        if address & 3 != 0 {
            return insn.exception(PgmCode::SPECIFICATION);
        }
        let Some(irq) = self.vm().take_io(insn.state.crs[6].get(), None) else { return insn.condition(0) };
        let words = [u32::from(irq.subchannel_id) << 16 | u32::from(irq.subchannel_nr), irq.parameter, irq.word];
        let bytes = words.map(u32::to_be_bytes);
        let code = bytes.as_flattened();
        let stored = if insn.protected {
            insn.store_operand(address, code)
        } else if address == 0 {
            insn.store_prefix(IO_CODE, code).map(|()| Stored::Yes)
        } else {
            insn.store_operand(address, &code[..8])
        };
        if !matches!(stored, Ok(Stored::Yes)) {
            self.vm().return_io(irq);
        }
        match stored? {
            Stored::Yes => insn.condition(1),
            Stored::Addressing => insn.exception(PgmCode::ADDRESSING),
            Stored::Virtual => Ok(Service::UserSpace),
        }
    }

    fn test_subchannel(&self, insn: &Context<'_>) -> S390Exit {
        let subchannel = insn.gr(1);
        let dequeued = if subchannel == 0 {
            None
        } else {
            // A subchannel-identification word is the right half of its register.
            u32::try_from(subchannel & 0xffff_ffff).ok().and_then(|id| self.vm().take_io(ALL_SUBCLASSES, Some(id)))
        };
        S390Exit::TestSubchannel(SubchannelTest { dequeued, ipb: insn.state.ipb.get() })
    }
}
