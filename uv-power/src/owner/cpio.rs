//! The `newc` archive that carries a blob in front of an initramfs (power-pef §12.7, §13 step 4a).
//!
//! Who uses it: the owner's tools, which write the archive; the ultravisor, which looks for the blob in it.

use alloc::vec::Vec;
use core::ops::Range;

/// Folder of the blob inside of the archive.
pub const FOLDER: &str = "opt/ibm/pef";
/// The archive is padded to a multiple of this many bytes.
pub const BLOCK: usize = 512;

const HEADER: usize = 110;
const MAGIC: &[u8] = b"070701";
const TRAILER: &str = "TRAILER!!!";
const FILE_SIZE_AT: usize = 54;
const NAME_SIZE_AT: usize = 94;
const TREE_MAGIC: [u8; 4] = [0xd0, 0x0d, 0xfe, 0xed];

/// Why no blob was found in front of an initramfs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CpioError {
    /// No archive starts here, or one of its headers is damaged.
    #[error("no newc archive header at offset {0}")]
    Header(usize),
    /// The archive ends before its trailer.
    #[error("the archive is cut off at offset {0}")]
    Truncated(usize),
    /// The first member with contents does not lie below [`FOLDER`].
    #[error("the first file of the archive is not below {FOLDER}")]
    Folder,
    /// That member holds no device tree.
    #[error("the file below {FOLDER} holds no device tree")]
    NoTree,
    /// The archive has no member with contents.
    #[error("the archive holds no file")]
    NoFile,
    /// The member's name is not one plain file name.
    #[error("the ESM blob's name in the archive must be one plain file name")]
    Name,
    /// The blob is longer than an archive header can say.
    #[error("the ESM blob is too long for the archive")]
    TooLong,
}

/// Where things lie, as offsets into the scanned bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carrier {
    /// From the blob's magic to the end of its member.
    pub blob: Range<usize>,
    /// Start of the initramfs that the digest covers.
    pub initrd: usize,
}

/// Looks for a blob in front of an initramfs with the firmware's rules.
///
/// `initrd` are the bytes from `linux,initrd-start`, which is `address` in guest memory: the archive starts at the next
/// multiple of 4 from there. The first member with contents must have a name that begins with [`FOLDER`] (a leading
/// `./` is not accepted); in its data the device tree magic is searched in steps of 4 bytes. Later members are passed
/// over up to the trailer; the next address after the archive that is a multiple of [`BLOCK`] is where the initramfs starts. An
/// archive that is padded by its length is followed by its initramfs only if it begins at such an address too.
///
/// # Errors
/// [`CpioError`]; never a panic, whatever the bytes.
pub fn scan(initrd: &[u8], address: u64) -> Result<Carrier, CpioError> {
    let start = usize::try_from(address.wrapping_neg() % 4).map_err(|_| CpioError::Header(0))?;
    let mut at = start;
    let mut blob = None;
    loop {
        let header = initrd.get(at..).and_then(|rest| rest.get(..HEADER)).ok_or(CpioError::Truncated(at))?;
        if !header.starts_with(MAGIC) {
            return Err(CpioError::Header(at));
        }
        let name_size = hex_field(header, NAME_SIZE_AT).ok_or(CpioError::Header(at))?;
        let file_size = hex_field(header, FILE_SIZE_AT).ok_or(CpioError::Header(at))?;
        let name = at + HEADER..at.saturating_add(HEADER).saturating_add(name_size);
        // Offsets are rounded in guest memory, that is from the archive's start.
        let data = aligned(name.end, start)..aligned(name.end, start).saturating_add(file_size);
        let name = initrd.get(name).ok_or(CpioError::Truncated(at))?;
        if name_size == TRAILER.len() + 1 && name.starts_with(TRAILER.as_bytes()) {
            let over = usize::try_from(address % BLOCK as u64).map_err(|_| CpioError::Header(0))?;
            let end =
                data.end.saturating_add(over).checked_next_multiple_of(BLOCK).map_or(usize::MAX, |end| end - over);
            // An archive that ends the bytes has nothing after it; firmware refuses nothing here.
            return blob.map(|blob| Carrier { blob, initrd: end.min(initrd.len()) }).ok_or(CpioError::NoFile);
        }
        if file_size > 0 && blob.is_none() {
            if !name.starts_with(FOLDER.as_bytes()) {
                return Err(CpioError::Folder);
            }
            let contents = initrd.get(data.clone()).ok_or(CpioError::Truncated(at))?;
            let offset = (0..contents.len()).step_by(4).find(|offset| contents[*offset..].starts_with(&TREE_MAGIC));
            blob = Some(data.start + offset.ok_or(CpioError::NoTree)?..data.end);
        }
        at = aligned(data.end, start);
    }
}

