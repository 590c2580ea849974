//! The world of a simulated swarm: virtual time, what happens in which order, and how outputs of engines become events.
//!
//! One seed and one plan give one run. What travels between nodes is in `traffic.rs`, what goes wrong in `faults.rs`,
//! what must hold after each step in `check.rs`.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bt_client::engine::{
    CloseReason, Config, Input, Notice, Output, Outputs, PeerKey, State, TokenBucket, Torrent,
};
use bt_metainfo::{BlockRef, InfoHash, Layout, PieceIndex};
use bt_wire::{Bitfield, Message, PeerId};

use super::announce::Asked;
use super::dice::Dice;
use super::disk::{Disk, DiskMood, Truth};
use super::heap::Owner;
use super::link::Uplink;
use super::node::{Log, Node};
use super::plan::{Conduct, Fault, Have, Member, Plan};
use super::queue::Queue;
use super::tracker::Tracker;

/// How often a badly behaved node does what it does.
pub(crate) const MISCHIEF: Duration = Duration::from_millis(200);

/// What happens next. `link` and `life` tell what belongs to a connection or a process that is gone.
#[derive(Debug)]
pub(crate) enum Happening {
    Wake(usize),
    Join(usize, u32),
    Fault(usize),
    Mischief(usize, u32),
    Connect {
        from: usize,
        addr: SocketAddr,
        life: u32,
    },
    DialFails {
        from: usize,
        addr: SocketAddr,
        life: u32,
    },
    Arrive {
        to: usize,
        key: PeerKey,
        link: u32,
        messages: Vec<Message>,
    },
    /// The same piece told to many at the same time.
    Haves {
        piece: PieceIndex,
        to: Vec<(usize, PeerKey, u32)>,
    },
    BlockArrives {
        to: usize,
        key: PeerKey,
        link: u32,
        block: BlockRef,
        truth: Truth,
    },
    BlockLeft {
        from: usize,
        key: PeerKey,
        block: BlockRef,
        life: u32,
    },
    MayPump(usize, u32),
    Closed {
        node: usize,
        key: PeerKey,
        link: u32,
    },
    /// Nothing came over this connection for too long, if the network is still split.
    Silence {
        node: usize,
        key: PeerKey,
        link: u32,
    },
    Hashed {
        node: usize,
        piece: PieceIndex,
        life: u32,
    },
    SyncBegins(usize, u32),
    Synced(usize, u32),
    /// What was synced is recorded.
    Recorded(usize, u32),
    /// A fault that had to wait strikes.
    Postponed(Fault),
    Reply {
        node: usize,
        asked: Box<Asked>,
        life: u32,
        heard: bool,
    },
    /// The content of a node has been looked at.
    Found(usize, u32),
    /// A node that was removed has said goodbye by now, or is waited for until the time; then it is added again.
    Removed {
        node: usize,
        life: u32,
        until: Duration,
        back_after: Duration,
    },
}

/// See the module.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) layout: Arc<Layout>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) trackers: Vec<Tracker>,
    pub(crate) now: Duration,
    pub(crate) start: Instant,
    pub(crate) dice: Dice,
    pub(crate) steps: u64,
    /// Engines are audited after every such step that touches them; 0 is never.
    pub(crate) audit_every: u64,
    /// Nodes below this number cannot reach the others.
    pub(crate) split: Option<usize>,
    /// What waits for the network to heal.
    pub(crate) held: Vec<(usize, Happening)>,
    /// In percent: messages that are lost once.
    pub(crate) loss: u8,
    pub(crate) next_link: u32,
    pub(crate) seed: u64,
    queue: Queue<Happening>,
    /// Steps at this very moment of virtual time.
    same_time: u32,
    milestone: bool,
    /// Nodes that have yet to join, or to come back.
    pub(crate) coming: usize,
    /// Addresses of nodes that may rightly be banned.
    pub(crate) culprits: BTreeSet<usize>,
    /// In whose name the engines take memory. The last to go.
    pub(crate) owners: Vec<Owner>,
}

