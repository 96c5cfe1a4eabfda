//! `/dev/uv`.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd as _;

use uv_s390::abi::Errno;
use uv_s390::guest::uvdevice::{AttestArgument, Control, Ioctl, UvioNr, request};
use zerocopy::{FromBytes as _, IntoBytes as _};

use crate::call::{Given, address, ioctl};

/// The device, opened.
#[derive(Debug)]
pub struct Uv(File);

impl Uv {
    /// Opens the device.
    ///
    /// # Errors
    /// The system's.
    pub fn open() -> io::Result<Self> {
        OpenOptions::new().read(true).write(true).open("/dev/uv").map(Self)
    }

    /// Issues an ioctl; gives it with its output filled in.
    ///
    /// # Errors
    /// The error number; [`Errno::EFAULT`] without a call where argument or areas are shorter than they are said to be.
    pub fn ioctl(&self, mut given: Ioctl) -> Result<Ioctl, Errno> {
        let stated = usize::try_from(given.control.argument_len.get()).map_err(|_| Errno::EFAULT)?;
        if given.argument.len() < stated {
            return Err(Errno::EFAULT);
        }
        let mut control = given.control;
        if control.argument_addr.get() != 0 {
            control.argument_addr = address(&mut given.argument).into();
        }
        let attest =
            (given.request == request(UvioNr::ATTEST)).then(|| AttestArgument::read_from_bytes(&given.argument));
        let addresses = attest.and_then(Result::ok);
        if let Some(mut argument) = addresses {
            let lengths = [argument.arcb_len.get(), argument.meas_len.get(), argument.add_data_len.get()];
            let short =
                |(area, length): (&Vec<u8>, u32)| usize::try_from(length).map_or(true, |length| area.len() < length);
            if given.areas.iter().zip(lengths).any(short) {
                return Err(Errno::EFAULT);
            }
            let [arcb, measurement, additional] = given.areas.each_mut().map(|area| address(area));
            argument.arcb_addr = arcb.into();
            argument.meas_addr = measurement.into();
            argument.add_data_addr = if lengths[2] == 0 { 0 } else { additional }.into();
            argument.write_to(&mut given.argument).map_err(|_| Errno::EFAULT)?;
        }
        // SAFETY: the device copies the control block, the argument and the areas, as long as they are said to be; each is
        // so long, belongs to `given` or this function, and outlives the call.
        let done = unsafe { ioctl(self.0.as_fd(), given.request, Given::Structure(control.as_mut_bytes())) };
        if let (Some(before), Ok(mut after)) = (addresses, AttestArgument::read_from_bytes(&given.argument)) {
            (after.arcb_addr, after.meas_addr) = (before.arcb_addr, before.meas_addr);
            after.add_data_addr = before.add_data_addr;
            after.write_to(&mut given.argument).map_err(|_| Errno::EFAULT)?;
        }
        done?;
        given.control = Control { argument_addr: given.control.argument_addr, ..control };
        Ok(given)
    }
}
