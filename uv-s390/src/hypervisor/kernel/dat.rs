//! Guest logical addresses of an ordinary CPU: addressing mode, dynamic address translation, prefixing, low-address protection
//! (Linux: `gaccess.c`; z/Architecture Principles of Operation, chapter 3).
//!
//! The machine has EDAT 1 and 2. UNSURE: an ALET that is not 0 or 1 designates an access-list entry; access lists are not
//! walked, so every such entry counts as one that is not there (0x29).

use uv_core::GuestAddr;
use zerocopy::byteorder::big_endian::U64;

use super::{HostError, Vm};
use crate::abi::dat::{COMMON, FORMAT, INVALID, PAGE_INVALID, PAGE_ZERO, PROTECT, SHIFTS};
use crate::abi::psw::Psw;
use crate::abi::sie::{Asce, StateDescription};
use crate::abi::uvc::{PgmCode, Teid};

const PSW_DAT: u64 = 1 << (63 - 5);
const PSW_EA: u64 = 1 << (63 - 31);
const PSW_BA: u64 = 1 << (63 - 32);
/// CR0: low-address protection, fetch-protection override, storage-protection override, EDAT.
const CR0_LAP: u64 = 1 << (63 - 35);
const CR0_FPO: u64 = 1 << (63 - 38);
const CR0_SPO: u64 = 1 << (63 - 39);
const CR0_EDAT: u64 = 1 << (63 - 40);
/// Access control that storage-protection override opens.
const SPO_KEY: u8 = 9;
/// Bytes of the prefix area.
const PREFIX_AREA: u64 = 0x2000;

/// What an entry that is not there gives, by table type.
const MISSING: [PgmCode; 4] = [PgmCode(0x10), PgmCode(0x3b), PgmCode(0x3a), PgmCode(0x39)];
const ASCE_TYPE: PgmCode = PgmCode(0x38);
const TRANSLATION_SPECIFICATION: PgmCode = PgmCode(0x12);
const ALET_SPECIFICATION: PgmCode = PgmCode(0x28);
const ALEN_TRANSLATION: PgmCode = PgmCode(0x29);

/// Kind of an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Fetch.
    Fetch,
    /// Store.
    Store,
}

/// What an access ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Translation {
    /// A program interruption, with its TEID.
    Program(PgmCode, Teid),
    /// The host cannot read the guest's tables.
    Host,
}

/// Why storage is protected, as the TEID says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protection {
    LowAddress,
    Key,
    Dat,
}

impl Protection {
    const fn teid(self) -> u64 {
        match self {
            Self::LowAddress => 1 << (63 - 56),
            Self::Key => 1 << (63 - 60),
            Self::Dat => 1 << (63 - 61),
        }
    }
}

/// How a CPU sees storage: between two runs, or in one that has ended.
pub(crate) struct Logical<'a> {
    guest: &'a Vm,
    state: StateDescription,
    asce: Asce,
    access: Access,
}

impl<'a> Logical<'a> {
    /// The space of a CPU that an access register selects.
    pub(crate) fn new(guest: &'a Vm, cpu: u16, ar: u8, access: Access) -> Result<Result<Self, PgmCode>, HostError> {
        let (state, registers) = (guest.state(cpu)?, guest.registers(cpu)?);
        let alet = registers.ars.get(usize::from(ar)).copied().unwrap_or(0);
        let asce = space(&state, ar, alet);
        Ok(asce.map(|asce| Self { guest, state, asce, access }))
    }

    fn psw(&self) -> Psw {
        self.state.psw
    }

    fn is_dat(&self) -> bool {
        self.psw().mask.get() & PSW_DAT != 0
    }

    /// Whether protection by address or its override is on: a private space has neither.
    fn cr0(&self, bit: u64) -> bool {
        let private = self.is_dat() && self.asce.0 & Asce::PRIVATE != 0;
        self.state.crs[0].get() & bit != 0 && !private
    }

    /// The address cut to the addressing mode.
    pub(crate) fn effective(&self, address: u64) -> u64 {
        let mask = self.psw().mask.get();
        match (mask & PSW_EA != 0, mask & PSW_BA != 0) {
            (true, true) => address,
            (false, true) => address & 0x7fff_ffff,
            _ => address & 0x00ff_ffff,
        }
    }

    /// Where `len` bytes at an effective address within one page are, for an access with this key.
    pub(crate) fn locate(&self, address: u64, len: u64, key: u8) -> Result<GuestAddr, Translation> {
        if self.access == Access::Store && self.cr0(CR0_LAP) && address & !0x11ff == 0 {
            return Err(self.protected(address, Protection::LowAddress));
        }
        let at = if self.is_dat() { self.walk(address)? } else { self.absolute(address) };
        if !self.is_storage(at) {
            return Err(self.program(PgmCode::ADDRESSING, address));
        }
        if self.key_permits(at, address, len, key) { Ok(at) } else { Err(self.protected(address, Protection::Key)) }
    }

    fn key_permits(&self, at: GuestAddr, address: u64, len: u64, key: u8) -> bool {
        let gfn = uv_core::PageSize::K4.gfn(at);
        let fetch = self.access == Access::Fetch;
        let low = address < 2048 && address + len <= 2048;
        let control = self.guest.storage_key(gfn).unwrap_or(0) >> 4;
        self.guest.key_permits(gfn, key, !fetch)
            || fetch && low && self.cr0(CR0_FPO)
            || self.state.crs[0].get() & CR0_SPO != 0 && control == SPO_KEY
    }

