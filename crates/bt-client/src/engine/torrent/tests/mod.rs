//! One torrent against scripts of news: what it says and does not say.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bt_metainfo::{BLOCK_SIZE, BlockRef, InfoHash, Layout, PieceIndex};
use bt_tracker::{AnnounceResponse, Event};
use bt_wire::{Bitfield, Message, PeerId};
use bytes::Bytes;

use self::storage::trouble;
use super::{Config, Torrent};
use crate::engine::{
    CloseReason, Command, Direction, Input, Notice, Output, PeerInfo, PeerKey, PieceVerdict,
    Refusal, Source, State, TroubleKind,
};
use crate::limits::{CHOKE_ROUND, REFUSAL_PAUSE, SNUB_AFTER};

mod backlog;
mod blame;
mod defects;
mod extensions;
mod limits;
mod places;
mod relief;
mod requests;
mod storage;

const PIECES: u32 = 10;
const BLOCKS: u32 = 4;

/// A torrent, its clock, and everything it said since it was last asked.
struct Rig {
    torrent: Torrent,
    layout: Arc<Layout>,
    now: Instant,
    said: Vec<Output>,
}

impl Rig {
    fn with(have: Bitfield, tune: impl FnOnce(&mut Config)) -> Self {
        let length = u64::from(PIECES) * u64::from(BLOCKS * BLOCK_SIZE) - 77;
        let layout = Layout::new(BLOCKS * BLOCK_SIZE, [(length, false)]).unwrap();
        Self::of(layout, have, tune)
    }

    /// A torrent of `PIECES` pieces.
    fn of(layout: Layout, have: Bitfield, tune: impl FnOnce(&mut Config)) -> Self {
        let layout = Arc::new(layout);
        let mut config = Config::new(InfoHash::from([1; 20]), PeerId::from([50; 20]), 7);
        tune(&mut config);
        let now = Instant::now();
        let torrent = Torrent::new(now, config, Arc::clone(&layout), Bitfield::full(PIECES));
        let mut rig = Self {
            torrent,
            layout,
            now,
            said: Vec::new(),
        };
        rig.tell(Input::Checked(have));
        rig
    }

    fn leech() -> Self {
        Self::with(Bitfield::new(PIECES), |_| {})
    }

    fn seed() -> Self {
        Self::with(Bitfield::full(PIECES), |_| {})
    }

    fn tell(&mut self, input: Input) {
        self.torrent.handle(self.now, input, &mut self.said);
        self.torrent.audit().unwrap();
    }

    /// One message in a read of its own.
    fn hear(&mut self, peer: PeerKey, message: Message) {
        self.tell(Input::Message(peer, message));
        self.tell(Input::Flush(peer));
    }

    fn join(&mut self, last: u8, fast: bool) -> Result<PeerKey, Refusal> {
        let addr = SocketAddr::from(([10, 0, 0, last], 6881));
        let info = PeerInfo {
            addr,
            id: PeerId::from([last; 20]),
            direction: Direction::Incoming,
            fast,
        };
        self.torrent.open(self.now, info, &mut self.said)
    }

    /// A peer that has everything and unchokes us.
    fn willing_seed(&mut self, last: u8) -> PeerKey {
        let peer = self.join(last, true).unwrap();
        self.hear(peer, Message::HaveAll);
        self.hear(peer, Message::Unchoke);
        peer
    }

    fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.torrent.poll_timeout().filter(|due| *due <= end) {
            self.now = due.max(self.now);
            self.tell(Input::Timeout);
        }
        self.now = end;
    }

    /// Takes what was said.
    fn said(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.said)
    }

    /// Takes what was said to `peer`.
    fn said_to(&mut self, peer: PeerKey) -> Vec<Message> {
        let to = |output| match output {
            Output::Send(key, message) if key == peer => Some(message),
            _ => None,
        };
        self.said().into_iter().filter_map(to).collect()
    }

    fn requests_to(&mut self, peer: PeerKey) -> Vec<BlockRef> {
        let asked = |message| {
            if let Message::Request(block) = message {
                Some(block)
            } else {
                None
            }
        };
        self.said_to(peer).into_iter().filter_map(asked).collect()
    }

    fn block(&mut self, peer: PeerKey, block: BlockRef) -> bool {
        let kept = self.torrent.block(self.now, peer, block, &mut self.said);
        self.torrent.audit().unwrap();
        kept
    }

    /// `peer` is asked for `block`, whatever else was asked of whom.
    fn ask(&mut self, peer: PeerKey, block: BlockRef) {
        let torrent = &mut self.torrent;
        if torrent.peers[&peer]
            .in_flight
            .iter()
            .any(|flying| flying.block == block)
        {
            return;
        }
        torrent.pieces.start(block.piece);
        torrent.unlist(block.piece);
        if !torrent.pieces.request_again(block, u16::MAX) {
            // The blocks before it are given back when it has been taken.
            let mut taken = Vec::new();
            while let Some(next) = torrent.pieces.take_missing(block.piece) {
                taken.push(next);
            }
            assert!(taken.contains(&block), "{block} is here");
            for other in taken.into_iter().filter(|taken| *taken != block) {
                torrent.pieces.unrequest(other);
            }
        }
        let peer = torrent.peers.get_mut(&peer).unwrap();
        peer.asked(self.now, block);
    }

    /// `peer` is asked for all of `piece` and sends it.
    fn send_piece(&mut self, peer: PeerKey, piece: PieceIndex) {
        for block in Arc::clone(&self.layout).blocks(piece) {
            self.ask(peer, block);
            self.block(peer, block);
        }
    }

    /// Several peers are asked for a block of `piece` each, and send it.
    fn send_blocks(&mut self, piece: PieceIndex, senders: &[PeerKey]) {
        let blocks: Vec<BlockRef> = self.layout.blocks(piece).collect();
        assert_eq!(blocks.len(), senders.len());
        for (block, sender) in blocks.into_iter().zip(senders) {
            self.ask(*sender, block);
            assert!(self.block(*sender, block), "{block} was asked for");
        }
    }

    /// `peer` answers whatever it is asked until all is here.
    fn download_from(&mut self, peer: PeerKey) -> Vec<Output> {
        let mut all = Vec::new();
        let mut left: Vec<u32> = (0..PIECES)
            .map(|piece| self.layout.block_count(PieceIndex(piece)))
            .collect();
        loop {
            self.tell(Input::Flush(peer));
            let said = self.said();
            let asked: Vec<BlockRef> = said
                .iter()
                .filter_map(|output| match output {
                    Output::Send(key, Message::Request(block)) if *key == peer => Some(*block),
                    _ => None,
                })
                .collect();
            all.extend(said);
            if asked.is_empty() {
                return all;
            }
            for block in asked {
                assert!(
                    self.block(peer, block),
                    "{block} was asked for and not kept"
                );
                let left = &mut left[block.piece.0 as usize];
                *left -= 1;
                if *left == 0 {
                    self.tell(Input::PieceChecked(
                        block.piece,
                        PieceVerdict::Good {
                            digests: Vec::new(),
                        },
                    ));
                }
            }
        }
    }
}

fn state_of(said: &[Output]) -> Vec<State> {
    let state = |output: &Output| {
        if let Output::Notice(Notice::State(state)) = output {
            Some(*state)
        } else {
            None
        }
    };
    said.iter().filter_map(state).collect()
}

fn completions(said: &[Output]) -> usize {
    said.iter()
        .filter(|output| matches!(output, Output::Notice(Notice::Completed)))
        .count()
}

