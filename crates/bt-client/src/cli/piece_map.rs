//! A small picture of which pieces are there. Pure: it must not know torrents or terminals
//! beyond the two sets of characters it draws with.

/// Characters from "nothing of this part" to "all of it".
const FINE: [char; 9] = ['·', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const PLAIN: [char; 5] = ['.', ':', '+', '*', '#'];

/// Which pieces of one torrent are there.
#[derive(Debug, Clone)]
pub(crate) struct PieceMap(Vec<bool>);

impl PieceMap {
    /// Of `pieces`, those with these indexes are there; an index beyond the last is nothing to us.
    pub(crate) fn new(pieces: u32, have: impl IntoIterator<Item = u32>) -> Self {
        let mut map = vec![false; usize::try_from(pieces).unwrap_or(usize::MAX)];
        for index in have {
            if let Some(slot) = usize::try_from(index)
                .ok()
                .and_then(|index| map.get_mut(index))
            {
                *slot = true;
            }
        }
        Self(map)
    }

    /// The picture in exactly `width` columns, each for an equal part of the torrent.
    pub(crate) fn draw(&self, width: usize, fine: bool) -> String {
        let levels: &[char] = if fine { &FINE } else { &PLAIN };
        let total = self.0.len();
        (0..width)
            .map(|column| {
                let from = column * total / width;
                // With fewer pieces than columns several columns show the same piece.
                let to = ((column + 1) * total / width).max(from + 1).min(total);
                let part = self.0.get(from..to).unwrap_or_default();
                level(
                    levels,
                    part.iter().filter(|have| **have).count(),
                    part.len(),
                )
            })
            .collect()
    }
}

/// A bar of exactly `width` columns of which the first part is full.
pub(crate) fn bar(done: u64, total: u64, width: usize, fine: bool) -> String {
    let levels: &[char] = if fine { &FINE } else { &PLAIN };
    let columns = u64::try_from(width).unwrap_or(u64::MAX);
    let full = if total == 0 {
        columns
    } else {
        share(done, total, columns)
    };
    (0..columns)
        .map(|column| levels[if column < full { levels.len() - 1 } else { 0 }])
        .collect()
}

/// `done / total * parts`, rounded down.
fn share(done: u64, total: u64, parts: u64) -> u64 {
    let exact = u128::from(done.min(total)) * u128::from(parts) / u128::from(total.max(1));
    u64::try_from(exact).unwrap_or(parts)
}

/// The first character is for nothing, the last for all, and neither for anything between.
fn level(levels: &[char], have: usize, of: usize) -> char {
    let last = levels.len() - 1;
    let index = match have {
        _ if have >= of => last,
        0 => 0,
        _ => (have * last / of).clamp(1, last - 1),
    };
    levels[index]
}

#[cfg(test)]
mod tests {
    use super::{PieceMap, bar};

    #[test]
    fn columns_show_how_full_their_part_is() {
        assert_eq!(PieceMap::new(8, []).draw(4, false), "....");
        let map = PieceMap::new(8, [0, 1, 2, 2, 7, 99]);
        assert_eq!(map.draw(4, false), "#+.+");
        assert_eq!(map.draw(4, true), "█▄·▄");
        assert_eq!(PieceMap::new(8, 0..8).draw(4, false), "####");
        assert_eq!(map.draw(0, false), "");
    }

    #[test]
    fn a_part_with_one_of_many_is_neither_empty_nor_full() {
        assert_eq!(PieceMap::new(1000, [0]).draw(1, false), ":");
        assert_eq!(PieceMap::new(1000, 0..999).draw(1, false), "*");
    }

    #[test]
    fn few_pieces_fill_all_columns() {
        assert_eq!(PieceMap::new(2, [1]).draw(6, false), "...###");
        assert_eq!(PieceMap::new(1, [0]).draw(5, false), "#####");
        assert_eq!(PieceMap::new(0, []).draw(3, false), "###");
    }

    #[test]
    fn bars_are_full_only_at_the_end() {
        assert_eq!(bar(0, 10, 4, false), "....");
        assert_eq!(bar(9, 10, 4, false), "###.");
        assert_eq!(bar(10, 10, 4, false), "####");
        assert_eq!(bar(0, 0, 2, false), "##");
        assert_eq!(bar(u64::MAX, u64::MAX, 3, true), "███");
    }
}
