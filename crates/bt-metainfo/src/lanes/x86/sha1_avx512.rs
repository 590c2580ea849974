//! SHA-1 of eight messages in the eight words of 256-bit registers.
//!
//! AVX-512 VL brings what the older vector extensions lack for this: a rotation, any function of
//! three inputs in one instruction, and 32 registers, so that the schedule stays out of memory.

use std::arch::x86_64::{
    __m256i, _mm256_add_epi32, _mm256_extract_epi32, _mm256_permute2x128_si256, _mm256_rol_epi32,
    _mm256_set_epi32, _mm256_set_epi64x, _mm256_setzero_si256, _mm256_shuffle_epi8,
    _mm256_ternarylogic_epi32, _mm256_unpackhi_epi32, _mm256_unpackhi_epi64, _mm256_unpacklo_epi32,
    _mm256_unpacklo_epi64, _mm256_xor_si256,
};

use super::super::feed::Block;

/// Truth tables for `_mm256_ternarylogic_epi32`: bit `4x + 2y + z` is the result for x, y, z.
const CHOOSE: i32 = 0xca;
const PARITY: i32 = 0x96;
const MAJORITY: i32 = 0xe8;

/// Hashes `runs[i]`, which are of equal length, into `states[i]`.
#[target_feature(enable = "avx2,avx512f,avx512vl")]
pub(super) fn compress(states: &mut [[u32; 5]; 8], runs: [&[Block]; 8]) {
    // Register `i` of the state holds word `i` of all messages, the first message lowest.
    let mut state = [_mm256_setzero_si256(); 5];
    for (word, register) in state.iter_mut().enumerate() {
        *register = gather(states.map(|lane| lane[word]));
    }
    let constants = [0x5a82_7999, 0x6ed9_eba1, 0x8f1b_bcdc, 0xca62_c1d6].map(|k| gather([k; 8]));
    let blocks = runs[0].len();
    for block in 0..blocks {
        // The last sixteen words of all schedules.
        let mut words = load(&runs, block);
        let [mut a, mut b, mut c, mut d, mut e] = state;
        macro_rules! round {
            ($t:expr, $function:ident, $constant:expr) => {
                let t: usize = $t;
                if t >= 16 {
                    let three = _mm256_ternarylogic_epi32::<PARITY>(
                        words[(t - 3) % 16],
                        words[(t - 8) % 16],
                        words[(t - 14) % 16],
                    );
                    words[t % 16] = _mm256_rol_epi32::<1>(_mm256_xor_si256(three, words[t % 16]));
                }
                let early = _mm256_add_epi32(e, _mm256_add_epi32(words[t % 16], $constant));
                let mixed = _mm256_ternarylogic_epi32::<$function>(b, c, d);
                let late = _mm256_add_epi32(_mm256_rol_epi32::<5>(a), mixed);
                e = d;
                d = c;
                c = _mm256_rol_epi32::<30>(b);
                b = a;
                a = _mm256_add_epi32(early, late);
            };
        }
        macro_rules! twenty_rounds {
            ($first:literal, $function:ident, $constant:expr) => {
                round!($first, $function, $constant);
                round!($first + 1, $function, $constant);
                round!($first + 2, $function, $constant);
                round!($first + 3, $function, $constant);
                round!($first + 4, $function, $constant);
                round!($first + 5, $function, $constant);
                round!($first + 6, $function, $constant);
                round!($first + 7, $function, $constant);
                round!($first + 8, $function, $constant);
                round!($first + 9, $function, $constant);
                round!($first + 10, $function, $constant);
                round!($first + 11, $function, $constant);
                round!($first + 12, $function, $constant);
                round!($first + 13, $function, $constant);
                round!($first + 14, $function, $constant);
                round!($first + 15, $function, $constant);
                round!($first + 16, $function, $constant);
                round!($first + 17, $function, $constant);
                round!($first + 18, $function, $constant);
                round!($first + 19, $function, $constant);
            };
        }
        twenty_rounds!(0, CHOOSE, constants[0]);
        twenty_rounds!(20, PARITY, constants[1]);
        twenty_rounds!(40, MAJORITY, constants[2]);
        twenty_rounds!(60, PARITY, constants[3]);
        for (register, added) in state.iter_mut().zip([a, b, c, d, e]) {
            *register = _mm256_add_epi32(*register, added);
        }
    }
    for (word, register) in state.into_iter().enumerate() {
        for (lane, value) in states.iter_mut().zip(scatter(register)) {
            lane[word] = value;
        }
    }
}

