//! LIST_SECRETS.

use super::device::UvDevice;
use super::ioctl::Ioctl;
use super::operation::{Next, Operation, Outcome, Round};
use crate::abi::Errno;
use crate::abi::secret::{LIST_PAGE_SIZE, ListHead, SecretEntry};
use crate::abi::uvc::UvRc;
use crate::abi::uvcb::ListSecrets;
use core::mem::size_of;
use zerocopy::{FromBytes, FromZeros, IntoBytes};

/// Bytes of an entry.
const ENTRY: usize = size_of::<SecretEntry>();

/// The argument is a whole number of pages. The call is issued again while it says that there is more and another full page
/// fits. The entries are joined behind one head, which has the sum of entries, and total and next index as the last page
/// that was given told them. Nothing but the head and the entries is stored; when the first call is refused, a head of zeros.
pub(super) fn start(device: &UvDevice, ioctl: Ioctl) -> Result<Operation, Errno> {
    let len = ioctl.length();
    if len == 0 || !len.is_multiple_of(LIST_PAGE_SIZE) {
        return Err(Errno::EINVAL);
    }
    let device = *device;
    let mut work = Some(Work { ioctl, end: size_of::<ListHead>(), head: ListHead::new_zeroed() });
    Ok(Operation::new(ask(&device, 0), move |outcome| {
        let joined = work.take().ok_or(Errno::EFAULT).and_then(|work| join(work, &outcome));
        match joined {
            Err(errno) => Next::Done(Err(errno)),
            // A page without entries would be asked for without end.
            Ok((joined, added))
                if outcome.rc == UvRc::MORE_DATA
                    && added > 0
                    && joined.ioctl.length().saturating_sub(joined.end) >= LIST_PAGE_SIZE =>
            {
                let next = joined.head.next_index.get();
                work = Some(joined);
                Next::Round(ask(&device, next))
            }
            Ok((joined, _)) => Next::Done(finish(joined)),
        }
    }))
}

/// A list that grows.
struct Work {
    ioctl: Ioctl,
    /// Bytes of the argument that are used.
    end: usize,
    /// With the sum of entries.
    head: ListHead,
}

fn ask(device: &UvDevice, index: u16) -> Round {
    let block = ListSecrets::new(index, device.buffers.0);
    Round::new(Some((device.buffers, &[0; LIST_PAGE_SIZE])), &block, [(device.buffers, LIST_PAGE_SIZE)])
}

/// Joins the entries of a page to what is there, and says how many they are: none when the call was refused.
fn join(mut work: Work, outcome: &Outcome) -> Result<(Work, usize), Errno> {
    work.ioctl.control.uv_rc = outcome.rc.0.into();
    work.ioctl.control.uv_rrc = outcome.rrc.0.into();
    if !matches!(outcome.rc, UvRc::EXECUTED | UvRc::MORE_DATA) {
        return Ok((work, 0));
    }
    let page = outcome.loaded.first().ok_or(Errno::EFAULT)?;
    let (mut head, list) = ListHead::read_from_prefix(page).map_err(|_| Errno::EFAULT)?;
    let added = usize::from(head.entries.get()).min(list.len() / ENTRY);
    let (start, len) = (work.end, added * ENTRY);
    work.ioctl.argument.get_mut(start..start + len).ok_or(Errno::EFAULT)?.copy_from_slice(&list[..len]);
    work.end += len;
    head.entries = work.head.entries.get().saturating_add(head.entries.get()).into();
    work.head = head;
    Ok((work, added))
}

fn finish(mut work: Work) -> Result<Ioctl, Errno> {
    work.head.write_to_prefix(&mut work.ioctl.argument).map_err(|_| Errno::EFAULT)?;
    Ok(work.ioctl)
}
