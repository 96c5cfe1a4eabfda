//! The Ultravisor half: a simulated IBM Z machine.
//!
//! Who uses it: a hypervisor without a real machine: under development, in a test, in a demonstration.
//!
//! [`Machine`] answers UV calls and runs guests, ordinary and protected, as a real machine does, over the page engine of
//! `uv-sim`. A hypervisor talks to it through the seams [`UvCall`](crate::abi::uvc::UvCall), [`Sie`](crate::abi::sie::Sie),
//! [`AddressSpaces`](crate::abi::sie::AddressSpaces) and through [`Machine::host_memory`], and through nothing else.
//!
//! Host memory is the caller's ([`Machine::with_memory`]) or a buffer. [`EmulatedGuest`] is something else: a guest without a host
//! below it, for an emulator that has the guest's CPUs and storage.
//!
//! # Pages
//! State of a guest page, as s390-ultravisor §4 names them:
//!
//! | state | frame word | engine | host access | guest access |
//! |---|---|---|---|---|
//! | NS, DST | normal | absent | yes | 0x3e |
//! | SEC | secure | secure | 0x3d | yes |
//! | SHR | shared | shared | yes | yes |
//! | PIN | pinned | shared | yes | yes; unshare: interception 108 |
//! | EXP, was private | normal | sealed | ciphertext | 0x3e |
//! | EXP, was shared | normal | withdrawn | content in clear | 0x3e |
//! | donated | donated | | 0x3d | 0x3f |
//! | frame of another guest, or of another page | secure or shared | | as that page | 0x3f |
//!
//! Invariant: plaintext of a page in SEC is in the engine only; host memory holds what the host could read anyway.
//!
//! # What is simplified
//! Guest real addresses are guest absolute (scripts do not use prefixing).
//! Interruptions do not change the flow of a protected guest's script, and an SCCB of it has no address: the parameter of a
//! service signal is the one the host gave. What an ordinary guest's script can and cannot do on
//! its CPU is listed in `sie::ordinary`: UV calls, SERVC, STSI, STHYI and channel I/O end there with an operation exception,
//! and an interruption is a PSW that the hypervisor puts into the state description, at which a new program begins.

mod answer;
mod ap;
mod calls;
mod clock;
mod closed;
mod conf;
mod cpu;
mod dispatch;
mod emulated;
mod execute;
mod frames;
mod guest;
mod guest_call;
mod home;
mod machine;
mod measure;
mod memory;
mod ordinary_cpu;
mod pages;
mod profile;
mod resume;
#[cfg(any(test, feature = "dev"))]
pub mod rig;
mod secrets;
mod session;
mod sie;
mod tables;
mod view;

pub use ap::{ApCard, ApResult};
pub use clock::TOD_PER_MICROSECOND;
pub use closed::ClosedFrames;
pub use emulated::EmulatedGuest;
pub use execute::Uvc;
pub use guest::{GuestCode, GuestInsn, InsnResult, Interruption};
pub use guest_call::GuestAnswer;
pub use machine::{FrameAddress, Machine, MachineConfig};
pub use memory::HostView;
pub use profile::Generation;
pub use uv_sim::guest::{Outcome, Program, Script, Step, Transcript};
