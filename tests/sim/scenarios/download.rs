//! Swarms of honest nodes.

use std::time::Duration;

use bt_tracker::Event;
use bt_wire::Bitfield;

use super::{ideal, swarm, with_seeds};
use crate::link::Line;
use crate::node::Conduct;
use crate::world::World;

const PIECE: u32 = 256 * 1024;

#[test]
fn one_leecher_gets_everything_at_the_speed_of_the_line() {
    with_seeds("one_leecher", |seed| {
        let mut world = swarm(seed, 40, PIECE, 1, 100.0);
        assert!(
            world.run(Duration::from_secs(60), World::all_complete),
            "{}",
            world.picture()
        );
        let took = world.nodes[1].completed.expect("complete").as_secs_f64();
        assert!(took < ideal(&world, 100.0) * 1.25 + 0.5, "took {took}");
        assert_eq!(
            world.nodes[0].uploaded,
            world.layout.total_length(),
            "nothing was sent twice"
        );
    });
}

#[test]
fn a_swarm_fills_near_the_bandwidth_bound_from_little_more_than_one_copy() {
    with_seeds("a_swarm_fills", |seed| {
        let mut world = swarm(seed, 128, 1024 * 1024, 16, 100.0);
        // The other stories audit; at this size it would take minutes.
        world.audit = false;
        assert!(
            world.run(Duration::from_secs(120), World::all_complete),
            "{}",
            world.picture()
        );
        let last = world.nodes[1..]
            .iter()
            .filter_map(|node| node.completed)
            .max()
            .expect("complete");
        let ratio = last.as_secs_f64() / ideal(&world, 100.0);
        let copies = world.nodes[0].uploaded as f64 / world.layout.total_length() as f64;
        println!(
            "seed {seed}: last / ideal {ratio:.2}, copies {copies:.2}, steps {}",
            world.steps
        );
        assert!(
            ratio < 1.3 && copies < 1.1,
            "ratio {ratio}, copies {copies}"
        );
    });
}

#[test]
fn the_rest_finish_when_the_seed_leaves_after_one_copy() {
    with_seeds("the_rest_finish", |seed| {
        let mut world = swarm(seed, 40, PIECE, 8, 50.0);
        let total = world.layout.total_length();
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
        let now = world.now;
        world.leave(now, 0);
        assert!(
            world.run(Duration::from_secs(240), World::all_complete),
            "{}",
            world.picture()
        );
        assert!(
            world.nodes[0].uploaded <= total * 3 / 2,
            "{} of {total}",
            world.nodes[0].uploaded
        );
    });
}

#[test]
fn trackers_hear_started_then_completed_once_and_seeds_never_say_completed() {
    with_seeds("trackers_hear", |seed| {
        let mut world = swarm(seed, 20, PIECE, 3, 50.0);
        assert!(
            world.run(Duration::from_secs(60), World::all_complete),
            "{}",
            world.picture()
        );
        let end = world.now + Duration::from_secs(5);
        for node in 0..4 {
            world.leave(end, node);
        }
        world.run(end + Duration::from_secs(5), |_| false);
        for (number, node) in world.nodes.iter().enumerate() {
            let count = |event| node.announced.iter().filter(|said| **said == event).count();
            assert_eq!(node.announced.first(), Some(&Event::Started));
            assert_eq!(
                node.announced.last(),
                Some(&Event::Stopped),
                "{:?}",
                node.announced
            );
            assert_eq!(
                count(Event::Completed),
                usize::from(number > 0),
                "{:?}",
                node.announced
            );
            assert_eq!(node.completions, u32::from(number > 0));
        }
    });
}

#[test]
fn latecomers_and_leavers_do_not_stop_a_swarm() {
    with_seeds("latecomers", |seed| {
        let mut world = World::new(seed, 30, PIECE);
        let line = Line::mbit(40.0);
        world.add(
            Duration::ZERO,
            line,
            Conduct::Honest,
            Bitfield::full(30),
            |_| {},
        );
        for number in 0..12u64 {
            let at = Duration::from_millis(400 * number);
            let node = world.add(at, line, Conduct::Honest, Bitfield::new(30), |_| {});
            if number % 3 == 2 {
                world.leave(at + Duration::from_secs(2), node);
            }
        }
        assert!(
            world.run(Duration::from_secs(200), World::all_complete),
            "{}",
            world.picture()
        );
    });
}
