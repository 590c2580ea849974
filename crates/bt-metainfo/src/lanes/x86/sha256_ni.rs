//! SHA-256 with the SHA instructions of x86: `N` messages in one instruction stream.
//!
//! `sha256rnds2` does two rounds, and the next one needs its result; the rounds of the other
//! messages fill the wait.

use std::arch::x86_64::{
    __m128i, _mm_add_epi32, _mm_alignr_epi8, _mm_extract_epi32, _mm_set_epi32, _mm_set_epi64x,
    _mm_setzero_si128, _mm_sha256msg1_epu32, _mm_sha256msg2_epu32, _mm_sha256rnds2_epu32,
    _mm_shuffle_epi8, _mm_shuffle_epi32,
};

use super::super::feed::Block;

/// Hashes `runs[i]`, which are of equal length, into `states[i]`.
#[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
#[expect(
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    reason = "vectors are made of and read as signed integers; the bits are what counts"
)]
pub(super) fn compress<const N: usize>(states: &mut [[u32; 8]; N], runs: [&[Block]; N]) {
    // The instruction wants a, b, e, f in one register and c, d, g, h in the other, highest word
    // first.
    let mut abef =
        states.map(|s| _mm_set_epi32(s[0] as i32, s[1] as i32, s[4] as i32, s[5] as i32));
    let mut cdgh =
        states.map(|s| _mm_set_epi32(s[2] as i32, s[3] as i32, s[6] as i32, s[7] as i32));
    let blocks = runs[0].len();
    for block in 0..blocks {
        let before = (abef, cdgh);
        // The last sixteen words of each schedule, four to a register; group `g` is in `words[g %
        // 4]`.
        let mut words = [[_mm_setzero_si128(); N]; 4];
        // One group is four rounds of all messages.
        macro_rules! group {
            ($g:literal) => {
                let constants = _mm_set_epi32(
                    ROUND[4 * $g + 3] as i32,
                    ROUND[4 * $g + 2] as i32,
                    ROUND[4 * $g + 1] as i32,
                    ROUND[4 * $g] as i32,
                );
                for lane in 0..N {
                    let word = if $g < 4 {
                        load(runs[lane], block, $g)
                    } else {
                        let mixed = _mm_add_epi32(
                            _mm_sha256msg1_epu32(words[$g % 4][lane], words[($g + 1) % 4][lane]),
                            _mm_alignr_epi8::<4>(
                                words[($g + 3) % 4][lane],
                                words[($g + 2) % 4][lane],
                            ),
                        );
                        _mm_sha256msg2_epu32(mixed, words[($g + 3) % 4][lane])
                    };
                    words[$g % 4][lane] = word;
                }
                for lane in 0..N {
                    let sum = _mm_add_epi32(words[$g % 4][lane], constants);
                    cdgh[lane] = _mm_sha256rnds2_epu32(cdgh[lane], abef[lane], sum);
                    let upper = _mm_shuffle_epi32::<0b00_00_11_10>(sum);
                    abef[lane] = _mm_sha256rnds2_epu32(abef[lane], cdgh[lane], upper);
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
        for lane in 0..N {
            abef[lane] = _mm_add_epi32(abef[lane], before.0[lane]);
            cdgh[lane] = _mm_add_epi32(cdgh[lane], before.1[lane]);
        }
    }
    for lane in 0..N {
        states[lane] = [
            _mm_extract_epi32::<3>(abef[lane]) as u32,
            _mm_extract_epi32::<2>(abef[lane]) as u32,
            _mm_extract_epi32::<3>(cdgh[lane]) as u32,
            _mm_extract_epi32::<2>(cdgh[lane]) as u32,
            _mm_extract_epi32::<1>(abef[lane]) as u32,
            _mm_extract_epi32::<0>(abef[lane]) as u32,
            _mm_extract_epi32::<1>(cdgh[lane]) as u32,
            _mm_extract_epi32::<0>(cdgh[lane]) as u32,
        ];
    }
}

/// Big-endian words `4 * group..4 * group + 4` of a block, the first one lowest.
#[inline]
#[target_feature(enable = "sse2,ssse3")]
fn load(run: &[Block], block: usize, group: usize) -> __m128i {
    let halves = run[block].as_chunks::<8>().0;
    let low = i64::from_le_bytes(halves[2 * group]);
    let high = i64::from_le_bytes(halves[2 * group + 1]);
    let reverse_words = _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203);
    _mm_shuffle_epi8(_mm_set_epi64x(high, low), reverse_words)
}

/// The constants of FIPS 180-4, section 4.2.2.
#[rustfmt::skip]
const ROUND: [u32; 64] = [
    0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5,
    0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5,
    0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3,
    0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174,
    0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc,
    0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da,
    0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7,
    0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967,
    0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13,
    0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85,
    0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3,
    0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070,
    0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5,
    0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3,
    0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208,
    0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2,
];
