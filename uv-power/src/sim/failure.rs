//! Why a VM did not become secure.

use alloc::string::String;

use uv_core::{Gfn, GuestAddr};

use crate::abi::codes::{HvCode, UvCode};
use crate::abi::numbers::HvCall;
use crate::owner::cpio::CpioError;
use crate::owner::tree::TreeError;
use crate::owner::verify::Refusal;
use crate::sim::tpm::failure::TpmFailure;

/// Why a transition was aborted. For whoever watches the machine: the guest sees what the hypervisor answers to
/// `H_SVM_INIT_ABORT`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EsmFailure {
    /// The hypervisor refused a hypercall.
    #[error("the hypervisor answered {call} with {code}")]
    Hypercall {
        /// The call.
        call: HvCall,
        /// The answer.
        code: HvCode,
    },
    /// The hypervisor did not deliver a page.
    #[error("page {gfn} was not delivered: {code}")]
    Page {
        /// The page.
        gfn: Gfn,
        /// The answer to `H_SVM_PAGE_IN`.
        code: HvCode,
    },
    /// An address is in no memory slot.
    #[error("guest address {0} is in no memory slot")]
    NoSlot(GuestAddr),
    /// A range that is to be brought in has no bytes.
    #[error("nothing to bring in at {0}")]
    Empty(GuestAddr),
    /// Guest memory cannot be read.
    #[error("guest memory at {0} cannot be read")]
    Unreadable(GuestAddr),
    /// The device tree cannot be read.
    #[error("the device tree cannot be read: {0}")]
    Tree(TreeError),
    /// The device tree's header is wrong.
    #[error("the device tree's header is not valid: {0}")]
    TreeHeader(&'static str),
    /// The device tree is longer than 1 MiB.
    #[error("the device tree has {0} bytes, more than 1 MiB")]
    TreeSize(u32),
    /// No secure memory for the working copy of the device tree (firmware only).
    #[error("no secure memory for the device tree")]
    NoMemory,
    /// A property is missing or malformed.
    #[error("the property {0} of the device tree is missing or malformed")]
    Property(&'static str),
    /// Guest memory does not begin at 0.
    #[error("/memory@0 begins at {0:#x}")]
    MemoryBase(u64),
    /// More virtual CPUs than an ultravisor takes.
    #[error("{0} virtual CPUs, more than 4096")]
    TooManyVcpus(u64),
    /// There is no room for the ultravisor's own pages below the top of real mode memory.
    #[error("no room for {0} reserved bytes")]
    NoRoom(u64),
    /// Pages could not be shared.
    #[error("pages at {at} could not be shared: {why}")]
    Share {
        /// First page.
        at: GuestAddr,
        /// Why.
        why: String,
    },
    /// There is no initrd.
    #[error("the initrd is empty")]
    NoInitrd,
    /// No ESM blob was found.
    #[error("no ESM blob: {0}")]
    NoBlob(CpioError),
    /// The blob was refused.
    #[error(transparent)]
    Blob(#[from] Refusal),
    /// The host's TPM did not open the lockbox.
    #[error("the TPM did not open the lockbox: {0}")]
    Tpm(#[from] TpmFailure),
    /// The boot CPU is not one of the VM's.
    #[error("boot CPU {boot} of {max}")]
    BootCpu {
        /// Number in the device tree's header.
        boot: u32,
        /// Virtual CPUs.
        max: u32,
    },
}

impl EsmFailure {
    /// The step that failed, in one word: `init-start`, `page-in`, `device-tree`, `rtas`, `initrd`, `blob`, `tpm`, `lockbox`, `files`,
    /// `digests`, `kernel`, `bootargs`, `init-done`, `boot-cpu`.
    #[must_use]
    pub fn stage(&self) -> &'static str {
        match self {
            Self::Hypercall { call: HvCall::H_SVM_INIT_START, .. } => "init-start",
            Self::Hypercall { .. } => "init-done",
            Self::Page { .. } | Self::NoSlot(_) | Self::Empty(_) | Self::Unreadable(_) => "page-in",
            Self::Tree(_)
            | Self::TreeHeader(_)
            | Self::TreeSize(_)
            | Self::NoMemory
            | Self::Property(_)
            | Self::MemoryBase(_)
            | Self::NoRoom(_) => "device-tree",
            Self::TooManyVcpus(_) | Self::Share { .. } => "rtas",
            Self::NoInitrd => "initrd",
            Self::NoBlob(_) => "blob",
            Self::Blob(refusal) => refusal.stage(),
            Self::Tpm(_) => "tpm",
            Self::BootCpu { .. } => "boot-cpu",
        }
    }

    /// What the API document names for it as a result of `UV_ESM`: `U_NO_KEY`, `U_PERMISSION`, `U_PARAMETER`. The guest never
    /// gets it in a register: by the same document the hypervisor's answer to `H_SVM_INIT_ABORT` is returned to it.
    #[must_use]
    pub const fn code(&self) -> UvCode {
        match self {
            Self::Blob(Refusal::NoLockbox | Refusal::NoWrappedKey | Refusal::Unwrap | Refusal::KeyLength(_)) => {
                UvCode::U_NO_KEY
            }
            Self::Tpm(_) => UvCode::U_NO_KEY,
            Self::Blob(_) => UvCode::U_PERMISSION,
            _ => UvCode::U_PARAMETER,
        }
    }
}
