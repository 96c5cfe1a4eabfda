//! OpenSSL's page ciphers: key and context set up once, tweak or nonce for each page.

use openssl::cipher::Cipher;
use openssl::cipher_ctx::CipherCtx;
use openssl::error::ErrorStack;

/// Which way pages go.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Seal,
    Open,
}

/// AES-256-XTS.
pub(crate) struct Xts {
    context: CipherCtx,
    way: Way,
}

impl Xts {
    pub(crate) fn new(way: Way, key: &[u8; 64]) -> Result<Self, ErrorStack> {
        let mut context = CipherCtx::new()?;
        start(&mut context, way, Some(&Cipher::fetch(None, "AES-256-XTS", None)?), Some(key), None)?;
        Ok(Self { context, way })
    }

    pub(crate) fn page(&mut self, tweak: &[u8; 16], src: &[u8], dst: &mut [u8]) -> Result<(), ErrorStack> {
        start(&mut self.context, self.way, None, None, Some(tweak))?;
        self.context.cipher_update(src, Some(dst))?;
        Ok(())
    }

    pub(crate) fn page_in_place(&mut self, tweak: &[u8; 16], page: &mut [u8]) -> Result<(), ErrorStack> {
        start(&mut self.context, self.way, None, None, Some(tweak))?;
        let bytes = page.len();
        self.context.cipher_update_inplace(page, bytes)?;
        Ok(())
    }
}

/// AES-256-CCM with a nonce of 12 bytes and a tag of 16.
pub(crate) struct Ccm {
    context: CipherCtx,
    way: Way,
}

impl Ccm {
    pub(crate) fn new(way: Way, key: &[u8; 32]) -> Result<Self, ErrorStack> {
        let mut context = CipherCtx::new()?;
        start(&mut context, way, Some(&Cipher::fetch(None, "AES-256-CCM", None)?), None, None)?;
        context.set_iv_length(12)?;
        context.set_tag_length(16)?;
        start(&mut context, way, None, Some(key), None)?;
        Ok(Self { context, way })
    }

    /// Seals and writes `tag`, or opens and fails where `tag` does not match.
    pub(crate) fn page(
        &mut self,
        nonce: &[u8; 12],
        aad: &[u8],
        src: &[u8],
        dst: &mut [u8],
        tag: &mut [u8; 16],
    ) -> Result<(), ErrorStack> {
        if self.way == Way::Open {
            self.context.set_tag(tag)?;
        }
        start(&mut self.context, self.way, None, None, Some(nonce))?;
        self.context.set_data_len(src.len())?;
        self.context.cipher_update(aad, None)?;
        self.context.cipher_update(src, Some(dst))?;
        if self.way == Way::Seal {
            self.context.tag(tag)?;
        }
        Ok(())
    }
}

fn start(
    context: &mut CipherCtx,
    way: Way,
    cipher: Option<&Cipher>,
    key: Option<&[u8]>,
    iv: Option<&[u8]>,
) -> Result<(), ErrorStack> {
    let cipher = cipher.map(std::ops::Deref::deref);
    match way {
        Way::Seal => context.encrypt_init(cipher, key, iv),
        Way::Open => context.decrypt_init(cipher, key, iv),
    }
}
