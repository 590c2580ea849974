//! Disks that are slow, full, broken, or lie; programs that are killed; power cuts.

use std::time::Duration;

use super::{story, with_seeds};
use crate::dice::Dice;
use crate::disk::DiskMood;
use crate::plan::{Fault, Plan};
use crate::platter::Failing;
use crate::world::World;

const PIECE: u32 = 64 * 1024;

fn plan_with(mood: DiskMood, begin: u64, end: u64) -> Plan {
    Plan::swarm(40, PIECE, 4, 10.0)
        .fault(begin, Fault::Disk(2, mood))
        .fault(end, Fault::Disk(2, DiskMood::Fine))
        .fault(end + 1_000, Fault::Resume(2))
}

/// Whoever has a good disk notices nothing of the bad one.
fn others_are_quick(world: &World) {
    for number in [1, 3, 4] {
        let took = world.nodes[number].log.completed.expect("complete");
        assert!(
            took < Duration::from_secs(30),
            "node {number} took {took:?}"
        );
    }
}

#[test]
fn a_slow_disk_delays_only_its_own_node() {
    let plan = |_| plan_with(DiskMood::Slow(Duration::from_millis(400)), 500, 100_000);
    story("a_slow_disk", 1, plan, others_are_quick);
}

#[test]
fn a_full_disk_stops_one_node_and_it_goes_on_when_there_is_room() {
    // Nobody tells it to go on.
    let plan = |_| {
        Plan::swarm(40, PIECE, 4, 10.0)
            .fault(500, Fault::Disk(2, DiskMood::Full))
            .fault(20_000, Fault::Disk(2, DiskMood::Fine))
    };
    story("a_full_disk", 1, plan, |world| {
        assert!(world.nodes[2].log.failures > 0, "the disk was never full");
        let took = world.nodes[2].log.completed.expect("complete");
        assert!(
            took > Duration::from_secs(20) && took < Duration::from_secs(120),
            "{took:?}"
        );
    });
}

#[test]
fn a_disk_that_fails_every_write_stops_one_node_and_no_other() {
    let plan = |_| plan_with(DiskMood::Broken, 500, 30_000);
    story("a_disk_that_fails", 1, plan, |world| {
        assert!(world.nodes[2].log.failures > 0, "the disk never failed");
        others_are_quick(world);
    });
}

#[test]
fn bits_that_flip_when_read_back_reach_nobody_as_content() {
    let plan = |_| Plan::swarm(40, PIECE, 6, 10.0).fault(0, Fault::Disk(1, DiskMood::Flipping));
    story("bits_that_flip", 1, plan, |world| {
        let failed: u32 = world.nodes.iter().map(|node| node.log.failed_pieces).sum();
        assert!(failed > 0, "no bit ever flipped");
    });
}

/// Each of seven nodes is gone once in the first seconds, and back after a while.
fn everybody_crashes(seed: u64, power_cut: bool, back_after: Duration) -> Plan {
    let mut dice = Dice::new(seed);
    let plan = Plan::swarm(40, PIECE, 6, 4.0);
    (0..7).fold(plan, |plan, node| {
        plan.fault(
            dice.between(500, 12_000),
            crash(node, power_cut, back_after),
        )
    })
}

fn crash(node: usize, power_cut: bool, back_after: Duration) -> Fault {
    let back_after = Some(back_after);
    Fault::Crash {
        node,
        power_cut,
        back_after,
    }
}

#[test]
fn every_node_is_killed_once_and_comes_back() {
    let plan = |seed| everybody_crashes(seed, false, Duration::from_secs(3));
    story("every_node_is_killed_once", 1, plan, |_| {});
}

/// P2 of `docs/SECURITY.md`.
#[test]
fn every_node_loses_its_power_once_and_comes_back() {
    let plan = |seed| everybody_crashes(seed, true, Duration::from_secs(5));
    story("every_node_loses_its_power", 1, plan, |_| {});
}

/// A power cut in the moment in which a node is complete, or soon after: what its owner and its trackers were told by then
/// holds.
///
/// P1 of `docs/SECURITY.md`.
#[test]
fn a_power_cut_around_completion_takes_nothing_that_was_told() {
    with_seeds("a_power_cut_around_completion", 1, |seed| {
        let mut dice = Dice::new(seed);
        let mut world = World::new(seed, Plan::swarm(20, PIECE, 4, 20.0));
        let first = |world: &World| world.nodes[1].log.completed.is_some();
        assert!(world.run(Duration::from_secs(60), first));
        let cut_at = world.now + dice.moment(Duration::ZERO, Duration::from_millis(1_500));
        world.run(cut_at, |_| false);
        for node in 1..5 {
            world.strike(crash(node, true, Duration::from_secs(5)));
        }
        world.play();
    });
}

