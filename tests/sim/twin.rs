//! The modelled end of a connection (`wire.rs`, `link.rs`) against the real one: the same messages in, the same answers
//! out.
//!
//! Requests that name no block are left out: nodes send none. It must not know engines or worlds.

use std::time::Instant;

use bt_client::engine::PeerKey;
use bt_metainfo::{BlockRef, InfoHash, PieceIndex};
use bt_wire::{Bitfield, Config, Connection, Event, Message, PeerId, Reserved, Transmit};
use bytes::BytesMut;
use proptest::prelude::*;

use super::link::Uplink;
use super::wire::End;

const PIECES: u32 = 3;
const BLOCK: u32 = 16 * 1024;

/// The peer's name at its end of the line.
const PEER: PeerKey = PeerKey(1);

/// What the peer says about one of the six blocks.
#[derive(Debug, Clone, Copy)]
enum Said {
    Request(u32),
    Cancel(u32),
}

/// What happens at our end.
#[derive(Debug, Clone)]
enum Step {
    /// The peer says this in one breath, and is answered afterwards: served with those of the blocks, and refused those.
    Breath(Vec<Said>, Vec<u32>, Vec<u32>),
    Choke,
    Unchoke,
    Allow(u32),
    /// The line takes one more block.
    Send,
}

fn step() -> impl Strategy<Value = Step> {
    let number = 0..PIECES * 2;
    let said = prop_oneof![
        3 => number.clone().prop_map(Said::Request),
        1 => number.clone().prop_map(Said::Cancel),
    ];
    let breath = (
        prop::collection::vec(said, 0..6),
        prop::collection::vec(number.clone(), 0..6),
        prop::collection::vec(number, 0..2),
    );
    prop_oneof![
        6 => breath.prop_map(|(said, served, refused)| Step::Breath(said, served, refused)),
        1 => Just(Step::Choke),
        2 => Just(Step::Unchoke),
        1 => (0..PIECES).prop_map(Step::Allow),
        2 => Just(Step::Send),
    ]
}

fn block(number: u32) -> BlockRef {
    BlockRef::new(PieceIndex(number / 2), number % 2 * BLOCK, BLOCK)
}

/// A real connection with a real peer, and the model of its end.
struct Twins {
    now: Instant,
    ours: Connection,
    peer: Connection,
    /// Bytes that arrived and are not consumed: at our end, and at the peer's.
    arrived: [BytesMut; 2],
    model: End,
    line: Uplink,
    /// What the model says to the peer.
    said: Vec<Message>,
}

impl Twins {
    fn new(fast: bool, queue: usize) -> Self {
        let now = Instant::now();
        let end = |name: &str| {
            let id = PeerId::generate(name, 1);
            let mut config = Config::new(InfoHash::from([7; 20]), id, Some(PIECES));
            config.reserved = if fast {
                Reserved::NONE.with_fast()
            } else {
                Reserved::NONE
            };
            config.max_requests = queue;
            Connection::outgoing(config, now)
        };
        let queues = [queue as u32, 250];
        let mut twins = Self {
            now,
            ours: end("-SM0001-"),
            peer: end("-SM0002-"),
            arrived: [BytesMut::new(), BytesMut::new()],
            model: End::new((1, PEER), 0, fast, queues, PIECES),
            line: Uplink::default(),
            said: Vec::new(),
        };
        twins.hear();
        twins.peer_hears();
        assert!(twins.ours.is_open() && twins.peer.is_open());
        twins.ours.announce_pieces(&Bitfield::full(PIECES));
        twins.peer_hears();
        twins
    }

    /// What the peer has said reaches our end. Gives the requests that our connection hands on.
    fn hear(&mut self) -> Vec<BlockRef> {
        let [arrived, _] = &mut self.arrived;
        while let Some(bytes) = self.peer.poll_messages() {
            arrived.extend_from_slice(&bytes);
        }
        self.ours.received(self.now, arrived).unwrap();
        let events = std::iter::from_fn(|| self.ours.poll_event());
        let requests = events.filter_map(|event| match event {
            Event::Message(Message::Request(block)) => Some(block),
            _ => None,
        });
        requests.collect()
    }

