//! The shared `kvm_run` area of a vCPU (Linux's public header kvm.h; big endian as on the machine).

use super::sync::SyncRegs;
use crate::abi::psw::{Psw, with_condition_code};
use crate::abi::sie::InterceptionCode;
use crate::hypervisor::kernel::diag308::ResetFlags;
use crate::hypervisor::kernel::{
    CR0_INITIAL, CR14_INITIAL, CpuReset, PFAULT_NONE, SubchannelTest, SystemInformationRequest, diagnose,
};
use core::mem::{offset_of, size_of};
use zerocopy::byteorder::big_endian::{U16, U32, U64};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Why `KVM_RUN` came back. Open: a kernel knows more than concern this machine.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ExitReason(pub u32);

impl ExitReason {
    /// KVM_EXIT_UNKNOWN: it never ran.
    pub const UNKNOWN: Self = Self(0);
    /// KVM_EXIT_INTR: a signal is pending; together with [`Errno::EINTR`](super::Errno::EINTR).
    pub const INTR: Self = Self(10);
    /// KVM_EXIT_S390_SIEIC: an interception that user space is to handle, see [`KvmRun::sieic`].
    pub const S390_SIEIC: Self = Self(13);
    /// KVM_EXIT_S390_RESET: DIAG 308 subcode 3 or 4, see [`KvmRun::reset_flags`].
    pub const S390_RESET: Self = Self(14);
    /// KVM_EXIT_S390_TSCH: TEST SUBCHANNEL, see [`KvmRun::tsch`].
    pub const S390_TSCH: Self = Self(22);
    /// KVM_EXIT_S390_STSI: STSI was served and is to be completed, see [`KvmRun::stsi`].
    pub const S390_STSI: Self = Self(25);
}

impl core::fmt::Debug for ExitReason {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "ExitReason({})", self.0)
    }
}

/// The area (`kvm_run`, 2368 bytes). On a real kernel it is mapped once for each vCPU; here it goes with each
/// [`KVM_RUN`](super::request::RUN), so that [`KvmRun::reset`] has to do for it what the kernel's resets do to the mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct KvmRun {
    /// Not of this machine.
    pub request_interrupt_window: u8,
    /// Not 0: come back at once with EINTR.
    pub immediate_exit: u8,
    /// Zero.
    pub padding1: [u8; 6],
    /// Out: [`ExitReason`].
    pub exit_reason: U32,
    /// Not of this machine.
    pub ready_for_interrupt_injection: u8,
    /// Not of this machine.
    pub if_flag: u8,
    /// Not of this machine.
    pub flags: U16,
    /// Not of this machine.
    pub cr8: U64,
    /// Not of this machine.
    pub apic_base: U64,
    /// PSW mask, in and out. Of a protected CPU only the condition code is taken, and the filtered copy comes out.
    pub psw_mask: U64,
    /// Instruction address, in and out; means nothing for a protected CPU.
    pub psw_addr: U64,
    /// Out: what belongs to the exit reason.
    pub exit: [u8; 256],
    /// Which register groups the kernel has: [`SyncFields`](super::SyncFields).
    pub kvm_valid_regs: U64,
    /// In: which register groups user space changed; out: none.
    pub kvm_dirty_regs: U64,
    /// Registers.
    pub regs: SyncRegs,
    /// Room for more registers.
    pub padding2: [u8; 64],
}
layout!(
    KvmRun, 2368, immediate_exit at 1, exit_reason at 8, flags at 14, cr8 at 16, apic_base at 24, psw_mask at 32,
    psw_addr at 40, exit at 48, kvm_valid_regs at 304, kvm_dirty_regs at 312, regs at 320,
);

/// What comes with [`ExitReason::S390_SIEIC`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sieic {
    /// Interception code.
    pub icptcode: InterceptionCode,
    /// First two bytes of the instruction.
    pub ipa: u16,
    /// Next four bytes.
    pub ipb: u32,
}

/// What comes with [`ExitReason::S390_TSCH`]. Without a dequeued interruption its four fields are 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Tsch {
    /// Subchannel identification of the interruption.
    pub subchannel_id: U16,
    /// Subchannel number.
    pub subchannel_nr: U16,
    /// Interruption parameter.
    pub io_int_parm: U32,
    /// Interruption identification word.
    pub io_int_word: U32,
    /// Bytes 2 to 5 of the instruction.
    pub ipb: U32,
    /// 1: an interruption was pending, and is not any more.
    pub dequeued: u8,
}
layout!(Tsch, 17, subchannel_nr at 2, io_int_parm at 4, io_int_word at 8, ipb at 12, dequeued at 16);

