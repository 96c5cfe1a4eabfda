//! The bits of the closed frames, shared without a call.

use uv_s390::sim::ClosedFrames;

use crate::guard::guard;
use crate::handle::{self, Object};
use crate::status::{Failure, UVSIM_E_HANDLE};
use crate::{raw, uvsim_handle};

/// Which frames are closed, as bits that are read where they lie. The library changes them while calls are at work, so they are
/// read atomically: uvsim_frame_is_closed() and uvsim_closed_changes() do. Valid until the handle is closed.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct uvsim_closed_frames {
    /// Frame n (address / 4096) is bit n modulo 64, of value 2 to the power of that, of word n / 64.
    pub words: *const u64,
    /// How many words there are.
    pub count: usize,
    /// How often a frame was closed or opened. Who keeps translations throws them away when this has changed.
    pub changes: *const u64,
}

/// The bits of a machine: frames that the host cannot reach. Of an emulated guest: pages that nobody but the guest may
/// reach, so that devices leave them alone.
///
/// # Safety
/// `frames` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uvsim_z_closed_frames(handle: uvsim_handle, frames: *mut uvsim_closed_frames) -> i32 {
    guard(|| {
        let told = match handle::object(handle)? {
            Object::Machine(machine) => place(&machine.closed),
            // The guest has the bits as long as it lives.
            Object::Guest(guest) => place(&guest.closed_frames()),
            Object::Power(_) => return Err(Failure::new(UVSIM_E_HANDLE, "a POWER machine has no closed frames")),
        };
        // SAFETY: the caller's promise.
        unsafe { raw::put(frames, told, "frames") }
    })
}

fn place(closed: &ClosedFrames) -> uvsim_closed_frames {
    uvsim_closed_frames {
        words: closed.words().as_ptr().cast(),
        count: closed.words().len(),
        changes: closed.change_counter().as_ptr().cast_const(),
    }
}
