//! The disk is full, broken or forgetful, and the owner wants other pieces than before.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bt_metainfo::limits::MAX_PIECE_LENGTH;
use bt_metainfo::{BLOCK_SIZE, BlockRef, InfoHash, Layout, PieceIndex};
use bt_tracker::schedule::Announce;
use bt_tracker::{AnnounceResponse, Event};
use bt_wire::{Bitfield, Message, PeerId};

use super::{BLOCKS, PIECES, Rig, completions, state_of};
use crate::engine::{
    Command, Config, Input, Output, PeerKey, PieceVerdict, Priority, State, Torrent, Trouble,
    TroubleKind,
};
use crate::limits::{ENOUGH_ROOM, LOOK_FOR_ROOM, LOOK_FOR_ROOM_AT_MOST};

const PIECE: u64 = (BLOCKS * BLOCK_SIZE) as u64;

pub(super) fn trouble(kind: TroubleKind, message: &str) -> Input {
    Input::StorageFailed(Trouble {
        kind,
        message: message.to_owned(),
        hint: "look at it".to_owned(),
    })
}

fn full() -> Input {
    trouble(TroubleKind::Full, "cannot write x: no space")
}

fn good() -> PieceVerdict {
    PieceVerdict::Good {
        digests: Vec::new(),
    }
}

fn looks(said: &[Output]) -> usize {
    let look = |output: &&Output| matches!(output, Output::LookForRoom);
    said.iter().filter(look).count()
}

fn requested(said: &[Output]) -> BTreeSet<u32> {
    let piece = |output: &Output| match output {
        Output::Send(_, Message::Request(block)) => Some(block.piece.0),
        _ => None,
    };
    said.iter().filter_map(piece).collect()
}

/// P5 of `docs/SECURITY.md`.
#[test]
fn a_full_disk_keeps_the_peers_serves_on_and_goes_on_when_there_is_room() {
    let mut rig = Rig::leech();
    let peer = rig.willing_seed(1);
    rig.send_piece(peer, PieceIndex(0));
    rig.tell(Input::PieceChecked(PieceIndex(0), good()));
    rig.said();
    rig.tell(full());
    let said = rig.said();
    assert_eq!(state_of(&said), [State::DiskFull]);
    assert!(said.iter().any(|output| matches!(output, Output::Forget)));
    assert!(
        said.iter()
            .any(|output| matches!(output, Output::Send(_, Message::Cancel(_)))),
        "requests under way are called off"
    );
    assert_eq!(
        rig.torrent.status(rig.now).reason,
        "cannot write x: no space"
    );

    // Whoever wants what we have is served.
    let taker = rig.join(2, true).unwrap();
    rig.hear(taker, Message::HaveNone);
    rig.hear(taker, Message::Interested);
    rig.said();
    let block = rig.layout.block(PieceIndex(0), 0);
    rig.hear(taker, Message::Request(block));
    let said = rig.said();
    assert!(
        said.iter()
            .any(|output| matches!(output, Output::Serve(_, served) if *served == block))
    );

    // It looks every five seconds, asks for nothing meanwhile, and takes too little room for none.
    rig.wait(LOOK_FOR_ROOM * 3);
    let said = rig.said();
    assert_eq!((looks(&said), requested(&said).len()), (3, 0));
    rig.tell(Input::Room(2 * PIECE - 1));
    assert_eq!(rig.torrent.state(), State::DiskFull);
    rig.tell(Input::Room(2 * PIECE));
    assert_eq!(rig.torrent.state(), State::Downloading);
    assert_eq!(
        rig.torrent.status(rig.now).pieces_have,
        1,
        "nothing verified is lost"
    );
    rig.hear(peer, Message::Unchoke);
    assert_eq!(completions(&rig.download_from(peer)), 1);
}

#[test]
fn so_much_room_is_enough_however_large_the_pieces_are() {
    for (piece_length, enough) in [
        (BLOCK_SIZE, 2 * u64::from(BLOCK_SIZE)),
        (1 << 25, ENOUGH_ROOM),
        (MAX_PIECE_LENGTH, ENOUGH_ROOM),
    ] {
        for (room, state) in [
            (0, State::DiskFull),
            (enough - 1, State::DiskFull),
            (enough, State::Downloading),
            (u64::MAX, State::Downloading),
        ] {
            let length = u64::from(PIECES) * u64::from(piece_length);
            let layout = Layout::new(piece_length, [(length, false)]).unwrap();
            let mut rig = Rig::of(layout, Bitfield::new(PIECES), |_| {});
            rig.tell(full());
            rig.tell(Input::Room(room));
            assert_eq!(rig.torrent.state(), state, "{room} for {piece_length}");
        }
    }
}

