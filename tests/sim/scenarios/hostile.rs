//! Swarms with nodes that cheat.

use std::time::Duration;

use bt_wire::Bitfield;

use super::with_seeds;
use crate::link::Line;
use crate::node::Conduct;
use crate::world::World;

const PIECE: u32 = 128 * 1024;

#[test]
fn a_poisoner_is_found_and_nobody_innocent_is_banned() {
    with_seeds("a_poisoner", |seed| {
        let mut world = World::new(seed, 40, PIECE);
        let line = Line::mbit(40.0);
        world.add(
            Duration::ZERO,
            line,
            Conduct::Honest,
            Bitfield::full(40),
            |_| {},
        );
        let bad = world.add(
            Duration::ZERO,
            line,
            Conduct::Poisoner,
            Bitfield::full(40),
            |_| {},
        );
        for _ in 0..6 {
            world.add(
                Duration::from_millis(50),
                line,
                Conduct::Honest,
                Bitfield::new(40),
                |_| {},
            );
        }
        assert!(
            world.run(Duration::from_secs(300), World::all_complete),
            "{}",
            world.picture()
        );
        let culprit = world.nodes[bad].addr;
        for node in &world.nodes[2..] {
            assert!(
                node.banned.iter().all(|banned| *banned == culprit),
                "{} banned {:?}",
                node.addr,
                node.banned
            );
        }
        assert!(
            world.nodes[2..]
                .iter()
                .any(|node| node.banned.contains(&culprit)),
            "nobody found the poisoner"
        );
    });
}

#[test]
fn snubbers_cannot_hold_a_download_up() {
    with_seeds("snubbers", |seed| {
        let mut world = World::new(seed, 30, PIECE);
        let line = Line::mbit(40.0);
        world.add(
            Duration::ZERO,
            line,
            Conduct::Honest,
            Bitfield::full(30),
            |_| {},
        );
        for _ in 0..5 {
            world.add(
                Duration::ZERO,
                line,
                Conduct::Snubber,
                Bitfield::full(30),
                |_| {},
            );
        }
        world.add(
            Duration::from_millis(50),
            line,
            Conduct::Honest,
            Bitfield::new(30),
            |_| {},
        );
        assert!(
            world.run(Duration::from_secs(90), World::all_complete),
            "{}",
            world.picture()
        );
    });
}
