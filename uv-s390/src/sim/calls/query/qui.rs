//! QUI: query UV information.
//!
//! | # | check | result |
//! |---|---|---|
//! | 1 | the block has room for all information | stored as far as it fits, rc 0x0100 |
//!
//! The answer depends on the role. A block that is longer than all information is left alone behind it. Works before INIT_UV.

use zerocopy::IntoBytes;

use crate::abi::Role;
use crate::sim::answer::Answer;
use crate::sim::machine::Machine;
use crate::uvc::UvRc;

/// Where the header ends and the information begins.
const HEADER: usize = 8;

pub(in crate::sim) fn qui(machine: &Machine, block: &mut [u8], role: Role) -> Answer {
    let info = machine.generation.query(role);
    let length = usize::from(u16::from_be_bytes([block[0], block[1]])).min(block.len());
    let all = info.as_bytes();
    let fits = all.len().min(length);
    block[HEADER..fits].copy_from_slice(&all[HEADER..fits]);
    if fits < all.len() { Err(UvRc::MORE_DATA.into()) } else { Ok(()) }
}
