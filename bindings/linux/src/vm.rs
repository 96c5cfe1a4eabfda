//! A VM: the ioctls of the library on its file descriptors.

use std::collections::BTreeMap;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use uv_s390::abi::Errno;
use uv_s390::hypervisor::uapi::addresses::{self, In, Place};
use uv_s390::hypervisor::uapi::{Argument, CreateDevice, KvmPv, KvmRun, SyncFields, Target, request};
use zerocopy::{FromBytes as _, IntoBytes as _};

use crate::call::{Given, address, ioctl};
use crate::kvm::descriptor;
use crate::map::Area;

/// A vCPU: its file descriptor, and its area, which one thread has at a time.
#[derive(Debug)]
struct Vcpu {
    file: OwnedFd,
    area: Mutex<Area>,
}

/// A VM of a real kernel.
///
/// | what the library has | here |
/// |---|---|
/// | the number of a vCPU, as value of KVM_CREATE_VCPU | its file descriptor is kept with the number |
/// | KVM_RUN with its area as block | the area is copied to the mapping, and back |
/// | [`Target::Flic`] | the file descriptor that KVM_CREATE_DEVICE gave |
/// | resets, and the initial PSW, which the kernel makes visible in the mapping | the caller does the same to its copy, as with the library's kernel |
#[derive(Debug)]
pub struct Vm {
    file: OwnedFd,
    area_length: usize,
    vcpus: RwLock<BTreeMap<u16, Arc<Vcpu>>>,
    flic: RwLock<Option<Arc<OwnedFd>>>,
}

impl Vm {
    pub(crate) fn new(file: OwnedFd, area_length: usize) -> Self {
        Self { file, area_length, vcpus: RwLock::default(), flic: RwLock::default() }
    }

    fn vcpu(&self, number: u16) -> Result<Arc<Vcpu>, Errno> {
        let vcpus = self.vcpus.read().unwrap_or_else(PoisonError::into_inner);
        vcpus.get(&number).cloned().ok_or(Errno::EINVAL)
    }

    fn create_vcpu(&self, number: u64) -> Result<u64, Errno> {
        // SAFETY: the argument is a number.
        let made = unsafe { ioctl(self.file.as_fd(), request::CREATE_VCPU, Given::Value(number)) };
        let file = descriptor(made?)?;
        let area = Area::new(file.as_fd(), self.area_length).map_err(|_| Errno::ENOMEM)?;
        let key = u16::try_from(number).map_err(|_| Errno::EINVAL)?;
        let vcpu = Arc::new(Vcpu { file, area: Mutex::new(area) });
        self.vcpus.write().unwrap_or_else(PoisonError::into_inner).insert(key, vcpu);
        Ok(number)
    }

    fn create_device(&self, argument: &mut Argument<'_>) -> Result<u64, Errno> {
        let value = issue(self.file.as_fd(), Target::Vm, request::CREATE_DEVICE, argument)?;
        let (device, _) = CreateDevice::read_from_prefix(argument.block).map_err(|_| Errno::EFAULT)?;
        if device.flags.get() & CreateDevice::TEST == 0 {
            let file = descriptor(device.fd.get().into())?;
            *self.flic.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(file));
        }
        Ok(value)
    }

    fn run(&self, number: u16, argument: &mut Argument<'_>) -> Result<u64, Errno> {
        let vcpu = self.vcpu(number)?;
        let area = vcpu.area.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut run, _) = KvmRun::read_from_prefix(argument.block).map_err(|_| Errno::EFAULT)?;
        // Which groups the kernel has is its to say.
        run.kvm_valid_regs = area.load().kvm_valid_regs;
        // The caller's copy is all there is: every group that the kernel takes may have been changed in it.
        run.kvm_dirty_regs = (run.kvm_dirty_regs.get() & SyncFields::all().bits()).into();
        area.store(run);
        // SAFETY: KVM_RUN has no argument, and stores only to the mapping, of which there are no references.
        let done = unsafe { ioctl(vcpu.file.as_fd(), request::RUN, Given::Value(0)) };
        area.load().write_to_prefix(argument.block).map_err(|_| Errno::EFAULT)?;
        done
    }
}

