//! From a secure guest to the hypervisor: who gets an interrupt, and what the registers show (power-pef §8).
//!
//! The hypervisor's registers are made new for every reflection: everything is neutral, and only what the tables of the
//! fact sheet name is put in. So a register that nobody thought of shows nothing.

mod caller;
pub(crate) mod enter;
pub(crate) mod hypercalls;
pub(crate) mod machine_check;
mod neutral;
pub(crate) mod rtas;

pub(crate) use neutral::enter_guest;
