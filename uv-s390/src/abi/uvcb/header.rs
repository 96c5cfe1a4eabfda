//! The first 8 bytes of every control block.

use zerocopy::byteorder::big_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::command::UvCommand;
use crate::abi::uvc::{UvRc, UvRrc};

/// Header of a control block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct UvcbHeader {
    /// Bytes of the whole block.
    pub len: U16,
    /// [`UvCommand`].
    pub cmd: U16,
    /// [`UvRc`], stored by the call.
    pub rc: U16,
    /// [`UvRrc`], stored by the call.
    pub rrc: U16,
}

const _: () = {
    assert!(size_of::<UvcbHeader>() == 8);
    assert!(core::mem::offset_of!(UvcbHeader, len) == 0);
    assert!(core::mem::offset_of!(UvcbHeader, cmd) == 2);
    assert!(core::mem::offset_of!(UvcbHeader, rc) == 4);
    assert!(core::mem::offset_of!(UvcbHeader, rrc) == 6);
};

impl UvcbHeader {
    /// A header for a command with a block of `len` bytes.
    #[must_use]
    pub const fn new(command: UvCommand, len: u16) -> Self {
        Self { len: U16::new(len), cmd: U16::new(command.0), rc: U16::ZERO, rrc: U16::ZERO }
    }

    /// The command.
    #[must_use]
    pub const fn command(&self) -> UvCommand {
        UvCommand(self.cmd.get())
    }

    /// The stored response code.
    #[must_use]
    pub const fn rc(&self) -> UvRc {
        UvRc(self.rc.get())
    }

    /// The stored reason code.
    #[must_use]
    pub const fn rrc(&self) -> UvRrc {
        UvRrc(self.rrc.get())
    }
}
