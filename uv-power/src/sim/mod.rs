//! The ultravisor's side: a simulated POWER machine with PEF.

mod calls;
mod config;
mod esm;
mod flow;
mod machine;
mod platform;
mod pressure;
mod reflect;
mod sharing;
mod svm;
mod vcpu;

pub use config::MachineConfig;
pub use esm::EsmFailure;
pub use machine::Machine;
pub use platform::{PlatformMemory, PlatformRange, Scom, ScomList};
pub use reflect::vectors;
pub use reflect::windows::{HCALLS, HcallRow, Window, window};
pub use svm::{GfnState, SvmState};
pub use vcpu::{GuestInsn, GuestProgram, GuestStep};
