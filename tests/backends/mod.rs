//! Backends that several test programs use.

pub(crate) mod bare;
