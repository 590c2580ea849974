//! Swarms with nodes that cheat, loiter, flood, or contradict themselves.

use std::time::Duration;

use super::{story, with_seeds};
use crate::link::Line;
use crate::plan::{Conduct, Have, Member, Plan};
use crate::world::World;

const PIECE: u32 = 64 * 1024;

/// A seed and `leechers`, and so many that behave as `conduct` says and claim to be seeds.
fn beside(conduct: Conduct, bad: usize, leechers: usize) -> Plan {
    let line = Line::mbit(20.0);
    let mut plan = Plan::swarm(40, PIECE, leechers, 20.0);
    for _ in 0..bad {
        plan = plan.and(Member::bad(line, conduct));
    }
    plan
}

/// Everybody finishes within `times` the ideal and a grace of `grace` seconds.
fn within(world: &World, times: f64, grace: f64) {
    let done = world.nodes.iter().filter(|node| node.is_honest());
    let last = done.filter_map(|node| node.log.completed).max();
    let last = last.expect("somebody finished").as_secs_f64();
    let bound = world.plan.ideal(20.0) * times + grace;
    assert!(last < bound, "the last took {last} s, the bound is {bound}");
}

#[test]
fn a_poisoner_is_found_and_nobody_innocent_is_banned() {
    let plan = |_| beside(Conduct::Poisoner, 1, 6);
    story("a_poisoner", 1, plan, |world| {
        assert!(world.bans_of(7) > 0, "nobody found the poisoner");
        let failed: Vec<u32> = world
            .nodes
            .iter()
            .map(|node| node.log.failed_pieces)
            .collect();
        assert!(
            failed.iter().all(|pieces| *pieces <= 6),
            "bad pieces: {failed:?}"
        );
    });
}

/// Nobody is blamed for padding, and a piece that fails costs no more than was sent of it.
#[test]
fn a_poisoner_is_found_in_pieces_that_are_partly_padding() {
    let plan = |_| {
        let cuts = [50, 110, 190, 260, 330, 420, 510, 600, 690, 770, 850, 930];
        beside(Conduct::Poisoner, 1, 4).cut_into_files(&cuts, true)
    };
    story("a_poisoner_is_found_in_pieces", 1, plan, |world| {
        assert!(world.bans_of(5) > 0, "nobody found the poisoner");
    });
}

/// The promise of one among many: proof after few pieces, at every one of those whom it fed.
#[test]
fn one_poisoner_of_fifty_costs_each_of_the_others_three_pieces_at_most() {
    let plan = |_| {
        let twenty = vec![(20 * u64::from(PIECE), false)];
        beside(Conduct::Poisoner, 1, 49).with(|plan| plan.files = twenty)
    };
    with_seeds("one_poisoner_of_fifty", 10, |seed| {
        let mut world = World::new(seed, plan(seed));
        world.audit_every = 200;
        world.play();
        assert!(world.bans_of(50) > 0, "nobody found the poisoner");
        let failed = world.nodes.iter().map(|node| node.log.failed_pieces);
        let most = failed.max().unwrap_or(0);
        assert!(most <= 3, "{most} pieces of one node failed");
    });
}

#[test]
fn three_poisoners_of_ten_are_banned_by_those_they_fed() {
    let plan = |_| beside(Conduct::Poisoner, 3, 6);
    story("three_poisoners", 1, plan, |world| {
        let bans: usize = (7..10).map(|bad| world.bans_of(bad)).sum();
        assert!(bans > 0, "nobody found a poisoner");
    });
}

/// Pieces so large that each is made of blocks of everybody: without an attempt from one peer alone, hardly any attempt
/// is without a poisoner, and nobody can be proved to be one.
#[test]
fn poisoners_who_mix_with_others_in_large_pieces_are_found() {
    let plan = |_| {
        let mut plan = Plan::swarm(2, 4 * 1024 * 1024, 2, 50.0);
        for _ in 0..5 {
            plan = plan.and(Member::bad(Line::mbit(50.0), Conduct::Poisoner));
        }
        plan
    };
    with_seeds("poisoners_who_mix", 2, |seed| {
        let mut world = World::new(seed, plan(seed));
        world.audit_every = 50;
        world.play();
        for node in &world.nodes[1..3] {
            let failed = node.log.failed_pieces;
            assert!(failed <= 14, "{failed} pieces failed");
        }
    });
}

/// Twelve pieces, three leechers, and two that push blocks of rubbish which others were asked for.
fn beside_pushers(has: Have) -> Plan {
    let mut plan = Plan::swarm(12, 1024 * 1024, 3, 50.0);
    for _ in 0..2 {
        let mut pusher = Member::bad(Line::mbit(50.0), Conduct::Pusher);
        pusher.have = has;
        if has == Have::Nothing {
            // It must not come to have anything either, or it is asked for that.
            pusher.wanted = Some((0, 0));
        }
        plan = plan.and(pusher);
    }
    plan
}

fn most_failures(seed: u64, has: Have) -> u32 {
    let mut world = World::new(seed, beside_pushers(has));
    world.audit_every = 50;
    world.play();
    let failed = world.nodes[1..4].iter().map(|node| node.log.failed_pieces);
    failed.max().unwrap_or(0)
}

#[test]
fn rubbish_that_nobody_asked_for_spoils_no_piece() {
    with_seeds("rubbish_that_nobody_asked_for", 2, |seed| {
        let failed = most_failures(seed, Have::Nothing);
        assert_eq!(failed, 0, "they were asked for nothing");
    });
}