#[test]
fn less_room_than_two_pieces_is_enough_for_a_last_short_one() {
    let mut have = Bitfield::full(PIECES);
    have.clear(PieceIndex(PIECES - 1));
    let mut rig = Rig::with(have, |_| {});
    rig.willing_seed(1);
    rig.tell(full());
    let last = u64::from(rig.layout.piece_size(PieceIndex(PIECES - 1)));
    rig.tell(Input::Room(last - 1));
    assert_eq!(rig.torrent.state(), State::DiskFull);
    rig.tell(Input::Room(last));
    assert_eq!(rig.torrent.state(), State::Downloading);
}

#[test]
fn a_disk_that_lies_about_its_room_is_asked_less_and_less_often_until_a_piece_is_written() {
    let mut rig = Rig::leech();
    let peer = rig.willing_seed(1);
    let mut waits = Vec::new();
    for _ in 0..6 {
        rig.tell(full());
        rig.said();
        let before = rig.now;
        while looks(&rig.said()) == 0 {
            rig.wait(Duration::from_secs(1));
        }
        waits.push((rig.now - before).as_secs());
        rig.tell(Input::Room(u64::MAX));
    }
    let most = LOOK_FOR_ROOM_AT_MOST.as_secs();
    assert_eq!(waits, [5, 10, 20, 40, most, most]);
    rig.tell(Input::PieceChecked(PieceIndex(3), good()));
    rig.tell(full());
    rig.said();
    rig.wait(LOOK_FOR_ROOM);
    assert_eq!(looks(&rig.said()), 1);
    assert!(
        !rig.block(peer, rig.layout.block(PieceIndex(0), 0)),
        "nothing is kept while it is full"
    );
}

#[test]
fn a_piece_that_still_verifies_on_a_full_disk_counts_and_may_complete() {
    let mut have = Bitfield::full(PIECES);
    have.clear(PieceIndex(4));
    let mut rig = Rig::with(have, |_| {});
    let peer = rig.willing_seed(1);
    rig.send_piece(peer, PieceIndex(4));
    rig.tell(full());
    rig.said();
    rig.tell(Input::PieceChecked(PieceIndex(4), good()));
    let said = rig.said();
    assert_eq!(
        (state_of(&said), completions(&said)),
        (vec![State::Seeding], 1)
    );
    assert_eq!(looks(&said), 0);
}

#[test]
fn a_pause_ends_the_wait_for_room_and_a_failed_torrent_can_be_tried_again() {
    let mut rig = Rig::leech();
    rig.willing_seed(1);
    rig.tell(full());
    rig.tell(Input::Command(Command::Pause));
    rig.said();
    rig.tell(full());
    rig.wait(LOOK_FOR_ROOM * 4);
    assert_eq!(looks(&rig.said()), 0);
    rig.tell(Input::Command(Command::Resume));
    assert_eq!(rig.torrent.state(), State::Downloading);
    rig.tell(trouble(TroubleKind::Broken, "cannot write x: I/O error"));
    assert_eq!(rig.torrent.state(), State::Failed);
    rig.tell(Input::Command(Command::Resume));
    assert_eq!(rig.torrent.state(), State::Downloading);
    assert_eq!(rig.torrent.status(rig.now).peers, 0);
}

fn all(priority: Priority) -> Vec<Priority> {
    vec![priority; PIECES as usize]
}

#[test]
fn higher_classes_are_asked_for_first_also_when_they_become_so_meanwhile() {
    let mut rig = Rig::leech();
    let mut wishes = all(Priority::Low);
    wishes[7] = Priority::High;
    wishes[2] = Priority::Normal;
    rig.tell(Input::Prioritize(wishes));
    let peer = rig.willing_seed(1);
    let order = |blocks: Vec<BlockRef>| {
        let mut pieces: Vec<u32> = blocks.iter().map(|block| block.piece.0).collect();
        pieces.dedup();
        pieces
    };
    let asked = order(rig.requests_to(peer));
    assert_eq!(asked[..2], [7, 2], "then anything low: {asked:?}");
    let mut wishes = all(Priority::Normal);
    let next = (0..PIECES).find(|piece| !asked.contains(piece)).unwrap();
    wishes[next as usize] = Priority::High;
    rig.tell(Input::Prioritize(wishes));
    rig.send_piece(peer, PieceIndex(7));
    rig.tell(Input::Flush(peer));
    let more = order(rig.requests_to(peer));
    assert_eq!(more.first(), Some(&next), "{more:?}");
}

