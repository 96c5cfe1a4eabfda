//! The ultracalls: one call, one file. The dispatcher decides who may call before any argument is looked at.
//!
//! | # | condition, in order (power-pef §3.2) | result |
//! |---|---|---|
//! | 1 | the caller is in HV state with a transaction active or suspended, any call but `UV_RETURN` | `U_BAD_MODE` |
//! | 2 | a hypervisor's call, and (MSR and (HV or PR)) is not exactly HV | `U_PERMISSION`; documented for `UV_RETURN`: `U_INVALID` |
//! | 3 | a share call from a VM that is not secure | `U_PERMISSION`; documented: `U_INVALID` |
//! | 4 | a share call or `UV_ESM` with HV or PR | `U_PERMISSION` |
//! | 5 | `UV_ESMB_GET_FILE` of anybody but a secure VM (its user code included) | documented: `U_PERMISSION`; firmware: no check |
//! | 6 | any other number | `U_FUNCTION` |
//!
//! Step 5: the files of a blob are the guest's secrets. The document means them for the secure VM; the published code asks nobody,
//! so a hypervisor that loads the VM's number into LPIDR reads them.
//!
//! The documented `U_INVALID` of step 3 is for the kernel of a normal VM, the one caller the document speaks of there.

mod esm;
pub(crate) mod get_file;
mod page_in;
mod page_inval;
mod page_out;
mod platform_memory;
mod register_mem_slot;
pub(crate) mod sbe;
mod scom;
mod share;
mod spr;
mod svm_terminate;
#[cfg(test)]
mod tests;
mod unregister_mem_slot;
pub(crate) mod uv_return;
mod write_pate;

use super::flow::{Flow, Port};
use super::machine::Inner;
use super::platform::Platform;
use super::svm::Svm;
use crate::abi::codes::UvCode;
use crate::abi::msr::{Msr, Privilege};
use crate::abi::numbers::{PAGE_BYTES, PAGE_ORDER, SECURE_ADDRESS, UvCall};
use crate::abi::regs::Regs;
use alloc::sync::Arc;
use uv_core::{Gfn, HostAddr};
use uv_sim::SpaceError;

/// What a call came to.
pub(crate) enum Effect {
    /// R3 gets this.
    Result(UvCode),
    /// R3 stays as it is.
    Keep,
    /// A flow begins.
    Flow(Arc<Svm>, Port, Flow),
}

impl From<UvCode> for Effect {
    fn from(code: UvCode) -> Self {
        Self::Result(code)
    }
}

/// How often a hypervisor's call waits for guest accesses to a page, each time for some milliseconds.
const ACCESS_TRIES: u32 = 64;

/// Decides who may call, and calls. `UV_RETURN` of a hypervisor never comes here.
pub(crate) fn dispatch(machine: &Inner, regs: &mut Regs) -> Effect {
    let number = UvCall(regs.gpr[3]);
    match permission(machine, number, regs.msr()) {
        Ok(()) => run(machine, number, regs),
        Err(code) => code.into(),
    }
}

fn permission(machine: &Inner, number: UvCall, msr: Msr) -> Result<(), UvCode> {
    let documented = |code| if machine.platform.firmware() { UvCode::U_PERMISSION } else { code };
    let mode = msr.intersection(Msr::HV | Msr::PR);
    if msr.contains(Msr::HV) && msr.in_transaction() && number != UvCall::UV_RETURN {
        return Err(UvCode::U_BAD_MODE);
    }
    match number {
        UvCall::UV_ESMB_GET_FILE => match msr.privilege() {
            Privilege::SecureSupervisor | Privilege::SecureProblem => Ok(()),
            _ if machine.platform.firmware() => Ok(()),
            _ => Err(UvCode::U_PERMISSION),
        },
        UvCall::UV_SHARE_PAGE | UvCall::UV_UNSHARE_PAGE | UvCall::UV_UNSHARE_ALL_PAGES => {
            match (mode.is_empty(), msr.contains(Msr::S)) {
                (true, true) => Ok(()),
                (true, false) => Err(documented(UvCode::U_INVALID)),
                (false, _) => Err(UvCode::U_PERMISSION),
            }
        }
        UvCall::UV_ESM if mode.is_empty() => Ok(()),
        UvCall::UV_ESM => Err(UvCode::U_PERMISSION),
        UvCall::UV_RETURN => Err(documented(UvCode::U_INVALID)),
        number if number.name().is_none() => Err(UvCode::U_FUNCTION),
        // S with HV is the ultravisor itself: no caller.
        _ if mode == Msr::HV && !msr.contains(Msr::S) => Ok(()),
        _ => Err(UvCode::U_PERMISSION),
    }
}

