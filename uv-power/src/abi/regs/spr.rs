//! Special purpose registers by number (power-pef §2.3, 8.2).

/// Number of a special purpose register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Spr(pub u16);

/// A register that the ultravisor saves and sets to a neutral value whenever it enters the hypervisor for a secure VM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaskedSpr {
    /// Number of the register.
    pub spr: Spr,
    /// What the hypervisor finds in it.
    pub neutral: u64,
}

macro_rules! sprs {
    ($($(#[$doc:meta])* $name:ident = $number:expr, $neutral:expr;)*) => {
        impl Spr {
            $($(#[$doc])* pub const $name: Self = Self($number);)*
        }

        /// The masked registers in the order of the fact sheet.
        pub const MASKED_SPRS: &[MaskedSpr] = &[$(MaskedSpr { spr: Spr::$name, neutral: $neutral }),*];
    };
}

sprs! {
    /// Scaled processor utilisation.
    SPURR = 0x134, 0;
    /// Completed instruction address breakpoint.
    CIABR = 0x0bb, 0;
    /// Data address.
    DAR = 0x013, 0;
    /// Data address watchpoint.
    DAWR = 0x0b4, 0;
    /// Data address watchpoint extension.
    DAWRX = 0x0bc, 0;
    /// Instruction authority mask.
    IAMR = 0x03d, 0;
    /// Data stream control.
    DSCR = 0x011, 0;
    /// Data storage interrupt status.
    DSISR = 0x012, 0;
    /// Problem state priority boost.
    PSPB = 0x09f, 0;
    /// Target address.
    TAR = 0x32f, 0;
    /// User authority mask override.
    UAMOR = 0x09d, 0;
    /// Vector register save.
    VRSAVE = 0x100, 0;
    /// Sampled data address.
    SDAR = 0x31d, 0;
    /// Sampled instruction event.
    SIER = 0x310, 0;
    /// Sampled instruction address.
    SIAR = 0x31c, 0;
    /// Performance counter 1.
    PMC1 = 0x313, 0;
    /// Performance counter 2.
    PMC2 = 0x314, 0;
    /// Performance counter 3.
    PMC3 = 0x315, 0;
    /// Performance counter 4.
    PMC4 = 0x316, 0;
    /// Performance counter 5.
    PMC5 = 0x317, 0;
    /// Performance counter 6.
    PMC6 = 0x318, 0;
    /// Core monitor mode control.
    MMCRC = 0x353, 0;
    /// Trace.
    TRACE = 0x3ee, 0;
    /// Event based branch handler.
    EBBHR = 0x324, 0;
    /// Event based branch return.
    EBBRR = 0x325, 0;
    /// Hypervisor emulated instruction.
    HEIR = 0x153, 0;
    /// Thread identification.
    TIDR = 0x090, 0;
    /// Processor utilisation.
    PURR = 0x135, 0;
    /// Program priority.
    PPR = 0x380, 0x0010_0000_0000_0000;
}

impl Spr {
    /// Partition table control; only the ultravisor writes it.
    pub const PTCR: Self = Self(0x1d0);
    /// Secure memory facility control; ultravisor only.
    pub const SMFCTRL: Self = Self(0x1ff);
    /// Ultravisor scratch 0; ultravisor only.
    pub const USPRG0: Self = Self(0x1f0);
    /// Ultravisor scratch 1; ultravisor only.
    pub const USPRG1: Self = Self(0x1f1);
    /// Ultravisor real mode offset; ultravisor only.
    pub const URMOR: Self = Self(0x1f9);
    /// Ultravisor save/restore 0; ultravisor only.
    pub const USRR0: Self = Self(0x1fa);
    /// Ultravisor save/restore 1; ultravisor only.
    pub const USRR1: Self = Self(0x1fb);
    /// LD base; write-only through an ultracall.
    pub const LDBAR: Self = Self(0x352);
    /// IMC; write-only through an ultracall.
    pub const IMC: Self = Self(0x31f);
}

/// The masked registers of one CPU.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SprFile([u64; MASKED_SPRS.len()]);

impl SprFile {
    /// Every register at its neutral value.
    #[must_use]
    pub fn neutral() -> Self {
        Self(core::array::from_fn(|index| MASKED_SPRS[index].neutral))
    }

    fn index(spr: Spr) -> Option<usize> {
        MASKED_SPRS.iter().position(|masked| masked.spr == spr)
    }

    /// A register; `None` for one that is not in the table.
    #[must_use]
    pub fn get(&self, spr: Spr) -> Option<u64> {
        Self::index(spr).map(|index| self.0[index])
    }

    /// Sets a register; says whether the table has it.
    pub fn set(&mut self, spr: Spr, value: u64) -> bool {
        let index = Self::index(spr);
        if let Some(index) = index {
            self.0[index] = value;
        }
        index.is_some()
    }

    /// All values, in the order of [`MASKED_SPRS`].
    #[must_use]
    pub const fn values(&self) -> &[u64] {
        &self.0
    }
}

impl Default for SprFile {
    fn default() -> Self {
        Self::neutral()
    }
}

impl zeroize::Zeroize for SprFile {
    fn zeroize(&mut self) {
        self.0.zeroize();
    }
}

impl core::fmt::Debug for SprFile {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("SprFile(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_by_number() {
        let mut file = SprFile::neutral();
        assert_eq!(file.get(Spr::PPR), Some(0x0010_0000_0000_0000));
        assert!(file.set(Spr::DAR, 7) && !file.set(Spr::PTCR, 7));
        assert_eq!((file.get(Spr::DAR), file.get(Spr::PTCR)), (Some(7), None));
        assert_eq!(MASKED_SPRS.len(), 29);
    }
}