/// What comes with [`ExitReason::S390_STSI`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Stsi {
    /// Guest logical address of the block.
    pub addr: U64,
    /// Access register of the address.
    pub ar: u8,
    /// Zero.
    pub reserved: u8,
    /// Function code.
    pub fc: u8,
    /// Selector 1.
    pub sel1: u8,
    /// Selector 2.
    pub sel2: U16,
}
layout!(Stsi, 14, ar at 8, fc at 10, sel1 at 11, sel2 at 12);

impl Default for KvmRun {
    fn default() -> Self {
        Self::new()
    }
}

impl KvmRun {
    /// The area of a new vCPU, which is clear.
    #[must_use]
    pub fn new() -> Self {
        let mut run = Self::new_zeroed();
        run.reset(CpuReset::Clear);
        run
    }

    /// Does to the area what a reset of the vCPU does: on a real kernel the reset ioctls do it themselves.
    pub fn reset(&mut self, kind: CpuReset) {
        let regs = &mut self.regs;
        regs.pft = PFAULT_NONE.into();
        regs.riccb = [0; 64];
        if kind == CpuReset::Normal {
            return;
        }
        (self.psw_mask, self.psw_addr) = (0.into(), 0.into());
        regs.prefix = 0.into();
        regs.crs = [0.into(); 16];
        (regs.crs[0], regs.crs[14]) = (CR0_INITIAL.into(), CR14_INITIAL.into());
        (regs.todpr, regs.cputm, regs.ckc, regs.pp) = (0.into(), 0.into(), 0.into(), 0.into());
        regs.gbea = 1.into();
        regs.fpc = 0.into();
        if kind == CpuReset::Clear {
            regs.gprs = [0.into(); 16];
            regs.acrs = [0.into(); 16];
            regs.vrs = [[0.into(); 2]; 32];
            regs.sdnx = [0; 256];
        }
    }

    /// Why the last run ended.
    #[must_use]
    pub const fn exit_reason(&self) -> ExitReason {
        ExitReason(self.exit_reason.get())
    }

    /// The PSW.
    #[must_use]
    pub const fn psw(&self) -> Psw {
        Psw::new(self.psw_mask.get(), self.psw_addr.get())
    }

    /// Sets the PSW of an ordinary CPU: where it goes on.
    pub fn set_psw(&mut self, psw: Psw) {
        (self.psw_mask, self.psw_addr) = (psw.mask, psw.address);
    }

    /// A general register; 0 for a number above 15.
    #[must_use]
    pub fn gr(&self, number: usize) -> u64 {
        self.regs.gprs.get(number).map_or(0, |value| value.get())
    }

    /// Sets a general register; nothing happens for a number above 15.
    pub fn set_gr(&mut self, number: usize, value: u64) {
        if let Some(gr) = self.regs.gprs.get_mut(number) {
            *gr = value.into();
        }
    }

    /// Sets the condition code (cut to two bits), which user space may also do for a protected CPU.
    pub fn set_cc(&mut self, cc: u8) {
        self.psw_mask = with_condition_code(self.psw_mask.get(), cc).into();
    }

    /// The interception, after [`ExitReason::S390_SIEIC`].
    #[must_use]
    pub fn sieic(&self) -> Option<Sieic> {
        let [icptcode, _, a0, a1, b0, b1, b2, b3, ..] = self.exit;
        (self.exit_reason() == ExitReason::S390_SIEIC).then_some(Sieic {
            icptcode: InterceptionCode(icptcode),
            ipa: u16::from_be_bytes([a0, a1]),
            ipb: u32::from_be_bytes([b0, b1, b2, b3]),
        })
    }

    /// Function code of an intercepted DIAGNOSE; `None` for any other exit.
    #[must_use]
    pub fn diagnose(&self) -> Option<u16> {
        let exit = self.sieic()?;
        diagnose(exit.ipa, exit.ipb, |number| usize::try_from(number).map_or(0, |number| self.gr(number)))
    }

    /// The flags, after [`ExitReason::S390_RESET`].
    #[must_use]
    pub fn reset_flags(&self) -> Option<ResetFlags> {
        let flags = U64::read_from_prefix(&self.exit).map_or(0, |(flags, _)| flags.get());
        (self.exit_reason() == ExitReason::S390_RESET).then_some(ResetFlags::from_bits_retain(flags))
    }

