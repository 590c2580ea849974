//! One torrent, driven by operations that the bytes stand for.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bt_metainfo::{BLOCK_SIZE, BlockRef, InfoHash, Layout, PieceIndex};
use bt_tracker::schedule::Problem;
use bt_tracker::{AnnounceResponse, Peer};
use bt_wire::{Bitfield, Message, PeerId, ext};
use bytes::Bytes;

use crate::engine::{
    BlockDigest, Command, Config, Direction, Input, Output, Outputs, PeerInfo, PeerKey,
    PieceVerdict, Priority, Source, Torrent, Trouble, TroubleKind,
};

const PIECES: u32 = 6;
const BLOCKS: u32 = 3;
const TRACKER: &str = "http://t.example/announce";

/// Drives one torrent by operations: each two bytes are one thing that happens. Its books are audited after each.
///
/// # Panics
/// If the books disagree, or an output names a peer that is not there.
pub fn engine(data: &[u8]) {
    let mut bytes = data.iter().copied();
    let seed = u64::from(bytes.next().unwrap_or(0));
    let mut driven = Driven::new(seed);
    while let (Some(what), Some(how)) = (bytes.next(), bytes.next()) {
        driven.step(what, how);
        if let Err(disagreement) = driven.torrent.audit() {
            panic!("{disagreement}");
        }
    }
}

struct Driven {
    torrent: Torrent,
    layout: Arc<Layout>,
    now: Instant,
    /// Those that were let in and are not gone.
    peers: BTreeSet<PeerKey>,
    out: Outputs,
}

impl Driven {
    fn new(seed: u64) -> Self {
        let length = u64::from(PIECES * BLOCKS * BLOCK_SIZE) - 1000;
        let layout =
            Arc::new(Layout::new(BLOCKS * BLOCK_SIZE, [(length, false)]).expect("a sound layout"));
        let mut config = Config::new(InfoHash::from([1; 20]), PeerId::from([0; 20]), seed);
        config.upload_slots = 2;
        config.max_peers = 5;
        config.sequential = seed.is_multiple_of(3);
        config.spread = seed.is_multiple_of(2);
        config.trackers = vec![vec![TRACKER.to_owned()]];
        let now = Instant::now();
        let mut torrent = Torrent::new(now, config, Arc::clone(&layout), Bitfield::full(PIECES));
        let mut out = Outputs::new();
        let have = if seed.is_multiple_of(5) {
            Bitfield::full(PIECES)
        } else {
            Bitfield::new(PIECES)
        };
        torrent.handle(now, Input::Checked(have), &mut out);
        Self {
            torrent,
            layout,
            now,
            peers: BTreeSet::new(),
            out,
        }
    }

    fn step(&mut self, what: u8, how: u8) {
        let piece = PieceIndex(u32::from(how) % (PIECES + 1));
        let number = u32::from(how / 8) % BLOCKS;
        let block = if piece.0 < PIECES {
            self.layout.block(piece, number)
        } else {
            BlockRef::new(piece, u32::from(how), BLOCK_SIZE)
        };
        let peer = PeerKey(u32::from(what >> 5));
        match what & 31 {
            0 => self.join(how),
            1 => self.handle(Input::PeerClosed(peer)),
            2 => self.hear(peer, Message::Choke),
            3 => self.hear(peer, Message::Unchoke),
            4 => self.hear(peer, Message::Interested),
            5 => self.hear(peer, Message::NotInterested),
            6 => self.hear(peer, Message::Have(piece)),
            7 => self.hear(peer, Message::HaveAll),
            8 => self.hear(peer, Message::HaveNone),
            9 => self.hear(
                peer,
                Message::Bitfield(Bytes::copy_from_slice(&[how & 0xfc])),
            ),
            10 => self.hear(peer, Message::Request(block)),
            11 => self.hear(peer, Message::Cancel(block)),
            12 => self.hear(peer, Message::Reject(block)),
            13 if how & 128 != 0 => self.extension(peer, how),
            13 => self.hear(peer, Message::Suggest(piece)),
            14 => self.hear(peer, Message::AllowedFast(piece)),
            15..=19 => {
                self.torrent.block(self.now, peer, block, &mut self.out);
                self.handle(Input::Flush(peer));
            }
            20 => {
                let digests = digests(how);
                let good = PieceVerdict::Good { digests };
                self.handle(Input::PieceChecked(piece_of(piece), good));
            }
            21 => self.handle(Input::PieceChecked(
                piece_of(piece),
                PieceVerdict::Bad {
                    digests: digests(how),
                },
            )),
            22 => self.handle(Input::Candidates(Source::Tracker, vec![address(how)])),
            23 if how & 128 != 0 => self.handle(Input::DialedOurselves(address(how))),
            23 => self.handle(Input::DialFailed(address(how))),
            24 => self.handle(Input::Command(Command::Pause)),
            25 => self.handle(Input::Command(Command::Resume)),
            26 => self.trouble(how),
            27 => self.handle(Input::PeerQueues(peer, u32::from(how))),
            28 if how & 128 != 0 => self.bounds(how),
            28 => self.handle(Input::Uploaded(peer, u64::from(how))),
            29 => self.session(peer, how),
            30 => self.announced(how),
            _ => self.wait(how),
        }
    }

    /// The peer speaks of what it no longer has, or of what it is there for.
    fn extension(&mut self, peer: PeerKey, how: u8) {
        let message = match how & 8 {
            0 => ext::Message::DontHave(ext::DontHave(PieceIndex(u32::from(how & 7)))),
            _ => ext::Message::UploadOnly(ext::UploadOnly(how & 1 == 0)),
        };
        self.handle(Input::Extension(peer, message));
        self.handle(Input::Flush(peer));
    }

