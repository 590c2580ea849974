//! SHA-1 with the SHA instructions of x86: `N` messages in one instruction stream.
//!
//! `sha1rnds4` does four rounds, and the next one needs its result; on current processors the wait
//! is two to three times as long as the work. The rounds of the other messages fill it.

use std::arch::x86_64::{
    __m128i, _mm_add_epi32, _mm_extract_epi32, _mm_set_epi32, _mm_set_epi64x, _mm_setzero_si128,
    _mm_sha1msg1_epu32, _mm_sha1msg2_epu32, _mm_sha1nexte_epu32, _mm_sha1rnds4_epu32,
    _mm_shuffle_epi8, _mm_xor_si128,
};

use super::super::feed::Block;

/// Hashes `runs[i]`, which are of equal length, into `states[i]`.
#[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
#[expect(
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    reason = "vectors are made of and read as signed integers; the bits are what counts"
)]
pub(super) fn compress<const N: usize>(states: &mut [[u32; 5]; N], runs: [&[Block]; N]) {
    // A register holds a, b, c, d from its highest word down; e is in the highest word of its own.
    let mut abcd =
        states.map(|s| _mm_set_epi32(s[0] as i32, s[1] as i32, s[2] as i32, s[3] as i32));
    let mut e = states.map(|s| _mm_set_epi32(s[4] as i32, 0, 0, 0));
    let blocks = runs[0].len();
    for block in 0..blocks {
        let before = (abcd, e);
        // The last sixteen words of each schedule, four to a register; group `g` is in `words[g %
        // 4]`.
        let mut words = [[_mm_setzero_si128(); N]; 4];
        // One group is four rounds of all messages.
        macro_rules! group {
            ($g:literal) => {
                for lane in 0..N {
                    let word = if $g < 4 {
                        load(runs[lane], block, $g)
                    } else {
                        let mixed = _mm_xor_si128(
                            _mm_sha1msg1_epu32(words[$g % 4][lane], words[($g + 1) % 4][lane]),
                            words[($g + 2) % 4][lane],
                        );
                        _mm_sha1msg2_epu32(mixed, words[($g + 3) % 4][lane])
                    };
                    words[$g % 4][lane] = word;
                }
                for lane in 0..N {
                    let word = words[$g % 4][lane];
                    let e_and_words = if $g == 0 {
                        _mm_add_epi32(e[lane], word)
                    } else {
                        _mm_sha1nexte_epu32(e[lane], word)
                    };
                    e[lane] = abcd[lane];
                    abcd[lane] = _mm_sha1rnds4_epu32::<{ $g / 5 }>(abcd[lane], e_and_words);
                }
            };
        }
        group!(0);
        group!(1);
        group!(2);
        group!(3);
        group!(4);
        group!(5);
        group!(6);
        group!(7);
        group!(8);
        group!(9);
        group!(10);
        group!(11);
        group!(12);
        group!(13);
        group!(14);
        group!(15);
        group!(16);
        group!(17);
        group!(18);
        group!(19);
        for lane in 0..N {
            e[lane] = _mm_sha1nexte_epu32(e[lane], before.1[lane]);
            abcd[lane] = _mm_add_epi32(abcd[lane], before.0[lane]);
        }
    }
    for lane in 0..N {
        states[lane] = [
            _mm_extract_epi32::<3>(abcd[lane]) as u32,
            _mm_extract_epi32::<2>(abcd[lane]) as u32,
            _mm_extract_epi32::<1>(abcd[lane]) as u32,
            _mm_extract_epi32::<0>(abcd[lane]) as u32,
            _mm_extract_epi32::<3>(e[lane]) as u32,
        ];
    }
}

/// Big-endian words `4 * group..4 * group + 4` of a block, the first one highest.
#[inline]
#[target_feature(enable = "sse2,ssse3")]
fn load(run: &[Block], block: usize, group: usize) -> __m128i {
    let halves = run[block].as_chunks::<8>().0;
    let low = i64::from_le_bytes(halves[2 * group]);
    let high = i64::from_le_bytes(halves[2 * group + 1]);
    let reverse = _mm_set_epi64x(0x0001_0203_0405_0607, 0x0809_0a0b_0c0d_0e0f);
    _mm_shuffle_epi8(_mm_set_epi64x(high, low), reverse)
}
