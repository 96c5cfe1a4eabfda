//! Pages: import, export, destroy, pin, unpin, large frames.

mod destroy;
mod export;
mod import;
mod pin;
mod unpin;
mod verify_large;

pub(in crate::sim) use destroy::destroy;
pub(in crate::sim) use export::export;
pub(in crate::sim) use import::import;
pub(in crate::sim) use pin::pin;
pub(in crate::sim) use unpin::unpin;
pub(in crate::sim) use verify_large::verify_large;
