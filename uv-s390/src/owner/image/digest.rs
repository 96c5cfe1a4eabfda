//! Digests over the pages of an image: the one definition for builder, reader and Ultravisor.
//!
//! Source: s390-formats §3.

use core::fmt;

use thiserror::Error;
use uv_crypto::digest::Sha512;

use super::component::{PAGE_SIZE, PAGE_STEP, page_tweak};
use crate::abi::se_header::FixedPart;

/// Running digests over pages in the order in which they are given.
#[derive(Clone, Default)]
pub struct PageHasher {
    pages: Sha512,
    addresses: Sha512,
    tweaks: Sha512,
    count: u64,
}

impl PageHasher {
    /// Digests over no page yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one page: its 4096 bytes as stored in the image, its guest absolute address, its tweak.
    pub fn page(&mut self, stored: &[u8; PAGE_SIZE], address: u64, tweak: &[u8; 16]) {
        self.pages.update(stored);
        self.addresses.update(&address.to_be_bytes());
        self.tweaks.update(tweak);
        self.count = self.count.saturating_add(1);
    }

    /// Adds all whole pages of a component that starts at guest absolute `address`, with offsets from
    /// 0; bytes behind the last whole page are not counted.
    pub fn component(&mut self, stored: &[u8], address: u64, prefix: u64) {
        let (pages, _) = stored.as_chunks::<PAGE_SIZE>();
        let mut offset = 0u64;
        for page in pages {
            self.page(page, address.wrapping_add(offset), &page_tweak(prefix, offset));
            offset = offset.wrapping_add(PAGE_STEP);
        }
    }

    /// The values over all pages given so far.
    #[must_use]
    pub fn finish(self) -> Measurement {
        Measurement {
            page_digest: self.pages.finish(),
            address_digest: self.addresses.finish(),
            tweak_digest: self.tweaks.finish(),
            page_count: self.count,
        }
    }
}

impl fmt::Debug for PageHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PageHasher").field("count", &self.count).finish_non_exhaustive()
    }
}

/// What the components of an image measure to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measurement {
    /// PLD: SHA-512 over the stored pages.
    pub page_digest: [u8; 64],
    /// ALD: SHA-512 over the page addresses, 8 bytes each.
    pub address_digest: [u8; 64],
    /// TLD: SHA-512 over the page tweaks, 16 bytes each.
    pub tweak_digest: [u8; 64],
    /// NEP: number of pages.
    pub page_count: u64,
}

impl Measurement {
    /// What a header says that its components measure to.
    #[must_use]
    pub fn stated_by(header: &FixedPart) -> Self {
        Self {
            page_digest: header.page_digest,
            address_digest: header.address_digest,
            tweak_digest: header.tweak_digest,
            page_count: header.page_count.get(),
        }
    }

    /// Compares with what the header states. Which of several differences a machine reports is not
    /// published; here it is the first in the order of the reason codes.
    ///
    /// # Errors
    /// The first difference in the order addresses, pages, tweaks, number of pages.
    pub fn check(&self, header: &FixedPart) -> Result<(), MeasurementError> {
        let stated = Self::stated_by(header);
        if self.address_digest != stated.address_digest {
            Err(MeasurementError::Addresses)
        } else if self.page_digest != stated.page_digest {
            Err(MeasurementError::Pages)
        } else if self.tweak_digest != stated.tweak_digest {
            Err(MeasurementError::Tweaks)
        } else if self.page_count != stated.page_count {
            Err(MeasurementError::PageCount)
        } else {
            Ok(())
        }
    }
}

/// In what an image differs from its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum MeasurementError {
    /// ALD.
    #[error("the addresses of the components are not those of the SE header")]
    Addresses,
    /// PLD.
    #[error("the contents of the components are not those of the SE header")]
    Pages,
    /// TLD.
    #[error("the tweaks of the components are not those of the SE header")]
    Tweaks,
    /// NEP.
    #[error("the number of component pages is not that of the SE header")]
    PageCount,
}

impl MeasurementError {
    /// The Ultravisor's rc and rrc for this difference (VERIFY_IMG; s390-formats §3).
    #[must_use]
    pub const fn uv_code(self) -> (u16, u16) {
        match self {
            Self::Addresses => (0x0102, 0x001a),
            Self::Pages => (0x0102, 0x001b),
            Self::Tweaks => (0x0102, 0x001c),
            Self::PageCount => (0x0102, 0x001d),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::owner::crypto::vectors;
    use crate::owner::image::PageCipher;
    use alloc::vec;
    use zerocopy::FromZeros;

    fn known() -> Measurement {
        let cipher = PageCipher::new(&vectors::seq(0));
        let mut hasher = PageHasher::new();
        let mut a = vec![0xaa; 5000];
        a.resize(8192, 0);
        cipher.encrypt_component(0x0028_0102_0304_0506, &mut a);
        hasher.component(&a, 0x15000, 0x0028_0102_0304_0506);
        let mut b = [0; PAGE_SIZE];
        b[..10].fill(0xbb);
        cipher.encrypt_component(0x0046_0708_090a_0b0c, &mut b);
        hasher.page(&b, 0x17000, &page_tweak(0x0046_0708_090a_0b0c, 0));
        hasher.finish()
    }

    #[test]
    fn known_digests() {
        let known = known();
        assert_eq!(
            hex::encode(known.page_digest),
            "ed77a1a7bb51dc313f5c0b52b856c07083dc278d099ed2552918666bb1e530a85c7848632121925987a5978d9c2078514b40c3d05cdb366a2eb2ae92d302a035"
        );
        assert_eq!(
            hex::encode(known.address_digest),
            "756233ebe18b8b6660317980c09429e42e0c7baabd12ea019625078c9fd079d0c472fe99c732f595bfc233ef43ce265d49b775a72ea7aed017ac5e1ceeba87c5"
        );
        assert_eq!(
            hex::encode(known.tweak_digest),
            "ea3f641aa515ffeb6dbd0467ec97c32c6e1af9a758660cf47d4e6c9b35fe26fa716001373daca415115464bfbe0578ae2a44ab3397ee47d266389eb0ddc43560"
        );
        assert_eq!(known.page_count, 3);
    }

    #[test]
    fn every_difference_has_its_code() {
        let known = known();
        let mut header = FixedPart::new_zeroed();
        header.page_digest = known.page_digest;
        header.address_digest = known.address_digest;
        header.tweak_digest = known.tweak_digest;
        header.page_count = 3.into();
        assert_eq!(known.check(&header), Ok(()));
        let code = |measurement: &Measurement| measurement.check(&header).unwrap_err().uv_code();
        assert_eq!(code(&Measurement { page_count: 4, ..known }), (0x102, 0x1d));
        assert_eq!(code(&Measurement { tweak_digest: [0; 64], page_count: 4, ..known }), (0x102, 0x1c));
        assert_eq!(code(&Measurement { page_digest: [0; 64], tweak_digest: [0; 64], ..known }), (0x102, 0x1b));
        assert_eq!(code(&Measurement { address_digest: [0; 64], page_digest: [0; 64], ..known }), (0x102, 0x1a));
    }
}
