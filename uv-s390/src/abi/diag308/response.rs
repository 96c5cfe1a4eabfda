//! Response codes of DIAG 308.

use core::fmt;

/// The value that GR r1+1 receives. The response code is in the last 16 bits; the rest is 0, or says why a protected
/// guest could not be started (see [`StartFailure`]).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Response(pub u64);

impl Response {
    /// Done.
    pub const OK: Self = Self(0x0001);
    /// No configuration is stored (subcodes 6 and 9).
    pub const NO_CONFIGURATION: Self = Self(0x0102);
    /// The IPIB is not valid (subcodes 5 and 8).
    pub const INVALID_IPIB: Self = Self(0x0402);
    /// No PV configuration is stored (subcode 10).
    pub const NO_PV_CONFIGURATION: Self = Self(0x0902);
    /// The guest cannot become a protected guest (subcode 10).
    pub const CANNOT_ENTER: Self = Self(0x0a02);

    /// The 16-bit response code alone.
    #[must_use]
    pub const fn code(self) -> Self {
        Self(self.0 & 0xffff)
    }

    /// What a newer QEMU says about a failed start, if this is one. Older ones leave it 0, and so do failures before the
    /// first command that the details are defined for.
    #[must_use]
    pub const fn start_failure(self) -> Option<StartFailure> {
        if self.code().0 != Self::CANNOT_ENTER.0 || self.0 >> 16 == 0 {
            return None;
        }
        let [p0, p1, q0, q1, c0, c1, _, _] = self.0.to_be_bytes();
        Some(StartFailure {
            command: u16::from_be_bytes([p0, p1]),
            rrc: u16::from_be_bytes([q0, q1]),
            rc: u16::from_be_bytes([c0, c1]),
        })
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Response({:#x})", self.0)
    }
}

impl fmt::Display for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#06x}", self.0)
    }
}

/// Which command stopped the start of a protected guest, and its codes: the upper halfwords of the response of a newer
/// QEMU (bits 0–15 command, 16–31 rrc, 32–47 rc, 48–63 the response code 0x0a02).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StartFailure {
    /// Number of KVM's PV command, not the UVC code: 2 set parameters, 3 unpack, 4 verify.
    pub command: u16,
    /// The Ultravisor's response code.
    pub rc: u16,
    /// The Ultravisor's reason code.
    pub rrc: u16,
}

impl StartFailure {
    /// The response that tells the guest all of it.
    #[must_use]
    pub const fn response(self) -> Response {
        let [p0, p1] = self.command.to_be_bytes();
        let [q0, q1] = self.rrc.to_be_bytes();
        let [c0, c1] = self.rc.to_be_bytes();
        let word = u64::from_be_bytes([p0, p1, q0, q1, c0, c1, 0, 0]);
        Response(word | Response::CANNOT_ENTER.0)
    }
}
