//! LIST_SECRETS.

use core::mem::size_of;

use zerocopy::{FromBytes, IntoBytes};

use super::device::{UvDevice, length, round};
use super::ioctl::Ioctl;
use super::operation::{Next, Operation, Outcome, Round};
use crate::abi::Errno;
use crate::abi::secret::{LIST_PAGE_SIZE, ListHead};
use crate::abi::uvc::UvRc;
use crate::abi::uvcb::ListSecrets;

/// The argument is a whole number of pages. The call is issued again while it says that there is more and another full page
/// fits; entries are joined behind one head, which has the sum of entries, the total and the next index.
pub(super) fn start(device: &UvDevice, ioctl: Ioctl) -> Result<Operation, Errno> {
    let len = length(&ioctl);
    if len == 0 || !len.is_multiple_of(LIST_PAGE_SIZE) {
        return Err(Errno::EINVAL);
    }
    let device = *device;
    let mut work = Some((ioctl, size_of::<ListHead>(), 0_u16));
    Ok(Operation::new(ask(&device, 0), move |outcome| {
        let Some((ioctl, end, entries)) = work.take() else { return Next::Done(Err(Errno::EFAULT)) };
        match merge(ioctl, end, entries, &outcome) {
            Err(errno) => Next::Done(Err(errno)),
            Ok((ioctl, end, entries, next)) => {
                let room = length(&ioctl).saturating_sub(end) >= LIST_PAGE_SIZE;
                if outcome.rc == UvRc::MORE_DATA && room && next != 0 {
                    work = Some((ioctl, end, entries));
                    Next::Round(ask(&device, next))
                } else {
                    Next::Done(Ok(ioctl))
                }
            }
        }
    }))
}

fn ask(device: &UvDevice, index: u16) -> Round {
    let block = ListSecrets::new(index, device.buffers.0);
    round(Some((device.buffers, &[0; LIST_PAGE_SIZE])), &block, [(device.buffers, LIST_PAGE_SIZE)])
}

/// Joins a page to what is there. A refused call gives a page of zeros: it is copied if it is the first one.
fn merge(mut ioctl: Ioctl, end: usize, entries: u16, outcome: &Outcome) -> Result<(Ioctl, usize, u16, u16), Errno> {
    ioctl.control.uv_rc = outcome.rc.0.into();
    ioctl.control.uv_rrc = outcome.rrc.0.into();
    if !matches!(outcome.rc, UvRc::EXECUTED | UvRc::MORE_DATA) && end > size_of::<ListHead>() {
        return Ok((ioctl, end, entries, 0));
    }
    let page = outcome.loaded.first().ok_or(Errno::EFAULT)?;
    let (mut head, list) = ListHead::read_from_prefix(page).map_err(|_| Errno::EFAULT)?;
    let room = ioctl.argument.get_mut(end..).ok_or(Errno::EFAULT)?;
    // The rest of the page goes along, so that one page is the Ultravisor's page byte by byte.
    let copied = list.len().min(room.len());
    room[..copied].copy_from_slice(&list[..copied]);
    let here = usize::from(head.entries.get()) * size_of::<crate::abi::secret::SecretEntry>();
    let (sum, next) = (entries.saturating_add(head.entries.get()), head.next_index.get());
    head.entries = sum.into();
    head.write_to_prefix(&mut ioctl.argument).map_err(|_| Errno::EFAULT)?;
    Ok((ioctl, end + here.min(list.len()), sum, next))
}
