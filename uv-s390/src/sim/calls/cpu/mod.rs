//! CPUs: create, end, set their state, reset them.

mod create;
mod destroy;
mod reset;
mod set_state;

pub(in crate::sim) use create::create;
pub(in crate::sim) use destroy::destroy;
pub(in crate::sim) use reset::reset;
pub(in crate::sim) use set_state::set_state;
