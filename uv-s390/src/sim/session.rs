//! A dump that has begun.

use crate::owner::crypto::Cck;
use crate::owner::dump::DumpKey;

/// What DUMP_INIT has fixed for the calls after it.
pub(crate) struct Session {
    pub(crate) seed: [u8; 64],
    pub(crate) cck: Cck,
    pub(crate) key: DumpKey,
}
