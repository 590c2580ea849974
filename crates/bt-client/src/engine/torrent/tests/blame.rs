//! Who may send what, and what follows when a piece is bad.

use std::net::SocketAddr;
use std::time::Duration;

use bt_metainfo::{BLOCK_SIZE, BlockRef, PieceIndex};
use bt_tracker::AnnounceResponse;
use bt_tracker::schedule::Problem;
use bt_wire::{Bitfield, Message, PeerId};

use super::{BLOCKS, PIECES, Rig};
use crate::engine::{
    Command, Direction, Input, Notice, Output, PeerInfo, PeerKey, PieceVerdict, Refusal, Source,
};
use crate::limits::{MAX_ADDRESSES, OTHERS_FIRST, SNUB_AFTER};

fn bad(digests: [u8; BLOCKS as usize]) -> PieceVerdict {
    PieceVerdict::Bad {
        digests: digests.map(|digest| [digest; 20]).to_vec(),
    }
}

fn bans(said: &[Output]) -> usize {
    let banned = |output: &&Output| matches!(output, Output::Notice(Notice::Banned(_)));
    said.iter().filter(banned).count()
}

/// A peer that has everything and chokes us.
fn choking_seed(rig: &mut Rig, last: u8) -> PeerKey {
    let peer = rig.join(last, true).unwrap();
    rig.hear(peer, Message::HaveAll);
    peer
}

#[test]
fn a_block_that_is_pushed_into_a_piece_under_way_is_not_kept_and_earns_nothing() {
    let mut rig = Rig::leech();
    let honest = rig.willing_seed(1);
    let asked = rig.requests_to(honest);
    let pusher = choking_seed(&mut rig, 2);
    rig.said();
    assert!(!rig.block(pusher, asked[1]), "it was asked of another");
    assert!(
        !rig.said()
            .iter()
            .any(|output| matches!(output, Output::Send(_, Message::Cancel(_)))),
        "and that one is still to send it"
    );
    let picture = &rig.torrent.peer_statuses(rig.now)[1];
    assert_eq!((picture.downloaded, picture.down_rate), (0, 0.0));
    assert_eq!(rig.torrent.status(rig.now).wasted, u64::from(BLOCK_SIZE));
    assert!(rig.block(honest, asked[1]));
}

/// Clients without the Fast extension may have sent it before our cancel came, and slow ones have it queued.
#[test]
fn a_block_that_was_called_off_is_welcome_once() {
    for fast in [true, false] {
        let mut rig = Rig::leech();
        let peer = rig.join(1, fast).unwrap();
        let all = Bitfield::full(PIECES).as_bytes().to_vec();
        rig.hear(peer, Message::Bitfield(all.into()));
        rig.hear(peer, Message::Unchoke);
        let asked = rig.requests_to(peer);
        if fast {
            // It has kept us waiting.
            rig.wait(SNUB_AFTER + Duration::from_secs(2));
        } else {
            // A choke voids all requests, and crosses with what it has sent.
            rig.hear(peer, Message::Choke);
        }
        // Another one is asked for the same.
        let other = rig.willing_seed(2);
        let pending = &rig.torrent.peers[&peer].in_flight;
        let is_pending = |block: &BlockRef| pending.iter().any(|flying| flying.block == *block);
        let late = asked.into_iter().find(|block| !is_pending(block)).unwrap();
        rig.ask(other, late);
        rig.said();
        assert!(rig.block(peer, late), "fast: {fast}");
        assert!(
            rig.said_to(other).contains(&Message::Cancel(late)),
            "the other need not send it"
        );
        assert!(!rig.block(peer, late), "once");
        assert!(!rig.block(other, late), "it is here");
        assert_eq!(
            rig.torrent.peer_statuses(rig.now)[1].downloaded,
            u64::from(late.length),
            "and yet it was asked for, and counts"
        );
    }
}

