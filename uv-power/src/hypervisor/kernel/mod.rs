//! The hypervisor's side of a secure VM, as KVM-HV and QEMU do it.
//!
//! | file | what |
//! |---|---|
//! | `vm` | a VM: memory slots, flags, capability |
//! | `gfn`, `pool` | KVM's word for each guest page, the pool of device pages |
//! | [`hcall`] | the `H_SVM_*` hypercalls, one file each |
//! | `events` | host access, page faults, notifiers, memory hot-plug |
//! | `areas` | what virtual CPUs register with the host: VPA, SLB shadow, dispatch trace log |
//! | `svm_off` | `KVM_PPC_SVM_OFF` |
//! | `vcpu` | the run loop |
//! | `traits` | the traits of `uv-core` |
//!
//! Nothing here can reach secure memory: all of it works over [`Ultracall`](crate::abi::Ultracall),
//! [`GuestEntry`](crate::abi::GuestEntry) and normal memory.

mod areas;
mod events;
mod gfn;
pub mod hcall;
mod pool;
mod svm_off;
mod traits;
mod vcpu;
mod vm;

pub use areas::{AreaKind, GuestArea};
pub use gfn::GfnState;
pub use pool::{DevicePage, DevicePool};
pub use traits::Entered;
pub use vcpu::{KvmVcpu, PowerExit};
pub use vm::{Defects, Host, KvmError, SecureGuest, Vm, VmConfig};
