//! Pages the guest gives to the hypervisor, and takes back.

use uv_core::{AccessError, Gfn, HostAddr, NormalMemory, PageState};

use super::SecureSpace;
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
    /// [`SpaceError::Unaligned`] unless `normal` is the address of a page; [`SpaceError::State`] for a sealed or withdrawn page
    /// (bring it back first); [`SpaceError::Memory`], also for a page number of more than 46 bits; [`SpaceError::Busy`],
    /// [`SpaceError::OutOfRange`], [`SpaceError::Closed`].
    pub fn share(
        &self,
        gfn: Gfn,
        memory: &dyn NormalMemory,
        normal: HostAddr,
        content: Content,
    ) -> Result<(), SpaceError> {
        let number = self.page_number(normal)?;
        let claim = self.claim(gfn)?;
        let old = claim.old();
        match (old.state(), content) {
            (PageState::Shared, _) => return Ok(()),
            (PageState::Secure, Content::Kept) => memory.write(normal, &claim.frame())?,
            (PageState::Secure | PageState::Absent, _) => self.write_zeros(memory, normal)?,
            (PageState::Sealed | PageState::Withdrawn, _) => return Err(claim.wrong_state()),
        }
        self.drop_content(old);
        claim.commit_word(Word::new(PageState::Shared, old.label(), number));
        Ok(())
    }

    /// Zeroes the normal page of a shared page; the page stays shared. No guest access sees half of it.
    ///
    /// # Errors
    /// [`SpaceError::State`] unless the page is shared; [`SpaceError::Memory`], [`SpaceError::Busy`],
    /// [`SpaceError::OutOfRange`], [`SpaceError::Closed`].
    pub fn zero_shared(&self, gfn: Gfn, memory: &dyn NormalMemory) -> Result<(), SpaceError> {
        let claim = self.claim(gfn)?;
        if claim.old().state() != PageState::Shared {
            return Err(claim.wrong_state());
        }
        self.write_zeros(memory, self.host_page(claim.old().payload()))
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
        let taken = self.pool.take(1).ok_or(SpaceError::NoFrame)?;
        if content == Content::Kept {
            let normal = self.host_page(claim.old().payload());
            taken.lock().iter_mut().try_for_each(|bytes| memory.read(normal, bytes))?;
        }
        self.install(core::slice::from_ref(&claim), taken);
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
    /// As [`SecureSpace::share`]; [`SpaceError::State`] for a page that is not shared.
    pub fn restore(&self, gfn: Gfn, memory: &dyn NormalMemory, normal: HostAddr) -> Result<(), SpaceError> {
        let number = self.page_number(normal)?;
        let claim = self.claim(gfn)?;
        if !matches!(claim.old().state(), PageState::Shared | PageState::Withdrawn) {
            return Err(claim.wrong_state());
        }
        memory.check(normal, self.page_size().size())?;
        claim.commit_word(Word::new(PageState::Shared, claim.old().label(), number));
        Ok(())
    }

    /// Puts another normal page behind a withdrawn page, which stays withdrawn: no guest access reaches the page.
    ///
    /// # Errors
    /// As [`SecureSpace::restore`]; [`SpaceError::State`] for a page that is not withdrawn.
    pub fn restore_withdrawn(&self, gfn: Gfn, memory: &dyn NormalMemory, normal: HostAddr) -> Result<(), SpaceError> {
        let number = self.page_number(normal)?;
        let claim = self.claim(gfn)?;
        if claim.old().state() != PageState::Withdrawn {
            return Err(claim.wrong_state());
        }
        memory.check(normal, self.page_size().size())?;
        claim.commit_word(Word::new(PageState::Withdrawn, claim.old().label(), number));
        Ok(())
    }

    /// The normal page behind a shared or withdrawn page.
    #[must_use]
    pub fn shared_at(&self, gfn: Gfn) -> Option<HostAddr> {
        let word = self.table.get(gfn)?;
        matches!(word.state(), PageState::Shared | PageState::Withdrawn).then(|| self.host_page(word.payload()))
    }

    /// The number of the normal page at an address, as a page's word can hold it.
    fn page_number(&self, normal: HostAddr) -> Result<u64, SpaceError> {
        let size = self.page_size();
        match normal.0 >> size.shift() {
            _ if !size.is_aligned(normal.0) => Err(SpaceError::Unaligned(normal)),
            number if number > Word::MAX_PAYLOAD => Err(AccessError::Unmapped { at: normal, len: size.bytes() }.into()),
            number => Ok(number),
        }
    }

    /// The address of a normal page by its number.
    pub(super) fn host_page(&self, number: u64) -> HostAddr {
        HostAddr(number << self.page_size().shift())
    }

    fn write_zeros(&self, memory: &dyn NormalMemory, normal: HostAddr) -> Result<(), SpaceError> {
        const ZEROS: [u8; 4096] = [0; 4096];
        memory.check(normal, self.page_size().size())?;
        for offset in (0..self.page_size().size()).step_by(ZEROS.len()) {
            memory.write(HostAddr(normal.0 | offset), &ZEROS)?;
        }
        Ok(())
    }
}
