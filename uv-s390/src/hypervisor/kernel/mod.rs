//! The hypervisor's kernel: what Linux and KVM do with the Ultravisor.
//!
//! Who uses it: a hypervisor that makes the calls itself; a VMM on a kernel of its own needs only [`uapi`](super::uapi).
//!
//! | file | job | Linux |
//! |---|---|---|
//! | `start` | query, donate, initialize | `uv.c` |
//! | `vm`, `gmap`, `slots` | a VM: slots, page tables, locks | `kvm`, `gmap` |
//! | `conf`, `cpu` | create and destroy configuration and CPUs | `pv.c` |
//! | `image` | SE header, unpack with retry, verify | `pv.c` |
//! | `convert` | import, export, destroy, pin | `uv.c` |
//! | `fault` | 0x3c, 0x3d, 0x3e, 0x3f | `fault.c` |
//! | `large` | 1 MiB frames | posted |
//! | `model` | which Ultravisor features a protected life has | `kvm-s390.c` |
//! | `run`, `ordinary`, `exit` | the loop around SIE | `intercept.c` |
//! | `service` | instructions that the kernel serves in it | `priv.c`, `sigp.c`, `diag.c`, `intercept.c` |
//! | `options`, `settings` | what user space may switch on, and set | `kvm-s390.c` |
//! | `cpu_model` | what a CPU is | `kvm-s390.c` |
//! | `system` | what the machine says of itself | `sysinfo` |
//! | `status` | a CPU's registers in its prefix area | `kvm-s390.c` |
//! | `answer`, `sida` | what a hypervisor changes between two entries | |
//! | `dat`, `skeys` | guest logical addresses, storage keys | `gaccess.c` |
//! | `registers` | registers beside the state description | `kvm-s390.c` |
//! | `interrupt` | pending interruptions and their delivery | `interrupt.c` |
//! | `restart` | the restart interruption | `interrupt.c` |
//! | `wait` | CPUs that wait, and who wakes them | `interrupt.c`, `sigp.c` |
//! | `cpu_state` | stopped and operating, and who says so | `kvm-s390.c` |
//! | `reset`, `teardown`, `dump` | resets, both ways of ending, dump calls | `kvm-s390.c`, `pv.c` |
//! | `core_traits` | the traits of `uv-core` | |
//!
//! Everything works over the seams [`UvCall`](crate::abi::uvc::UvCall), [`Sie`](crate::abi::sie::Sie),
//! [`AddressSpaces`](crate::abi::sie::AddressSpaces) and [`NormalMemory`](uv_core::NormalMemory), so it runs unchanged on the simulated
//! machine and on a real one. No type here can hold a key or the plaintext of a secure page.
//!
//! Leak rule: storage that the Ultravisor did not give back is never used again. Freeing it would hand out memory that
//! raises secure-storage exceptions.
//!
//! Source: s390-ultravisor §2–4, §6.

mod answer;
mod conf;
mod convert;
mod core_traits;
mod cpu;
mod cpu_model;
mod cpu_state;
mod dat;
pub mod diag308;
mod dump;
mod error;
mod exit;
mod fault;
mod gmap;
mod hardware;
mod image;
mod interrupt;
mod large;
mod model;
mod options;
mod ordinary;
mod pages;
mod registers;
mod reset;
mod restart;
mod run;
mod service;
mod settings;
mod sida;
mod skeys;
mod slots;
mod start;
mod status;
mod system;
mod teardown;
mod vm;
mod wait;

pub use answer::Answer;
pub use cpu_model::CpuModel;
pub use cpu_state::MpState;
pub(crate) use dat::{Access, Logical, Translation};
pub use error::HostError;
pub(crate) use exit::diagnose;
pub use exit::{Intercept, S390Exit};
pub use hardware::Hardware;
pub use interrupt::{IoIrq, Irq, MachineCheckIrq, ProgramIrq};
pub use options::VmOptions;
pub use pages::{Allocation, HostPages};
use registers::prefixed;
pub use registers::{CR0_INITIAL, CR14_INITIAL, PFAULT_NONE, Registers};
pub use reset::CpuReset;
pub use run::S390Vcpu;
pub use service::{SubchannelTest, SystemInformationRequest};
pub use settings::{Adapter, KeyWrapping, Notification};
pub use start::Host;
pub use status::StatusPlace;
pub use system::SystemInformation;
pub use teardown::Cleanup;
pub use vm::{Process, Vm, VmConfig};