/// Five power cuts, each in the middle of a commit: nothing is believed that is not there, and no record is lost.
#[test]
fn a_power_cut_in_the_middle_of_a_commit_leaves_records_of_what_is_there() {
    with_seeds("a_power_cut_in_the_middle_of_a_commit", 1, |seed| {
        let mut dice = Dice::new(seed);
        let mut world = World::new(seed, Plan::swarm(60, PIECE, 2, 4.0));
        let (mut cuts, mut at) = (0, Duration::ZERO);
        while cuts < 5 && at < Duration::from_secs(60) {
            at += dice.moment(Duration::from_millis(1), Duration::from_millis(50));
            world.run(at, |_| false);
            if world.nodes[1].online && world.nodes[1].disk.is_committing() {
                world.strike(crash(1, true, Duration::from_millis(300)));
                cuts += 1;
            }
        }
        assert_eq!(cuts, 5);
        world.play();
    });
}

/// The journal cannot be written while pieces are lost, and right after that the program or the power goes: the journal is
/// gone by then, and the start believes nothing.
///
/// P2 of `docs/SECURITY.md`.
#[test]
fn a_loss_that_cannot_be_recorded_is_not_believed_after_a_crash() {
    with_seeds("a_loss_that_cannot_be_recorded", 1, |seed| {
        let mut dice = Dice::new(seed);
        let mut world = World::new(seed, Plan::swarm(60, PIECE, 2, 4.0));
        // Others may hear rubbish in place of what is lost.
        world.culprits.insert(1);
        // By then some commits are recorded.
        let at = dice.moment(Duration::from_millis(2_500), Duration::from_millis(7_000));
        world.run(at, |_| false);
        let failing = [Failing::Writes, Failing::Syncs][dice.below(2)];
        world.strike(Fault::Journal(1, failing));
        for _ in 0..1 + dice.below(3) {
            world.strike(Fault::Lose(1));
            // A loss waits for a commit.
            let at =
                world.now + dice.moment(Duration::from_millis(400), Duration::from_millis(1_500));
            world.run(at, |_| false);
        }
        assert!(!world.nodes[1].disk.records.say_too_much());
        assert_eq!(world.nodes[1].log.failures, 0, "the work goes on");
        world.strike(crash(1, dice.chance(70), Duration::from_millis(300)));
        world.strike(Fault::Journal(1, Failing::Nothing));
        world.play();
    });
}

/// The journal can be neither written nor removed: the torrent stops, and once something can be written again, the next
/// commit says what is true.
#[test]
fn a_loss_that_can_in_no_way_be_recorded_stops_the_torrent_until_it_can() {
    with_seeds("a_loss_that_can_in_no_way", 1, |seed| {
        let mut dice = Dice::new(seed);
        let mut world = World::new(seed, Plan::swarm(60, PIECE, 2, 4.0));
        world.culprits.insert(1);
        let at = dice.moment(Duration::from_millis(2_500), Duration::from_millis(7_000));
        world.run(at, |_| false);
        world.strike(Fault::Journal(1, Failing::Everything));
        let says_too_much = |world: &World| world.nodes[1].disk.records.say_too_much();
        let mut losses = 0;
        while !says_too_much(&world) {
            // Those that are not recorded yet need not be taken back.
            assert!(losses < 60, "all that it has is lost");
            world.strike(Fault::Lose(1));
            losses += 1;
            let at = world.now + Duration::from_millis(400);
            world.run(at, says_too_much);
        }
        assert_eq!(world.nodes[1].log.failures, 1);
        world.strike(Fault::Journal(1, Failing::Nothing));
        world.strike(Fault::Resume(1));
        let is_said = |world: &World| !says_too_much(world);
        let end = world.now + Duration::from_secs(60);
        assert!(world.run(end, is_said), "a commit comes");
        let later = world.now + dice.moment(Duration::from_millis(30), Duration::from_millis(900));
        world.run(later, |_| false);
        world.strike(crash(1, true, Duration::from_millis(300)));
        world.play();
    });
}

