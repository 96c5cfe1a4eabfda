//! POWER: a machine that answers ultracalls.

mod regs;

use core::ffi::c_char;
use std::sync::Arc;

use uv_core::{GuestAddr, HostAddr, MemSlot, MemSlots, PageSize, SlotId};
use uv_power::abi::Profile;
use uv_power::abi::entry::GuestEntry as _;
use uv_power::abi::numbers::UltracallNumber;
use uv_power::abi::regs::Lpid;
use uv_power::abi::ultracall::Ultracall as _;
use uv_power::owner::keys::PrivateKey;
use uv_power::sim::MachineConfig;

use crate::guard::guard;
use crate::handle::{self, Object};
use crate::memory::{Memory, uvsim_memory};
use crate::status::{Failure, UVSIM_E_KEY, UVSIM_E_VERSION};
use crate::z::put_handle;
use crate::{UVSIM_ABI_VERSION, raw, uvsim_handle};

pub use regs::*;

/// A machine.
#[derive(Debug)]
pub(crate) struct Power(pub(crate) uv_power::sim::Machine);

/// The behaviour that the documents of the Protected Execution Facility promise.
pub const UVSIM_POWER_DOCUMENTED: u32 = 0;
/// The behaviour of the published firmware.
pub const UVSIM_POWER_FIRMWARE: u32 = 1;

/// What a POWER machine is made of. uvsim_power_config_init() fills all but the key.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct uvsim_power_config {
    /// UVSIM_ABI_VERSION.
    pub version: u32,
    /// UVSIM_POWER_DOCUMENTED or UVSIM_POWER_FIRMWARE.
    pub profile: u32,
    /// Secure memory, in pages of 64 KiB.
    pub secure_pages: u32,
    /// 0.
    pub reserved: u32,
    /// Everything random comes from this number.
    pub seed: u64,
    /// The machine's wrapping key as PEM text (RSA, not encrypted), not ended by a NUL.
    pub key: *const c_char,
    /// Bytes of it.
    pub key_len: usize,
}

/// Fills a configuration: the documented profile, 1 GiB of secure memory, no key.
///
/// # Safety
/// `config` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uvsim_power_config_init(config: *mut uvsim_power_config) -> i32 {
    guard(|| {
        let filled = uvsim_power_config {
            version: UVSIM_ABI_VERSION,
            profile: UVSIM_POWER_DOCUMENTED,
            secure_pages: 16384,
            reserved: 0,
            seed: 1,
            key: core::ptr::null(),
            key_len: 0,
        };
        // SAFETY: the caller's promise.
        unsafe { raw::put(config, filled, "config") }
    })
}

/// Makes a machine whose normal memory is the caller's: real addresses are addresses there.
///
/// # Safety
/// `config` and `memory` point to such structures, with what they say; `handle` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uvsim_power_machine_new(
    config: *const uvsim_power_config,
    memory: *const uvsim_memory,
    handle: *mut uvsim_handle,
) -> i32 {
    guard(|| {
        // SAFETY: the caller's promise.
        let memory = Memory::new(unsafe { raw::get(memory, "memory") }?)?;
        // SAFETY: the caller's promise.
        let config = unsafe { raw::get(config, "config") }?;
        if config.version != UVSIM_ABI_VERSION {
            let text = format!("the configuration is of version {}, not {UVSIM_ABI_VERSION}", config.version);
            return Err(Failure::new(UVSIM_E_VERSION, text));
        }
        let profile = match config.profile {
            UVSIM_POWER_DOCUMENTED => Profile::Documented,
            UVSIM_POWER_FIRMWARE => Profile::Firmware,
            other => return Err(Failure::argument(format!("there is no profile {other}"))),
        };
        // SAFETY: the caller's promise for the key.
        let pem = unsafe { raw::bytes(config.key.cast(), config.key_len, "key") }?;
        let key = PrivateKey::from_pem(&pem, None);
        let key = key.map_err(|error| Failure::new(UVSIM_E_KEY, format!("key: {error}")))?;
        let made = MachineConfig {
            secure_pages: config.secure_pages,
            seed: config.seed,
            ..MachineConfig::new(key).with_profile(profile)
        };
        let machine = uv_power::sim::Machine::new(made, Arc::new(memory));
        // SAFETY: the caller's promise.
        unsafe { put_handle(handle, || Object::Power(Arc::new(Power(machine)))) }
    })
}

