//! Wrappers around an [`UvCall`](crate::abi::uvc::UvCall): to see the calls, to keep them, to disturb them.
//!
//! Who uses it: tests of whatever works over a seam; tools that look at calls.
//!
//! A wrapper is itself an `UvCall`, so wrappers stack and everything above the seam runs on them unchanged.
//!
//! | wrapper | job |
//! |---|---|
//! | [`Traced`] | a `tracing` event for each call |
//! | [`Recorder`], [`Replayer`] | keeps calls with their answers; answers the same calls again without a machine |
//! | [`Disturbed`] | answers busy (cc 2), partial (cc 3) or an error on a schedule that follows from a seed |
//!
//! Control blocks hold handles, addresses and lengths. They never hold a key; what a guest sends for attestation is data
//! that it shows to the host anyway.
//!
//! ```
//! use uv_s390::sim::{Machine, MachineConfig};
//! use uv_s390::abi::uvc::query;
//! use uv_s390::wrap::{Disturbed, Recorder, Replayer, Schedule};
//!
//! let machine = Machine::new(MachineConfig::new(1));
//! let disturbed = Disturbed::new(&machine, Schedule { seed: 5, busy: 200, ..Schedule::default() });
//! let recorder = Recorder::new(&disturbed);
//! let info = query(&recorder)?;
//!
//! let replayer = Replayer::new(recorder.take());
//! assert_eq!(query(&replayer)?.calls, info.calls);
//! assert!(replayer.is_done());
//! # Ok::<(), uv_s390::abi::uvc::CallError>(())
//! ```

mod disturb;
mod record;
mod trace;

pub use disturb::{Disturbed, PlannedError, Schedule};
pub use record::{RecordedCall, Recorder, Replayer};
pub use trace::Traced;

use alloc::vec::Vec;

use zerocopy::FromBytes;

use crate::abi::uvcb::{UvCommand, UvcbHeader};

/// The command of a block; `None` when there is no header.
fn command(block: &[u8]) -> Option<UvCommand> {
    UvcbHeader::ref_from_prefix(block).ok().map(|(header, _)| header.command())
}

/// The bytes of the block itself, without what lies behind it.
fn block_bytes(block: &[u8]) -> Vec<u8> {
    let stated = UvcbHeader::ref_from_prefix(block).map_or(0, |(header, _)| usize::from(header.len.get()));
    block[..block.len().min(stated.max(size_of::<UvcbHeader>()))].to_vec()
}