#[test]
fn a_choking_peer_is_not_asked_and_an_unchoking_one_at_once() {
    let mut rig = Rig::leech();
    let peer = rig.join(1, true).unwrap();
    rig.hear(peer, Message::HaveAll);
    assert_eq!(rig.said_to(peer), [Message::HaveNone, Message::Interested]);
    rig.hear(peer, Message::Unchoke);
    assert!(
        rig.requests_to(peer).len() > 1,
        "one round trip, several blocks"
    );
    rig.hear(peer, Message::Choke);
    rig.tell(Input::Flush(peer));
    assert!(rig.requests_to(peer).is_empty());
}

#[test]
fn a_choke_without_the_fast_extension_voids_requests_and_with_it_does_not() {
    for fast in [false, true] {
        let mut rig = Rig::leech();
        let peer = rig.join(1, fast).unwrap();
        rig.hear(
            peer,
            Message::Bitfield(Bytes::copy_from_slice(Bitfield::full(PIECES).as_bytes())),
        );
        rig.hear(peer, Message::Unchoke);
        let asked = rig.requests_to(peer);
        rig.hear(peer, Message::Choke);
        let other = rig.willing_seed(2);
        let again = rig.requests_to(other);
        assert_eq!(
            asked.iter().any(|block| again.contains(block)),
            !fast,
            "fast: {fast}"
        );
        for block in asked {
            rig.hear(peer, Message::Reject(block));
        }
    }
}

#[test]
fn a_download_completes_once_and_becomes_a_seed() {
    let mut rig = Rig::leech();
    let peer = rig.willing_seed(1);
    let said = rig.download_from(peer);
    assert_eq!(state_of(&said).last(), Some(&State::Seeding));
    assert_eq!(completions(&said), 1);
    assert!(
        said.iter()
            .any(|output| matches!(output, Output::Close(_, CloseReason::BothSeeds)))
    );
    assert_eq!(rig.torrent.left(), 0);
    let status = rig.torrent.status(rig.now);
    assert_eq!(
        (status.downloaded, status.wasted),
        (rig.layout.total_length(), 0)
    );
}

#[test]
fn trackers_hear_of_a_completion_when_it_is_safe_and_not_before() {
    let url = || "http://t.example/a".to_owned();
    let announced = |rig: &mut Rig| {
        rig.wait(Duration::from_secs(4000));
        rig.tell(Input::Announced(
            url(),
            Ok(AnnounceResponse::new(Duration::from_secs(60))),
        ));
        let said = rig.said();
        let events = said.iter().filter_map(|output| match output {
            Output::Announce { announce, .. } => Some(announce.event),
            _ => None,
        });
        events.collect::<Vec<Event>>()
    };
    let mut rig = Rig::with(Bitfield::new(PIECES), |config| {
        config.trackers = vec![vec![url()]]
    });
    assert_eq!(announced(&mut rig), [Event::Started]);
    let peer = rig.willing_seed(1);
    rig.download_from(peer);
    assert!(!announced(&mut rig).contains(&Event::Completed));
    rig.tell(Input::CompletionIsSafe);
    assert!(announced(&mut rig).contains(&Event::Completed));
}

#[test]
fn pieces_that_never_reached_the_disk_are_fetched_again() {
    let mut rig = Rig::leech();
    let peer = rig.willing_seed(1);
    rig.download_from(peer);
    rig.tell(trouble(TroubleKind::Broken, "no sync"));
    rig.tell(Input::Lost(vec![
        PieceIndex(0),
        PieceIndex(2),
        PieceIndex(PIECES),
    ]));
    rig.tell(Input::Command(Command::Resume));
    assert_eq!(rig.torrent.state(), State::Downloading);
    assert_eq!(rig.torrent.have().count_ones(), PIECES - 2);
    rig.said();
    let other = rig.willing_seed(2);
    let asked = rig.requests_to(other);
    assert!(!asked.is_empty() && asked.iter().all(|block| [0, 2].contains(&block.piece.0)));
}

