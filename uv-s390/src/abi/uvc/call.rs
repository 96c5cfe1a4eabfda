//! Issuing a call until it is done.

use zerocopy::FromZeros;

use super::{Block, CallError, Cc, UvCall, UvError};
use crate::abi::uvcb::QueryInfo;

/// How often a call that answers busy (cc 2) or partially done (cc 3) is issued again before the caller is told.
///
/// Linux goes on without end for all commands but imports, which it leaves to its caller after the first answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retries(pub u32);

impl Retries {
    /// Not again: the caller decides.
    pub const NONE: Self = Self(0);
    /// As long as it takes a machine that is not broken.
    pub const PATIENT: Self = Self(1 << 20);
}

/// Issues a call, again and again with the unchanged block while it answers busy or partially done.
///
/// # Errors
/// [`CallError::Refused`] with the codes in the block when the call ends with cc 1, and with cc 2 or 3 when `retries` are
/// used up; [`CallError::Interrupted`].
pub fn call<T: Block>(uvc: &dyn UvCall, block: &mut T, retries: Retries) -> Result<(), CallError> {
    let command = block.header().command();
    let mut left = retries.0;
    loop {
        let cc = uvc.uv_call(block.as_mut_bytes()).map_err(|interruption| {
            tracing::debug!(%command, %interruption, "UVC interrupted");
            CallError::Interrupted { command, interruption }
        })?;
        let header = block.header();
        let (rc, rrc) = (header.rc(), header.rrc());
        match cc {
            Cc::Done => return Ok(()),
            Cc::Busy | Cc::Partial if left > 0 => left -= 1,
            Cc::Error | Cc::Busy | Cc::Partial => return Err(UvError { command, cc, rc, rrc }.into()),
        }
    }
}

/// Queries the Ultravisor with the longest known block. Less data than the block has room for, and more data than fits,
/// are both fine: fields that the machine does not have are 0.
///
/// # Errors
/// As [`call`], but for "more data" (rc 0x0100).
pub fn query(uvc: &dyn UvCall) -> Result<QueryInfo, CallError> {
    let mut block = QueryInfo::new_zeroed();
    block.prepare();
    match call(uvc, &mut block, Retries::PATIENT) {
        Err(CallError::Refused(error)) if error.is_more_data() => Ok(block),
        done => done.map(|()| block),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::uvc::{PgmCode, ProgramInterruption, UvRc, UvRrc};
    use crate::abi::uvcb::{NoData, UvCommand};
    use core::sync::atomic::{AtomicU32, Ordering};
    use uv_core::{Error, ErrorKind};

    /// Answers busy so often, then with a code.
    struct Slow {
        busy: AtomicU32,
        rc: u16,
    }

    impl UvCall for Slow {
        fn uv_call(&self, block: &mut [u8]) -> Result<Cc, ProgramInterruption> {
            if self.rc == 0 {
                return Err(ProgramInterruption::new(PgmCode::PAGE_TRANSLATION));
            }
            if self.busy.load(Ordering::Relaxed) > 0 {
                self.busy.fetch_sub(1, Ordering::Relaxed);
                return Ok(Cc::Busy);
            }
            block[4..6].copy_from_slice(&self.rc.to_be_bytes());
            Ok(if self.rc == 1 { Cc::Done } else { Cc::Error })
        }
    }

    fn run(busy: u32, rc: u16, retries: u32) -> Result<(), CallError> {
        let mut block = NoData::new(UvCommand::VERIFY_IMG, 7);
        call(&Slow { busy: AtomicU32::new(busy), rc }, &mut block, Retries(retries))
    }

    #[test]
    fn busy_is_issued_again_until_the_bound() {
        assert_eq!(run(3, 1, 3), Ok(()));
        let error = run(3, 1, 2).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Busy);
        assert_eq!(error.refused().unwrap().cc, Cc::Busy);
    }

    #[test]
    fn refusals_keep_their_codes() {
        let error = UvError { command: UvCommand::VERIFY_IMG, cc: Cc::Error, rc: UvRc(0x102), rrc: UvRrc(0) };
        assert_eq!(run(0, 0x102, 0), Err(CallError::Refused(error)));
        assert_eq!(error.kind(), ErrorKind::Integrity);
        assert_eq!(alloc::format!("{error}"), "VERIFY_IMG: cc 1, rc 0x0102, rrc 0x0000");
        assert!(matches!(run(0, 0, 0), Err(CallError::Interrupted { .. })));
    }
}
