//! Numbers and control block.

use alloc::vec::Vec;
use core::fmt;
use core::mem::{offset_of, size_of};

use zerocopy::byteorder::big_endian::{U16, U32, U64};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};
use zeroize::Zeroizing;

use crate::abi::Errno;

/// Number of an ioctl of the device. Open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UvioNr(pub u8);

impl UvioNr {
    /// What the device can do.
    pub const INFO: Self = Self(0);
    /// Attestation.
    pub const ATTEST: Self = Self(1);
    /// Add a secret.
    pub const ADD_SECRET: Self = Self(2);
    /// List the secrets.
    pub const LIST_SECRETS: Self = Self(3);
    /// Lock the secret store.
    pub const LOCK_SECRETS: Self = Self(4);
    /// Retrieve a secret.
    pub const RETR_SECRET: Self = Self(5);
}

/// Request number of an ioctl: `_IOWR('u', nr, 64)`.
#[must_use]
pub const fn request(nr: UvioNr) -> u32 {
    let [high, ..] = REQUEST.to_be_bytes();
    u32::from_be_bytes([high, 0x40, 0x75, nr.0])
}

const REQUEST: u32 = 0xc040_7500;

/// The number in a request, unless direction, size or type are not the device's.
pub(super) fn number(request: u32) -> Option<UvioNr> {
    let [.., nr] = request.to_be_bytes();
    (request & !0xff == REQUEST && nr <= UvioNr::RETR_SECRET.0).then_some(UvioNr(nr))
}

/// Control block of every ioctl, 64 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Control {
    /// Zero.
    pub flags: U32,
    /// Out: the Ultravisor's rc.
    pub uv_rc: U16,
    /// Out: its rrc.
    pub uv_rrc: U16,
    /// Address of the argument. In an [`Ioctl`] it only says whether there is one; the bytes are [`Ioctl::argument`].
    pub argument_addr: U64,
    /// Bytes of the argument.
    pub argument_len: U32,
    /// Zero.
    pub reserved14: [u8; 44],
}

const _: () = {
    assert!(size_of::<Control>() == 64);
    assert!(offset_of!(Control, flags) == 0);
    assert!(offset_of!(Control, uv_rc) == 4);
    assert!(offset_of!(Control, uv_rrc) == 6);
    assert!(offset_of!(Control, argument_addr) == 8);
    assert!(offset_of!(Control, argument_len) == 16);
    assert!(offset_of!(Control, reserved14) == 20);
};

impl Control {
    /// A block for an argument of `len` bytes (0: no argument).
    #[must_use]
    pub fn new(len: u32) -> Self {
        Self { argument_addr: u64::from(len != 0).into(), argument_len: len.into(), ..Self::new_zeroed() }
    }
}

/// An ioctl with everything that its addresses name.
#[derive(Clone, PartialEq, Eq)]
pub struct Ioctl {
    /// Request number.
    pub request: u32,
    /// The control block.
    pub control: Control,
    /// What `argument_addr` points to, in and out. A copy beyond its end is a fault.
    pub argument: Zeroizing<Vec<u8>>,
    /// ATTEST: what the addresses in the argument point to: request (in), measurement, additional data (out).
    pub areas: [Vec<u8>; 3],
}

impl fmt::Debug for Ioctl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ioctl")
            .field("request", &format_args!("{:#x}", self.request))
            .field("control", &self.control)
            .field("argument", &self.argument.len())
            .finish_non_exhaustive()
    }
}

impl Ioctl {
    /// An ioctl with an argument of its whole length.
    #[must_use]
    pub fn new(nr: UvioNr, argument: Vec<u8>) -> Self {
        let len = u32::try_from(argument.len()).unwrap_or(u32::MAX);
        let argument = Zeroizing::new(argument);
        Self { request: request(nr), control: Control::new(len), argument, areas: Default::default() }
    }

    /// The first `len` bytes of the argument; copying beyond what is there is a fault.
    pub(super) fn first(&self, len: usize) -> Result<&[u8], Errno> {
        self.argument.get(..len).ok_or(Errno::EFAULT)
    }

    /// Length of the argument as the control block states it.
    pub(super) fn length(&self) -> usize {
        usize::try_from(self.control.argument_len.get()).unwrap_or(usize::MAX)
    }
}