    fn walk(&self, address: u64) -> Result<GuestAddr, Translation> {
        if self.asce.0 & Asce::REAL_SPACE != 0 {
            return Ok(self.absolute(address));
        }
        let program = |code| Err(self.program(code, address));
        let edat = self.state.crs[0].get() & CR0_EDAT != 0;
        let private = self.asce.0 & Asce::PRIVATE != 0;
        let mut level = usize::from(self.asce.0.to_be_bytes()[7] >> 2 & 3);
        let (shift, missing) = (SHIFTS[level], MISSING[level]);
        if shift + 11 < 64 && address >> (shift + 11) != 0 {
            return program(ASCE_TYPE);
        }
        if part(address, shift) > self.asce.0 & Asce::LENGTH {
            return program(missing);
        }
        let mut table = self.asce.origin();
        let mut protected = false;
        loop {
            let (shift, missing) = (SHIFTS[level], MISSING[level]);
            let entry = self.entry(table + (address >> shift & 0x7ff) * 8, address)?;
            if entry & INVALID != 0 {
                return program(missing);
            }
            if usize::from(entry.to_be_bytes()[7] >> 2 & 3) != level {
                return program(TRANSLATION_SPECIFICATION);
            }
            let large = level < 2 && edat;
            if entry & COMMON != 0 && private && (level == 0 || large && level == 1) {
                return program(TRANSLATION_SPECIFICATION);
            }
            protected |= entry & PROTECT != 0 && (edat || level == 0);
            if large && entry & FORMAT != 0 {
                let offset = (1 << shift) - 1;
                return self.unprotected(protected, address, GuestAddr(entry & !offset | address & offset));
            }
            if level == 0 {
                let entry = self.entry((entry & !0x7ff) + (address >> 12 & 0xff) * 8, address)?;
                if entry & PAGE_INVALID != 0 {
                    return program(PgmCode::PAGE_TRANSLATION);
                }
                if entry & PAGE_ZERO != 0 {
                    return program(TRANSLATION_SPECIFICATION);
                }
                protected |= entry & PROTECT != 0;
                let real = entry & !0xfff | address & 0xfff;
                return self.unprotected(protected, address, self.absolute(real));
            }
            level -= 1;
            let (shift, missing) = (SHIFTS[level], MISSING[level]);
            if !(entry >> 6 & 3..=entry & 3).contains(&part(address, shift)) {
                return program(missing);
            }
            table = entry & !0xfff;
        }
    }

    fn unprotected(&self, protected: bool, address: u64, at: GuestAddr) -> Result<GuestAddr, Translation> {
        let refused = protected && self.access == Access::Store;
        if refused { Err(self.protected(address, Protection::Dat)) } else { Ok(at) }
    }

    fn entry(&self, at: u64, address: u64) -> Result<u64, Translation> {
        if !self.is_storage(GuestAddr(at)) {
            return Err(self.program(PgmCode::ADDRESSING, address));
        }
        let mut entry = [0; 8];
        self.guest.host_read(GuestAddr(at), &mut entry).map_err(|_| Translation::Host)?;
        Ok(U64::from_bytes(entry).get())
    }

    fn is_storage(&self, at: GuestAddr) -> bool {
        self.guest.slots().host_addr(at).is_some()
    }

    /// Prefixing.
    fn absolute(&self, real: u64) -> GuestAddr {
        let prefix = self.state.prefix_address();
        GuestAddr(match real {
            0..PREFIX_AREA => real + prefix,
            _ if (prefix..prefix + PREFIX_AREA).contains(&real) => real - prefix,
            _ => real,
        })
    }

    fn protected(&self, address: u64, why: Protection) -> Translation {
        Translation::Program(PgmCode::PROTECTION, Teid(self.teid(address).0 | why.teid()))
    }

    fn program(&self, code: PgmCode, address: u64) -> Translation {
        let without = matches!(code, PgmCode::ADDRESSING | TRANSLATION_SPECIFICATION);
        Translation::Program(code, if without { Teid(0) } else { self.teid(address) })
    }

    /// Page, whether it was a store (bits 52–53), address-space control.
    fn teid(&self, address: u64) -> Teid {
        let access = if self.access == Access::Store { 1 } else { 2 };
        Teid(address & !0xfff | access << 10 | self.psw().mask.get() >> 46 & 3)
    }
}

/// The first two bits of an index: what table offsets and lengths count.
const fn part(address: u64, shift: u32) -> u64 {
    address >> (shift + 9) & 3
}

/// The address space that PSW and access register select.
fn space(state: &StateDescription, ar: u8, alet: u32) -> Result<Asce, PgmCode> {
    let cr = |number: usize| Ok(Asce(state.crs[number].get()));
    match (state.psw.mask.get() >> 46 & 3, ar, alet) {
        _ if state.psw.mask.get() & PSW_DAT == 0 => Ok(Asce(Asce::REAL_SPACE)),
        (0, ..) | (1, 0, _) | (1, _, 0) => cr(1),
        (2, ..) | (1, _, 1) => cr(7),
        (3, ..) => cr(13),
        _ if alet >> 25 != 0 => Err(ALET_SPECIFICATION),
        _ => Err(ALEN_TRANSLATION),
    }
}
