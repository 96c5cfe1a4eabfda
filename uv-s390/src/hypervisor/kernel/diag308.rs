//! What KVM does with DIAG 308 before user space sees it.
//!
//! Who uses it: the kernel, before it hands the exit to user space.

use bitflags::bitflags;

use crate::abi::diag308::Subcode;

bitflags! {
    /// Flags of KVM's exit `KVM_EXIT_S390_RESET` (values of the public ABI).
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct ResetFlags: u64 {
        /// POR.
        const POR = 1;
        /// Clear memory.
        const CLEAR = 2;
        /// Reset the channel subsystem.
        const SUBSYSTEM = 4;
        /// Initial CPU reset.
        const CPU_INIT = 8;
        /// Load afterwards.
        const IPL = 16;
        const _ = !0;
    }
}

/// Who handles the instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handled {
    /// KVM stops the vCPU and leaves with these flags; user space starts a re-IPL.
    Exit(ResetFlags),
    /// User space gets the instruction itself and calls [`handle`](crate::hypervisor::vmm::diag308::handle).
    UserSpace,
}

/// KVM's decision. It looks at the last 16 bits of GR r3 only, so a subcode with higher bits set that ends in 3 or 4 is
/// handled here, although QEMU would refuse it. Problem state is checked before, by the interpretation of DIAGNOSE.
#[must_use]
pub fn handle(gr3: u64) -> Handled {
    let always = ResetFlags::SUBSYSTEM | ResetFlags::IPL | ResetFlags::CPU_INIT;
    match u16::try_from(gr3 & 0xffff).map(Subcode) {
        Ok(Subcode::LOAD_CLEAR) => Handled::Exit(always | ResetFlags::CLEAR),
        Ok(Subcode::LOAD_NORMAL_DUMP) => Handled::Exit(always),
        _ => Handled::UserSpace,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_and_four_leave_with_flags() {
        assert_eq!(handle(3), Handled::Exit(ResetFlags::from_bits_retain(30)));
        assert_eq!(handle(4), Handled::Exit(ResetFlags::from_bits_retain(28)));
        assert_eq!(handle(0x1_0003), handle(3));
        for subcode in [0, 1, 2, 5, 10, 0xffff] {
            assert_eq!(handle(subcode), Handled::UserSpace);
        }
    }
}
