//! Wrappers around the seams, [`Ultracall`](crate::abi::Ultracall) and [`GuestEntry`](crate::abi::GuestEntry): to see what passes,
//! to keep it, to disturb it.
//!
//! A wrapper has both seams itself, so wrappers stack and everything above them runs unchanged.
//!
//! | wrapper | job |
//! |---|---|
//! | [`Traced`] | a `tracing` event for each call and entry |
//! | [`Watched`] | shows each call and entry to a function |
//! | [`Recorder`], [`Replayer`] | keeps calls and entries with their answers; answers the same ones again without a machine |
//! | [`Disturbed`] | refuses calls and interrupts entries on a schedule that follows from a seed |
//!
//! What they see are registers as the hypervisor loads and finds them: those of a secure guest are neutral (power-pef §8.2).
//!
//! ```
//! use std::sync::Arc;
//! use uv_core::{Error, ErrorKind, GuestAddr};
//! use uv_power::abi::regs::Lpid;
//! use uv_power::abi::{Ultracall, UvCode, ultracall};
//! use uv_power::owner::keys::PrivateKey;
//! use uv_power::sim::{Machine, MachineConfig};
//! use uv_power::wrap::{Disturbed, Recorder, Replayer, Schedule};
//! use uv_sim::HostMemory;
//!
//! # let pem = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/svm-tool/keys/machine1.pem"));
//! let key = PrivateKey::from_pem(pem, None)?;
//! let machine = Machine::new(MachineConfig::new(key), Arc::new(HostMemory::new(1 << 20)));
//! let disturbed = Disturbed::new(machine, Schedule { seed: 5, busy: 200, ..Schedule::default() });
//! let recorder = Recorder::new(disturbed);
//!
//! // A busy ultravisor is asked again. Then it says that there is no such VM.
//! let invalidate = |uv: &dyn Ultracall| loop {
//!     match ultracall::page_inval(uv, Lpid(1), GuestAddr(0)) {
//!         Err(error) if error.kind() == ErrorKind::Busy => {}
//!         result => return result.unwrap_err().code,
//!     }
//! };
//! assert_eq!(invalidate(&recorder), UvCode::U_PARAMETER);
//!
//! let replayer = Replayer::new(recorder.take());
//! assert_eq!(invalidate(&replayer), UvCode::U_PARAMETER);
//! assert!(replayer.is_done());
//! # Ok::<(), uv_power::owner::keys::KeyError>(())
//! ```

mod disturb;
mod record;
#[cfg(test)]
mod tests;
mod trace;
mod watch;

pub use disturb::{Disturbed, PlannedError, Schedule};
pub use record::{Instruction, RecordedCall, Recorder, Replayer};
pub use trace::Traced;
pub use watch::Watched;
