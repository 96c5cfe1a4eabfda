//! The image: SE header, unpack, verify.

mod set_params;
mod unpack;
mod verify;

pub(in crate::sim) use set_params::{accept, set_params};
pub(in crate::sim) use unpack::{decipher, unpack};
pub(in crate::sim) use verify::verify;
