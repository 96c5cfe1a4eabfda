//! The cipher of component pages.

use core::fmt;

use aes::Aes256;
use aes::cipher::KeyInit;
use xts_mode::Xts128;

use super::component::{PAGE_SIZE, PAGE_STEP, page_tweak};

/// AES-256-XTS over the pages of components: one data unit of 4096 bytes per page, the tweak taken as
/// it is (s390-formats §1, §3). Keeps the expanded keys, which are wiped when it is dropped.
pub struct PageCipher(Xts128<Aes256>);

impl PageCipher {
    /// Expands a 64-byte image key: data key, then tweak key.
    #[must_use]
    pub fn new(image_key: &[u8; 64]) -> Self {
        let (data, tweak) = image_key.split_at(32);
        let schedule = |key: &[u8]| Aes256::new_from_slice(key).expect("half of 64 bytes is an AES-256 key");
        Self(Xts128::new(schedule(data), schedule(tweak)))
    }

    /// Encrypts the whole pages of a component in place; page i has the tweak
    /// [`page_tweak`]`(prefix, 4096·i)`. Bytes behind the last whole page stay as they are.
    pub fn encrypt_component(&self, prefix: u64, pages: &mut [u8]) {
        each_page(prefix, pages, |page, tweak| self.0.encrypt_sector(page, tweak.into()));
    }

    /// Decrypts the whole pages of a component in place, as
    /// [`encrypt_component`](Self::encrypt_component) encrypts them.
    pub fn decrypt_component(&self, prefix: u64, pages: &mut [u8]) {
        each_page(prefix, pages, |page, tweak| self.0.decrypt_sector(page, tweak.into()));
    }
}

fn each_page(prefix: u64, pages: &mut [u8], mut apply: impl FnMut(&mut [u8], [u8; 16])) {
    let mut offset = 0u64;
    for page in pages.as_chunks_mut::<PAGE_SIZE>().0 {
        apply(page, page_tweak(prefix, offset));
        offset = offset.wrapping_add(PAGE_STEP);
    }
}

impl fmt::Debug for PageCipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PageCipher(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::vectors;
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
