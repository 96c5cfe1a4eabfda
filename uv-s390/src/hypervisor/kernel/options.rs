//! What user space may switch on for a VM (KVM's capabilities that can be enabled).

use core::sync::atomic::Ordering;

use bitflags::bitflags;

use super::Vm;

bitflags! {
    /// Switches of a VM. All are off in a new one, and none can be taken back.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct VmOptions: u32 {
        /// User space has a channel subsystem: channel I/O instructions are its matter, TPI and the interruption of TSCH
        /// the kernel's. Without it all of them end with condition code 3.
        const CSS_SUPPORT = 1;
        /// User space serves all orders of SIGP but sense, sense running, external call and both emergency signals.
        const USER_SIGP = 2;
        /// User space completes what STSI stored.
        const USER_STSI = 4;
        /// An operation exception of an instruction 0x0000 is user space's.
        const USER_INSTR0 = 8;
        /// User space may make an interruption controller.
        const IRQCHIP = 16;
    }
}

impl Vm {
    /// Switches options on.
    pub fn set_options(&self, options: VmOptions) {
        self.options.fetch_or(options.bits(), Ordering::AcqRel);
    }

    /// The options that are on.
    #[must_use]
    pub fn options(&self) -> VmOptions {
        VmOptions::from_bits_truncate(self.options.load(Ordering::Acquire))
    }
}
