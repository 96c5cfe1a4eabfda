//! The ultravisor's side: a simulated POWER machine with PEF.
//!
//! [`Machine`] implements both seams, [`Ultracall`](crate::abi::Ultracall) and [`GuestEntry`](crate::abi::GuestEntry); a hypervisor
//! needs nothing else of it. Guests are programs ([`GuestProgram`]) that the owner of a guest gives to
//! [`Machine::add_vcpu`]; before `UV_ESM` they run on normal memory, afterwards on secure memory.
//!
//! | part | job |
//! |---|---|
//! | `calls` | the ultracalls, one file each, with the checks in their order and the codes of both profiles |
//! | `esm` | the transition to secure mode: `UV_ESM` after its first checks |
//! | `sharing`, `pressure` | pages given to the hypervisor, pages asked out when frames run short |
//! | `reflect` | interrupts and hypercalls of a secure guest: who gets them and what the registers show; RTAS |
//! | `vcpu` | virtual CPUs: guest program, faults, what is kept while the hypervisor runs |
//! | `svm` | the object of one VM: states, slots, page states |
//! | `tpm` | the host's TPM and the ultravisor's way to it through the hypervisor |
//! | `flow` | how work that needs hypercalls in between is written down as one function |
//!
//! The machine's wrapping key is held by the ultravisor or, as on hardware, by the host's TPM ([`WrappingKey`]): then a lockbox is opened by
//! `H_SVM_TPM_COMM` through the hypervisor. Keys, working copy of the device tree and the files of a blob are kept outside of guest memory.

mod calls;
mod config;
mod esm;
mod failure;
mod flow;
mod hypervisor_spr;
mod inner;
mod machine;
mod platform;
mod pressure;
mod reflect;
mod run;
mod sharing;
mod svm;
mod tpm;
mod vcpu;
pub mod vectors;

pub use config::MachineConfig;
pub use failure::EsmFailure;
pub use machine::Machine;
pub use platform::{PlatformMemory, PlatformRange, Scom, ScomList, ScomListError};
pub use svm::{GfnState, SvmState};
pub use tpm::chip::Tpm;
pub use tpm::failure::TpmFailure;
pub use tpm::key::{TpmKey, WrappingKey};
pub use uv_sim::guest::{Outcome, Program, Script, Step, Transcript};
pub use vcpu::insn::{GuestInsn, GuestProgram, GuestStep};
pub use vcpu::interrupt::Interrupt;
