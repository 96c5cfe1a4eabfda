//! The programs on POWER, as functions that tests call too.

pub mod boot;
pub mod esmb;
pub mod paging;
