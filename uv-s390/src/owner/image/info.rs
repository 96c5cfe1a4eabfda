//! Everything that there is to tell about a header, as text.
//!
//! Source: s390-formats §5; the names are those of the image tool's JSON output.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use zeroize::Zeroizing;

use crate::abi::se_header::{ConfidentialArea, HeaderVersion, SeHeader};

/// One key slot; all values are lower-case hex.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySlotInfo {
    /// Hash of the host key.
    pub phkh_hex: String,
    /// Wrapped header key.
    pub wrpk_hex: String,
    /// Tag of the slot.
    pub kst_hex: String,
}

/// The decrypted part; all values are lower-case hex, keys in wiped memory.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretInfo {
    /// Customer communication key.
    pub cck_hex: Zeroizing<String>,
    /// Image key.
    pub xts_hex: Zeroizing<String>,
    /// PSW mask, 16 digits.
    pub psw_mask_hex: String,
    /// PSW address, 16 digits.
    pub psw_addr_hex: String,
    /// Secret control flags, 16 digits.
    pub scf_hex: String,
}

impl SecretInfo {
    /// The decrypted part as text.
    #[must_use]
    pub fn new(area: &ConfidentialArea) -> Self {
        Self {
            cck_hex: Zeroizing::new(hex::encode(area.cck)),
            xts_hex: Zeroizing::new(hex::encode(area.image_key)),
            psw_mask_hex: word(area.psw.mask.get()),
            psw_addr_hex: word(area.psw.address.get()),
            scf_hex: word(area.scf().bits()),
        }
    }
}

impl fmt::Debug for SecretInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretInfo(..)")
    }
}

/// A header as text. Names with `_hex` are lower-case hex without prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderInfo {
    /// Whether the tag was checked with the header key.
    pub verified: bool,
    /// Magic.
    pub magic_hex: String,
    /// `V1`.
    pub version: String,
    /// Bytes of the header.
    pub sehs: u32,
    /// Initialization vector.
    pub iv_hex: String,
    /// Number of key slots.
    pub nks: u64,
    /// Bytes of the encrypted area.
    pub sea: u64,
    /// Number of component pages.
    pub nep: u64,
    /// Plaintext control flags, 16 digits.
    pub pcf_hex: String,
    /// Coordinates of the customer public key.
    pub coord_hex: String,
    /// Page digest.
    pub pld_hex: String,
    /// Address digest.
    pub ald_hex: String,
    /// Tweak digest.
    pub tld_hex: String,
    /// Key slots.
    pub keyslots: Vec<KeySlotInfo>,
    /// Encrypted area as stored.
    pub cipher_data: Vec<u8>,
    /// The decrypted part, when it was opened.
    pub secret: Option<SecretInfo>,
    /// Tag.
    pub tag_hex: String,
}

impl HeaderInfo {
    /// Tells about `header`. `opened` is its decrypted part, when the caller could open it: only then
    /// the result counts as verified.
    #[must_use]
    pub fn new(header: &SeHeader, opened: Option<&ConfidentialArea>) -> Self {
        let fixed = header.fixed();
        Self {
            verified: opened.is_some(),
            magic_hex: hex::encode(fixed.magic),
            version: match fixed.version() {
                HeaderVersion::V1 => String::from("V1"),
                other => alloc::format!("{:#x}", other.0),
            },
            sehs: fixed.size.get(),
            iv_hex: hex::encode(fixed.iv),
            nks: fixed.slot_count.get(),
            sea: fixed.encrypted_size.get(),
            nep: fixed.page_count.get(),
            pcf_hex: word(fixed.plaintext_flags.get()),
            coord_hex: hex::encode(fixed.customer_key),
            pld_hex: hex::encode(fixed.page_digest),
            ald_hex: hex::encode(fixed.address_digest),
            tld_hex: hex::encode(fixed.tweak_digest),
            keyslots: header
                .slots()
                .map(|slot| KeySlotInfo {
                    phkh_hex: hex::encode(slot.phkh.0),
                    wrpk_hex: hex::encode(slot.wrapped_key),
                    kst_hex: hex::encode(slot.tag),
                })
                .collect(),
            cipher_data: header.encrypted_area().to_vec(),
            secret: opened.map(SecretInfo::new),
            tag_hex: hex::encode(header.tag()),
        }
    }

    /// `decrypted_se_hdr` with the decrypted part, else `se_hdr`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        if self.secret.is_some() { "decrypted_se_hdr" } else { "se_hdr" }
    }
}

/// A 64-bit word in 16 hex digits.
fn word(value: u64) -> String {
    hex::encode(value.to_be_bytes())
}
