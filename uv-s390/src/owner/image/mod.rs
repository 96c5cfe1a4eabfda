//! Secure Execution images: building, reading, measuring and opening them.
//!
//! Who uses it: who builds or reads images.
//!
//! An image is a file that is loaded as it is at guest address 0: a small plain boot loader, an
//! [SE header](crate::abi::se_header), encrypted components, and an [IPIB](crate::abi::ipib) that lists them.
//!
//! | job | here |
//! |---|---|
//! | build an image | [`ImageBuilder`], [`BuiltImage`], [`BootLoader`] |
//! | read one | [`Image`], [`read_header`] |
//! | compute the digests, page by page or whole | [`PageHasher`], [`Measurement`] |
//! | encrypt and decrypt pages | [`PageCipher`], [`page_tweak`] |
//! | plain components | [`Image::extract`], [`PlainComponent`] |
//! | tell about a header, test host keys | [`HeaderInfo`], [`KeyHashes`] |
//!
//! The digests cover the components only: not the boot loader's first stage, not the short PSW, the
//! metadata or the IPIB.
//!
//! Source: s390-formats §3 to §6.

mod bootloader;
mod build;
mod component;
mod digest;
mod error;
mod extract;
mod info;
mod inputs;
mod kernel;
mod key_hashes;
mod page_cipher;
mod plan;
mod read;

pub use crate::abi::image::{ImageMetadata, METADATA_MAGIC, METADATA_OFFSET, METADATA_VERSION};
pub use bootloader::{
    BootLoader, BootLoaderError, KERNEL_ENTRY, STAGE3A_ADDRESS, STAGE3A_ENTRY, Stage3aArgs, Stage3bArgs, Stage3bSource,
};
pub use build::{BuildError, BuiltImage};
pub use component::{ComponentKind, ImageLayout, PAGE_SIZE, page_tweak, round_up_to_page, tweak_prefix};
pub use digest::{Measurement, MeasurementError, PageHasher};
pub use error::{ComponentFault, ImageError, IpibFault};
pub use extract::PlainComponent;
pub use info::{HeaderInfo, KeySlotInfo, SecretInfo};
pub use inputs::ImageBuilder;
pub use kernel::{KernelError, check_command_line, check_kernel, max_command_line};
pub use key_hashes::{KeyHashes, KeyHashesError};
pub use page_cipher::PageCipher;
pub use read::{Image, read_header};
