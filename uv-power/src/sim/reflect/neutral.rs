//! The registers that the hypervisor finds (power-pef §8.2).

use super::super::platform::Platform;
use super::super::vectors;
use crate::abi::msr::{INTERRUPT_STATUS, Msr, SC_LEVEL_1, SC_LEVEL_MASK};
use crate::abi::numbers::HvCall;
use crate::abi::regs::{Regs, Spr};
use alloc::boxed::Box;

/// What the general registers show.
pub(super) enum Frame {
    /// Nothing but the cookie.
    Exception,
    /// R3 … R(2 + inputs) of the guest; the firmware leaves a random number in R0.
    Hypercall { inputs: usize, junk: u64 },
    /// A call of the ultravisor.
    Ultravisors { number: u64, args: Box<[u64]> },
}

/// MMCR0.FCH: counters stand still in hypervisor state.
const MMCR0_FREEZE_HYPERVISOR: u64 = 1;
/// HFSCR.TM: transactional memory can be used.
const HFSCR_TM: u64 = 1 << 5;
/// HFSCR.MSGP: privileged doorbells can be used.
const HFSCR_MSGP: u64 = 1 << 10;
/// LPCR.ONL: PURR and SPURR count.
const LPCR_ONLINE: u64 = 1 << 18;
/// Decrementer that is far away.
const DEC_FAR: u64 = 0x7fff_ffff;

/// What an entry is for.
#[derive(Clone, Copy)]
pub(super) struct Cause {
    pub(super) cookie: u32,
    pub(super) vector: u64,
    /// Status bits that the interrupt left in SRR1 or HSRR1.
    pub(super) status: u64,
}

/// What every entry of a secure guest does to the thread's registers (power-pef §8.3). `hv` are those that the hypervisor left:
/// LPCR and HFSCR are the thread's, so it finds them changed.
pub(crate) fn enter_guest(guest: &mut Regs, hv: &mut Regs) {
    hv.hfscr = (hv.hfscr & !HFSCR_TM) | HFSCR_MSGP;
    hv.lpcr &= !LPCR_ONLINE;
    (guest.hfscr, guest.lpcr) = (hv.hfscr, hv.lpcr);
    guest.mmcr0 |= MMCR0_FREEZE_HYPERVISOR;
    guest.spr.set(Spr::TRACE, 0);
}

/// The machine state of the hypervisor after an entry.
pub(super) fn hypervisor_msr(platform: &Platform, guest: &Regs, vector: u64, recoverable: bool) -> u64 {
    let mut msr = Msr::SF | Msr::HV;
    msr.set(Msr::ME, vector != vectors::MACHINE_CHECK);
    msr.set(Msr::LE, platform.hv_little_endian.load(core::sync::atomic::Ordering::Relaxed));
    msr.set(Msr::RI, recoverable);
    (msr | guest.msr().intersection(Msr::FP | Msr::VEC | Msr::VSX)).bits()
}

/// Makes the registers for one entry. `hv` are the hypervisor's own at its last leave.
///
/// Vector-scalar registers are zero whether the guest had the facility on or not: the published code leaves what is live
/// where it was off. MMCR0 and MMCRA are 0 too: the guest's stay with the ultravisor.
pub(super) fn frame(platform: &Platform, guest: &Regs, hv: &Regs, cause: Cause, frame: Frame) -> Regs {
    let Cause { cookie, vector, status } = cause;
    let mut out = Regs {
        nip: vector,
        msr: hypervisor_msr(platform, guest, vector, vectors::is_hypervisors(vector, hv.lpcr)),
        hsprg: hv.hsprg,
        lpcr: hv.lpcr,
        hfscr: hv.hfscr,
        lpidr: guest.lpidr,
        pidr: guest.pidr,
        vcpu: guest.vcpu,
        dec: DEC_FAR,
        thread: hv.thread,
        // The register document says "save and clear", the firmware does not touch it.
        amr: if platform.firmware() { guest.amr } else { 0 },
        ..Regs::default()
    };
    let level = if vector == vectors::SYSTEM_CALL { SC_LEVEL_1 } else { 0 };
    let interrupted = (guest.msr & !(INTERRUPT_STATUS | SC_LEVEL_MASK)) | status | Msr::S.bits() | level;
    (out.srr0, out.hsrr0) = (cookie.into(), cookie.into());
    (out.srr1, out.hsrr1) = (interrupted, interrupted);
    match frame {
        Frame::Exception => {}
        Frame::Hypercall { inputs, junk } => {
            out.gpr[3..3 + inputs].copy_from_slice(&guest.gpr[3..3 + inputs]);
            if platform.firmware() {
                out.gpr[0] = junk;
            }
            if guest.gpr[3] == HvCall::H_CEDE.0 {
                out.dec = guest.dec;
            }
        }
        Frame::Ultravisors { number, args } => {
            out.gpr[3] = number;
            for (register, value) in out.gpr[4..13].iter_mut().zip(args) {
                *register = value;
            }
        }
    }
    out.gpr[31] = cookie.into();
    match vector {
        vectors::MACHINE_CHECK => {
            for spr in [Spr::DAR, Spr::DSISR] {
                out.spr.set(spr, guest.spr.get(spr).unwrap_or(0));
            }
            out.asdr = guest.asdr;
        }
        vectors::DATA_STORAGE => (out.hdsisr, out.hdar, out.asdr) = (guest.hdsisr, guest.hdar, guest.asdr),
        vectors::INSTRUCTION_STORAGE => (out.hdar, out.asdr) = (guest.hdar, guest.asdr),
        _ => {}
    }
    out
}
