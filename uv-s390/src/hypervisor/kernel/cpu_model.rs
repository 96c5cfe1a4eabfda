//! CPU models: what a machine's CPU is, and what its guests see of it.

use super::SystemInformation;

/// Facility of protected guests: unpacking an image (DIAGNOSE 0x308 subcodes 8 to 10).
const UNPACK: usize = 161;

/// Facilities that guests of a z16 may have, besides the one that depends on the Ultravisor.
const FACILITIES: [u8; 96] = [
    0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 13, 14, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 30, 31, 32, 33, 34, 35,
    37, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 57, 58, 59, 60, 61, 66, 73, 74, 75, 76, 77, 78, 80,
    81, 82, 128, 129, 130, 131, 132, 133, 134, 135, 139, 141, 146, 147, 148, 149, 150, 151, 152, 155, 156, 165, 192,
    193, 194, 196, 197, 69, 71, 64, 65, 36, 38, 54, 55, 56,
];

/// Features of interpretive execution: storage keys' ESOP, SIE formats, 64-byte SCA origins, interlocked interception, guest
/// storage-limit suppression, instruction blocking, conditional external interruptions, bit streams, SIGP interpretation.
const FEATURES: [u8; 9] = [0, 1, 2, 3, 5, 6, 7, 8, 12];

/// Bytes of the query functions' answers that mean anything; the rest is zero.
const SUBFUNCTIONS_USED: usize = 336;

/// A CPU as its programs see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CpuModel {
    /// CPU id, as STIDP stores it.
    pub id: u64,
    /// Instruction blocking control.
    pub ibc: u16,
    /// Facilities, as STFLE stores them.
    pub facilities: [u64; 256],
    /// Features of interpretive execution, numbered like facilities.
    pub features: [u64; 16],
    /// What the query functions of its instructions answer.
    pub subfunctions: [u8; 2048],
}

fn set(words: &mut [u64], bit: usize) {
    if let Some(word) = words.get_mut(bit / 64) {
        *word |= 1 << (63 - bit % 64);
    }
}

impl CpuModel {
    /// The CPU of a machine. `unpack`: its Ultravisor takes protected guests.
    ///
    /// UNSURE: which functions of its instructions a z16 has is not said here; the query functions answer that all are there.
    #[must_use]
    pub fn of(system: &SystemInformation, unpack: bool) -> Self {
        let (_, ibc) = system.ibc;
        let mut model =
            Self { id: system.cpu_id(), ibc, facilities: [0; 256], features: [0; 16], subfunctions: [0; 2048] };
        FACILITIES.iter().for_each(|bit| set(&mut model.facilities, usize::from(*bit)));
        if unpack {
            set(&mut model.facilities, UNPACK);
        }
        FEATURES.iter().for_each(|bit| set(&mut model.features, usize::from(*bit)));
        model.subfunctions[..SUBFUNCTIONS_USED].fill(0xff);
        model
    }

    /// Whether programs see a facility.
    #[must_use]
    pub fn has_facility(&self, bit: usize) -> bool {
        self.facilities.get(bit / 64).is_some_and(|word| word & 1 << (63 - bit % 64) != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_s_own_model() {
        let model = CpuModel::of(&SystemInformation::default(), true);
        assert_eq!((model.id, model.ibc), (0xff00_0000_3931_0000, 0x370));
        assert!(model.has_facility(UNPACK) && model.has_facility(0) && !model.has_facility(158));
        assert!(!CpuModel::of(&SystemInformation::default(), false).has_facility(UNPACK));
        assert!(!model.has_facility(256 * 64));
        assert_eq!((model.features[0] >> 63, model.subfunctions[335], model.subfunctions[336]), (1, 0xff, 0));
    }
}