    /// The subchannel's interruption and the instruction, after [`ExitReason::S390_TSCH`].
    #[must_use]
    pub fn tsch(&self) -> Option<Tsch> {
        let there = self.exit_reason() == ExitReason::S390_TSCH;
        Tsch::read_from_prefix(&self.exit).ok().filter(|_| there).map(|(tsch, _)| tsch)
    }

    /// What STSI asked for, after [`ExitReason::S390_STSI`].
    #[must_use]
    pub fn stsi(&self) -> Option<Stsi> {
        let there = self.exit_reason() == ExitReason::S390_STSI;
        Stsi::read_from_prefix(&self.exit).ok().filter(|_| there).map(|(stsi, _)| stsi)
    }

    pub(super) fn set_tsch(&mut self, test: SubchannelTest) {
        let io = test.dequeued.unwrap_or_default();
        self.set_exit(
            ExitReason::S390_TSCH,
            &Tsch {
                subchannel_id: io.subchannel_id.into(),
                subchannel_nr: io.subchannel_nr.into(),
                io_int_parm: io.parameter.into(),
                io_int_word: io.word.into(),
                ipb: test.ipb.into(),
                dequeued: test.dequeued.is_some().into(),
            },
        );
    }

    pub(super) fn set_stsi(&mut self, request: SystemInformationRequest) {
        self.set_exit(
            ExitReason::S390_STSI,
            &Stsi {
                addr: request.address.into(),
                ar: 0,
                reserved: 0,
                fc: request.function,
                sel1: request.selector1,
                sel2: request.selector2.into(),
            },
        );
    }

    fn set_exit<T: IntoBytes + Immutable>(&mut self, reason: ExitReason, data: &T) {
        self.exit_reason = reason.0.into();
        let bytes = data.as_bytes();
        self.exit[..bytes.len()].copy_from_slice(bytes);
    }

    pub(super) fn set_sieic(&mut self, exit: Sieic) {
        self.exit_reason = ExitReason::S390_SIEIC.0.into();
        let ([a0, a1], [b0, b1, b2, b3]) = (exit.ipa.to_be_bytes(), exit.ipb.to_be_bytes());
        self.exit[..8].copy_from_slice(&[exit.icptcode.0, 0, a0, a1, b0, b1, b2, b3]);
    }

    pub(super) fn set_reset(&mut self, flags: ResetFlags) {
        self.exit_reason = ExitReason::S390_RESET.0.into();
        self.exit[..8].copy_from_slice(&flags.bits().to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::psw::PSW_CC;

    #[test]
    fn exits_lie_where_the_kernel_puts_them() {
        let mut run = KvmRun::new();
        assert_eq!((run.sieic(), run.reset_flags()), (None, None));
        run.set_sieic(Sieic { icptcode: InterceptionCode(4), ipa: 0x8302, ipb: 0x5000_0000 });
        assert_eq!(run.as_bytes()[8..12], [0, 0, 0, 13]);
        assert_eq!(run.as_bytes()[48..56], [4, 0, 0x83, 2, 0x50, 0, 0, 0]);
        assert_eq!(run.sieic().unwrap().ipa, 0x8302);
        run.set_gr(5, 0x1_0308);
        assert_eq!(run.diagnose(), Some(0x308));
        run.set_sieic(Sieic { icptcode: InterceptionCode(4), ipa: 0x8302, ipb: 0x0044_0000 });
        assert_eq!(run.diagnose(), Some(0x44), "without a base register");
        run.set_reset(ResetFlags::CLEAR | ResetFlags::IPL);
        assert_eq!((run.as_bytes()[11], run.as_bytes()[55]), (14, 18));
        assert_eq!((run.sieic(), run.reset_flags()), (None, Some(ResetFlags::CLEAR | ResetFlags::IPL)));
    }

    #[test]
    fn a_new_area_is_clear() {
        let mut run = KvmRun::new();
        assert_eq!((run.regs.crs[0].get(), run.regs.crs[14].get(), run.regs.gbea.get()), (0xe0, 0xc200_0000, 1));
        run.set_gr(3, 7);
        run.set_gr(16, 7);
        run.set_psw(Psw::at(0x1000));
        run.set_cc(6);
        assert_eq!(run.psw().mask.get() & PSW_CC, 2 << 44);
        run.reset(CpuReset::Normal);
        assert_eq!((run.gr(3), run.psw().address.get()), (7, 0x1000));
        run.reset(CpuReset::Initial);
        assert_eq!((run.gr(3), run.psw()), (7, Psw::new(0, 0)));
        run.reset(CpuReset::Clear);
        assert_eq!(run, KvmRun::new());
    }
}
