//! Error numbers for each code.

use alloc::vec;

use uv_core::GuestAddr;

use super::*;
use crate::abi::secret::SecretId;
use crate::guest::uvdevice::test_kernel::{BUFFERS, Kernel};
use crate::guest::uvdevice::{GuestKernel, UvDevice};

const PAGE: GuestAddr = GuestAddr(BUFFERS);

fn find(kernel: &Kernel, last: u8) -> Result<u16, Errno> {
    let mut id = [0x5a; 32];
    id[31] = last;
    get_secret_metadata(kernel, PAGE, &SecretId(id)).map(|entry| entry.index.get())
}

#[test]
fn metadata_is_found_on_every_page() {
    let kernel = Kernel::new(200);
    assert_eq!((find(&kernel, 3), kernel.log.lock().len()), (Ok(3), 1));
    assert_eq!((find(&kernel, 199), kernel.log.lock().len()), (Ok(199), 4), "on the third page");
    assert_eq!((find(&kernel, 201), kernel.log.lock().len()), (Err(Errno::ENOENT), 7));
    assert_eq!(find(&Kernel::new(0), 0), Err(Errno::ENOENT));
    assert_eq!(find(&Kernel { empty: true, ..Kernel::new(1) }, 0), Err(Errno::ENOENT), "more that never comes");
}

#[test]
fn metadata_errors() {
    for (rc, errno) in [(2, Errno::ENODEV), (0x110, Errno::EIO), (0x31, Errno::EIO)] {
        assert_eq!(find(&Kernel { refuse: Some(rc), ..Kernel::new(1) }, 0), Err(errno), "{rc:#x}");
    }
    let nowhere = GuestAddr(BUFFERS + UvDevice::BUFFER_BYTES);
    assert_eq!(get_secret_metadata(&Kernel::new(1), nowhere, &SecretId([0; 32])).err(), Some(Errno::EIO));
}

#[test]
fn a_secret_is_retrieved_and_its_buffer_cleared() {
    let kernel = Kernel::new(5);
    assert_eq!(retrieve_secret(&kernel, PAGE, 3, 8).unwrap()[..], *b"a secret");
    let mut left = vec![1; 8];
    kernel.load(PAGE, &mut left).unwrap();
    assert_eq!(left, [0; 8]);
    assert_eq!(retrieve_secret(&kernel, PAGE, 4, 8), Err(Errno::ENOENT));
}

#[test]
fn retrieve_errors() {
    let refused = |rc| retrieve_secret(&Kernel { refuse: Some(rc), ..Kernel::new(5) }, PAGE, 3, 8).unwrap_err();
    for (rc, errno) in [
        (2, Errno::ENODEV),
        (0x10f, Errno::ENOENT),
        (0x110, Errno::ENOENT),
        (0x111, Errno::ENOENT),
        (0x109, Errno::EINVAL),
        (0x102, Errno::EIO),
        (0x100, Errno::EIO),
        (9, Errno::EIO),
    ] {
        assert_eq!(refused(rc), errno, "{rc:#x}");
    }
}
