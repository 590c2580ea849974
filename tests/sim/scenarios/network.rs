//! Lines of every kind, limits, loss, partitions.

use std::time::Duration;

use super::{story, with_seeds};
use crate::dice::Dice;
use crate::link::Line;
use crate::plan::{Fault, Member, Plan};
use crate::world::World;

const PIECE: u32 = 64 * 1024;

fn last(world: &World) -> Duration {
    let times = world.nodes.iter().filter_map(|node| node.log.completed);
    times.max().expect("complete")
}

#[test]
fn a_long_fat_link_is_filled() {
    let plan = |_| {
        let line = Line::mbit(500.0).far(50);
        Plan::new(
            200,
            1024 * 1024,
            vec![Member::seed(line), Member::leecher(line)],
        )
    };
    with_seeds("a_long_fat_link", 10, |seed| {
        let mut world = World::new(seed, plan(seed));
        world.audit_every = 500;
        world.play();
        let ratio = last(&world).as_secs_f64() / world.plan.ideal(500.0);
        println!("seed {seed}: last / ideal {ratio:.2}");
        assert!(ratio < 2.0, "{ratio} times the ideal");
    });
}

#[test]
fn home_lines_with_a_tenth_up_finish_near_what_the_uplinks_allow() {
    let plan = |_| {
        let home = Line::asymmetric(2.0, 20.0).far(15);
        let mut members = vec![Member::seed(Line::mbit(20.0)).with(|seed| seed.spread = true)];
        members.extend((0..10).map(|_| Member::leecher(home)));
        Plan::new(60, PIECE, members)
    };
    story("home_lines", 2, plan, |world| {
        // Ten copies have to come out of one line of 20 Mbit/s and ten of 2.
        let bound = world.plan.total() as f64 * 8.0 * 10.0 / 40e6;
        let took = last(world).as_secs_f64();
        assert!(
            took < bound * 1.6 + 5.0,
            "took {took}, the bound is {bound}"
        );
    });
}

#[test]
fn thirty_percent_loss_delays_and_stops_nobody() {
    let plan = |_| Plan::swarm(40, PIECE, 5, 10.0).fault(0, Fault::Loss(30));
    story("thirty_percent_loss", 1, plan, |world| {
        assert!(last(world) < Duration::from_secs(120), "{:?}", last(world));
    });
}

#[test]
fn latency_that_changes_all_the_time_stops_nobody() {
    let plan = |seed| {
        let mut dice = Dice::new(seed);
        let mut plan = Plan::swarm(40, PIECE, 5, 4.0);
        for second in 0..30 {
            let far = Line::mbit(4.0).far(1 + dice.between(0, 800));
            plan = plan.fault(second * 1_000, Fault::Line(dice.below(6), far));
        }
        plan
    };
    story("latency_that_changes", 1, plan, |_| {});
}

#[test]
fn a_swarm_that_was_split_finishes_when_it_is_one_again() {
    let plan = |_| {
        Plan::swarm(60, PIECE, 8, 4.0)
            .fault(3_000, Fault::Partition(4))
            .fault(40_000, Fault::Heal)
    };
    story("a_swarm_that_was_split", 1, plan, |world| {
        assert!(
            last(world) > Duration::from_secs(40),
            "the split had no effect"
        );
        assert!(last(world) < Duration::from_secs(150), "{:?}", last(world));
    });
}

#[test]
fn a_split_that_outlives_every_connection_is_healed_by_the_tracker() {
    let plan = |_| {
        Plan::swarm(60, PIECE, 8, 4.0)
            .fault(3_000, Fault::Partition(4))
            .fault(300_000, Fault::Heal)
            .with(|plan| plan.limit = Duration::from_secs(4_000))
    };
    story("a_split_that_outlives", 1, plan, |_| {});
}

#[test]
fn limits_changed_while_it_runs_hold_over_any_two_seconds() {
    let plan = |seed| {
        let mut dice = Dice::new(seed);
        let mut plan = Plan::swarm(40, PIECE, 5, 20.0);
        for second in 0..20 {
            let limit = dice.chance(70).then(|| dice.between(30_000, 1_000_000));
            plan = plan.fault(second * 1_000, Fault::Limit(dice.below(6), limit));
        }
        plan
    };
    story("limits_changed", 1, plan, |_| {});
}

#[test]
fn nodes_are_paused_and_resumed_at_random_and_finish() {
    let plan = |seed| {
        let mut dice = Dice::new(seed);
        let mut plan = Plan::swarm(40, PIECE, 6, 4.0);
        for _ in 0..12 {
            let (node, at) = (dice.below(7), dice.between(200, 15_000));
            plan = plan
                .fault(at, Fault::Pause(node))
                .fault(at + dice.between(1, 6_000), Fault::Resume(node));
        }
        plan
    };
    story("nodes_are_paused", 1, plan, |_| {});
}

#[test]
fn a_hundredfold_difference_of_lines_starves_nobody() {
    let plan = |_| {
        let mut plan = Plan::swarm(40, PIECE, 3, 100.0);
        for _ in 0..3 {
            plan = plan.and(Member::leecher(Line::mbit(1.0).far(80)));
        }
        plan
    };
    story("a_hundredfold_difference", 1, plan, |world| {
        let fast = world.nodes[1].log.completed.expect("complete");
        assert!(fast < Duration::from_secs(10), "the fast one took {fast:?}");
        // 21 Mbit over a line of one.
        assert!(last(world) < Duration::from_secs(45), "{:?}", last(world));
    });
}
