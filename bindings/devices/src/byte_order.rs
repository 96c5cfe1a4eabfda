//! `/dev/uv` for programs on little-endian machines: their structures are in their own byte order.
//!
//! What the Ultravisor itself defines is big endian everywhere: requests, measurements, the list of secrets, the index in
//! front of a secret that is retrieved.

use uv_s390::guest::uvdevice::{UvioNr, request};

/// Offset and length of the numbers of a structure.
pub type Fields = [(usize, usize)];

/// The control block.
pub static CONTROL: [(usize, usize); 5] = [(0, 4), (4, 2), (6, 2), (8, 8), (16, 4)];
/// Argument of ATTEST.
static ATTEST: [(usize, usize); 8] =
    [(0, 8), (8, 8), (16, 8), (0x128, 4), (0x12c, 4), (0x130, 4), (0x134, 2), (0x136, 2)];
/// Argument of UVDEV_INFO.
static INFO: [(usize, usize); 2] = [(0, 8), (8, 8)];

/// The numbers in the argument of a request.
#[must_use]
pub fn of_argument(number: u32) -> &'static Fields {
    if number == request(UvioNr::ATTEST) {
        &ATTEST
    } else if number == request(UvioNr::INFO) {
        &INFO
    } else {
        &[]
    }
}

/// Turns the numbers round, as far as the structure is there.
pub fn swap(fields: &Fields, bytes: &mut [u8]) {
    for (at, length) in fields {
        if let Some(number) = bytes.get_mut(*at..at + length) {
            number.reverse();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uv_s390::guest::uvdevice::AttestArgument;
    use zerocopy::IntoBytes as _;

    #[test]
    fn a_structure_is_turned_round_field_by_field() {
        let mut bytes = AttestArgument::new(0x0102_0304, 0x0506, 0x0708, &[1, 2, 3]).as_bytes().to_vec();
        let before = bytes.clone();
        swap(of_argument(request(UvioNr::ATTEST)), &mut bytes);
        assert_eq!(bytes[0x128..0x138], [4, 3, 2, 1, 6, 5, 0, 0, 8, 7, 0, 0, 3, 0, 0, 0]);
        assert_eq!(bytes[0x18..0x1b], [1, 2, 3], "bytes stay");
        swap(&ATTEST, &mut bytes);
        assert_eq!(bytes, before);
        swap(&CONTROL, &mut bytes[..3]);
        assert_eq!(bytes[..3], before[..3], "what is not whole stays");
        assert_eq!(of_argument(request(UvioNr::RETR_SECRET)), []);
    }
}
