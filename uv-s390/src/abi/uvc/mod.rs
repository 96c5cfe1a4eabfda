//! The UV call (UVC): the one instruction that all of a hypervisor's talk with the Ultravisor goes through.
//!
//! Who uses it: the hypervisor's kernel and the guest's kernel; implementors of the seam.
//!
//! [`UvCall`] is the instruction and nothing else. A real machine implements it by executing it; the simulated machine
//! (feature `sim`) by being the Ultravisor; a tracer, a recorder or a fault injector by wrapping another one. Everything
//! above it is protocol and runs unchanged on all of them.
//!
//! | part | job |
//! |---|---|
//! | [`UvCall`] | the seam: one UVC on a control block |
//! | [`Cc`], [`ProgramInterruption`] | how the instruction ends |
//! | [`UvRc`], [`UvRrc`] | what the Ultravisor stored in the control block |
//! | [`call`], [`query`] | issue a call until it is done, as an operating system does |
//! | [`UvError`], [`CallError`] | a call that was refused |
//!
//! Source: s390-ultravisor §1.1, §1.2.

mod call;
mod codes;
mod error;
mod interruption;

pub use crate::abi::uvcb::block::Block;
pub use call::{Retries, call, query};
pub use codes::{UvRc, UvRrc};
pub use error::{CallError, UvError};
pub use interruption::{PgmCode, ProgramInterruption, Teid};

/// Condition code of a UV call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, num_enum::IntoPrimitive, num_enum::TryFromPrimitive)]
#[repr(u8)]
pub enum Cc {
    /// Done; the stored rc is [`UvRc::EXECUTED`].
    Done = 0,
    /// Refused: the stored rc and rrc say why.
    Error = 1,
    /// Busy: nothing was done; issue the same control block again.
    Busy = 2,
    /// A part was done: issue the same control block again, unchanged, to go on.
    Partial = 3,
}

/// One UV call in supervisor state.
///
/// Who calls: the hypervisor's kernel, for host calls; the kernel of a protected guest, for guest calls. Which role the
/// caller has belongs to the implementor (the machine itself is called in host role).
///
/// `block` is the accessible memory that begins at the control block's address; it may go on behind the block. The call
/// reads the block there and stores its answer there (rc at 4, rrc at 6, and the command's own output fields).
///
/// Calls are made from many CPUs at once, so the method takes `&self`.
pub trait UvCall: Send + Sync {
    /// Issues the call and returns its condition code.
    ///
    /// With [`Cc::Busy`] and [`Cc::Partial`] the block is unchanged.
    ///
    /// # Errors
    /// The [`ProgramInterruption`] that the instruction ends with: nothing was done and nothing was stored.
    /// [`PgmCode::PAGE_TRANSLATION`] (0x11) when `block` is shorter than the 8 bytes of a header, or shorter than the length
    /// that the header of a known command states.
    fn uv_call(&self, block: &mut [u8]) -> Result<Cc, ProgramInterruption>;
}

impl<T: UvCall + ?Sized> UvCall for &T {
    fn uv_call(&self, block: &mut [u8]) -> Result<Cc, ProgramInterruption> {
        (**self).uv_call(block)
    }
}

impl<T: UvCall + ?Sized> UvCall for alloc::sync::Arc<T> {
    fn uv_call(&self, block: &mut [u8]) -> Result<Cc, ProgramInterruption> {
        (**self).uv_call(block)
    }
}
