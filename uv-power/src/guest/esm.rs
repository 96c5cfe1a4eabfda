//! The wish to become secure.

use uv_core::GuestAddr;

use crate::abi::numbers::UltracallNumber;
use crate::abi::{Msr, Regs, UvCode};

/// `UV_ESM` as the guest's kernel makes it (power-pef §3.14): `sc 2` with these values in R3 to R5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EsmRequest {
    /// R4: where the kernel begins, which is also where the guest goes on. 0 is refused.
    pub kernel: GuestAddr,
    /// R5: the flattened device tree. 0 is refused.
    pub tree: GuestAddr,
}

impl EsmRequest {
    /// The ultracall.
    pub const NUMBER: UltracallNumber = UltracallNumber::UV_ESM;

    /// R4 and R5.
    #[must_use]
    pub const fn arguments(self) -> [u64; 2] {
        [self.kernel.0, self.tree.0]
    }

    /// What came of it, from the registers the guest goes on with.
    ///
    /// # Errors
    /// R3, of a guest that is not secure. `UV_ESM` fails with a code of its own, or with the hypervisor's `H_PARAMETER`
    /// when the transition was given up (power-pef §7.4).
    pub fn outcome(regs: &Regs) -> Result<(), UvCode> {
        if regs.msr().contains(Msr::S) { Ok(()) } else { Err(UvCode::from_register(regs.gpr[3])) }
    }
}

#[cfg(test)]
mod tests {
    use super::{EsmRequest, GuestAddr};
    use crate::abi::{Msr, Regs, UvCode};

    #[test]
    fn the_call_and_what_came_of_it() {
        let request = EsmRequest { kernel: GuestAddr(0x40_0000), tree: GuestAddr(0x70_0000) };
        assert_eq!((EsmRequest::NUMBER.0, request.arguments()), (0xf110, [0x40_0000, 0x70_0000]));
        let mut regs = Regs::default();
        regs.gpr[3] = 0;
        assert_eq!(EsmRequest::outcome(&regs), Err(UvCode::from_register(0)), "only MSR.S says that a guest is secure");
        regs.msr = Msr::S.bits();
        regs.gpr[3] = 0x70_0000;
        assert_eq!(EsmRequest::outcome(&regs), Ok(()));
    }
}
