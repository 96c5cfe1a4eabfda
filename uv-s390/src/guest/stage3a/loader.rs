//! What the boot loader does.

use alloc::vec::Vec;

use uv_core::GuestAddr;

use super::BootImage;
use crate::abi::diag308::Response;
use crate::abi::diag308::{Diag308, Subcode};

/// Offset of header address and length in the IPIB.
const IPIB_HEADER: u64 = 0x78;

/// What the boot loader does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoaderStep {
    /// It stores bytes in its memory.
    Store {
        /// Guest absolute address.
        at: GuestAddr,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// It issues DIAG 308.
    Diag308(Diag308),
    /// It gives up and waits disabled: DIAG 308 came back with something else than 1, or where it never comes back.
    Wait,
}

/// The boot loader at work.
///
/// ```
/// use uv_s390::guest::stage3a::LoaderStep;
/// use uv_s390::abi::diag308::{Response, Subcode};
/// # use uv_s390::guest::stage3a::{BootImage, Loader};
/// # fn ask(image: &BootImage) {
/// let mut loader = Loader::new(image);
/// let LoaderStep::Store { at, bytes } = loader.next(None) else { panic!("the IPIB comes first") };
/// // Store them, then:
/// let LoaderStep::Diag308(call) = loader.next(None) else { panic!("the header is named, now the IPIB is") };
/// assert_eq!(call.subcode, u64::from(Subcode::SET_PV.0));
/// loader.next(Some(Response::OK)); // subcode 10
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Loader {
    ipib: u64,
    header: [u64; 2],
    next: Next,
}

#[derive(Clone, Copy, Debug)]
enum Next {
    Store,
    Set,
    Start,
    Nothing,
}

impl Loader {
    /// The loader of an image, at its start.
    #[must_use]
    pub const fn new(image: &BootImage) -> Self {
        let header = [image.header_address(), image.header_length()];
        Self { ipib: image.ipib_address(), header, next: Next::Store }
    }

    /// The next step. `answer` is what DIAG 308 left in GR r1+1, if the last step was one.
    pub fn next(&mut self, answer: Option<Response>) -> LoaderStep {
        if answer.is_some_and(|answer| answer != Response::OK) {
            self.next = Next::Nothing;
        }
        match self.next {
            Next::Store => {
                self.next = Next::Set;
                let bytes = self.header.iter().flat_map(|word| word.to_be_bytes()).collect();
                LoaderStep::Store { at: GuestAddr(self.ipib.saturating_add(IPIB_HEADER)), bytes }
            }
            Next::Set => {
                self.next = Next::Start;
                LoaderStep::Diag308(Diag308::new(Subcode::SET_PV, self.ipib))
            }
            Next::Start => {
                self.next = Next::Nothing;
                LoaderStep::Diag308(Diag308::new(Subcode::START_PV, 0))
            }
            Next::Nothing => LoaderStep::Wait,
        }
    }
}
