//! What a backend brings.

use uv_core::{EnterSecureMode, Error, Gfn, GuestAddr, NormalMemory, PageIn, Unsupported, Vcpu};

use crate::Script;

/// What a machine may lack. A rule about it is not run on a machine that does not declare it; instead the machine must refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Ability {
    /// [`SecureVm::as_page_out`](uv_core::SecureVm::as_page_out).
    PageOut,
    /// [`SecureVm::as_share_pages`](uv_core::SecureVm::as_share_pages).
    SharePages,
    /// [`SecureVm::as_accept_sharing`](uv_core::SecureVm::as_accept_sharing).
    AcceptSharing,
    /// [`SecureVm::as_destroy_pages`](uv_core::SecureVm::as_destroy_pages).
    DestroyPages,
    /// Secure memory can run out while a VM runs: [`Setup::tight`] means something.
    LimitedMemory,
    /// Refusals carry a number of the machine: [`Backend::code`].
    RawCodes,
}

impl Ability {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::PageOut, Self::SharePages, Self::AcceptSharing, Self::DestroyPages, Self::LimitedMemory, Self::RawCodes];
}

/// A refusal that the suite provokes and whose code it wants to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// A sealed page that was changed comes in.
    Tampered,
}

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
    /// Wait for ever; not reported.
    End,
}

/// What a guest saw of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Saw {
    /// The bytes of a load.
    Bytes(Vec<u8>),
    /// The operation is done.
    Done,
    /// The operation was refused.
    Refused,
}

/// The hypervisor's view of normal memory.
pub type Host<'a> = &'a dyn NormalMemory;

/// The machine that a rule wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setup {
    /// Everything random comes from this number: the same seed gives the same machine.
    pub seed: u64,
    /// There is secure memory for the image of VM 0 and for at most half of the test pages. Only for a backend with
    /// [`Ability::LimitedMemory`]; others build what they always build.
    pub tight: bool,
}

/// A machine with an ultravisor, and two VMs on it, set up so that the suite can act as hypervisor and as guest.
///
/// The VMs are normal at first. Each has at least [`TEST_PAGES`] pages, from page [`Backend::test_pages`] on, that its image
/// does not use.
pub trait Backend {
    /// The error of everything.
    type Error: Error + From<Unsupported> + 'static;
    /// The VM as the hypervisor has it.
    type Vm: EnterSecureMode<Cpu = Self::Cpu, Error = Self::Error> + PageIn;
    /// A virtual CPU.
    type Cpu: Vcpu<Error = Self::Error>;

    /// What the machine has of what machines may lack. Nothing unless said.
    fn abilities(&self) -> &[Ability] {
        &[]
    }

    /// Whether the content of a page goes along when the guest shares it or takes it back (IBM Z), or the other side
    /// starts with zeros (POWER).
    fn sharing_keeps_content(&self) -> bool;

    /// VM `index` (0 or 1).
    fn vm(&self, index: usize) -> &Self::Vm;

    /// Loads VM `index`, when it is normal, with an image or blob and gives its boot CPU. The guest's first act is to ask to
    /// enter secure mode; then, secure or not, it does what it is told. With `None` the machine must accept the image; with one
    /// of [`Backend::refusals`] it must refuse.
    fn boot(&self, index: usize, refusal: Option<&str>) -> Self::Cpu;

    /// Names of the ways in which this machine must refuse to enter: wrong key, flipped bit … At least one.
    fn refusals(&self) -> Vec<&'static str>;

    /// The first page that the image of a VM does not use.
    fn test_pages(&self) -> Gfn;

    /// Normal memory as the hypervisor reaches it. Reading a secure page fails or gives no plaintext.
    fn host(&self) -> Host<'_>;

    /// What the guest of VM `index` has to do and what it saw, since the VM was booted.
    fn script(&self, index: usize) -> &Script;

    /// Serves an exit that only this machine has. A machine without any need not say it.
    ///
    /// # Errors
    /// The backend's.
    fn serve(&self, index: usize, cpu: &mut Self::Cpu, exit: <Self::Cpu as Vcpu>::Arch) -> Result<(), Self::Error> {
        let _ = (index, cpu, exit);
        Err(Unsupported.into())
    }

    /// The machine's number for a refusal, as the text of the error must show it. Something for every [`Refusal`] of a machine
    /// with [`Ability::RawCodes`], nothing on other machines.
    fn code(&self, refusal: Refusal) -> Option<&'static str> {
        let _ = refusal;
        None
    }
}

/// Pages every VM keeps free for the suite.
pub const TEST_PAGES: u64 = 24;
