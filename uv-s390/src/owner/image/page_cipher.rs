//! The cipher of component pages.

use uv_crypto::XtsKey;

use super::component::{PAGE_SIZE, PAGE_STEP, page_tweak};

/// AES-256-XTS over the pages of components: one data unit of 4096 bytes per page, the tweak taken as
/// it is (s390-formats §1, §3). Keeps the expanded keys, which are wiped when it is dropped.
#[derive(Debug)]
pub struct PageCipher(XtsKey);

impl PageCipher {
    /// Expands a 64-byte image key: data key, then tweak key.
    #[must_use]
    pub fn new(image_key: &[u8; 64]) -> Self {
        Self(XtsKey::new(image_key))
    }

    /// The expanded key, for pages that are moved and ciphered in one pass. The tweak of a page is
    /// [`page_tweak`].
    #[must_use]
    pub fn key(&self) -> &XtsKey {
        &self.0
    }

    /// Encrypts the whole pages of a component in place; page i has the tweak
    /// [`page_tweak`]`(prefix, 4096·i)`. Bytes behind the last whole page stay as they are.
    pub fn encrypt_component(&self, prefix: u64, pages: &mut [u8]) {
        self.0
            .encrypt_range_in_place(PAGE_SIZE, tweaks(prefix), whole_pages(pages))
            .expect("any number of 4096-byte pages is a valid range");
    }

    /// Decrypts the whole pages of a component in place, as
    /// [`encrypt_component`](Self::encrypt_component) encrypts them.
    pub fn decrypt_component(&self, prefix: u64, pages: &mut [u8]) {
        self.0
            .decrypt_range_in_place(PAGE_SIZE, tweaks(prefix), whole_pages(pages))
            .expect("any number of 4096-byte pages is a valid range");
    }
}

fn tweaks(prefix: u64) -> impl FnMut(u64) -> [u8; 16] {
    move |page| page_tweak(prefix, page.wrapping_mul(PAGE_STEP))
}

fn whole_pages(pages: &mut [u8]) -> &mut [u8] {
    pages.as_chunks_mut::<PAGE_SIZE>().0.as_flattened_mut()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::owner::crypto::vectors;
    use alloc::vec;

    #[test]
    fn known_pages() {
        let cipher = PageCipher::new(&vectors::seq(0));
        let mut a = vec![0xaa; 5000];
        a.resize(8192, 0);
        let plain = a.clone();
        cipher.encrypt_component(0x0028_0102_0304_0506, &mut a);
        assert_eq!(hex::encode(&a[..16]), "587661c0aace8f7d2683f40197989c11");
        cipher.decrypt_component(0x0028_0102_0304_0506, &mut a);
        assert_eq!(a, plain);
        let mut b = vec![0xbb; 10];
        b.resize(4096, 0);
        cipher.encrypt_component(0x0046_0708_090a_0b0c, &mut b);
        assert_eq!(hex::encode(&b[..16]), "53bc71f54a0e98237d1e8718073c15ce");
    }
}
