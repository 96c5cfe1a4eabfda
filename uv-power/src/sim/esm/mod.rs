//! The transition to secure mode, step by step (power-pef §7).
//!
//! | # | who | step |
//! |---|---|---|
//! | 1 | ultravisor → hypervisor | `H_SVM_INIT_START` (the hypervisor registers the memory slots) |
//! | 2 | | the device tree is brought in and checked |
//! | 3 | | pages for the ultravisor are reserved and shared |
//! | 4 | | RTAS, initrd, blob and kernel are brought in and compared with the blob |
//! | 5 | ultravisor → hypervisor | `H_SVM_INIT_DONE` |
//! | 6 | | boot CPU checked, partition entry written, the VM is secure |
//! | 7 | | the device tree with the reservations goes back into guest memory, the guest starts |
//!
//! Every failure from step 1 to before the commit of step 6 ends in `H_SVM_INIT_ABORT`; one in step 7 kills the VM.

mod handlers;
mod image;
mod memory;
mod tpm;
mod tree;

use super::failure::EsmFailure;
use super::flow::{FlowEnd, Uv};
use super::svm::SvmState;
use crate::abi::codes::HvCode;
use crate::abi::numbers::{HvCall, PAGE_BYTES, SECURE_ADDRESS};
use core::sync::atomic::Ordering;
use tree::GuestTree;
use uv_core::{GuestAddr, PageSize};

/// Size of the root directory of a VM's page table as a power of two.
const ROOT_SIZE: u64 = 13;
/// dw0: host radix, tree of 52 bits.
const RADIX: u64 = 1 << 63 | 2 << 61 | 5 << 5;

/// `UV_ESM` from its first hypercall to its end.
pub(crate) async fn transition(uv: Uv, kernel: GuestAddr, tree: GuestAddr) -> FlowEnd {
    let packed = match prepare(&uv, kernel, tree).await {
        Ok(packed) => packed,
        Err(failure) => {
            tracing::info!(lpid = uv.svm.lpid.0, stage = failure.stage(), %failure, "transition to secure mode failed");
            uv.svm.set_state(SvmState::Abort);
            uv.platform.failures.write().insert(uv.svm.lpid, failure);
            return FlowEnd::InitAbort;
        }
    };
    commit(&uv);
    match uv.write(tree, &packed).await {
        Ok(()) => FlowEnd::Enter { nip: kernel.0, tree: tree.0 },
        Err(failure) => {
            uv.platform.failures.write().insert(uv.svm.lpid, failure);
            FlowEnd::Kill("the device tree cannot be copied back")
        }
    }
}

/// Everything before the commit; gives the device tree that goes back.
async fn prepare(uv: &Uv, kernel: GuestAddr, tree_at: GuestAddr) -> Result<alloc::vec::Vec<u8>, EsmFailure> {
    ask(uv, HvCall::H_SVM_INIT_START).await?;
    // 64 KiB from the address of the tree on come first: two pages, if it does not begin one.
    uv.bring(tree_at, PAGE_BYTES).await?;
    let header = uv.read(tree_at, tree::HEADER as u64).await?;
    let total = tree::total_size(&header)?;
    uv.bring(tree_at, total.into()).await?;
    tree::check_size(total)?;
    if !uv.platform.reserve(1) {
        return Err(EsmFailure::NoMemory);
    }
    uv.svm.reserved.fetch_add(1, Ordering::Relaxed);
    let mut tree = GuestTree::new(uv.read(tree_at, total.into()).await?)?;
    let tpm = handlers::run(uv, &mut tree).await?;
    match image::check(uv, &tree, kernel, tpm).await {
        Err(failure @ (EsmFailure::Blob(_) | EsmFailure::Tpm(_))) if uv.platform.tolerate_failed_check => {
            tracing::warn!(lpid = uv.svm.lpid.0, %failure, "check of the ESM blob failed and is TOLERATED");
            bring_all(uv).await?;
        }
        other => other?,
    }
    ask(uv, HvCall::H_SVM_INIT_DONE).await?;
    let (boot, max) = (tree.boot_cpu(), uv.svm.max_vcpus.load(Ordering::Relaxed));
    if boot >= max {
        return Err(EsmFailure::BootCpu { boot, max });
    }
    tree.packed().ok_or(EsmFailure::TreeHeader("blocks"))
}

async fn ask(uv: &Uv, call: HvCall) -> Result<(), EsmFailure> {
    match uv.hypercall(call, &[]).await.code {
        HvCode::H_SUCCESS => Ok(()),
        code => Err(EsmFailure::Hypercall { call, code }),
    }
}

/// Every page of every slot, for a build that carries on after a failed check.
async fn bring_all(uv: &Uv) -> Result<(), EsmFailure> {
    let slots: alloc::vec::Vec<_> = uv.svm.slots.read().iter().collect();
    for slot in slots {
        uv.bring(PageSize::K64.addr(slot.first), slot.count << PageSize::K64.shift()).await?;
    }
    Ok(())
}

/// The partition's entry points to the ultravisor's page table from now on.
fn commit(uv: &Uv) {
    let lpid = uv.svm.lpid;
    let (_, dw1) = uv.platform.entry(lpid);
    // One root directory of 64 KiB for each partition, from the start of secure memory.
    let root = SECURE_ADDRESS | u64::from(lpid.0) << 16;
    uv.platform.write_entry(lpid, RADIX | root | ROOT_SIZE, dw1);
    uv.svm.set_state(SvmState::Secure);
}
