//! Swarms of honest nodes: how fast, at what cost, and who may come and go.

use std::time::Duration;

use super::{story, with_seeds};
use crate::link::Line;
use crate::plan::{Fault, Member, Plan};
use crate::world::World;

const PIECE: u32 = 64 * 1024;

fn spreading(mut plan: Plan) -> Plan {
    plan.members[0].spread = true;
    plan
}

#[test]
fn one_leecher_gets_everything_at_the_speed_of_the_line() {
    let plan = |_| spreading(Plan::swarm(160, PIECE, 1, 100.0));
    story("one_leecher", 1, plan, |world| {
        let took = world.nodes[1].log.completed.expect("complete");
        let ideal = world.plan.ideal(100.0);
        assert!(took.as_secs_f64() < ideal * 1.25 + 0.5, "took {took:?}");
        assert_eq!(
            world.nodes[0].log.uploaded,
            world.layout.total_length(),
            "nothing was sent twice"
        );
    });
}

#[test]
fn a_swarm_fills_near_the_bandwidth_bound_from_little_more_than_one_copy() {
    let plan = |_| spreading(Plan::swarm(128, 1024 * 1024, 16, 100.0));
    with_seeds("a_swarm_fills", 10, |seed| {
        let mut world = World::new(seed, plan(seed));
        // 435,000 steps of engines with a thousand blocks under way: each audit costs more than the step.
        world.audit_every = 500;
        world.play();
        let times = world.nodes[1..]
            .iter()
            .filter_map(|node| node.log.completed);
        let last = times.max().expect("complete").as_secs_f64();
        let ratio = last / world.plan.ideal(100.0);
        let copies = world.nodes[0].log.uploaded as f64 / world.layout.total_length() as f64;
        println!("seed {seed}: last / ideal {ratio:.2}, copies {copies:.2}");
        assert!(
            ratio < 1.3 && copies < 1.1,
            "ratio {ratio}, copies {copies}"
        );
    });
}

#[test]
fn a_seed_without_spreading_feeds_fifty() {
    let plan = |_| Plan::swarm(24, PIECE, 50, 50.0);
    story("a_seed_without_spreading", 10, plan, |world| {
        let copies = world.nodes[0].log.uploaded as f64 / world.layout.total_length() as f64;
        assert!(copies < 15.0, "{copies} copies left the seed");
    });
}

#[test]
fn a_flash_crowd_of_two_hundred_is_served_by_one_seed() {
    let plan = |_| {
        spreading(Plan::swarm(16, PIECE, 200, 50.0)).with(|plan| {
            for member in &mut plan.members {
                member.max_peers = 40;
            }
        })
    };
    with_seeds("a_flash_crowd", 20, |seed| {
        let mut world = World::new(seed, plan(seed));
        world.audit_every = 7;
        world.play();
        let copies = world.nodes[0].log.uploaded as f64 / world.layout.total_length() as f64;
        assert!(copies < 1.5, "{copies} copies left the seed");
    });
}

#[test]
fn the_rest_finish_when_the_seed_leaves_after_one_copy() {
    with_seeds("the_rest_finish", 1, |seed| {
        let mut world = World::new(seed, spreading(Plan::swarm(80, PIECE, 8, 50.0)));
        let out = |world: &World| {
            let others = |piece| {
                world.nodes[1..]
                    .iter()
                    .any(|node| node.engine.have().get(piece))
            };
            world.layout.pieces().all(others)
        };
        assert!(
            world.run(Duration::from_secs(120), out),
            "{}",
            world.picture()
        );
        world.strike(Fault::Leave(0));
        world.play();
        let sent = world.nodes[0].log.uploaded;
        assert!(sent <= world.layout.total_length() * 3 / 2, "{sent} bytes");
    });
}

#[test]
fn a_swarm_whose_seed_left_at_ninety_nine_percent_waits_and_finishes_with_the_next() {
    let plan = |_| {
        let line = Line::mbit(20.0);
        let mut plan = Plan::swarm(100, PIECE, 0, 20.0);
        plan.members[0].have = crate::plan::Have::AllButOne;
        for _ in 0..6 {
            plan = plan.and(Member::leecher(line));
        }
        // Nobody has the last piece until this one comes.
        plan.and(Member::seed(line).at_millis(120_000))
            .fault(60_000, Fault::Leave(0))
    };
    story("a_swarm_whose_seed_left", 1, plan, |world| {
        for node in &world.nodes[1..7] {
            let done = node.log.completed.expect("complete");
            assert!(done > Duration::from_secs(120), "{done:?}");
            assert!(done < Duration::from_secs(250), "{done:?}");
        }
    });
}

/// They fill each other's places and have nothing for each other. Without turnover the one that has it all is refused by
/// everybody, for ever.
#[test]
fn a_seed_that_comes_late_finds_a_place_among_peers_that_wait_for_it() {
    let plan = |_| {
        let line = Line::mbit(20.0);
        let crowded = |member: &mut Member| member.max_peers = 5;
        let mut plan = Plan::new(40, PIECE, Vec::new());
        for _ in 0..6 {
            plan = plan.and(Member::leecher(line).with(crowded));
        }
        plan.and(Member::seed(line).at_millis(400_000))
            .with(|plan| plan.limit = Duration::from_secs(4_000))
    };
    story("a_seed_that_comes_late", 1, plan, |_| {});
}

#[test]
fn half_the_swarm_leaves_every_minute_and_the_others_finish() {
    let plan = |seed| {
        let mut dice = crate::dice::Dice::new(seed);
        let line = Line::mbit(2.0);
        let mut plan = Plan::new(60, PIECE, vec![Member::seed(line)]);
        for number in 0..20 {
            let at = dice.between(0, 60_000);
            plan = plan.and(Member::leecher(line).at_millis(at));
            if number % 2 == 0 {
                let stays = dice.between(1_000, 60_000);
                plan = plan.fault(at + stays, Fault::Leave(number + 1));
            }
        }
        plan
    };
    story("half_the_swarm_leaves", 2, plan, |_| {});
}

#[test]
fn trackers_hear_started_then_completed_once_and_seeds_never_say_completed() {
    with_seeds("trackers_hear", 1, |seed| {
        let mut world = World::new(seed, spreading(Plan::swarm(20, PIECE, 3, 50.0)));
        world.play();
        for node in 0..4 {
            world.strike(Fault::Leave(node));
        }
        let end = world.now + Duration::from_secs(5);
        world.run(end, |_| false);
        for (number, node) in world.nodes.iter().enumerate() {
            let tracker = &world.trackers[0];
            assert_eq!(
                tracker.heard_completed(node.addr, 0),
                number > 0,
                "node {number}"
            );
            assert!(tracker.heard_goodbye(node.addr, 0), "node {number}");
        }
    });
}

#[test]
fn every_leecher_gets_its_turn_from_a_seed_with_few_slots() {
    let plan = |_| {
        let mut plan = Plan::swarm(60, PIECE, 16, 10.0);
        plan.members[0].slots = 3;
        plan.members[0].line = Line::mbit(1.0);
        for member in &mut plan.members[1..] {
            // They take and give nothing, so that all of it has to come from the seed.
            member.conduct = crate::plan::Conduct::Snubber;
        }
        plan
    };
    with_seeds("every_leecher_gets_its_turn", 4, |seed| {
        let mut world = World::new(seed, plan(seed));
        // Sixteen wait for three places that are theirs for thirty seconds each: six times that, and a round of the choker.
        world.run(Duration::from_secs(190), |_| false);
        let unchoked = world.nodes[0].log.unchoked.len();
        assert_eq!(unchoked, 16, "nodes had their turn");
    });
}
