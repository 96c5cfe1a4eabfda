//! Virtual CPUs: what they are made of. What makes them run is in `run`.

pub(crate) mod insn;
pub(crate) mod interrupt;
pub(crate) mod state;
pub(crate) mod view;
