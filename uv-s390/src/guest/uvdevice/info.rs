//! UVDEV_INFO.

use core::mem::{offset_of, size_of};

use zerocopy::byteorder::big_endian::U64;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::device::UvDevice;
use super::ioctl::{Ioctl, UvioNr};
use super::operation::Operation;
use crate::abi::Errno;
use crate::abi::uvc::UvRc;
use crate::abi::uvcb::UvCommand;

/// Argument of UVDEV_INFO, out. Bits are counted from the least significant one, by ioctl number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct InfoArgument {
    /// Ioctls that the driver has.
    pub ioctls: U64,
    /// Ioctls whose UV call is installed; bit 0 is always 0.
    pub calls: U64,
}

const _: () = {
    assert!(size_of::<InfoArgument>() == 16);
    assert!(offset_of!(InfoArgument, ioctls) == 0 && offset_of!(InfoArgument, calls) == 8);
};

/// The UV call behind each ioctl.
const CALLS: [(UvioNr, UvCommand); 5] = [
    (UvioNr::ATTEST, UvCommand::RETR_ATTEST),
    (UvioNr::ADD_SECRET, UvCommand::ADD_SECRET),
    (UvioNr::LIST_SECRETS, UvCommand::LIST_SECRETS),
    (UvioNr::LOCK_SECRETS, UvCommand::LOCK_SECRETS),
    (UvioNr::RETR_SECRET, UvCommand::RETR_SECRET),
];

/// No call is made; uv_rc is 1.
pub(super) fn start(device: &UvDevice, mut ioctl: Ioctl) -> Result<Operation, Errno> {
    if ioctl.length() < size_of::<InfoArgument>() {
        return Err(Errno::EINVAL);
    }
    let installed = |(nr, command): &(UvioNr, UvCommand)| {
        let quirk = device.same_bit_for_retrieve && *nr == UvioNr::RETR_SECRET;
        let command = if quirk { UvCommand::RETR_ATTEST } else { *command };
        device.calls.has(command) == Some(true)
    };
    let calls = CALLS.iter().filter(|entry| installed(entry)).fold(0, |bits, (nr, _)| bits | 1_u64 << nr.0);
    let info = InfoArgument { ioctls: 0x3f.into(), calls: calls.into() };
    info.write_to_prefix(&mut ioctl.argument).map_err(|_| Errno::EFAULT)?;
    ioctl.control.uv_rc = UvRc::EXECUTED.0.into();
    ioctl.control.uv_rrc = 0.into();
    Ok(Operation::done(Ok(ioctl)))
}
