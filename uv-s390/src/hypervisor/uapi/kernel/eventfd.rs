//! `KVM_IOEVENTFD`.
//!
//! | # | condition | result |
//! |---|---|---|
//! | 1 | a length that is none of 0, 1, 2, 4, 8; an unknown flag; an address that wraps | EINVAL |
//! | 2 | anything but notifications of virtio devices on channels | EINVAL |
//! | 3 | asked for already | EEXIST |
//! | 4 | taken back without being asked for | ENOENT |
//!
//! Which file descriptor hears of it is user space's matter: a notification (DIAGNOSE 0x500) is an exit here, as it is where the
//! kernel finds nobody to tell, and user space serves it then.

use super::super::structs::IoEventFd;
use super::copy::from_user;
use crate::abi::Errno;
use crate::hypervisor::kernel::Notification;
use crate::hypervisor::kernel::Vm;
use crate::hypervisor::uapi::Argument;

pub(super) fn assign(guest: &Vm, argument: &Argument<'_>) -> Result<u64, Errno> {
    const KNOWN: u32 = IoEventFd::DATAMATCH | IoEventFd::DEASSIGN | IoEventFd::VIRTIO_CCW_NOTIFY;
    let event: IoEventFd = from_user(argument.block)?;
    let flags = event.flags.get();
    let subchannel = u32::try_from(event.addr.get()).map_err(|_| Errno::EINVAL)?;
    if flags & !KNOWN != 0 || flags & IoEventFd::VIRTIO_CCW_NOTIFY == 0 || !matches!(event.len.get(), 0 | 1 | 2 | 4 | 8)
    {
        return Err(Errno::EINVAL);
    }
    let queue = (flags & IoEventFd::DATAMATCH != 0).then_some(event.datamatch.get());
    let notification = Notification { subchannel, queue };
    let (done, refused) = if flags & IoEventFd::DEASSIGN == 0 {
        (guest.add_notification(notification), Errno::EEXIST)
    } else {
        (guest.remove_notification(notification), Errno::ENOENT)
    };
    if done { Ok(0) } else { Err(refused) }
}
