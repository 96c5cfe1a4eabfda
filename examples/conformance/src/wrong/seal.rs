//! How the toy seals. It keeps the plaintext inside, so that what is outside needs only to look right and be compared.

use super::Fault;
use super::machine::{Machine, SIZE};

/// A sealed page.
#[derive(Clone)]
pub(super) struct Sealed {
    pub(super) plain: Vec<u8>,
    pub(super) bytes: Vec<u8>,
    pub(super) vm: usize,
    pub(super) life: u64,
    pub(super) page: u64,
}

fn mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A key stream of a page, from these numbers.
fn stream(seed: &[u64]) -> Vec<u8> {
    let mut state = seed.iter().fold(7, |mut state: u64, part| mix(&mut state) ^ part);
    (0..SIZE / 8).flat_map(|_| mix(&mut state).to_be_bytes()).collect()
}

impl Machine {
    /// Seals a page; `call` is a number of the call it goes out in.
    pub(super) fn seal(&self, vm: usize, life: u64, page: u64, call: u64, plain: Vec<u8>) -> Sealed {
        let (who, when) = (
            if self.has(Fault::OneKey) { 0 } else { vm as u64 },
            if self.has(Fault::KeyOfLifeStays) { 0 } else { life },
        );
        let fresh = self.number();
        let seed = match self.fault {
            Some(Fault::OneStream) => vec![who, when],
            Some(Fault::OneStreamACall) => vec![who, when, call],
            Some(Fault::StreamOfThePage | Fault::OneKey) => vec![who, when, page],
            Some(Fault::KeyOfLifeStays) => vec![who, page],
            Some(Fault::SameBytesAgain) => {
                let sum = plain.iter().fold(1_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add((*byte).into()));
                vec![who, when, page, sum]
            }
            _ => vec![who, when, page, fresh],
        };
        let mut pad = stream(&seed);
        if self.has(Fault::EqualBlocks) {
            pad = pad[..16].repeat(SIZE / 16);
        }
        let mut bytes: Vec<u8> = plain.iter().zip(&pad).map(|(a, b)| a ^ b).collect();
        if self.has(Fault::SealsHeadInClear) {
            bytes[..SIZE / 2].copy_from_slice(&plain[..SIZE / 2]);
        }
        let sealed = Sealed { plain, bytes, vm, life, page };
        self.remember(&sealed);
        sealed
    }

    /// The content of a sealed page, if these bytes are taken for it.
    pub(super) fn open(&self, sealed: &Sealed, found: &[u8]) -> Option<Vec<u8>> {
        let right = found == sealed.bytes;
        if right {
            return Some(sealed.plain.clone());
        }
        let here = |old: &Sealed| (old.vm, old.life, old.page) == (sealed.vm, sealed.life, sealed.page);
        let half = SIZE / 2;
        let taken: Box<dyn Fn(&Sealed) -> bool> = match self.fault? {
            Fault::TakesAnything => return Some(found.to_vec()),
            Fault::ChecksHead => return (found[..half] == sealed.bytes[..half]).then(|| sealed.plain.clone()),
            Fault::TakesZeros => return found.iter().all(|byte| *byte == 0).then(|| found.to_vec()),
            Fault::TakesHalves => {
                let part = |range: core::ops::Range<usize>| {
                    self.versions(|old| here(old) && old.bytes[range.clone()] == found[range.clone()])
                };
                let (head, tail) = (part(0..half)?, part(half..SIZE)?);
                return Some([&head.plain[..half], &tail.plain[half..]].concat());
            }
            Fault::TakesOtherAddress => Box::new(|old| (old.vm, old.life) == (sealed.vm, sealed.life)),
            Fault::TakesOldVersions => Box::new(here),
            Fault::TakesSameContent => Box::new(|old| here(old) && old.plain == sealed.plain),
            Fault::TakesOtherVm => Box::new(|old| old.vm != sealed.vm),
            Fault::TakesOtherLife => Box::new(|old| old.vm == sealed.vm && old.life != sealed.life),
            _ => return None,
        };
        self.versions(|old| taken(old) && old.bytes == found).map(|old| old.plain)
    }
}
