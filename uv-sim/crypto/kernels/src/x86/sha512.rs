//! The compression function of SHA-512 (FIPS 180-4): message schedules of four blocks in the lanes of vectors, made between the
//! rounds of the first of them.
//!
//! For public data: what it leaves on the stack is the message.

use core::arch::x86_64::*;

use super::Found;
use super::vector::{Line, fetch, four, load, store, transpose, xor3};

/// Blocks whose schedules are made together.
const GROUP: usize = 4;

/// Constants of the rounds, two by two.
const K: [[u64; 2]; 40] = [
    [0x428a_2f98_d728_ae22, 0x7137_4491_23ef_65cd],
    [0xb5c0_fbcf_ec4d_3b2f, 0xe9b5_dba5_8189_dbbc],
    [0x3956_c25b_f348_b538, 0x59f1_11f1_b605_d019],
    [0x923f_82a4_af19_4f9b, 0xab1c_5ed5_da6d_8118],
    [0xd807_aa98_a303_0242, 0x1283_5b01_4570_6fbe],
    [0x2431_85be_4ee4_b28c, 0x550c_7dc3_d5ff_b4e2],
    [0x72be_5d74_f27b_896f, 0x80de_b1fe_3b16_96b1],
    [0x9bdc_06a7_25c7_1235, 0xc19b_f174_cf69_2694],
    [0xe49b_69c1_9ef1_4ad2, 0xefbe_4786_384f_25e3],
    [0x0fc1_9dc6_8b8c_d5b5, 0x240c_a1cc_77ac_9c65],
    [0x2de9_2c6f_592b_0275, 0x4a74_84aa_6ea6_e483],
    [0x5cb0_a9dc_bd41_fbd4, 0x76f9_88da_8311_53b5],
    [0x983e_5152_ee66_dfab, 0xa831_c66d_2db4_3210],
    [0xb003_27c8_98fb_213f, 0xbf59_7fc7_beef_0ee4],
    [0xc6e0_0bf3_3da8_8fc2, 0xd5a7_9147_930a_a725],
    [0x06ca_6351_e003_826f, 0x1429_2967_0a0e_6e70],
    [0x27b7_0a85_46d2_2ffc, 0x2e1b_2138_5c26_c926],
    [0x4d2c_6dfc_5ac4_2aed, 0x5338_0d13_9d95_b3df],
    [0x650a_7354_8baf_63de, 0x766a_0abb_3c77_b2a8],
    [0x81c2_c92e_47ed_aee6, 0x9272_2c85_1482_353b],
    [0xa2bf_e8a1_4cf1_0364, 0xa81a_664b_bc42_3001],
    [0xc24b_8b70_d0f8_9791, 0xc76c_51a3_0654_be30],
    [0xd192_e819_d6ef_5218, 0xd699_0624_5565_a910],
    [0xf40e_3585_5771_202a, 0x106a_a070_32bb_d1b8],
    [0x19a4_c116_b8d2_d0c8, 0x1e37_6c08_5141_ab53],
    [0x2748_774c_df8e_eb99, 0x34b0_bcb5_e19b_48a8],
    [0x391c_0cb3_c5c9_5a63, 0x4ed8_aa4a_e341_8acb],
    [0x5b9c_ca4f_7763_e373, 0x682e_6ff3_d6b2_b8a3],
    [0x748f_82ee_5def_b2fc, 0x78a5_636f_4317_2f60],
    [0x84c8_7814_a1f0_ab72, 0x8cc7_0208_1a64_39ec],
    [0x90be_fffa_2363_1e28, 0xa450_6ceb_de82_bde9],
    [0xbef9_a3f7_b2c6_7915, 0xc671_78f2_e372_532b],
    [0xca27_3ece_ea26_619c, 0xd186_b8c7_21c0_c207],
    [0xeada_7dd6_cde0_eb1e, 0xf57d_4f7f_ee6e_d178],
    [0x06f0_67aa_7217_6fba, 0x0a63_7dc5_a2c8_98a6],
    [0x113f_9804_bef9_0dae, 0x1b71_0b35_131c_471b],
    [0x28db_77f5_2304_7d84, 0x32ca_ab7b_40c7_2493],
    [0x3c9e_be0a_15c9_bebc, 0x431d_67c4_9c10_0d4c],
    [0x4cc5_d4be_cb3e_42b6, 0x597f_299c_fc65_7e2a],
    [0x5fcb_6fab_3ad6_faec, 0x6c44_198c_4a47_5817],
];

/// What the rounds add: for two rounds, two words of each block of the group.
type Schedule = [[[u64; 2]; GROUP]; 40];

