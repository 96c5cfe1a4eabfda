//! From the bytes of a control block to a call, and back.
//!
//! Checks that all commands share, in this order (s390-ultravisor §1.1):
//!
//! | # | check | result |
//! |---|---|---|
//! | 1 | 8 bytes are accessible | program interruption 0x11 |
//! | 2 | the command is known, installed and allowed in this role | rc 0x0002 |
//! | 3 | the bytes that the header states are accessible | program interruption 0x11 |
//! | 4 | the length is the command's | rc 0x0005 |
//! | 5 | host: the Ultravisor is initialized (not for QUI, QUERY_KEYS, INIT_UV) | rc 0x0003 |
//!
//! The command's own checks follow, each in the file of the call.

use zerocopy::{FromBytes, IntoBytes, KnownLayout};

use super::answer::{Answer, Refusal};
use super::calls;
use super::machine::Machine;
use super::profile::Generation;
use crate::abi::{CommandInfo, Role, UvCommand, UvcbHeader};
use crate::uvc::{Cc, PgmCode, ProgramInterruption, UvCall, UvRc, UvRrc};

/// Checks 1 to 4.
pub(crate) fn admit(block: &[u8], generation: Generation, role: Role) -> Result<&'static CommandInfo, Refusal> {
    let inaccessible = Refusal::program(PgmCode::PAGE_TRANSLATION);
    let (header, _) = UvcbHeader::ref_from_prefix(block).map_err(|_| inaccessible)?;
    let info = header.command().info().filter(|info| generation.allows(info, role));
    let info = info.ok_or(UvRc::INVALID_COMMAND)?;
    if usize::from(header.len.get()) > block.len() {
        return Err(inaccessible);
    }
    if !info.length.allows(header.len.get()) {
        return Err(UvRc::INVALID_LENGTH.into());
    }
    Ok(info)
}

/// Stores the codes of an answer, and gives the condition code.
pub(crate) fn finish(block: &mut [u8], answer: Answer) -> Result<Cc, ProgramInterruption> {
    let (rc, rrc, cc) = match answer {
        Ok(()) => (UvRc::EXECUTED, UvRrc(0), Cc::Done),
        Err(Refusal::Code(rc, rrc)) => (rc, rrc, Cc::Error),
        Err(Refusal::Interrupted(interruption)) => return Err(interruption),
        Err(other) => return Ok(other.cc()),
    };
    if let Ok((header, _)) = UvcbHeader::mut_from_prefix(block) {
        header.rc = rc.0.into();
        header.rrc = rrc.0.into();
    }
    Ok(cc)
}

/// Lets a call work on its block in place. The length was checked; a block that is shorter all the same is refused.
pub(crate) fn with<B: FromBytes + IntoBytes + KnownLayout>(
    block: &mut [u8],
    act: impl FnOnce(&mut B) -> Answer,
) -> Answer {
    match B::mut_from_prefix(block) {
        Ok((block, _)) => act(block),
        Err(_) => Err(UvRc::INVALID_LENGTH.into()),
    }
}

impl UvCall for Machine {
    fn uv_call(&self, block: &mut [u8]) -> Result<Cc, ProgramInterruption> {
        self.clock.advance(super::TOD_PER_MICROSECOND);
        let answer = self.host_call(block);
        let command = UvcbHeader::ref_from_prefix(block).map_or(UvCommand(0), |(header, _)| header.command());
        tracing::trace!(%command, ?answer, "host UVC");
        finish(block, answer)
    }
}

impl Machine {
    fn host_call(&self, block: &mut [u8]) -> Answer {
        let info = admit(block, self.generation, Role::Host)?;
        let before_init = matches!(info.command, UvCommand::QUI | UvCommand::QUERY_KEYS | UvCommand::INIT_UV);
        if !before_init && self.base.lock().is_none() {
            return Err(UvRc::INVALID_STATE.into());
        }
        match info.command {
            UvCommand::QUI => calls::query::qui(self, block, Role::Host),
            UvCommand::QUERY_KEYS => with(block, |block| calls::query::keys(self, block)),
            UvCommand::INIT_UV => with(block, |block| calls::init::init_uv(self, block)),
            UvCommand::CREATE_SEC_CONF => with(block, |block| calls::conf::create(self, block)),
            UvCommand::DESTROY_SEC_CONF => with(block, |block| calls::conf::destroy(self, block)),
            UvCommand::DESTROY_SEC_CONF_FAST => with(block, |block| calls::conf::destroy_fast(self, block)),
            UvCommand::PREPARE_RESET => with(block, |block| calls::conf::prepare_reset(self, block)),
            UvCommand::SET_UNSHARE_ALL => with(block, |block| calls::conf::unshare_all(self, block)),
            UvCommand::CREATE_SEC_CPU => with(block, |block| calls::cpu::create(self, block)),
            UvCommand::DESTROY_SEC_CPU => with(block, |block| calls::cpu::destroy(self, block)),
            UvCommand::CPU_SET_STATE => with(block, |block| calls::cpu::set_state(self, block)),
            UvCommand::CPU_RESET | UvCommand::CPU_RESET_INITIAL | UvCommand::CPU_RESET_CLEAR => {
                with(block, |block| calls::cpu::reset(self, block))
            }
            UvCommand::CONV_TO_SEC_STOR => with(block, |block| calls::storage::import(self, block)),
            UvCommand::CONV_FROM_SEC_STOR => with(block, |block| calls::storage::export(self, block)),
            UvCommand::DESTR_SEC_STOR => with(block, |block| calls::storage::destroy(self, block)),
            UvCommand::VERIFY_LARGE_FRAME => with(block, |block| calls::storage::verify_large(self, block)),
            UvCommand::PIN_PAGE_SHARED => with(block, |block| calls::storage::pin(self, block)),
            UvCommand::UNPIN_PAGE_SHARED => with(block, |block| calls::storage::unpin(self, block)),
            UvCommand::SET_SEC_CONF_PARAMS => with(block, |block| calls::image::set_params(self, block)),
            UvCommand::UNPACK_IMG => with(block, |block| calls::image::unpack(self, block)),
            UvCommand::VERIFY_IMG => with(block, |block| calls::image::verify(self, block)),
            _ => Err(UvRc::INVALID_COMMAND.into()),
        }
    }
}
