//! What the machine says of itself: the blocks of STORE SYSTEM INFORMATION that a kernel copies to its guests.
//!
//! | block | fields (offset: content) |
//! |---|---|
//! | 1.1.1 machine | 32: manufacturer; 48: type; 64: model capacity; 80: sequence; 96: plant; 100: model |
//! | 1.2.2 CPUs of the machine | 32: capability; 36, 38, 40, 42: CPUs in all, configured, standby, reserved |
//! | 2.2.2 CPUs of the partition | 32: number; 36–42 as in 1.2.2; 44: name; 52: adjustment factor; 72, 74: dedicated, shared |
//!
//! Names are in EBCDIC, padded with spaces.

/// Bytes of a block.
pub(super) const BLOCK: usize = 0x1000;

/// A block, as STSI stores it.
pub(super) type Block = [u8; BLOCK];

/// A machine and the partition that the kernel runs in. Of names, what is behind the length of their field is cut off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemInformation {
    /// Manufacturer, 16 characters.
    pub manufacturer: &'static str,
    /// Machine type, 4 characters.
    pub machine_type: &'static str,
    /// Model, and model capacity, 16 characters.
    pub model: &'static str,
    /// Sequence code, 16 characters.
    pub sequence: &'static str,
    /// Lowest and highest instruction blocking control.
    pub ibc: (u16, u16),
    /// Plant of manufacture, 4 characters.
    pub plant: &'static str,
    /// CPU capability.
    pub capability: u32,
    /// CPUs of the machine.
    pub cpus: u16,
    /// Number of the partition.
    pub partition: u16,
    /// Name of the partition, 8 characters.
    pub partition_name: &'static str,
    /// CPUs of the partition; they are shared.
    pub partition_cpus: u16,
}

impl Default for SystemInformation {
    /// A z16 with one partition.
    fn default() -> Self {
        Self {
            manufacturer: "IBM",
            machine_type: "3931",
            model: "A01",
            sequence: "0000000000000001",
            ibc: (0x270, 0x370),
            plant: "02",
            capability: 492,
            cpus: 8,
            partition: 1,
            partition_name: "LPAR1",
            partition_cpus: 8,
        }
    }
}

impl SystemInformation {
    /// What STIDP stores in a guest: version 0xff and the machine type.
    #[must_use]
    pub fn cpu_id(&self) -> u64 {
        0xff << 56 | u64::from(u16::from_str_radix(self.machine_type, 16).unwrap_or(0)) << 16
    }

    /// Fills a block, as the machine's STSI does for the kernel; `false` for one that it does not have.
    pub(super) fn store(&self, function: u8, selector1: u8, selector2: u16, block: &mut Block) -> bool {
        let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
        match (function, selector1, selector2) {
            (1, 1, 1) => {
                put(32, &ebcdic::<16>(self.manufacturer));
                put(48, &ebcdic::<4>(self.machine_type));
                put(64, &ebcdic::<16>(self.model));
                put(80, &ebcdic::<16>(self.sequence));
                put(96, &ebcdic::<4>(self.plant));
                put(100, &ebcdic::<16>(self.model));
            }
            (1, 2, 2) => {
                put(32, &self.capability.to_be_bytes());
                put(36, &self.cpus.to_be_bytes());
                put(38, &self.cpus.to_be_bytes());
            }
            (2, 2, 2) => {
                put(32, &self.partition.to_be_bytes());
                put(36, &self.partition_cpus.to_be_bytes());
                put(38, &self.partition_cpus.to_be_bytes());
                put(44, &ebcdic::<8>(self.partition_name));
                put(52, &1000_u32.to_be_bytes());
                put(74, &self.partition_cpus.to_be_bytes());
            }
            _ => return false,
        }
        true
    }
}

/// A name in EBCDIC, padded with spaces. Characters that no name has become spaces.
pub(super) fn ebcdic<const N: usize>(name: &str) -> [u8; N] {
    let mut field = [0x40; N];
    field.iter_mut().zip(name.bytes()).for_each(|(to, from)| *to = ebcdic_letter(from));
    field
}

const fn ebcdic_letter(letter: u8) -> u8 {
    match letter {
        b'0'..=b'9' => 0xf0 + (letter - b'0'),
        b'A'..=b'I' => 0xc1 + (letter - b'A'),
        b'J'..=b'R' => 0xd1 + (letter - b'J'),
        b'S'..=b'Z' => 0xe2 + (letter - b'S'),
        b'a'..=b'i' => 0x81 + (letter - b'a'),
        b'j'..=b'r' => 0x91 + (letter - b'j'),
        b's'..=b'z' => 0xa2 + (letter - b's'),
        b'/' => 0x61,
        b'-' => 0x60,
        _ => 0x40,
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn names_are_in_ebcdic() {
        assert_eq!(ebcdic::<8>("KVMguest"), [0xd2, 0xe5, 0xd4, 0x87, 0xa4, 0x85, 0xa2, 0xa3]);
        assert_eq!(ebcdic::<6>("AIRSZ9"), [0xc1, 0xc9, 0xd9, 0xe2, 0xe9, 0xf9]);
        assert_eq!(ebcdic::<8>("/-jrsz\u{1}0"), [0x61, 0x60, 0x91, 0x99, 0xa2, 0xa9, 0x40, 0xf0]);
        assert_eq!(ebcdic::<2>("ABC"), [0xc1, 0xc2]);
        assert_eq!(ebcdic::<3>("J"), [0xd1, 0x40, 0x40]);
    }

    #[test]
    fn blocks_lie_as_the_architecture_says() {
        let system = SystemInformation::default();
        let mut block = [0; BLOCK];
        assert!(system.store(1, 1, 1, &mut block));
        assert_eq!(block[48..52], [0xf3, 0xf9, 0xf3, 0xf1]);
        assert_eq!(
            (block[32..36].to_vec(), block[96], block[100], block[95]),
            (vec![0xc9, 0xc2, 0xd4, 0x40], 0xf0, 0xc1, 0xf1)
        );
        let mut block = [0; BLOCK];
        assert!(system.store(1, 2, 2, &mut block));
        assert_eq!(block[32..44], [0, 0, 1, 0xec, 0, 8, 0, 8, 0, 0, 0, 0]);
        let mut block = [0; BLOCK];
        assert!(system.store(2, 2, 2, &mut block));
        assert_eq!(block[32..44], [0, 1, 0, 0, 0, 8, 0, 8, 0, 0, 0, 0]);
        assert_eq!(block[44..56], [0xd3, 0xd7, 0xc1, 0xd9, 0xf1, 0x40, 0x40, 0x40, 0, 0, 3, 0xe8]);
        assert_eq!(block[72..76], [0, 0, 0, 8]);
        let mut block = [0; BLOCK];
        for (function, selector1, selector2) in [(1, 1, 2), (1, 2, 1), (2, 2, 1), (3, 2, 2), (2, 1, 1)] {
            assert!(!system.store(function, selector1, selector2, &mut block) && block == [0; BLOCK]);
        }
    }
}
