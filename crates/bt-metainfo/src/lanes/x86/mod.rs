//! The only door to the x86-64 kernels, and the only file of the crate with `unsafe` code.
//!
//! A kernel is a safe function that may run only where the processor has its instructions. A value
//! of [`ShaNi`] or [`Avx512`] is the proof that it has: `detect` makes one after asking the
//! processor, nothing else does, and every kernel is called through one. The kernels themselves
//! hold no `unsafe` code: they read through slices, and intrinsics without pointers are safe inside
//! a function that enables them.

mod sha1_avx512;
mod sha1_ni;
mod sha256_ni;

use std::arch::is_x86_feature_detected;

use super::feed::Block;

/// Proof that the processor has the SHA instructions and SSE up to 4.1.
#[derive(Clone, Copy, Debug)]
pub(super) struct ShaNi {
    _made_by_detect: (),
}

/// Proof that the processor has AVX2 and AVX-512 F and VL.
#[derive(Clone, Copy, Debug)]
pub(super) struct Avx512 {
    _made_by_detect: (),
}

impl ShaNi {
    pub(super) fn detect() -> Option<Self> {
        let found = is_x86_feature_detected!("sha")
            && is_x86_feature_detected!("sse2")
            && is_x86_feature_detected!("ssse3")
            && is_x86_feature_detected!("sse4.1");
        found.then_some(Self {
            _made_by_detect: (),
        })
    }

    /// SHA-1 over `N` runs of equal length.
    #[expect(
        unsafe_code,
        reason = "calls a function that needs instructions found at run time"
    )]
    pub(super) fn sha1<const N: usize>(self, states: &mut [[u32; 5]; N], runs: [&[Block]; N]) {
        // SAFETY: `self` exists only if `detect` found sha, sse2, ssse3 and sse4.1, which are the
        // features that `compress` enables; it asks for nothing else, as it is a safe function.
        unsafe { sha1_ni::compress(states, runs) }
    }

    /// SHA-256 over `N` runs of equal length.
    #[expect(
        unsafe_code,
        reason = "calls a function that needs instructions found at run time"
    )]
    pub(super) fn sha256<const N: usize>(self, states: &mut [[u32; 8]; N], runs: [&[Block]; N]) {
        // SAFETY: `self` exists only if `detect` found sha, sse2, ssse3 and sse4.1, which are the
        // features that `compress` enables; it asks for nothing else, as it is a safe function.
        unsafe { sha256_ni::compress(states, runs) }
    }
}

impl Avx512 {
    pub(super) fn detect() -> Option<Self> {
        let found = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512vl");
        found.then_some(Self {
            _made_by_detect: (),
        })
    }

    /// SHA-1 over eight runs of equal length.
    #[expect(
        unsafe_code,
        reason = "calls a function that needs instructions found at run time"
    )]
    pub(super) fn sha1(self, states: &mut [[u32; 5]; 8], runs: [&[Block]; 8]) {
        // SAFETY: `self` exists only if `detect` found avx2, avx512f and avx512vl, which are the
        // features that `compress` enables; it asks for nothing else, as it is a safe function.
        unsafe { sha1_avx512::compress(states, runs) }
    }
}