/// The next offset that is a multiple of 4 from `start`.
const fn aligned(offset: usize, start: usize) -> usize {
    match offset.saturating_sub(start).checked_next_multiple_of(4) {
        Some(distance) => distance.saturating_add(start),
        None => usize::MAX,
    }
}

fn hex_field(header: &[u8], at: usize) -> Option<usize> {
    let text = header.get(at..at + 8)?;
    if !text.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    usize::try_from(u32::from_str_radix(core::str::from_utf8(text).ok()?, 16).ok()?).ok()
}

/// Makes the archive that carries `blob` as `opt/ibm/pef/NAME`, padded to [`BLOCK`]: put it in front of the initramfs.
///
/// The same input gives the same bytes: times, owners and device numbers are zero.
///
/// # Errors
/// [`CpioError::Name`] if `name` is empty, not ASCII, or holds a `/` or NUL; [`CpioError::TooLong`].
pub fn carrier(blob: &[u8], name: &str) -> Result<Vec<u8>, CpioError> {
    let plain = |byte: u8| byte.is_ascii() && byte != b'/' && byte != 0;
    if name.is_empty() || name == "." || name == ".." || name.len() > 255 || !name.bytes().all(plain) {
        return Err(CpioError::Name);
    }
    let mut out = Vec::new();
    for (at, folder) in (1..).zip([".", "opt", "opt/ibm", FOLDER]) {
        // Links: itself, its "." and the folder below; the last one has none below.
        let links = if folder == FOLDER { 2 } else { 3 };
        member(&mut out, folder, &[], at, 0o040_755, links)?;
    }
    member(&mut out, &alloc::format!("{FOLDER}/{name}"), blob, 5, 0o100_644, 1)?;
    member(&mut out, TRAILER, &[], 0, 0, 1)?;
    out.resize(out.len().next_multiple_of(BLOCK), 0);
    Ok(out)
}

