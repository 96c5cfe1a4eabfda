//! The state description: format 4 for a protected guest, the same fields for an ordinary one where both have them.

use core::mem::{offset_of, size_of};

use zerocopy::byteorder::big_endian::{U16, U32, U64};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{InjectionControl, InterceptionCode, SidaDesignation, Validity};
use crate::abi::psw::Psw;

/// SIE state description of one CPU, 1024 bytes in host memory.
///
/// Bytes without a name here are kept by the host for itself or for other formats.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct StateDescription {
    /// CPU flags: [`ExecutionControl`](super::ExecutionControl).
    pub cpu_flags: U32,
    /// Bits 1–18: the prefix shifted right by 13, so that the word without its low 13 bits is the prefix
    /// (UNSURE: a newer source has one bit more); bits 20–31: IBC.
    pub prefix: U32,
    _other_08: [u8; 8],
    /// Handle of the CPU.
    pub cpu_handle: U64,
    /// Handle of the configuration.
    pub conf_handle: U64,
    _other_20: [u8; 8],
    /// CPU timer.
    pub cpu_timer: U64,
    /// Clock comparator.
    pub clock_comparator: U64,
    /// Epoch: added to the host's clock.
    pub epoch: U64,
    _other_40: [u8; 4],
    /// Load-control interception controls.
    pub lctl: U16,
    /// CPU address.
    pub cpu_address: U16,
    /// Interception controls.
    pub ictl: U32,
    /// Execution controls.
    pub eca: U32,
    /// [`InterceptionCode`].
    pub icptcode: u8,
    /// Interception status.
    pub icptstatus: u8,
    _other_52: [u8; 3],
    /// [`InjectionControl`].
    pub iictl: u8,
    /// IPA: first two bytes of the intercepted instruction, normalized.
    pub ipa: U16,
    /// IPB: next four bytes; for a validity interception the code in the upper half.
    pub ipb: U32,
    /// SCA origin, upper half.
    pub sca_high: U32,
    _other_60: [u8; 1],
    /// Execution controls B 2; bit 0x04 says extended SCA.
    pub ecb2: u8,
    _other_62: [u8; 2],
    /// SCA origin, lower half.
    pub sca_low: U32,
    /// SDF: format of the state description; 2 is format 4, 0 is normal.
    pub sdf: u8,
    _other_69: [u8; 3],
    /// TOD programmable register of an ordinary guest; overlaid in format 4.
    pub todpr: U32,
    _other_70: [u8; 16],
    /// MSO: main storage origin.
    pub mso: U64,
    /// MSL: main storage limit, the address of the last MiB. It counts from the same zero as MSO, so it is not a length.
    pub msl: U64,
    /// Guest PSW; a filtered copy for a protected guest.
    pub psw: Psw,
    /// GR14 of an ordinary guest; not used for a protected one.
    pub gr14: U64,
    /// GR15 of an ordinary guest; not used for a protected one.
    pub gr15: U64,
    _other_b0: [u8; 16],
    /// External interruption to inject: parameter.
    pub ext_params: U32,
    /// External interruption to inject: CPU address.
    pub ext_cpu_addr: U16,
    /// External interruption to inject, or of interception 0x14: code.
    pub ext_code: U16,
    _other_c8: [u8; 4],
    /// Machine check to inject: external damage code.
    pub external_damage: U32,
    /// Machine check to inject: failing storage address.
    pub failing_address: U64,
    _other_d8: [u8; 16],
    /// I/O interruption to inject: subchannel identification.
    pub subchannel_id: U16,
    /// I/O interruption to inject: subchannel number.
    pub subchannel_nr: U16,
    /// I/O interruption to inject: parameter.
    pub io_int_parm: U32,
    /// I/O interruption to inject: identification word.
    pub io_int_word: U32,
    _other_f4: [u8; 12],
    /// Control registers; filtered for a protected guest.
    pub crs: [U64; 16],
    /// [`SidaDesignation`] of a protected guest; breaking-event address (GBEA) of an ordinary one.
    pub sidad: U64,
    _other_188: [u8; 86],
    /// Program parameter of an ordinary guest; overlaid in format 4.
    pub pp: U64,
    _other_1e6: [u8; 410],
    /// Interception register save area: the general registers that the intercepted instruction needs, in and out.
    pub save_area: [U64; 16],
}

