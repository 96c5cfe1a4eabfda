//! Tests that need more than one call.

mod accesses;
mod boot;
mod gate;
mod home;
mod hostile;
mod random;
mod resume;
mod threads;
mod wrong_state;

pub(in crate::sim) use random::check;
