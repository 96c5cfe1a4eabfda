//! Tests that need more than one call.

mod accesses;
mod boot;
mod fading;
mod gate;
mod guest_role;
mod home;
mod hostile;
mod limits;
mod memory;
mod random;
mod resume;
mod threads;
mod wrong_state;

pub(in crate::sim) use random::check;
