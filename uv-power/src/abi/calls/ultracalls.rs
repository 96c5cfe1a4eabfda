//! The ultracalls, one row each: number in R3, who may call, in which profiles, and which function of the simulated ultravisor serves
//! it (`crate::sim::calls`; power-pef §1.3).
//!
//! The constants of [`UltracallNumber`](crate::abi::numbers::UltracallNumber), [`ULTRACALLS`](super::ULTRACALLS) and the
//! simulated ultravisor's dispatch are made from these rows.

/// Gives all rows to the macro `$each`.
macro_rules! ultracalls {
    ($each:ident) => {
        $each! {
            /// Writes a partition table entry.
            UV_WRITE_PATE = 0xf104, Hypervisor, ALL, write_pate::write_pate;
            /// Writes a register that belongs to the ultravisor.
            UV_RESTRICTED_SPR_WRITE = 0xf108, Hypervisor, ALL, spr::write;
            /// Reads a register that belongs to the ultravisor.
            UV_RESTRICTED_SPR_READ = 0xf10c, Hypervisor, ALL, spr::read;
            /// Enters secure mode.
            UV_ESM = 0xf110, Supervisor, ALL, esm::esm;
            /// Reads a SCOM register.
            UV_READ_SCOM = 0xf114, Hypervisor, ALL, scom::read;
            /// Writes a SCOM register.
            UV_WRITE_SCOM = 0xf118, Hypervisor, ALL, scom::write;
            /// Goes (back) to a secure VM.
            UV_RETURN = 0xf11c, Hypervisor, ALL, uv_return::uv_return;
            /// Makes a memory slot known.
            UV_REGISTER_MEM_SLOT = 0xf120, Hypervisor, ALL, register_mem_slot::register;
            /// Takes a memory slot away.
            UV_UNREGISTER_MEM_SLOT = 0xf124, Hypervisor, ALL, unregister_mem_slot::unregister;
            /// Moves a page into secure memory, or puts a normal page behind a shared one.
            UV_PAGE_IN = 0xf128, Hypervisor, ALL, page_in::page_in;
            /// Moves a page out, encrypted.
            UV_PAGE_OUT = 0xf12c, Hypervisor, ALL, page_out::page_out;
            /// Shares pages.
            UV_SHARE_PAGE = 0xf130, SecureSupervisor, ALL, share::share;
            /// Takes shared pages back.
            UV_UNSHARE_PAGE = 0xf134, SecureSupervisor, ALL, share::unshare;
            /// The normal page behind a shared one goes away.
            UV_PAGE_INVAL = 0xf138, Hypervisor, ALL, page_inval::page_inval;
            /// Ends a secure VM.
            UV_SVM_TERMINATE = 0xf13c, Hypervisor, ALL, svm_terminate::terminate;
            /// Takes all shared pages back.
            UV_UNSHARE_ALL_PAGES = 0xf140, SecureSupervisor, ALL, share::unshare_all;
            /// Reads listed memory of the platform.
            UV_READ_MEM = 0xf144, Hypervisor, ALL, platform_memory::read;
            /// Writes listed memory of the platform.
            UV_WRITE_MEM = 0xf148, Hypervisor, ALL, platform_memory::write;
            /// Reads a file of the ESM blob.
            UV_ESMB_GET_FILE = 0xf14c, SecureVm, ALL, get_file::get_file;
            /// Sends a command to the self boot engine.
            UV_SEND_SBE_COMMAND = 0xf150, Hypervisor, ALL, sbe::send;
        }
    };
}
pub(crate) use ultracalls;