const _: () = {
    assert!(size_of::<StateDescription>() == 0x400);
    assert!(offset_of!(StateDescription, cpu_flags) == 0x00);
    assert!(offset_of!(StateDescription, prefix) == 0x04);
    assert!(offset_of!(StateDescription, cpu_handle) == 0x10);
    assert!(offset_of!(StateDescription, conf_handle) == 0x18);
    assert!(offset_of!(StateDescription, cpu_timer) == 0x28);
    assert!(offset_of!(StateDescription, clock_comparator) == 0x30);
    assert!(offset_of!(StateDescription, epoch) == 0x38);
    assert!(offset_of!(StateDescription, lctl) == 0x44);
    assert!(offset_of!(StateDescription, cpu_address) == 0x46);
    assert!(offset_of!(StateDescription, ictl) == 0x48);
    assert!(offset_of!(StateDescription, eca) == 0x4c);
    assert!(offset_of!(StateDescription, icptcode) == 0x50);
    assert!(offset_of!(StateDescription, icptstatus) == 0x51);
    assert!(offset_of!(StateDescription, iictl) == 0x55);
    assert!(offset_of!(StateDescription, ipa) == 0x56);
    assert!(offset_of!(StateDescription, ipb) == 0x58);
    assert!(offset_of!(StateDescription, sca_high) == 0x5c);
    assert!(offset_of!(StateDescription, ecb2) == 0x61);
    assert!(offset_of!(StateDescription, sca_low) == 0x64);
    assert!(offset_of!(StateDescription, sdf) == 0x68);
    assert!(offset_of!(StateDescription, todpr) == 0x6c);
    assert!(offset_of!(StateDescription, mso) == 0x80);
    assert!(offset_of!(StateDescription, msl) == 0x88);
    assert!(offset_of!(StateDescription, psw) == 0x90);
    assert!(offset_of!(StateDescription, gr14) == 0xa0);
    assert!(offset_of!(StateDescription, gr15) == 0xa8);
    assert!(offset_of!(StateDescription, ext_params) == 0xc0);
    assert!(offset_of!(StateDescription, ext_cpu_addr) == 0xc4);
    assert!(offset_of!(StateDescription, ext_code) == 0xc6);
    assert!(offset_of!(StateDescription, external_damage) == 0xcc);
    assert!(offset_of!(StateDescription, failing_address) == 0xd0);
    assert!(offset_of!(StateDescription, subchannel_id) == 0xe8);
    assert!(offset_of!(StateDescription, subchannel_nr) == 0xea);
    assert!(offset_of!(StateDescription, io_int_parm) == 0xec);
    assert!(offset_of!(StateDescription, io_int_word) == 0xf0);
    assert!(offset_of!(StateDescription, crs) == 0x100);
    assert!(offset_of!(StateDescription, sidad) == 0x180);
    assert!(offset_of!(StateDescription, pp) == 0x1de);
    assert!(offset_of!(StateDescription, save_area) == 0x380);
};

/// Values of single fields.
pub mod fields {
    /// LCTL: a load of control register 0 leaves the guest.
    pub const LCTL_CR0: u16 = 0x8000;
    /// LCTL: a load of control register 6.
    pub const LCTL_CR6: u16 = 0x0200;
    /// LCTL: a load of control register 14.
    pub const LCTL_CR14: u16 = 0x0002;
    /// ICTL: LOAD PSW leaves the guest when it changes the machine-check mask.
    pub const ICTL_LPSW: u32 = 0x0040_0000;
    /// SDF of an ordinary guest.
    pub const SDF_NORMAL: u8 = 0;
    /// SDF of a protected guest.
    pub const SDF_PROTECTED: u8 = 2;
    /// ECB2: the SCA is an extended one; mandatory for a protected guest.
    pub const ECB2_EXTENDED_SCA: u8 = 0x04;
    /// MSL: bytes of its last block; the low 20 bits of the field have no meaning.
    pub const MSL_BLOCK: u64 = 0x10_0000;
    /// GBEA after leaving protection.
    pub const GBEA_RESET: u64 = 1;
}