impl KvmPv for Vm {
    fn ioctl(&self, target: Target, number: u32, argument: &mut Argument<'_>) -> Result<u64, Errno> {
        match (target, number) {
            (Target::Vm, request::CREATE_VCPU) => self.create_vcpu(argument.value),
            (Target::Vm, request::CREATE_DEVICE) => self.create_device(argument),
            (Target::Vcpu(cpu), request::RUN) => self.run(cpu, argument),
            (Target::Vm, _) => issue(self.file.as_fd(), target, number, argument),
            (Target::Vcpu(cpu), _) => issue(self.vcpu(cpu)?.file.as_fd(), target, number, argument),
            (Target::Flic, _) => {
                let flic = self.flic.read().unwrap_or_else(PoisonError::into_inner).clone();
                issue(flic.ok_or(Errno::EINVAL)?.as_fd(), target, number, argument)
            }
        }
    }
}

/// Issues an ioctl with the addresses of the argument's pieces in the fields that the table names.
fn issue(file: BorrowedFd<'_>, target: Target, number: u32, argument: &mut Argument<'_>) -> Result<u64, Errno> {
    let Some(length) = addresses::block(number) else {
        return match request::name(number) {
            // SAFETY: the table has every request of the library that takes a structure; the others take a number.
            Some(_) => unsafe { ioctl(file, number, Given::Value(argument.value)) },
            None => Err(Errno::ENOTTY),
        };
    };
    let data = addresses::data(target, number, argument.block);
    let head = data.map_or(0, |place| place.length);
    let whole = addresses::data_length(number, argument.block, argument.data.get(..head).unwrap_or_default());
    let buffer = addresses::buffer(number, argument.block, argument.data);
    let long = |bytes: &[u8], needed: usize| if bytes.len() < needed { Err(Errno::EFAULT) } else { Ok(()) };
    long(argument.block, length)?;
    long(argument.data, head.max(whole))?;
    long(argument.buffer, buffer.map_or(0, |place| place.length))?;

    let at = [data.map(|place| (place, address(argument.data))), buffer.map(|place| (place, address(argument.buffer)))];
    let before = at.map(|field| field.and_then(|(place, at)| put(argument, place, at)));
    // SAFETY: the table says what the kernel copies for this request; all of it lies in the three slices, which are the
    // caller's to change, and outlive the call.
    let done = unsafe { ioctl(file, number, Given::Structure(argument.block)) };
    // What the caller had in the fields means nothing to it, and is left as it was.
    for ((place, _), value) in at.into_iter().zip(before).filter_map(|(field, before)| field.zip(before)) {
        put(argument, place, value);
    }
    done
}

/// Stores to an address field; gives what was there.
fn put(argument: &mut Argument<'_>, place: Place, value: u64) -> Option<u64> {
    let piece = if place.piece == In::Block { &mut *argument.block } else { &mut *argument.data };
    let field = piece.get_mut(place.offset..)?.first_chunk_mut()?;
    Some(u64::from_be_bytes(std::mem::replace(field, value.to_be_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    #[test]
    fn nothing_is_issued_that_the_kernel_could_copy_beyond_its_end() {
        let null = File::open("/dev/null").expect("there is one");
        let ask = |number, block: &mut [u8], data: &mut [u8]| {
            let mut argument = Argument { block, data, ..Argument::default() };
            issue(null.as_fd(), Target::Vm, number, &mut argument)
        };
        // Group 0, attribute 2: a value of 8 bytes.
        let mut limit = [0; 24];
        limit[15] = 2;
        assert_eq!(ask(request::GET_DEVICE_ATTR, &mut limit, &mut [0; 7]), Err(Errno::EFAULT));
        assert_eq!(ask(request::GET_DEVICE_ATTR, &mut limit[..23], &mut [0; 8]), Err(Errno::EFAULT));
        assert_eq!(ask(request::GET_DEVICE_ATTR, &mut limit, &mut [0; 8]), Err(Errno::ENOTTY), "by /dev/null");
        assert_eq!(limit[16..], [0; 8], "the address is taken out again");
        assert_eq!(ask(0x1234_5678, &mut [], &mut []), Err(Errno::ENOTTY));
        // INFO with room for 80 bytes, by its own words.
        let (mut info, mut head) = ([0; 32], [0; 16]);
        (info[3], head[7]) = (7, 80);
        assert_eq!(ask(request::PV_COMMAND, &mut info, &mut head), Err(Errno::EFAULT));
    }
}
