//! Answers that a machine gives on a bad day.

use alloc::vec::Vec;

use uv_sim::wrap::{Drawn, Draws};
use zerocopy::FromBytes;

use crate::abi::uvc::{Cc, ProgramInterruption, UvCall, UvRc, UvRrc};
use crate::abi::uvcb::{UvCommand, UvcbHeader};

/// An error that comes at a certain call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlannedError {
    /// The command.
    pub command: UvCommand,
    /// Which call of this command, 0 for the first.
    pub nth: u32,
    /// What is stored.
    pub rc: UvRc,
    /// What is stored.
    pub rrc: UvRrc,
}

/// When calls are disturbed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schedule {
    /// The same seed and the same calls give the same answers.
    pub seed: u64,
    /// How many of 256 calls are answered busy (cc 2).
    pub busy: u8,
    /// How many of 256 calls are answered partially done (cc 3).
    pub partial: u8,
    /// Errors (cc 1).
    pub errors: Vec<PlannedError>,
}

/// Disturbs calls. A disturbed call does not reach the machine, so nothing is done; with cc 2 and 3 the block is unchanged.
/// At most [`Draws::LONGEST_RUN`] calls in a row are answered busy or partially done.
#[derive(Debug)]
pub struct Disturbed<U> {
    inner: U,
    schedule: Schedule,
    draws: Draws<UvCommand>,
}

impl<U> Disturbed<U> {
    /// Disturbs what goes to `inner`.
    #[must_use]
    pub fn new(inner: U, schedule: Schedule) -> Self {
        let draws = Draws::new(schedule.seed);
        Self { inner, schedule, draws }
    }

    fn disturb(&self, command: UvCommand) -> Option<(Cc, UvRc, UvRrc)> {
        let at = match self.draws.next(command, &[self.schedule.busy, self.schedule.partial]) {
            Drawn::Struck(0) => return Some((Cc::Busy, UvRc(0), UvRrc(0))),
            Drawn::Struck(_) => return Some((Cc::Partial, UvRc(0), UvRrc(0))),
            Drawn::Passes(nth) => nth,
        };
        let planned = self.schedule.errors.iter().find(|error| error.command == command && error.nth == at)?;
        Some((Cc::Error, planned.rc, planned.rrc))
    }
}

impl<U: UvCall> UvCall for Disturbed<U> {
    fn uv_call(&self, block: &mut [u8]) -> Result<Cc, ProgramInterruption> {
        let Some((cc, rc, rrc)) = super::command(block).and_then(|command| self.disturb(command)) else {
            return self.inner.uv_call(block);
        };
        if let (Cc::Error, Ok((header, _))) = (cc, UvcbHeader::mut_from_prefix(block)) {
            header.rc = rc.0.into();
            header.rrc = rrc.0.into();
        }
        Ok(cc)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::uvc::{Retries, call};
    use crate::abi::uvcb::{NoData, QueryInfo};
    use crate::sim::{Machine, MachineConfig};
    use crate::wrap::{Recorder, Replayer, Traced};
    use zerocopy::IntoBytes;

    fn answers(seed: u64) -> Vec<Cc> {
        let machine = Machine::new(MachineConfig::new(1));
        let schedule = Schedule { seed, busy: 64, partial: 64, errors: Vec::new() };
        let disturbed = Disturbed::new(&machine, schedule);
        (0..64).map(|_| disturbed.uv_call(QueryInfo::new().as_mut_bytes()).unwrap()).collect()
    }

    #[test]
    fn one_seed_one_schedule() {
        assert_eq!(answers(1), answers(1));
        assert_ne!(answers(1), answers(2));
        assert!([Cc::Done, Cc::Busy, Cc::Partial].iter().all(|cc| answers(1).contains(cc)));
    }

    #[test]
    fn planned_errors_come_once_and_callers_come_through() {
        let machine = Machine::new(MachineConfig::new(1));
        let command = UvCommand::VERIFY_IMG;
        let planned = PlannedError { command, nth: 1, rc: UvRc(0x123), rrc: UvRrc(4) };
        let schedule = Schedule { seed: 3, busy: 255, partial: 0, errors: [planned].to_vec() };
        let disturbed = Traced(Disturbed::new(&machine, schedule));
        let rc = || {
            let error =
                call(&disturbed, &mut NoData::new(command, 1), Retries(Draws::<UvCommand>::LONGEST_RUN)).unwrap_err();
            error.refused().unwrap().rc
        };
        assert_eq!([rc(), rc(), rc()], [UvRc(3), UvRc(0x123), UvRc(3)]);
    }

    #[test]
    fn a_recording_answers_only_what_was_asked() {
        let machine = Machine::new(MachineConfig::new(1));
        let recorder = Recorder::new(&machine);
        let mut first = NoData::new(UvCommand::VERIFY_IMG, 1);
        let _ = call(&recorder, &mut first, Retries::NONE);
        let _ = recorder.uv_call(&mut [0; 3]);
        assert_eq!(recorder.calls().len(), 2);
        let replayer = Replayer::new(recorder.take());
        let mut other = NoData::new(UvCommand::VERIFY_IMG, 2);
        assert!(replayer.uv_call(other.as_mut_bytes()).is_err());
        let mut again = NoData::new(UvCommand::VERIFY_IMG, 1);
        assert_eq!(replayer.uv_call(again.as_mut_bytes()), Ok(Cc::Error));
        assert_eq!(again.as_bytes(), first.as_bytes());
        assert!(!replayer.is_done());
        assert_eq!(replayer.uv_call(&mut [0; 3]), machine.uv_call(&mut [0; 3]));
        assert!(replayer.is_done() && replayer.uv_call(first.as_mut_bytes()).is_err());
    }
}
