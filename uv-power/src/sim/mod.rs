//! The ultravisor's side: a simulated POWER machine with PEF.
//!
//! Who uses it: whoever has no such machine: tests, programs, VMMs in development.
//!
//! [`Machine`] implements both seams, [`Ultracall`](crate::abi::Ultracall) and [`GuestEntry`](crate::abi::GuestEntry); a hypervisor
//! needs nothing else of it. Guests are programs ([`GuestProgram`]) that the owner of a guest gives to
//! [`Machine::add_vcpu`]; before `UV_ESM` they run on normal memory, afterwards on secure memory.
//!
//! From the top down; what stands lower does not know what stands higher:
//!
//! | part | job |
//! |---|---|
//! | `machine` | the door: both seams, and what whoever builds and tests machines may do |
//! | `run` | runs a virtual CPU; carries out what calls, reflections and flows came to; faults; `UV_RETURN` |
//! | `calls` | the ultracalls, one file each, with the checks in their order and the codes of both profiles |
//! | `reflect` | interrupts and hypercalls of a secure guest: who gets them and what the registers show; RTAS |
//! | `esm` | the transition to secure mode: `UV_ESM` after its first checks |
//! | `sharing`, `pressure` | pages given to the hypervisor, pages asked for and asked out when frames run short |
//! | `inner`, `vcpu` | the data of the machine and of its virtual CPUs |
//! | `flow` | how work that needs hypercalls in between is written down as one function |
//! | `platform`, `svm` | the data that all VMs share, and that of one VM: states, slots, page states, cookies, RTAS, files |
//! | `tpm`, `failure`, `config` | the host's TPM; why a transition failed; what a machine is made of |
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
