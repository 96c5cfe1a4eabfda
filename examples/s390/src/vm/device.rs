//! A guest that uses its `/dev/uv`.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use uv_s390::abi::Errno;
use uv_s390::abi::psw::Psw;
use uv_s390::abi::uvc::Cc;
use uv_s390::guest::uvdevice::{Ioctl, Operation, Seen, Step as Driver, UvDevice};
use uv_s390::sim::{GuestCode, GuestInsn, InsnResult};
use uv_sim::guest::{Outcome, Program, Step};

/// What the ioctls gave, in their order. For the guest's owner.
pub type Replies = Arc<Mutex<Vec<Result<Ioctl, Errno>>>>;

/// A guest whose kernel carries out a list of ioctls, then halts.
#[derive(Debug, Clone)]
pub struct DeviceGuest {
    device: UvDevice,
    ioctls: Vec<Ioctl>,
    replies: Replies,
}

impl DeviceGuest {
    /// The guest, and where its replies will be.
    #[must_use]
    pub fn new(device: UvDevice, ioctls: Vec<Ioctl>) -> (Self, Replies) {
        let replies = Replies::default();
        (Self { device, ioctls, replies: replies.clone() }, replies)
    }
}

impl GuestCode for DeviceGuest {
    fn start(&mut self, _: Psw) -> Box<dyn Program<GuestInsn, InsnResult>> {
        let mut ioctls: VecDeque<_> = self.ioctls.clone().into();
        let (device, replies) = (self.device, self.replies.clone());
        let mut at_work: Option<Operation> = None;
        Box::new(move |last: Outcome<InsnResult>| {
            let mut seen = seen(last);
            loop {
                let Some(operation) = &mut at_work else {
                    let Some(ioctl) = ioctls.pop_front() else { return Step::Halt };
                    at_work = Some(device.ioctl(ioctl));
                    seen = Seen::Nothing;
                    continue;
                };
                match operation.next(core::mem::replace(&mut seen, Seen::Nothing)) {
                    Driver::Store { at, bytes } => return Step::Store { at, bytes },
                    Driver::Load { at, len } => return Step::Load { at, len },
                    Driver::Call(block) => return Step::Call(GuestInsn::Uvc { block }),
                    Driver::Done(reply) => {
                        replies.lock().unwrap_or_else(PoisonError::into_inner).push(reply);
                        at_work = None;
                    }
                }
            }
        })
    }
}

/// What the driver is told of a step.
fn seen(last: Outcome<InsnResult>) -> Seen {
    match last {
        Outcome::Loaded(bytes) => Seen::Loaded(bytes),
        Outcome::Returned(InsnResult::Data { cc, bytes }) => {
            Seen::Called(Cc::try_from(cc).unwrap_or(Cc::Error), bytes.to_vec())
        }
        // An exception in the guest's kernel: the call did not happen; rc 0 says so.
        Outcome::Returned(_) => Seen::Called(Cc::Error, Vec::new()),
        Outcome::Started | Outcome::Stored | Outcome::Fetched => Seen::Nothing,
    }
}
