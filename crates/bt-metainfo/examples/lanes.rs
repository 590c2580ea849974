//! Prints how fast this processor hashes one message, and several side by side.
//!
//! `cargo run --release -p bt-metainfo --example lanes`
#![allow(
    clippy::print_stdout,
    reason = "an example reports to a person on a terminal"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use bt_metainfo::lanes::{MAX_LANES, sha1_each, sha256_each};
use sha1::Digest;

fn main() {
    for length in [1 << 20, 16 << 10] {
        let bytes = vec![0x5a; length];
        println!("messages of {} KiB, in GB/s (10^9 bytes)", length >> 10);
        println!(
            "  crate sha1       {:5.2}",
            rate(length, || sha1::Sha1::digest(&bytes))
        );
        for lanes in 1..=MAX_LANES {
            let parts = [bytes.as_slice()];
            let inputs = vec![parts.as_slice(); lanes];
            let sha1 = rate(lanes * length, || sha1_each(&inputs));
            let sha256 = rate(lanes * length, || sha256_each(&inputs));
            println!("  {lanes} lanes: SHA-1 {sha1:5.2}, SHA-256 {sha256:5.2}");
        }
        println!(
            "  crate sha2       {:5.2}",
            rate(length, || sha2::Sha256::digest(&bytes))
        );
    }
}

/// The best of half a second, so that other work on the machine does not count.
fn rate<T>(bytes: usize, mut hash: impl FnMut() -> T) -> f64 {
    let start = Instant::now();
    let mut best = Duration::MAX;
    while start.elapsed() < Duration::from_millis(500) {
        let before = Instant::now();
        black_box(hash());
        best = best.min(before.elapsed());
    }
    bytes as f64 / best.as_secs_f64() / 1e9
}
