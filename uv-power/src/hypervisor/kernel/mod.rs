//! The hypervisor's side of a secure VM, as KVM-HV and QEMU do it.
//!
//! Who uses it: a VMM, through the traits of `uv-core` and the types here.
//!
//! | file | what |
//! |---|---|
//! | `vm` | a VM: memory slots, flags, capability |
//! | `host_pages`, `pins` | the host's pages behind guest pages, and those that cannot move |
//! | `gfn`, `pool` | KVM's word for each guest page, the pool of device pages |
//! | [`hcall`] | the `H_SVM_*` hypercalls, one file each |
//! | `secure_memory` | the size of the pool, from the device tree (feature `esm`) |
//! | `events` | host access, page faults, notifiers, memory hot-plug |
//! | `areas` | what virtual CPUs register with the host: VPA, SLB shadow, dispatch trace log |
//! | `svm_off` | `KVM_PPC_SVM_OFF` |
//! | `vcpu`, `inject` | the run loop, interrupts for the guest |
//! | `traits` | the traits of `uv-core` |
//! | `defects` | known defects of published kernels, as a wrapper (feature `dev`) |
//!
//! Nothing here can reach secure memory: all of it works over [`Ultracall`](crate::abi::Ultracall),
//! [`GuestEntry`](crate::abi::GuestEntry) and normal memory.

mod areas;
#[cfg(feature = "dev")]
mod defects;
mod events;
mod gfn;
pub mod hcall;
mod host_pages;
mod inject;
mod pins;
mod pool;
#[cfg(feature = "owner")]
mod secure_memory;
mod svm_off;
mod tpm_comm;
mod traits;
mod vcpu;
mod vm;

pub use areas::{AreaKind, GuestArea};
#[cfg(feature = "dev")]
pub use defects::{Defects, PublishedKernel};
pub use gfn::GfnState;
pub use host_pages::HostPages;
pub use inject::InterruptCause;
pub use pool::{DevicePage, DevicePool};
pub use tpm_comm::tpm_comm;
pub use traits::Entered;
pub use vcpu::{KvmVcpu, PowerExit};
pub use vm::{Host, KvmError, SecureGuest, Vm, VmConfig};
