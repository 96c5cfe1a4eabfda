//! The programs on POWER, as a user runs them.

mod boot;
mod esmb;
mod paging;
