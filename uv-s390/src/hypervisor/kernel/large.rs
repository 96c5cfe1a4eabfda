//! 1 MiB frames behind secure pages (s390-ultravisor §4.4, §11.7; posted, not merged in Linux).
//!
//! ```text
//!               merge: 256 imports, one segment entry, VERIFY_LARGE_FRAME
//! 4 KiB entries ─────────────────────────────────────────────────────────▶ one segment entry
//!        ▲                                                                       │
//!        └── a page was exported or destroyed and the guest came by: 0x3c or 112 ┘
//! ```

use uv_core::{ArgumentError, Gfn, PageSize, check_in_slots};

use super::{HostError, Vm};
use crate::abi::uvcb::{ConvertTo, Features, UvCommand};

/// Pages of a MiB.
const PAGES: u64 = 256;
const MIB: u64 = 1 << 20;

impl Vm {
    /// Lets one segment entry map MiB number `mib` of a protected guest: imports its 256 pages, maps them as one, and has the
    /// Ultravisor verify it.
    ///
    /// After an error the pages that were imported are secure, and the MiB is mapped page by page. The mapping ends when a page
    /// of it was exported or destroyed and the guest touches any of them; [`Vm::merge`] may then be called again.
    ///
    /// # Errors
    /// [`HostError::NotProtected`]; [`HostError::NotInstalled`] without the call (bit 32) and feature bit 6;
    /// [`HostError::Argument`] for pages in no slot, or whose memory does not begin at a 1 MiB boundary; those of the import;
    /// [`HostError::Call`] of VERIFY_LARGE_FRAME (0x0106: another thread exported a page meanwhile).
    pub fn merge(&self, mib: u64) -> Result<(), HostError> {
        let handle = self.handle()?;
        if !self.host.features().contains(Features::LARGE_FRAMES) || !self.host.has(UvCommand::VERIFY_LARGE_FRAME) {
            return Err(HostError::NotInstalled);
        }
        let first = Gfn(mib.saturating_mul(PAGES));
        check_in_slots(&self.slots(), uv_core::PageRange::new(first, PAGES))?;
        let frame = self.frame(first)?;
        let last = self.frame(first.add(PAGES - 1))?;
        if !frame.0.is_multiple_of(MIB) || last.0 != frame.0 + MIB - PageSize::K4.size() {
            return Err(ArgumentError::Unaligned(frame.0).into());
        }
        for page in 0..PAGES {
            self.import(first.add(page))?;
        }
        self.gmap.merge(first);
        let address = PageSize::K4.addr(first).0;
        let verified = self.host.call(&mut ConvertTo::new(UvCommand::VERIFY_LARGE_FRAME, handle, address));
        if verified.is_err() {
            self.gmap.split(first);
        }
        Ok(verified?)
    }

    /// Whether one segment entry maps the MiB.
    #[must_use]
    pub fn is_merged(&self, mib: u64) -> bool {
        self.gmap.is_merged(Gfn(mib.saturating_mul(PAGES)))
    }
}
