//! Numbers of ultracalls and hypercalls (power-pef §1.3), and their flags.

use bitflags::bitflags;

/// An open number: constants with names, every other value allowed.
macro_rules! open_number {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $call:ident = $value:expr;)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub u64);

        impl $name {
            $($(#[$doc])* pub const $call: Self = Self($value);)*

            /// Every number that has a name here, in order.
            pub const ALL: &[Self] = &[$(Self::$call),*];

            /// The name of the call; `None` for an unknown number.
            #[must_use]
            pub fn name(self) -> Option<&'static str> {
                [$((Self::$call, stringify!($call))),*].into_iter().find(|(call, _)| *call == self).map(|(_, name)| name)
            }
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                match self.name() {
                    Some(name) => f.write_str(name),
                    None => write!(f, "{:#x}", self.0),
                }
            }
        }

        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                core::fmt::Display::fmt(self, f)
            }
        }
    };
}

open_number! {
    /// The number of an ultracall, in R3.
    UvCall {
        /// Writes a partition table entry. Caller: hypervisor.
        UV_WRITE_PATE = 0xf104;
        /// Writes a register that belongs to the ultravisor. Caller: hypervisor.
        UV_RESTRICTED_SPR_WRITE = 0xf108;
        /// Reads a register that belongs to the ultravisor. Caller: hypervisor.
        UV_RESTRICTED_SPR_READ = 0xf10c;
        /// Enters secure mode. Caller: supervisor.
        UV_ESM = 0xf110;
        /// Reads a SCOM register. Caller: hypervisor.
        UV_READ_SCOM = 0xf114;
        /// Writes a SCOM register. Caller: hypervisor.
        UV_WRITE_SCOM = 0xf118;
        /// Goes (back) to a secure VM. Caller: hypervisor.
        UV_RETURN = 0xf11c;
        /// Makes a memory slot known. Caller: hypervisor.
        UV_REGISTER_MEM_SLOT = 0xf120;
        /// Takes a memory slot away. Caller: hypervisor.
        UV_UNREGISTER_MEM_SLOT = 0xf124;
        /// Moves a page into secure memory, or puts a normal page behind a shared one. Caller: hypervisor.
        UV_PAGE_IN = 0xf128;
        /// Moves a page out, encrypted. Caller: hypervisor.
        UV_PAGE_OUT = 0xf12c;
        /// Shares pages. Caller: supervisor of a secure VM.
        UV_SHARE_PAGE = 0xf130;
        /// Takes shared pages back. Caller: supervisor of a secure VM.
        UV_UNSHARE_PAGE = 0xf134;
        /// The normal page behind a shared one goes away. Caller: hypervisor.
        UV_PAGE_INVAL = 0xf138;
        /// Ends a secure VM. Caller: hypervisor.
        UV_SVM_TERMINATE = 0xf13c;
        /// Takes all shared pages back. Caller: supervisor of a secure VM.
        UV_UNSHARE_ALL_PAGES = 0xf140;
        /// Reads listed memory of the platform. Caller: hypervisor.
        UV_READ_MEM = 0xf144;
        /// Writes listed memory of the platform. Caller: hypervisor.
        UV_WRITE_MEM = 0xf148;
        /// Reads a file of the ESM blob. Caller: anybody in a secure VM.
        UV_ESMB_GET_FILE = 0xf14c;
        /// Sends a command to the self boot engine. Caller: hypervisor.
        UV_SEND_SBE_COMMAND = 0xf150;
    }
}

open_number! {
    /// The number of a hypercall, in R3: the ones that have to do with secure VMs. The table of all of them is
    /// the window table of the reflection (power-pef §8.4).
    HvCall {
        /// The guest waits for an interrupt.
        H_CEDE = 0xe0;
        /// A random number.
        H_RANDOM = 0x300;
        /// Load from a device, for a secure guest by the ultravisor.
        H_LOGICAL_CI_LOAD = 0x3c;
        /// Store to a device, for a secure guest by the ultravisor.
        H_LOGICAL_CI_STORE = 0x40;
        /// Registers a virtual processor area.
        H_REGISTER_VPA = 0xdc;
        /// Bring a page in, secure or shared. R4 gpa, R5 flags, R6 page shift.
        H_SVM_PAGE_IN = 0xef00;
        /// Take a page out. R4 gpa, R5 flags, R6 page shift.
        H_SVM_PAGE_OUT = 0xef04;
        /// A VM begins to become secure.
        H_SVM_INIT_START = 0xef08;
        /// A VM is about to be secure.
        H_SVM_INIT_DONE = 0xef0c;
        /// A command for the TPM.
        H_SVM_TPM_COMM = 0xef10;
        /// A VM failed to become secure.
        H_SVM_INIT_ABORT = 0xef14;
        /// A call of run-time services.
        H_RTAS = 0xf000;
    }
}

/// The page size of every paging call as a power of two: 64 KiB.
pub const PAGE_ORDER: u64 = 16;

/// Bytes of a page.
pub const PAGE_BYTES: u64 = 1 << PAGE_ORDER;

/// The bit of a real address that marks secure memory (PPC bit 15).
pub const SECURE_ADDRESS: u64 = 1 << 48;

/// Number of memory slots a VM can have: slot numbers are below.
pub const MEM_SLOTS: u16 = 512;

bitflags! {
    /// R5 of `H_SVM_PAGE_IN`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct PageInFlags: u64 {
        /// The page is to be shared; without the flag it is to be secure.
        const SHARED = 1;
    }
}

bitflags! {
    /// R7 of `UV_PAGE_IN`. The API document names these cache attributes; no source gives numbers, so they are chosen here.
    /// Hypervisors pass 0.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct UvPageInFlags: u64 {
        /// The mapping is cache inhibited.
        const CACHE_INHIBITED = 1;
        /// The mapping is cached.
        const CACHE_ENABLED = 1 << 1;
        /// The mapping is write protected.
        const WRITE_PROTECTION = 1 << 2;
    }
}

bitflags! {
    /// R7 of `UV_PAGE_OUT`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct UvPageOutFlags: u64 {
        /// Copy the page out encrypted and keep it mapped (`UV_SNAPSHOT`). The API document names it; no source gives a
        /// number, so it is chosen here.
        const SNAPSHOT = 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn numbers_know_their_names() {
        assert_eq!(format!("{} {}", UvCall::UV_ESM, UvCall(0xf154)), "UV_ESM 0xf154");
        assert_eq!(UvCall::ALL.len(), 20);
        assert!(UvCall::ALL.windows(2).all(|w| w[1].0 - w[0].0 == 4));
        assert_eq!(HvCall(0xef08).name(), Some("H_SVM_INIT_START"));
    }
}
