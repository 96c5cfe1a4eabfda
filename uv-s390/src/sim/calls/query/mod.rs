//! Queries.

mod keys;
mod qui;

pub(in crate::sim) use keys::keys;
pub(in crate::sim) use qui::qui;
