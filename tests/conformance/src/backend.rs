//! What a backend brings.

use uv_core::{
    EnterSecureMode, Error, ErrorType, Exit, Gfn, GuestAddr, MemSlots, NormalMemory, PageIn, PageOut, SharePages, Vcpu,
};

/// What the suite has a guest do. Each backend tells its guest in its own way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GuestOp {
    /// Read this many bytes; reported as [`Saw::Bytes`].
    Load(GuestAddr, usize),
    /// Write these bytes; reported as [`Saw::Done`].
    Store(GuestAddr, Vec<u8>),
    /// Share a page; reported as [`Saw::Done`].
    Share(Gfn),
    /// Take a page back; reported as [`Saw::Done`].
    Unshare(Gfn),
}

/// What a guest saw of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Saw {
    /// The bytes of a load.
    Bytes(Vec<u8>),
    /// The operation is done.
    Done,
}

/// The hypervisor's view of normal memory.
pub type Host<'a> = &'a dyn NormalMemory;

/// A machine with an ultravisor, and two VMs on it, set up so that the suite can act as hypervisor and as guest.
///
/// The VMs are normal after [`Backend::new`]. Each has at least [`Backend::TEST_PAGES`] pages, from page
/// [`Backend::test_pages`] on, that its image does not use.
pub trait Backend: Sized {
    /// Pages every VM keeps free for the suite.
    const TEST_PAGES: u64 = 24;

    /// Whether the content of a page goes along when the guest shares it or takes it back (IBM Z), or the other side
    /// starts with zeros (POWER).
    const SHARING_KEEPS_CONTENT: bool;

    /// The error of everything.
    type Error: Error + 'static;
    /// The VM as the hypervisor has it.
    type Vm: EnterSecureMode + PageIn + PageOut + SharePages + ErrorType<Error = Self::Error>;
    /// A virtual CPU.
    type Cpu: Vcpu + ErrorType<Error = Self::Error>;

    /// A machine with VMs 0 and 1, both normal. The same seed gives the same machine.
    fn new(seed: u64) -> Self;

    /// VM `index` (0 or 1).
    fn vm(&self, index: usize) -> &Self::Vm;

    /// Takes VM `index` into secure mode the way this machine does it, with an image or blob that must be accepted.
    ///
    /// # Errors
    /// The backend's, when it refuses all the same.
    fn enter(&self, index: usize) -> Result<(), Self::Error>;

    /// Names of the ways in which this machine must refuse to enter: wrong key, flipped bit …
    fn refusals(&self) -> Vec<&'static str>;

    /// Tries to take VM `index` into secure mode in the way `refusal` names.
    ///
    /// # Errors
    /// The backend's; success is a broken rule.
    fn enter_refused(&self, index: usize, refusal: &str) -> Result<(), Self::Error>;

    /// The first page that the image of a VM does not use.
    fn test_pages(&self) -> Gfn;

    /// The memory slots of VM `index`.
    fn slots(&self, index: usize) -> MemSlots;

    /// Normal memory as the hypervisor reaches it. Reading a secure page fails or gives no plaintext.
    fn host(&self) -> Host<'_>;

    /// A virtual CPU of VM `index` that carries the operations out and then halts. May be called any number of times for
    /// a secure VM; each virtual CPU starts where the guest's memory stands.
    fn cpu(&self, index: usize, ops: Vec<GuestOp>) -> Self::Cpu;

    /// Serves an exit that only this machine has.
    ///
    /// # Errors
    /// The backend's.
    fn serve(
        &self,
        index: usize,
        cpu: &mut Self::Cpu,
        exit: Exit<<Self::Cpu as Vcpu>::Arch>,
    ) -> Result<(), Self::Error>;

    /// What the guest on this virtual CPU saw so far.
    fn saw(&self, cpu: &Self::Cpu) -> Vec<Saw>;
}