fn member(out: &mut Vec<u8>, name: &str, data: &[u8], inode: u32, mode: u32, links: u32) -> Result<(), CpioError> {
    let size = u32::try_from(data.len()).map_err(|_| CpioError::TooLong)?;
    let name_size = u32::try_from(name.len() + 1).map_err(|_| CpioError::Name)?;
    out.extend(MAGIC);
    // inode, mode, uid, gid, links, time, size, device (2), special device (2), name size, check
    for field in [inode, mode, 0, 0, links, 0, size, 0, 0, 0, 0, name_size, 0] {
        out.extend(alloc::format!("{field:08x}").as_bytes());
    }
    out.extend(name.as_bytes());
    out.push(0);
    out.resize(out.len().next_multiple_of(4), 0);
    out.extend(data);
    out.resize(out.len().next_multiple_of(4), 0);
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{BLOCK, Carrier, CpioError, FOLDER, HEADER, TRAILER, Vec, carrier, member, scan};
    use crate::owner::blob::Blob;
    use crate::owner::samples::{FULL, INITRD};

    fn carried() -> Vec<u8> {
        [carrier(FULL, "full.dtb").unwrap().as_slice(), INITRD].concat()
    }

    #[test]
    fn what_was_put_in_front_is_found() {
        let bytes = carried();
        let found = scan(&bytes, 0x1000).unwrap();
        assert_eq!(bytes[found.initrd..], *INITRD);
        assert_eq!(found.initrd % BLOCK, 0);
        let member = &bytes[found.blob];
        assert_eq!(Blob::parse(member).unwrap(), Blob::parse(FULL).unwrap());
        assert!(member.starts_with(FULL) && member.len() == FULL.len());
    }

    #[test]
    fn the_archive_starts_at_the_next_multiple_of_4() {
        let bytes = [b"xxx".as_slice(), &carried()].concat();
        let found = scan(&bytes, 0x11fd).unwrap();
        assert_eq!(bytes[found.initrd..], *INITRD);
        assert!(bytes[found.blob].starts_with(FULL));
        assert_eq!(scan(&bytes, 0x1000), Err(CpioError::Header(0)));
    }

    #[test]
    fn the_initramfs_starts_at_an_address_that_is_a_multiple_of_512() {
        let bytes = carried();
        let aligned = scan(&bytes, 0x1000).unwrap();
        assert_eq!(bytes[aligned.initrd..], *INITRD);
        for over in [4, 8, 256, 508] {
            let found = scan(&bytes, 0x1000 + over as u64).unwrap();
            assert_eq!((0x1000 + over + found.initrd) % BLOCK, 0);
            assert_eq!(found.blob, aligned.blob);
            // The padding of the archive is less than a block, so its trailer decides which multiple comes next.
            assert!(found.initrd == aligned.initrd - over || found.initrd == aligned.initrd + BLOCK - over, "{over}");
        }
        let end = bytes.len() - INITRD.len();
        let trailer = bytes[..end].iter().rposition(|byte| *byte != 0).unwrap() + 2;
        let tight = (end - trailer.next_multiple_of(4)) as u64;
        assert_eq!(scan(&bytes, 0x1000 + tight).unwrap().initrd, end - usize::try_from(tight).unwrap(), "just fits");
        assert_eq!(scan(&bytes, 0x1000 + tight + 4).unwrap().initrd, end + BLOCK - 4 - usize::try_from(tight).unwrap());
    }

    /// An archive of one member.
    fn one(name: &str, data: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        member(&mut out, name, data, 1, 0o100_644, 1).unwrap();
        member(&mut out, TRAILER, &[], 0, 0, 1).unwrap();
        out
    }

    #[test]
    fn n19_member_with_dot_slash_is_not_accepted() {
        assert_eq!(scan(&one("./opt/ibm/pef/x", FULL), 0), Err(CpioError::Folder));
        assert!(scan(&one("opt/ibm/pef/x", FULL), 0).is_ok());
    }

    #[test]
    fn the_first_file_decides() {
        assert_eq!(scan(&one("etc/passwd", b"x"), 0), Err(CpioError::Folder));
        assert_eq!(scan(&one("opt/ibm/pef/x", b"no tree"), 0), Err(CpioError::NoTree));
        assert_eq!(scan(&one("opt/ibm/pef/x", &[b"x", FULL].concat()), 0), Err(CpioError::NoTree));
        let found = scan(&one("opt/ibm/pefx", &[b"xxxx", FULL].concat()), 0).unwrap();
        assert_eq!(found.blob.len(), FULL.len());
        assert_eq!(scan(&one("opt", &[]), 0), Err(CpioError::NoFile));
        let mut two = one("opt/ibm/pef/x", FULL);
        two.truncate(two.len() - 124);
        member(&mut two, "etc/passwd", b"x", 2, 0, 1).unwrap();
        member(&mut two, TRAILER, &[], 0, 0, 1).unwrap();
        assert_eq!(scan(&two, 0).unwrap().blob.len(), FULL.len());
    }

    #[test]
    fn cut_and_foreign_bytes_are_refused() {
        let whole = one("opt/ibm/pef/x", FULL);
        for length in 0..whole.len() {
            assert!(matches!(scan(&whole[..length], 0), Err(CpioError::Truncated(_))) || length + 4 > whole.len());
        }
        // The sample initramfs is an archive too, without a blob.
        assert_eq!(scan(INITRD, 0), Err(CpioError::Folder));
        assert_eq!(scan(&[0x1f; 200], 0), Err(CpioError::Header(0)));
        let mut bad = whole;
        bad[54] = b'+';
        assert_eq!(scan(&bad, 0), Err(CpioError::Header(0)));
    }

    #[test]
    fn names_are_plain() {
        for name in ["", ".", "..", "a/b", "a\0", "ä"] {
            assert_eq!(carrier(FULL, name), Err(CpioError::Name));
        }
        assert!(carrier(&[], "a").is_ok());
        assert!(FOLDER.len() < HEADER);
    }

    #[test]
    fn archive_without_initramfs_ends_where_the_bytes_end() {
        let bytes = one("opt/ibm/pef/x", FULL);
        assert_eq!(scan(&bytes, 0).map(|Carrier { initrd, .. }| initrd), Ok(bytes.len()));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        #[test]
        fn no_damage_makes_it_panic(
            edits in proptest::collection::vec((0..700_usize, prop_oneof![Just(b'f'), Just(b'0'), any::<u8>()]), 1..12),
            address in any::<u64>(),
            length in 0..4200_usize,
        ) {
            let mut bytes = one("opt/ibm/pef/x", FULL);
            for (at, value) in edits {
                bytes[at] = value;
            }
            bytes.truncate(length);
            if let Ok(found) = scan(&bytes, address) {
                prop_assert!(found.initrd <= bytes.len() && bytes.get(found.blob).is_some());
            }
        }
    }
}