#[test]
fn what_is_no_longer_wanted_is_called_off_at_once_and_forgotten() {
    let mut rig = Rig::leech();
    let peer = rig.willing_seed(1);
    let asked = rig.requests_to(peer);
    let piece = asked[0].piece;
    assert!(rig.block(peer, asked[0]));
    let mut wishes = all(Priority::Normal);
    wishes[piece.0 as usize] = Priority::Skip;
    rig.tell(Input::Prioritize(wishes));
    let said = rig.said();
    for block in asked[1..].iter().filter(|block| block.piece == piece) {
        assert!(
            said.iter()
                .any(|output| matches!(output, Output::Send(_, Message::Cancel(b)) if b == block)),
            "{block} is not called off"
        );
    }
    assert!(
        said.iter()
            .any(|output| matches!(output, Output::ForgetPiece(p) if *p == piece))
    );
    assert!(!requested(&said).contains(&piece.0));
    assert!(
        !rig.block(peer, asked[1]),
        "what comes all the same is not kept"
    );
    rig.tell(Input::PeerClosed(peer));
    let peer = rig.willing_seed(2);
    let said = rig.download_from(peer);
    assert_eq!(
        (completions(&said), rig.torrent.state()),
        (1, State::Finished)
    );
    assert_eq!(rig.torrent.priority(piece), Priority::Skip);

    // More is wanted again: it goes on, and completes once more.
    rig.tell(Input::Prioritize(Vec::new()));
    assert_eq!(rig.torrent.state(), State::Downloading);
    // The seed was left when nothing more was wanted of it.
    let peer = rig.willing_seed(3);
    let said = rig.download_from(peer);
    assert_eq!(
        (completions(&said), rig.torrent.state()),
        (1, State::Seeding)
    );
}

#[test]
fn wanting_less_may_complete_and_nothing_wanted_asks_for_nothing() {
    let mut rig = Rig::leech();
    let peer = rig.willing_seed(1);
    rig.said();
    rig.tell(Input::Prioritize(all(Priority::Skip)));
    let said = rig.said();
    assert_eq!(
        (state_of(&said), completions(&said)),
        (vec![State::Finished], 1)
    );
    assert!(
        said.iter()
            .any(|output| matches!(output, Output::Send(p, Message::NotInterested) if *p == peer))
    );
}

/// It stayed "all received" for ever, and nobody was asked for it again.
#[test]
fn a_whole_piece_that_is_deselected_and_does_not_fit_is_fetched_again_when_it_is_wanted() {
    let mut rig = Rig::leech();
    let peer = rig.willing_seed(1);
    rig.said();
    let piece = PieceIndex(3);
    rig.send_piece(peer, piece);
    rig.tell(Input::Prioritize(all(Priority::Skip)));
    assert_eq!(rig.torrent.state(), State::Finished);
    rig.tell(full());
    rig.said();
    rig.tell(Input::Prioritize(Vec::new()));
    // Seeds were left when nothing more was wanted of them.
    let peer = rig.willing_seed(2);
    let said = rig.download_from(peer);
    assert_eq!(
        (completions(&said), rig.torrent.state()),
        (1, State::Seeding)
    );
}

#[test]
fn lost_pieces_are_fetched_again_and_a_recheck_starts_from_nothing() {
    let mut rig = Rig::seed();
    rig.tell(Input::Lost(vec![PieceIndex(1), PieceIndex(2)]));
    assert_eq!(rig.torrent.state(), State::Downloading);
    assert_eq!(rig.torrent.status(rig.now).bytes_left, 2 * PIECE);
    let peer = rig.willing_seed(1);
    assert_eq!(completions(&rig.download_from(peer)), 1);

    rig.tell(Input::Command(Command::Recheck));
    let status = rig.torrent.status(rig.now);
    assert_eq!(
        (status.state, status.pieces_have, status.peers),
        (State::Checking, 0, 0)
    );
    rig.tell(Input::Checked(Bitfield::full(PIECES)));
    assert_eq!(rig.torrent.state(), State::Seeding);
    assert_eq!(completions(&rig.said()), 0, "nothing was downloaded");
}

/// A new schedule knew nothing of the `stopped` under way: the tracker heard `started` first and took us out of its swarm.
#[test]
fn after_a_recheck_started_waits_for_the_answer_to_stopped() {
    let url = || "http://t.example/a".to_owned();
    let answered = || {
        let mut answer = AnnounceResponse::new(Duration::from_secs(1800));
        answer.tracker_id = Some(b"seat 7".to_vec());
        Input::Announced(url(), Ok(answer))
    };
    let announces = |rig: &mut Rig| -> Vec<Announce> {
        let announce = |output| match output {
            Output::Announce { announce, .. } => Some(announce),
            _ => None,
        };
        rig.said().into_iter().filter_map(announce).collect()
    };
    for have in [Bitfield::full(PIECES), Bitfield::new(PIECES)] {
        let mut rig = Rig::with(Bitfield::full(PIECES), |config| {
            config.trackers = vec![vec![url()]];
        });
        let first = announces(&mut rig);
        assert_eq!(first[0].event, Event::Started);
        rig.tell(answered());

        rig.tell(Input::Command(Command::Recheck));
        assert_eq!(announces(&mut rig)[0].event, Event::Stopped);
        rig.tell(Input::Checked(have));
        assert_eq!(announces(&mut rig), [], "`stopped` is under way");
        rig.tell(answered());
        let again = announces(&mut rig);
        assert_eq!((again.len(), again[0].event), (1, Event::Started));
        assert_eq!(again[0].key, first[0].key);
        assert!(again[0].tracker_id.is_some(), "what it demanded is kept");
    }
}

