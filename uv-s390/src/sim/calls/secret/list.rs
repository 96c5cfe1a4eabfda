//! LIST_SECRETS: one page with the secrets from an index on.
//!
//! | # | check | rc |
//! |---|---|---|
//! | 1 | the page is in guest storage | 0x0032 (UNSURE) |
//! | 2 | all secrets from the index on fit | 0x0100, the page is filled |

use uv_core::GuestAddr;

use crate::abi::secret::{LIST_PAGE_SIZE, SecretList};
use crate::abi::uvc::UvRc;
use crate::abi::uvcb::ListSecrets;
use crate::sim::answer::Answer;
use crate::sim::view::{GuestView, outside};

pub(in crate::sim) fn list(view: &GuestView<'_>, block: &mut ListSecrets) -> Answer {
    let at = GuestAddr(block.list_addr.get());
    let size = u64::try_from(LIST_PAGE_SIZE).map_err(|_| UvRc::STATE)?;
    view.check(at, size).map_err(outside(UvRc::INVALID_ABSOLUTE))?;
    let entries = view.conf.secrets.lock().entries();
    let list = SecretList::page(&entries, block.start_idx.get()).map_err(|_| UvRc::STATE)?;
    let mut page = [0; LIST_PAGE_SIZE];
    list.encode(&mut page).map_err(|_| UvRc::STATE)?;
    view.write(at, &page).map_err(outside(UvRc::INVALID_ABSOLUTE))?;
    if list.next_index == 0 { Ok(()) } else { Err(UvRc::MORE_DATA.into()) }
}
