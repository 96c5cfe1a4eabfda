//! A guest whose CPUs the caller emulates.

use std::sync::Arc;

use uv_core::GuestAddr;
use uv_s390::sim::EmulatedGuest;

use super::config;
use super::host::put_handle;
use super::{answered, uvsim_z_answer, uvsim_z_config, uvsim_z_instruction};
use crate::guard::guard;
use crate::handle::{self, Object};
use crate::memory::{Memory, uvsim_memory};
use crate::status::{Failure, UVSIM_E_KEY, UVSIM_E_NOT_FOUND};
use crate::{raw, uvsim_handle};

/// Makes a guest whose CPUs the caller emulates and whose storage, from guest absolute 0 on, is the caller's. `is_protected` 0: an
/// ordinary guest, which may become protected by DIAG 308. Else: protected from its first instruction on, with an SE header
/// of its own, for no pages.
///
/// Private pages lie in the caller's memory in clear: an emulator runs the guest's instructions there.
/// uvsim_z_closed_frames() says what devices must leave alone.
///
/// # Safety
/// `config` and `memory` point to such structures, with what they say; `handle` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uvsim_z_guest_new(
    config: *const uvsim_z_config,
    memory: *const uvsim_memory,
    is_protected: u32,
    handle: *mut uvsim_handle,
) -> i32 {
    guard(|| {
        // SAFETY: the caller's promise.
        let memory = Memory::new(unsafe { raw::get(memory, "memory") }?)?;
        // SAFETY: the caller's promise.
        let read = unsafe { config::read(config, memory.size()) }?;
        let guest = EmulatedGuest::new(read.machine, Arc::new(memory));
        if let Some(uid) = read.uid {
            guest.set_next_config_uid(uid);
        }
        if is_protected != 0 {
            guest.protect_first().map_err(|error| Failure::new(UVSIM_E_KEY, error.to_string()))?;
        }
        // SAFETY: the caller's promise.
        unsafe { put_handle(handle, || Object::Guest(Arc::new(guest))) }
    })
}

/// A UVC of the guest, on a control block at a guest absolute address. The answer is stored there. An ordinary guest gets an
/// operation exception (0x01).
///
/// # Safety
/// `instruction` is NULL or can be read; `answer` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uvsim_z_guest_uvc(
    guest: uvsim_handle,
    instruction: *const uvsim_z_instruction,
    address: u64,
    answer: *mut uvsim_z_answer,
) -> i32 {
    guard(|| {
        let guest = handle::guest(guest)?;
        let call = |instruction| Ok(guest.uv_call(instruction, GuestAddr(address)).into());
        // SAFETY: the caller's promise.
        unsafe { answered(instruction, answer, call) }
    })
}

/// Whether the guest is protected: `*is_protected` gets 1 or 0.
///
/// # Safety
/// `is_protected` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uvsim_z_guest_is_protected(guest: uvsim_handle, is_protected: *mut u32) -> i32 {
    guard(|| {
        let guest = handle::guest(guest)?;
        // SAFETY: the caller's promise.
        unsafe { raw::put(is_protected, guest.is_protected().into(), "is_protected") }
    })
}

/// The SE header that a protected guest was started with; its owner's requests are made for it. Writes at most `len` bytes to `into`;
/// `*needed` gets the length of the header (at most 8192). UVSIM_E_NOT_FOUND: the guest is ordinary.
///
/// # Safety
/// `into` has `len` bytes that can be written; `needed` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uvsim_z_se_header(guest: uvsim_handle, into: *mut u8, len: usize, needed: *mut usize) -> i32 {
    guard(|| {
        let header = handle::guest(guest)?.se_header();
        let header = header.ok_or_else(|| Failure::new(UVSIM_E_NOT_FOUND, "an ordinary guest has no SE header"))?;
        // SAFETY: the caller's promise.
        unsafe { raw::put(needed, header.len(), "needed") }?;
        // SAFETY: the caller's promise.
        unsafe { raw::put_bytes(&header, into, len) };
        Ok(())
    })
}
