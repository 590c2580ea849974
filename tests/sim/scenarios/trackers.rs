//! Trackers that are down, slow, full of nonsense, or choosy about whom they name.

use std::time::Duration;

use super::story;
use crate::plan::{Fault, Plan};
use crate::tracker::TrackerMood;
use crate::world::World;

const PIECE: u32 = 64 * 1024;

fn moody(mood: TrackerMood, until: u64) -> Plan {
    Plan::swarm(40, PIECE, 5, 10.0)
        .fault(0, Fault::Tracker(0, mood))
        .fault(until, Fault::Tracker(0, TrackerMood::Up))
}

fn last(world: &World) -> Duration {
    let times = world.nodes.iter().filter_map(|node| node.log.completed);
    times.max().expect("complete")
}

#[test]
fn a_tracker_that_is_down_for_a_minute_is_asked_until_it_answers() {
    let plan = |_| moody(TrackerMood::Down, 60_000);
    story("a_tracker_that_is_down", 1, plan, |world| {
        assert!(last(world) < Duration::from_secs(400), "{:?}", last(world));
    });
}

#[test]
fn a_slow_tracker_only_delays_the_start() {
    let plan = |_| moody(TrackerMood::Slow(Duration::from_secs(12)), 500_000);
    story("a_slow_tracker", 1, plan, |world| {
        assert!(last(world) < Duration::from_secs(60), "{:?}", last(world));
    });
}

#[test]
fn a_tracker_that_names_nonsense_does_no_harm() {
    let plan = |_| {
        moody(TrackerMood::Garbage, 30_000).with(|plan| plan.limit = Duration::from_secs(200_000))
    };
    story("a_tracker_that_names_nonsense", 1, plan, |_| {});
}

#[test]
fn a_tracker_that_refuses_is_left_for_the_next_one() {
    let plan = |_| moody(TrackerMood::Refusing, 100_000).with(|plan| plan.trackers = 2);
    story("a_tracker_that_refuses", 1, plan, |world| {
        assert!(last(world) < Duration::from_secs(40), "{:?}", last(world));
    });
}

#[test]
fn a_private_swarm_dials_only_whom_its_tracker_named() {
    let plan = |_| {
        Plan::swarm(30, PIECE, 12, 10.0).with(|plan| {
            plan.private = true;
            plan.trackers = 2;
            plan.faults = vec![
                (Duration::from_secs(5), Fault::Tracker(0, TrackerMood::Down)),
                (Duration::from_secs(90), Fault::Tracker(0, TrackerMood::Up)),
            ];
        })
    };
    story("a_private_swarm", 1, plan, |world| {
        let named: usize = world.nodes.iter().map(|node| node.log.named.len()).sum();
        assert!(named > 12, "{named} names were given");
    });
}

#[test]
fn a_tracker_with_localities_keeps_more_bytes_within_them() {
    let near = |locality: bool, seed: u64| {
        let plan = Plan::swarm(8, PIECE, 140, 10.0).with(|plan| {
            plan.locality = locality;
            plan.between_groups = Duration::from_millis(20);
            for (number, member) in plan.members.iter_mut().enumerate() {
                member.group = (number % 4) as u8;
                member.max_peers = 12;
            }
        });
        let mut world = World::new(seed, plan);
        world.audit_every = 51;
        world.play();
        let sum = |of: fn(&crate::node::Node) -> u64| world.nodes.iter().map(of).sum::<u64>();
        sum(|node| node.log.uploaded_near) as f64 / sum(|node| node.log.uploaded) as f64
    };
    super::with_seeds("a_tracker_with_localities", 20, |seed| {
        // Eight pieces go the ways that the first of them have gone: of swarms that differ in nothing but the seed the share
        // differs by a twelfth of itself, so that three are looked at together.
        let of_three = |locality| {
            let shares = (0..3).map(|part| near(locality, seed + (part << 32)));
            shares.sum::<f64>() / 3.0
        };
        let (with, without) = (of_three(true), of_three(false));
        println!("seed {seed}: near with localities {with:.3}, without {without:.3}");
        // Three names of four are near, but the dials of others and the few names far away make up for some of it: one and
        // a half times as much is near in the mean, and what chance adds or takes is less than half of that.
        assert!(
            with > without * 1.25,
            "near: {with} with, {without} without"
        );
    });
}
