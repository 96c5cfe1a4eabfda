//! A `tracing` event for each call.

use zerocopy::FromBytes;

use crate::abi::uvc::{Cc, ProgramInterruption, UvCall};
use crate::abi::uvcb::UvcbHeader;

/// Tells every call with its command, condition code, rc and rrc, at level `DEBUG`.
#[derive(Clone, Copy, Debug)]
pub struct Traced<U>(pub U);

impl<U: UvCall> UvCall for Traced<U> {
    fn uv_call(&self, block: &mut [u8]) -> Result<Cc, ProgramInterruption> {
        let command = super::command(block);
        let result = self.0.uv_call(block);
        let name = command.map_or("no command", |command| command.name().unwrap_or("unknown command"));
        match (&result, UvcbHeader::ref_from_prefix(block)) {
            (Ok(cc), Ok((header, _))) => {
                tracing::debug!(name, cc = u8::from(*cc), rc = %header.rc(), rrc = %header.rrc(), "UVC");
            }
            (Ok(cc), Err(_)) => tracing::debug!(name, cc = u8::from(*cc), "UVC"),
            (Err(interruption), _) => tracing::debug!(name, %interruption, "UVC"),
        }
        result
    }
}
