//! DIAG 308 of an emulated guest.

use uv_s390::abi::diag308::Diag308;
use uv_s390::hypervisor::vmm::diag308::{Outcome, ResetRequest};

use crate::guard::guard;
use crate::status::Failure;
use crate::{handle, raw, uvsim_handle};

/// The guest gets the program interruption `program`.
pub const UVSIM_Z_DIAG308_PROGRAM: u32 = 0;
/// GR r1+1 gets `response`; the guest goes on.
pub const UVSIM_Z_DIAG308_RESPONSE: u32 = 1;
/// The caller stops all CPUs, resets devices, and calls uvsim_z_reset() with `request`.
pub const UVSIM_Z_DIAG308_RESET: u32 = 2;

/// Subcode 0: modified clear.
pub const UVSIM_Z_RESET_MODIFIED_CLEAR: u32 = 0;
/// Subcode 1: load normal.
pub const UVSIM_Z_RESET_LOAD_NORMAL: u32 = 1;
/// Subcode 3: re-IPL; a protected guest becomes an ordinary one.
pub const UVSIM_Z_RESET_RE_IPL: u32 = 3;
/// Subcode 10: start as a protected guest.
pub const UVSIM_Z_RESET_PROTECTED: u32 = 10;

/// A DIAG 308 as the CPU issues it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct uvsim_z_diag308 {
    /// GR r3, all of it: the subcode.
    pub subcode: u64,
    /// GR r1: a guest absolute address for subcodes 5, 6, 8 and 9.
    pub address: u64,
    /// Number of r1, 0 to 15.
    pub r1: u32,
    /// Not 0: the CPU is in problem state.
    pub problem_state: u32,
}

/// What comes of it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct uvsim_z_diag308_answer {
    /// UVSIM_Z_DIAG308_PROGRAM, UVSIM_Z_DIAG308_RESPONSE or UVSIM_Z_DIAG308_RESET.
    pub kind: u32,
    /// Program interruption code.
    pub program: u32,
    /// UVSIM_Z_RESET_ of the subcode.
    pub request: u32,
    /// 0.
    pub reserved: u32,
    /// The response code, in its last 16 bits.
    pub response: u64,
}

/// A DIAG 308 of the guest. Subcodes 8 and 9 set and store the PV IPIB, 10 asks for the start as a protected guest; a
/// protected guest has none of the three. 5 and 6 keep an IPIB of their own, for a caller that has none; 0, 1 and 3 only say that a
/// reset is wanted.
///
/// # Safety
/// `call` can be read; `answer` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uvsim_z_guest_diag308(
    guest: uvsim_handle,
    call: *const uvsim_z_diag308,
    answer: *mut uvsim_z_diag308_answer,
) -> i32 {
    guard(|| {
        let guest = handle::guest(guest)?;
        // SAFETY: the caller's promise.
        let call = unsafe { raw::get(call, "call") }?;
        let r1 = u8::try_from(call.r1).ok().filter(|r1| *r1 < 16);
        let r1 = r1.ok_or_else(|| Failure::argument(format!("there is no register {}", call.r1)))?;
        let problem_state = call.problem_state != 0;
        // SAFETY: the caller's promise.
        unsafe { raw::put(answer, uvsim_z_diag308_answer::default(), "answer") }?;
        let outcome = guest.diag308(Diag308 { problem_state, r1, address: call.address, subcode: call.subcode });
        let none = uvsim_z_diag308_answer::default();
        let told = match outcome {
            Outcome::Program(code) => {
                uvsim_z_diag308_answer { kind: UVSIM_Z_DIAG308_PROGRAM, program: code.0.into(), ..none }
            }
            Outcome::Response(response) => {
                uvsim_z_diag308_answer { kind: UVSIM_Z_DIAG308_RESPONSE, response: response.0, ..none }
            }
            Outcome::Reset(request) => {
                let request = match request {
                    ResetRequest::ModifiedClear => UVSIM_Z_RESET_MODIFIED_CLEAR,
                    ResetRequest::LoadNormal => UVSIM_Z_RESET_LOAD_NORMAL,
                    ResetRequest::ReIpl => UVSIM_Z_RESET_RE_IPL,
                    ResetRequest::Protected => UVSIM_Z_RESET_PROTECTED,
                };
                uvsim_z_diag308_answer { kind: UVSIM_Z_DIAG308_RESET, request, ..none }
            }
        };
        // SAFETY: the caller's promise.
        unsafe { raw::put(answer, told, "answer") }
    })
}

/// What a reset leaves to the caller.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct uvsim_z_reset {
    /// 0, or the response for GR r1+1 of the CPU that asked: the start as a protected guest failed, the guest is ordinary and goes
    /// on behind its DIAG 308. uvsim_z_response_text() says why.
    pub response: u64,
    /// Not 0: the CPU that asked loads the PSW.
    pub has_psw: u32,
    /// 0.
    pub reserved: u32,
    /// Bits 0 to 63 of the PSW.
    pub psw_mask: u64,
    /// Its instruction address.
    pub psw_address: u64,
}

/// Carries out a reset, when all CPUs of the guest have stopped and devices have let go of its storage.
///
/// | request | here | the caller's part |
/// |---|---|---|
/// | UVSIM_Z_RESET_MODIFIED_CLEAR, _LOAD_NORMAL | a protected guest's pages are private again | CPU resets, the PSW |
/// | UVSIM_Z_RESET_RE_IPL | protection ends: private pages are cleared, secrets forgotten | resets, loading; no PSW |
/// | UVSIM_Z_RESET_PROTECTED | header, unpack, verify, in the guest's storage | clear reset of all CPUs, the PSW |
///
/// After a start that failed, what was unpacked is zero.
///
/// # Safety
/// `answer` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uvsim_z_guest_reset(guest: uvsim_handle, request: u32, answer: *mut uvsim_z_reset) -> i32 {
    guard(|| {
        let guest = handle::guest(guest)?;
        let request = match request {
            UVSIM_Z_RESET_MODIFIED_CLEAR => ResetRequest::ModifiedClear,
            UVSIM_Z_RESET_LOAD_NORMAL => ResetRequest::LoadNormal,
            UVSIM_Z_RESET_RE_IPL => ResetRequest::ReIpl,
            UVSIM_Z_RESET_PROTECTED => ResetRequest::Protected,
            other => return Err(Failure::argument(format!("there is no reset {other}"))),
        };
        // SAFETY: the caller's promise.
        unsafe { raw::put(answer, uvsim_z_reset::default(), "answer") }?;
        let told = match guest.reset(request) {
            Err(response) => uvsim_z_reset { response: response.0, ..uvsim_z_reset::default() },
            Ok(psw) => uvsim_z_reset {
                has_psw: psw.is_some().into(),
                psw_mask: psw.map_or(0, |psw| psw.mask.get()),
                psw_address: psw.map_or(0, |psw| psw.address.get()),
                ..uvsim_z_reset::default()
            },
        };
        // SAFETY: the caller's promise.
        unsafe { raw::put(answer, told, "answer") }
    })
}
