//! Getting the plain components out of an image.

use alloc::vec::Vec;
use core::fmt;

use zeroize::Zeroizing;

use super::bootloader::{Stage3bArgs, Stage3bSource};
use super::component::{ComponentKind, ImageLayout, round_up_to_page};
use super::error::ImageError;
use super::page_cipher::PageCipher;
use super::read::Image;
use crate::abi::ipib::Component;
use crate::abi::se_header::{ConfidentialArea, PlaintextControlFlags};

/// A decrypted component. Its memory is wiped when it is dropped.
#[derive(Clone)]
pub struct PlainComponent {
    entry: Component,
    kind: Option<ComponentKind>,
    original: Option<usize>,
    pages: Zeroizing<Vec<u8>>,
}

impl PlainComponent {
    /// Tweak prefix, guest absolute address, padded length.
    #[must_use]
    pub fn entry(&self) -> &Component {
        &self.entry
    }

    /// What the component is: by the arguments of stage3b, or else by its component number; `None` if
    /// neither says.
    #[must_use]
    pub fn kind(&self) -> Option<ComponentKind> {
        self.kind
    }

    /// Bytes before padding as stage3b has them, or `None` if stage3b does not say.
    #[must_use]
    pub fn original_length(&self) -> Option<usize> {
        self.original
    }

    /// All bytes, padding included: what the guest sees.
    #[must_use]
    pub fn pages(&self) -> &[u8] {
        &self.pages
    }

    /// The bytes before padding, or with padding where the length is not known.
    #[must_use]
    pub fn contents(&self) -> &[u8] {
        self.original.and_then(|original| self.pages.get(..original)).unwrap_or(&self.pages)
    }
}

impl fmt::Debug for PlainComponent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlainComponent").field("entry", &self.entry).field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl Image<'_> {
    /// Decrypts all components, in image order, after the digests were compared with the header.
    ///
    /// `confidential` is that of this image's header, from [`SeHeader::open`] or
    /// [`SeHeader::open_with_header_key`].
    ///
    /// [`SeHeader::open`]: crate::abi::se_header::SeHeader::open
    /// [`SeHeader::open_with_header_key`]: crate::abi::se_header::SeHeader::open_with_header_key
    ///
    /// # Errors
    /// [`ImageError::Measurement`] if a component is not that of the header; nothing is decrypted then.
    pub fn extract(&self, confidential: &ConfidentialArea) -> Result<Vec<PlainComponent>, ImageError> {
        self.check_measurement()?;
        let cipher = PageCipher::new(&confidential.image_key);
        let encrypted = !self.header().pcf().contains(PlaintextControlFlags::NO_COMPONENT_ENCRYPTION);
        let mut components: Vec<PlainComponent> = self
            .components()
            .map(|(entry, stored)| {
                let mut pages = Zeroizing::new(stored.to_vec());
                if encrypted {
                    cipher.decrypt_component(entry.tweak_prefix.get(), &mut pages);
                }
                PlainComponent { entry, kind: kind_by_number(&entry), original: None, pages }
            })
            .collect();
        if let Some(stage3b) = components.last_mut()
            && let Some((args, size)) = Stage3bArgs::find(&stage3b.pages)
        {
            stage3b.kind = Some(ComponentKind::Stage3b);
            stage3b.original = Some(size);
            for component in components.iter_mut().rev().skip(1) {
                name(component, &args);
            }
        }
        Ok(components)
    }
}

/// Takes kind and length of a component from the arguments of stage3b.
fn name(component: &mut PlainComponent, args: &Stage3bArgs) {
    let sources = [
        (ComponentKind::Kernel, &args.kernel),
        (ComponentKind::CommandLine, &args.command_line),
        (ComponentKind::Ramdisk, &args.ramdisk),
    ];
    let here = |source: &Stage3bSource| source.address == component.entry.address;
    if let Some((kind, source)) = sources.into_iter().find(|(_, source)| here(source)) {
        let size = source.size.get();
        component.kind = Some(kind);
        component.original = (round_up_to_page(size.max(1)) == Some(component.entry.length.get()))
            .then_some(size)
            .and_then(|size| usize::try_from(size).ok());
    }
}

/// The kind that the component number in the tweak prefix stands for.
fn kind_by_number(entry: &Component) -> Option<ComponentKind> {
    let number = entry.tweak_prefix.get() >> 48;
    [ImageLayout::Current, ImageLayout::Older]
        .into_iter()
        .flat_map(|layout| layout.order().map(|kind| (kind, kind.number(layout))))
        .find(|&(_, known)| u64::from(known) == number)
        .map(|(kind, _)| kind)
}
