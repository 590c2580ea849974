//! What can happen to a swarm, one story each.

mod disks;
mod hostile;
mod network;
mod shapes;
mod swarms;
mod trackers;
mod upkeep;

use super::plan::Plan;
use super::world::World;

/// Seeds of a story when nobody says how many.
const SEEDS: u64 = 20;

/// Runs a story with the seed of `SIM_SEED`, or with the first `SIM_SEEDS` seeds. Stories of large swarms have a `weight`:
/// they run so many times fewer unless somebody asks, and those with weight 0 five times as often.
pub(crate) fn with_seeds(name: &str, weight: u64, story: impl Fn(u64)) {
    let number = |key| {
        let value: Option<String> = std::env::var(key).ok();
        value.and_then(|value| value.parse::<u64>().ok())
    };
    if let Some(seed) = number("SIM_SEED") {
        return story(seed);
    }
    let began = std::time::Instant::now();
    let usual = SEEDS.checked_div(weight).unwrap_or(SEEDS * 5).max(1);
    let seeds = number("SIM_SEEDS").unwrap_or(usual);
    for seed in 0..seeds {
        let run = std::panic::AssertUnwindSafe(|| story(seed));
        if let Err(panic) = std::panic::catch_unwind(run) {
            eprintln!("replay: SIM_SEED={seed} cargo xtask sim {name}");
            std::panic::resume_unwind(panic);
        }
    }
    println!(
        "sim: {name} | {seeds} | {:.2}",
        began.elapsed().as_secs_f64()
    );
}

/// Plays the plan of each seed to its end with every check on; `then` looks at the world afterwards.
fn story(name: &str, weight: u64, plan: impl Fn(u64) -> Plan, then: impl Fn(&World)) {
    with_seeds(name, weight, |seed| {
        let mut world = World::new(seed, plan(seed));
        world.play();
        then(&world);
    });
}