/// Two files of one and a half blocks, each padded to four blocks, and a peer that has everything.
fn padded() -> (Rig, PeerKey) {
    let file = u64::from(BLOCK_SIZE) * 3 / 2;
    let pad = PIECE - file;
    let files = [(file, false), (pad, true), (file, false), (pad, true)];
    let layout = Arc::new(Layout::new(BLOCKS * BLOCK_SIZE, files).unwrap());
    let config = Config::new(InfoHash::from([1; 20]), PeerId::from([50; 20]), 7);
    let mut rig = Rig::leech();
    rig.torrent = Torrent::new(rig.now, config, Arc::clone(&layout), Bitfield::full(2));
    rig.layout = layout;
    rig.tell(Input::Checked(Bitfield::new(2)));
    let peer = rig.willing_seed(1);
    (rig, peer)
}

#[test]
fn padding_is_never_asked_for_and_its_piece_completes_without_it() {
    let (mut rig, peer) = padded();
    let mut asked = rig.requests_to(peer);
    asked.sort();
    let numbers: Vec<(u32, u32)> = asked
        .iter()
        .map(|b| (b.piece.0, b.begin / BLOCK_SIZE))
        .collect();
    assert_eq!(numbers, [(0, 0), (0, 1), (1, 0), (1, 1)]);
    for block in asked {
        assert!(rig.block(peer, block));
    }
    for piece in [PieceIndex(0), PieceIndex(1)] {
        rig.tell(Input::PieceChecked(piece, good()));
    }
    assert_eq!(rig.torrent.state(), State::Seeding);
}

#[test]
fn padding_of_a_piece_that_fails_was_not_downloaded() {
    let (mut rig, peer) = padded();
    for block in rig.requests_to(peer) {
        assert!(rig.block(peer, block));
    }
    let digests = vec![[1; 20]; BLOCKS as usize];
    rig.tell(Input::PieceChecked(
        PieceIndex(0),
        PieceVerdict::Bad { digests },
    ));
    // Of the other piece two blocks came.
    let downloaded = rig.torrent.status(rig.now).downloaded;
    assert_eq!(downloaded, u64::from(BLOCK_SIZE) * 2);
}

#[test]
fn a_selection_that_grows_during_a_pause_is_told_as_complete_when_it_is() {
    let mut rig = Rig::leech();
    let first: Vec<Priority> = (0..PIECES)
        .map(|piece| match piece {
            0 => Priority::Normal,
            _ => Priority::Skip,
        })
        .collect();
    rig.tell(Input::Prioritize(first));
    let peer = rig.willing_seed(1);
    rig.send_piece(peer, PieceIndex(0));
    rig.tell(Input::PieceChecked(PieceIndex(0), good()));
    assert_eq!(completions(&rig.said()), 1);
    rig.tell(Input::Command(Command::Pause));
    rig.tell(Input::Prioritize(Vec::new()));
    rig.tell(Input::Command(Command::Resume));
    assert_eq!(rig.torrent.state(), State::Downloading);
    let again = rig.willing_seed(2);
    assert_eq!(completions(&rig.download_from(again)), 1);
}

#[test]
fn what_is_lost_during_a_pause_is_not_announced_as_complete() {
    let url = || "http://t.example/a".to_owned();
    let mut rig = Rig::with(Bitfield::new(PIECES), |config| {
        config.trackers = vec![vec![url()]]
    });
    let answer = || Input::Announced(url(), Ok(AnnounceResponse::new(Duration::from_secs(60))));
    let peer = rig.willing_seed(1);
    rig.tell(answer());
    rig.download_from(peer);
    rig.tell(Input::Command(Command::Pause));
    rig.tell(answer());
    rig.tell(Input::CompletionIsSafe);
    rig.tell(Input::Lost(vec![PieceIndex(0)]));
    rig.tell(Input::Command(Command::Resume));
    let mut events = Vec::new();
    for _ in 0..4 {
        rig.wait(Duration::from_secs(100));
        rig.tell(answer());
        events.extend(rig.said().iter().filter_map(|output| match output {
            Output::Announce { announce, .. } => Some(announce.event),
            _ => None,
        }));
    }
    assert!(events.contains(&Event::Started), "{events:?}");
    assert!(!events.contains(&Event::Completed), "{events:?}");
}