/// Takes blocks into the state. `false`, and nothing is done, where the processor has no units for it.
#[must_use]
#[allow(unsafe_code, reason = "calls a function compiled for units that were found at run time")]
pub fn sha512(state: &mut [u64; 8], blocks: &[[u8; 128]]) -> bool {
    if Found::new().is_none() {
        return false;
    }
    for group in blocks.chunks(GROUP) {
        // SAFETY: `Found` shows that the processor has the units.
        unsafe { compress(state, group) }
    }
    true
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,bmi1,bmi2")]
fn compress(state: &mut [u64; 8], blocks: &[[u8; 128]]) {
    let last = blocks.len() - 1;
    // The next group, which follows as a rule: its schedules need all of it at once.
    for line in 0..8 {
        fetch(blocks.as_ptr().cast(), GROUP * 128 + 64 * line);
    }
    let swap = _mm512_broadcast_i32x4(_mm_setr_epi8(7, 6, 5, 4, 3, 2, 1, 0, 15, 14, 13, 12, 11, 10, 9, 8));
    let mut words = [swap; 8];
    for half in 0..2 {
        let mut lines = [swap; GROUP];
        for (at, line) in lines.iter_mut().enumerate() {
            *line = load(&blocks[at.min(last)].as_chunks::<64>().0[half]);
        }
        for (at, line) in transpose(lines).into_iter().enumerate() {
            words[4 * half + at] = _mm512_shuffle_epi8(line, swap);
        }
    }
    let mut schedule: Schedule = [[[0; 2]; GROUP]; 40];
    for (to, (word, constant)) in schedule.iter_mut().zip(words.iter().zip(&K)) {
        put(to, *word, constant);
    }
    let mut now = *state;
    for part in 0..4 {
        let (made, wanted) = schedule.split_at_mut(8 * part + 8);
        rounds(&mut now, &made[8 * part..], 0, |at| {
            words[at] = next(&words, at);
            put(&mut wanted[at], words[at], &K[8 * part + at + 8]);
        });
    }
    rounds(&mut now, &schedule[32..], 0, |_| ());
    add(state, &now);
    for block in 1..blocks.len() {
        let mut now = *state;
        for part in schedule.as_chunks::<8>().0 {
            rounds(&mut now, part, block, |_| ());
        }
        add(state, &now);
    }
}

/// Two words of each message 16 words on.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn next(words: &[__m512i; 8], at: usize) -> __m512i {
    let word = |ahead: usize| words[(at + ahead) % 8];
    let behind_15 = _mm512_alignr_epi8::<8>(word(1), word(0));
    let behind_7 = _mm512_alignr_epi8::<8>(word(5), word(4));
    let behind_2 = word(7);
    let small_0 =
        xor3(_mm512_ror_epi64::<1>(behind_15), _mm512_ror_epi64::<8>(behind_15), _mm512_srli_epi64::<7>(behind_15));
    let small_1 =
        xor3(_mm512_ror_epi64::<19>(behind_2), _mm512_ror_epi64::<61>(behind_2), _mm512_srli_epi64::<6>(behind_2));
    _mm512_add_epi64(_mm512_add_epi64(word(0), small_0), _mm512_add_epi64(behind_7, small_1))
}

#[inline]
#[target_feature(enable = "avx512f")]
fn put(to: &mut [[u64; 2]; GROUP], words: __m512i, constant: &[u64; 2]) {
    let mut pair = [0; 16];
    pair[..8].copy_from_slice(&constant[0].to_le_bytes());
    pair[8..].copy_from_slice(&constant[1].to_le_bytes());
    let mut line: Line = [0; 64];
    store(&mut line, _mm512_add_epi64(words, four(&pair)));
    for (to, bytes) in to.as_flattened_mut().iter_mut().zip(line.as_chunks::<8>().0) {
        *to = u64::from_le_bytes(*bytes);
    }
}

/// 16 rounds over 8 pairs of words; after each pair `meanwhile`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,bmi1,bmi2")]
fn rounds(state: &mut [u64; 8], words: &[[[u64; 2]; GROUP]], block: usize, mut meanwhile: impl FnMut(usize)) {
    let Some(words) = words.first_chunk::<8>() else { return };
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = *state;
    // `b ^ c`, which was `a ^ b` a round before.
    let mut bc = b ^ c;
    macro_rules! round {
        ($a:ident $b:ident $c:ident $d:ident $e:ident $f:ident $g:ident $h:ident, $word:expr) => {
            // The long way goes over `e`: all else is added up before.
            let early = fixed($h.wrapping_add($word));
            let early = fixed(early.wrapping_add(fixed(!$e & $g)));
            let early = fixed(early.wrapping_add($e & $f));
            let first = fixed(early.wrapping_add($e.rotate_right(14) ^ $e.rotate_right(18) ^ $e.rotate_right(41)));
            let ab = fixed($a ^ $b);
            let majority = fixed(ab & bc) ^ $b;
            bc = ab;
            $d = $d.wrapping_add(first);
            let sum = fixed(first.wrapping_add(majority));
            $h = sum.wrapping_add($a.rotate_right(28) ^ $a.rotate_right(34) ^ $a.rotate_right(39));
        };
    }
    macro_rules! four {
        ($at:expr) => {
            round!(a b c d e f g h, words[$at][block][0]);
            round!(h a b c d e f g, words[$at][block][1]);
            meanwhile($at);
            round!(g h a b c d e f, words[$at + 1][block][0]);
            round!(f g h a b c d e, words[$at + 1][block][1]);
            meanwhile($at + 1);
            round!(e f g h a b c d, words[$at + 2][block][0]);
            round!(d e f g h a b c, words[$at + 2][block][1]);
            meanwhile($at + 2);
            round!(c d e f g h a b, words[$at + 3][block][0]);
            round!(b c d e f g h a, words[$at + 3][block][1]);
            meanwhile($at + 3);
        };
    }
    four!(0);
    four!(4);
    let _ = bc;
    *state = [a, b, c, d, e, f, g, h];
}

/// The same value, which the compiler must compute as it is written.
#[inline(always)]
#[allow(unsafe_code, reason = "an empty instruction keeps sums and selections in the order that the rounds need")]
fn fixed(mut value: u64) -> u64 {
    // SAFETY: no instruction, no memory, no flag.
    unsafe { core::arch::asm!("/* {} */", inout(reg) value, options(pure, nomem, nostack, preserves_flags)) };
    value
}

fn add(state: &mut [u64; 8], now: &[u64; 8]) {
    for (to, word) in state.iter_mut().zip(now) {
        *to = to.wrapping_add(*word);
    }
}
