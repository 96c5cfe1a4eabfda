//! The driver on a made-up guest kernel.

use super::test_kernel::{BUFFERS, Kernel};
use super::*;
use crate::abi::Errno;
use crate::abi::secret::{LIST_PAGE_SIZE, ListHead, SecretEntry, SecretList};
use crate::abi::uvcb::InstalledCalls;
use alloc::vec;
use alloc::vec::Vec;
use uv_core::GuestAddr;
use zerocopy::{FromBytes, IntoBytes};

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
}

#[test]
fn a_list_is_its_head_and_its_entries_and_nothing_behind() {
    let untouched = |bytes: &[u8]| bytes.iter().all(|byte| *byte == 0xee);
    let list = |kernel: &Kernel, len| run(kernel, Ioctl::new(UvioNr::LIST_SECRETS, vec![0xee; len])).unwrap();
    let done = list(&Kernel::new(2), LIST_PAGE_SIZE);
    assert_eq!((codes(&done), &done.argument[..16]), (1, &[0, 2, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0][..]));
    assert!(done.argument[16..112].contains(&0x5a) && untouched(&done.argument[112..]));

    let done = list(&Kernel { refuse: Some(2), ..Kernel::new(1) }, 2 * LIST_PAGE_SIZE);
    assert_eq!((codes(&done), &done.argument[..16]), (2, &[0; 16][..]));
    assert!(untouched(&done.argument[16..]), "no page of zeros");

    // The second call is refused: what the first one gave stays, with its code.
    let kernel = Kernel { refuse_after: 1, ..Kernel::new(300) };
    let done = list(&kernel, 3 * LIST_PAGE_SIZE);
    assert_eq!((codes(&done), kernel.log.lock().len()), (0x1f, 2));
    assert_eq!(&done.argument[..6], &[0, 85, 1, 44, 0, 85]);
    assert!(untouched(&done.argument[LIST_PAGE_SIZE..]));
}

#[test]
fn a_list_is_copied_out_after_the_call() {
    let kernel = Kernel::new(85);
    let mut ioctl = Ioctl::new(UvioNr::LIST_SECRETS, vec![0; LIST_PAGE_SIZE]);
    ioctl.argument.truncate(LIST_PAGE_SIZE - 1);
    assert_eq!(run(&kernel, ioctl), Err(Errno::EFAULT));
    assert_eq!(kernel.log.lock().len(), 1, "the call was made");
    // More that never comes does not go on without end.
    let kernel = Kernel { empty: true, ..Kernel::new(1) };
    let done = run(&kernel, Ioctl::new(UvioNr::LIST_SECRETS, vec![0; 9 * LIST_PAGE_SIZE])).unwrap();
    assert_eq!((codes(&done), kernel.log.lock().len()), (0x100, 1));
}

#[test]
fn a_secret_replaces_its_index() {
    let kernel = Kernel::new(0);
    let short = |len| {
        let mut ioctl = Ioctl::new(UvioNr::RETR_SECRET, vec![0; 16]);
        ioctl.argument.truncate(len);
        ioctl
    };
    let mut buffer = vec![0; 16];
    buffer[..2].copy_from_slice(&[0, 3]);
    let done = run(&kernel, Ioctl::new(UvioNr::RETR_SECRET, buffer)).unwrap();
    assert_eq!((codes(&done), &done.argument[..]), (1, &b"a secret\0\0\0\0\0\0\0\0"[..]));
    let done = run(&kernel, Ioctl::new(UvioNr::RETR_SECRET, vec![0, 4, 5])).unwrap();
    assert_eq!((codes(&done), &done.argument[..]), (0x110, &[0, 0, 0][..]), "zeros take the place of the index");
    assert_eq!(run(&kernel, short(1)), Err(Errno::EFAULT));
    assert_eq!(kernel.log.lock().len(), 2, "no index, no call");
    assert_eq!(run(&kernel, short(15)), Err(Errno::EFAULT));
    assert_eq!(kernel.log.lock().len(), 3, "what the call gave finds no room");
    for len in [0, 1, 8193] {
        assert_eq!(run(&kernel, Ioctl::new(UvioNr::RETR_SECRET, vec![0; len])), Err(Errno::EINVAL));
    }
    assert!(run(&kernel, Ioctl::new(UvioNr::RETR_SECRET, vec![0; 8192])).is_ok());
}