impl World {
    pub(crate) fn new(seed: u64, plan: Plan) -> Self {
        let start = Instant::now();
        let layout = Layout::new(plan.piece_length, plan.files.iter().copied());
        let layout = Arc::new(layout.expect("a sound plan"));
        let trackers = (0..plan.trackers)
            .map(|number| Tracker::new(number, start, seed, plan.locality))
            .collect();
        let mut world = Self {
            layout,
            nodes: Vec::new(),
            trackers,
            now: Duration::ZERO,
            start,
            dice: Dice::new(seed),
            steps: 0,
            audit_every: 1,
            split: None,
            held: Vec::new(),
            loss: 0,
            next_link: 0,
            seed,
            queue: Queue::new(),
            same_time: 0,
            milestone: true,
            coming: 0,
            culprits: BTreeSet::new(),
            owners: Vec::new(),
            plan,
        };
        for number in 0..world.plan.members.len() {
            world.add(number);
        }
        for (number, (at, fault)) in world.plan.faults.iter().enumerate() {
            world.queue.push(*at, Happening::Fault(number));
            // What a failed sync was to cover may turn out lost.
            if let Fault::Disk(node, DiskMood::Flipping | DiskMood::Unsyncable)
            | Fault::Lose(node) = fault
            {
                world.culprits.insert(*node);
            }
            world.coming += usize::from(fault.is_awaited());
        }
        world
    }

    fn add(&mut self, number: usize) {
        let member = self.plan.members[number].clone();
        let low = u16::try_from(number + 1).expect("fewer than 2^16 nodes");
        let [high, low] = low.to_be_bytes();
        let addr = SocketAddr::from(([10, member.group, high, low], 6881));
        let have = self.initial(&member);
        if matches!(member.conduct, Conduct::Poisoner | Conduct::Pusher) {
            self.culprits.insert(number);
        }
        self.owners.push(Owner::new());
        let engine = self.engine(number, &member, 0, self.start);
        self.queue.push(member.at, Happening::Join(number, 0));
        self.coming += 1;
        self.nodes.push(Node {
            addr,
            engine,
            line: member.line,
            online: false,
            life: 0,
            skew: Duration::ZERO,
            uplink: Uplink::default(),
            bucket: TokenBucket::new(self.start, member.limit),
            limit: member.limit,
            down_free: Duration::ZERO,
            ends: std::collections::BTreeMap::new(),
            disk: Disk::new(have, self.seed ^ ((number as u64) << 40)),
            wake: None,
            crowded: false,
            log: Log::default(),
            member,
        });
    }

    fn initial(&mut self, member: &Member) -> Bitfield {
        let count = self.layout.piece_count();
        let mut have = Bitfield::new(count);
        for piece in self.layout.pieces() {
            let here = match member.have {
                Have::Nothing => false,
                Have::Everything => true,
                Have::Share(percent) => self.dice.chance(percent),
                Have::AllButOne => piece.0 + 1 < count,
            };
            if here {
                have.set(piece);
            }
        }
        have
    }

    /// The engine of a node's next life.
    pub(crate) fn engine(
        &self,
        number: usize,
        member: &Member,
        life: u32,
        now: Instant,
    ) -> Torrent {
        let _inside = self.owners[number].enter();
        let mut seeds = Dice::new(self.seed ^ ((number as u64) << 32) ^ (u64::from(life) << 20));
        let seed = seeds.next();
        let peer_id = PeerId::generate("-SM0001-", seed);
        let mut config = Config::new(InfoHash::from([7; 20]), peer_id, seed);
        let urls = self
            .trackers
            .iter()
            .map(|tracker| vec![tracker.url.clone()]);
        config.trackers = urls.collect();
        config.private = self.plan.private;
        config.max_peers = member.max_peers;
        config.upload_slots = member.slots;
        config.sequential = member.sequential;
        config.spread = member.spread;
        let mut wanted = Bitfield::new(self.layout.piece_count());
        let (from, to) = member.wanted.unwrap_or((0, self.layout.piece_count()));
        for piece in from..to {
            wanted.set(PieceIndex(piece));
        }
        Torrent::new(now, config, Arc::clone(&self.layout), wanted)
    }

    /// Runs until `done`, or until `limit` of virtual time. True if done.
    pub(crate) fn run(&mut self, limit: Duration, done: impl Fn(&Self) -> bool) -> bool {
        while !(std::mem::take(&mut self.milestone) && done(self)) {
            match self.queue.next_at() {
                Some(at) if at <= limit => self.step(at),
                _ => return done(self),
            }
        }
        true
    }