fn run(machine: &Inner, number: UvCall, regs: &mut Regs) -> Effect {
    match number {
        UvCall::UV_WRITE_PATE => write_pate::write_pate(machine, regs).into(),
        UvCall::UV_RESTRICTED_SPR_WRITE => spr::write(machine, regs).into(),
        UvCall::UV_RESTRICTED_SPR_READ => spr::read(machine, regs).into(),
        UvCall::UV_READ_SCOM => scom::read(machine, regs).into(),
        UvCall::UV_WRITE_SCOM => scom::write(machine, regs).into(),
        UvCall::UV_REGISTER_MEM_SLOT => register_mem_slot::register(machine, regs).into(),
        UvCall::UV_UNREGISTER_MEM_SLOT => unregister_mem_slot::unregister(machine, regs).into(),
        UvCall::UV_PAGE_IN => page_in::page_in(machine, regs).into(),
        UvCall::UV_PAGE_OUT => page_out::page_out(machine, regs).into(),
        UvCall::UV_PAGE_INVAL => page_inval::page_inval(machine, regs).into(),
        UvCall::UV_SVM_TERMINATE => svm_terminate::terminate(machine, regs).into(),
        UvCall::UV_READ_MEM => platform_memory::read(machine, regs).into(),
        UvCall::UV_WRITE_MEM => platform_memory::write(machine, regs).into(),
        UvCall::UV_SEND_SBE_COMMAND => sbe::send(machine, regs).into(),
        UvCall::UV_ESMB_GET_FILE => get_file::get_file(machine, regs).into(),
        UvCall::UV_SHARE_PAGE => share::share(machine, regs),
        UvCall::UV_UNSHARE_PAGE => share::unshare(machine, regs),
        UvCall::UV_UNSHARE_ALL_PAGES => share::unshare_all(machine, regs),
        UvCall::UV_ESM => esm::esm(machine, regs),
        _ => UvCode::U_FUNCTION.into(),
    }
}

/// A normal page named by the hypervisor: not 0, not secure, a page address. The firmware does not look at the alignment
/// and would run across the frame; here it is refused in both profiles.
fn normal_page(register: u64) -> Option<HostAddr> {
    let good = register != 0 && register & SECURE_ADDRESS == 0 && register.is_multiple_of(PAGE_BYTES);
    good.then_some(HostAddr(register))
}

/// A guest page named by the hypervisor: a page address in a registered slot. Alignment as in [`normal_page`].
fn page_in_slot(svm: &Svm, register: u64) -> Option<Gfn> {
    let gfn = Gfn(register >> PAGE_ORDER);
    (register.is_multiple_of(PAGE_BYTES) && svm.slots.read().contains(gfn)).then_some(gfn)
}

/// The code of a call on pages of a VM whose transition failed. The document's lists have no code of the state, so the VM is what is
/// wrong.
fn aborted(platform: &Platform) -> UvCode {
    if platform.firmware() { UvCode::U_STATE } else { UvCode::U_PARAMETER }
}

/// The code for a page that is in motion or for which there is no frame right now.
fn busy(platform: &Platform) -> UvCode {
    if platform.firmware() { UvCode::U_RETRY } else { UvCode::U_BUSY }
}

/// The code of an engine's refusal that no row of a call's table names.
fn refused(platform: &Platform, error: SpaceError) -> UvCode {
    match error {
        SpaceError::Busy(_) | SpaceError::NoFrame => busy(platform),
        SpaceError::Memory(_) | SpaceError::Unaligned(_) => UvCode::U_P2,
        SpaceError::Closed => UvCode::U_PARAMETER,
        SpaceError::OutOfRange(_) | SpaceError::State { .. } | SpaceError::Integrity(_) => UvCode::U_P3,
    }
}

/// Takes the lock of a page in a slot. The documented ultravisor says [`UvCode::U_BUSY`] when another CPU has it, the firmware
/// waits. The slot is looked at again under the lock: it may have been taken away meanwhile, and then this is `outside`.
fn lock<'a>(platform: &Platform, svm: &'a Svm, gfn: Gfn, outside: UvCode) -> Result<spin::MutexGuard<'a, ()>, UvCode> {
    let held = if platform.firmware() { svm.lock(gfn) } else { svm.try_lock(gfn).ok_or(UvCode::U_BUSY)? };
    if svm.slots.read().contains(gfn) { Ok(held) } else { Err(outside) }
}
