//! Vectors of four blocks: memory, halves, products.

use core::arch::x86_64::*;

/// Bytes of a vector as they lie in memory.
pub(super) type Line = [u8; 64];

/// Reads 64 bytes.
#[inline]
#[target_feature(enable = "avx512f")]
#[allow(unsafe_code, reason = "there is no safe form of a vector read")]
pub(super) fn load(from: &Line) -> __m512i {
    // SAFETY: the reference covers the 64 bytes that are read; no alignment is asked for.
    unsafe { _mm512_loadu_si512(from.as_ptr().cast()) }
}

/// Writes 64 bytes.
#[inline]
#[target_feature(enable = "avx512f")]
#[allow(unsafe_code, reason = "there is no safe form of a vector write")]
pub(super) fn store(to: &mut Line, value: __m512i) {
    // SAFETY: the reference covers the 64 bytes that are written; no alignment is asked for.
    unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), value) }
}

/// Four times the same block.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn four(block: &[u8; 16]) -> __m512i {
    _mm512_broadcast_i32x4(load_block(block))
}

/// Reads one block.
#[inline]
#[target_feature(enable = "avx512f")]
#[allow(unsafe_code, reason = "there is no safe form of a vector read")]
pub(super) fn load_block(from: &[u8; 16]) -> __m128i {
    // SAFETY: the reference covers the 16 bytes that are read; no alignment is asked for.
    unsafe { _mm_loadu_si128(from.as_ptr().cast()) }
}

/// The bytes of one block.
#[inline]
#[target_feature(enable = "avx512f")]
#[allow(unsafe_code, reason = "there is no safe form of a vector write")]
pub(super) fn block_bytes(value: __m128i) -> [u8; 16] {
    let mut bytes = [0; 16];
    // SAFETY: `bytes` has the 16 bytes that are written; no alignment is asked for.
    unsafe { _mm_storeu_si128(bytes.as_mut_ptr().cast(), value) }
    bytes
}

/// Asks for the cache line `ahead` bytes behind an address, into the nearest cache.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn fetch(at: *const u8, ahead: usize) {
    _mm_prefetch::<_MM_HINT_T0>(at.wrapping_add(ahead).cast());
}

/// The same into the second cache: for more pages side by side than the first has room for at one offset.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn fetch_second(at: *const u8, ahead: usize) {
    _mm_prefetch::<_MM_HINT_T1>(at.wrapping_add(ahead).cast());
}

/// XOR.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn xor(a: __m512i, b: __m512i) -> __m512i {
    _mm512_xor_si512(a, b)
}

/// XOR of three.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn xor3(a: __m512i, b: __m512i, c: __m512i) -> __m512i {
    _mm512_ternarylogic_epi64::<0x96>(a, b, c)
}

/// XOR of the four blocks of a vector.
#[inline]
#[target_feature(enable = "avx512f,avx512vl")]
pub(super) fn fold(value: __m512i) -> __m128i {
    let halves = _mm256_xor_si256(_mm512_castsi512_si256(value), _mm512_extracti64x4_epi64::<1>(value));
    _mm_xor_si128(_mm256_castsi256_si128(halves), _mm256_extracti128_si256::<1>(halves))
}

/// Rows become columns: block `l` of vector `s` of the result is block `s` of vector `l`.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn transpose(rows: [__m512i; 4]) -> [__m512i; 4] {
    let [a, b, c, d] = rows;
    let (ab_low, ab_high) = (_mm512_shuffle_i32x4::<0x44>(a, b), _mm512_shuffle_i32x4::<0xee>(a, b));
    let (cd_low, cd_high) = (_mm512_shuffle_i32x4::<0x44>(c, d), _mm512_shuffle_i32x4::<0xee>(c, d));
    [
        _mm512_shuffle_i32x4::<0x88>(ab_low, cd_low),
        _mm512_shuffle_i32x4::<0xdd>(ab_low, cd_low),
        _mm512_shuffle_i32x4::<0x88>(ab_high, cd_high),
        _mm512_shuffle_i32x4::<0xdd>(ab_high, cd_high),
    ]
}
