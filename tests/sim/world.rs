//! The world of a simulated swarm: a queue of events in virtual time, the network between nodes, a tracker.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bt_client::engine::{
    Command, Config, Direction, Input, Output, Outputs, PeerInfo, PeerKey, PieceVerdict, Torrent,
};
use bt_metainfo::{BlockRef, InfoHash, Layout, PieceIndex};
use bt_tracker::schedule::Announce;
use bt_tracker::{AnnounceResponse, Event as Announced, Peer};
use bt_wire::{Bitfield, Message, PeerId};

use super::link::{Line, Uplink};
use super::node::{Conduct, Node, Remote};

const HASH_TIME: Duration = Duration::from_millis(3);
const TRACKER_TIME: Duration = Duration::from_millis(5);

/// What happens next.
#[derive(Debug)]
enum Happening {
    Wake(usize),
    Connect {
        from: usize,
        addr: SocketAddr,
    },
    Arrive {
        to: usize,
        key: PeerKey,
        message: Message,
    },
    BlockArrives {
        to: usize,
        key: PeerKey,
        block: BlockRef,
        good: bool,
    },
    BlockLeft {
        from: usize,
        key: PeerKey,
        block: BlockRef,
    },
    Closed {
        node: usize,
        key: PeerKey,
    },
    Hashed {
        node: usize,
        piece: PieceIndex,
    },
    Reply {
        node: usize,
        announce: Announce,
        numwant: u32,
    },
    Join(usize),
    Leave(usize),
}

struct Timed {
    at: Duration,
    order: u64,
    what: Happening,
}

impl PartialEq for Timed {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}
impl Eq for Timed {}
impl PartialOrd for Timed {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Timed {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

/// See the module.
pub(crate) struct World {
    pub(crate) layout: Arc<Layout>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) now: Duration,
    /// Every engine is audited after each event that touches it; off for very large swarms.
    pub(crate) audit: bool,
    start: Instant,
    queue: BinaryHeap<Reverse<Timed>>,
    order: u64,
    by_addr: BTreeMap<SocketAddr, usize>,
    swarm: BTreeSet<SocketAddr>,
    seed: u64,
    pub(crate) steps: u64,
    milestone: bool,
    /// Nodes that have yet to join.
    joining: usize,
}

impl World {
    pub(crate) fn new(seed: u64, pieces: u32, piece_length: u32) -> Self {
        let total = u64::from(pieces) * u64::from(piece_length) - 5_000;
        Self {
            layout: Arc::new(Layout::new(piece_length, [(total, false)]).expect("a layout")),
            nodes: Vec::new(),
            now: Duration::ZERO,
            audit: true,
            start: Instant::now(),
            queue: BinaryHeap::new(),
            order: 0,
            by_addr: BTreeMap::new(),
            swarm: BTreeSet::new(),
            seed,
            steps: 0,
            milestone: true,
            joining: 0,
        }
    }

    /// Adds a node that joins at `at`, with the pieces of `have`.
    pub(crate) fn add(
        &mut self,
        at: Duration,
        line: Line,
        conduct: Conduct,
        have: Bitfield,
        tune: impl FnOnce(&mut Config),
    ) -> usize {
        let number = self.nodes.len();
        let ip = 0x0a00_0001 + u32::try_from(number).expect("fewer nodes than addresses");
        let addr = SocketAddr::from((ip.to_be_bytes(), 6881));
        let seed = self
            .seed
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .wrapping_add(number as u64);
        let peer_id = PeerId::generate("-SM0001-", seed);
        let mut config = Config::new(InfoHash::from([7; 20]), peer_id, seed);
        config.trackers = vec![vec!["http://tracker.sim/announce".to_owned()]];
        tune(&mut config);
        let wanted = Bitfield::full(self.layout.piece_count());
        let mut engine = Torrent::new(self.start, config, Arc::clone(&self.layout), wanted);
        let mut out = Outputs::new();
        engine.handle(self.start, Input::Command(Command::Pause), &mut out);
        engine.handle(self.start, Input::Checked(have), &mut out);
        self.nodes.push(Node {
            addr,
            engine,
            line,
            conduct,
            online: false,
            uplink: Uplink::default(),
            down_free: Duration::ZERO,
            remotes: BTreeMap::new(),
            under_way: BTreeMap::new(),
            wake: None,
            uploaded: 0,
            completed: None,
            completions: 0,
            banned: Vec::new(),
            announced: Vec::new(),
        });
        self.by_addr.insert(addr, number);
        self.joining += 1;
        self.at(at, Happening::Join(number));
        number
    }

