//! Control blocks of the UV call (UVCBs): commands, layouts, query result.
//!
//! Who uses it: who issues a UV call, and the Ultravisor.
//!
//! All integers are big endian; gaps are reserved and sent as 0. Every constructor gives a block with length and command set
//! and all else 0.
//!
//! | family | commands | blocks |
//! |---|---|---|
//! | query | QUI | [`QueryInfo`] |
//! | init | INIT_UV | [`InitUv`] |
//! | configuration | CREATE/DESTROY_SEC_CONF, FAST, PREPARE_RESET, UNSHARE_ALL | [`CreateConf`], [`NoData`], [`DestroyFast`] |
//! | CPU | CREATE/DESTROY_SEC_CPU, resets, CPU_SET_STATE | [`CreateCpu`], [`NoData`], [`SetCpuState`] |
//! | storage | import, export, destroy, pin, unpin, VERIFY_LARGE_FRAME | [`ConvertTo`], [`ConvertFrom`] |
//! | image | SET_SEC_CONF_PARAMS, UNPACK_IMG, VERIFY_IMG | [`SetParams`], [`Unpack`], [`NoData`] |
//! | share | SET/REMOVE_SHARED_ACCESS | [`Share`] |
//! | dump | DUMP_* | [`NoData`], [`DumpCpu`], [`DumpStorageState`], [`DumpComplete`] |
//! | attest | RETR_ATTEST | [`Attest`] |
//! | secret | ADD, LIST, LOCK, RETR | [`AddSecret`], [`ListSecrets`], [`NoData`], [`RetrieveSecret`] |
//! | keys | QUERY_KEYS | [`QueryKeys`] |
//!
//! Source: s390-ultravisor §1.3–1.6.

/// States sizes and offsets of a layout and makes it a [`Block`](crate::abi::uvc::Block).
macro_rules! block {
    ($type:ident, $size:literal, $($field:ident at $offset:literal),+ $(,)?) => {
        const _: () = {
            assert!(core::mem::size_of::<$type>() == $size);
            assert!(core::mem::offset_of!($type, header) == 0);
            $(assert!(core::mem::offset_of!($type, $field) == $offset);)+
        };

        impl $crate::abi::uvcb::block::Block for $type {
            const LEN: u16 = $size;

            fn header(&self) -> &$crate::abi::uvcb::UvcbHeader {
                &self.header
            }
        }
    };
}

mod attest;
pub(crate) mod block;
mod calls;
mod command;
mod config;
mod cpu;
mod dump;
mod features;
mod header;
mod image;
mod info;
mod init;
mod keys;
mod query;
mod secret;
mod share;
mod storage;
pub(crate) mod table;
#[cfg(test)]
mod test_count;

pub use attest::Attest;
pub use calls::InstalledCalls;
pub use command::UvCommand;
pub use config::{ConfFlags, CreateConf, DestroyFast, NoData};
pub use cpu::{CpuState, CreateCpu, SetCpuState};
pub use dump::{DumpComplete, DumpCpu, DumpStorageState};
pub use features::{Features, bit};
pub use header::UvcbHeader;
pub use image::{SetParams, Unpack};
pub use info::{COMMANDS, CommandInfo, Length, Role};
pub use init::InitUv;
pub use keys::{KEY_HASHES, QueryKeys};
pub use query::QueryInfo;
pub use secret::{AddSecret, ListSecrets, RetrieveSecret};
pub use share::Share;
pub use storage::{ConvertFrom, ConvertTo};
#[cfg(test)]
pub(crate) use test_count::TestCount;