#[test]
fn a_torrent_that_is_complete_from_the_start_never_says_completed() {
    let mut rig = Rig::with(Bitfield::full(PIECES), |config| {
        config.trackers = vec![vec!["http://t.example/a".into()]]
    });
    rig.wait(Duration::from_secs(4000));
    rig.tell(Input::Announced(
        "http://t.example/a".into(),
        Ok(AnnounceResponse::new(Duration::from_secs(60))),
    ));
    rig.wait(Duration::from_secs(4000));
    let said = rig.said();
    assert_eq!(completions(&said), 0);
    let events = said.iter().filter_map(|output| match output {
        Output::Announce { announce, .. } => Some(announce.event),
        _ => None,
    });
    let events: Vec<Event> = events.collect();
    assert_eq!(events.first(), Some(&Event::Started));
    assert!(!events.contains(&Event::Completed), "{events:?}");
}

#[test]
fn whoever_alone_sent_a_bad_piece_is_banned_and_stays_out() {
    let mut rig = Rig::leech();
    let peer = rig.willing_seed(1);
    let piece = rig.requests_to(peer)[0].piece;
    rig.send_piece(peer, piece);
    rig.tell(Input::PieceChecked(
        piece,
        PieceVerdict::Bad {
            digests: vec![[0; 20]; BLOCKS as usize],
        },
    ));
    let said = rig.said();
    assert!(
        said.iter()
            .any(|o| matches!(o, Output::Close(key, CloseReason::Banned) if *key == peer))
    );
    assert_eq!(rig.join(1, true), Err(Refusal::Banned));
    assert_eq!(rig.torrent.status(rig.now).hash_failures, 1);
}

#[test]
fn of_several_senders_only_the_guilty_one_is_banned_once_the_piece_is_good() {
    let mut rig = Rig::leech();
    let (a, b) = (rig.join(1, true).unwrap(), rig.join(2, true).unwrap());
    rig.hear(a, Message::HaveAll);
    rig.hear(b, Message::HaveAll);
    let piece = PieceIndex(0);
    rig.send_blocks(piece, &[a, b, a, a]);
    let mut digests = vec![[1; 20]; BLOCKS as usize];
    digests[1] = [9; 20];
    rig.tell(Input::PieceChecked(piece, PieceVerdict::Bad { digests }));
    let said = rig.said();
    assert!(
        said.iter()
            .any(|output| matches!(output, Output::Watch(watched) if *watched == piece))
    );
    assert!(
        !said
            .iter()
            .any(|output| matches!(output, Output::Notice(Notice::Banned(_)))),
        "no ban on suspicion"
    );
    rig.tell(Input::PieceChecked(
        piece,
        PieceVerdict::Good {
            digests: vec![[1; 20]; BLOCKS as usize],
        },
    ));
    let banned: Vec<IpAddr> = rig
        .said()
        .iter()
        .filter_map(|output| {
            if let Output::Notice(Notice::Banned(ip)) = output {
                Some(*ip)
            } else {
                None
            }
        })
        .collect();
    assert_eq!(banned, [IpAddr::from([10, 0, 0, 2])]);
}

#[test]
fn a_peer_that_does_not_answer_is_given_up_and_its_blocks_are_asked_of_another() {
    let mut rig = Rig::leech();
    let silent = rig.willing_seed(1);
    assert!(!rig.requests_to(silent).is_empty());
    rig.wait(SNUB_AFTER + Duration::from_secs(3));
    let other = rig.willing_seed(2);
    let said = rig.download_from(other);
    assert_eq!(
        completions(&said),
        1,
        "nothing is held up by the silent peer"
    );
    assert!(rig.torrent.status(rig.now).wasted == 0);
}

