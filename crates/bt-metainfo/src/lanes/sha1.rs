//! SHA-1 (FIPS 180-4, section 6.1): which instructions to use for how many lanes.

use super::MAX_LANES;
use super::feed::Block;
use super::kernel::{Avx512, ShaNi};
use super::schedule::{Function, in_groups};

/// SHA-1 with what this processor has for it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sha1 {
    /// One to four lanes with the SHA instructions.
    pub(super) narrow: Option<ShaNi>,
    /// Eight lanes in the elements of vector registers.
    pub(super) wide: Option<Avx512>,
}

/// The fewest lanes for which the eight-lane kernel beats the SHA instructions; it takes as long
/// for one lane as for eight.
const WIDE_FROM: usize = 5;

/// The same on processors without the SHA instructions.
const WIDE_FROM_WITHOUT_NARROW: usize = 2;

impl Sha1 {
    pub(super) fn detect() -> Self {
        Self {
            narrow: ShaNi::detect(),
            wide: Avx512::detect(),
        }
    }

    /// How many lanes give the highest rate.
    pub(super) fn width(&self) -> usize {
        match (self.wide, self.narrow) {
            (Some(_), _) => MAX_LANES,
            (None, Some(_)) => 4,
            (None, None) => 1,
        }
    }
}

impl Function for Sha1 {
    type State = [u32; 5];
    type Digest = [u8; 20];

    const INITIAL: [u32; 5] = [
        0x6745_2301,
        0xefcd_ab89,
        0x98ba_dcfe,
        0x1032_5476,
        0xc3d2_e1f0,
    ];

    fn compress(&self, mut states: &mut [[u32; 5]], mut runs: &[&[Block]]) {
        if let Some(wide) = self.wide {
            let from = if self.narrow.is_some() {
                WIDE_FROM
            } else {
                WIDE_FROM_WITHOUT_NARROW
            };
            while states.len() >= from {
                let lanes = states.len().min(MAX_LANES);
                let (now, later) = states.split_at_mut(lanes);
                let (now_runs, later_runs) = runs.split_at(lanes);
                // Lanes without a message repeat the first one; their results are dropped.
                let mut eight = [now[0]; MAX_LANES];
                let mut eight_runs = [now_runs[0]; MAX_LANES];
                eight[..lanes].copy_from_slice(now);
                eight_runs[..lanes].copy_from_slice(now_runs);
                wide.sha1(&mut eight, eight_runs);
                now.copy_from_slice(&eight[..lanes]);
                (states, runs) = (later, later_runs);
            }
        }
        if let Some(narrow) = self.narrow {
            (states, runs) = in_groups::<4, _>(states, runs, |four, runs| narrow.sha1(four, runs));
            (states, runs) =
                in_groups::<3, _>(states, runs, |three, runs| narrow.sha1(three, runs));
            (states, runs) = in_groups::<2, _>(states, runs, |two, runs| narrow.sha1(two, runs));
            (states, runs) = in_groups::<1, _>(states, runs, |one, runs| narrow.sha1(one, runs));
        }
        for (state, run) in states.iter_mut().zip(runs) {
            ::sha1::block_api::compress(state, run);
        }
    }

    fn digest(state: [u32; 5]) -> [u8; 20] {
        let mut bytes = [0; 20];
        for (four, word) in bytes.as_chunks_mut().0.iter_mut().zip(state) {
            *four = word.to_be_bytes();
        }
        bytes
    }
}
