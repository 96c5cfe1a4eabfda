//! Pages the guest gives to the hypervisor, and takes back.

use uv_core::{Gfn, HostAddr, NormalMemory, PageState};

use super::SecureSpace;
use super::claim::Claim;
use crate::fault::SpaceError;
use crate::table::Word;

/// What becomes of a page's content when it is shared or taken back: machines differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// The content goes along (IBM Z).
    Kept,
    /// The other side starts with zeros (POWER).
    Zeroed,
}

impl SecureSpace {
    /// Shares a page through the normal page at `normal`, because the guest asked for it: absent or secure becomes
    /// shared. The secure frame is wiped. A page that is shared already stays as it is, and that is success.
    ///
    /// # Errors
    /// [`SpaceError::State`] for a sealed or withdrawn page (bring it back first); [`SpaceError::Memory`],
    /// [`SpaceError::Busy`], [`SpaceError::OutOfRange`], [`SpaceError::Closed`].
    pub fn share(
        &self,
        gfn: Gfn,
        memory: &dyn NormalMemory,
        normal: HostAddr,
        content: Content,
    ) -> Result<(), SpaceError> {
        let claim = self.claim(gfn)?;
        let old = claim.old();
        match (old.state(), content) {
            (PageState::Shared, _) => return Ok(()),
            (PageState::Secure, Content::Kept) => {
                let frame = self.remove_frame(old).ok_or(SpaceError::Busy(gfn))?;
                let written = memory.write(normal, frame.bytes());
                self.pool.put(frame);
                written?;
            }
            (PageState::Secure | PageState::Absent, _) => self.write_zeros(memory, normal)?,
            _ => return Err(claim.wrong_state()),
        }
        self.drop_content(old);
        self.commit_shared(&claim, normal);
        Ok(())
    }

    /// Takes a page back, because the guest asked for it: shared or withdrawn becomes secure. With [`Content::Kept`] the
    /// bytes that the normal page holds now become the secure content.
    ///
    /// # Errors
    /// [`SpaceError::State`] for a page that is not shared; [`SpaceError::NoFrame`], [`SpaceError::Memory`],
    /// [`SpaceError::Busy`], [`SpaceError::OutOfRange`], [`SpaceError::Closed`].
    pub fn unshare(&self, gfn: Gfn, memory: &dyn NormalMemory, content: Content) -> Result<(), SpaceError> {
        let claim = self.claim(gfn)?;
        if !matches!(claim.old().state(), PageState::Shared | PageState::Withdrawn) {
            return Err(claim.wrong_state());
        }
        let mut frame = self.pool.take_zeroed().ok_or(SpaceError::NoFrame)?;
        if content == Content::Kept
            && let Err(error) = memory.read(self.host_page(claim.old().payload()), frame.bytes_mut())
        {
            self.pool.wipe(frame);
            return Err(error.into());
        }
        self.install(&claim, frame);
        Ok(())
    }

    /// The normal page of a shared page goes away: shared becomes withdrawn. A withdrawn page stays so.
    ///
    /// # Errors
    /// [`SpaceError::State`] for a page that is not shared; [`SpaceError::Busy`], [`SpaceError::OutOfRange`],
    /// [`SpaceError::Closed`].
    pub fn withdraw(&self, gfn: Gfn) -> Result<(), SpaceError> {
        let claim = self.claim(gfn)?;
        let old = claim.old();
        match old.state() {
            PageState::Shared => claim.commit_word(Word::new(PageState::Withdrawn, old.label(), old.payload())),
            PageState::Withdrawn => {}
            _ => return Err(claim.wrong_state()),
        }
        Ok(())
    }

    /// Puts a normal page behind a shared or withdrawn page: it is shared through `normal` from now on. Nothing is
    /// copied or zeroed.
    ///
    /// # Errors
    /// [`SpaceError::State`] for a page that is not shared; [`SpaceError::Memory`], [`SpaceError::Busy`],
    /// [`SpaceError::OutOfRange`], [`SpaceError::Closed`].
    pub fn restore(&self, gfn: Gfn, memory: &dyn NormalMemory, normal: HostAddr) -> Result<(), SpaceError> {
        let claim = self.claim(gfn)?;
        if !matches!(claim.old().state(), PageState::Shared | PageState::Withdrawn) {
            return Err(claim.wrong_state());
        }
        memory.check(normal, self.page_size().size())?;
        self.commit_shared(&claim, normal);
        Ok(())
    }

    /// The normal page behind a shared or withdrawn page.
    #[must_use]
    pub fn shared_at(&self, gfn: Gfn) -> Option<HostAddr> {
        let word = self.table.get(gfn)?;
        matches!(word.state(), PageState::Shared | PageState::Withdrawn).then(|| self.host_page(word.payload()))
    }

    fn commit_shared(&self, claim: &Claim<'_>, normal: HostAddr) {
        let number = normal.0 >> self.page_size().shift();
        claim.commit_word(Word::new(PageState::Shared, claim.old().label(), number));
    }

    /// The address of a normal page by its number.
    pub(super) fn host_page(&self, number: u64) -> HostAddr {
        HostAddr(number << self.page_size().shift())
    }

    fn write_zeros(&self, memory: &dyn NormalMemory, normal: HostAddr) -> Result<(), SpaceError> {
        const ZEROS: [u8; 4096] = [0; 4096];
        memory.check(normal, self.page_size().size())?;
        for offset in (0..self.page_size().size()).step_by(ZEROS.len()) {
            memory.write(HostAddr(normal.0 + offset), &ZEROS)?;
        }
        Ok(())
    }
}
