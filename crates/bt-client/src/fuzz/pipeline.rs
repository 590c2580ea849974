//! How many blocks are asked of a peer at once: any blocks, rates and silences, and then a link that stays as it is.

use std::time::{Duration, Instant};

use bt_metainfo::BLOCK_SIZE;

use crate::engine::parts::Pipeline;
use crate::limits::{MAX_OUTSTANDING_REQUESTS, MIN_OUTSTANDING_REQUESTS};

/// The most that a block may be waited for with all that a peer is granted: twice two seconds, and its bursts.
const LONGEST: Duration = Duration::from_millis(4_600);

/// Milliseconds.
const TIMES: [u64; 8] = [0, 1, 5, 20, 100, 500, 2_000, 60_000];

/// Bytes per second.
const RATES: [f64; 8] = [0.0, 1.0, 1e4, 1e5, 1e6, 1e8, 1e12, f64::MAX];

/// Blocks per second, and milliseconds until one that is asked for is here, of the link in the end.
const CAPACITIES: [u32; 4] = [2, 16, 100, 700];
const LATENCIES: [u64; 4] = [1, 30, 200, 900];

/// Seconds after which nothing of the time before is believed any more, and the link is filled.
const SETTLED: u32 = 40;

/// Blocks of one second that are told one by one, so that a story takes no longer for a fast link.
const TOLD: u32 = 12;

/// Two bytes are one thing that happens; the first byte is the link.
///
/// # Panics
/// If less than one block or more than the limit is asked for, or more than the peer queues; if one block allows for more
/// than one more; if a peer that was silent is not asked for one; or if in the end a link that stays as it is, is not
/// filled, or asked for more than it carries in the longest time that a block may take.
pub fn pipeline(data: &[u8]) {
    let (&link, steps) = data.split_first().unwrap_or((&0, &[]));
    let mut now = Instant::now();
    let mut pipeline = Pipeline::new(now);
    for &[what, how] in steps.as_chunks().0 {
        let before = pipeline.depth(u32::MAX);
        now += Duration::from_millis(TIMES[usize::from(how & 7)]);
        match what & 7 {
            0..=4 => {
                let latency = match what >> 3 {
                    31 => Duration::MAX,
                    times => Duration::from_millis(u64::from(times) * TIMES[usize::from(how >> 5)]),
                };
                pipeline.received(now, latency);
                let after = pipeline.depth(u32::MAX);
                assert!(after <= MIN_OUTSTANDING_REQUESTS.max(before + 1));
                assert!(after >= before / 2, "it was {before}");
            }
            5 | 6 => pipeline.adjust(RATES[usize::from(how >> 5)] * f64::from(what >> 3)),
            _ => {
                pipeline.snubbed();
                assert_eq!(pipeline.depth(u32::MAX), 1);
            }
        }
        check(&pipeline);
    }
    settle(&mut pipeline, now, link);
}

fn check(pipeline: &Pipeline) {
    let depth = pipeline.depth(u32::MAX);
    assert!((1..=MAX_OUTSTANDING_REQUESTS).contains(&depth), "{depth}");
    for reqq in [0, 1, 5, 250, 2_000] {
        assert_eq!(pipeline.depth(reqq), depth.min(reqq.max(1)));
    }
    assert!(pipeline.at_most() <= LONGEST);
}

/// The peer sends what it is asked for as fast as its link carries it.
fn settle(pipeline: &mut Pipeline, mut now: Instant, link: u8) {
    let capacity = CAPACITIES[usize::from(link & 3)];
    let latency = Duration::from_millis(LATENCIES[usize::from(link >> 2 & 3)]);
    for _ in 0..SETTLED {
        let depth = pipeline.depth(u32::MAX);
        // What is asked for above that waits at the peer.
        let turn = latency.max(Duration::from_secs(1) * depth / capacity);
        let blocks = f64::from(depth) / turn.as_secs_f64();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a few hundred"
        )]
        let told = (blocks.round() as u32).clamp(1, TOLD);
        for _ in 0..told {
            now += Duration::from_secs(1) / told;
            pipeline.received(now, turn);
        }
        pipeline.adjust(blocks * f64::from(BLOCK_SIZE));
        check(pipeline);
    }
    let depth = pipeline.depth(u32::MAX);
    let holds = f64::from(capacity) * latency.as_secs_f64();
    assert!(
        f64::from(depth) >= holds.min(f64::from(MAX_OUTSTANDING_REQUESTS)),
        "{depth} blocks for a link that holds {holds}"
    );
    let most = (f64::from(capacity) * LONGEST.as_secs_f64()).ceil();
    assert!(
        f64::from(depth) <= most.max(f64::from(MIN_OUTSTANDING_REQUESTS)),
        "{depth} blocks for a link that carries {capacity} a second"
    );
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::{any, proptest};

    #[test]
    fn the_corpus_holds() {
        crate::fuzz::replay("client_pipeline", 3, super::pipeline);
    }

    proptest! {
        #[test]
        fn a_link_is_filled_whatever_happened_before(story in vec(any::<u8>(), 0..120)) {
            super::pipeline(&story);
        }
    }
}
