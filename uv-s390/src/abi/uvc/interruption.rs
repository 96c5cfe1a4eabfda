//! Program interruptions, as values.

use core::fmt;

/// Program interruption code. Open: any 16-bit value may come from a machine.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PgmCode(pub u16);

impl PgmCode {
    /// Operation exception.
    pub const OPERATION: Self = Self(0x01);
    /// Privileged operation in problem state.
    pub const PRIVILEGED_OPERATION: Self = Self(0x02);
    /// Protection exception.
    pub const PROTECTION: Self = Self(0x04);
    /// Addressing: there is no storage at the address.
    pub const ADDRESSING: Self = Self(0x05);
    /// Specification exception: a malformed operand.
    pub const SPECIFICATION: Self = Self(0x06);
    /// Page translation: the address is not mapped.
    pub const PAGE_TRANSLATION: Self = Self(0x11);
    /// Operand exception.
    pub const OPERAND: Self = Self(0x15);
    /// Secure page size: a protected guest reached a large host frame that is not verified.
    pub const SECURE_PAGE_SIZE: Self = Self(0x3c);
    /// Secure storage access: the host reached for a secure page or for storage donated to the Ultravisor.
    pub const SECURE_STORAGE_ACCESS: Self = Self(0x3d);
    /// Non-secure storage access: a protected guest needs a page that is not secure.
    pub const NON_SECURE_STORAGE_ACCESS: Self = Self(0x3e);
    /// Secure storage violation: a protected guest reached a frame that belongs elsewhere.
    pub const SECURE_STORAGE_VIOLATION: Self = Self(0x3f);

    /// The name of the condition, where it is one that matters here.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::OPERATION => "operation",
            Self::PRIVILEGED_OPERATION => "privileged operation",
            Self::PROTECTION => "protection",
            Self::ADDRESSING => "addressing",
            Self::SPECIFICATION => "specification",
            Self::PAGE_TRANSLATION => "page translation",
            Self::OPERAND => "operand",
            Self::SECURE_PAGE_SIZE => "secure page size",
            Self::SECURE_STORAGE_ACCESS => "secure storage access",
            Self::NON_SECURE_STORAGE_ACCESS => "non-secure storage access",
            Self::SECURE_STORAGE_VIOLATION => "secure storage violation",
            _ => return None,
        })
    }
}

impl fmt::Debug for PgmCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PgmCode({:#04x})", self.0)
    }
}

impl fmt::Display for PgmCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{:#04x} ({name})", self.0),
            None => write!(f, "{:#04x}", self.0),
        }
    }
}

/// Translation-exception identification: which address, seen through which address space.
///
/// Bits 0–51 are the page part of the address. Bit 61 says that the address is reliable (with UV feature "misc",
/// s390-ultravisor §1.6). Bits 62–63 name the address space: 0 primary (the guest's, under SIE), 3 home (the host's).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Teid(pub u64);

impl Teid {
    /// Address-space identification of the primary space.
    pub const PRIMARY: u64 = 0;
    /// Address-space identification of the home space.
    pub const HOME: u64 = 3;

    const RELIABLE: u64 = 1 << (63 - 61);
    const SPACE: u64 = 3;

    /// A TEID for the page that holds `address`; `reliable` sets bit 61; `space` is cut to two bits.
    #[must_use]
    pub const fn new(address: u64, reliable: bool, space: u64) -> Self {
        let flag = if reliable { Self::RELIABLE } else { 0 };
        Self(address & !0xfff | flag | space & Self::SPACE)
    }

    /// Address of the first byte of the page.
    #[must_use]
    pub const fn page(self) -> u64 {
        self.0 & !0xfff
    }

    /// Whether bit 61 says that the address is reliable.
    #[must_use]
    pub const fn is_reliable(self) -> bool {
        self.0 & Self::RELIABLE != 0
    }

    /// Address-space identification, 0 to 3.
    #[must_use]
    pub const fn space(self) -> u64 {
        self.0 & Self::SPACE
    }
}

impl fmt::Debug for Teid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Teid({:#018x})", self.0)
    }
}

/// A program interruption: the code and, for an access exception, what it was about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("program interruption {code}")]
pub struct ProgramInterruption {
    /// The code.
    pub code: PgmCode,
    /// The translation-exception identification; `None` for codes without one.
    pub teid: Option<Teid>,
}

impl ProgramInterruption {
    /// An interruption without an address.
    #[must_use]
    pub const fn new(code: PgmCode) -> Self {
        Self { code, teid: None }
    }

    /// An access exception.
    #[must_use]
    pub const fn access(code: PgmCode, teid: Teid) -> Self {
        Self { code, teid: Some(teid) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn teid_keeps_its_parts() {
        let teid = Teid::new(0x1234_5678, true, Teid::HOME);
        assert_eq!(teid.0, 0x1234_5007);
        assert_eq!((teid.page(), teid.is_reliable(), teid.space()), (0x1234_5000, true, 3));
        assert!(!Teid::new(0x1000, false, 0).is_reliable());
    }

    #[test]
    fn unknown_codes_survive() {
        assert_eq!(ProgramInterruption::new(PgmCode(0x1234)).to_string(), "program interruption 0x1234");
        assert_eq!(PgmCode::SECURE_STORAGE_ACCESS.to_string(), "0x3d (secure storage access)");
    }
}