    pub(crate) fn leave(&mut self, at: Duration, node: usize) {
        self.at(at, Happening::Leave(node));
    }

    /// Runs until `done`, or until `limit` of virtual time. True if done.
    pub(crate) fn run(&mut self, limit: Duration, done: impl Fn(&Self) -> bool) -> bool {
        while !(std::mem::take(&mut self.milestone) && done(self)) {
            let Some(Reverse(timed)) = self.queue.pop() else {
                return done(self);
            };
            if timed.at > limit {
                self.queue.push(Reverse(timed));
                return false;
            }
            self.now = timed.at;
            self.steps += 1;
            // Only these can change whether a swarm is done; asking after every event would cost more than the event.
            self.milestone = matches!(
                timed.what,
                Happening::Hashed { .. } | Happening::Join(_) | Happening::Leave(_)
            );
            self.joining -= usize::from(matches!(timed.what, Happening::Join(_)));
            self.happen(timed.what);
        }
        true
    }

    /// Whether every honest node that is online has everything.
    pub(crate) fn all_complete(&self) -> bool {
        self.nodes.iter().all(|node| {
            node.conduct != Conduct::Honest || !node.online || node.engine.has_everything()
        }) && self.nodes.iter().any(|node| node.online)
            && self.joining == 0
    }

    fn happen(&mut self, what: Happening) {
        match what {
            Happening::Wake(node) => {
                if self.nodes[node].wake.is_some_and(|at| at <= self.instant()) {
                    self.nodes[node].wake = None;
                    self.tell(node, Input::Timeout);
                }
            }
            Happening::Join(node) => {
                self.nodes[node].online = true;
                self.tell(node, Input::Command(Command::Resume));
            }
            Happening::Leave(node) => {
                self.tell(node, Input::Command(Command::Stop));
                self.nodes[node].online = false;
            }
            Happening::Connect { from, addr } => self.connect(from, addr),
            Happening::Arrive { to, key, message } => self.arrive(to, key, message),
            Happening::BlockArrives {
                to,
                key,
                block,
                good,
            } => self.block_arrives(to, key, block, good),
            Happening::BlockLeft { from, key, block } => self.block_left(from, key, block),
            Happening::Closed { node, key } => {
                if self.nodes[node].remotes.remove(&key).is_some() {
                    self.nodes[node].uplink.drain(key);
                    self.tell(node, Input::PeerClosed(key));
                }
            }
            Happening::Hashed { node, piece } => {
                let (good, digests) = self.nodes[node].hash(piece);
                let verdict = if good {
                    PieceVerdict::Good { digests }
                } else {
                    PieceVerdict::Bad { digests }
                };
                self.tell(node, Input::PieceChecked(piece, verdict));
            }
            Happening::Reply {
                node,
                announce,
                numwant,
            } => self.reply(node, &announce, numwant),
        }
    }

    fn tell(&mut self, node: usize, input: Input) {
        let now = self.instant();
        let mut out = Outputs::new();
        self.nodes[node].engine.handle(now, input, &mut out);
        self.perform(node, out);
    }

