//! What everybody who asks for all torrents is sent.

#![allow(
    clippy::disallowed_methods,
    reason = "tests start at the present moment"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::memory::Budget;
use super::Catalog;
use super::pages::Latest;
use crate::limits::{INDEX_LIFE, INDEX_SHARE};

#[test]
fn an_index_is_made_once_for_a_catalog_until_its_numbers_are_old() {
    let (latest, memory) = (Latest::default(), Budget::new(1_000));
    let (one, other) = (Arc::new(Catalog::default()), Arc::new(Catalog::default()));
    let start = Instant::now();
    let mut times = 0;
    let mut get = |catalog, after| {
        latest.get(start + after, catalog, &memory, || {
            times += 1;
            vec![times; 400]
        })[0]
    };
    let moment = Duration::from_millis(1);
    assert_eq!(get(&one, Duration::ZERO), 1);
    assert_eq!(get(&one, INDEX_LIFE - moment), 1);
    assert_eq!(get(&one, INDEX_LIFE), 2);
    assert_eq!(get(&other, INDEX_LIFE), 3, "another catalog at once");
    assert_eq!(memory.held(), 400, "nobody has the old ones any more");
}

#[test]
fn an_index_that_takes_long_to_make_is_sent_for_so_many_times_longer() {
    let (latest, memory) = (Latest::default(), Budget::new(1_000));
    let catalog = Arc::new(Catalog::default());
    let start = Instant::now();
    let mut at_least = Duration::ZERO;
    latest.get(start, &catalog, &memory, || {
        let began = Instant::now();
        // Twice as long as one that is old after its least life.
        while began.elapsed() < 2 * INDEX_LIFE / INDEX_SHARE {
            std::hint::spin_loop();
        }
        at_least = began.elapsed();
        vec![1]
    });
    let at_most = start.elapsed();
    let get = |after| latest.get(start + after, &catalog, &memory, || vec![2])[0];
    assert_eq!(get(at_least * INDEX_SHARE - Duration::from_nanos(1)), 1);
    assert_eq!(get(at_most * INDEX_SHARE), 2);
}

#[test]
fn readers_that_hold_old_pages_get_no_new_ones_beyond_the_memory_of_connections() {
    let (latest, memory) = (Latest::default(), Budget::new(1_000));
    let catalog = Arc::new(Catalog::default());
    let start = Instant::now();
    let held: Vec<_> = (0..10)
        .map(|n| latest.get(start + INDEX_LIFE * n, &catalog, &memory, || vec![0; 400]))
        .collect();
    assert_eq!(memory.held(), 1_200, "one above the limit and no more");
    drop(held);
    assert_eq!(memory.held(), 400);
}
