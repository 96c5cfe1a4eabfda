//! Configurations: create, end, reset.

mod create;
mod destroy;
mod destroy_fast;
mod prepare_reset;
mod unshare_all;

pub(in crate::sim) use create::create;
pub(in crate::sim) use destroy::destroy;
pub(in crate::sim) use destroy_fast::destroy_fast;
pub(in crate::sim) use prepare_reset::prepare_reset;
pub(in crate::sim) use unshare_all::unshare_all;
