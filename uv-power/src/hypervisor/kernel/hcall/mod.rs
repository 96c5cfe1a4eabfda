//! The hypercalls that the kernel serves: those by which an ultravisor asks for pages and tells where a VM is (power-pef
//! §4), and `H_REGISTER_VPA`, whose areas end with secure mode.
//!
//! Who uses it: the run loop of a virtual CPU; a kernel with a run loop of its own.
//!
//! A call of user mode (SRR1.PR) is not served: the guest's kernel gets a program interrupt for a privileged instruction (a hash
//! guest, which may run another hypervisor, a system call). The kernel takes a `H_SVM_*` call only when SRR1 has S set, so
//! that it came from the ultravisor; a normal guest that makes one gets `H_UNSUPPORTED`. `H_SVM_INIT_ABORT` is the
//! exception: it arrives with S off.

mod init_abort;
mod init_done;
mod init_start;
mod page_in;
mod page_out;
mod register_vpa;

use crate::abi::codes::HvCode;
use crate::abi::msr::{Msr, STATUS_PRIVILEGED};
use crate::abi::numbers::HvCall;
use crate::hypervisor::kernel::Vm;
pub(super) use init_abort::drop_pages;
pub(super) use init_done::move_rest;
pub(super) use init_start::{drop_slot, register};
pub(super) use page_in::bring_in;
pub(super) use page_out::{leave_secure_memory, take_out};

/// What became of a hypercall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Served {
    /// The result for R3.
    Answer(HvCode),
    /// The kernel does not handle the call itself: user space gets it.
    UserSpace,
    /// The guest is interrupted instead: vector and SRR1 status.
    Interrupt(u64, u64),
}

/// Serves a call with its arguments (R4, R5, R6) and SRR1 as the hypervisor found it.
pub fn dispatch(vm: &Vm, call: HvCall, args: [u64; 3], srr1: Msr) -> Served {
    if srr1.contains(Msr::PR) {
        return if vm.radix { Served::Interrupt(0x700, STATUS_PRIVILEGED) } else { Served::Interrupt(0xc00, 0) };
    }
    let code = match call {
        HvCall::H_SVM_INIT_ABORT => init_abort::init_abort(vm),
        HvCall::H_SVM_PAGE_IN | HvCall::H_SVM_PAGE_OUT | HvCall::H_SVM_INIT_START | HvCall::H_SVM_INIT_DONE
            if !srr1.contains(Msr::S) =>
        {
            HvCode::H_UNSUPPORTED
        }
        HvCall::H_SVM_PAGE_IN => page_in::page_in(vm, args[0], args[1], args[2]),
        HvCall::H_SVM_PAGE_OUT => page_out::page_out(vm, args[0], args[1], args[2]),
        HvCall::H_SVM_INIT_START => init_start::init_start(vm),
        HvCall::H_SVM_INIT_DONE => init_done::init_done(vm),
        HvCall::H_REGISTER_VPA => register_vpa::register_vpa(vm, args),
        _ => return Served::UserSpace,
    };
    tracing::debug!(lpid = vm.lpid().0, %call, gpa = args[0], flags = args[1], %code, "hypercall");
    Served::Answer(code)
}
