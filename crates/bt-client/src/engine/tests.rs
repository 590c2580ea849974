//! Parts of the engine over many pieces or a long time: the picker's searches, and rates.
//!
//! The models of picker, choker and candidates are with the stories that the fuzz driver makes, in the room `fuzz`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bt_metainfo::{BLOCK_SIZE, Layout, PieceIndex};
use bt_wire::Bitfield;
use proptest::collection::vec;
use proptest::prelude::proptest;

use super::download::{Ask, Availability, Pieces, next_blocks};
use super::rng::Rng;
use super::{RateMeter, TokenBucket};

/// Each piece was searched for among all that were listed: a quarter of a million of them took minutes.
#[test]
fn pieces_in_sequence_are_found_without_a_search() {
    const MANY: u32 = 1 << 18;
    let rng = &mut Rng::new(3);
    let layout = Layout::new(
        BLOCK_SIZE,
        [(u64::from(MANY) * u64::from(BLOCK_SIZE), false)],
    );
    let (none, all) = (Bitfield::new(MANY), Bitfield::full(MANY));
    let mut pieces = Pieces::new(Arc::new(layout.unwrap()), none, all.clone());
    let mut availability = Availability::new(MANY, rng);
    availability.seed_joined();
    let mut next = |open: u32, pieces: &mut Pieces, availability: &mut Availability| {
        let mut ask = Ask {
            has: &all,
            only: None,
            suggested: &[],
            current: &mut None,
            sequential: true,
            first: &[],
            barred: &[],
            open,
            started: &mut Vec::new(),
        };
        let mut out = Vec::new();
        next_blocks(pieces, availability, &mut ask, 1, rng, &mut out);
        out.pop().map(|block| block.piece.0)
    };
    let begin = Instant::now();
    for piece in 0..MANY {
        assert_eq!(
            next(MANY - piece, &mut pieces, &mut availability),
            Some(piece)
        );
        pieces.verified(PieceIndex(piece));
    }
    assert!(begin.elapsed() < Duration::from_secs(30));
    // What is lost is fetched again, the first one first.
    for lost in [9, 5, 7] {
        pieces.lost(PieceIndex(lost));
        availability.list(PieceIndex(lost), &mut Rng::new(1));
    }
    for (open, piece) in [(3, 5), (2, 7), (1, 9)] {
        assert_eq!(next(open, &mut pieces, &mut availability), Some(piece));
        pieces.verified(PieceIndex(piece));
    }
}

proptest! {
    #[test]
    fn a_steady_stream_is_measured_however_it_is_cut(
        rate in 1_000u32..50_000_000,
        gaps in vec(1u64..200, 200..400),
    ) {
        let start = Instant::now();
        let (mut meter, mut now) = (RateMeter::new(start), start);
        for gap in gaps {
            now += Duration::from_millis(gap);
            meter.add(now, u64::from(rate) * gap / 1_000);
        }
        let measured = meter.rate(now) / f64::from(rate);
        assert!((0.85..1.15).contains(&measured), "{measured} times the rate");
        let later: Vec<f64> = (1..60).map(|second| meter.rate(now + Duration::from_secs(second))).collect();
        assert!(later.iter().rev().is_sorted_by(|a, b| a <= b), "silence never looks faster: {later:?}");
    }

    #[test]
    fn a_bucket_never_lets_more_go_than_its_rate_a_burst_and_what_went_last(
        rate in 1_000u64..10_000_000,
        steps in vec((0u64..500, 1u64..100_000), 1..200),
    ) {
        let start = Instant::now();
        let (mut bucket, mut now) = (TokenBucket::new(start, Some(rate)), start);
        let burst = (rate as f64 / 4.0).max(32.0 * 1024.0);
        let (mut gone, mut most) = (0u64, 0u64);
        for (gap, batch) in steps {
            now += Duration::from_millis(gap);
            // As connections do it: a batch goes when its time has come, and is booked when it has gone.
            if bucket.wait(now).is_zero() {
                bucket.charge(now, batch);
                (gone, most) = (gone + batch, most.max(batch));
            }
            let line = now.duration_since(start).as_secs_f64() * rate as f64 + burst + most as f64;
            assert!(gone as f64 <= line + 1.0, "{gone} gone, {line} allowed");
        }
        let wait = bucket.wait(now);
        if wait < Duration::from_secs(60) {
            let later = now + wait + Duration::from_millis(1);
            assert!(bucket.wait(later).is_zero(), "after the wait it said, its time has come");
        }
    }
}