/// The sixteen big-endian words of one block of each run: register `i` holds word `i` of all.
#[inline]
#[target_feature(enable = "avx2,avx512f,avx512vl")]
fn load(runs: &[&[Block]; 8], block: usize) -> [__m256i; 16] {
    let mut words = [_mm256_setzero_si256(); 16];
    for half in 0..2 {
        // Row `i` is half a block of message `i`; an 8 by 8 transposition turns rows into words.
        let mut rows = [_mm256_setzero_si256(); 8];
        for (row, run) in rows.iter_mut().zip(runs) {
            *row = half_of(&run[block], half);
        }
        let mut pairs = [_mm256_setzero_si256(); 8];
        for i in 0..4 {
            pairs[2 * i] = _mm256_unpacklo_epi32(rows[2 * i], rows[2 * i + 1]);
            pairs[2 * i + 1] = _mm256_unpackhi_epi32(rows[2 * i], rows[2 * i + 1]);
        }
        let mut fours = [_mm256_setzero_si256(); 8];
        for i in [0, 4] {
            fours[i] = _mm256_unpacklo_epi64(pairs[i], pairs[i + 2]);
            fours[i + 1] = _mm256_unpackhi_epi64(pairs[i], pairs[i + 2]);
            fours[i + 2] = _mm256_unpacklo_epi64(pairs[i + 1], pairs[i + 3]);
            fours[i + 3] = _mm256_unpackhi_epi64(pairs[i + 1], pairs[i + 3]);
        }
        for i in 0..4 {
            words[8 * half + i] = _mm256_permute2x128_si256::<0x20>(fours[i], fours[i + 4]);
            words[8 * half + 4 + i] = _mm256_permute2x128_si256::<0x31>(fours[i], fours[i + 4]);
        }
    }
    words
}

/// Words `8 * half..8 * half + 8` of a block, each with its bytes reversed.
#[inline]
#[target_feature(enable = "avx2")]
fn half_of(block: &Block, half: usize) -> __m256i {
    let quarter = |i: usize| i64::from_le_bytes(block.as_chunks().0[4 * half + i]);
    let bytes = _mm256_set_epi64x(quarter(3), quarter(2), quarter(1), quarter(0));
    let reverse_words = _mm256_set_epi64x(
        0x0c0d_0e0f_0809_0a0b,
        0x0405_0607_0001_0203,
        0x0c0d_0e0f_0809_0a0b,
        0x0405_0607_0001_0203,
    );
    _mm256_shuffle_epi8(bytes, reverse_words)
}

/// A register with the eight words, the first one lowest.
#[inline]
#[target_feature(enable = "avx2")]
fn gather(words: [u32; 8]) -> __m256i {
    let [a, b, c, d, e, f, g, h] = words.map(u32::cast_signed);
    _mm256_set_epi32(h, g, f, e, d, c, b, a)
}

/// The reverse of [`gather`].
#[inline]
#[target_feature(enable = "avx2")]
fn scatter(register: __m256i) -> [u32; 8] {
    [
        _mm256_extract_epi32::<0>(register),
        _mm256_extract_epi32::<1>(register),
        _mm256_extract_epi32::<2>(register),
        _mm256_extract_epi32::<3>(register),
        _mm256_extract_epi32::<4>(register),
        _mm256_extract_epi32::<5>(register),
        _mm256_extract_epi32::<6>(register),
        _mm256_extract_epi32::<7>(register),
    ]
    .map(i32::cast_unsigned)
}