/// `sc 2` on a CPU whose registers these are: the number of the call in R3, its arguments in R4 to R12, the caller's privilege
/// in the MSR, the partition in `lpidr`. On return they are the registers that the CPU goes on with: the result in
/// R3, or those of the interrupt or hypercall that the ultravisor reflects to the hypervisor.
///
/// # Safety
/// `regs` can be read and written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uvsim_power_ultracall(machine: uvsim_handle, regs: *mut uvsim_power_regs) -> i32 {
    guard(|| {
        let machine = handle::power(machine)?;
        // SAFETY: the caller's promise; every field may hold any bits.
        let mut registers = unsafe { raw::get(regs, "regs") }?.into();
        machine.0.ultracall(&mut registers);
        // SAFETY: the caller's promise.
        unsafe { raw::put(regs, (&registers).into(), "regs") }
    })
}

/// Guest memory of a partition that is not secure: `len` bytes from guest address `guest` on lie at real address `host`.
/// All three are multiples of 64 KiB.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct uvsim_power_slot {
    /// Guest address.
    pub guest: u64,
    /// Bytes.
    pub len: u64,
    /// Real address.
    pub host: u64,
}

/// Says what lies behind the guest addresses of a partition: `count` slots; none with 0.
///
/// # Safety
/// `slots` points to `count` slots that can be read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uvsim_power_set_partition_memory(
    machine: uvsim_handle,
    lpid: u32,
    slots: *const uvsim_power_slot,
    count: usize,
) -> i32 {
    guard(|| {
        let machine = handle::power(machine)?;
        let size = PageSize::K64;
        let mut table = MemSlots::new(size);
        for index in 0..count {
            // SAFETY: the caller has `count` slots.
            let slot = unsafe { raw::get(slots.wrapping_add(index), "slots") }?;
            let aligned = [slot.guest, slot.len, slot.host].into_iter().all(|value| size.is_aligned(value));
            let id = u16::try_from(index).ok().filter(|_| aligned && slot.len > 0);
            let id = id.ok_or_else(|| Failure::argument(format!("slot {index} is empty or not aligned")))?;
            let first = size.gfn(GuestAddr(slot.guest));
            let slot = MemSlot { first, pages: size.pages_for(slot.len), host: HostAddr(slot.host) };
            table.insert(SlotId(id), slot).map_err(|error| Failure::argument(format!("slot {index}: {error}")))?;
        }
        machine.0.set_partition_memory(Lpid(lpid), (count > 0).then_some(&table));
        Ok(())
    })
}

/// Secure pages of 64 KiB: how many are in use, and how many there are.
///
/// # Safety
/// `used` and `all` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uvsim_power_secure_pages(machine: uvsim_handle, used: *mut u64, all: *mut u64) -> i32 {
    guard(|| {
        let counts = handle::power(machine)?.0.secure_pages();
        // SAFETY: the caller's promise.
        unsafe { raw::put(used, counts.0, "used") }?;
        // SAFETY: the caller's promise.
        unsafe { raw::put(all, counts.1, "all") }
    })
}

/// The name of an ultracall, by its number; the number for one that is not known. Text as of uvsim_last_error().
///
/// # Safety
/// `into` has `len` bytes that can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uvsim_power_ultracall_text(number: u64, into: *mut c_char, len: usize) -> usize {
    // SAFETY: the caller's promise.
    unsafe { raw::put_text(&UltracallNumber(number).to_string(), into, len) }
}
