//! What an image is built from.

use alloc::vec::Vec;
use core::fmt;

use super::bootloader::BootLoader;
use super::component::{ComponentKind, ImageLayout};
use crate::abi::se_header::{PlaintextControlFlags, SecretControlFlags};
use crate::owner::crypto::{Cck, HostPublicKey, PageKey, RequestKey};

/// Collects the inputs of an image; [`build`](Self::build) makes it.
///
/// Nothing but a kernel and one host key is required. By default PCF is 0xe0, SCF is 0, all keys are
/// drawn at random, the layout is today's, the kernel is checked, and the boot loader is
/// [`BootLoader::placeholder`], with which the image measures correctly but cannot run.
///
/// ```
/// use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
/// use uv_s390::owner::crypto::HostPrivateKey;
/// use uv_s390::owner::image::{Image, ImageBuilder};
///
/// let mut rng = ChaCha20Rng::from_seed([1; 32]);
/// let machine = HostPrivateKey::generate(&mut rng);
/// let built = ImageBuilder::new(b"not a kernel")
///     .command_line(b"quiet")
///     .host_key(machine.public())
///     .skip_component_check()
///     .build(&mut rng)?;
/// let image = Image::parse(&built.bytes)?;
/// let opened = image.header().open(&machine)?;
/// let plain = image.extract(&opened.confidential)?;
/// assert_eq!(plain[1].contents(), b"quiet\0");
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct ImageBuilder<'a> {
    pub(super) kernel: &'a [u8],
    pub(super) ramdisk: Option<&'a [u8]>,
    pub(super) command_line: Option<&'a [u8]>,
    pub(super) host_keys: Vec<HostPublicKey>,
    pub(super) boot_loader: BootLoader,
    pub(super) layout: ImageLayout,
    pub(super) pcf: PlaintextControlFlags,
    pub(super) scf: SecretControlFlags,
    pub(super) header_key: Option<RequestKey>,
    pub(super) image_key: Option<PageKey>,
    pub(super) cck: Option<Cck>,
    pub(super) psw_address: Option<u64>,
    pub(super) check_components: bool,
    prefix_parts: [Option<[u8; 6]>; 4],
}

impl<'a> ImageBuilder<'a> {
    /// Starts with a raw kernel.
    #[must_use]
    pub fn new(kernel: &'a [u8]) -> Self {
        Self {
            kernel,
            ramdisk: None,
            command_line: None,
            host_keys: Vec::new(),
            boot_loader: BootLoader::placeholder(),
            layout: ImageLayout::default(),
            pcf: PlaintextControlFlags::default(),
            scf: SecretControlFlags::default(),
            header_key: None,
            image_key: None,
            cck: None,
            psw_address: None,
            check_components: true,
            prefix_parts: [None; 4],
        }
    }

    /// Adds a RAM disk; an empty one still takes a page.
    #[must_use]
    pub fn ramdisk(mut self, ramdisk: &'a [u8]) -> Self {
        self.ramdisk = Some(ramdisk);
        self
    }

    /// Adds a command line; it gets a NUL if it does not end in one.
    #[must_use]
    pub fn command_line(mut self, command_line: &'a [u8]) -> Self {
        self.command_line = Some(command_line);
        self
    }

    /// Adds a key slot for a machine. The same key may be added more than once; at most 95 in all.
    #[must_use]
    pub fn host_key(mut self, host_key: HostPublicKey) -> Self {
        self.host_keys.push(host_key);
        self
    }

    /// Uses these boot-loader blobs.
    #[must_use]
    pub fn boot_loader(mut self, boot_loader: BootLoader) -> Self {
        self.boot_loader = boot_loader;
        self
    }

    /// Arranges the image in this layout.
    #[must_use]
    pub fn layout(mut self, layout: ImageLayout) -> Self {
        self.layout = layout;
        self
    }

    /// Sets the whole word of plaintext control flags. With
    /// [`NO_COMPONENT_ENCRYPTION`](PlaintextControlFlags::NO_COMPONENT_ENCRYPTION) the components are
    /// stored as plain text.
    #[must_use]
    pub fn pcf(mut self, pcf: PlaintextControlFlags) -> Self {
        self.pcf = pcf;
        self
    }

    /// Sets the whole word of secret control flags.
    #[must_use]
    pub fn scf(mut self, scf: SecretControlFlags) -> Self {
        self.scf = scf;
        self
    }

    /// Uses this header key. Do not use a key for two images: only the random IV keeps them apart.
    #[must_use]
    pub fn header_key(mut self, key: RequestKey) -> Self {
        self.header_key = Some(key);
        self
    }

    /// Uses this key for the components.
    #[must_use]
    pub fn image_key(mut self, key: PageKey) -> Self {
        self.image_key = Some(key);
        self
    }

    /// Uses this customer communication key.
    #[must_use]
    pub fn cck(mut self, cck: Cck) -> Self {
        self.cck = Some(cck);
        self
    }

    /// Starts the guest at this guest absolute address instead of at stage3b.
    #[must_use]
    pub fn psw_address(mut self, address: u64) -> Self {
        self.psw_address = Some(address);
        self
    }

    /// Takes any bytes as kernel, and a command line of any length.
    #[must_use]
    pub fn skip_component_check(mut self) -> Self {
        self.check_components = false;
        self
    }

    /// Uses these six bytes in the tweak prefix of a component instead of random ones, to build an
    /// image again. Never use a prefix twice with the same image key and other contents.
    #[must_use]
    pub fn prefix_bytes(mut self, kind: ComponentKind, bytes: [u8; 6]) -> Self {
        self.prefix_parts[index(kind)] = Some(bytes);
        self
    }

    /// The six bytes for a component: given, else drawn.
    pub(super) fn prefix_part(&self, kind: ComponentKind, drawn: &[[u8; 6]; 4]) -> [u8; 6] {
        self.prefix_parts[index(kind)].unwrap_or(drawn[index(kind)])
    }
}

/// Place of a kind in the order of drawing.
const fn index(kind: ComponentKind) -> usize {
    match kind {
        ComponentKind::Kernel => 0,
        ComponentKind::Ramdisk => 1,
        ComponentKind::CommandLine => 2,
        ComponentKind::Stage3b => 3,
    }
}

impl fmt::Debug for ImageBuilder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImageBuilder")
            .field("layout", &self.layout)
            .field("host_keys", &self.host_keys.len())
            .field("pcf", &self.pcf)
            .finish_non_exhaustive()
    }
}
