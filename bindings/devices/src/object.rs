//! What stands behind a file descriptor of the program.

use std::fmt::Debug;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use uv_s390::abi::Errno;

use crate::line::{Hello, Line};
use crate::log::Told;

/// An ioctl at work.
#[derive(Debug)]
pub struct Call<'a> {
    /// The thread that issued it.
    pub line: &'a mut Line,
    /// Its process.
    pub hello: Hello,
    /// Request number.
    pub request: u32,
    /// The argument as it is.
    pub argument: u64,
    /// What the log is told.
    pub told: Told,
}

/// What an ioctl gives.
#[derive(Debug)]
pub enum Answer {
    /// A number.
    Value(u64),
    /// A file descriptor for an object.
    Object(Arc<dyn Object>, OwnedFd),
    /// 0, and a file descriptor for an object, whose number is stored as 4 bytes at an address of the program.
    ObjectAt(Arc<dyn Object>, OwnedFd, u64),
}

/// The object of a file descriptor.
pub trait Object: Debug + Send + Sync {
    /// Name of the device, for the log.
    fn device(&self) -> &'static str;

    /// Carries an ioctl out.
    ///
    /// # Errors
    /// The error number.
    fn ioctl(&self, call: &mut Call<'_>) -> Result<Answer, Errno>;

    /// The program touched a page that is closed to it: opens it. `false` when it is none of this object's.
    fn touch(&self, line: &mut Line, address: u64) -> bool {
        let _ = (line, address);
        false
    }
}
