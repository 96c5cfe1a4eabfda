//! The hypercalls that the kernel serves: those by which an ultravisor asks for pages and tells where a VM is (power-pef
//! §4), and `H_REGISTER_VPA`, whose areas end with secure mode.
//!
//! The kernel takes a `H_SVM_*` call only when SRR1 of the interrupt has S set, so that it came from the ultravisor; a
//! normal guest that makes one gets `H_UNSUPPORTED`. `H_SVM_INIT_ABORT` is the exception: it arrives with S off.

mod init_abort;
mod init_done;
mod init_start;
mod page_in;
mod page_out;
mod register_vpa;

pub(super) use init_abort::drop_pages;
pub(super) use init_done::move_rest;
pub(super) use init_start::{drop_slot, register};
pub(super) use page_in::{make_resident, share};
pub(super) use page_out::take_out;

use crate::abi::codes::HvCode;
use crate::abi::numbers::HvCall;
use crate::hypervisor::kernel::Vm;

/// Serves a call with its arguments (R4, R5, R6). `None` for a call that the kernel does not handle itself: the
/// user gets it.
pub fn dispatch(vm: &Vm, call: HvCall, args: [u64; 3], from_secure: bool) -> Option<HvCode> {
    let code = match call {
        HvCall::H_SVM_INIT_ABORT => init_abort::init_abort(vm),
        HvCall::H_SVM_PAGE_IN | HvCall::H_SVM_PAGE_OUT | HvCall::H_SVM_INIT_START | HvCall::H_SVM_INIT_DONE
            if !from_secure =>
        {
            HvCode::H_UNSUPPORTED
        }
        HvCall::H_SVM_PAGE_IN => page_in::page_in(vm, args[0], args[1], args[2]),
        HvCall::H_SVM_PAGE_OUT => page_out::page_out(vm, args[0], args[1], args[2]),
        HvCall::H_SVM_INIT_START => init_start::init_start(vm),
        HvCall::H_SVM_INIT_DONE => init_done::init_done(vm),
        HvCall::H_REGISTER_VPA => register_vpa::register_vpa(vm, args),
        _ => return None,
    };
    tracing::debug!(lpid = vm.lpid().0, %call, gpa = args[0], flags = args[1], %code, "hypercall");
    Some(code)
}