    /// What other torrents and the disk leave for this one.
    fn bounds(&mut self, how: u8) {
        if how & 64 == 0 {
            self.handle(Input::HeldUp);
            return self.handle(Input::Timeout);
        }
        let rates = [None, Some(0), Some(20_000), Some(u64::MAX)];
        self.handle(Input::Limits {
            upload_slots: usize::from(how & 3),
            down_rate: rates[usize::from(how >> 2 & 3)],
        });
    }

    /// What the session and the owner say.
    fn session(&mut self, peer: PeerKey, how: u8) {
        let number = how >> 3;
        self.handle(match how & 7 {
            0 => Input::DialPutOff(address(number)),
            1 => Input::Crowded,
            2 => Input::PeerListens(peer, u16::from(number)),
            3 => Input::CompletionIsSafe,
            4 => Input::Command(Command::Reannounce),
            // It is the end of the torrent, and so of what the rest of the bytes can find.
            5 if number == 0 => Input::Command(Command::Stop),
            5 => Input::Candidates(Source::User, vec![address(number)]),
            6 => Input::Command(Command::Recheck),
            _ if !self.torrent.is_checked() => Input::Checked(Bitfield::full(PIECES)),
            _ => Input::Timeout,
        });
    }

    /// The tracker answers, whether or not it was asked.
    fn announced(&mut self, how: u8) {
        let answer = match how & 3 {
            // One of these is the answer to whatever was asked: that it was not asked.
            0 if how >> 2 & 3 == 1 => return self.handle(Input::Withdrawn(TRACKER.to_owned())),
            0 => Err(Problem::new("connection refused")),
            _ => {
                let interval = Duration::from_secs(u64::from(how) * 60);
                let mut response = AnnounceResponse::new(interval);
                let peer = |number| Peer {
                    addr: address(number),
                    id: None,
                };
                response.peers = vec![peer(how >> 2), peer(how >> 5)];
                Ok(response)
            }
        };
        self.handle(Input::Announced(TRACKER.to_owned(), answer));
    }

    /// The disk is full, broken or has lost something, or the owner has other wishes.
    fn trouble(&mut self, how: u8) {
        let trouble = |kind| Trouble {
            kind,
            message: "it does not work".to_owned(),
            hint: String::new(),
        };
        let piece = piece_of(PieceIndex(u32::from(how >> 3)));
        let classes = [
            Priority::Skip,
            Priority::Low,
            Priority::Normal,
            Priority::High,
        ];
        self.handle(match how & 7 {
            0 => Input::StorageFailed(trouble(TroubleKind::Broken)),
            1 | 2 => Input::StorageFailed(trouble(TroubleKind::Full)),
            3 => Input::Room(u64::from(how) << 20),
            4 => Input::Lost(vec![piece]),
            5 => Input::Command(Command::Recheck),
            6 if !self.torrent.is_checked() => Input::Checked(Bitfield::new(PIECES)),
            6 => Input::Timeout,
            _ => Input::Prioritize(
                (0..PIECES as usize)
                    .map(|piece| classes[(usize::from(how >> 3) + piece) % 4])
                    .collect(),
            ),
        });
    }

    fn join(&mut self, how: u8) {
        let direction = if how & 1 == 0 {
            Direction::Incoming
        } else {
            Direction::Outgoing
        };
        let info = PeerInfo {
            addr: address(how),
            id: PeerId::from([how; 20]),
            direction,
            fast: how & 2 == 0,
        };
        if let Ok(key) = self.torrent.open(self.now, info, &mut self.out) {
            self.peers.insert(key);
        }
    }

    fn hear(&mut self, peer: PeerKey, message: Message) {
        self.handle(Input::Message(peer, message));
        self.handle(Input::Flush(peer));
    }

    fn handle(&mut self, input: Input) {
        if let Input::PeerClosed(peer) = input {
            // What was said to it before it went may still wait.
            self.obey();
            self.peers.remove(&peer);
        }
        self.torrent.handle(self.now, input, &mut self.out);
        self.obey();
    }

    /// Looks at the orders that wait.
    fn obey(&mut self) {
        for output in self.out.drain(..) {
            if let Output::Send(peer, _) | Output::Serve(peer, _) | Output::Close(peer, _) = output
            {
                assert!(
                    self.peers.contains(&peer),
                    "an order for {peer}, which is not there"
                );
            }
            if let Output::Close(peer, _) = output {
                self.peers.remove(&peer);
            }
        }
    }

    fn wait(&mut self, how: u8) {
        self.now += Duration::from_millis(u64::from(how) * 100);
        self.handle(Input::Timeout);
    }
}

fn piece_of(piece: PieceIndex) -> PieceIndex {
    PieceIndex(piece.0 % PIECES)
}

/// Of the blocks of a piece, if somebody asked for them; some of an attempt are those of another one.
fn digests(how: u8) -> Vec<BlockDigest> {
    let digest = |block: u32| [how >> 6 & u8::from(block == 0); 20];
    match how & 32 {
        0 => Vec::new(),
        _ => (0..BLOCKS).map(digest).collect(),
    }
}

fn address(how: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, how % 8], 6881))
}

#[cfg(test)]
mod tests {
    use crate::engine::parts::Rng;

    #[test]
    fn the_corpus_holds() {
        crate::fuzz::replay("client_engine", 3, super::engine);
    }

    #[test]
    fn random_operations_leave_the_books_in_order() {
        let mut rng = Rng::new(11);
        for _ in 0..3000 {
            let length = rng.below(400);
            let data: Vec<u8> = (0..length)
                .map(|_| u8::try_from(rng.below(256)).unwrap())
                .collect();
            super::engine(&data);
        }
    }
}
