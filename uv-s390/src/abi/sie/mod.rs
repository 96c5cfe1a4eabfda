//! Start interpretive execution (SIE): running a guest's CPU, ordinary or protected, and what the host sees of it.
//!
//! Who uses it: the hypervisor's kernel; implementors of the seam.
//!
//! | part | job |
//! |---|---|
//! | [`Sie`] | the second seam: enter the guest until it exits |
//! | [`AddressSpaces`], [`GuestMap`] | the guest's address translation, which the hypervisor owns |
//! | [`StateDescription`] | the state description in host memory, of both formats |
//! | [`InterceptionCode`], [`InjectionControl`], [`Validity`] | its codes |
//! | [`SidaDesignation`] | the secure instruction data area |
//!
//! # The guest's address space
//! A real machine walks the hypervisor's page tables from the guest ASCE. Here the tables are a value of the hypervisor's own:
//! it registers a [`GuestMap`] under an ASCE with [`AddressSpaces::attach`], and every call and every SIE entry that
//! names the ASCE translates through it, each time anew, as the machine would walk the tables. An ASCE under which
//! nothing is registered is an address space in which nothing is mapped. The ASCE itself stays the 64-bit value of the
//! architecture (its private bit, its reserved bits, its being used once are checked by the Ultravisor).
//!
//! Source: s390-ultravisor §6.

mod codes;
mod sida;
mod space;
mod state;

use uv_core::HostAddr;

pub use codes::{ExecutionControl, InjectionControl, InterceptionCode, Validity};
pub use sida::SidaDesignation;
pub use space::{AddressSpaces, Asce, GuestMap, HostMapping, MappingSize};
pub use state::{StateDescription, fields};

use crate::abi::uvc::ProgramInterruption;

/// The SIE instruction.
///
/// Who calls: the hypervisor, from the thread that stands for the host CPU. Calls for different virtual CPUs run at the same
/// time; a second one for the same virtual CPU ends with a validity interception.
pub trait Sie: Send + Sync {
    /// Enters the guest whose state description is at `state` (host absolute), with `asce` in control register 1, and
    /// returns when the guest exits. The reason is in the state description: interception code, IPA, IPB.
    ///
    /// | | ordinary guest (SDF 0) | protected guest (SDF 2) |
    /// |---|---|---|
    /// | `grs` | GR0–GR13, in and out; GR14 and GR15 are in the state description | neither read nor written |
    /// | PSW, control registers, prefix, timer | in the state description, whole | filtered copies |
    /// | registers of an instruction | all of them | the save area, and there only what the instruction needs |
    ///
    /// # Errors
    /// A program interruption that the *host* takes instead, with the guest's page in the TEID: [`PAGE_TRANSLATION`] (0x11) and
    /// [`PROTECTION`] (0x04) from either guest; [`NON_SECURE_STORAGE_ACCESS`] (0x3e), [`SECURE_STORAGE_VIOLATION`] (0x3f) and
    /// [`SECURE_PAGE_SIZE`] (0x3c) from a protected one; [`SECURE_STORAGE_ACCESS`] (0x3d) from an ordinary one that meets a
    /// secure frame. The guest is where it was and the access is repeated at the next entry. Without a TEID [`ADDRESSING`] or
    /// with a host address [`SECURE_STORAGE_ACCESS`] when the state description itself cannot be reached; [`SPECIFICATION`]
    /// when it is not aligned.
    ///
    /// [`PAGE_TRANSLATION`]: crate::abi::uvc::PgmCode::PAGE_TRANSLATION
    /// [`PROTECTION`]: crate::abi::uvc::PgmCode::PROTECTION
    /// [`NON_SECURE_STORAGE_ACCESS`]: crate::abi::uvc::PgmCode::NON_SECURE_STORAGE_ACCESS
    /// [`SECURE_STORAGE_VIOLATION`]: crate::abi::uvc::PgmCode::SECURE_STORAGE_VIOLATION
    /// [`SECURE_PAGE_SIZE`]: crate::abi::uvc::PgmCode::SECURE_PAGE_SIZE
    /// [`SECURE_STORAGE_ACCESS`]: crate::abi::uvc::PgmCode::SECURE_STORAGE_ACCESS
    /// [`ADDRESSING`]: crate::abi::uvc::PgmCode::ADDRESSING
    /// [`SPECIFICATION`]: crate::abi::uvc::PgmCode::SPECIFICATION
    fn enter(&self, state: HostAddr, asce: u64, grs: &mut [u64; 16]) -> Result<(), ProgramInterruption>;
}

impl<T: Sie + ?Sized> Sie for &T {
    fn enter(&self, state: HostAddr, asce: u64, grs: &mut [u64; 16]) -> Result<(), ProgramInterruption> {
        (**self).enter(state, asce, grs)
    }
}

impl<T: Sie + ?Sized> Sie for alloc::sync::Arc<T> {
    fn enter(&self, state: HostAddr, asce: u64, grs: &mut [u64; 16]) -> Result<(), ProgramInterruption> {
        (**self).enter(state, asce, grs)
    }
}
