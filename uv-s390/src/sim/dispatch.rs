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
use super::view::GuestView;
use crate::abi::uvc::{Cc, PgmCode, ProgramInterruption, UvCall, UvRc, UvRrc};
use crate::abi::uvcb::table::uv_calls;
#[allow(clippy::wildcard_imports, reason = "the blocks that the rows name")]
use crate::abi::uvcb::*;

/// Checks 1 to 4.
pub(crate) fn admit(block: &[u8], generation: Generation, role: Role) -> Result<UvCommand, Refusal> {
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
    Ok(info.command)
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
fn with<B: FromBytes + IntoBytes + KnownLayout>(block: &mut [u8], act: impl FnOnce(&mut B) -> Answer) -> Answer {
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
        let command = admit(block, self.generation, Role::Host)?;
        let before_init = matches!(command, UvCommand::QUI | UvCommand::QUERY_KEYS | UvCommand::INIT_UV);
        if !before_init && self.base.lock().is_none() {
            return Err(UvRc::INVALID_STATE.into());
        }
        match handler(command) {
            Some(Handler::Host(act)) => act(self, block),
            Some(Handler::Both(act)) => act(self, Role::Host, block),
            Some(Handler::Guest(_)) | None => Err(UvRc::INVALID_COMMAND.into()),
        }
    }

    /// Carries out a guest's command that was admitted.
    pub(super) fn guest_command(&self, guest: &GuestView<'_>, command: UvCommand, block: &mut [u8]) -> Answer {
        match handler(command) {
            Some(Handler::Guest(act)) => act(guest, block),
            Some(Handler::Both(act)) => act(self, Role::Guest, block),
            Some(Handler::Host(_)) | None => Err(UvRc::INVALID_COMMAND.into()),
        }
    }
}

/// Who answers a command, by the role that may issue it.
#[derive(Clone, Copy)]
enum Handler {
    Host(fn(&Machine, &mut [u8]) -> Answer),
    Guest(fn(&GuestView<'_>, &mut [u8]) -> Answer),
    Both(fn(&Machine, Role, &mut [u8]) -> Answer),
}

macro_rules! handlers {
    ($($(#[$meta:meta])* $name:ident = $code:literal, $since:ident, $role:ident, $bit:expr,
        $block:ident $(from $least:literal)?, $($handler:ident)::+;)*) => {
        /// The handlers, by row.
        #[allow(unused_doc_comments, reason = "the rows' documentation is that of the commands")]
        static HANDLERS: &[Handler] =
            &[$($(#[$meta])* handler!($role, calls::$($handler)::+, $block $(from $least)?)),*];
    };
}

/// A handler over the bytes of the block: one that takes its layout gets that, one whose block has no fixed length the bytes.
macro_rules! handler {
    ($role:ident, $path:path, $block:ident from $least:literal) => {
        Handler::$role($path)
    };
    (Host, $path:path, $block:ident) => {
        Handler::Host(|machine, block| with::<$block>(block, |block| $path(machine, block)))
    };
    (Guest, $path:path, $block:ident) => {
        Handler::Guest(|guest, block| with::<$block>(block, |block| $path(guest, block)))
    };
    (Both, $path:path, $block:ident) => {
        Handler::Both(|machine, role, block| with::<$block>(block, |block| $path(machine, role, block)))
    };
}

uv_calls!(handlers);

fn handler(command: UvCommand) -> Option<Handler> {
    HANDLERS.get(command.row()?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
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
        for info in COMMANDS.iter().filter(|info| info.role == Role::Host) {
            let expected = match info.command {
                UvCommand::INIT_UV | UvCommand::CREATE_SEC_CONF => continue,
                // They name a frame.
                UvCommand::CONV_FROM_SEC_STOR | UvCommand::DESTR_SEC_STOR | UvCommand::PIN_PAGE_SHARED => continue,
                UvCommand::DESTROY_SEC_CPU | UvCommand::CPU_SET_STATE | UvCommand::DUMP_CPU => 0x21,
                UvCommand::CPU_RESET | UvCommand::CPU_RESET_INITIAL | UvCommand::CPU_RESET_CLEAR => 0x21,
                _ => 0x20,
            };
            let (Length::Exact(len) | Length::AtLeast(len)) = info.length;
            let answer = call(&rig, info.command.0, len, usize::from(len));
            assert_eq!(answer, Ok((Cc::Error, UvRc(expected))), "{}", info.name);
        }
    }

    /// Every row, on every machine, in both roles: indicated, installed and answered are one.
    #[test]
    fn what_a_query_indicates_is_answered_and_nothing_else() {
        for generation in [Generation::Z15, Generation::Z16, Generation::Z17] {
            let rig = Rig::ready(generation);
            let guest = rig.guest(0);
            let conf = rig.machine.conf(guest.conf).unwrap();
            for info in COMMANDS {
                let (Length::Exact(len) | Length::AtLeast(len)) = info.length;
                for role in [Role::Host, Role::Guest] {
                    let installed = generation.allows(info, role);
                    let indicated = generation.query(role).calls.has(info.command);
                    assert_eq!(indicated.unwrap_or(installed), installed, "{} {generation:?} {role:?}", info.name);
                    let mut block = alloc::vec![0; usize::from(len)];
                    block[..8].copy_from_slice(&header(info.command.0, len));
                    let answer = match role {
                        Role::Host => rig.machine.host_call(&mut block),
                        _ => admit(&block, generation, role).and_then(|command| {
                            rig.machine.guest_command(&GuestView::new(&rig.machine, &conf), command, &mut block)
                        }),
                    };
                    let refused = answer == Err(UvRc::INVALID_COMMAND.into());
                    assert_eq!(refused, !installed, "{} {generation:?} {role:?}: {answer:?}", info.name);
                }
            }
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
        assert_eq!(rig.call(&mut DestroyFast::new(1)), refused(UvRc::INVALID_COMMAND));
    }
}