/// At the end blocks are asked of several peers: what a pusher pushes may then be what it was asked for.
#[test]
fn rubbish_of_those_who_were_asked_too_spoils_no_more_than_the_last_pieces() {
    with_seeds("rubbish_of_those_who_were_asked", 2, |seed| {
        // So many pieces are under way together when nothing is left to be asked for.
        let failed = most_failures(seed, Have::Everything);
        assert!(failed <= 4, "{failed} pieces failed");
    });
}

/// Before, each such piece stayed open until the end of the download.
#[test]
fn a_peer_that_withholds_a_block_of_each_piece_does_not_keep_them_open() {
    let plan = |_| {
        let line = Line::mbit(2.0);
        Plan::new(
            400,
            PIECE,
            vec![Member::seed(line), Member::leecher(Line::mbit(20.0))],
        )
        .and(Member::bad(line, Conduct::Withholder))
    };
    with_seeds("a_peer_that_withholds", 1, |seed| {
        let mut world = World::new(seed, plan(seed));
        world.audit_every = 20;
        world.run(Duration::from_secs(40), |_| false);
        let open = world.nodes[1].disk.held();
        assert!(open <= 80, "{open} pieces are open");
        world.play();
    });
}

/// Who seems to be a seed, then not, then again, costs a look at all pieces each time, so that it is sent away in the end.
#[test]
fn peers_that_lose_pieces_and_get_them_back_cannot_hold_a_download_up() {
    let plan = |_| beside(Conduct::Forgetter, 5, 1);
    story("peers_that_lose_pieces", 1, plan, |world| {
        within(world, 3.0, 70.0)
    });
}

#[test]
fn snubbers_cannot_hold_a_download_up() {
    let plan = |_| beside(Conduct::Snubber, 5, 1);
    story("snubbers", 1, plan, |world| within(world, 3.0, 70.0));
}

/// As many as fill every end-game, and the only seed comes when all that is wanted was asked of them.
#[test]
fn silent_peers_cannot_hold_a_download_up_however_many_they_are() {
    for bad in [12, 30] {
        let plan = |_| {
            beside(Conduct::Snubber, bad, 1).with(|plan| {
                plan.members[0].at = Duration::from_secs(4);
            })
        };
        story("silent_peers", 2, plan, |world| within(world, 1.5, 30.0));
    }
}

#[test]
fn peers_that_reject_every_request_cannot_hold_a_download_up() {
    let plan = |_| beside(Conduct::Rejecter, 4, 3);
    story("peers_that_reject", 1, plan, |world| {
        within(world, 3.0, 20.0)
    });
}

#[test]
fn liars_about_what_they_have_cannot_hold_a_download_up() {
    let plan = |_| beside(Conduct::Liar, 4, 3);
    story("liars_about", 1, plan, |world| within(world, 3.0, 40.0));
}

#[test]
fn slow_drips_cannot_hold_a_download_up() {
    let plan = |_| {
        let mut plan = beside(Conduct::Honest, 0, 2);
        for _ in 0..4 {
            let mut drip = Member::seed(Line::mbit(20.0));
            drip.line.up = 1_500.0;
            plan = plan.and(drip);
        }
        plan
    };
    story("slow_drips", 1, plan, |world| within(world, 3.0, 60.0));
}

#[test]
fn a_hoarder_of_requests_leaves_others_their_share() {
    let plan = |_| beside(Conduct::Hoarder, 2, 4);
    story("a_hoarder", 2, plan, |world| within(world, 8.0, 10.0));
}

#[test]
fn choke_flappers_cannot_hold_a_download_up() {
    let plan = |_| beside(Conduct::Flapper, 4, 3);
    story("choke_flappers", 1, plan, |world| within(world, 4.0, 30.0));
}

#[test]
fn peers_that_change_their_mind_all_the_time_take_no_slot_from_others() {
    let plan = |_| {
        beside(Conduct::Fickle, 6, 4).with(|plan| {
            plan.members[0].slots = 2;
            for member in &mut plan.members[5..] {
                member.have = Have::Nothing;
            }
        })
    };
    story("peers_that_change_their_mind", 1, plan, |world| {
        within(world, 12.0, 60.0)
    });
}

#[test]
fn peers_that_heed_no_cancel_cost_bytes_and_nothing_else() {
    let plan = |_| beside(Conduct::Deaf, 3, 3);
    story("peers_that_heed_no_cancel", 1, plan, |world| {
        within(world, 3.0, 20.0)
    });
}

#[test]
fn peers_that_send_every_block_twice_are_counted_once() {
    let plan = |_| beside(Conduct::Repeater, 3, 3);
    story("peers_that_send_every_block_twice", 1, plan, |world| {
        for node in world.nodes[1..4].iter().filter(|node| node.is_honest()) {
            let status = node.engine.status(world.start + world.now);
            let content = world.layout.total_length();
            assert!(
                status.downloaded == content,
                "{} of {content}",
                status.downloaded
            );
            assert!(status.downloaded + status.wasted == node.log.received);
        }
    });
}

#[test]
fn one_of_each_kind_cannot_stop_a_swarm() {
    let plan = |_| {
        let mut plan = Plan::swarm(30, PIECE, 5, 20.0);
        for conduct in [
            Conduct::Poisoner,
            Conduct::Snubber,
            Conduct::Rejecter,
            Conduct::Liar,
            Conduct::Hoarder,
            Conduct::Flapper,
            Conduct::Fickle,
            Conduct::Deaf,
            Conduct::Repeater,
            Conduct::Pusher,
            Conduct::Withholder,
            Conduct::Forgetter,
        ] {
            plan = plan.and(Member::bad(Line::mbit(20.0), conduct));
        }
        plan.with(|plan| plan.limit = Duration::from_secs(1_200))
    };
    story("one_of_each_kind", 2, plan, |_| {});
}
