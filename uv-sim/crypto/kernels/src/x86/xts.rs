//! AES-256-XTS (IEEE 1619): 32 blocks at a time, their tweaks made side by side.

use core::arch::x86_64::*;
use core::fmt;

use cipher::consts::U64;
use cipher::inout::InOutBuf;

use super::Found;
use super::keys::Schedule;
use super::vector::{fetch, four, load, store, xor, xor3};
use crate::{Direction, Unit};

/// Vectors at work at a time: as many as hide the latency of a round, and all of them in registers with the keys.
const GROUP: usize = 8;

/// AES-256-XTS over data units whose tweaks are ciphered. The key is wiped on drop; `Debug` shows nothing.
pub struct Xts {
    found: Found,
    encrypting: Schedule,
    decrypting: Schedule,
}

impl fmt::Debug for Xts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Xts(..)")
    }
}

impl Xts {
    /// Expands the data key; `None` where the processor has no units for it.
    #[must_use]
    pub fn new(key: &[u8; 32]) -> Option<Self> {
        let found = Found::new()?;
        let encrypting = Schedule::encrypting(found, key);
        let decrypting = encrypting.decrypting(found);
        Some(Self { found, encrypting, decrypting })
    }

    /// Ciphers the units. What is behind the last whole [`STRIDE`](crate::STRIDE) of a unit stays as it was.
    #[allow(unsafe_code, reason = "calls functions compiled for units that were found at run time")]
    pub fn run(&self, direction: Direction, units: &mut [Unit<'_, '_>]) {
        let Found(()) = self.found;
        match direction {
            // SAFETY: `Found` shows that the processor has the units.
            Direction::Seal => unsafe { run::<true>(&self.encrypting, units) },
            // SAFETY: as above.
            Direction::Open => unsafe { run::<false>(&self.decrypting, units) },
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,vaes,vpclmulqdq")]
fn run<const SEAL: bool>(keys: &Schedule, units: &mut [Unit<'_, '_>]) {
    let keys = keys.wide();
    for index in 0..units.len() {
        let next = units.get(index + 1).map(|unit| unit.bytes.get_in().as_ptr());
        let unit = &mut units[index];
        let ahead = next.unwrap_or_else(|| unit.bytes.get_in().as_ptr());
        run_unit::<SEAL>(&keys, &unit.tweak, unit.bytes.reborrow(), ahead);
    }
}

/// One data unit; `ahead` is where the next one lies.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,vaes,vpclmulqdq")]
fn run_unit<const SEAL: bool>(keys: &[__m512i; 15], tweak: &[u8; 16], bytes: InOutBuf<'_, '_, u8>, ahead: *const u8) {
    let mut tweaks = first_tweaks(tweak);
    let (mut lines, _) = bytes.into_chunks::<U64>();
    let groups = lines.len() / GROUP;
    for group in 0..groups {
        let mut work = [_mm512_setzero_si512(); GROUP];
        for at in 0..GROUP {
            work[at] = xor3(load(&lines.get(group * GROUP + at).get_in().0), tweaks[at], keys[0]);
            fetch(ahead, (group * GROUP + at) * 64);
        }
        for key in &keys[1..14] {
            for value in &mut work {
                *value = if SEAL { _mm512_aesenc_epi128(*value, *key) } else { _mm512_aesdec_epi128(*value, *key) };
            }
        }
        for at in 0..GROUP {
            // The last round adds its key: the tweak goes with it.
            let key = xor(keys[14], tweaks[at]);
            work[at] =
                if SEAL { _mm512_aesenclast_epi128(work[at], key) } else { _mm512_aesdeclast_epi128(work[at], key) };
            store(&mut lines.get(group * GROUP + at).get_out().0, work[at]);
        }
        for tweak in &mut tweaks {
            *tweak = times_x32(*tweak);
        }
    }
}

/// `x^7 + x^2 + x + 1`, what `x^128` is.
const REDUCED: i64 = 0x87;

/// The tweaks of blocks 0 to 31: `tweak` times `x^count`, bytes in little-endian order.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,vpclmulqdq")]
fn first_tweaks(tweak: &[u8; 16]) -> [__m512i; GROUP] {
    let tweak = four(tweak);
    let reduced = _mm512_set1_epi64(REDUCED);
    let mut counts = _mm512_set_epi64(3, 3, 2, 2, 1, 1, 0, 0);
    let mut tweaks = [tweak; GROUP];
    for to in &mut tweaks {
        let shifted = _mm512_sllv_epi64(tweak, counts);
        // Bits that leave the halves; for a count of 0 the shift by 64 leaves none.
        let carry = _mm512_srlv_epi64(tweak, _mm512_sub_epi64(_mm512_set1_epi64(64), counts));
        let wrapped = _mm512_clmulepi64_epi128::<0x01>(carry, reduced);
        *to = xor3(shifted, wrapped, _mm512_bslli_epi128::<8>(carry));
        counts = _mm512_add_epi64(counts, _mm512_set1_epi64(4));
    }
    tweaks
}

/// Multiplies each block by `x^32`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,vpclmulqdq")]
fn times_x32(tweaks: __m512i) -> __m512i {
    let carry = _mm512_bsrli_epi128::<12>(tweaks);
    let wrapped = _mm512_clmulepi64_epi128::<0x00>(carry, _mm512_set1_epi64(REDUCED));
    xor(_mm512_bslli_epi128::<4>(tweaks), wrapped)
}