#[test]
fn a_peer_that_we_read_too_slowly_is_not_given_up() {
    let slow = |config: &mut Config| config.down_rate = Some(1_000);
    let mut rig = Rig::with(Bitfield::new(PIECES), slow);
    let peer = rig.willing_seed(1);
    let asked = rig.requests_to(peer).len() as u64 * u64::from(BLOCK_SIZE);
    assert!(
        asked > 40_000,
        "{asked} bytes take longer than a peer is usually given"
    );
    rig.wait(Duration::from_secs(asked / 1_000));
    let is_cancel = |output: &Output| matches!(output, Output::Send(_, Message::Cancel(_)));
    assert!(!rig.said().iter().any(is_cancel));
    rig.wait(2 * SNUB_AFTER);
    assert!(rig.said().iter().any(is_cancel));
}

#[test]
fn a_peer_that_rejects_what_it_could_send_is_left_alone_for_a_moment() {
    let mut rig = Rig::leech();
    let peer = rig.willing_seed(1);
    let asked = rig.requests_to(peer);
    for block in &asked {
        rig.hear(peer, Message::Reject(*block));
        rig.tell(Input::Flush(peer));
    }
    assert!(rig.requests_to(peer).is_empty(), "others come first");
    rig.wait(REFUSAL_PAUSE + Duration::from_secs(1));
    assert!(
        !rig.requests_to(peer).is_empty(),
        "and then it is asked again"
    );
}

#[test]
fn what_arrives_twice_is_wasted_and_what_nobody_asked_for_is_not_kept() {
    let mut rig = Rig::leech();
    let peer = rig.willing_seed(1);
    let block = rig.requests_to(peer)[0];
    assert!(rig.block(peer, block));
    assert!(!rig.block(peer, block));
    let unasked = PieceIndex(
        (0..PIECES)
            .find(|p| rig.torrent.pieces.partial(PieceIndex(*p)).is_none())
            .unwrap(),
    );
    assert!(!rig.block(peer, BlockRef::new(unasked, 0, BLOCK_SIZE)));
    assert!(
        !rig.block(peer, BlockRef::new(block.piece, 1, 10)),
        "no block of the layout"
    );
    assert_eq!(
        rig.torrent.status(rig.now).wasted,
        u64::from(2 * BLOCK_SIZE + 10)
    );
}

#[test]
fn requests_are_served_only_to_the_unchoked_and_only_for_what_is_here() {
    let mut rig = Rig::seed();
    let peer = rig.join(1, true).unwrap();
    rig.hear(peer, Message::HaveNone);
    let block = rig.layout.block(PieceIndex(2), 0);
    let granted: Vec<PieceIndex> = rig
        .said_to(peer)
        .into_iter()
        .filter_map(|message| {
            if let Message::AllowedFast(piece) = message {
                Some(piece)
            } else {
                None
            }
        })
        .collect();
    let choked = PieceIndex(
        (0..PIECES)
            .find(|p| !granted.contains(&PieceIndex(*p)))
            .unwrap_or(2),
    );
    if !granted.contains(&choked) {
        let block = rig.layout.block(choked, 0);
        rig.hear(peer, Message::Request(block));
        assert_eq!(rig.said_to(peer), [Message::Reject(block)]);
    }
    rig.hear(peer, Message::Interested);
    assert_eq!(rig.said_to(peer), [Message::Unchoke]);
    rig.hear(peer, Message::Request(block));
    assert!(
        rig.said()
            .iter()
            .any(|output| matches!(output, Output::Serve(_, served) if *served == block))
    );
    let outside = BlockRef::new(PieceIndex(PIECES), 0, BLOCK_SIZE);
    rig.hear(peer, Message::Request(outside));
    assert_eq!(rig.said_to(peer), [Message::Reject(outside)]);
}

#[test]
fn slots_are_bounded_and_everyone_interested_gets_a_turn() {
    let mut rig = Rig::with(Bitfield::full(PIECES), |config| config.upload_slots = 3);
    let peers: Vec<PeerKey> = (1..=8).map(|n| rig.join(n, true).unwrap()).collect();
    for &peer in &peers {
        rig.hear(peer, Message::HaveNone);
        rig.hear(peer, Message::Interested);
    }
    rig.wait(CHOKE_ROUND * 60);
    let said = rig.said();
    for peer in peers {
        let unchoked = |output: &&Output| matches!(output, Output::Send(key, Message::Unchoke) if *key == peer);
        assert!(
            said.iter().any(|output| unchoked(&output)),
            "{peer} never had a turn"
        );
    }
}

