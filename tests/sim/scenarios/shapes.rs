//! Torrents of every shape, and nodes that want only part of them or in a certain order.

use std::time::Duration;

use bt_metainfo::PieceIndex;

use super::{story, with_seeds};
use crate::link::Line;
use crate::plan::{Have, Member, Plan};
use crate::world::World;

const PIECE: u32 = 64 * 1024;

#[test]
fn a_torrent_of_one_piece_reaches_everybody() {
    story(
        "a_torrent_of_one_piece",
        1,
        |_| Plan::swarm(1, PIECE, 8, 10.0),
        |_| {},
    );
}

#[test]
fn a_torrent_of_a_single_byte_reaches_everybody() {
    let plan = |_| Plan::swarm(1, PIECE, 3, 10.0).with(|plan| plan.files = vec![(1, false)]);
    story("a_torrent_of_a_single_byte", 1, plan, |_| {});
}

#[test]
fn empty_files_between_others_change_nothing() {
    let files = [0, 100_000, 0, 0, 1, 300_000, 0].map(|length| (length, false));
    let plan = move |_| Plan::swarm(7, PIECE, 4, 10.0).with(|plan| plan.files = files.to_vec());
    story("empty_files", 1, plan, |_| {});
}

#[test]
fn padding_between_files_is_sent_by_nobody() {
    // Whole blocks of padding after small files, parts of blocks, and an end that is nothing but padding.
    let cuts = [3, 40, 41, 200, 333, 500, 730, 990];
    let plan = move |_| Plan::swarm(40, PIECE, 4, 20.0).cut_into_files(&cuts, true);
    story("padding_between_files", 1, plan, |world| {
        let pieces = world.layout.pieces();
        let sent: u64 = pieces.map(|piece| world.payload(piece)).sum();
        let spared = world.layout.total_length() - sent;
        assert!(spared >= 5 * 16 * 1024, "{spared} bytes are padding");
        for node in &world.nodes[1..] {
            let status = node.engine.status(world.start + world.now);
            assert_eq!((status.downloaded, status.bytes_left), (sent, 0));
        }
    });
}

#[test]
fn two_thousand_small_pieces_arrive_in_good_time() {
    let plan = |_| Plan::swarm(2_000, 16 * 1024, 3, 100.0);
    with_seeds("two_thousand_small_pieces", 10, |seed| {
        let mut world = World::new(seed, plan(seed));
        world.audit_every = 101;
        world.play();
        let took = world.nodes[1]
            .log
            .completed
            .expect("complete")
            .as_secs_f64();
        assert!(took < world.plan.ideal(100.0) * 3.0 + 1.0, "took {took}");
    });
}

#[test]
fn pieces_that_are_no_multiple_of_a_block_arrive() {
    let plan = |_| Plan::swarm(30, 40_000, 4, 20.0);
    story("pieces_that_are_no_multiple", 1, plan, |_| {});
}

#[test]
fn large_pieces_of_many_blocks_arrive() {
    let plan = |_| Plan::swarm(4, 4 * 1024 * 1024, 2, 100.0);
    story("large_pieces", 4, plan, |_| {});
}

#[test]
fn who_wants_only_some_files_finishes_with_them_and_serves_them() {
    let plan = |_| {
        let line = Line::mbit(20.0);
        let part = |from, to| Member::leecher(line).with(|member| member.wanted = Some((from, to)));
        Plan::new(
            30,
            PIECE,
            vec![Member::seed(line), part(0, 5), part(3, 20), part(29, 30)],
        )
    };
    story("who_wants_only_some_files", 1, plan, |world| {
        for node in &world.nodes[1..] {
            let (from, to) = node.member.wanted.expect("a part");
            let others = (0..30).filter(|piece| !(from..to).contains(piece));
            let surplus = others.filter(|piece| node.engine.have().get(PieceIndex(*piece)));
            assert_eq!(surplus.count(), 0, "only what is wanted is fetched");
        }
    });
}

#[test]
fn nodes_that_want_nothing_are_finished_at_once() {
    let plan = |_| {
        let line = Line::mbit(20.0);
        let nothing = Member::leecher(line).with(|member| member.wanted = Some((0, 0)));
        Plan::new(
            10,
            PIECE,
            vec![Member::seed(line), nothing, Member::leecher(line)],
        )
    };
    story("nodes_that_want_nothing", 1, plan, |world| {
        assert_eq!(world.nodes[1].log.received, 0);
    });
}

#[test]
fn pieces_come_in_order_when_asked_so() {
    let plan = |_| Plan::swarm(40, PIECE, 1, 10.0).with(|plan| plan.members[1].sequential = true);
    with_seeds("pieces_come_in_order", 1, |seed| {
        let mut world = World::new(seed, plan(seed));
        let half = |world: &World| world.nodes[1].engine.have().count_ones() >= 20;
        assert!(
            world.run(Duration::from_secs(60), half),
            "{}",
            world.picture()
        );
        let have = world.nodes[1].engine.have();
        // Ten pieces at most it was allowed to fetch while it was choked; the rest comes in order.
        let prefix = (0..40).take_while(|piece| have.get(PieceIndex(*piece)));
        let ahead = have.count_ones() as usize - prefix.count();
        assert!(ahead <= 10, "{ahead} pieces came out of order");
        world.play();
    });
}

#[test]
fn leechers_that_hold_everything_together_finish_without_a_seed() {
    let plan = |_| {
        let line = Line::mbit(10.0);
        let some = |member: &mut Member| member.have = Have::Share(60);
        let mut members: Vec<Member> = (0..8).map(|_| Member::leecher(line).with(some)).collect();
        members.push(Member::leecher(line).with(|member| member.have = Have::AllButOne));
        // One that has the last piece at least: it stops as soon as it has joined.
        members.push(Member::seed(line));
        Plan::new(40, PIECE, members).fault(8_000, crate::plan::Fault::Leave(9))
    };
    story("leechers_that_hold_everything", 1, plan, |_| {});
}

#[test]
fn peers_without_the_fast_extension_finish_beside_those_with_it() {
    let plan = |_| {
        Plan::swarm(40, PIECE, 8, 10.0).with(|plan| {
            for (number, member) in plan.members.iter_mut().enumerate() {
                member.fast = number % 3 != 0;
                member.slots = 2 + number % 3;
            }
        })
    };
    story("peers_without_the_fast_extension", 1, plan, |_| {});
}

#[test]
fn a_spreading_seed_without_the_fast_extension_gives_everything() {
    let plan = |_| {
        Plan::swarm(40, PIECE, 5, 10.0).with(|plan| {
            plan.members[0].spread = true;
            plan.members[0].fast = false;
        })
    };
    story("a_spreading_seed_without", 1, plan, |_| {});
}

#[test]
fn two_seeds_that_spread_stop_pretending_when_they_meet_nobody_else() {
    let plan = |_| {
        Plan::swarm(40, PIECE, 5, 10.0)
            .and(Member::seed(Line::mbit(10.0)).with(|seed| seed.spread = true))
            .with(|plan| plan.members[0].spread = true)
    };
    story("two_seeds_that_spread", 1, plan, |_| {});
}
