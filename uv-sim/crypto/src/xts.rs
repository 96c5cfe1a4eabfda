//! AES-256-XTS (IEEE 1619, NIST SP 800-38E): one page is one data unit.
//!
//! The caller gives the 16-byte tweak of each page as it enters the cipher (no byte order is implied here). Page
//! lengths are multiples of 16 bytes, so ciphertext stealing never happens.
//!
//! XTS hides but does not authenticate: whoever opens a page must check its digest first
//! (`uv_sim::seal` does).

mod pass;
#[cfg(test)]
mod tests;
mod tweaks;

use core::{array, fmt, mem, slice};

use aes::{Aes256, Aes256Enc};
use cipher::array::Array;
use cipher::inout::InOutBuf;
use cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use rand_core::CryptoRng;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::block::{Block, wipe};
use super::error::{check_batch, check_count, check_page};
use super::{BATCH, CryptoError};
use pass::Pass;
use uv_kernels::Direction;
use uv_kernels::Unit;

/// Longest data unit in bytes: 2^20 blocks (SP 800-38E), that is 16 MiB.
const UNIT_LIMIT: usize = 16 << 20;

/// An AES-256-XTS key with its expanded schedules.
///
/// Key bytes and schedules are wiped on drop; `Debug` shows nothing.
///
/// ```
/// use uv_crypto::XtsKey;
///
/// let key = XtsKey::new(&core::array::from_fn(|i| i as u8));
/// let page = [0x5a_u8; 4096];
/// let mut sealed = [0_u8; 4096];
/// let mut opened = [0_u8; 4096];
/// key.encrypt_page([7; 16], &page, &mut sealed)?;
/// key.decrypt_page([7; 16], &sealed, &mut opened)?;
/// assert_ne!(page, sealed);
/// assert_eq!(page, opened);
/// # Ok::<(), uv_crypto::CryptoError>(())
/// ```
pub struct XtsKey {
    bytes: Zeroizing<[u8; XtsKey::BYTES]>,
    data: Aes256,
    tweak: Aes256Enc,
    /// Takes the place of `data` where processor and page length allow it.
    kernel: Option<uv_kernels::Xts>,
}

impl ZeroizeOnDrop for XtsKey {}

impl fmt::Debug for XtsKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("XtsKey(..)")
    }
}

impl XtsKey {
    /// Bytes of the whole key: 32 of the data key, then 32 of the tweak key.
    pub const BYTES: usize = 64;

    /// Expands `key`: bytes 0..32 cipher the data, bytes 32..64 cipher the tweak.
    #[must_use]
    pub fn new(key: &[u8; Self::BYTES]) -> Self {
        let (data, _) = Array::<u8, cipher::consts::U64>::cast_from_core(key).split_ref::<cipher::consts::U32>();
        Self { kernel: uv_kernels::Xts::new(&data.0), ..Self::without_kernel(key) }
    }

    /// The same over `aes` alone: what processors without the kernel's units have.
    fn without_kernel(key: &[u8; Self::BYTES]) -> Self {
        let (data, tweak) = Array::<u8, cipher::consts::U64>::cast_from_core(key).split_ref::<cipher::consts::U32>();
        Self { bytes: Zeroizing::new(*key), data: Aes256::new(data), tweak: Aes256Enc::new(tweak), kernel: None }
    }

