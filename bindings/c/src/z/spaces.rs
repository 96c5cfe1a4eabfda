//! Address spaces of a machine's host.

use core::ffi::c_void;
use std::sync::Arc;

use uv_core::{GuestAddr, HostAddr};
use uv_s390::abi::sie::{AddressSpaces, GuestMap, HostMapping, MappingSize};

use crate::guard::guard;
use crate::status::Failure;
use crate::{handle, uvsim_handle};

/// A page is mapped by a page-table entry: 4 KiB.
pub const UVSIM_Z_PAGE: u32 = 0;
/// By a segment-table entry: 1 MiB.
pub const UVSIM_Z_SEGMENT: u32 = 1;
/// By a region-third-table entry: 2 GiB.
pub const UVSIM_Z_REGION: u32 = 2;

/// Where a page lies.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct uvsim_z_mapping {
    /// Host absolute address of the 4 KiB frame that holds the page.
    pub frame: u64,
    /// Not 0: it may be stored to.
    pub writable: u32,
    /// UVSIM_Z_PAGE, UVSIM_Z_SEGMENT or UVSIM_Z_REGION.
    pub size: u32,
}

/// Translates an address as seen through an ASCE: fills the mapping and returns 0, or returns anything else when nothing is
/// mapped there. Called from any thread, from several at once; it must not call the library for the same machine.
pub type uvsim_z_translate =
    Option<unsafe extern "C" fn(context: *mut c_void, address: u64, mapping: *mut uvsim_z_mapping) -> i32>;

struct Map {
    translate: unsafe extern "C" fn(*mut c_void, u64, *mut uvsim_z_mapping) -> i32,
    context: *mut c_void,
}

// SAFETY: the header asks of the caller that the callback can be called from any thread.
unsafe impl Send for Map {}
// SAFETY: as above, and from several at once.
unsafe impl Sync for Map {}

impl GuestMap for Map {
    fn translate(&self, addr: GuestAddr) -> Option<HostMapping> {
        let mut mapping = uvsim_z_mapping::default();
        // SAFETY: the callback is the caller's; the mapping is there to be written.
        let status = unsafe { (self.translate)(self.context, addr.0, &raw mut mapping) };
        let size = match mapping.size {
            UVSIM_Z_PAGE => MappingSize::Page,
            UVSIM_Z_SEGMENT => MappingSize::Segment,
            UVSIM_Z_REGION => MappingSize::Region,
            _ => return None,
        };
        (status == 0).then_some(HostMapping { frame: HostAddr(mapping.frame), writable: mapping.writable != 0, size })
    }
}

/// Puts a map behind an ASCE: a guest's, or the host's home space. One that was there before is replaced. A machine with
/// UVSIM_Z_WALK_TABLES needs none.
///
/// # Safety
/// `translate` and `context` stay valid until uvsim_z_detach() or uvsim_close(), and until calls that are at work have ended.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uvsim_z_attach(
    machine: uvsim_handle,
    asce: u64,
    translate: uvsim_z_translate,
    context: *mut c_void,
) -> i32 {
    guard(|| {
        let machine = handle::machine(machine)?;
        let translate = translate.ok_or_else(|| Failure::argument("translate is NULL"))?;
        machine.sim.attach(asce, Arc::new(Map { translate, context }));
        Ok(())
    })
}

/// Takes the map behind an ASCE away.
#[unsafe(no_mangle)]
pub extern "C" fn uvsim_z_detach(machine: uvsim_handle, asce: u64) -> i32 {
    guard(|| {
        handle::machine(machine)?.sim.detach(asce);
        Ok(())
    })
}

/// Loads control register 13 of the host's CPUs: the home space, through which host virtual addresses in control blocks are
/// translated. `has_asce` 0: as after power-on, host virtual is host absolute.
#[unsafe(no_mangle)]
pub extern "C" fn uvsim_z_set_home_space(machine: uvsim_handle, has_asce: u32, asce: u64) -> i32 {
    guard(|| {
        handle::machine(machine)?.sim.set_home_space((has_asce != 0).then_some(asce));
        Ok(())
    })
}
