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

/// Seeds besides that nobody has played before, from the number in `SIM_DRAWN` on. Stories of large swarms have none.
const DRAWN: u64 = 5;

/// Seeds that once failed.
const KEPT: &str = include_str!("../seeds.txt");

/// Those of `seeds.txt`, with the names of their stories.
fn kept() -> impl Iterator<Item = (&'static str, u64)> {
    let lines = KEPT.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| {
        let (name, seed) = line.split_once(' ').expect("a name and a seed");
        (name, seed.parse().expect("a seed"))
    })
}

/// The seeds that a story is played with. Stories of large swarms have a `weight`: they run so many times fewer unless
/// somebody asks, and those with weight 0 five times as often.
fn seeds(name: &str, weight: u64, number: impl Fn(&str) -> Option<u64>) -> Vec<u64> {
    if let Some(seed) = number("SIM_SEED") {
        return vec![seed];
    }
    let lighter = |seeds: u64| seeds.checked_div(weight).unwrap_or(seeds * 5);
    let from = number("SIM_FROM").unwrap_or(0);
    let usual = number("SIM_SEEDS").unwrap_or(lighter(SEEDS).max(1));
    let drawn = number("SIM_DRAWN").map_or(0..0, |from| from..from + lighter(DRAWN));
    let kept = kept().filter(|(of, _)| *of == name).map(|(_, seed)| seed);
    kept.chain(from..from + usual).chain(drawn).collect()
}

/// Runs a story with the seed of `SIM_SEED`; or with those that once failed, then with `SIM_SEEDS` seeds from `SIM_FROM`
/// (or 0) on, and then with some from `SIM_DRAWN` on, if it is there.
pub(crate) fn with_seeds(name: &str, weight: u64, story: impl Fn(u64)) {
    let began = std::time::Instant::now();
    let seeds = seeds(name, weight, |key| std::env::var(key).ok()?.parse().ok());
    let count = seeds.len();
    for seed in seeds {
        let run = std::panic::AssertUnwindSafe(|| story(seed));
        if let Err(panic) = std::panic::catch_unwind(run) {
            eprintln!("replay: SIM_SEED={seed} cargo xtask sim {name}");
            std::panic::resume_unwind(panic);
        }
    }
    println!(
        "sim: {name} | {count} | {:.2}",
        began.elapsed().as_secs_f64()
    );
}

#[test]
fn seeds_are_those_that_were_asked_for() {
    let of = |weight, said: &'static [(&str, u64)]| {
        let number = |key: &str| said.iter().find(|(of, _)| *of == key).map(|said| said.1);
        seeds("no story", weight, number)
    };
    assert_eq!(of(10, &[]), [0, 1]);
    assert_eq!(of(1, &[("SIM_FROM", 7), ("SIM_SEEDS", 2)]), [7, 8]);
    assert_eq!(of(1, &[("SIM_SEED", 9), ("SIM_DRAWN", 2)]), [9]);
    let drawn = of(2, &[("SIM_SEEDS", 1), ("SIM_DRAWN", 70)]);
    assert_eq!(drawn, [0, 70, 71]);
    assert_eq!(of(10, &[("SIM_SEEDS", 1), ("SIM_DRAWN", 70)]), [0]);
    assert_eq!(of(0, &[("SIM_DRAWN", 70)]).len(), 125);
}

/// Whoever gives a story another name has to do so in the list as well.
#[test]
fn seeds_that_are_kept_are_of_stories_that_exist() {
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/sim");
    let files = [here.clone(), here.join("scenarios")];
    let files = files
        .iter()
        .flat_map(|folder| std::fs::read_dir(folder).unwrap());
    let files = files.map(|file| file.unwrap().path());
    let sources: String = files
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect();
    for (name, seed) in kept() {
        let is_there = sources.contains(&format!("\"{name}\""));
        assert!(is_there, "{name} {seed}: there is no such story");
    }
}

/// Plays the plan of each seed to its end with every check on; `then` looks at the world afterwards.
fn story(name: &str, weight: u64, plan: impl Fn(u64) -> Plan, then: impl Fn(&World)) {
    with_seeds(name, weight, |seed| {
        let mut world = World::new(seed, plan(seed));
        world.play();
        then(&world);
    });
}
