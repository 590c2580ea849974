//! Content that is looked at anew or gets lost, sessions without places, torrents that are removed and added again.

use std::time::Duration;

use super::story;
use crate::dice::Dice;
use crate::link::Line;
use crate::plan::{Fault, Member, Plan};
use crate::tracker::TrackerMood;

const PIECE: u32 = 64 * 1024;

#[test]
fn a_recheck_in_the_middle_keeps_what_is_here_and_its_goodbye_comes_first() {
    let plan = |seed| {
        let mut dice = Dice::new(seed);
        let slow = TrackerMood::Slow(Duration::from_secs(3));
        // `stopped` takes three seconds. The look is over at once, and whatever is said then would arrive before it.
        (0..4).fold(Plan::swarm(40, PIECE, 5, 10.0), |plan, node| {
            let at = 500 + 1_000 * node as u64 + dice.between(0, 900);
            let takes = Duration::from_millis(dice.between(2, 30));
            plan.fault(at, Fault::Tracker(0, slow))
                .fault(at, Fault::Recheck(node, takes))
                .fault(at + 1, Fault::Tracker(0, TrackerMood::Up))
        })
    };
    story("a_recheck_in_the_middle", 1, plan, |world| {
        for (number, node) in world.nodes[..4].iter().enumerate() {
            let announces = node.log.announces;
            assert!(announces >= 3, "node {number} made {announces} announces");
            // But for the pieces that were being put together.
            let (received, total) = (node.log.received, world.layout.total_length());
            assert!(
                received < total * 3 / 2,
                "node {number} was sent {received} bytes"
            );
        }
    });
}

#[test]
fn a_scrub_that_finds_losses_has_them_fetched_again() {
    let plan = |_| {
        // Two lose something on the way, one when it has been complete for long, and at last the first seed does.
        let plan = Plan::swarm(40, PIECE, 5, 10.0)
            .fault(1_000, Fault::Lose(1))
            .fault(1_500, Fault::Lose(2))
            .fault(1_501, Fault::Lose(2));
        (0..3)
            .fold(plan, |plan, late| plan.fault(40_000 + late, Fault::Lose(3)))
            .fault(100_000, Fault::Lose(0))
    };
    story("a_scrub_that_finds_losses", 1, plan, |world| {
        let told: Vec<u32> = world
            .nodes
            .iter()
            .map(|node| node.log.completions)
            .collect();
        assert_eq!(told, [1, 1, 1, 2, 1, 1]);
        let total = world.layout.total_length();
        for number in [0, 3] {
            let fetched = world.nodes[number].log.fetched;
            let expected = if number == 0 { 0 } else { total };
            assert!(fetched > expected, "node {number} fetched {fetched} bytes");
        }
    });
}

/// More is chosen, then less, while it runs, pauses, and has finished; each selection is told as complete once.
#[test]
fn other_pieces_are_chosen_in_the_middle_and_at_the_end() {
    let plan = |seed| {
        let mut dice = Dice::new(seed);
        let line = Line::mbit(10.0);
        let part = |from, to| Member::leecher(line).with(|member| member.wanted = Some((from, to)));
        let mut select = |plan: Plan, node, low, high| {
            let (at, from) = (dice.between(low, high), dice.below(30) as u32);
            let to = from + 1 + dice.below(10) as u32;
            plan.fault(at, Fault::Select(node, from, to))
        };
        let members = vec![Member::seed(line), part(0, 40), part(0, 10), part(5, 6)];
        let mut plan = Plan::new(40, PIECE, members);
        for node in 1..4 {
            plan = select(plan, node, 200, 3_000);
            plan = select(plan, node, 3_000, 60_000);
        }
        plan.fault(61_000, Fault::Pause(3))
            .fault(62_000, Fault::Select(3, 0, 40))
            .fault(63_000, Fault::Resume(3))
    };
    story("other_pieces_are_chosen", 1, plan, |world| {
        assert!(world.nodes[3].engine.has_everything());
        assert!(world.trackers[0].heard_completed(world.nodes[3].addr, 0));
    });
}

#[test]
fn a_session_without_places_lets_nobody_in_and_disturbs_nobody_who_is_there() {
    let plan = |_| {
        let plan = Plan::swarm(60, PIECE, 5, 10.0);
        let late = Member::leecher(Line::mbit(10.0)).at_millis(3_000);
        (0..6).fold(plan.and(late), |plan, node| {
            plan.fault(2_500, Fault::Crowded(node, true))
                .fault(60_000, Fault::Crowded(node, false))
        })
    };
    story("a_session_without_places", 1, plan, |world| {
        let took = |number: usize| world.nodes[number].log.completed.expect("complete");
        for number in 1..6 {
            let took = took(number);
            assert!(
                took < Duration::from_secs(40),
                "node {number} took {took:?}"
            );
        }
        assert!(took(6) > Duration::from_secs(60), "{:?}", took(6));
        assert!(took(6) < Duration::from_secs(400), "{:?}", took(6));
    });
}

/// Whoever has no place for callers has none for those it would dial.
#[test]
fn a_leecher_without_places_waits_and_forgets_nobody() {
    let plan = |_| {
        Plan::swarm(40, PIECE, 3, 10.0)
            .fault(0, Fault::Crowded(2, true))
            .fault(90_000, Fault::Crowded(2, false))
    };
    story("a_leecher_without_places", 1, plan, |world| {
        let took = world.nodes[2].log.completed.expect("complete");
        assert!(took > Duration::from_secs(90), "{took:?}");
        assert!(took < Duration::from_secs(300), "{took:?}");
    });
}

#[test]
fn a_torrent_that_is_removed_and_comes_back_says_goodbye_and_keeps_what_it_had() {
    let plan = |seed| {
        let mut dice = Dice::new(seed);
        (0..6).fold(Plan::swarm(40, PIECE, 5, 10.0), |plan, node| {
            let back_after = dice.moment(Duration::ZERO, Duration::from_secs(3));
            let at = dice.between(500, 5_000);
            plan.fault(at, Fault::Readd(node, back_after))
        })
    };
    story("a_torrent_that_is_removed", 1, plan, |world| {
        for (number, node) in world.nodes.iter().enumerate() {
            assert_eq!(node.life, 1, "node {number}");
            assert!(
                world.trackers[0].heard_goodbye(node.addr, 0),
                "node {number} went without a word"
            );
        }
        assert!(world.nodes[0].log.complete_at_start);
    });
}
