//! What the page words are made of, in one place: the tests of interleavings put a model checker's in its stead.

pub(crate) use core::hint::spin_loop;
pub(crate) use core::sync::atomic::{AtomicBool, AtomicU64};

pub(crate) use spin::Once;

/// How often a mover looks whether the guest accesses at work on a page have ended, and closing whether calls have, before it
/// gives up: some milliseconds, so that a thread that lost its CPU in the middle of an access is waited for as a rule.
pub(crate) const PATIENCE: u32 = 1 << 18;