/// The same moment, and everything else that can come in between.
#[test]
fn whatever_comes_between_a_completion_and_its_sync_is_told_rightly() {
    let faults = [
        Fault::Pause(1),
        Fault::Resume(1),
        Fault::Lose(1),
        Fault::Recheck(1, Duration::from_millis(40)),
        Fault::Readd(1, Duration::from_millis(100)),
        Fault::Reannounce(1),
        Fault::Disk(1, DiskMood::Unsyncable),
        Fault::Select(1, 3, 9),
        Fault::Select(1, 0, 20),
        crash(1, true, Duration::from_millis(300)),
        crash(1, false, Duration::from_millis(300)),
    ];
    with_seeds("whatever_comes_between", 0, |seed| {
        let mut dice = Dice::new(seed);
        let mut world = World::new(seed, Plan::swarm(20, PIECE, 3, 20.0));
        let done = |world: &World| world.nodes[1].log.completed.is_some();
        assert!(world.run(Duration::from_secs(60), done));
        for _ in 0..2 + dice.below(5) {
            let at = world.now + dice.moment(Duration::ZERO, Duration::from_millis(200));
            world.run(at, |_| false);
            world.strike(faults[dice.below(faults.len())]);
        }
        let at = world.now + Duration::from_secs(1);
        world.run(at, |_| false);
        world.strike(Fault::Disk(1, DiskMood::Fine));
        world.strike(Fault::Resume(1));
        world.play();
    });
}

#[test]
fn a_seed_whose_disk_cannot_be_read_stops_and_serves_again_when_it_can() {
    let plan = |_| {
        Plan::swarm(40, PIECE, 4, 10.0)
            .fault(1_000, Fault::Disk(0, DiskMood::Unreadable))
            .fault(30_000, Fault::Disk(0, DiskMood::Fine))
            .fault(30_000, Fault::Resume(0))
    };
    story("a_seed_whose_disk_cannot_be_read", 1, plan, |world| {
        assert_eq!(world.nodes[0].log.failures, 1);
        for node in &world.nodes[1..] {
            let took = node.log.completed.expect("complete");
            assert!(took > Duration::from_secs(30), "{took:?}");
        }
    });
}

#[test]
fn a_disk_that_fails_every_sync_stops_one_node_and_what_is_gone_is_fetched_again() {
    let plan = |_| plan_with(DiskMood::Unsyncable, 500, 30_000);
    story("a_disk_that_fails_every_sync", 1, plan, |world| {
        assert!(world.nodes[2].log.failures > 0, "no sync ever failed");
        others_are_quick(world);
    });
}

/// P1 of `docs/SECURITY.md`.
#[test]
fn what_was_complete_is_complete_after_a_power_cut() {
    let plan = |_| {
        // By then everybody has finished.
        let plan = Plan::swarm(20, PIECE, 4, 20.0);
        let crash = |node| crash(node, true, Duration::from_secs(5));
        (1..5).fold(plan, |plan, node| plan.fault(30_000, crash(node)))
    };
    with_seeds("what_was_complete", 1, |seed| {
        let mut world = World::new(seed, plan(seed));
        world.run(Duration::from_secs(60), |_| false);
        for node in &world.nodes[1..] {
            assert_eq!((node.life, node.log.complete_at_start), (1, true));
        }
    });
}

#[test]
fn a_clock_that_jumps_ten_days_costs_one_node_a_moment() {
    let plan = |_| {
        Plan::swarm(60, PIECE, 5, 4.0)
            .fault(3_000, Fault::Jump(2, Duration::from_secs(864_000)))
            .fault(4_000, Fault::Jump(0, Duration::from_secs(864_000)))
    };
    story("a_clock_that_jumps", 1, plan, |world| {
        let times = world.nodes.iter().filter_map(|node| node.log.completed);
        let last = times.max().expect("complete");
        assert!(last < Duration::from_secs(90), "{last:?}");
        // No storm of announces, and nobody is sent away for having been silent: `started`, `completed`, one that was
        // due while the clock jumped, and one more.
        for number in [0, 2] {
            let log = &world.nodes[number].log;
            assert!(log.announces <= 4, "{} announces", log.announces);
        }
        let given_up: u32 = world.nodes.iter().map(|node| node.log.given_up).sum();
        assert_eq!(given_up, 0, "connections were given up");
    });
}
