//! The moves of a page, with its frame: what the storage calls, the guest's sharing calls and teardown have in common
//! (s390-ultravisor §4).
//!
//! Every function takes the frame claimed, so that engine and frame table change together. Which frame belongs to which
//! page is known from the frame table only: a page that is secure in the engine, seen through another frame, is refused.

use core::sync::atomic::Ordering;

use uv_core::{Gfn, GuestAddr, HostAddr, PageRange, PageState};
use uv_sim::Content;

use super::answer::{Answer, Refusal};
use super::conf::{Conf, Phase};
use super::frames::{Frame, FrameClaim};
use super::machine::Machine;
use crate::abi::sie::MappingSize;
use crate::abi::uvc::UvRc;
use crate::abi::uvcb::Features;

impl Machine {
    /// The frame behind a guest page for import and unpack: mapped, writable, as a 4 KiB page (or a 1 MiB page where the machine
    /// can do that).
    pub(crate) fn import_frame(&self, conf: &Conf, addr: GuestAddr) -> Result<HostAddr, Refusal> {
        let mapping = self.translate(conf, addr).filter(|mapping| mapping.writable).ok_or(UvRc::NOT_MAPPED)?;
        let large = self.features().contains(Features::LARGE_FRAMES);
        match mapping.size {
            MappingSize::Page => Ok(mapping.frame),
            MappingSize::Segment if large => Ok(mapping.frame),
            MappingSize::Segment | MappingSize::Region => Err(UvRc::ADDRESS.into()),
        }
    }

    /// Import: the page behind a claimed frame becomes secure, or shared again if it was shared when it was exported. A page
    /// that is secure or shared in this very frame stays as it is.
    pub(crate) fn import(&self, conf: &Conf, gfn: Gfn, frame: &FrameClaim<'_>) -> Answer {
        match frame.old() {
            Frame::Normal => {}
            old if old.page() == Some((conf.id, gfn)) => return Ok(()),
            Frame::Shared(owner, page) if self.features().contains(Features::MISC) && owner != conf.id => {
                self.take_over(owner, page)?;
                // From here on the frame is nobody's, whatever becomes of this import.
                frame.set(Frame::Normal);
            }
            _ => return Err(UvRc::FOREIGN_FRAME.into()),
        }
        match conf.space.state(gfn)? {
            PageState::Absent => conf.space.zero_in(gfn)?,
            PageState::Sealed => {
                let range = PageRange::from(gfn);
                conf.space.open_in(range, &self.storage.bytes, frame.at()).map_err(|error| error.error)?;
            }
            PageState::Withdrawn => {
                conf.space.restore(gfn, &self.storage.bytes, frame.at())?;
                frame.set(Frame::Shared(conf.id, gfn));
                return Ok(());
            }
            _ => return Err(UvRc::FOREIGN_FRAME.into()),
        }
        frame.set(Frame::Secure(conf.id, gfn));
        Ok(())
    }

    /// Feature "misc": a shared frame of another configuration changes hands, as if it had been exported.
    fn take_over(&self, owner: super::frames::ConfId, page: Gfn) -> Answer {
        match self.owner(owner) {
            Some(other) => {
                let _open = other.open()?;
                Ok(other.space.withdraw(page)?)
            }
            None => Ok(()),
        }
    }

    /// Export: private pages are sealed into their frame, shared ones are taken from the guest as they are.
    pub(crate) fn export(&self, frame: &FrameClaim<'_>) -> Answer {
        let Some((owner, gfn)) = frame.old().page() else {
            return if frame.old() == Frame::Normal { Ok(()) } else { Err(UvRc::FOREIGN_FRAME.into()) };
        };
        let Some(conf) = self.owner(owner) else {
            // UNSURE: the rest of a configuration that was destroyed fast has no keys any more, so there is nothing to seal.
            self.storage.clear(frame.at());
            frame.set(Frame::Normal);
            return Ok(());
        };
        let _open = conf.open()?;
        self.export_open(&conf, gfn, frame)
    }

    /// Export of a page of a configuration that the caller keeps open.
    pub(crate) fn export_open(&self, conf: &Conf, gfn: Gfn, frame: &FrameClaim<'_>) -> Answer {
        match frame.old() {
            Frame::Secure(..) => {
                let range = PageRange::from(gfn);
                conf.space.seal_out(range, &self.storage.bytes, frame.at()).map_err(|error| error.error)?;
            }
            _ => conf.space.withdraw(gfn)?,
        }
        frame.set(Frame::Normal);
        Ok(())
    }

    /// Destroy: the content is gone, the frame is the host's and zero.
    pub(crate) fn destroy(&self, frame: &FrameClaim<'_>) -> Answer {
        let Some((owner, gfn)) = frame.old().page() else {
            return Err(UvRc::FOREIGN_FRAME.into());
        };
        if let Some(conf) = self.owner(owner) {
            let _open = conf.open()?;
            conf.space.destroy(gfn)?;
            if conf.life.lock().phase == Phase::Unpacking {
                conf.lost.store(true, Ordering::Release);
            }
        }
        self.storage.clear(frame.at());
        frame.set(Frame::Normal);
        Ok(())
    }

    /// Guest SHARE of a page behind a claimed frame: secure becomes shared with its content.
    pub(crate) fn share(&self, conf: &Conf, gfn: Gfn, frame: &FrameClaim<'_>) -> Answer {
        if let Frame::Secure(..) = frame.old() {
            conf.space.share(gfn, &self.storage.bytes, frame.at(), Content::Kept)?;
            frame.set(Frame::Shared(conf.id, gfn));
        }
        Ok(())
    }

    /// A shared or pinned page becomes private, with the content it has now.
    pub(crate) fn unshare(&self, conf: &Conf, gfn: Gfn, frame: &FrameClaim<'_>) -> Answer {
        if let Frame::Shared(..) | Frame::Pinned(..) = frame.old() {
            conf.space.unshare(gfn, &self.storage.bytes, Content::Kept)?;
            frame.set(Frame::Secure(conf.id, gfn));
        }
        Ok(())
    }

    /// Gives frames of a configuration back to the host, private ones cleared, and ends its secure memory. Stops after `most`
    /// frames, or while a guest access to a shared page does not end, and goes on there when it is called again; says whether
    /// none is left.
    pub(crate) fn release_frames(&self, conf: &Conf, most: usize) -> bool {
        if conf.space.close().is_err() {
            return false;
        }
        let from = HostAddr(conf.released.load(Ordering::Relaxed));
        let is_ours = |frame: Frame| frame.page().is_some_and(|(owner, _)| owner == conf.id);
        let mut ours = self.storage.frames.owned_from(from).filter(|(_, frame)| is_ours(*frame));
        for (at, _) in ours.by_ref().take(most) {
            if let Some(claim) = self.storage.claim_waiting(at).filter(|claim| is_ours(claim.old())) {
                if let Frame::Secure(..) = claim.old() {
                    self.storage.clear(at);
                }
                claim.set(Frame::Normal);
            }
            conf.released.store(at.0, Ordering::Relaxed);
        }
        ours.next().is_none()
    }
}