    /// Draws a fresh key.
    #[must_use]
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut key = Zeroizing::new([0; Self::BYTES]);
        rng.fill_bytes(key.as_mut());
        Self::new(&key)
    }

    /// The raw key. Ultravisor only: whoever holds it reads every page sealed with it.
    #[must_use]
    pub fn expose_key(&self) -> &[u8; Self::BYTES] {
        &self.bytes
    }

    /// Encrypts one page from `src` into `dst`.
    ///
    /// # Errors
    /// [`CryptoError::PageLength`] or [`CryptoError::LengthMismatch`]; `dst` is untouched then.
    pub fn encrypt_page(&self, tweak: [u8; 16], src: &[u8], dst: &mut [u8]) -> Result<(), CryptoError> {
        check_page(src.len(), UNIT_LIMIT)?;
        self.page(Direction::Seal, tweak, copying(src, dst)?);
        Ok(())
    }

    /// Decrypts one page from `src` into `dst`.
    ///
    /// # Errors
    /// [`CryptoError::PageLength`] or [`CryptoError::LengthMismatch`]; `dst` is untouched then.
    pub fn decrypt_page(&self, tweak: [u8; 16], src: &[u8], dst: &mut [u8]) -> Result<(), CryptoError> {
        check_page(src.len(), UNIT_LIMIT)?;
        self.page(Direction::Open, tweak, copying(src, dst)?);
        Ok(())
    }

    /// Encrypts one page in place.
    ///
    /// # Errors
    /// [`CryptoError::PageLength`]; the page is untouched then.
    pub fn encrypt_page_in_place(&self, tweak: [u8; 16], page: &mut [u8]) -> Result<(), CryptoError> {
        check_page(page.len(), UNIT_LIMIT)?;
        self.page(Direction::Seal, tweak, page.into());
        Ok(())
    }

    /// Decrypts one page in place.
    ///
    /// # Errors
    /// [`CryptoError::PageLength`]; the page is untouched then.
    pub fn decrypt_page_in_place(&self, tweak: [u8; 16], page: &mut [u8]) -> Result<(), CryptoError> {
        check_page(page.len(), UNIT_LIMIT)?;
        self.page(Direction::Open, tweak, page.into());
        Ok(())
    }

    /// Encrypts consecutive pages of `page_bytes` each; `tweak` gives the tweak of page 0, 1, 2, ...
    ///
    /// # Errors
    /// [`CryptoError::PageLength`] if `page_bytes` is no page length or `src` is no whole number of pages;
    /// [`CryptoError::LengthMismatch`] if `dst` differs in length. Nothing is written then.
    pub fn encrypt_range(
        &self,
        page_bytes: usize,
        tweak: impl FnMut(u64) -> [u8; 16],
        src: &[u8],
        dst: &mut [u8],
    ) -> Result<(), CryptoError> {
        check_range(page_bytes, src.len())?;
        self.pages(Direction::Seal, page_bytes, tweak, copying(src, dst)?);
        Ok(())
    }

    /// Decrypts consecutive pages of `page_bytes` each; `tweak` gives the tweak of page 0, 1, 2, ...
    ///
    /// # Errors
    /// As [`encrypt_range`](Self::encrypt_range).
    pub fn decrypt_range(
        &self,
        page_bytes: usize,
        tweak: impl FnMut(u64) -> [u8; 16],
        src: &[u8],
        dst: &mut [u8],
    ) -> Result<(), CryptoError> {
        check_range(page_bytes, src.len())?;
        self.pages(Direction::Open, page_bytes, tweak, copying(src, dst)?);
        Ok(())
    }

    /// Encrypts consecutive pages of `page_bytes` each in place.
    ///
    /// # Errors
    /// [`CryptoError::PageLength`] as in [`encrypt_range`](Self::encrypt_range).
    pub fn encrypt_range_in_place(
        &self,
        page_bytes: usize,
        tweak: impl FnMut(u64) -> [u8; 16],
        pages: &mut [u8],
    ) -> Result<(), CryptoError> {
        check_range(page_bytes, pages.len())?;
        self.pages(Direction::Seal, page_bytes, tweak, pages.into());
        Ok(())
    }

    /// Decrypts consecutive pages of `page_bytes` each in place.
    ///
    /// # Errors
    /// [`CryptoError::PageLength`] as in [`encrypt_range`](Self::encrypt_range).
    pub fn decrypt_range_in_place(
        &self,
        page_bytes: usize,
        tweak: impl FnMut(u64) -> [u8; 16],
        pages: &mut [u8],
    ) -> Result<(), CryptoError> {
        check_range(page_bytes, pages.len())?;
        self.pages(Direction::Open, page_bytes, tweak, pages.into());
        Ok(())
    }
}

/// Page lists of separately held frames, and the steps all forms share.
impl XtsKey {
    /// Encrypts up to [`BATCH`] pages lying anywhere; `tweaks` holds one tweak for each page.
    ///
    /// # Errors
    /// [`CryptoError::TooManyPages`], [`CryptoError::CountMismatch`], [`CryptoError::LengthMismatch`] or
    /// [`CryptoError::PageLength`]; nothing is written then.
    pub fn encrypt_pages(&self, tweaks: &[[u8; 16]], src: &[&[u8]], dst: &mut [&mut [u8]]) -> Result<(), CryptoError> {
        self.scattered(Direction::Seal, tweaks, src, dst)
    }

    /// Decrypts up to [`BATCH`] pages lying anywhere; `tweaks` holds one tweak for each page.
    ///
    /// # Errors
    /// As [`encrypt_pages`](Self::encrypt_pages).
    pub fn decrypt_pages(&self, tweaks: &[[u8; 16]], src: &[&[u8]], dst: &mut [&mut [u8]]) -> Result<(), CryptoError> {
        self.scattered(Direction::Open, tweaks, src, dst)
    }

