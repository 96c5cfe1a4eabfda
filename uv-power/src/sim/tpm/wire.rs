//! Commands and responses of TPM 2.0 as bytes, as far as they are used here (TPM 2.0 Library, Parts 2 and 3). Everything is big endian.
//!
//! | command | layout |
//! |---|---|
//! | | u16 tag, u32 length of all, u32 command code, u32 per handle |
//! | tag 0x8002 | u32 length of the authorisation, then {u32 session, sized nonce, u8 attributes, sized HMAC} |
//! | | parameters |
//!
//! | response | layout |
//! |---|---|
//! | | u16 tag, u32 length of all, u32 response code; nothing more if that is not 0 |
//! | | u32 handle, for `TPM2_StartAuthSession` |
//! | tag 0x8002 | u32 length of the parameters |
//! | | parameters |
//! | tag 0x8002 | {sized nonce, u8 attributes, sized HMAC} |

use alloc::vec::Vec;

use num_enum::{IntoPrimitive, TryFromPrimitive};

/// Tag of a command or response without sessions (`TPM_ST_NO_SESSIONS`).
pub(crate) const NO_SESSIONS: u16 = 0x8001;
/// Tag of a command or response with sessions (`TPM_ST_SESSIONS`).
pub(crate) const SESSIONS: u16 = 0x8002;
/// Bytes of the header of both.
pub(crate) const HEADER: usize = 10;

/// `TPM_RH_NULL`: no handle.
pub(crate) const RH_NULL: u32 = 0x4000_0007;
/// `TPM_SE_POLICY`: a policy session.
pub(crate) const SE_POLICY: u8 = 1;
pub(crate) const ALG_RSA: u16 = 0x0001;
pub(crate) const ALG_AES: u16 = 0x0006;
pub(crate) const ALG_SHA256: u16 = 0x000b;
pub(crate) const ALG_NULL: u16 = 0x0010;
pub(crate) const ALG_OAEP: u16 = 0x0017;
pub(crate) const ALG_CFB: u16 = 0x0043;
/// Bits of the AES key of a session.
pub(crate) const AES_BITS: u16 = 128;

/// Session attribute `continueSession`.
pub(crate) const CONTINUE: u8 = 1;
/// Session attribute `encrypt`: the first parameter of the response is encrypted.
pub(crate) const ENCRYPT: u8 = 1 << 6;

/// Command codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoPrimitive, TryFromPrimitive)]
#[repr(u32)]
pub(crate) enum Command {
    RsaDecrypt = 0x159,
    FlushContext = 0x165,
    PolicyAuthValue = 0x16b,
    PolicyCommandCode = 0x16c,
    PolicyOr = 0x171,
    ReadPublic = 0x173,
    StartAuthSession = 0x176,
}

impl Command {
    /// Its name in the specification.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::RsaDecrypt => "TPM2_RSA_Decrypt",
            Self::FlushContext => "TPM2_FlushContext",
            Self::PolicyAuthValue => "TPM2_PolicyAuthValue",
            Self::PolicyCommandCode => "TPM2_PolicyCommandCode",
            Self::PolicyOr => "TPM2_PolicyOR",
            Self::ReadPublic => "TPM2_ReadPublic",
            Self::StartAuthSession => "TPM2_StartAuthSession",
        }
    }

    pub(crate) fn code(self) -> [u8; 4] {
        u32::from(self).to_be_bytes()
    }
}

/// Response codes (`TPM_RC_*`). What a parameter, a handle or a session is blamed for carries its number.
pub(crate) mod rc {
    pub(crate) const SUCCESS: u32 = 0;
    pub(crate) const BAD_TAG: u32 = 0x01e;
    pub(crate) const COMMAND_SIZE: u32 = 0x142;
    pub(crate) const COMMAND_CODE: u32 = 0x143;
    pub(crate) const AUTH_MISSING: u32 = 0x125;
    pub(crate) const AUTHSIZE: u32 = 0x144;
    pub(crate) const AUTH_CONTEXT: u32 = 0x145;
    pub(crate) const SESSION_HANDLES: u32 = 0x905;
    pub(crate) const VALUE: u32 = 0x084;
    pub(crate) const HANDLE: u32 = 0x08b;
    pub(crate) const SIZE: u32 = 0x095;
    pub(crate) const SYMMETRIC: u32 = 0x096;
    pub(crate) const SCHEME: u32 = 0x092;
    pub(crate) const INSUFFICIENT: u32 = 0x09a;
    pub(crate) const POLICY_FAIL: u32 = 0x09d;
    pub(crate) const BAD_AUTH: u32 = 0x0a2;
    /// The first handle.
    pub(crate) const HANDLE_1: u32 = 1 << 8;
    /// The first session.
    pub(crate) const SESSION_1: u32 = 9 << 8;
    /// The first parameter.
    pub(crate) const PARAMETER_1: u32 = 1 << 8 | 1 << 6;
    /// The second parameter.
    pub(crate) const PARAMETER_2: u32 = 2 << 8 | 1 << 6;
    /// The fourth parameter.
    pub(crate) const PARAMETER_4: u32 = 4 << 8 | 1 << 6;
}

/// Bytes being put together.
#[derive(Default)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub(crate) fn u8(mut self, value: u8) -> Self {
        self.0.push(value);
        self
    }

    pub(crate) fn u16(self, value: u16) -> Self {
        self.bytes(&value.to_be_bytes())
    }

    pub(crate) fn u32(self, value: u32) -> Self {
        self.bytes(&value.to_be_bytes())
    }

    pub(crate) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// A `TPM2B`: length in 16 bits, then the bytes. What is longer is cut: nothing here is.
    pub(crate) fn sized(self, bytes: &[u8]) -> Self {
        let len = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
        self.u16(len).bytes(bytes.get(..len.into()).unwrap_or(bytes))
    }

    pub(crate) fn done(self) -> Vec<u8> {
        self.0
    }
}

/// Bytes being taken apart.
#[derive(Clone)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.bytes(1).and_then(|bytes| bytes.first().copied())
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.bytes(2)?.try_into().ok().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.bytes(4)?.try_into().ok().map(u32::from_be_bytes)
    }

    /// A `TPM2B`.
    pub(crate) fn sized(&mut self) -> Option<&'a [u8]> {
        let len = self.u16()?;
        self.bytes(len.into())
    }

    /// Whether all was taken.
    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A header and what follows it: `code` is that of the command or of the response.
pub(crate) fn packet(tag: u16, code: u32, rest: &[u8]) -> Vec<u8> {
    let len = u32::try_from(HEADER + rest.len()).unwrap_or(u32::MAX);
    Writer::default().u16(tag).u32(len).u32(code).bytes(rest).done()
}

/// Tag, code and the rest of a packet; `None` when it is not as long as it says.
pub(crate) fn unpacked(packet: &[u8]) -> Option<(u16, u32, Reader<'_>)> {
    let mut reader = Reader(packet);
    let (tag, len, code) = (reader.u16()?, reader.u32()?, reader.u32()?);
    (usize::try_from(len) == Ok(packet.len())).then_some((tag, code, reader))
}
