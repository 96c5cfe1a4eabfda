//! Backends that several test programs use.
#![allow(dead_code, reason = "not every program uses every backend")]

pub(crate) mod bare;
pub(crate) mod power;
pub(crate) mod s390;
pub(crate) mod todo;
pub(crate) mod wrapped;
