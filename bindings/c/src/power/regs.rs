//! The registers of a CPU.

use uv_power::abi::regs::{Lpid, MASKED_SPRS, Regs};

use crate::guard::guard;
use crate::raw;

/// How many special registers the ultravisor masks.
pub const UVSIM_POWER_SPRS: usize = 29;

const _: () = assert!(UVSIM_POWER_SPRS == MASKED_SPRS.len());

/// The registers of one CPU, as an ultracall finds and leaves them.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct uvsim_power_regs {
    /// R0 to R31. An ultracall: the number in R3, arguments in R4 to R12; the result in R3.
    pub gpr: [u64; 32],
    /// Next instruction address.
    pub nip: u64,
    /// Machine state. Hypervisor: HV on, PR and S off; a guest: HV off; secure: S on.
    pub msr: u64,
    /// Fixed point exception register.
    pub xer: u64,
    /// Link register.
    pub lr: u64,
    /// Count register.
    pub ctr: u64,
    /// Come-from address.
    pub cfar: u64,
    /// SRR0.
    pub srr0: u64,
    /// SRR1.
    pub srr1: u64,
    /// HSRR0.
    pub hsrr0: u64,
    /// HSRR1.
    pub hsrr1: u64,
    /// SPRG0 to SPRG3.
    pub sprg: [u64; 4],
    /// HSPRG0, HSPRG1.
    pub hsprg: [u64; 2],
    /// Hypervisor data address.
    pub hdar: u64,
    /// Hypervisor data storage interrupt status.
    pub hdsisr: u64,
    /// Access segment descriptor.
    pub asdr: u64,
    /// Decrementer.
    pub dec: u64,
    /// Logical partitioning control.
    pub lpcr: u64,
    /// Instruction counter.
    pub ic: u64,
    /// Monitor mode control 0.
    pub mmcr0: u64,
    /// Monitor mode control A.
    pub mmcra: u64,
    /// Authority mask.
    pub amr: u64,
    /// Facility status and control.
    pub hfscr: u64,
    /// Floating point status and control.
    pub fpscr: u64,
    /// The special registers that the ultravisor masks, in the order of uvsim_power_spr_number().
    pub spr: [u64; UVSIM_POWER_SPRS],
    /// Vector-scalar registers 0 to 63: the upper half first.
    pub vsr: [[u64; 2]; 64],
    /// Condition register.
    pub cr: u32,
    /// Vector status and control.
    pub vscr: u32,
    /// Partition.
    pub lpidr: u32,
    /// Process.
    pub pidr: u32,
    /// Number of the virtual CPU whose registers these are.
    pub vcpu: u32,
    /// Number of the hardware thread.
    pub thread: u32,
}

impl From<uvsim_power_regs> for Regs {
    fn from(c: uvsim_power_regs) -> Self {
        let mut regs = Self {
            gpr: c.gpr,
            nip: c.nip,
            msr: c.msr,
            cr: c.cr,
            xer: c.xer,
            lr: c.lr,
            ctr: c.ctr,
            cfar: c.cfar,
            srr0: c.srr0,
            srr1: c.srr1,
            hsrr0: c.hsrr0,
            hsrr1: c.hsrr1,
            sprg: c.sprg,
            hsprg: c.hsprg,
            hdar: c.hdar,
            hdsisr: c.hdsisr,
            asdr: c.asdr,
            dec: c.dec,
            lpcr: c.lpcr,
            lpidr: Lpid(c.lpidr),
            pidr: c.pidr,
            ic: c.ic,
            mmcr0: c.mmcr0,
            mmcra: c.mmcra,
            amr: c.amr,
            hfscr: c.hfscr,
            vsr: c.vsr.map(|[high, low]| u128::from(high) << 64 | u128::from(low)),
            fpscr: c.fpscr,
            vscr: c.vscr,
            vcpu: c.vcpu,
            thread: c.thread,
            ..Self::default()
        };
        for (masked, value) in MASKED_SPRS.iter().zip(c.spr) {
            regs.spr.set(masked.spr, value);
        }
        regs
    }
}

impl From<&Regs> for uvsim_power_regs {
    fn from(regs: &Regs) -> Self {
        let halves = |register: u128| {
            let [a, b, c, d, e, f, g, h, low @ ..] = register.to_be_bytes();
            [u64::from_be_bytes([a, b, c, d, e, f, g, h]), u64::from_be_bytes(low)]
        };
        Self {
            gpr: regs.gpr,
            nip: regs.nip,
            msr: regs.msr,
            xer: regs.xer,
            lr: regs.lr,
            ctr: regs.ctr,
            cfar: regs.cfar,
            srr0: regs.srr0,
            srr1: regs.srr1,
            hsrr0: regs.hsrr0,
            hsrr1: regs.hsrr1,
            sprg: regs.sprg,
            hsprg: regs.hsprg,
            hdar: regs.hdar,
            hdsisr: regs.hdsisr,
            asdr: regs.asdr,
            dec: regs.dec,
            lpcr: regs.lpcr,
            ic: regs.ic,
            mmcr0: regs.mmcr0,
            mmcra: regs.mmcra,
            amr: regs.amr,
            hfscr: regs.hfscr,
            fpscr: regs.fpscr,
            spr: core::array::from_fn(|index| regs.spr.get(MASKED_SPRS[index].spr).unwrap_or_default()),
            vsr: regs.vsr.map(halves),
            cr: regs.cr,
            vscr: regs.vscr,
            lpidr: regs.lpidr.0,
            pidr: regs.pidr,
            vcpu: regs.vcpu,
            thread: regs.thread,
        }
    }
}

/// Fills registers: a hypervisor's, 64-bit and little endian, all else neutral.
///
/// # Safety
/// `regs` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uvsim_power_regs_init(regs: *mut uvsim_power_regs) -> i32 {
    guard(|| {
        // SAFETY: the caller's promise.
        unsafe { raw::put(regs, (&Regs::hypervisor()).into(), "regs") }
    })
}

/// Number of the special register at an index of `spr`; 0xffff behind the last.
#[unsafe(no_mangle)]
pub extern "C" fn uvsim_power_spr_number(index: usize) -> u16 {
    MASKED_SPRS.get(index).map_or(u16::MAX, |masked| masked.spr.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_register_comes_through() {
        let mut regs = Regs::hypervisor();
        for (index, register) in (1..).zip(&mut regs.gpr) {
            *register = index;
        }
        regs.vsr = core::array::from_fn(|index| u128::try_from(index + 1).unwrap() << 64 | 7);
        for (masked, value) in MASKED_SPRS.iter().zip(100..) {
            regs.spr.set(masked.spr, value);
        }
        (regs.nip, regs.cr, regs.xer, regs.lr, regs.ctr, regs.cfar) = (1, 2, 3, 4, 5, 6);
        (regs.srr0, regs.srr1, regs.hsrr0, regs.hsrr1, regs.sprg, regs.hsprg) =
            (7, 8, 9, 10, [11, 12, 13, 14], [15, 16]);
        (regs.hdar, regs.hdsisr, regs.asdr, regs.dec, regs.lpcr, regs.lpidr) = (17, 18, 19, 20, 21, Lpid(22));
        (regs.pidr, regs.ic, regs.mmcr0, regs.mmcra, regs.amr, regs.hfscr) = (23, 24, 25, 26, 27, 28);
        (regs.fpscr, regs.vscr, regs.vcpu, regs.thread) = (29, 30, 31, 32);
        assert!(Regs::from(uvsim_power_regs::from(&regs)) == regs);
    }
}
