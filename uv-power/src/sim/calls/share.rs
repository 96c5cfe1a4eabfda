//! `UV_SHARE_PAGE`, `UV_UNSHARE_PAGE` (R4 first gfn, R5 pages) and `UV_UNSHARE_ALL_PAGES` (power-pef §3.15, §15).
//!
//! | # | check | documented | firmware |
//! |---|---|---|---|
//! | 1 | no object | `U_INVALID` | `U_FUNCTION` |
//! | 2 | first page in no slot | `U_PARAMETER` | R3 unchanged |
//! | 3 | no pages, or pages in no slot | `U_P2` | R3 unchanged |
//! | 4 | a page is in motion | `U_BUSY` | R3 unchanged |
//! | 5 | a page is the ultravisor's (unshare) | `U_PARAMETER` | R3 unchanged |
//! | 6 | the hypervisor refuses (share) | `U_P2` | R3 unchanged |
//! | - | done | `U_SUCCESS` | R3 unchanged |
//!
//! A guest access of another CPU that is at work on a shared page is waited for: the hypervisor gets its decrementer interrupt
//! (0x980) meanwhile.
//!
//! The firmware never writes R3: the guest finds the call's number there.

use alloc::{boxed::Box, sync::Arc};

use uv_core::{Gfn, PageRange};

use super::super::flow::{FlowEnd, Uv};
use super::super::inner::Inner;
use super::super::sharing::step::{Kind, ShareError};
use super::effect::Effect;
use crate::abi::codes::UvCode;
use crate::abi::regs::Regs;

fn begin(machine: &Inner, regs: &Regs) -> Result<Uv, Effect> {
    let none = if machine.platform.firmware() { UvCode::U_FUNCTION } else { UvCode::U_INVALID };
    let svm = machine.svm(regs.lpidr.0.into()).ok_or(none)?;
    Ok(Uv::new(&machine.platform, &svm))
}

/// What the guest gets for what happened.
pub(super) fn end(firmware: bool, done: Result<(), ShareError>) -> FlowEnd {
    let code = match done {
        Ok(()) => UvCode::U_SUCCESS,
        Err(ShareError::First | ShareError::Ultravisors) => UvCode::U_PARAMETER,
        Err(ShareError::Count | ShareError::Refused) => UvCode::U_P2,
        Err(ShareError::InMotion | ShareError::Accessed) => UvCode::U_BUSY,
        Err(ShareError::Lost(why)) => return FlowEnd::Kill(why),
    };
    if firmware { FlowEnd::Keep } else { FlowEnd::Result(code) }
}

/// A call whose work goes on while the hypervisor serves what the ultravisor asks for.
fn flow<F>(machine: &Inner, regs: &Regs, work: impl FnOnce(Arc<Uv>) -> F) -> Effect
where
    F: Future<Output = Result<(), ShareError>> + Send + 'static,
{
    let uv = match begin(machine, regs) {
        Ok(uv) => Arc::new(uv),
        Err(effect) => return effect,
    };
    let (svm, port, firmware) = (Arc::clone(&uv.svm), uv.port.clone(), uv.platform.firmware());
    let work = work(uv);
    Effect::Flow(svm, port, Box::pin(async move { end(firmware, work.await) }))
}

/// The range that R4 and R5 name.
fn range(regs: &Regs) -> PageRange {
    PageRange::new(Gfn(regs.gpr[4]), regs.gpr[5])
}

pub(super) fn share(machine: &Inner, regs: &Regs) -> Effect {
    let range = range(regs);
    flow(machine, regs, move |uv| async move { uv.share(range, Kind::Explicit).await })
}

pub(super) fn unshare(machine: &Inner, regs: &Regs) -> Effect {
    let range = range(regs);
    flow(machine, regs, move |uv| async move { uv.unshare(range).await })
}

pub(super) fn unshare_all(machine: &Inner, regs: &Regs) -> Effect {
    flow(machine, regs, |uv| async move { uv.unshare_all().await })
}
