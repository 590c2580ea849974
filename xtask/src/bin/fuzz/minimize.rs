//! Makes a failing input smaller while it keeps failing.

use crate::tree;

/// The smallest input found within `tries` calls of `fails`, which must be true for `input`.
pub(crate) fn minimize(
    input: &[u8],
    mut tries: usize,
    mut fails: impl FnMut(&[u8]) -> bool,
) -> Vec<u8> {
    let mut best = input.to_vec();
    let mut attempt = |candidate: &[u8]| {
        if tries == 0 {
            return false;
        }
        tries -= 1;
        fails(candidate)
    };
    loop {
        let before = best.len();
        cut_branches(&mut best, &mut attempt);
        cut_pieces(&mut best, &mut attempt);
        if best.len() == before {
            break;
        }
    }
    simplify_bytes(&mut best, &mut attempt);
    best
}

/// Takes out parts of a bencoded input, whose lengths would be wrong if mere bytes went.
fn cut_branches(best: &mut Vec<u8>, attempt: &mut impl FnMut(&[u8]) -> bool) {
    while let Some(smaller) = tree::simpler(best).into_iter().find(|tree| attempt(tree)) {
        *best = smaller;
    }
}

/// Takes out pieces, from half of the input down to single bytes.
fn cut_pieces(best: &mut Vec<u8>, attempt: &mut impl FnMut(&[u8]) -> bool) {
    let mut size = (best.len() / 2).max(1);
    loop {
        let mut at = 0;
        while at < best.len() {
            let end = (at + size).min(best.len());
            let mut candidate = best.clone();
            candidate.drain(at..end);
            if attempt(&candidate) {
                *best = candidate;
            } else {
                at = end;
            }
        }
        if size == 1 {
            return;
        }
        size /= 2;
    }
}

/// Replaces bytes by `0`, which is easier to read than noise.
fn simplify_bytes(best: &mut Vec<u8>, attempt: &mut impl FnMut(&[u8]) -> bool) {
    for at in 0..best.len() {
        let mut candidate = best.clone();
        if let Some(byte) = candidate.get_mut(at).filter(|byte| **byte != b'0') {
            *byte = b'0';
            if attempt(&candidate) {
                *best = candidate;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::minimize;

    #[test]
    fn what_matters_is_left() {
        let input = b"some noise, then BAD, then more noise, then X and the end";
        let fails = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes);
            text.contains("BAD") && text.contains('X')
        };
        assert_eq!(minimize(input, 10_000, fails), b"BADX");
    }

    #[test]
    fn lengths_of_bencoded_texts_stay_right() {
        let fails = |bytes: &[u8]| {
            bytes.starts_with(b"d") && String::from_utf8_lossy(bytes).contains("3:bad")
        };
        let input = b"d1:a10:0123456789e4:noise";
        assert_eq!(minimize(input, 1_000, |b| b.starts_with(b"d1:a")), b"d1:a");
        let input = b"d3:keyl8:aaaaaaaa3:bad9:bbbbbbbbbee";
        assert!(minimize(input, 1_000, fails).len() <= 6);
    }

    #[test]
    fn the_number_of_tries_is_a_limit() {
        let mut calls = 0;
        let kept = minimize(&[7; 100], 5, |_| {
            calls += 1;
            false
        });
        assert_eq!((kept.len(), calls), (100, 5));
    }
}
