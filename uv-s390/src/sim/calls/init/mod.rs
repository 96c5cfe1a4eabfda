//! Initialization.

mod init_uv;

pub(in crate::sim) use init_uv::init_uv;
