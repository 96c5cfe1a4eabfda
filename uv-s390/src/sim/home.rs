//! The home address space: what a host virtual address in a control block means.
//!
//! | address of | by |
//! |---|---|
//! | UVCB | [`Machine::execute_at`] |
//! | CREATE_SEC_CONF: variable storage | `home_frames` |
//! | SET_SEC_CONF_PARAMS: SE header | `read_home`; rc 0x0103 where it cannot be read |
//! | DUMP_*: dump area | `check_home`, `write_home` |
//! | CONV_FROM_SEC_STOR, DESTR_SEC_STOR, PIN_PAGE_SHARED: the frame | `claim_named`, on a machine with [`FrameAddress::HomeVirtual`] |
//!
//! All other addresses in the control blocks of a host are absolute (s390-ultravisor §1.4).
//!
//! The host's tables are a [`GuestMap`](crate::abi::sie::GuestMap) behind an ASCE, as a guest's are. Without an ASCE the home space is
//! the kernel's one-to-one mapping: host virtual is host absolute.
//!
//! | # | check | rc |
//! |---|---|---|
//! | 1 | the home ASCE designates a space with tables (its bit 58 is off) | 0x0030 |
//! | 2 | the page is mapped; for a store: writable | 0x0031 |
//! | 3 | the frame exists, and the host may access it | 0x0032 |

use alloc::vec::Vec;

use uv_core::{AccessError, GuestAddr, HostAddr, NormalMemory};

use super::answer::Refusal;
use super::frames::FrameClaim;
use super::machine::{FrameAddress, Machine};
use super::memory::FRAME;
use crate::abi::sie::Asce;
use crate::abi::uvc::{PgmCode, ProgramInterruption, Teid, UvRc};

/// Why the bytes at a host virtual address cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HomeError {
    /// The home space is a real space.
    RealSpace,
    /// The page is not mapped, or not for stores.
    Translation {
        /// Address of the page.
        at: u64,
    },
    /// The host has no access to the frame.
    Absolute(AccessError),
}

impl HomeError {
    /// The rc all commands share.
    pub(crate) const fn rc(self) -> UvRc {
        match self {
            Self::RealSpace => UvRc::HOME_REAL_SPACE,
            Self::Translation { .. } => UvRc::TRANSLATION,
            Self::Absolute(_) => UvRc::INVALID_ABSOLUTE,
        }
    }
}

impl From<HomeError> for Refusal {
    fn from(error: HomeError) -> Self {
        error.rc().into()
    }
}

/// Bytes in one frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    at: HostAddr,
    len: usize,
}

impl Machine {
    /// Loads control register 13 of the host's CPUs: the home address space, through which host virtual addresses in control
    /// blocks are translated from now on. Its tables are attached with [`AddressSpaces`](crate::abi::sie::AddressSpaces). `None` is
    /// the space after power-on, in which host virtual is host absolute.
    pub fn set_home_space(&self, asce: Option<u64>) {
        *self.home.write() = asce;
    }

    /// Refuses a real space (check 1), for calls with a host virtual address.
    pub(crate) fn check_home_space(&self) -> Result<(), HomeError> {
        let real = self.home.read().is_some_and(|asce| asce & Asce::REAL_SPACE != 0);
        if real { Err(HomeError::RealSpace) } else { Ok(()) }
    }

    /// The frame of a host virtual page (checks 1 and 2).
    fn home_frame(&self, page: u64, store: bool) -> Result<HostAddr, HomeError> {
        self.check_home_space()?;
        let Some(asce) = *self.home.read() else { return Ok(HostAddr(page)) };
        let map = self.space(asce);
        let mapping = map.and_then(|map| map.translate(GuestAddr(page))).filter(|mapping| !store || mapping.writable);
        mapping.map(|mapping| HostAddr(mapping.frame.0 & !(FRAME - 1))).ok_or(HomeError::Translation { at: page })
    }

    /// The frames that `len` bytes at a host virtual address lie in.
    pub(super) fn pieces(&self, address: u64, len: u64, store: bool) -> Result<Vec<Piece>, HomeError> {
        let mut pieces = Vec::new();
        let (mut at, mut left) = (address, len);
        while left > 0 {
            let offset = at & (FRAME - 1);
            let here = left.min(FRAME - offset);
            let frame = self.home_frame(at - offset, store)?;
            let piece = HostAddr(frame.0 + offset);
            self.storage.host_check(piece, here).map_err(HomeError::Absolute)?;
            let outside = HomeError::Translation { at };
            pieces.push(Piece { at: piece, len: usize::try_from(here).map_err(|_| outside)? });
            left -= here;
            if left > 0 {
                at = at.checked_add(here).ok_or(outside)?;
            }
        }
        Ok(pieces)
    }