    fn perform(&mut self, node: usize, out: Outputs) {
        for output in out {
            match output {
                Output::Send(key, message) => self.send(node, key, message),
                Output::Serve(key, block) => {
                    let serves = self.nodes[node].conduct != Conduct::Snubber;
                    if serves {
                        self.nodes[node].uplink.push(key, block);
                        self.pump(node);
                    }
                }
                Output::Close(key, _) => {
                    if let Some(remote) = self.nodes[node].remotes.remove(&key) {
                        self.nodes[node].uplink.drain(key);
                        let at = self.now + self.distance(node, remote.node);
                        self.at(
                            at,
                            Happening::Closed {
                                node: remote.node,
                                key: remote.key,
                            },
                        );
                    }
                }
                Output::Dial(addr) => {
                    let at = self.now + self.nodes[node].line.latency * 4;
                    self.at(at, Happening::Connect { from: node, addr });
                }
                Output::Announce { announce, numwant } => {
                    self.nodes[node].announced.push(announce.event);
                    self.at(
                        self.now + TRACKER_TIME,
                        Happening::Reply {
                            node,
                            announce,
                            numwant,
                        },
                    );
                }
                Output::Notice(notice) => {
                    let now = self.now;
                    self.nodes[node].notice(now, &notice);
                    if notice == Notice::Completed {
                        self.tell(node, Input::CompletionIsSafe);
                    }
                }
                _ => {}
            }
        }
        self.rearm(node);
        if self.audit
            && let Err(error) = self.nodes[node].engine.audit()
        {
            panic!(
                "seed {}, step {}, node {node}: {error}",
                self.seed, self.steps
            );
        }
    }

    fn rearm(&mut self, node: usize) {
        let Some(at) = self.nodes[node].engine.poll_timeout() else {
            return;
        };
        let at = at.max(self.instant());
        if self.nodes[node].wake.is_none_or(|wake| at < wake) {
            self.nodes[node].wake = Some(at);
            self.at(at.duration_since(self.start), Happening::Wake(node));
        }
    }

    /// The wire part of sending: a choke empties the queue to the peer, a cancel takes one block off it.
    fn send(&mut self, node: usize, key: PeerKey, message: Message) {
        if message == Message::Choke {
            self.forward(node, key, message);
            for block in self.nodes[node].uplink.drain(key) {
                self.forward(node, key, Message::Reject(block));
            }
            return;
        }
        self.forward(node, key, message);
    }

    fn forward(&mut self, node: usize, key: PeerKey, message: Message) {
        if let Some(remote) = self.nodes[node].remotes.get(&key).copied() {
            let at = self.now + self.distance(node, remote.node);
            self.at(
                at,
                Happening::Arrive {
                    to: remote.node,
                    key: remote.key,
                    message,
                },
            );
        }
    }

    fn arrive(&mut self, to: usize, key: PeerKey, message: Message) {
        if !self.nodes[to].remotes.contains_key(&key) {
            return;
        }
        if let Message::Cancel(block) = message
            && self.nodes[to].uplink.remove(key, block)
        {
            return self.forward(to, key, Message::Reject(block));
        }
        let now = self.instant();
        let mut out = Outputs::new();
        let engine = &mut self.nodes[to].engine;
        engine.handle(now, Input::Message(key, message), &mut out);
        engine.handle(now, Input::Flush(key), &mut out);
        self.perform(to, out);
    }

    /// Starts the next block on an idle uplink.
    fn pump(&mut self, node: usize) {
        if self.nodes[node].uplink.busy {
            return;
        }
        let Some((key, block)) = self.nodes[node].uplink.next() else {
            return;
        };
        self.nodes[node].uplink.busy = true;
        let time = Duration::from_secs_f64(f64::from(block.length) / self.nodes[node].line.up);
        self.at(
            self.now + time,
            Happening::BlockLeft {
                from: node,
                key,
                block,
            },
        );
    }

    fn block_left(&mut self, from: usize, key: PeerKey, block: BlockRef) {
        self.nodes[from].uplink.busy = false;
        self.nodes[from].uploaded += u64::from(block.length);
        if let Some(remote) = self.nodes[from].remotes.get(&key).copied() {
            let time = Duration::from_secs_f64(
                f64::from(block.length) / self.nodes[remote.node].line.down,
            );
            let reaches = self.now + self.distance(from, remote.node);
            let free = reaches.max(self.nodes[remote.node].down_free + time);
            self.nodes[remote.node].down_free = free;
            let good = self.nodes[from].conduct != Conduct::Poisoner;
            self.at(
                free,
                Happening::BlockArrives {
                    to: remote.node,
                    key: remote.key,
                    block,
                    good,
                },
            );
            self.tell(from, Input::Uploaded(key, u64::from(block.length)));
        }
        self.pump(from);
    }

