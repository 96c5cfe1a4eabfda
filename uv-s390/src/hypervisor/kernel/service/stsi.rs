//! STORE SYSTEM INFORMATION.
//!
//! | # | condition | result |
//! |---|---|---|
//! | 1 | function code above 3 | cc 3 |
//! | 2 | GR0 bits 36–55 or GR1 bits 32–47 not zero | specification exception |
//! | 3 | function code 0 | cc 0, GR0: level 3 |
//! | 4 | ordinary CPU, operand not at a page | specification exception |
//! | 5 | 1, 2: no such block; 3: selectors other than 2, 2 | cc 3 |
//! | 6 | no storage at the operand | addressing exception |
//! | 7 | else | the block is stored, cc 0, GR0 is 0; with [`VmOptions::USER_STSI`] user space completes it |
//!
//! Function code 15 (topology) has cc 3: the kernel here does not offer CPU topology.

use super::Service;
use super::context::{Context, Stored};
use crate::abi::uvc::PgmCode;
use crate::hypervisor::kernel::system::{BLOCK, Block, ebcdic};
use crate::hypervisor::kernel::{HostError, S390Exit, S390Vcpu, VmOptions};

/// Register content: the current level is a virtual machine.
const LEVEL_VM: u64 = 3 << 28;
/// Place of the number of VMs in block 3.2.2, and of the first of them.
const COUNT: usize = 31;
const FIRST: usize = 32;

/// What user space is told of a STSI that the kernel served, so that it can complete the block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SystemInformationRequest {
    /// Guest logical address of the block, which means nothing for a protected CPU: there it is in the SIDA.
    pub address: u64,
    /// Function code.
    pub function: u8,
    /// Selector 1.
    pub selector1: u8,
    /// Selector 2.
    pub selector2: u16,
}

impl S390Vcpu {
    pub(super) fn stsi(&self, insn: &Context<'_>) -> Result<Service, HostError> {
        let (gr0, gr1) = (insn.gr(0), insn.gr(1));
        let [.., selector1] = gr0.to_be_bytes();
        let [.., high, low] = gr1.to_be_bytes();
        let selector2 = u16::from_be_bytes([high, low]);
        let function = u8::try_from(gr0 >> 28 & 0xf).unwrap_or(0);
        if function > 3 {
            return insn.condition(3);
        }
        if gr0 & 0x0fff_ff00 != 0 || gr1 & 0xffff_0000 != 0 {
            return insn.exception(PgmCode::SPECIFICATION);
        }
        if function == 0 {
            insn.set_gr(0, LEVEL_VM)?;
            return insn.condition(0);
        }
        let address = insn.second_operand();
        if !insn.protected && address & 0xfff != 0 {
            return insn.exception(PgmCode::SPECIFICATION);
        }
        let Some(block) = self.block(function, selector1, selector2) else { return insn.condition(3) };
        match insn.store_operand(address, &block)? {
            Stored::Yes => {}
            Stored::Addressing => return insn.exception(PgmCode::ADDRESSING),
            Stored::Virtual => return Ok(Service::UserSpace),
        }
        insn.set_gr(0, 0)?;
        let done = insn.condition(0)?;
        if !self.vm().options().contains(VmOptions::USER_STSI) {
            return Ok(done);
        }
        let request = SystemInformationRequest { address, function, selector1, selector2 };
        Ok(Service::Exit(S390Exit::SystemInformation(request)))
    }

    fn block(&self, function: u8, selector1: u8, selector2: u16) -> Option<Block> {
        let mut block = [0; BLOCK];
        let there = if function == 3 {
            let known = (selector1, selector2) == (2, 2);
            if known {
                self.put_virtual_machine(&mut block);
            }
            known
        } else {
            self.vm().host().hardware().system.store(function, selector1, selector2, &mut block)
        };
        there.then_some(block)
    }

    /// Block 3.2.2: this VM is the only one, for the kernel itself runs in a partition.
    fn put_virtual_machine(&self, block: &mut Block) {
        let cpus = u16::try_from(self.vm().cpu_count()).unwrap_or(u16::MAX);
        let mut put = |at: usize, bytes: &[u8]| block[FIRST + at..FIRST + at + bytes.len()].copy_from_slice(bytes);
        put(4, &cpus.to_be_bytes());
        put(6, &cpus.to_be_bytes());
        put(12, &ebcdic::<8>("KVMguest"));
        put(20, &1000_u32.to_be_bytes());
        put(24, &ebcdic::<16>("KVM/Linux"));
        block[COUNT] = 1;
    }
}
