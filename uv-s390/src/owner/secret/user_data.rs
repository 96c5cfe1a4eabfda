//! Kinds of the 512 bytes of user data (s390-formats §9.4).

/// Bytes of the user data area of a request.
pub const USER_DATA_SIZE: usize = 512;
/// Kind of the user data; unknown kinds survive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct UserDataKind(pub u16);

impl UserDataKind {
    /// No user data.
    pub const NONE: Self = Self(0);
    /// Up to 512 bytes, not signed.
    pub const UNSIGNED: Self = Self(1);
    /// Up to 256 bytes, signed with ECDSA on P-521.
    pub const SIGNED_EC_P521: Self = Self(2);
    /// Up to 256 bytes, signed with RSA-2048 (PSS).
    pub const SIGNED_RSA_2048: Self = Self(3);
    /// Up to 128 bytes, signed with RSA-3072 (PSS).
    pub const SIGNED_RSA_3072: Self = Self(4);

    /// Most bytes of data in this kind; `None` for kinds unknown.
    #[must_use]
    pub const fn max_data(self) -> Option<usize> {
        Some(match self {
            Self::NONE => 0,
            Self::UNSIGNED => USER_DATA_SIZE,
            Self::SIGNED_EC_P521 | Self::SIGNED_RSA_2048 => 256,
            Self::SIGNED_RSA_3072 => 128,
            _ => return None,
        })
    }

    /// Is the data signed?
    #[must_use]
    pub const fn is_signed(self) -> bool {
        matches!(self, Self::SIGNED_EC_P521 | Self::SIGNED_RSA_2048 | Self::SIGNED_RSA_3072)
    }
}
