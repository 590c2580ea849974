//! What can happen to a swarm, one story each.

mod download;
mod hostile;

use std::time::Duration;

use bt_wire::Bitfield;

use super::link::Line;
use super::node::Conduct;
use super::world::World;

/// Runs `story` with the seed of `SIM_SEED`, or with the first `SIM_SEEDS` (20) seeds.
pub(crate) fn with_seeds(name: &str, story: impl Fn(u64)) {
    let number = |key| {
        std::env::var(key)
            .ok()
            .and_then(|value: String| value.parse::<u64>().ok())
    };
    if let Some(seed) = number("SIM_SEED") {
        return story(seed);
    }
    for seed in 0..number("SIM_SEEDS").unwrap_or(20) {
        let run = std::panic::AssertUnwindSafe(|| story(seed));
        if let Err(panic) = std::panic::catch_unwind(run) {
            eprintln!("replay: SIM_SEED={seed} cargo test -p bt-client --test sim {name}");
            std::panic::resume_unwind(panic);
        }
    }
}

/// A seed that spreads, and `leechers` that begin together, all on equal lines.
pub(crate) fn swarm(
    seed: u64,
    pieces: u32,
    piece_length: u32,
    leechers: usize,
    rate: f64,
) -> World {
    let mut world = World::new(seed, pieces, piece_length);
    let line = Line::mbit(rate);
    world.add(
        Duration::ZERO,
        line,
        Conduct::Honest,
        Bitfield::full(pieces),
        |config| config.spread = true,
    );
    for _ in 0..leechers {
        world.add(
            Duration::from_millis(100),
            line,
            Conduct::Honest,
            Bitfield::new(pieces),
            |_| {},
        );
    }
    world
}

/// Seconds that the content takes over a line of `rate` Mbit/s.
pub(crate) fn ideal(world: &World, rate: f64) -> f64 {
    world.layout.total_length() as f64 * 8.0 / (rate * 1e6)
}
