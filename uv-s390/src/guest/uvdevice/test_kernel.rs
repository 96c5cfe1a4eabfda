//! A guest kernel with a memory and an Ultravisor, both made up.

use alloc::vec;
use alloc::vec::Vec;

use spin::Mutex;
use uv_core::GuestAddr;
use zerocopy::FromBytes;

use super::{GuestKernel, UvDevice};
use crate::abi::secret::LIST_PAGE_SIZE;
use crate::abi::uvc::{Cc, PgmCode, ProgramInterruption, UvCall};
use crate::abi::uvcb::{AddSecret, Attest, ListSecrets, RetrieveSecret, UvCommand as C};

pub(crate) const BUFFERS: u64 = 0x10_0000;

/// A guest with a store of secrets that an answer comes from; `refuse` is given instead of any answer.
pub(crate) struct Kernel {
    pub(crate) memory: Mutex<Vec<u8>>,
    pub(crate) secrets: u16,
    pub(crate) busy: Mutex<u32>,
    pub(crate) refuse: Option<u16>,
    /// After so many calls all are refused with 0x1f.
    pub(crate) refuse_after: usize,
    /// Lists say that there is more and have no entry.
    pub(crate) empty: bool,
    pub(crate) log: Mutex<Vec<C>>,
}

impl Kernel {
    pub(crate) fn new(secrets: u16) -> Self {
        let memory = Mutex::new(vec![0xcc; usize::try_from(BUFFERS + UvDevice::BUFFER_BYTES).unwrap()]);
        Self {
            memory,
            secrets,
            busy: Mutex::new(2),
            refuse: None,
            refuse_after: usize::MAX,
            empty: false,
            log: Mutex::default(),
        }
    }

    fn put(&self, at: u64, bytes: &[u8]) {
        self.store(GuestAddr(at), bytes).unwrap();
    }

    fn list(&self, block: &ListSecrets) -> u16 {
        let first = block.start_idx.get();
        let count = if self.empty { 0 } else { (self.secrets - first).min(85) };
        let next = if first + count < self.secrets { first + count } else { 0 };
        let mut page = Vec::new();
        page.extend([count, self.secrets, next].iter().flat_map(|half| half.to_be_bytes()));
        page.resize(16, 0);
        for index in first..first + count {
            page.extend(index.to_be_bytes());
            page.extend([0, 2, 0, 0, 0, 32]);
            page.resize(page.len() + 8, 0);
            page.extend([0x5a; 31]);
            page.push(index.to_be_bytes()[1]);
        }
        page.resize(LIST_PAGE_SIZE, 0);
        self.put(block.list_addr.get(), &page);
        if next == 0 && !self.empty { 1 } else { 0x100 }
    }
}

impl UvCall for Kernel {
    fn uv_call(&self, block: &mut [u8]) -> Result<Cc, ProgramInterruption> {
        let mut busy = self.busy.lock();
        if *busy > 0 {
            *busy -= 1;
            return Ok(if *busy == 0 { Cc::Partial } else { Cc::Busy });
        }
        let command = C(u16::from_be_bytes([block[2], block[3]]));
        let refused = (self.log.lock().len() >= self.refuse_after).then_some(0x1f);
        self.log.lock().push(command);
        let rc = match (self.refuse.or(refused), command) {
            (Some(rc), _) => rc,
            (None, C::RETR_ATTEST) => {
                let given = Attest::mut_from_bytes(block).unwrap();
                given.config_uid = [9; 16];
                assert_eq!(given.cont_token.get(), 0);
                let mut request = [0; 3];
                self.load(GuestAddr(given.arcb_addr.get()), &mut request).unwrap();
                assert_eq!(request, [1, 2, 3]);
                self.put(given.meas_addr.get(), &[7; 64]);
                if given.add_data_len.get() > 0 {
                    self.put(given.add_data_addr.get(), &[8; 32]);
                }
                1
            }
            (None, C::ADD_SECRET) => {
                let given = AddSecret::ref_from_bytes(block).unwrap();
                let mut request = [0; 5];
                self.load(GuestAddr(given.addr.get()), &mut request).unwrap();
                if request == *b"adds!" { 1 } else { 0x105 }
            }
            (None, C::LIST_SECRETS) => self.list(ListSecrets::ref_from_bytes(block).unwrap()),
            (None, C::LOCK_SECRETS) => 1,
            (None, C::RETR_SECRET) => {
                let given = RetrieveSecret::ref_from_bytes(block).unwrap();
                if given.secret_idx.get() == 3 {
                    self.put(given.buf_addr.get(), b"a secret");
                    1
                } else {
                    0x110
                }
            }
            _ => 2,
        };
        block[4..6].copy_from_slice(&rc.to_be_bytes());
        Ok(if rc == 1 { Cc::Done } else { Cc::Error })
    }
}

impl GuestKernel for Kernel {
    fn load(&self, at: GuestAddr, into: &mut [u8]) -> Result<(), ProgramInterruption> {
        let start = usize::try_from(at.0).unwrap();
        let memory = self.memory.lock();
        let bytes = memory.get(start..start + into.len());
        into.copy_from_slice(bytes.ok_or(ProgramInterruption::new(PgmCode::ADDRESSING))?);
        Ok(())
    }

    fn store(&self, at: GuestAddr, from: &[u8]) -> Result<(), ProgramInterruption> {
        let start = usize::try_from(at.0).unwrap();
        let mut memory = self.memory.lock();
        let bytes = memory.get_mut(start..start + from.len());
        bytes.ok_or(ProgramInterruption::new(PgmCode::ADDRESSING))?.copy_from_slice(from);
        Ok(())
    }
}