    fn step(&mut self, at: Duration) {
        let Some(what) = self.queue.pop() else { return };
        if at > self.now {
            self.same_time = 0;
        }
        self.same_time += 1;
        assert!(
            self.same_time < 100_000,
            "seed {}, step {}: time stands still at {at:?}: {what:?}",
            self.seed,
            self.steps
        );
        self.now = at;
        self.steps += 1;
        // Only these can change whether a swarm is done; asking after every event would cost more than the event.
        self.milestone = matches!(
            what,
            Happening::Hashed { .. }
                | Happening::Join(..)
                | Happening::Fault(_)
                | Happening::Found(..)
                | Happening::Recorded(..)
                | Happening::Postponed(_)
        );
        self.happen(what);
    }

    /// Whether every honest node that is online has all it wants, and nobody is still to come.
    pub(crate) fn all_complete(&self) -> bool {
        let done = |node: &Node| !node.is_honest() || !node.online || node.is_complete();
        self.coming == 0 && self.nodes.iter().all(done) && self.nodes.iter().any(|node| node.online)
    }

    fn happen(&mut self, what: Happening) {
        match what {
            Happening::Wake(node) => {
                let now = self.instant(node);
                if self.nodes[node].wake.is_some_and(|at| at <= now) {
                    self.nodes[node].wake = None;
                    if self.nodes[node].online || !self.nodes[node].engine.has_said_goodbye() {
                        self.tell(node, Input::Timeout);
                        self.time_moves_on(node);
                    }
                }
            }
            Happening::Join(node, life) if self.lives(node, life) => self.join(node),
            Happening::Fault(number) => self.planned(number),
            Happening::Mischief(node, life) if self.lives(node, life) => self.mischief(node),
            Happening::Connect { from, addr, life } if self.lives(from, life) => {
                self.connect(from, addr);
            }
            Happening::DialFails { from, addr, life } if self.lives(from, life) => {
                self.tell(from, Input::DialFailed(addr));
            }
            Happening::Arrive {
                to,
                key,
                link,
                messages,
            } => self.arrive(to, key, link, messages),
            Happening::Haves { piece, to } => {
                for (to, key, link) in to {
                    self.arrive(to, key, link, vec![Message::Have(piece)]);
                }
            }
            Happening::BlockArrives {
                to,
                key,
                link,
                block,
                truth,
            } => self.block_arrives(to, key, link, block, truth),
            Happening::BlockLeft {
                from,
                key,
                block,
                life,
            } if self.lives(from, life) => self.block_left(from, key, block),
            Happening::MayPump(node, life) if self.lives(node, life) => {
                self.nodes[node].uplink.busy = false;
                self.pump(node);
            }
            Happening::Closed { node, key, link } => self.lost(node, key, link),
            Happening::Silence { node, key, link } => {
                let other = self.end(node, key, link).map(|end| end.node);
                if other.is_some_and(|other| self.apart(node, other)) {
                    self.lost(node, key, link);
                }
            }
            Happening::Hashed { node, piece, life } if self.lives(node, life) => {
                self.hashed(node, piece);
            }
            Happening::SyncBegins(node, life) if self.lives(node, life) => self.sync_begins(node),
            Happening::Synced(node, life) if self.lives(node, life) => self.synced(node),
            Happening::Recorded(node, life) if self.lives(node, life) => self.recorded(node),
            Happening::Postponed(fault) => {
                self.coming -= 1;
                self.strike(fault);
            }
            Happening::Reply {
                node,
                asked,
                life,
                heard,
            } if self.lives(node, life) => self.reply(node, &asked, heard),
            Happening::Found(node, life) if self.lives(node, life) => self.found(node),
            Happening::Removed {
                node,
                life,
                until,
                back_after,
            } if self.lives(node, life) => self.removed(node, until, back_after),
            _ => {}
        }
    }

    fn lives(&self, node: usize, life: u32) -> bool {
        self.nodes[node].life == life
    }

    fn join(&mut self, node: usize) {
        self.coming -= 1;
        let beginner = &mut self.nodes[node].disk;
        let have = beginner.records.start(&self.layout, &beginner.written);
        let have = self.must(node, have);
        self.nodes[node].online = true;
        if self.nodes[node].life > 0 {
            self.reset_stale(node);
        }
        self.nodes[node].log.pieces = have.iter_ones().collect();
        self.tell(node, Input::Checked(have));
        let complete = self.nodes[node].is_complete();
        self.nodes[node].log.complete_at_start = complete;
        self.nodes[node].log.owes_completed = !complete;
        if self.nodes[node].disk.needs_sync() {
            self.sync(node, false);
        }
        if matches!(
            self.nodes[node].member.conduct,
            Conduct::Hoarder
                | Conduct::Flapper
                | Conduct::Fickle
                | Conduct::Pusher
                | Conduct::Forgetter
        ) {
            let life = self.nodes[node].life;
            self.after(MISCHIEF, Happening::Mischief(node, life));
        }
    }