#[test]
fn odd_messages_are_never_fatal_and_lies_about_pieces_are() {
    let mut rig = Rig::leech();
    let peer = rig.join(1, true).unwrap();
    rig.hear(peer, Message::HaveNone);
    rig.hear(
        peer,
        Message::Unknown {
            id: 99,
            payload: Bytes::from_static(b"?"),
        },
    );
    rig.hear(peer, Message::Port(6881));
    rig.hear(peer, Message::Have(PieceIndex(u32::MAX)));
    rig.hear(peer, Message::Suggest(PieceIndex(u32::MAX)));
    rig.hear(peer, Message::AllowedFast(PieceIndex(u32::MAX)));
    rig.hear(peer, Message::Reject(BlockRef::new(PieceIndex(9), 3, 5)));
    rig.hear(
        peer,
        Message::Cancel(BlockRef::new(PieceIndex(u32::MAX), u32::MAX, u32::MAX)),
    );
    assert!(
        !rig.said()
            .iter()
            .any(|output| matches!(output, Output::Close(..)))
    );
    rig.hear(peer, Message::HaveAll);
    let said = rig.said();
    assert!(
        said.iter()
            .any(|output| matches!(output, Output::Close(_, CloseReason::Misbehaved(_))))
    );
}

#[test]
fn a_later_bitfield_adds_pieces_and_takes_none_back() {
    let mut rig = Rig::leech();
    let peer = rig.join(1, true).unwrap();
    rig.hear(peer, Message::HaveNone);
    rig.hear(peer, Message::Have(PieceIndex(3)));
    rig.hear(
        peer,
        Message::Bitfield(Bytes::from_static(&[0b1010_0000, 0])),
    );
    assert!(
        !rig.said()
            .iter()
            .any(|output| matches!(output, Output::Close(..)))
    );
    assert_eq!(rig.torrent.peer_statuses(rig.now)[0].pieces, 3);
}

#[test]
fn connections_to_ourselves_twins_and_crowds_are_refused() {
    let mut rig = Rig::with(Bitfield::new(PIECES), |config| config.max_peers = 2);
    assert_eq!(rig.join(50, true), Err(Refusal::Ourselves));
    rig.join(1, true).unwrap();
    assert_eq!(rig.join(1, true), Err(Refusal::Duplicate));
    rig.join(2, true).unwrap();
    assert_eq!(rig.join(3, true), Err(Refusal::Full));
}

#[test]
fn of_two_connections_opened_at_once_both_sides_keep_the_same_one() {
    for (ours, theirs) in [(10, 20), (20, 10)] {
        let open = |direction, me: u8, them: u8| {
            let mut rig = Rig::with(Bitfield::new(PIECES), |config| {
                config.peer_id = PeerId::from([me; 20])
            });
            let addr = SocketAddr::from(([10, 0, 0, 1], 6881));
            let info = |direction| PeerInfo {
                addr,
                id: PeerId::from([them; 20]),
                direction,
                fast: true,
            };
            let other = if direction == Direction::Outgoing {
                Direction::Incoming
            } else {
                Direction::Outgoing
            };
            rig.torrent
                .open(rig.now, info(other), &mut rig.said)
                .unwrap();
            rig.torrent
                .open(rig.now, info(direction), &mut rig.said)
                .is_ok()
        };
        // What is outgoing here is incoming there, and the second connection is the same one for both.
        assert_eq!(
            open(Direction::Outgoing, ours, theirs),
            open(Direction::Incoming, theirs, ours)
        );
        // It is the one that the greater id opened: libtorrent keeps that one too.
        assert_eq!(open(Direction::Outgoing, ours, theirs), ours > theirs);
    }
}

