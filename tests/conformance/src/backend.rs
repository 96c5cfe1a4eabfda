//! What a backend brings.

use uv_core::{EnterSecureMode, Error, Gfn, GuestAddr, NormalMemory, PageIn, SecureVm, Unsupported, Vcpu};

/// An ability that a machine may lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ability {
    /// [`SecureVm::as_page_out`].
    PageOut,
    /// [`SecureVm::as_share_pages`].
    SharePages,
    /// [`SecureVm::as_accept_sharing`].
    AcceptSharing,
    /// [`SecureVm::as_destroy_pages`].
    DestroyPages,
}

impl Ability {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::PageOut, Self::SharePages, Self::AcceptSharing, Self::DestroyPages];

    /// Whether a VM has the ability.
    pub fn is_of<V: SecureVm>(self, vm: &V) -> bool {
        match self {
            Self::PageOut => vm.as_page_out().is_some(),
            Self::SharePages => vm.as_share_pages().is_some(),
            Self::AcceptSharing => vm.as_accept_sharing().is_some(),
            Self::DestroyPages => vm.as_destroy_pages().is_some(),
        }
    }
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

    /// The abilities of its VMs. Rules about the others are skipped, and that the machine has none of them is a rule.
    const ABILITIES: &'static [Ability];

    /// The error of everything.
    type Error: Error + From<Unsupported> + 'static;
    /// The VM as the hypervisor has it.
    type Vm: EnterSecureMode<Cpu = Self::Cpu, Error = Self::Error> + PageIn;
    /// A virtual CPU.
    type Cpu: Vcpu<Error = Self::Error>;

    /// A machine with VMs 0 and 1, both normal. The same seed gives the same machine.
    fn new(seed: u64) -> Self;

    /// VM `index` (0 or 1).
    fn vm(&self, index: usize) -> &Self::Vm;

    /// Loads VM `index`, when it is normal, with an image or blob and gives its boot CPU. The guest's first act is to ask to
    /// enter secure mode; then, secure or not, it does what it is told. With `None` the machine must accept the image; with one
    /// of [`Backend::refusals`] it must refuse.
    fn boot(&self, index: usize, refusal: Option<&str>) -> Self::Cpu;

    /// Names of the ways in which this machine must refuse to enter: wrong key, flipped bit …
    fn refusals(&self) -> Vec<&'static str>;

    /// The first page that the image of a VM does not use.
    fn test_pages(&self) -> Gfn;

    /// Normal memory as the hypervisor reaches it. Reading a secure page fails or gives no plaintext.
    fn host(&self) -> Host<'_>;

    /// Has the guest of VM `index` do these things when it runs, after what it was told before.
    fn tell(&self, index: usize, ops: Vec<GuestOp>);

    /// What the guest of VM `index` saw since the VM was booted.
    fn saw(&self, index: usize) -> Vec<Saw>;

    /// Serves an exit that only this machine has.
    ///
    /// # Errors
    /// The backend's.
    fn serve(&self, index: usize, cpu: &mut Self::Cpu, exit: <Self::Cpu as Vcpu>::Arch) -> Result<(), Self::Error>;
}
