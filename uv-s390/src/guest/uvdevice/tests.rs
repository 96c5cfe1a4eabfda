//! The driver on a made-up guest kernel.

use alloc::vec;
use alloc::vec::Vec;

use spin::Mutex;
use uv_core::GuestAddr;
use zerocopy::{FromBytes, IntoBytes};

use super::*;
use crate::abi::Errno;
use crate::abi::secret::{LIST_PAGE_SIZE, ListHead, SecretEntry, SecretList};
use crate::abi::uvc::{Cc, PgmCode, ProgramInterruption, UvCall};
use crate::abi::uvcb::{AddSecret, Attest, InstalledCalls, ListSecrets, RetrieveSecret, UvCommand as C};

const BUFFERS: u64 = 0x10_0000;

/// A guest with a store of secrets that an answer comes from; `refuse` is given instead of any answer.
struct Kernel {
    memory: Mutex<Vec<u8>>,
    secrets: u16,
    busy: Mutex<u32>,
    refuse: Option<u16>,
    log: Mutex<Vec<C>>,
}

impl Kernel {
    fn new(secrets: u16) -> Self {
        let memory = Mutex::new(vec![0xcc; usize::try_from(BUFFERS + UvDevice::BUFFER_BYTES).unwrap()]);
        Self { memory, secrets, busy: Mutex::new(2), refuse: None, log: Mutex::default() }
    }

    fn put(&self, at: u64, bytes: &[u8]) {
        self.store(GuestAddr(at), bytes).unwrap();
    }

