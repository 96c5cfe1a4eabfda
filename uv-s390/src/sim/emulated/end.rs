//! Resets, and the end of protection.

use uv_core::{GuestAddr, HostAddr};

use super::EmulatedGuest;
use crate::abi::diag308::Response;
use crate::abi::psw::Psw;
use crate::hypervisor::vmm::diag308::ResetRequest;
use crate::sim::memory::FRAME;

impl EmulatedGuest {
    /// Carries out what [`EmulatedGuest::diag308`] has decided, when all CPUs have stopped and devices have let go of the
    /// guest's storage. Gives the PSW for the CPU that issued the instruction.
    ///
    /// | request | here | the caller's part |
    /// |---|---|---|
    /// | modified clear, load normal | a protected guest's pages are all private again | CPU resets, the PSW |
    /// | re-IPL | protection ends, as [`EmulatedGuest::end`] | resets, loading; no PSW |
    /// | protected | header, unpack, verify; all pages are private, the guest is protected | clear reset of all CPUs, the PSW of the SE header |
    ///
    /// No PSW comes either when the eight bytes at guest absolute 0 are no short PSW, or not there.
    ///
    /// # Errors
    /// For a start as a protected guest: the response for GR r1+1. The guest is ordinary and goes on behind its instruction; what
    /// was unpacked of its image is zero.
    pub fn reset(&self, request: ResetRequest) -> Result<Option<Psw>, Response> {
        match request {
            ResetRequest::Protected => self.start().map(Some),
            ResetRequest::ReIpl => {
                self.end();
                Ok(None)
            }
            ResetRequest::ModifiedClear | ResetRequest::LoadNormal => {
                if self.is_protected() {
                    self.machine.storage.frames.closed().set_all(true);
                }
                let mut word = [0; 8];
                let read = self.storage().read(GuestAddr(0), &mut word);
                Ok(read.ok().and_then(|()| Psw::from_short(u64::from_be_bytes(word))))
            }
        }
    }

    /// Ends protection: private pages are cleared, all are the caller's, secrets are forgotten. For a re-IPL or the end of the
    /// guest; nothing happens to an ordinary one.
    pub fn end(&self) {
        let Some(conf) = self.state.lock().conf.take() else { return };
        let storage = &self.machine.storage;
        let closed = storage.frames.closed();
        let all = (0..self.slots.end().0).map(|gfn| HostAddr(gfn * FRAME));
        all.filter(|page| closed.is_closed(*page)).for_each(|page| storage.clear(page));
        closed.set_all(false);
        self.machine.confs.write().remove(&conf.handle);
        conf.forget();
        tracing::debug!(handle = conf.handle, "protection has ended");
    }
}
