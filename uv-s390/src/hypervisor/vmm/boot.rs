//! From an image file to a protected guest: loading, and carrying out the guest's DIAG 308.
//!
//! Who uses it: a VMM that starts an image.

use alloc::vec;

use uv_core::{AccessError, GuestAddr, HostAddr};

use super::diag308::{self, IplStores, MachineModel, Operand, Outcome, ResetRequest};
use super::ipl::{self, IplOptions, StartError, StartStep, Started};
use crate::abi::diag308::Diag308;
use crate::abi::diag308::Response;
use crate::abi::uvc::PgmCode;
use crate::hypervisor::GuestStorage;
use crate::hypervisor::uapi::KvmPv;

/// Puts an image file into the memory of an ordinary guest, from address 0 on; the rest of the memory is cleared.
///
/// Who calls: the VMM, before the guest runs and for a re-IPL.
///
/// # Errors
/// [`AccessError`]: the file does not fit, or a page is not the hypervisor's to write. The memory may be partly written.
pub fn load(storage: &GuestStorage<'_>, file: &[u8]) -> Result<(), AccessError> {
    let pages = storage.slots.page_size();
    let unmapped = AccessError::Unmapped { at: HostAddr(0), len: file.len() };
    let end = storage.slots.end().0.checked_mul(pages.size()).ok_or(unmapped)?;
    let mut at = u64::try_from(file.len()).map_err(|_| unmapped)?;
    storage.check(GuestAddr(0), at)?;
    storage.write(GuestAddr(0), file)?;
    let zeros = vec![0; usize::try_from(pages.size()).map_err(|_| unmapped)?];
    while at < end {
        let left = pages.size() - pages.offset(at);
        storage.write(GuestAddr(at), &zeros[..usize::try_from(left).map_err(|_| unmapped)?])?;
        at += left;
    }
    Ok(())
}

/// What became of an ordinary guest's DIAG 308.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Served {
    /// The guest goes on behind the instruction with this in GR r1+1.
    Response(Response),
    /// The guest is protected and its initiating CPU is operating at the PSW of the SE header.
    Protected(Started),
    /// It could not be protected: it goes on as an ordinary guest with the error's response in GR r1+1.
    Refused(StartError),
    /// Another request for the machine: a reset or a re-IPL.
    Reset(ResetRequest),
    /// A program interruption for the guest.
    Program(PgmCode),
}

/// Carries out a DIAG 308 of an ordinary guest: [`diag308::handle`], and for subcode 10 [`ipl::start`].
///
/// Who calls: the VMM, with all CPUs stopped. `report` is told each step of a start before it begins.
pub fn serve(
    stores: &mut IplStores,
    machine: &MachineModel<'_>,
    kvm: &dyn KvmPv,
    storage: &GuestStorage<'_>,
    call: Diag308,
    options: &IplOptions,
    report: &mut dyn FnMut(StartStep),
) -> Served {
    match diag308::handle(stores, machine, call, Operand::Guest(storage.clone())) {
        Outcome::Response(response) => Served::Response(response),
        Outcome::Program(code) => Served::Program(code),
        Outcome::Reset(ResetRequest::Protected) => {
            // Subcode 10 asks for this only with an IPIB stored.
            let ipib = stores.pv().unwrap_or_default();
            match ipl::start(kvm, storage, ipib, options, report) {
                Ok(started) => Served::Protected(started),
                Err(error) => Served::Refused(error),
            }
        }
        Outcome::Reset(request) => Served::Reset(request),
    }
}

#[cfg(all(test, feature = "sim"))]
mod tests {
    use alloc::sync::Arc;
    use alloc::vec;

    use uv_core::{AccessError, Gfn, GuestAddr, HostAddr, MemSlot, MemSlots, PageSize, SlotId};
    use uv_sim::HostMemory;

    use super::{GuestStorage, load};

    #[test]
    fn what_the_file_does_not_cover_is_cleared() {
        let memory = HostMemory::new(0x8000);
        let mut slots = MemSlots::new(PageSize::K4);
        slots.insert(SlotId(0), MemSlot { first: Gfn(0), pages: 3, host: HostAddr(0x4000) }).unwrap();
        let storage = GuestStorage { slots: Arc::new(slots), memory: &memory };
        storage.write(GuestAddr(0), &[0xee; 0x3000]).unwrap();
        load(&storage, &[7; 0x1001]).unwrap();
        let mut found = vec![0; 0x3000];
        storage.read(GuestAddr(0), &mut found).unwrap();
        let mut expected = vec![0; 0x3000];
        expected[..0x1001].fill(7);
        assert!(found == expected);

        let refused = load(&storage, &[9; 0x3001]).unwrap_err();
        assert!(matches!(refused, AccessError::Unmapped { .. }), "{refused:?}");
        storage.read(GuestAddr(0), &mut found).unwrap();
        assert!(found == expected, "nothing is written of a file that does not fit");
    }
}