impl StateDescription {
    /// Bytes of a state description.
    pub const SIZE: u64 = 0x400;

    /// Where the prefix stands in its word.
    const PREFIX: u32 = 0x7fff_e000;

    /// All zero.
    #[must_use]
    pub fn new() -> Self {
        Self::new_zeroed()
    }

    /// The interception code.
    #[must_use]
    pub const fn interception(&self) -> InterceptionCode {
        InterceptionCode(self.icptcode)
    }

    /// The validity code of a validity interception.
    #[must_use]
    pub fn validity(&self) -> Option<Validity> {
        let [high, low, _, _] = self.ipb.to_bytes();
        (self.interception() == InterceptionCode::VALIDITY).then(|| Validity(u16::from_be_bytes([high, low])))
    }

    /// What is to be injected.
    #[must_use]
    pub const fn injection(&self) -> InjectionControl {
        InjectionControl(self.iictl)
    }

    /// The SIDA designation.
    #[must_use]
    pub const fn sida(&self) -> SidaDesignation {
        SidaDesignation(self.sidad.get())
    }

    /// Host absolute address of the SCA.
    #[must_use]
    pub fn sca_origin(&self) -> u64 {
        u64::from(self.sca_high.get()) << 32 | u64::from(self.sca_low.get() & !0x3f)
    }

    /// Sets the origin of the SCA. That it is an extended one is said in [`ecb2`](Self::ecb2).
    pub fn set_sca_origin(&mut self, origin: u64) {
        let [h0, h1, h2, h3, l0, l1, l2, l3] = origin.to_be_bytes();
        self.sca_high = U32::from_bytes([h0, h1, h2, h3]);
        self.sca_low = U32::from_bytes([l0, l1, l2, l3]);
    }

    /// The last address that MSL allows.
    #[must_use]
    pub const fn storage_end(&self) -> u64 {
        self.msl.get() | (fields::MSL_BLOCK - 1)
    }

    /// Guest absolute address of the prefix area, a multiple of 8 KiB.
    #[must_use]
    pub fn prefix_address(&self) -> u64 {
        u64::from(self.prefix.get() & Self::PREFIX)
    }

    /// Sets the prefix and keeps the IBC. `address` is cut to a multiple of 8 KiB below 2 GiB.
    pub fn set_prefix_address(&mut self, address: u32) {
        self.prefix = U32::new(address & Self::PREFIX | self.prefix.get() & 0xfff);
    }

    /// General register `number` of the save area; 0 for a number above 15.
    #[must_use]
    pub fn gr(&self, number: usize) -> u64 {
        self.save_area.get(number).map_or(0, |value| value.get())
    }

    /// Sets general register `number` of the save area; does nothing for a number above 15.
    pub fn set_gr(&mut self, number: usize, value: u64) {
        if let Some(slot) = self.save_area.get_mut(number) {
            *slot = value.into();
        }
    }
}

impl Default for StateDescription {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_as_the_machine_does() {
        let mut state = StateDescription::new();
        state.prefix = 0x0abc.into();
        state.set_prefix_address(0x7fff_e000);
        assert_eq!((state.prefix_address(), state.prefix.get() & 0xfff), (0x7fff_e000, 0xabc));
        state.set_sca_origin(0x1_0000_2040);
        assert_eq!((state.sca_high.get(), state.sca_low.get(), state.sca_origin()), (1, 0x2040, 0x1_0000_2040));
        state.sca_low = 0x207f.into();
        assert_eq!(state.sca_origin(), 0x1_0000_2040, "a multiple of 64");
        state.msl = 0x30_0000.into();
        assert_eq!(state.storage_end(), 0x3f_ffff);
        state.icptcode = InterceptionCode::VALIDITY.0;
        state.ipb = 0x2005_0000.into();
        assert_eq!(state.validity(), Some(Validity::ASCE));
        state.icptcode = 0x6c;
        assert_eq!(state.validity(), None);
    }
}
