//! Tests that need more than one call.

mod boot;
mod home;
mod hostile;
mod random;
mod resume;
mod threads;
mod wrong_state;
