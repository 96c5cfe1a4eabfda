//! A machine for a host: an LPAR with an Ultravisor.

use std::sync::Arc;

use uv_core::{GuestAddr, HostAddr};

use super::config;
use super::{Machine, answered, uvsim_z_answer, uvsim_z_config, uvsim_z_instruction};
use crate::guard::guard;
use crate::handle::{self, Object};
use crate::memory::{Memory, uvsim_memory};
use crate::status::{Failure, UVSIM_E_MEMORY, UVSIM_E_NOT_FOUND};
use crate::{raw, uvsim_handle};

/// Makes a machine whose host memory is the caller's. Its Ultravisor waits for INIT_UV. The machine writes to that memory
/// what a host may see: the ciphertext of exported pages, shared pages, zeros in what it gives back, and the answers
/// of uvsim_z_uvc_at().
///
/// # Safety
/// `config` and `memory` point to such structures, with what they say; `handle` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uvsim_z_machine_new(
    config: *const uvsim_z_config,
    memory: *const uvsim_memory,
    handle: *mut uvsim_handle,
) -> i32 {
    guard(|| {
        // SAFETY: the caller's promise.
        let memory = Memory::new(unsafe { raw::get(memory, "memory") }?)?;
        // SAFETY: the caller's promise.
        let read = unsafe { config::read(config, memory.size()) }?;
        let sim = uv_s390::sim::Machine::with_memory(read.machine, Arc::new(memory));
        sim.walk_tables(read.walk);
        if let Some(uid) = read.uid {
            sim.set_next_config_uid(uid);
        }
        let closed = sim.closed_frames();
        // SAFETY: the caller's promise.
        unsafe { put_handle(handle, || Object::Machine(Arc::new(Machine { sim, closed }))) }
    })
}

/// Opens an object for a caller that has a place for its handle.
///
/// # Safety
/// `handle` is NULL or can be written.
pub(crate) unsafe fn put_handle(handle: *mut uvsim_handle, make: impl FnOnce() -> Object) -> crate::status::Done {
    if handle.is_null() {
        return Err(Failure::argument("handle is NULL"));
    }
    let opened = handle::open(make())?;
    // SAFETY: the caller's promise.
    unsafe { raw::put(handle, opened, "handle") }
}

/// A UVC of a host CPU, on a copy of its control block: `block` is read and gets the answer, `len` bytes of it can be
/// reached. A shorter block than its header says gives a page-translation interruption, as on a machine.
///
/// # Safety
/// `instruction` is NULL or can be read; `block` has `len` bytes that can be read and written; `answer` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uvsim_z_uvc(
    machine: uvsim_handle,
    instruction: *const uvsim_z_instruction,
    block: *mut u8,
    len: usize,
    answer: *mut uvsim_z_answer,
) -> i32 {
    guard(|| {
        let machine = handle::machine(machine)?;
        // SAFETY: the caller's promise.
        let mut copy = unsafe { raw::bytes(block, len, "block") }?;
        let call = |instruction| {
            let done = machine.sim.execute(instruction, &mut copy);
            // SAFETY: the caller's promise.
            unsafe { raw::put_bytes(&copy, block, len) };
            Ok(done.into())
        };
        // SAFETY: the caller's promise.
        unsafe { answered(instruction, answer, call) }
    })
}

/// A UVC of a host CPU, on a control block at a host virtual address, in the home space (uvsim_z_set_home_space()). The answer
/// is stored there. Interruptions for the operand are as on a machine: 0x11, 0x05 and 0x3d, with their TEID.
///
/// # Safety
/// `instruction` is NULL or can be read; `answer` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uvsim_z_uvc_at(
    machine: uvsim_handle,
    instruction: *const uvsim_z_instruction,
    address: u64,
    answer: *mut uvsim_z_answer,
) -> i32 {
    guard(|| {
        let machine = handle::machine(machine)?;
        // SAFETY: the caller's promise.
        unsafe { answered(instruction, answer, |instruction| Ok(machine.sim.execute_at(instruction, address).into())) }
    })
}

/// A UVC of a protected guest of this machine, on a control block at a guest absolute address. The answer is stored there. `conf` is the
/// handle that CREATE_SEC_CONF gave. UVSIM_E_NOT_FOUND: no configuration with a verified image has it.
///
/// # Safety
/// `instruction` is NULL or can be read; `answer` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uvsim_z_guest_uvc_at(
    machine: uvsim_handle,
    conf: u64,
    instruction: *const uvsim_z_instruction,
    address: u64,
    answer: *mut uvsim_z_answer,
) -> i32 {
    guard(|| {
        let machine = handle::machine(machine)?;
        let call = |instruction| {
            let done = machine.sim.guest_uv_call(conf, instruction, GuestAddr(address));
            let none = || format!("no configuration with a verified image has the handle {conf:#x}");
            done.map(uvsim_z_answer::from).ok_or_else(|| Failure::new(UVSIM_E_NOT_FOUND, none()))
        };
        // SAFETY: the caller's promise.
        unsafe { answered(instruction, answer, call) }
    })
}

/// Says how many host CPUs run. INIT_UV wants one; a new machine has one.
#[unsafe(no_mangle)]
pub extern "C" fn uvsim_z_set_running_cpus(machine: uvsim_handle, count: u32) -> i32 {
    guard(|| {
        handle::machine(machine)?.sim.set_running_cpus(count);
        Ok(())
    })
}

/// Host reset "load normal": every configuration ends, donated storage is cleared and given back, the Ultravisor waits for
/// INIT_UV again. No other call may be at work.
#[unsafe(no_mangle)]
pub extern "C" fn uvsim_z_load_normal(machine: uvsim_handle) -> i32 {
    guard(|| {
        handle::machine(machine)?.sim.load_normal();
        Ok(())
    })
}

/// Whether a host access to `len` bytes at a host absolute address takes a secure-storage access exception (0x3d): `*closed`
/// gets 1 if it does, else 0. UVSIM_E_MEMORY: there is no memory in the range.
///
/// # Safety
/// `closed` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uvsim_z_is_closed(machine: uvsim_handle, address: u64, len: u64, closed: *mut u32) -> i32 {
    guard(|| {
        let machine = handle::machine(machine)?;
        let checked = uv_core::NormalMemory::check(&machine.sim.host_memory(), HostAddr(address), len);
        let is = match checked {
            Ok(()) => 0,
            Err(uv_core::AccessError::Secure { .. }) => 1,
            Err(error) => return Err(Failure::new(UVSIM_E_MEMORY, error.to_string())),
        };
        // SAFETY: the caller's promise.
        unsafe { raw::put(closed, is, "closed") }
    })
}
