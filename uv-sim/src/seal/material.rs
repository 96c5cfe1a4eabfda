//! Key material of a sealer.

use core::fmt;

use rand_core::CryptoRng;
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::Suite;

/// Key and per-VM nonce part of a suite; wiped on drop, `Debug` names the suite only.
#[derive(Zeroize, ZeroizeOnDrop)]
pub enum SealMaterial {
    /// For [`Suite::Aes256XtsPolyval`].
    Aes256Xts {
        /// Data key, then tweak key.
        key: [u8; 64],
        /// First 8 bytes of the VM's XTS nonce.
        nonce: [u8; 8],
        /// Keys of the tag. They never leave the ultravisor, in a dump neither.
        mac: [u8; 48],
    },
    /// For [`Suite::Aes256Ccm`].
    Aes256Ccm {
        /// The key.
        key: [u8; 32],
        /// Last 4 bytes of every nonce.
        fixed: [u8; 4],
    },
    /// For [`Suite::Aes128Gcm`].
    Aes128Gcm {
        /// The key.
        key: [u8; 16],
        /// First 4 bytes of every IV.
        fixed: [u8; 4],
    },
}

impl fmt::Debug for SealMaterial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealMaterial({:?}, ..)", self.suite())
    }
}

impl SealMaterial {
    /// Draws fresh material for `suite`.
    #[must_use]
    pub fn generate(suite: Suite, rng: &mut impl CryptoRng) -> Self {
        let mut material = match suite {
            Suite::Aes256XtsPolyval => Self::Aes256Xts { key: [0; 64], nonce: [0; 8], mac: [0; 48] },
            Suite::Aes256Ccm => Self::Aes256Ccm { key: [0; 32], fixed: [0; 4] },
            Suite::Aes128Gcm => Self::Aes128Gcm { key: [0; 16], fixed: [0; 4] },
        };
        let (key, part): (&mut [u8], &mut [u8]) = match &mut material {
            Self::Aes256Xts { key, nonce, .. } => (key, nonce),
            Self::Aes256Ccm { key, fixed } => (key, fixed),
            Self::Aes128Gcm { key, fixed } => (key, fixed),
        };
        rng.fill_bytes(key);
        rng.fill_bytes(part);
        if let Self::Aes256Xts { mac, .. } = &mut material {
            rng.fill_bytes(mac);
        }
        material
    }

    /// The suite the material is for.
    #[must_use]
    pub fn suite(&self) -> Suite {
        match self {
            Self::Aes256Xts { .. } => Suite::Aes256XtsPolyval,
            Self::Aes256Ccm { .. } => Suite::Aes256Ccm,
            Self::Aes128Gcm { .. } => Suite::Aes128Gcm,
        }
    }
}
