//! Stands in for the kernels on processors that have none: a value of these types cannot exist.

use super::feed::Block;

#[derive(Clone, Copy, Debug)]
pub(super) enum ShaNi {}

#[derive(Clone, Copy, Debug)]
pub(super) enum Avx512 {}

impl ShaNi {
    pub(super) fn detect() -> Option<Self> {
        None
    }

    pub(super) fn sha1<const N: usize>(self, _: &mut [[u32; 5]; N], _: [&[Block]; N]) {
        match self {}
    }

    pub(super) fn sha256<const N: usize>(self, _: &mut [[u32; 8]; N], _: [&[Block]; N]) {
        match self {}
    }
}

impl Avx512 {
    pub(super) fn detect() -> Option<Self> {
        None
    }

    pub(super) fn sha1(self, _: &mut [[u32; 5]; 8], _: [&[Block]; 8]) {
        match self {}
    }
}
