//! Handles: a place in a table and how often the place was used, so that a handle that was closed is known as such.

use std::sync::{Arc, PoisonError, RwLock};

use uv_s390::sim::EmulatedGuest;

use crate::guard::guard;
use crate::power::Power;
use crate::status::{Failure, UVSIM_E_HANDLE};
use crate::uvsim_handle;
use crate::z::Machine;

/// What a handle can be of.
#[derive(Clone, Debug)]
pub(crate) enum Object {
    Machine(Arc<Machine>),
    Guest(Arc<EmulatedGuest>),
    Power(Arc<Power>),
}

#[derive(Debug)]
struct Place {
    uses: u32,
    object: Option<Object>,
}

static PLACES: RwLock<Vec<Place>> = RwLock::new(Vec::new());

fn split(handle: uvsim_handle) -> (usize, u32) {
    let [a, b, c, d, e, f, g, h] = handle.to_be_bytes();
    let place = usize::try_from(u32::from_be_bytes([e, f, g, h])).unwrap_or(usize::MAX);
    (place, u32::from_be_bytes([a, b, c, d]))
}

fn stale() -> Failure {
    Failure::new(UVSIM_E_HANDLE, "the handle is none of something that is open")
}

/// A handle for an object.
pub(crate) fn open(object: Object) -> Result<uvsim_handle, Failure> {
    let mut places = PLACES.write().unwrap_or_else(PoisonError::into_inner);
    // A place whose uses are exhausted stays empty for good.
    let free = places.iter().position(|place| place.object.is_none() && place.uses < u32::MAX);
    let index = free.unwrap_or_else(|| {
        places.push(Place { uses: 0, object: None });
        places.len() - 1
    });
    let place = &mut places[index];
    place.uses += 1;
    place.object = Some(object);
    let index = u32::try_from(index).map_err(|_| stale())?;
    Ok(u64::from(place.uses) << 32 | u64::from(index))
}

/// The object of a handle. It lives as long as somebody works on it, closed or not.
pub(crate) fn object(handle: uvsim_handle) -> Result<Object, Failure> {
    let (index, uses) = split(handle);
    let places = PLACES.read().unwrap_or_else(PoisonError::into_inner);
    let place = places.get(index).filter(|place| place.uses == uses);
    place.and_then(|place| place.object.clone()).ok_or_else(stale)
}

fn kind(wanted: &str) -> Failure {
    Failure::new(UVSIM_E_HANDLE, format!("the handle is not one of {wanted}"))
}

pub(crate) fn machine(handle: uvsim_handle) -> Result<Arc<Machine>, Failure> {
    match object(handle)? {
        Object::Machine(machine) => Ok(machine),
        Object::Guest(_) | Object::Power(_) => Err(kind("a Z machine")),
    }
}

pub(crate) fn guest(handle: uvsim_handle) -> Result<Arc<EmulatedGuest>, Failure> {
    match object(handle)? {
        Object::Guest(guest) => Ok(guest),
        Object::Machine(_) | Object::Power(_) => Err(kind("an emulated guest")),
    }
}

pub(crate) fn power(handle: uvsim_handle) -> Result<Arc<Power>, Failure> {
    match object(handle)? {
        Object::Power(power) => Ok(power),
        Object::Machine(_) | Object::Guest(_) => Err(kind("a POWER machine")),
    }
}

/// Closes a machine or a guest. Calls of other threads that are at work on it go on to their end; later ones return
/// UVSIM_E_HANDLE. When this has returned and no such call is at work, the caller's memory is no longer touched, and what
/// uvsim_z_closed_frames() gave must not be read any more.
#[unsafe(no_mangle)]
pub extern "C" fn uvsim_close(handle: uvsim_handle) -> i32 {
    guard(|| {
        object(handle)?;
        let (index, uses) = split(handle);
        let mut places = PLACES.write().unwrap_or_else(PoisonError::into_inner);
        let place = places.get_mut(index).filter(|place| place.uses == uses);
        let taken = place.and_then(|place| place.object.take()).ok_or_else(stale);
        // Dropped outside of the lock: it may be large.
        drop(places);
        taken.map(drop)
    })
}