    /// A connection is gone, and not by our doing.
    fn lost(&mut self, node: usize, key: PeerKey, link: u32) {
        if self.end(node, key, link).is_some() {
            self.nodes[node].ends.remove(&key);
            self.nodes[node].uplink.drop_peer(key);
            self.tell(node, Input::PeerClosed(key));
        }
    }

    /// What an engine does takes memory in its name.
    pub(crate) fn think<T>(&mut self, node: usize, what: impl FnOnce(&mut Torrent) -> T) -> T {
        let _inside = self.owners[node].enter();
        what(&mut self.nodes[node].engine)
    }

    pub(crate) fn tell(&mut self, node: usize, input: Input) {
        let now = self.instant(node);
        let mut out = Outputs::new();
        self.think(node, |engine| engine.handle(now, input, &mut out));
        self.perform(node, out);
    }

    pub(crate) fn perform(&mut self, node: usize, out: Outputs) {
        let mut mail = super::traffic::Mail::default();
        for output in out {
            match output {
                Output::Send(key, message) => self.say(node, key, message, &mut mail),
                Output::Extend(key, message) => mail.add(key, super::wire::extended(&message)),
                Output::Serve(key, block) => self.serve(node, key, block, &mut mail),
                Output::Close(key, reason) => {
                    let is_useless = reason == CloseReason::Useless;
                    self.nodes[node].log.given_up += u32::from(is_useless);
                    self.hang_up(node, key);
                }
                Output::Dial(addr) => self.dial(node, addr),
                Output::Announce { announce, numwant } => self.announce(node, &announce, numwant),
                Output::Watch(piece) => self.nodes[node].disk.watch(piece),
                Output::Forget => self.nodes[node].disk.forget(),
                Output::ForgetPiece(piece) => self.nodes[node].disk.forget_piece(piece),
                Output::LookForRoom => {
                    let room = self.nodes[node].disk.room();
                    self.tell(node, Input::Room(room));
                }
                Output::Notice(notice) => {
                    let now = self.now;
                    if let Notice::Piece(piece) = notice {
                        self.nodes[node].log.fetched += self.payload(piece);
                    }
                    let told = self.nodes[node].notice(now, &notice);
                    self.must(node, told);
                    let hurries = match notice {
                        Notice::Completed => true,
                        Notice::State(State::Paused | State::Stopped | State::Failed) => {
                            self.nodes[node].disk.needs_sync()
                        }
                        _ => false,
                    };
                    if hurries {
                        self.sync(node, true);
                    }
                }
                other => panic!("the world cannot perform {other:?}"),
            }
        }
        self.post(node, mail);
        self.rearm(node);
        self.weigh(node);
        self.check(node);
    }

    pub(crate) fn rearm(&mut self, node: usize) {
        let Some(due) = self.nodes[node].engine.poll_timeout() else {
            return;
        };
        let due = due.max(self.instant(node));
        if self.nodes[node].wake.is_none_or(|wake| due < wake) {
            self.nodes[node].wake = Some(due);
            let at = due.saturating_duration_since(self.start + self.nodes[node].skew);
            self.at(at, Happening::Wake(node));
        }
    }

    /// The node's own clock.
    pub(crate) fn instant(&self, node: usize) -> Instant {
        self.start + self.now + self.nodes[node].skew
    }

    pub(crate) fn after(&mut self, delay: Duration, what: Happening) {
        self.at(self.now + delay, what);
    }

    pub(crate) fn at(&mut self, at: Duration, what: Happening) {
        self.queue.push(at.max(self.now), what);
    }

    /// States of all nodes, for messages of failing tests.
    pub(crate) fn picture(&self) -> String {
        let line = |(number, node): (usize, &Node)| {
            let status = node.engine.status(self.instant(number));
            format!(
                "{number} {:?} {} {} {}/{} peers {} known {} {}",
                node.member.conduct,
                if node.online { "online" } else { "gone" },
                status.state,
                status.pieces_have,
                status.pieces_total,
                status.peers,
                status.candidates,
                status.reason
            )
        };
        let lines: Vec<String> = self.nodes.iter().enumerate().map(line).take(60).collect();
        format!(
            "at {:?}, step {}\n{}",
            self.now,
            self.steps,
            lines.join("\n")
        )
    }
}
