//! `/dev/kvm`.
//!
//! | module | job |
//! |---|---|
//! | `machine` | the machine, the device |
//! | `vm`, `vcpu` | what its file descriptors answer |
//! | `marshal` | structures between the program and the kernel |
//! | `memory` | host memory in files |
//! | `script`, `sclp` | what the guests do |

mod machine;
mod marshal;
mod memory;
mod sclp;
mod script;
mod vcpu;
mod vm;

pub use machine::{Kvm, Platform};
pub use script::Script;
