//! `UV_ESM` (R4 kernel base, R5 device tree; power-pef §3.14): the checks before the transition begins.
//!
//! | # | check | documented | firmware |
//! |---|---|---|---|
//! | 1 | R4 = 0 | `U_PARAMETER` | `U_P2` |
//! | 2 | R5 = 0 | `U_P2` | `U_P3` |
//! | 3 | LPIDR = 0 | `U_PERMISSION` | `U_PERMISSION` |
//! | 4 | the VM is secure already | `U_SUCCESS` | `U_RETRY` |
//! | 5 | the partition has an object | `U_RETRY` | `U_RETRY` |
//! | 6 | no memory for the page tables | - | R3 unchanged, the object stays |
//! | - | the transition begins: [`super::super::esm`] | | |
//!
//! The document calls R4 the address of the blob. What guests pass, and what is taken in both profiles, is the address of
//! the kernel.

use alloc::{boxed::Box, sync::Arc};
use core::sync::atomic::Ordering;

use uv_core::GuestAddr;
use uv_sim::seal::Suite;

use super::super::esm::transition;
use super::super::flow::Uv;
use super::super::inner::Inner;
use super::super::svm::{Svm, SvmState};
use super::effect::Effect;
use crate::abi::Profile;
use crate::abi::codes::UvCode;
use crate::abi::regs::Regs;

/// Pages a VM's page table reaches: 4 TiB of guest memory.
const PAGES: u64 = 1 << 26;

pub(super) fn esm(machine: &Inner, regs: &Regs) -> Effect {
    let platform = &machine.platform;
    let firmware = platform.firmware();
    let (kernel, tree, lpid) = (regs.gpr[4], regs.gpr[5], regs.lpidr);
    if kernel == 0 {
        return if firmware { UvCode::U_P2 } else { UvCode::U_PARAMETER }.into();
    }
    if tree == 0 {
        return if firmware { UvCode::U_P3 } else { UvCode::U_P2 }.into();
    }
    if lpid.0 == 0 {
        return UvCode::U_PERMISSION.into();
    }
    let known = |state| match state {
        SvmState::Secure if !firmware => UvCode::U_SUCCESS,
        _ => UvCode::U_RETRY,
    };
    if let Some(svm) = machine.svm(lpid.0.into()) {
        return known(svm.state()).into();
    }
    // The documents name AES-IAPM, for which nothing public exists: AES-256-CCM stands for it, an authenticated mode too.
    let suite = match platform.profile {
        Profile::Documented => Suite::Aes256Ccm,
        Profile::Firmware => Suite::Aes128Gcm,
    };
    let space = platform.engine.create_space(PAGES, suite);
    let rng = platform.engine.rng(&alloc::format!("cookies {}", space.owner().0));
    let svm = Arc::new(Svm::new(lpid, space, rng));
    if !machine.insert_svm(Arc::clone(&svm)) {
        return UvCode::U_RETRY.into();
    }
    platform.failures.write().remove(&lpid);
    if !platform.reserve(1) {
        return Effect::Keep;
    }
    svm.reserved.fetch_add(1, Ordering::Relaxed);
    tracing::debug!(lpid = lpid.0, kernel, tree, "UV_ESM");
    let uv = Uv::new(platform, &svm);
    let port = uv.port.clone();
    Effect::Flow(svm, port, Box::pin(transition(uv, GuestAddr(kernel), GuestAddr(tree))))
}
