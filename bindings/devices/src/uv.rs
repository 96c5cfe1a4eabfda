//! `/dev/uv` of a simulated protected guest.

use std::sync::{Mutex, PoisonError};

use uv_core::GuestAddr;
use uv_programs::Failure;
use uv_s390::abi::Errno;
use uv_s390::abi::uvc::{Cc, PgmCode, ProgramInterruption, UvCall};
use uv_s390::guest::sysfs::{self, SysFile};
use uv_s390::guest::uvdevice::{AttestArgument, Control, GuestKernel, Ioctl, UvDevice, UvioNr, request};
use uv_s390_programs::guest::{Booted, Session};
use zerocopy::{FromBytes as _, IntoBytes as _};
use zeroize::Zeroizing;

use crate::byte_order::{self, Fields};
use crate::log::Told;
use crate::object::{Answer, Call, Object};

/// Longest argument that the driver copies, and one more: a longer one is refused by its length.
const MAX_ARGUMENT: u32 = (1 << 20) + 1;
const PAGE: usize = 0x1000;

/// The device, with the guest behind it. One ioctl at a time, as the driver has one set of buffers.
#[derive(Debug)]
pub struct UvGuest {
    device: UvDevice,
    kernel: Mutex<Kernel>,
}

impl UvGuest {
    /// The device of a guest that has booted, and what its `/sys/firmware/uv` shows.
    ///
    /// # Errors
    /// Status 1 if the guest cannot run.
    pub fn new(mut booted: Booted) -> Result<(Self, Vec<SysFile>), Failure> {
        let query = booted.query()?;
        let device = UvDevice::new(GuestAddr(booted.free), query.calls);
        let kernel = Mutex::new(Kernel(Mutex::new(booted.session)));
        Ok((Self { device, kernel }, sysfs::files(&query, None)))
    }

    /// Carries an ioctl out in the guest.
    ///
    /// # Errors
    /// The error number.
    pub fn issue(&self, ioctl: Ioctl) -> Result<Ioctl, Errno> {
        self.device.ioctl(ioctl).run(&*self.kernel.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The guest's kernel.
#[derive(Debug)]
struct Kernel(Mutex<Session>);

impl Kernel {
    /// One access: the guest's storage operands do not pass a page.
    fn with<T>(&self, act: impl FnOnce(&mut Session) -> Result<T, Failure>) -> Result<T, ProgramInterruption> {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner)).map_err(|failure| {
            tracing::warn!(%failure, "the guest cannot go on");
            ProgramInterruption::new(PgmCode::ADDRESSING)
        })
    }
}

impl UvCall for Kernel {
    fn uv_call(&self, block: &mut [u8]) -> Result<Cc, ProgramInterruption> {
        self.with(|session| session.raw_call(block, false))?.map_err(ProgramInterruption::new)
    }
}

impl GuestKernel for Kernel {
    fn load(&self, at: GuestAddr, into: &mut [u8]) -> Result<(), ProgramInterruption> {
        for (address, piece) in (at.0..).step_by(PAGE).zip(into.chunks_mut(PAGE)) {
            piece.copy_from_slice(&self.with(|session| session.load(address, piece.len()))?);
        }
        Ok(())
    }

    fn store(&self, at: GuestAddr, from: &[u8]) -> Result<(), ProgramInterruption> {
        (at.0..)
            .step_by(PAGE)
            .zip(from.chunks(PAGE))
            .try_for_each(|(address, piece)| self.with(|session| session.store(address, piece)))
    }
}

impl Object for UvGuest {
    fn device(&self) -> &'static str {
        "uv"
    }

    fn ioctl(&self, call: &mut Call<'_>) -> Result<Answer, Errno> {
        call.told.name = name(call.request);
        let order = |fields: &'static Fields, bytes: &mut [u8]| {
            if !call.hello.big_endian {
                byte_order::swap(fields, bytes);
            }
        };
        let mut bytes = call.line.copy_in(call.argument, size_of::<Control>())?;
        order(&byte_order::CONTROL, &mut bytes);
        let control = Control::read_from_bytes(&bytes).map_err(|_| Errno::EFAULT)?;
        tell(&mut call.told, &control);
        let fields = byte_order::of_argument(call.request);
        let length = usize::try_from(control.argument_len.get().min(MAX_ARGUMENT)).map_err(|_| Errno::EFAULT)?;
        let at = control.argument_addr.get();
        // What cannot be copied is missing: the driver finds that out where it copies.
        let mut argument = Zeroizing::new(call.line.copy_in(at, length).unwrap_or_default());
        order(fields, &mut argument);
        let attest = (call.request == request(UvioNr::ATTEST)).then(|| AttestArgument::read_from_bytes(&argument).ok());
        let places = attest.flatten().map_or([(0, 0); 3], |given| tell_attest(&mut call.told, &given));
        let areas = places.map(|(at, length)| call.line.copy_in(at, length).unwrap_or_default());

        let given = argument.clone();
        let ioctl = Ioctl { request: call.request, control, argument, areas };
        let done = self.issue(ioctl)?;

        call.told.codes = Some((done.control.uv_rc.get(), done.control.uv_rrc.get()));
        for ((at, _), area) in places.iter().zip(&done.areas).skip(1) {
            call.line.copy_out(*at, area)?;
        }
        if *done.argument != *given {
            let mut argument = done.argument.clone();
            order(fields, &mut argument);
            call.line.copy_out(at, &argument)?;
        }
        let mut bytes = done.control.as_bytes().to_vec();
        order(&byte_order::CONTROL, &mut bytes);
        call.line.copy_out(call.argument, &bytes)?;
        Ok(Answer::Value(0))
    }
}

/// The name that Linux's public header has for a request.
fn name(number: u32) -> String {
    const NAMES: [(UvioNr, &str); 6] = [
        (UvioNr::INFO, "UVIO_IOCTL_UVDEV_INFO"),
        (UvioNr::ATTEST, "UVIO_IOCTL_ATT"),
        (UvioNr::ADD_SECRET, "UVIO_IOCTL_ADD_SECRET"),
        (UvioNr::LIST_SECRETS, "UVIO_IOCTL_LIST_SECRETS"),
        (UvioNr::LOCK_SECRETS, "UVIO_IOCTL_LOCK_SECRETS"),
        (UvioNr::RETR_SECRET, "UVIO_IOCTL_RETR_SECRET"),
    ];
    let known = NAMES.iter().find(|(nr, _)| request(*nr) == number);
    known.map_or_else(|| format!("{number:#x}"), |(_, name)| (*name).to_owned())
}

fn tell(told: &mut Told, control: &Control) {
    told.argument("flags", control.flags.get());
    told.argument("argument_addr", control.argument_addr.get());
    told.argument("argument_len", control.argument_len.get());
}

/// Address and length of the three areas.
fn tell_attest(told: &mut Told, given: &AttestArgument) -> [(u64, usize); 3] {
    told.argument("arcb_len", given.arcb_len.get());
    told.argument("meas_len", given.meas_len.get());
    told.argument("add_data_len", given.add_data_len.get());
    told.argument("user_data_len", given.user_data_len.get());
    let length = |length: u32| usize::try_from(length.min(MAX_ARGUMENT)).unwrap_or(0);
    [
        (given.arcb_addr.get(), length(given.arcb_len.get())),
        (given.meas_addr.get(), length(given.meas_len.get())),
        (given.add_data_addr.get(), length(given.add_data_len.get())),
    ]
}
