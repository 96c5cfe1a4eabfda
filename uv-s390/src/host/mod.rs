//! The hypervisor's kernel: what Linux and KVM do with the Ultravisor.
//!
//! | file | job | Linux |
//! |---|---|---|
//! | `start` | query, donate, initialize | `uv.c` |
//! | `guest`, `gmap` | a VM: slots, page tables, locks | `kvm`, `gmap` |
//! | `conf`, `cpu` | create and destroy configuration and CPUs | `pv.c` |
//! | `image` | SE header, unpack with retry, verify | `pv.c` |
//! | `convert` | import, export, destroy, pin | `uv.c` |
//! | `fault` | 0x3d, 0x3e, 0x3f | `fault.c` |
//! | `run`, `exit` | the loop around SIE | `intercept.c` |
//! | `wait` | CPUs that wait, and who wakes them | `interrupt.c`, `sigp.c` |
//! | `reset`, `teardown`, `dump` | resets, both ways of ending, dump calls | `pv.c` |
//! | `core_traits` | the traits of `uv-core` | |
//!
//! Everything works over the seams [`UvCall`](crate::uvc::UvCall), [`Sie`](crate::sie::Sie),
//! [`AddressSpaces`](crate::sie::AddressSpaces) and [`NormalMemory`](uv_core::NormalMemory), so it runs unchanged on the simulated
//! machine and on a real one. No type here can hold a key or the plaintext of a secure page.
//!
//! Leak rule: storage that the Ultravisor did not give back is never used again. Freeing it would hand out memory that
//! raises secure-storage exceptions.
//!
//! Source: s390-ultravisor §2–4, §6.

mod conf;
mod convert;
mod core_traits;
mod cpu;
mod dump;
mod error;
mod exit;
mod fault;
mod gmap;
mod guest;
mod hardware;
mod image;
mod pages;
mod reset;
mod run;
mod start;
mod teardown;
mod wait;

pub use error::HostError;
pub use exit::{Intercept, S390Exit};
pub use guest::{Guest, GuestConfig};
pub use hardware::Hardware;
pub use pages::{Allocation, HostPages};
pub use reset::{CpuReset, MpState};
pub use run::{Answer, S390Vcpu};
pub use start::Host;