    /// Claims the frame that a control block names.
    ///
    /// # Errors
    /// Checks 1 and 2, where the machine translates the address; rc 0x0032 for what is not the address of a frame; busy.
    pub(crate) fn claim_named(&self, address: u64) -> Result<FrameClaim<'_>, Refusal> {
        let frame = match self.frame_address {
            FrameAddress::HomeVirtual if address & (FRAME - 1) == 0 => self.home_frame(address, false)?,
            FrameAddress::Absolute | FrameAddress::HomeVirtual => HostAddr(address),
        };
        Ok(self.storage.claim(frame)?)
    }

    /// Whether `len` bytes at a host virtual address can be stored to.
    pub(crate) fn check_home(&self, address: u64, len: u64) -> Result<(), HomeError> {
        self.pieces(address, len, true).map(|_| ())
    }

    /// Reads host virtual storage.
    pub(crate) fn read_home(&self, address: u64, into: &mut [u8]) -> Result<(), HomeError> {
        let mut rest = into;
        for piece in self.pieces(address, rest.len() as u64, false)? {
            let (here, behind) = rest.split_at_mut(piece.len);
            self.storage.bytes.read(piece.at, here).map_err(HomeError::Absolute)?;
            rest = behind;
        }
        Ok(())
    }

    /// Stores to host virtual storage: all of it, or nothing.
    pub(crate) fn write_home(&self, address: u64, from: &[u8]) -> Result<(), HomeError> {
        self.store(&self.pieces(address, from.len() as u64, true)?, from)
    }

    /// Stores to pieces that were found before.
    pub(super) fn store(&self, pieces: &[Piece], from: &[u8]) -> Result<(), HomeError> {
        let mut rest = from;
        for piece in pieces {
            let (here, behind) = rest.split_at(piece.len);
            self.storage.bytes.write(piece.at, here).map_err(HomeError::Absolute)?;
            rest = behind;
        }
        Ok(())
    }

    /// Checks 1 and 2 for storage to be donated: the frames of `len` bytes from a host virtual page on. They need not be
    /// neighbours.
    pub(crate) fn home_frames(&self, address: u64, len: u64) -> Result<Vec<HostAddr>, HomeError> {
        let outside = HomeError::Translation { at: address };
        let end = address.checked_add(len).and_then(|end| end.checked_next_multiple_of(FRAME)).ok_or(outside)?;
        (address..end).step_by(0x1000).map(|page| self.home_frame(page, true)).collect()
    }

    /// Reads as much of a control block as the host can reach: at most `len` bytes, and why there are not more.
    pub(super) fn read_block(&self, address: u64, len: usize) -> (Vec<u8>, Option<ProgramInterruption>) {
        let mut block = Vec::new();
        while block.len() < len {
            let Some(at) = address.checked_add(block.len() as u64) else { break };
            let page_end = usize::try_from(FRAME - (at & (FRAME - 1))).unwrap_or(len);
            let mut here = alloc::vec![0; page_end.min(len - block.len())];
            if let Err(error) = self.read_home(at, &mut here) {
                return (block, Some(self.home_fault(error)));
            }
            block.append(&mut here);
        }
        (block, None)
    }

    /// The program interruption that the instruction ends with when its operand cannot be reached.
    pub(super) fn home_fault(&self, error: HomeError) -> ProgramInterruption {
        let page = |at: u64| Teid::new(at & !(FRAME - 1), true, Teid::HOME);
        match error {
            HomeError::RealSpace => ProgramInterruption::new(PgmCode::PAGE_TRANSLATION),
            HomeError::Translation { at } => ProgramInterruption::access(PgmCode::PAGE_TRANSLATION, page(at)),
            HomeError::Absolute(AccessError::Unmapped { .. }) => ProgramInterruption::new(PgmCode::ADDRESSING),
            HomeError::Absolute(AccessError::Secure { at }) => self.secure_access(at),
        }
    }
}
