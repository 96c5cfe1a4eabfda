//! Building an image.

use alloc::borrow::Cow;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use rand_core::CryptoRng;
use thiserror::Error;
use zerocopy::IntoBytes;
use zerocopy::byteorder::big_endian::{U32, U64};

use super::bootloader::{KERNEL_ENTRY, STAGE3A_ADDRESS, STAGE3A_ENTRY, Stage3bArgs, Stage3bSource, size_as_u64};
use super::component::{ComponentKind, ImageLayout, Prepared, tweak_prefix};
use super::digest::PageHasher;
use super::inputs::ImageBuilder;
use super::kernel::{KernelError, check_command_line, check_kernel};
use super::page_cipher::PageCipher;
use super::plan::Plan;
use crate::abi::image::{ImageMetadata, METADATA_OFFSET};
use crate::abi::ipib::{self, Component, IpibError, IpibForm};
use crate::abi::psw::Psw;
use crate::abi::se_header::{ConfidentialArea, HeaderError, PlaintextControlFlags, SeHeader};
use crate::owner::crypto::{Cck, CustomerKeyPair, KeySlot, PageKey, RequestKey};
use crate::owner::se_header::HeaderContent;

/// Why an image cannot be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BuildError {
    /// The header cannot be written: no host key, or too many.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// The kernel, or the command line for it, is refused.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// The component list does not fit into an IPIB.
    #[error(transparent)]
    Ipib(#[from] IpibError),
    /// The components do not fit into an address space.
    #[error("the components are too large for an image")]
    TooLarge,
}

/// A built image and the keys that were given or drawn for it.
pub struct BuiltImage {
    /// The image file; file offset = guest absolute address.
    pub bytes: Vec<u8>,
    /// Key of the header; opens it without a host key.
    pub header_key: RequestKey,
    /// Key of the components.
    pub image_key: PageKey,
    /// Customer communication key.
    pub cck: Cck,
}

impl fmt::Debug for BuiltImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BuiltImage").field("bytes", &self.bytes.len()).finish_non_exhaustive()
    }
}

/// Everything random in an image, drawn in this order whether it is used or not, so that giving one
/// value does not change the others.
struct Drawn {
    header_key: RequestKey,
    image_key: PageKey,
    cck: Cck,
    customer: CustomerKeyPair,
    iv: [u8; 12],
    prefix_parts: [[u8; 6]; 4],
}

impl Drawn {
    fn new<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        let header_key = RequestKey::random(rng);
        let image_key = PageKey::random(rng);
        let cck = Cck::random(rng);
        let customer = CustomerKeyPair::generate(rng);
        let mut iv = [0; 12];
        rng.fill_bytes(&mut iv);
        let mut prefix_parts = [[0; 6]; 4];
        rng.fill_bytes(prefix_parts.as_flattened_mut());
        Self { header_key, image_key, cck, customer, iv, prefix_parts }
    }
}

