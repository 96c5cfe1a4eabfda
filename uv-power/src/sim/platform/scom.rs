//! The chips' configuration registers and the list of those a hypervisor may reach (power-pef §3.5).

use alloc::collections::{BTreeMap, BTreeSet};

use crate::abi::codes::UvCode;

/// Addresses that may be written without being listed.
const WRITE_EXCEPTIONS: [u64; 3] = [0x0006_c081, 0x0006_c082, 0x0501_2c4b];
/// Low halves of the addresses 0x000A0000 + n·0x1000 that may be written without being listed, n below 4.
const WRITE_EXCEPTIONS_A: [u64; 5] = [4, 5, 7, 9, 0xa];

/// The access list: addresses cut to 32 bits. [`ScomList::parse`] reads it from its memory region.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScomList {
    /// May be written.
    pub white: BTreeSet<u64>,
    /// May not be read.
    pub black: BTreeSet<u64>,
    /// May be written in the bits of a mask. The ultracall passes no mask, so an entry allows the address.
    pub grey: BTreeMap<u64, u64>,
}

/// The registers of all chips.
#[derive(Debug, Default)]
pub struct Scom {
    chips: BTreeSet<u64>,
    values: BTreeMap<(u64, u64), u64>,
    faults: BTreeMap<(u64, u64), UvCode>,
    list: Option<ScomList>,
    enforce: bool,
}

impl Scom {
    pub(crate) fn new(enforce: bool) -> Self {
        Self { enforce, ..Self::default() }
    }

    /// Adds a chip.
    pub fn add_chip(&mut self, chip: u32) {
        self.chips.insert(chip.into());
    }

    /// Adds a register with a value; its chip is added too.
    pub fn add_register(&mut self, chip: u32, address: u64, value: u64) {
        self.add_chip(chip);
        self.values.insert((chip.into(), address), value);
    }

    /// The hardware answers accesses of an address with a code from now on.
    pub fn fail(&mut self, chip: u32, address: u64, code: UvCode) {
        self.faults.insert((chip.into(), address), code);
    }

    /// Loads the access list.
    pub fn load_list(&mut self, list: ScomList) {
        self.list = Some(list);
    }

    pub(crate) fn has_chip(&self, chip: u64) -> bool {
        // Bits 31:28 and everything above are no chip number.
        chip >> 28 == 0 && self.chips.contains(&chip)
    }

    /// A list that was never loaded allows nothing. The firmware tries a black-listed address against a second list,
    /// which is empty, and so refuses no read.
    pub(crate) fn may_read(&self, address: u64, firmware: bool) -> bool {
        match &self.list {
            _ if !self.enforce => true,
            None => false,
            Some(list) => firmware || !list.black.contains(&(address & 0xffff_ffff)),
        }
    }

    pub(crate) fn may_write(&self, address: u64) -> bool {
        let address = address & 0xffff_ffff;
        let exception = WRITE_EXCEPTIONS.contains(&address)
            || (address & !0x3fff == 0x000a_0000 && WRITE_EXCEPTIONS_A.contains(&(address & 0xfff)));
        match &self.list {
            _ if !self.enforce => true,
            None => false,
            Some(list) => list.white.contains(&address) || list.grey.contains_key(&address) || exception,
        }
    }

    fn at(&self, chip: u64, address: u64) -> Result<(u64, u64), UvCode> {
        match self.faults.get(&(chip, address)) {
            Some(code) => Err(*code),
            None if self.values.contains_key(&(chip, address)) => Ok((chip, address)),
            None => Err(UvCode::U_XSCOM_ADDR_ERROR),
        }
    }

    pub(crate) fn read(&self, chip: u64, address: u64) -> Result<u64, UvCode> {
        let at = self.at(chip, address)?;
        Ok(self.values.get(&at).copied().unwrap_or(0))
    }

    pub(crate) fn write(&mut self, chip: u64, address: u64, value: u64) -> Result<(), UvCode> {
        let at = self.at(chip, address)?;
        self.values.insert(at, value);
        Ok(())
    }
}
