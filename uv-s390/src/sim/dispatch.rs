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
use crate::abi::uvc::{Cc, PgmCode, ProgramInterruption, UvCall, UvRc, UvRrc};
use crate::abi::uvcb::{CommandInfo, Role, UvCommand, UvcbHeader};

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
            UvCommand::DUMP_INIT => with(block, |block| calls::dump::init(self, block)),
            UvCommand::DUMP_CPU => with(block, |block| calls::dump::cpu(self, block)),
            UvCommand::DUMP_CONF_STOR_STATE => with(block, |block| calls::dump::storage(self, block)),
            UvCommand::DUMP_COMPLETE => with(block, |block| calls::dump::complete(self, block)),
            _ => Err(UvRc::INVALID_COMMAND.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::uvcb::{COMMANDS, Length};
    use crate::sim::rig::{Rig, refused};
    use crate::sim::{Generation, Uvc};

    fn header(command: u16, len: u16) -> [u8; 8] {
        let (command, len) = (command.to_be_bytes(), len.to_be_bytes());
        [len[0], len[1], command[0], command[1], 0, 0, 0, 0]
    }

    fn call(rig: &Rig, command: u16, len: u16, bytes: usize) -> Result<(Cc, UvRc), PgmCode> {
        let mut block = alloc::vec![0; bytes];
        let header = header(command, len);
        let front = bytes.min(8);
        block[..front].copy_from_slice(&header[..front]);
        let cc = rig.machine.uv_call(&mut block).map_err(|interruption| interruption.code)?;
        Ok((cc, UvRc(u16::from_be_bytes([block[4], block[5]]))))
    }

    #[test]
    fn the_order_of_the_common_checks() {
        let rig = Rig::new(Generation::Z17);
        let (unknown, uninitialized) = (Ok((Cc::Error, UvRc(2))), Ok((Cc::Error, UvRc(3))));
        let (length, inaccessible) = (Ok((Cc::Error, UvRc(5))), Err(PgmCode(0x11)));
        assert_eq!(call(&rig, 0x4242, 8, 7), inaccessible);
        assert_eq!(call(&rig, 0x4242, 8, 8), unknown);
        assert_eq!(call(&rig, 0x4242, 0x4000, 8), unknown, "unknown before inaccessible");
        assert_eq!(call(&rig, 0x1000, 0x30, 0x30), unknown, "a guest's call");
        assert_eq!(call(&rig, 0x0101, 0x40, 0x3f), inaccessible);
        assert_eq!(call(&rig, 0x0101, 0x38, 0x40), length, "length before uninitialized");
        assert_eq!(call(&rig, 0x0101, 0x48, 0x48), length);
        assert_eq!(call(&rig, 0x0101, 0, 0x48), length);
        assert_eq!(call(&rig, 0x0101, 0x40, 0x40), uninitialized);
        assert_eq!(call(&rig, 0x0101, 0x40, 0x1000), uninitialized, "the slice may go on behind the block");
    }

    #[test]
    fn every_host_call_wants_init_first_and_no_guest_call_is_there() {
        let rig = Rig::new(Generation::Z17);
        for info in COMMANDS {
            let (Length::Exact(len) | Length::AtLeast(len)) = info.length;
            let expected = match (info.role, info.command) {
                (Role::Guest, _) => UvRc::INVALID_COMMAND,
                (_, UvCommand::QUI) => UvRc::MORE_DATA,
                (_, UvCommand::QUERY_KEYS) => UvRc::EXECUTED,
                (_, UvCommand::INIT_UV) => UvRc::INIT_LENGTH,
                _ => UvRc::INVALID_STATE,
            };
            assert_eq!(call(&rig, info.command.0, len, usize::from(len)).unwrap().1, expected, "{}", info.name);
        }
    }

    #[test]
    fn every_handle_is_looked_at() {
        let rig = Rig::ready(Generation::Z17);
        let conf = [0x101, 0x102, 0x120, 0x200, 0x203, 0x300, 0x301, 0x302, 0x320, 0x340, 0x342, 0x400, 0x401, 0x403];
        let cpu = [0x121, 0x310, 0x311, 0x321, 0x330, 0x402];
        let codes = conf.map(|c| (c, 0x20)).into_iter().chain(cpu.map(|c| (c, 0x21)));
        for (command, expected) in codes {
            let info = UvCommand(command).info().unwrap();
            let (Length::Exact(len) | Length::AtLeast(len)) = info.length;
            assert_eq!(call(&rig, command, len, usize::from(len)), Ok((Cc::Error, UvRc(expected))), "{}", info.name);
        }
    }

    #[test]
    fn what_the_instruction_checks_itself() {
        let rig = Rig::new(Generation::Z17);
        let run = |uvc: Uvc| rig.machine.execute(uvc, &mut []).unwrap_err().code;
        assert_eq!(run(Uvc { i3: 4, i4: 2, problem_state: true }), PgmCode::PRIVILEGED_OPERATION);
        assert_eq!(run(Uvc { i3: 4, ..Uvc::default() }), PgmCode::SPECIFICATION);
        assert_eq!(run(Uvc { i4: 2, ..Uvc::default() }), PgmCode::SPECIFICATION);
        assert_eq!(run(Uvc::default()), PgmCode::PAGE_TRANSLATION);
    }

    #[test]
    fn older_machines_have_fewer_calls() {
        let rig = Rig::ready(Generation::Z15);
        assert_eq!(rig.no_data(UvCommand::DUMP_INIT, 1), refused(UvRc::INVALID_COMMAND));
        assert_eq!(call(&rig, 0x102, 0x48, 0x48), Ok((Cc::Error, UvRc(2))));
        assert_eq!(call(&rig, 0x203, 0x28, 0x28), Ok((Cc::Error, UvRc(2))));
    }
}