impl ImageBuilder<'_> {
    /// Builds the image. Equal inputs and an equally seeded `rng` give equal bytes.
    ///
    /// Drawn from `rng`, in this order: header key, image key, CCK, customer key pair, IV, and 6 bytes
    /// of tweak prefix for kernel, RAM disk, command line, stage3b. All are drawn even where a given
    /// value is used instead.
    ///
    /// # Errors
    /// [`BuildError`]; nothing is drawn before the kernel checks passed.
    pub fn build<R: CryptoRng + ?Sized>(&self, rng: &mut R) -> Result<BuiltImage, BuildError> {
        let header_size = SeHeader::size_for(self.host_keys.len())?;
        let mut components = self.prepare()?;
        let drawn = Drawn::new(rng);
        let header_key = self.header_key.clone().unwrap_or(drawn.header_key);
        let image_key = self.image_key.clone().unwrap_or(drawn.image_key);
        let cck = self.cck.clone().unwrap_or(drawn.cck);

        let lengths = components.iter().map(|component| size_as_u64(component.padded));
        let plan = Plan::new(self.layout, self.boot_loader.stage3a().len(), size_as_u64(header_size), lengths)
            .ok_or(BuildError::TooLarge)?;
        self.patch_stage3b(&mut components, &plan.components);

        let list: Vec<Component> = components
            .iter()
            .zip(&plan.components)
            .map(|(component, &address)| {
                let random = self.prefix_part(component.kind, &drawn.prefix_parts);
                let prefix = tweak_prefix(component.kind.number(self.layout), random);
                Component::new(prefix, address, size_as_u64(component.padded))
            })
            .collect();
        let form = match self.layout {
            ImageLayout::Current => IpibForm::Exact,
            ImageLayout::Older => IpibForm::Page,
        };
        let header_address = if self.layout == ImageLayout::Older { 0 } else { plan.header };
        let ipib = ipib::build(form, header_address, size_as_u64(header_size), &list)?;

        let end = plan.components_end.max(plan.ipib + size_as_u64(ipib.len()));
        let mut file = File(vec![0; usize::try_from(end).map_err(|_| BuildError::TooLarge)?]);
        let cipher = PageCipher::new(image_key.expose());
        let mut hasher = PageHasher::new();
        for (component, entry) in components.iter().zip(&list) {
            let stored = file.place(entry.address.get(), component.padded)?;
            stored[..component.input.len()].copy_from_slice(&component.input);
            if !self.pcf.contains(PlaintextControlFlags::NO_COMPONENT_ENCRYPTION) {
                cipher.encrypt_component(entry.tweak_prefix.get(), stored);
            }
            hasher.component(stored, entry.address.get(), entry.tweak_prefix.get());
        }

        let stage3b = plan.components.last().copied().ok_or(IpibError::NoComponents)?;
        let confidential = ConfidentialArea {
            cck: *cck.expose(),
            image_key: *image_key.expose(),
            psw: Psw::at(self.psw_address.unwrap_or(stage3b)),
            secret_flags: U64::new(self.scf.bits()),
            optional_items: U32::new(0),
            reserved_7c: [0; 4],
        };
        let slots: Vec<KeySlot> =
            self.host_keys.iter().map(|host| KeySlot::seal(&drawn.customer, host, &header_key)).collect();
        let header = SeHeader::seal(&HeaderContent {
            iv: drawn.iv,
            header_key: &header_key,
            customer_key: drawn.customer.coordinates(),
            slots: &slots,
            pcf: self.pcf,
            measurement: &hasher.finish(),
            confidential: &confidential,
        })?;

        let short_psw = Psw::at(STAGE3A_ENTRY).short().ok_or(BuildError::TooLarge)?;
        file.put(0, &short_psw.to_be_bytes())?;
        if self.layout == ImageLayout::Current {
            file.put(size_as_u64(METADATA_OFFSET), ImageMetadata::new(plan.header, plan.ipib).as_bytes())?;
        }
        let stage3a = self.boot_loader.patched_stage3a(plan.header, size_as_u64(header_size), plan.ipib);
        file.put(STAGE3A_ADDRESS, &stage3a)?;
        file.put(plan.header, header.as_bytes())?;
        file.put(plan.ipib, &ipib)?;
        tracing::debug!(header = plan.header, ipib = plan.ipib, components = list.len(), "image built");
        Ok(BuiltImage { bytes: file.0, header_key, image_key, cck })
    }

    /// Checks and measures the components, in image order.
    fn prepare(&self) -> Result<Vec<Prepared<'_>>, BuildError> {
        let mut components = Vec::new();
        for kind in self.layout.order() {
            let input = match kind {
                ComponentKind::Kernel => Some(self.kernel),
                ComponentKind::Ramdisk => self.ramdisk,
                ComponentKind::CommandLine => self.command_line,
                ComponentKind::Stage3b => Some(self.boot_loader.stage3b()),
            };
            if let Some(input) = input {
                components.push(Prepared::new(kind, input, self.layout));
            }
        }
        if self.check_components {
            check_kernel(self.kernel)?;
            if let Some(line) = components.iter().find(|component| component.kind == ComponentKind::CommandLine) {
                check_command_line(self.kernel, size_as_u64(line.original))?;
            }
        }
        Ok(components)
    }

    /// Writes the arguments of stage3b, which need the addresses of the other components.
    fn patch_stage3b(&self, components: &mut [Prepared<'_>], addresses: &[u64]) {
        let source = |kind| {
            components
                .iter()
                .zip(addresses)
                .find(|(component, _)| component.kind == kind)
                .map(|(component, &address)| Stage3bSource {
                    address: U64::new(address),
                    size: U64::new(size_as_u64(component.original)),
                })
                .unwrap_or_default()
        };
        let args = Stage3bArgs {
            kernel: source(ComponentKind::Kernel),
            command_line: source(ComponentKind::CommandLine),
            ramdisk: source(ComponentKind::Ramdisk),
            psw: Psw::at(KERNEL_ENTRY),
        };
        if let Some(stage3b) = components.iter_mut().find(|component| component.kind == ComponentKind::Stage3b) {
            stage3b.input = Cow::Owned(self.boot_loader.patched_stage3b(&args));
        }
    }
}

/// The image file while it is filled.
struct File(Vec<u8>);

impl File {
    /// The zero bytes at `offset`.
    fn place(&mut self, offset: u64, length: usize) -> Result<&mut [u8], BuildError> {
        let start = usize::try_from(offset).map_err(|_| BuildError::TooLarge)?;
        let end = start.checked_add(length).ok_or(BuildError::TooLarge)?;
        self.0.get_mut(start..end).ok_or(BuildError::TooLarge)
    }

    /// Copies `bytes` to `offset`.
    fn put(&mut self, offset: u64, bytes: &[u8]) -> Result<(), BuildError> {
        self.place(offset, bytes.len())?.copy_from_slice(bytes);
        Ok(())
    }
}
