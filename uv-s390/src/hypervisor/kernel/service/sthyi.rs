//! STORE HYPERVISOR INFORMATION.
//!
//! | # | condition | result |
//! |---|---|---|
//! | 1 | r1 is r2, or one of them is odd | specification exception |
//! | 2 | function code (16 bits of GR r1) other than 0 | cc 3, GR r2+1: 4 |
//! | 3 | ordinary CPU, address in GR r2 not at a page | specification exception |
//! | 4 | no storage there | addressing exception |
//! | 5 | else | the block is stored, cc 0, GR r2+1: 0 |
//!
//! | section | offset | length | from |
//! |---|---|---|---|
//! | header | 0 | 48 | |
//! | machine | 48 | 64 | STSI 1.1.1 |
//! | partition | 112 | 56 | STSI 2.2.2 |
//!
//! The kernel has no performance data (DIAG 0x204), so CPU counts and capping are not valid. UNSURE: that the header flag for it
//! is on then.

use super::Service;
use super::context::{Context, Stored};
use crate::abi::uvc::PgmCode;
use crate::hypervisor::kernel::system::{BLOCK, Block, SystemInformation};
use crate::hypervisor::kernel::{HostError, S390Vcpu};

/// Lengths of the sections.
const HEADER: u16 = 48;
const MACHINE: u16 = 64;
const PARTITION: u16 = 56;
/// Header flag: no performance data.
const NO_PERFORMANCE_DATA: u8 = 0x80;
/// Machine section: type, manufacturer, sequence and plant are valid.
const MACHINE_ID_VALID: u8 = 0x40;
/// Partition section: number and name are valid.
const PARTITION_ID_VALID: u8 = 0x10;
/// Return code: function code not known.
const UNSUPPORTED: u64 = 4;

impl S390Vcpu {
    pub(super) fn sthyi(&self, insn: &Context<'_>) -> Result<Service, HostError> {
        let (r1, r2) = insn.registers_rre();
        if r1 == r2 || r1 & 1 != 0 || r2 & 1 != 0 {
            return insn.exception(PgmCode::SPECIFICATION);
        }
        if insn.gr(r1) & 0xffff != 0 {
            insn.set_gr(r2 + 1, UNSUPPORTED)?;
            return insn.condition(3);
        }
        let address = insn.gr(r2);
        if !insn.protected && address & 0xfff != 0 {
            return insn.exception(PgmCode::SPECIFICATION);
        }
        match insn.store_operand(address, &block(&self.vm().host().hardware().system))? {
            Stored::Yes => {}
            Stored::Addressing => return insn.exception(PgmCode::ADDRESSING),
            Stored::Virtual => return Ok(Service::UserSpace),
        }
        insn.set_gr(r2 + 1, 0)?;
        insn.condition(0)
    }
}

fn block(system: &SystemInformation) -> Block {
    let mut block = [0; BLOCK];
    let mut put = |at: u16, bytes: &[u8]| {
        let at = usize::from(at);
        block[at..at + bytes.len()].copy_from_slice(bytes);
    };
    put(0, &[NO_PERFORMANCE_DATA]);
    for (at, value) in
        (8..).step_by(2).zip([HEADER + MACHINE + PARTITION, HEADER, HEADER, MACHINE, HEADER + MACHINE, PARTITION])
    {
        put(at, &value.to_be_bytes());
    }
    let mut info = [0; BLOCK];
    if system.store(1, 1, 1, &mut info) {
        put(HEADER + 2, &[MACHINE_ID_VALID]);
        // Type, manufacturer, sequence, plant.
        put(HEADER + 20, &info[48..52]);
        put(HEADER + 24, &info[32..48]);
        put(HEADER + 40, &info[80..96]);
        put(HEADER + 56, &info[96..100]);
    }
    let mut info = [0; BLOCK];
    if system.store(2, 2, 2, &mut info) {
        put(HEADER + MACHINE + 2, &[PARTITION_ID_VALID]);
        // Number, name.
        put(HEADER + MACHINE + 4, &info[32..34]);
        put(HEADER + MACHINE + 16, &info[44..52]);
    }
    block
}
