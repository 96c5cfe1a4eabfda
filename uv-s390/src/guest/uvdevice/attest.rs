//! ATTEST.

use alloc::vec;
use core::mem::{offset_of, size_of};

use uv_core::GuestAddr;
use zerocopy::byteorder::big_endian::{U16, U32, U64};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};
use zeroize::Zeroizing;

use super::device::UvDevice;
use super::ioctl::Ioctl;
use super::operation::{Next, Operation, Outcome, Round};
use crate::abi::Errno;
use crate::abi::uvcb::Attest;

/// Argument of ATTEST.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct AttestArgument {
    /// Address of the attestation request; in an [`Ioctl`] it is the first area.
    pub arcb_addr: U64,
    /// Address of the measurement; the second area.
    pub meas_addr: U64,
    /// Address of the additional data; the third area.
    pub add_data_addr: U64,
    /// User data.
    pub user_data: [u8; 256],
    /// Out: configuration UID.
    pub config_uid: [u8; 16],
    /// Bytes of the request, 1 to 1 MiB.
    pub arcb_len: U32,
    /// Bytes of the measurement, 1 to 0x8000.
    pub meas_len: U32,
    /// Bytes of the additional data, 0 to 0x8000.
    pub add_data_len: U32,
    /// Bytes of user data, at most 256 (the Ultravisor checks it).
    pub user_data_len: U16,
    /// Zero.
    pub reserved136: U16,
}

const _: () = {
    assert!(size_of::<AttestArgument>() == 0x138);
    assert!(offset_of!(AttestArgument, meas_addr) == 0x08);
    assert!(offset_of!(AttestArgument, add_data_addr) == 0x10);
    assert!(offset_of!(AttestArgument, user_data) == 0x18);
    assert!(offset_of!(AttestArgument, config_uid) == 0x118);
    assert!(offset_of!(AttestArgument, arcb_len) == 0x128);
    assert!(offset_of!(AttestArgument, meas_len) == 0x12c);
    assert!(offset_of!(AttestArgument, add_data_len) == 0x130);
    assert!(offset_of!(AttestArgument, user_data_len) == 0x134);
    assert!(offset_of!(AttestArgument, reserved136) == 0x136);
};

impl AttestArgument {
    /// An argument with these lengths and user data (cut to 256 bytes).
    #[must_use]
    pub fn new(arcb_len: u32, meas_len: u32, add_data_len: u32, user_data: &[u8]) -> Self {
        let mut argument = Self {
            arcb_len: arcb_len.into(),
            meas_len: meas_len.into(),
            add_data_len: add_data_len.into(),
            ..Self::new_zeroed()
        };
        let len = user_data.len().min(argument.user_data.len());
        argument.user_data[..len].copy_from_slice(&user_data[..len]);
        argument.user_data_len = u16::try_from(len).unwrap_or(0).into();
        argument
    }
}

const MAX_REQUEST: u32 = 1 << 20;
const MAX_AREA: u32 = 0x8000;

/// Copies the request in, issues the call with continuation token 0, copies measurement, additional data and UID out, also
/// when the call was refused.
pub(super) fn start(device: &UvDevice, ioctl: Ioctl) -> Result<Operation, Errno> {
    if ioctl.length() != size_of::<AttestArgument>() {
        return Err(Errno::EINVAL);
    }
    let bytes = ioctl.first(size_of::<AttestArgument>())?;
    let given = AttestArgument::read_from_bytes(bytes).map_err(|_| Errno::EFAULT)?;
    let (request, measurement, additional) = (given.arcb_len.get(), given.meas_len.get(), given.add_data_len.get());
    if given.reserved136.get() != 0
        || !(1..=MAX_REQUEST).contains(&request)
        || !(1..=MAX_AREA).contains(&measurement)
        || additional > MAX_AREA
    {
        return Err(Errno::EINVAL);
    }
    let size = |len: u32| usize::try_from(len).map_err(|_| Errno::EFAULT);
    let sizes = [size(request)?, size(measurement)?, size(additional)?];
    let arcb = ioctl.areas[0].get(..sizes[0]).ok_or(Errno::EFAULT)?;

    let at = [0, MAX_REQUEST, MAX_REQUEST + MAX_AREA].map(|offset| GuestAddr(device.buffers.0 + u64::from(offset)));
    let mut block = Attest::new();
    block.arcb_addr = at[0].0.into();
    block.user_data = given.user_data;
    block.user_data_len = given.user_data_len;
    block.meas_len = given.meas_len;
    block.meas_addr = at[1].0.into();
    if additional > 0 {
        block.add_data_len = given.add_data_len;
        block.add_data_addr = at[2].0.into();
    }
    let areas = [(at[1], sizes[1]), (at[2], sizes[2])].into_iter().filter(|(_, len)| *len > 0);
    let mut round = Round::new(Some((at[0], arcb)), &block, areas.clone());
    // The areas are copied out in any case, and may hold what another program has attested.
    round.stores.extend(areas.map(|(at, len)| (at, Zeroizing::new(vec![0; len]))));
    let mut ioctl = Some(ioctl);
    Ok(Operation::new(round, move |outcome| {
        Next::Done(ioctl.take().ok_or(Errno::EFAULT).and_then(|ioctl| finish(ioctl, given, &outcome)))
    }))
}

fn finish(mut ioctl: Ioctl, mut given: AttestArgument, outcome: &Outcome) -> Result<Ioctl, Errno> {
    for (area, bytes) in ioctl.areas[1..].iter_mut().zip(&outcome.loaded) {
        area.get_mut(..bytes.len()).ok_or(Errno::EFAULT)?.copy_from_slice(bytes);
    }
    if let Ok((block, _)) = Attest::read_from_prefix(&outcome.block) {
        given.config_uid = block.config_uid;
    }
    given.write_to_prefix(&mut ioctl.argument).map_err(|_| Errno::EFAULT)?;
    ioctl.control.uv_rc = outcome.rc.0.into();
    ioctl.control.uv_rrc = outcome.rrc.0.into();
    Ok(ioctl)
}