    fn scattered(
        &self,
        direction: Direction,
        tweaks: &[[u8; 16]],
        src: &[&[u8]],
        dst: &mut [&mut [u8]],
    ) -> Result<(), CryptoError> {
        check_batch(src, dst, UNIT_LIMIT)?;
        check_count(src.len(), tweaks.len())?;
        let mut ciphered = [Block::default(); BATCH];
        for (to, from) in ciphered.iter_mut().zip(tweaks) {
            *to = Array(*from);
        }
        // The lengths are checked: no page is left out.
        let mut pages = src.iter().zip(dst).map_while(|(from, to)| InOutBuf::new(from, to).ok());
        self.batch(direction, &mut ciphered[..tweaks.len()], || pages.next().unwrap_or_else(nothing));
        Ok(())
    }

    /// Cuts a contiguous range into pages and ciphers [`BATCH`] pages at a time.
    fn pages(
        &self,
        direction: Direction,
        page_bytes: usize,
        mut tweak: impl FnMut(u64) -> [u8; 16],
        mut range: InOutBuf<'_, '_, u8>,
    ) {
        let mut tweaks = [Block::default(); BATCH];
        let mut index = 0_u64;
        while !range.is_empty() {
            let count = (range.len() / page_bytes).min(BATCH);
            for to in &mut tweaks[..count] {
                *to = Array(tweak(index));
                index += 1;
            }
            let (batch, rest) = range.split_at(count * page_bytes);
            self.consecutive(direction, page_bytes, &mut tweaks[..count], batch);
            range = rest;
        }
    }

    /// One page; its tweak is ciphered first.
    #[inline(never)]
    fn page(&self, direction: Direction, tweak: [u8; 16], page: InOutBuf<'_, '_, u8>) {
        let mut tweak = Array(tweak);
        self.tweak.encrypt_block(&mut tweak);
        let mut units = [Unit { tweak: tweak.0, bytes: page }];
        self.run(direction, &mut units);
        wipe_tweaks(&mut units);
        wipe(slice::from_mut(&mut tweak));
    }

    /// One batch of a contiguous range.
    #[inline(never)]
    fn consecutive(
        &self,
        direction: Direction,
        page_bytes: usize,
        tweaks: &mut [Block],
        mut batch: InOutBuf<'_, '_, u8>,
    ) {
        self.batch(direction, tweaks, || {
            let (page, rest) = mem::replace(&mut batch, nothing()).split_at(page_bytes);
            batch = rest;
            page
        });
    }

    /// Ciphers the tweaks in their place, then the pages, one for each tweak; wipes the tweaks.
    fn batch<'i, 'o>(
        &self,
        direction: Direction,
        tweaks: &mut [Block],
        mut page: impl FnMut() -> InOutBuf<'i, 'o, u8>,
    ) {
        self.tweak.encrypt_blocks(tweaks);
        let mut units: [Unit<'i, 'o>; BATCH] = array::from_fn(|index| match tweaks.get(index) {
            Some(&tweak) => Unit { tweak: tweak.0, bytes: page() },
            None => Unit { tweak: [0; 16], bytes: nothing() },
        });
        let units = &mut units[..tweaks.len()];
        self.run(direction, units);
        wipe_tweaks(units);
        wipe(tweaks);
    }

    /// All units of a call have one length.
    #[inline(never)]
    fn run(&self, direction: Direction, units: &mut [Unit<'_, '_>]) {
        if let Some(kernel) = &self.kernel
            && units.first().is_some_and(|unit| uv_kernels::takes(unit.bytes.len()))
        {
            return kernel.run(direction, units);
        }
        match direction {
            Direction::Seal => self.data.encrypt_with_backend(Pass(units)),
            Direction::Open => self.data.decrypt_with_backend(Pass(units)),
        }
    }
}

/// No bytes.
fn nothing<'i, 'o>() -> InOutBuf<'i, 'o, u8> {
    InOutBuf::from(<&mut [u8]>::default())
}

/// Source and destination of one call as one buffer pair.
fn copying<'i, 'o>(src: &'i [u8], dst: &'o mut [u8]) -> Result<InOutBuf<'i, 'o, u8>, CryptoError> {
    let (expected, found) = (src.len(), dst.len());
    InOutBuf::new(src, dst).map_err(|_| CryptoError::LengthMismatch { expected, found })
}

fn wipe_tweaks(units: &mut [Unit<'_, '_>]) {
    for unit in units {
        unit.tweak.zeroize();
    }
}

/// Checks that a range is a whole number of pages of a valid length.
fn check_range(page_bytes: usize, range_bytes: usize) -> Result<(), CryptoError> {
    check_page(page_bytes, UNIT_LIMIT)?;
    if range_bytes.is_multiple_of(page_bytes) { Ok(()) } else { Err(CryptoError::PageLength(range_bytes)) }
}
