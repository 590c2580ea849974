//! SHA-256 (FIPS 180-4, section 6.2): which instructions to use for how many lanes.

use super::feed::Block;
use super::kernel::ShaNi;
use super::schedule::{Function, in_groups};

/// SHA-256 with what this processor has for it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sha256 {
    /// One to three lanes with the SHA instructions; a fourth would not fit in the sixteen
    /// registers.
    pub(super) narrow: Option<ShaNi>,
}

impl Sha256 {
    pub(super) fn detect() -> Self {
        Self {
            narrow: ShaNi::detect(),
        }
    }
}

impl Function for Sha256 {
    type State = [u32; 8];
    type Digest = [u8; 32];

    const INITIAL: [u32; 8] = [
        0x6a09_e667,
        0xbb67_ae85,
        0x3c6e_f372,
        0xa54f_f53a,
        0x510e_527f,
        0x9b05_688c,
        0x1f83_d9ab,
        0x5be0_cd19,
    ];

    fn compress(&self, mut states: &mut [[u32; 8]], mut runs: &[&[Block]]) {
        if let Some(narrow) = self.narrow {
            (states, runs) =
                in_groups::<3, _>(states, runs, |three, runs| narrow.sha256(three, runs));
            (states, runs) = in_groups::<2, _>(states, runs, |two, runs| narrow.sha256(two, runs));
            (states, runs) = in_groups::<1, _>(states, runs, |one, runs| narrow.sha256(one, runs));
        }
        for (state, run) in states.iter_mut().zip(runs) {
            ::sha2::block_api::compress256(state, run);
        }
    }

    fn digest(state: [u32; 8]) -> [u8; 32] {
        let mut bytes = [0; 32];
        for (four, word) in bytes.as_chunks_mut().0.iter_mut().zip(state) {
            *four = word.to_be_bytes();
        }
        bytes
    }
}