    fn block_arrives(&mut self, to: usize, key: PeerKey, block: BlockRef, good: bool) {
        if !self.nodes[to].remotes.contains_key(&key) {
            return;
        }
        let now = self.instant();
        let mut out = Outputs::new();
        let layout = Arc::clone(&self.layout);
        let node = &mut self.nodes[to];
        let keep = node.engine.block(now, key, block, &mut out);
        let whole = keep && node.store(&layout, block, good);
        node.engine.handle(now, Input::Flush(key), &mut out);
        if whole {
            self.at(
                self.now + HASH_TIME,
                Happening::Hashed {
                    node: to,
                    piece: block.piece,
                },
            );
        }
        self.perform(to, out);
    }

    fn connect(&mut self, from: usize, addr: SocketAddr) {
        let to = self
            .by_addr
            .get(&addr)
            .copied()
            .filter(|to| self.nodes[*to].online && *to != from);
        let (Some(to), true) = (to, self.nodes[from].online) else {
            return self.tell(from, Input::DialFailed(addr));
        };
        let now = self.instant();
        let mut theirs = Outputs::new();
        let info = |node: &Node, direction| PeerInfo {
            addr: node.addr,
            id: node.engine.peer_id(),
            direction,
            fast: true,
        };
        let caller = info(&self.nodes[from], Direction::Incoming);
        let Ok(their_key) = self.nodes[to].engine.open(now, caller, &mut theirs) else {
            return self.tell(from, Input::DialFailed(addr));
        };
        let mut ours = Outputs::new();
        let called = info(&self.nodes[to], Direction::Outgoing);
        let opened = self.nodes[from].engine.open(now, called, &mut ours);
        if let Ok(our_key) = opened {
            self.nodes[from].remotes.insert(
                our_key,
                Remote {
                    node: to,
                    key: their_key,
                },
            );
            self.nodes[to].remotes.insert(
                their_key,
                Remote {
                    node: from,
                    key: our_key,
                },
            );
        } else {
            self.nodes[to]
                .engine
                .handle(now, Input::PeerClosed(their_key), &mut theirs);
        }
        self.perform(from, ours);
        self.perform(to, theirs);
    }

    fn reply(&mut self, node: usize, announce: &Announce, numwant: u32) {
        let me = self.nodes[node].addr;
        if announce.event == Announced::Stopped {
            self.swarm.remove(&me);
        } else {
            self.swarm.insert(me);
        }
        let mut response = AnnounceResponse::new(Duration::from_secs(60));
        // A window of the swarm that differs from node to node and from time to time.
        let others: Vec<SocketAddr> = self
            .swarm
            .iter()
            .copied()
            .filter(|addr| *addr != me)
            .collect();
        let count = (numwant as usize).min(others.len());
        self.seed = self
            .seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let mut picked = BTreeSet::new();
        let mut state = self.seed;
        while picked.len() < count {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            picked.insert((state >> 33) as usize % others.len());
        }
        response.peers = picked
            .into_iter()
            .map(|at| Peer {
                addr: others[at],
                id: None,
            })
            .collect();
        self.tell(node, Input::Announced(announce.url.clone(), Ok(response)));
    }

    fn distance(&self, a: usize, b: usize) -> Duration {
        self.nodes[a].line.latency + self.nodes[b].line.latency
    }

    fn instant(&self) -> Instant {
        self.start + self.now
    }

    fn at(&mut self, at: Duration, what: Happening) {
        self.order += 1;
        self.queue.push(Reverse(Timed {
            at,
            order: self.order,
            what,
        }));
    }

    /// States of all nodes, for messages of failing tests.
    pub(crate) fn picture(&self) -> String {
        let line = |node: &Node| {
            let status = node.engine.status(self.instant());
            format!(
                "{} {} {}/{} peers {} {}",
                node.addr,
                status.state,
                status.pieces_have,
                status.pieces_total,
                status.peers,
                status.reason
            )
        };
        self.nodes.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}
