//! The calls: one row each.
//!
//! | column | meaning | who uses it |
//! |---|---|---|
//! | name, code | as in the public sources (s390-ultravisor §1.3) | [`UvCommand`](super::UvCommand), logs |
//! | generation | the first that has it, as far as the sources tell | what a simulated machine installs |
//! | role | who may issue it | dispatch, the query |
//! | bit | in the query's list of installed calls; `None` where no source names one | the query |
//! | block | its layout, and so its length; `from` the shortest one where lengths differ | dispatch |
//! | handler | under `sim/calls` | dispatch |
//!
//! The list is a macro that hands all rows to another one, so that each user takes the columns of its own: `commands!` here in
//! `abi`, `installed!` in `sim/profile.rs`, `handlers!` in `sim/dispatch.rs`. A row without one of the columns, or with a handler
//! that is not there or takes another block, does not compile; nor does a handler that is in no row.

macro_rules! uv_calls {
    ($rows:ident) => {
        $rows! {
            /// Query UV information.
            QUI = 0x0001, Z15, Both, Some(0), QueryInfo from 0xa8, query::qui;
            /// Hashes of the host keys.
            QUERY_KEYS = 0x0002, Z16, Both, Some(34), QueryKeys, query::keys;
            /// Initialize the Ultravisor.
            INIT_UV = 0x000f, Z15, Host, Some(1), InitUv, init::init_uv;
            /// Create a secure configuration.
            CREATE_SEC_CONF = 0x0100, Z15, Host, Some(2), CreateConf, conf::create;
            /// Destroy a secure configuration.
            DESTROY_SEC_CONF = 0x0101, Z15, Host, Some(3), NoData, conf::destroy;
            /// Destroy a secure configuration, its pages later.
            DESTROY_SEC_CONF_FAST = 0x0102, Z16, Host, Some(23), DestroyFast, conf::destroy_fast;
            /// Create a secure CPU.
            CREATE_SEC_CPU = 0x0120, Z15, Host, Some(4), CreateCpu, cpu::create;
            /// Destroy a secure CPU.
            DESTROY_SEC_CPU = 0x0121, Z15, Host, Some(5), NoData, cpu::destroy;
            /// Convert to secure storage (import).
            CONV_TO_SEC_STOR = 0x0200, Z15, Host, Some(6), ConvertTo, storage::import;
            /// Convert from secure storage (export).
            CONV_FROM_SEC_STOR = 0x0201, Z15, Host, Some(7), ConvertFrom, storage::export;
            /// Destroy secure storage.
            DESTR_SEC_STOR = 0x0202, Z15, Host, None, ConvertFrom, storage::destroy;
            /// Verify a 1 MiB frame.
            VERIFY_LARGE_FRAME = 0x0203, Z17, Host, Some(32), ConvertTo, storage::verify_large;
            /// Give the SE header to a configuration.
            SET_SEC_CONF_PARAMS = 0x0300, Z15, Host, Some(11), SetParams, image::set_params;
            /// Unpack one page of the image.
            UNPACK_IMG = 0x0301, Z15, Host, Some(13), Unpack, image::unpack;
            /// Verify the unpacked image.
            VERIFY_IMG = 0x0302, Z15, Host, Some(14), NoData, image::verify;
            /// CPU reset.
            CPU_RESET = 0x0310, Z15, Host, Some(15), NoData, cpu::reset;
            /// Initial CPU reset.
            CPU_RESET_INITIAL = 0x0311, Z15, Host, Some(16), NoData, cpu::reset;
            /// Prepare the reset of a configuration.
            PREPARE_RESET = 0x0320, Z15, Host, Some(18), NoData, conf::prepare_reset;
            /// Clear CPU reset.
            CPU_RESET_CLEAR = 0x0321, Z15, Host, Some(19), NoData, cpu::reset;
            /// Set the state of a CPU.
            CPU_SET_STATE = 0x0330, Z15, Host, Some(17), SetCpuState, cpu::set_state;
            /// Make all shared pages private.
            SET_UNSHARE_ALL = 0x0340, Z15, Host, Some(20), NoData, conf::unshare_all;
            /// Pin a shared page.
            PIN_PAGE_SHARED = 0x0341, Z15, Host, Some(21), ConvertFrom, storage::pin;
            /// Unpin a shared page.
            UNPIN_PAGE_SHARED = 0x0342, Z15, Host, Some(22), ConvertTo, storage::unpin;
            /// Begin a dump.
            DUMP_INIT = 0x0400, Z16, Host, Some(24), NoData, dump::init;
            /// Dump the tweaks of 1 MiB.
            DUMP_CONF_STOR_STATE = 0x0401, Z16, Host, Some(25), DumpStorageState, dump::storage;
            /// Dump a CPU.
            DUMP_CPU = 0x0402, Z16, Host, Some(26), DumpCpu, dump::cpu;
            /// End a dump.
            DUMP_COMPLETE = 0x0403, Z16, Host, Some(27), DumpComplete, dump::complete;
            /// Share a page with the host.
            SET_SHARED_ACCESS = 0x1000, Z15, Guest, Some(8), Share, share::set;
            /// Take a shared page back.
            REMOVE_SHARED_ACCESS = 0x1001, Z15, Guest, Some(9), Share, share::remove;
            /// Attestation.
            RETR_ATTEST = 0x1020, Z16, Guest, Some(28), Attest, attest::retrieve;
            /// Add a secret to the store.
            ADD_SECRET = 0x1031, Z16, Guest, Some(29), AddSecret, secret::add;
            /// List the secrets.
            LIST_SECRETS = 0x1033, Z16, Guest, Some(30), ListSecrets, secret::list;
            /// Lock the secret store.
            LOCK_SECRETS = 0x1034, Z16, Guest, Some(31), NoData, secret::lock;
            /// Retrieve a secret.
            RETR_SECRET = 0x1035, Z17, Guest, Some(33), RetrieveSecret, secret::retrieve;
            /// Secure pages of a configuration: no machine has it. It shows what a new call takes.
            #[cfg(test)]
            TEST_COUNT = 0x7000, Z17, Host, Some(255), TestCount, test_count::count;
        }
    };
}

pub(crate) use uv_calls;
