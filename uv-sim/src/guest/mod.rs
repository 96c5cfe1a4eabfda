//! Scripted guests: virtual CPUs that load, store, fetch, call, share and halt without an instruction emulator.
//!
//! A [`Program`] says what the guest does next and is told what came of it. [`GuestCpu`] carries it out on guest memory
//! and stops where a real CPU would stop: at a page that is not there, at an instruction that the ultravisor handles, at
//! the end. Whatever cannot be done is repeated after the cause was served, so faults, exits and resumes are real flows.
//!
//! The machine chooses `C`, the instructions that leave the guest (a DIAGNOSE, an ultracall …), and `R`, what comes
//! back from them.
//!
//! ```
//! use uv_core::GuestAddr;
//! use uv_sim::guest::{Outcome, Script, Step};
//!
//! let (script, seen) = Script::<(), ()>::new([
//!     Step::store(GuestAddr(0x1000), b"secret"),
//!     Step::load(GuestAddr(0x1000), 6),
//! ]);
//! # let _ = (script, seen.lock().len());
//! ```

mod cpu;
mod program;
mod view;

pub use cpu::{GuestCpu, GuestEvent};
pub use program::{Outcome, Program, Script, Step, Transcript};
pub use view::{GuestMemory, NormalView, SecureView};
