//! Codes in words.

use core::ffi::c_char;

use uv_s390::abi::diag308::{Response, StartFailure};
use uv_s390::abi::uvc::{Cc, PgmCode, UvError, UvRc, UvRrc};
use uv_s390::abi::uvcb::UvCommand;

use crate::raw;

/// The name of a UV call, by its command code; the number for one that is not known. Text as of uvsim_last_error().
///
/// # Safety
/// `into` has `len` bytes that can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uvsim_z_command_text(command: u16, into: *mut c_char, len: usize) -> usize {
    // SAFETY: the caller's promise.
    unsafe { raw::put_text(&UvCommand(command).to_string(), into, len) }
}

/// A refused UV call in words: its name and its codes. Text as of uvsim_last_error().
///
/// # Safety
/// `into` has `len` bytes that can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uvsim_z_refusal_text(command: u16, rc: u16, rrc: u16, into: *mut c_char, len: usize) -> usize {
    let error = UvError { command: UvCommand(command), cc: Cc::Error, rc: UvRc(rc), rrc: UvRrc(rrc) };
    // SAFETY: the caller's promise.
    unsafe { raw::put_text(&error.to_string(), into, len) }
}

/// A program interruption code in words. Text as of uvsim_last_error().
///
/// # Safety
/// `into` has `len` bytes that can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uvsim_z_program_text(code: u16, into: *mut c_char, len: usize) -> usize {
    // SAFETY: the caller's promise.
    unsafe { raw::put_text(&PgmCode(code).to_string(), into, len) }
}

/// A response of DIAG 308 in words: for a failed start the command, its codes and what they mean to the guest's owner.
/// Text as of uvsim_last_error().
///
/// # Safety
/// `into` has `len` bytes that can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uvsim_z_response_text(response: u64, into: *mut c_char, len: usize) -> usize {
    let response = Response(response);
    let text = match response.start_failure() {
        Some(failure) => started(failure),
        None => match response.code() {
            Response::OK => "done".to_owned(),
            Response::NO_CONFIGURATION => "no configuration is stored".to_owned(),
            Response::INVALID_IPIB => "the IPIB is not valid".to_owned(),
            Response::NO_PV_CONFIGURATION => "no PV configuration is stored".to_owned(),
            Response::CANNOT_ENTER => "the guest cannot become a protected guest".to_owned(),
            other => other.to_string(),
        },
    };
    // SAFETY: the caller's promise.
    unsafe { raw::put_text(&text, into, len) }
}

fn started(failure: StartFailure) -> String {
    let command = match failure.command {
        2 => "set SE header",
        3 => "unpack",
        4 => "verify",
        _ => "start",
    };
    let codes = format!("{command}: rc {:#06x}, rrc {:#06x}", failure.rc, failure.rrc);
    match failure.meaning() {
        Some(meaning) => format!("{codes}: {meaning}"),
        None => codes,
    }
}