    fn list(&self, block: &ListSecrets) -> u16 {
        let first = block.start_idx.get();
        let count = (self.secrets - first).min(85);
        let next = if first + count < self.secrets { first + count } else { 0 };
        let mut page = Vec::new();
        page.extend([count, self.secrets, next].iter().flat_map(|half| half.to_be_bytes()));
        page.resize(16, 0);
        for index in first..first + count {
            page.extend(index.to_be_bytes());
            page.extend([0, 2, 0, 0, 0, 32]);
            page.resize(page.len() + 8, 0);
            page.extend([0x5a; 32]);
        }
        page.resize(LIST_PAGE_SIZE, 0);
        self.put(block.list_addr.get(), &page);
        if next == 0 { 1 } else { 0x100 }
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
        self.log.lock().push(command);
        let rc = match (self.refuse, command) {
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

fn device() -> UvDevice {
    UvDevice::new(GuestAddr(BUFFERS), InstalledCalls::of([28, 29, 30, 31]))
}

fn run(kernel: &Kernel, ioctl: Ioctl) -> Result<Ioctl, Errno> {
    device().ioctl(ioctl).run(kernel)
}

fn codes(done: &Ioctl) -> u16 {
    done.control.uv_rc.get()
}

#[test]
fn requests_have_their_numbers() {
    assert_eq!(request(UvioNr::INFO), 0xc040_7500);
    assert_eq!(request(UvioNr::RETR_SECRET), 0xc040_7505);
    let kernel = Kernel::new(0);
    for number in [0xc040_7506, 0x8040_7500, 0xc03f_7500, 0xc040_7400, 0] {
        let ioctl = Ioctl { request: number, ..Ioctl::new(UvioNr::INFO, vec![0; 16]) };
        assert_eq!(run(&kernel, ioctl), Err(Errno::ENOTTY), "{number:#x}");
    }
}

#[test]
fn flags_and_reserved_bytes_must_be_zero() {
    let kernel = Kernel::new(0);
    let mut ioctl = Ioctl::new(UvioNr::INFO, vec![0; 16]);
    ioctl.control.flags = 1.into();
    assert_eq!(run(&kernel, ioctl.clone()), Err(Errno::EINVAL));
    ioctl.control.flags = 0.into();
    ioctl.control.reserved14[43] = 1;
    assert_eq!(run(&kernel, ioctl), Err(Errno::EINVAL));
}

#[test]
fn info_counts_from_the_right() {
    let kernel = Kernel::new(0);
    assert_eq!(run(&kernel, Ioctl::new(UvioNr::INFO, vec![0; 15])), Err(Errno::EINVAL));
    let info = |device: UvDevice| {
        let done = device.ioctl(Ioctl::new(UvioNr::INFO, vec![0; 16])).run(&kernel).unwrap();
        assert_eq!(codes(&done), 1);
        let info = InfoArgument::read_from_bytes(&done.argument).unwrap();
        (info.ioctls.get(), info.calls.get())
    };
    assert_eq!(info(device()), (0x3f, 0x1e));
    assert_eq!(info(device().as_published()), (0x3f, 0x3e));
    assert_eq!(info(UvDevice::new(GuestAddr(0), InstalledCalls::of([33]))), (0x3f, 0x20));
    let short = Ioctl { argument: vec![0; 8].into(), ..Ioctl::new(UvioNr::INFO, vec![0; 16]) };
    assert_eq!(run(&kernel, short), Err(Errno::EFAULT));
    assert!(kernel.log.lock().is_empty());
}

fn attest(arcb: u32, measurement: u32, additional: u32) -> Ioctl {
    let argument = AttestArgument::new(arcb, measurement, additional, b"user");
    let area = |len: u32| vec![0; usize::try_from(len.min(0x9000)).unwrap()];
    let areas = [vec![1, 2, 3], area(measurement), area(additional)];
    Ioctl { areas, ..Ioctl::new(UvioNr::ATTEST, argument.as_bytes().to_vec()) }
}

#[test]
fn attest_copies_in_and_out() {
    let kernel = Kernel::new(0);
    let done = run(&kernel, attest(3, 64, 32)).unwrap();
    assert_eq!((codes(&done), &done.areas[1], &done.areas[2]), (1, &vec![7; 64], &vec![8; 32]));
    assert_eq!(AttestArgument::read_from_bytes(&done.argument).unwrap().config_uid, [9; 16]);
    assert_eq!(kernel.log.lock().len(), 1, "busy and partial were tried again");
    run(&kernel, attest(3, 64, 0)).unwrap();
}

#[test]
fn attest_checks_its_argument() {
    let kernel = Kernel::new(0);
    for (arcb, measurement, additional) in [(0, 64, 0), (0x10_0001, 64, 0), (3, 0, 0), (3, 0x8001, 0), (3, 64, 0x8001)]
    {
        assert_eq!(run(&kernel, attest(arcb, measurement, additional)), Err(Errno::EINVAL));
    }
    assert_eq!(run(&kernel, attest(4, 64, 0)), Err(Errno::EFAULT), "the request is shorter than it says");
    let mut ioctl = attest(3, 64, 0);
    ioctl.argument[0x137] = 1;
    assert_eq!(run(&kernel, ioctl), Err(Errno::EINVAL));
    let long = Ioctl { argument: vec![0; 0x139].into(), ..attest(3, 64, 0) };
    let long = Ioctl { control: Control::new(0x139), ..long };
    assert_eq!(run(&kernel, long), Err(Errno::EINVAL));
    let refused = run(&Kernel { refuse: Some(0x10c), ..Kernel::new(0) }, attest(3, 64, 0)).unwrap();
    assert_eq!(codes(&refused), 0x10c, "a refusal is no errno");
    assert_eq!(refused.areas[1], [0; 64], "the buffer is copied all the same, and nothing of the last program's");
}

#[test]
fn secrets_are_added_and_locked() {
    let kernel = Kernel::new(0);
    assert_eq!(codes(&run(&kernel, Ioctl::new(UvioNr::ADD_SECRET, b"adds!".to_vec())).unwrap()), 1);
    assert_eq!(codes(&run(&kernel, Ioctl::new(UvioNr::ADD_SECRET, b"wrong".to_vec())).unwrap()), 0x105);
    assert_eq!(run(&kernel, Ioctl::new(UvioNr::ADD_SECRET, vec![])), Err(Errno::EINVAL));
    assert_eq!(run(&kernel, Ioctl::new(UvioNr::ADD_SECRET, vec![0; (1 << 20) + 1])), Err(Errno::EINVAL));
    assert_eq!(codes(&run(&kernel, Ioctl::new(UvioNr::LOCK_SECRETS, vec![])).unwrap()), 1);
    assert_eq!(run(&kernel, Ioctl::new(UvioNr::LOCK_SECRETS, vec![0])), Err(Errno::EINVAL));
    let mut ioctl = Ioctl::new(UvioNr::LOCK_SECRETS, vec![]);
    ioctl.control.argument_addr = 8.into();
    assert_eq!(run(&kernel, ioctl), Err(Errno::EINVAL));
}

#[test]
fn lists_are_joined() {
    for (secrets, pages, entries, calls, rc) in
        [(0, 1, 0, 1, 1), (85, 1, 85, 1, 1), (86, 1, 85, 1, 0x100), (86, 2, 86, 2, 1), (300, 3, 255, 3, 0x100)]
    {
        let kernel = Kernel::new(secrets);
        let done = run(&kernel, Ioctl::new(UvioNr::LIST_SECRETS, vec![0xee; pages * LIST_PAGE_SIZE])).unwrap();
        assert_eq!((codes(&done), kernel.log.lock().len()), (rc, calls), "{secrets} secrets in {pages} pages");
        let (head, rest) = ListHead::read_from_prefix(&done.argument).unwrap();
        assert_eq!((head.entries.get(), head.total.get()), (entries, secrets));
        let all = size_of::<SecretEntry>() * usize::from(entries);
        let indices: Vec<_> =
            rest[..all].chunks(size_of::<SecretEntry>()).map(|e| u16::from_be_bytes([e[0], e[1]])).collect();
        assert!(indices.into_iter().eq(0..entries));
        assert!(SecretList::decode(&done.argument).is_ok());
    }
    let kernel = Kernel::new(1);
    for len in [0, 4095, 4097] {
        assert_eq!(run(&kernel, Ioctl::new(UvioNr::LIST_SECRETS, vec![0; len])), Err(Errno::EINVAL));
    }
    let refused = Kernel { refuse: Some(2), ..Kernel::new(1) };
    let done = run(&refused, Ioctl::new(UvioNr::LIST_SECRETS, vec![0xee; 8192])).unwrap();
    assert_eq!((codes(&done), done.argument[..4096].iter().all(|byte| *byte == 0)), (2, true));
}

#[test]
fn a_secret_replaces_its_index() {
    let kernel = Kernel::new(0);
    let mut buffer = vec![0; 16];
    buffer[..2].copy_from_slice(&[0, 3]);
    let done = run(&kernel, Ioctl::new(UvioNr::RETR_SECRET, buffer)).unwrap();
    assert_eq!((codes(&done), &done.argument[..]), (1, &b"a secret\0\0\0\0\0\0\0\0"[..]));
    let done = run(&kernel, Ioctl::new(UvioNr::RETR_SECRET, vec![0, 4, 5])).unwrap();
    assert_eq!((codes(&done), &done.argument[..]), (0x110, &[0, 4, 5][..]));
    for len in [0, 1, 8193] {
        assert_eq!(run(&kernel, Ioctl::new(UvioNr::RETR_SECRET, vec![0; len])), Err(Errno::EINVAL));
    }
    assert!(run(&kernel, Ioctl::new(UvioNr::RETR_SECRET, vec![0; 8192])).is_ok());
}
