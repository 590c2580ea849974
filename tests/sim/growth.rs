//! How a swarm behaves as it grows: everybody begins together on equal lines, and one seeder has the content.
//!
//! `cargo xtask sim growth` runs it for up to ten thousand leechers and draws the result.

use std::time::{Duration, Instant};

use super::link::Line;
use super::plan::{Member, Plan};
use super::world::World;

const PIECES: u32 = 256;
const PIECE: u32 = 64 * 1024;
const MBIT: f64 = 50.0;

/// Connections of one node: enough for a random graph of ten thousand to be four steps wide.
const PEERS: usize = 20;

/// Sites that the nodes are spread over; between two of them everything takes longer.
const SITES: u8 = 16;
const BETWEEN_SITES: Duration = Duration::from_millis(20);

/// What one run gave.
#[derive(Debug)]
struct Grown {
    leechers: usize,
    locality: bool,
    /// When the last was complete, as a multiple of content / line.
    last: f64,
    median: f64,
    /// Of the content, out of the initial seeder.
    copies: f64,
    /// Share of the bytes that stayed within a site.
    near: f64,
    /// Bytes that the engine of a leecher has held at most.
    held: usize,
}

fn grow(seed: u64, leechers: usize, locality: bool) -> Grown {
    let began = Instant::now();
    let line = Line::mbit(MBIT);
    let mut members = vec![Member::seed(line).with(|seed| {
        seed.spread = true;
        seed.max_peers = PEERS;
    })];
    members.extend((0..leechers).map(|number| {
        Member::leecher(line)
            .at_millis(100 + number as u64 % 200)
            .with(|member| {
                member.max_peers = PEERS;
                member.group = (number % usize::from(SITES)) as u8;
            })
    }));
    let plan = Plan::new(PIECES, PIECE, members).with(|plan| {
        plan.locality = locality;
        plan.between_groups = BETWEEN_SITES;
    });
    let ideal = plan.ideal(MBIT);
    let total = plan.total();
    let mut world = World::new(seed, plan);
    // Beyond that it would take longer than the run.
    world.audit_every = if leechers <= 100 { 50 } else { 0 };
    assert!(
        world.run(Duration::from_secs(600), World::all_complete),
        "{}",
        world.picture()
    );
    for (number, node) in world.nodes.iter().enumerate() {
        world.must(number, node.engine.audit());
    }
    let mut times: Vec<f64> = world.nodes[1..]
        .iter()
        .filter_map(|node| node.log.completed)
        .map(|at| at.as_secs_f64() / ideal)
        .collect();
    times.sort_by(f64::total_cmp);
    let sum = |of: fn(&super::node::Node) -> u64| world.nodes.iter().map(of).sum::<u64>() as f64;
    let grown = Grown {
        leechers,
        locality,
        last: times[times.len() - 1],
        median: times[times.len() / 2],
        copies: world.nodes[0].log.uploaded as f64 / total as f64,
        near: sum(|node| node.log.uploaded_near) / sum(|node| node.log.uploaded),
        held: leechers_hold(&world),
    };
    println!(
        "growth: {} | {} | {:.3} | {:.3} | {:.3} | {:.3} | {:.1} | {} | {}",
        grown.leechers,
        grown.locality,
        grown.last,
        grown.median,
        grown.copies,
        grown.near,
        began.elapsed().as_secs_f64(),
        world.steps,
        grown.held
    );
    grown
}

fn leechers_hold(world: &World) -> usize {
    let held = world.nodes[1..].iter().map(|node| node.log.held.most);
    held.max().expect("somebody")
}

/// The median of so many runs, as the last of a small swarm depends on luck by a few percent; large ones take minutes.
const SEEDS_OF_SMALL: u64 = 7;

fn grown(leechers: usize, locality: bool) -> Grown {
    let seeds = if leechers <= 100 { SEEDS_OF_SMALL } else { 1 };
    let mut runs: Vec<Grown> = (1..=seeds)
        .map(|seed| grow(seed, leechers, locality))
        .collect();
    runs.sort_by(|a, b| a.last.total_cmp(&b.last));
    runs.swap_remove(runs.len() / 2)
}

/// Ten and a hundred leechers, or as many as `SIM_GROWTH` says; with and without localities, or as `SIM_LOCALITY` says.
#[test]
fn a_growing_swarm_takes_little_longer_and_costs_its_seeder_no_more() {
    let sizes = std::env::var("SIM_GROWTH").unwrap_or_else(|_| "10,100".to_owned());
    let sizes: Vec<usize> = sizes
        .split(',')
        .map(|size| size.parse().expect("a list of numbers"))
        .collect();
    let only = std::env::var("SIM_LOCALITY").ok();
    let only: Option<bool> = only.map(|word| word.parse().expect("true or false"));
    // Of a swarm of a hundred, or of the smallest that is looked at, without localities if both are played.
    let mut reference = None;
    for locality in [false, true]
        .into_iter()
        .filter(|one| only.is_none_or(|only| only == *one))
    {
        let grown: Vec<Grown> = sizes.iter().map(|size| grown(*size, locality)).collect();
        let small = grown.iter().find(|grown| grown.leechers == 100);
        let small = small.or(grown.first()).expect("a size").last;
        let bound = *reference.get_or_insert(small) * 1.3;
        for large in grown.iter().filter(|grown| grown.leechers > 100) {
            assert!(large.last <= bound, "{large:?}, the bound is {bound}");
        }
        for grown in &grown {
            assert!(grown.copies <= 1.1, "{grown:?}");
        }
    }
}