#[test]
fn a_piece_that_failed_is_asked_of_one_peer_and_those_without_a_part_in_it_come_first() {
    let mut rig = Rig::leech();
    let (a, b) = (choking_seed(&mut rig, 1), choking_seed(&mut rig, 2));
    let piece = PieceIndex(7);
    rig.send_blocks(piece, &[a, b, b, a]);
    rig.tell(Input::PieceChecked(piece, bad([1, 2, 3, 4])));
    assert_eq!(bans(&rig.said()), 0);
    let of_piece = |blocks: Vec<BlockRef>| blocks.iter().filter(|b| b.piece == piece).count();
    rig.hear(a, Message::Unchoke);
    assert_eq!(of_piece(rig.requests_to(a)), 0, "others come first");
    let c = rig.willing_seed(3);
    let first = rig.requests_to(c);
    assert_eq!(of_piece(first), BLOCKS as usize, "all of it, and at once");
    rig.hear(b, Message::Unchoke);
    assert_eq!(of_piece(rig.requests_to(b)), 0, "it has an owner");
    let late = rig.layout.block(piece, 0);
    let peer = rig.torrent.peers.get_mut(&a).unwrap();
    peer.called_off(rig.now, late);
    assert!(
        !rig.block(a, late),
        "what is late of others is not mixed in"
    );
    // It sends rubbish, and there is nobody else to blame.
    for block in rig.layout.blocks(piece).collect::<Vec<_>>() {
        assert!(rig.block(c, block));
    }
    rig.tell(Input::PieceChecked(piece, bad([1, 9, 9, 4])));
    assert_eq!(bans(&rig.said()), 1);
    // Everyone that is left had a part in it. After a moment they may be asked all the same.
    rig.wait(OTHERS_FIRST + Duration::from_secs(1));
    for peer in [a, b] {
        for flying in rig.torrent.peers[&peer].in_flight.clone() {
            rig.block(peer, flying.block);
        }
        rig.tell(Input::Flush(peer));
    }
    let took_part = rig.torrent.peers.values().filter(|peer| {
        let mut asked = peer.in_flight.iter();
        asked.any(|flying| flying.block.piece == piece)
    });
    assert_eq!(took_part.count(), 1, "one of them, and not both");
}

#[test]
fn a_suspect_piece_does_not_wait_for_an_owner_that_chokes_leaves_or_is_silent() {
    for how in ["chokes", "leaves", "is silent", "rejects"] {
        let mut rig = Rig::leech();
        let (a, b) = (choking_seed(&mut rig, 1), choking_seed(&mut rig, 2));
        let piece = PieceIndex(7);
        rig.send_blocks(piece, &[a, b, b, a]);
        rig.tell(Input::PieceChecked(piece, bad([1, 2, 3, 4])));
        rig.said();
        let owner = rig.willing_seed(3);
        let asked = rig.requests_to(owner);
        let of_it: Vec<_> = asked.into_iter().filter(|b| b.piece == piece).collect();
        assert_eq!(of_it.len(), BLOCKS as usize);
        assert!(rig.block(owner, of_it[0]));
        let next = rig.willing_seed(4);
        assert!(!rig.requests_to(next).iter().any(|b| b.piece == piece));
        match how {
            "chokes" => {
                rig.hear(owner, Message::Choke);
                for block in &of_it[1..] {
                    rig.hear(owner, Message::Reject(*block));
                }
            }
            "leaves" => rig.tell(Input::PeerClosed(owner)),
            "rejects" => {
                for block in &of_it[1..] {
                    rig.hear(owner, Message::Reject(*block));
                }
            }
            _ => {
                for _ in 0..SNUB_AFTER.as_secs() + 2 {
                    // Only this one answers.
                    for flying in rig.torrent.peers[&next].in_flight.clone() {
                        if flying.block.piece != piece {
                            rig.block(next, flying.block);
                        }
                    }
                    rig.wait(Duration::from_secs(1));
                }
            }
        }
        let answered = rig.torrent.peers[&next].in_flight.clone();
        for flying in answered {
            if flying.block.piece != piece {
                rig.block(next, flying.block);
            }
        }
        rig.tell(Input::Flush(next));
        let others = rig.torrent.peers.iter().filter(|(key, _)| **key != owner);
        let of_it = others
            .flat_map(|(_, peer)| &peer.in_flight)
            .filter(|flying| flying.block.piece == piece);
        assert_eq!(of_it.count(), BLOCKS as usize - 1, "the owner {how}");
    }
}