#[test]
fn a_paused_torrent_has_no_peers_and_dials_nobody_until_it_is_resumed() {
    let mut rig = Rig::leech();
    rig.willing_seed(1);
    rig.tell(Input::Command(Command::Pause));
    let addr = SocketAddr::from(([10, 0, 0, 9], 6881));
    rig.said();
    rig.tell(Input::Candidates(Source::User, vec![addr]));
    rig.wait(Duration::from_secs(100));
    assert!(
        !rig.said()
            .iter()
            .any(|output| matches!(output, Output::Dial(_)))
    );
    assert_eq!(rig.join(2, true), Err(Refusal::NotActive));
    assert_eq!(rig.torrent.status(rig.now).peers, 0);
    rig.tell(Input::Command(Command::Resume));
    let said = rig.said();
    assert_eq!(state_of(&said), [State::Downloading]);
    assert!(
        said.iter()
            .any(|output| matches!(output, Output::Dial(dialed) if *dialed == addr))
    );
}

#[test]
fn a_broken_disk_stops_the_torrent_once_and_says_why() {
    let mut rig = Rig::leech();
    rig.willing_seed(1);
    rig.said();
    rig.tell(trouble(TroubleKind::Broken, "cannot write x: no space"));
    rig.tell(trouble(TroubleKind::Broken, "cannot write y: no space"));
    let said = rig.said();
    assert_eq!(state_of(&said), [State::Failed]);
    assert_eq!(
        rig.torrent.status(rig.now).reason,
        "cannot write x: no space"
    );
    assert_eq!(rig.torrent.poll_timeout(), None, "it waits for nothing");
}

#[test]
fn what_was_under_way_when_it_paused_is_asked_for_again() {
    let mut rig = Rig::leech();
    let peer = rig.willing_seed(1);
    let block = rig.requests_to(peer)[0];
    assert!(rig.block(peer, block));
    rig.tell(Input::Command(Command::Pause));
    rig.tell(Input::Command(Command::Resume));
    let peer = rig.willing_seed(2);
    let said = rig.download_from(peer);
    assert_eq!(completions(&said), 1);
}

#[test]
fn a_download_whose_last_piece_verifies_during_a_pause_completes_on_resume() {
    let mut have = Bitfield::full(PIECES);
    have.clear(PieceIndex(4));
    let mut rig = Rig::with(have, |_| {});
    let peer = rig.willing_seed(1);
    rig.send_piece(peer, PieceIndex(4));
    rig.tell(Input::Command(Command::Pause));
    rig.tell(Input::PieceChecked(
        PieceIndex(4),
        PieceVerdict::Good {
            digests: Vec::new(),
        },
    ));
    assert_eq!(completions(&rig.said()), 0);
    rig.tell(Input::Command(Command::Resume));
    let said = rig.said();
    assert_eq!(
        (completions(&said), state_of(&said)),
        (1, vec![State::Seeding])
    );
}

#[test]
fn candidates_that_are_due_do_not_spin_while_there_is_no_room() {
    let mut rig = Rig::with(Bitfield::new(PIECES), |config| config.max_peers = 1);
    rig.join(1, true).unwrap();
    let addrs = (2..9)
        .map(|n| SocketAddr::from(([10, 0, 0, n], 6881)))
        .collect();
    rig.tell(Input::Candidates(Source::Tracker, addrs));
    rig.wait(Duration::from_secs(30));
    let due = rig.torrent.poll_timeout();
    assert!(
        due.is_none_or(|due| due > rig.now),
        "it would be woken at once, for ever"
    );
}

#[test]
fn an_idle_torrent_asks_for_no_wake_up() {
    let rig = Rig::seed();
    assert_eq!(rig.torrent.poll_timeout(), None);
}