    /// What our connection has said reaches the peer; blocks do not.
    fn peer_hears(&mut self) -> Vec<Message> {
        let [_, arrived] = &mut self.arrived;
        while let Some(bytes) = self.ours.poll_messages() {
            arrived.extend_from_slice(&bytes);
        }
        self.peer.received(self.now, arrived).unwrap();
        let events = std::iter::from_fn(|| self.peer.poll_event());
        let messages = events.filter_map(|event| match event {
            Event::Message(message) => Some(message),
            _ => None,
        });
        messages.collect()
    }

    fn refuse(&mut self, block: BlockRef) {
        self.said.extend(self.model.refusal(block));
    }

    /// The model hears what the peer says. Gives the requests that it hands on.
    fn model_hears(&mut self, said: &[Said]) -> Vec<BlockRef> {
        let mut requests = Vec::new();
        for said in said {
            match *said {
                Said::Request(number) if self.model.accept(block(number)) => {
                    requests.push(block(number));
                }
                Said::Request(number) => self.refuse(block(number)),
                Said::Cancel(number) => {
                    let block = block(number);
                    let is_queued = !self.model.is_undecided(block);
                    if self.model.take_back(block) {
                        self.refuse(block);
                        assert_eq!(is_queued && self.line.remove(PEER, block), is_queued);
                    }
                }
            }
        }
        requests
    }

    fn breath(&mut self, said: &[Said], served: &[u32], refused: &[u32]) {
        for said in said {
            self.peer.send(match *said {
                Said::Request(number) => Message::Request(block(number)),
                Said::Cancel(number) => Message::Cancel(block(number)),
            });
        }
        assert_eq!(self.hear(), self.model_hears(said));
        for block in refused.iter().map(|number| block(*number)) {
            // An engine decides on each request once, and this is then over.
            if self.model.is_undecided(block) {
                assert!(self.model.over(block));
                assert!(self.ours.reject(block));
                self.refuse(block);
            }
        }
        for block in served.iter().map(|number| block(*number)) {
            // What the model calls wrong no engine does.
            if let Ok(waits) = self.model.serve(block) {
                assert_eq!(self.ours.send_block(block), waits);
                if waits {
                    self.line.push(PEER, block);
                }
            }
        }
        self.model.end_of_breath();
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Breath(said, served, refused) => self.breath(said, served, refused),
            Step::Choke if self.model.choking => {}
            Step::Choke => {
                self.said.push(Message::Choke);
                let over = self.model.choke();
                assert_eq!(self.ours.choke(), over);
                for block in over {
                    self.line.remove(PEER, block);
                    self.refuse(block);
                }
            }
            Step::Unchoke if !self.model.choking => {}
            Step::Unchoke => {
                self.model.choking = false;
                self.said.push(Message::Unchoke);
                assert!(self.ours.send(Message::Unchoke));
            }
            Step::Allow(piece) => {
                // An engine allows a piece once, and only peers that know what that is.
                if self.ours.send(Message::AllowedFast(PieceIndex(*piece))) {
                    self.model.grant(PieceIndex(*piece));
                    self.said.push(Message::AllowedFast(PieceIndex(*piece)));
                }
            }
            Step::Send => {
                assert_eq!(self.peer_hears(), std::mem::take(&mut self.said));
                let leaves = self.line.next().map(|(_, block)| block);
                assert!(leaves.is_none_or(|block| self.model.leaves(block)));
                let sent = self.ours.poll_transmit().map(|transmit| match transmit {
                    Transmit::Block { block, .. } => block,
                    Transmit::Control(bytes) => panic!("{bytes:?} were not heard before"),
                });
                assert_eq!(sent, leaves);
            }
        }
        assert_eq!(self.peer_hears(), std::mem::take(&mut self.said));
        assert_eq!(self.ours.is_choking(), self.model.choking);
        assert_eq!(self.ours.waiting_requests(), self.model.waiting_requests());
    }
}

proptest! {
    #[test]
    fn the_model_of_a_connection_answers_as_the_connection_does(
        fast: bool,
        queue in 1..8_usize,
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut twins = Twins::new(fast, queue);
        for step in &steps {
            twins.step(step);
        }
    }
}
