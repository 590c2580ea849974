//! How long pieces should be when nobody says.

/// The shortest piece that is made: one block of BEP 3.
pub(super) const SHORTEST: u32 = 16 << 10;

/// The longest piece that is chosen without being asked for. Longer ones are slow to be shared on
/// and dear to have damaged.
const LONGEST_CHOSEN: u32 = 16 << 20;

/// As many pieces as a torrent should have at most: 40 KiB of hashes.
const MOST_PIECES: u64 = 2_048;

/// The piece length in bytes for content of `total` bytes: the smallest power of two that makes at
/// most 2,048 pieces, between 16 KiB and 16 MiB.
///
/// | content up to | piece length | pieces |
/// | --- | --- | --- |
/// | 32 MiB | 16 KiB | at most 2,048 |
/// | 64 MiB | 32 KiB | 1,024–2,048 |
/// | 128 MiB | 64 KiB | 1,024–2,048 |
/// | 256 MiB | 128 KiB | 1,024–2,048 |
/// | 512 MiB | 256 KiB | 1,024–2,048 |
/// | 1 GiB | 512 KiB | 1,024–2,048 |
/// | 2 GiB | 1 MiB | 1,024–2,048 |
/// | 4 GiB | 2 MiB | 1,024–2,048 |
/// | 8 GiB | 4 MiB | 1,024–2,048 |
/// | 16 GiB | 8 MiB | 1,024–2,048 |
/// | 32 GiB | 16 MiB | 1,024–2,048 |
/// | more | 16 MiB | more |
#[must_use]
pub fn piece_length(total: u64) -> u32 {
    let wanted = total.div_ceil(MOST_PIECES).max(u64::from(SHORTEST));
    let power = wanted.checked_next_power_of_two().unwrap_or(u64::MAX);
    u32::try_from(power).unwrap_or(u32::MAX).min(LONGEST_CHOSEN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_table_holds_at_its_border() {
        assert_eq!(piece_length(0), 16 << 10);
        for row in 0..=10 {
            let border = (32 << 20) << row;
            assert_eq!(piece_length(border), (16 << 10) << row, "up to {border}");
            let above = ((16 << 10) << (row + 1)).min(16 << 20);
            assert_eq!(piece_length(border + 1), above, "above {border}");
        }
        assert_eq!(piece_length(u64::MAX), 16 << 20);
    }
}