#[test]
fn nobody_is_judged_while_the_address_of_a_sender_is_unknown() {
    let mut rig = Rig::leech();
    let (a, b) = (choking_seed(&mut rig, 1), choking_seed(&mut rig, 2));
    let piece = PieceIndex(7);
    rig.send_blocks(piece, &[a, b, b, b]);
    rig.torrent.addresses.remove(&a);
    rig.tell(Input::PieceChecked(piece, bad([1, 2, 3, 4])));
    assert_eq!(bans(&rig.said()), 0, "a may have sent the rubbish");
}

#[test]
fn addresses_of_those_who_are_here_or_have_sent_parts_are_never_forgotten() {
    let mut rig = Rig::leech();
    let (stays, sent) = (choking_seed(&mut rig, 1), choking_seed(&mut rig, 2));
    let block = rig.layout.block(PieceIndex(7), 0);
    rig.ask(sent, block);
    assert!(rig.block(sent, block));
    rig.tell(Input::PeerClosed(sent));
    for _ in 0..=MAX_ADDRESSES {
        let guest = rig.join(3, true).unwrap();
        // Without the audit of each step: this is about sixteen thousand of them.
        rig.torrent
            .handle(rig.now, Input::PeerClosed(guest), &mut rig.said);
    }
    assert!(rig.torrent.addresses.contains_key(&stays));
    assert!(rig.torrent.addresses.contains_key(&sent));
    assert!(rig.torrent.addresses.len() <= MAX_ADDRESSES);
}

#[test]
fn the_disk_forgets_the_new_blocks_of_a_piece_that_turned_out_good() {
    let mut rig = Rig::leech();
    let peer = rig.willing_seed(1);
    let piece = PieceIndex(7);
    rig.send_piece(peer, piece);
    // It is being hashed, and everything begins anew.
    rig.tell(Input::Command(Command::Pause));
    rig.tell(Input::Command(Command::Resume));
    let peer = choking_seed(&mut rig, 2);
    let block = rig.layout.block(piece, 1);
    rig.ask(peer, block);
    assert!(rig.block(peer, block));
    rig.said();
    let good = PieceVerdict::Good {
        digests: Vec::new(),
    };
    rig.tell(Input::PieceChecked(piece, good));
    let forgets = |output: &Output| matches!(output, Output::ForgetPiece(it) if *it == piece);
    assert!(rig.said().iter().any(forgets));
}

/// Peers of one tracker of a private torrent must not meet those of another (BEP 27), and their blocks were counted as
/// missing while the disk had them.
#[test]
fn when_another_tracker_of_a_private_torrent_answers_the_disk_forgets_as_well() {
    let url = |name: &str| format!("http://{name}.example/announce");
    let mut rig = Rig::with(Bitfield::new(PIECES), |config| {
        config.private = true;
        config.trackers = vec![vec![url("a")], vec![url("b")]];
    });
    let answer = || Ok(AnnounceResponse::new(Duration::from_secs(1800)));
    rig.tell(Input::Announced(url("a"), answer()));
    let peer = rig.willing_seed(1);
    let block = rig.requests_to(peer)[0];
    assert!(rig.block(peer, block));
    let dialed = SocketAddr::from(([10, 0, 0, 50], 6881));
    rig.tell(Input::Candidates(Source::Tracker, vec![dialed]));
    rig.wait(Duration::from_secs(1900));
    rig.tell(Input::Announced(url("a"), Err(Problem::new("down"))));
    rig.wait(Duration::from_secs(60));
    rig.said();
    rig.tell(Input::Announced(url("b"), answer()));
    let said = rig.said();
    assert!(said.iter().any(|output| matches!(output, Output::Forget)));
    assert_eq!(rig.torrent.status(rig.now).peers, 0);
    // The first one had named this address, and the connection comes up only now.
    let info = PeerInfo {
        addr: dialed,
        id: PeerId::from([50; 20]),
        direction: Direction::Outgoing,
        fast: true,
    };
    let met = rig.torrent.open(rig.now, info, &mut rig.said);
    assert_eq!(met, Err(Refusal::OtherTracker));
}
