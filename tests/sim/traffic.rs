//! What travels between nodes: dials, messages, blocks, and the ends of connections.
//!
//! Both directions of a connection are ordered and lossless as TCP makes them; loss and partitions show as delay.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bt_client::engine::{Direction, Input, Output, Outputs, PeerInfo, PeerKey};
use bt_metainfo::{BlockRef, PieceIndex};
use bt_wire::{Bitfield, Message, ext};

use super::disk::{Read, Truth};
use super::node::Node;
use super::plan::Conduct;
use super::wire::End;
use super::world::{Happening, World};

/// Time until a dial to nobody is given up.
const DIAL_TIMEOUT: Duration = Duration::from_secs(10);

/// What a lost packet costs: the first retransmission of TCP.
const RETRANSMIT: Duration = Duration::from_millis(200);

/// Silence after which a connection is given up (BEP 3: two minutes).
pub(crate) const SILENCE: Duration = Duration::from_secs(120);

/// A node, what it calls the sender, and which of their connections.
type Recipient = (usize, PeerKey, u32);

/// What a node says in one step, by peer.
#[derive(Debug, Default)]
pub(crate) struct Mail {
    haves: BTreeMap<(Duration, PieceIndex), Vec<Recipient>>,
    rest: BTreeMap<PeerKey, Vec<Message>>,
}

impl World {
    pub(crate) fn end(&mut self, node: usize, key: PeerKey, link: u32) -> Option<&mut End> {
        let end = self.nodes[node].ends.get_mut(&key)?;
        (end.link == link).then_some(end)
    }

    pub(crate) fn dial(&mut self, node: usize, addr: SocketAddr) {
        if self.plan.private && !self.nodes[node].log.named.contains(&addr) {
            self.broken(node, &format!("{addr} is dialed, and no tracker named it"));
        }
        let delay = self.nodes[node].line.latency * 4;
        let life = self.nodes[node].life;
        let from = node;
        self.after(delay, Happening::Connect { from, addr, life });
    }

    fn node_at(&self, addr: SocketAddr) -> Option<usize> {
        let IpAddr::V4(ip) = addr.ip() else {
            return None;
        };
        let [_, _, high, low] = ip.octets();
        let number = usize::from(u16::from_be_bytes([high, low])).checked_sub(1)?;
        (self.nodes.get(number)?.addr == addr).then_some(number)
    }

    pub(crate) fn connect(&mut self, from: usize, addr: SocketAddr) {
        let life = self.nodes[from].life;
        if self.nodes[from].online && self.nodes[from].crowded {
            return self.tell(from, Input::DialPutOff(addr));
        }
        let to = self.node_at(addr).filter(|to| *to != from);
        let Some(to) = to.filter(|to| self.nodes[*to].online && !self.apart(from, *to)) else {
            return self.after(DIAL_TIMEOUT, Happening::DialFails { from, addr, life });
        };
        if !self.nodes[from].online {
            return self.tell(from, Input::DialFailed(addr));
        }
        if self.nodes[to].crowded {
            self.tell(to, Input::Crowded);
            return self.tell(from, Input::DialFailed(addr));
        }
        let (mut theirs, mut ours) = (Outputs::new(), Outputs::new());
        let fast = self.nodes[from].member.fast && self.nodes[to].member.fast;
        let info = |node: &Node, direction| PeerInfo {
            addr: node.addr,
            id: node.engine.peer_id(),
            direction,
            fast,
        };
        let caller = info(&self.nodes[from], Direction::Incoming);
        let now = self.instant(to);
        let opened = self.think(to, |engine| engine.open(now, caller, &mut theirs));
        let Ok(their_key) = opened else {
            // The refusal may have said something about others.
            self.perform(to, theirs);
            return self.tell(from, Input::DialFailed(addr));
        };
        self.nodes[to].log.connections += 1;
        self.nodes[from].log.connections += 1;
        let called = info(&self.nodes[to], Direction::Outgoing);
        let now = self.instant(from);
        let opened = self.think(from, |engine| engine.open(now, called, &mut ours));
        let pieces = self.layout.piece_count();
        let link = self.next_link;
        self.next_link += 1;
        let (here, there) = (self.nodes[from].member.reqq, self.nodes[to].member.reqq);
        if let Ok(our_key) = opened {
            let end = End::new((to, their_key), link, fast, [here, there], pieces);
            self.nodes[from].ends.insert(our_key, end);
            let end = End::new((from, our_key), link, fast, [there, here], pieces);
            self.nodes[to].ends.insert(their_key, end);
            self.perform(from, ours);
            self.perform(to, theirs);
            self.tell(from, Input::PeerQueues(our_key, there));
            self.tell(to, Input::PeerQueues(their_key, here));
        } else {
            // They let us in, and we hang up at once.
            let nobody = (from, PeerKey(u32::MAX));
            let end = End::new(nobody, link, fast, [there, here], pieces);
            self.nodes[to].ends.insert(their_key, end);
            self.perform(from, ours);
            self.perform(to, theirs);
            let (node, key) = (to, their_key);
            self.after(
                self.distance(from, to),
                Happening::Closed { node, key, link },
            );
        }
    }

    /// Our side ends a connection.
    pub(crate) fn hang_up(&mut self, node: usize, key: PeerKey) {
        let Some(end) = self.nodes[node].ends.remove(&key) else {
            self.broken(node, &format!("{key} is closed, and there is no such peer"));
        };
        self.nodes[node].uplink.drop_peer(key);
        self.notify_closed(node, &end, Duration::ZERO);
    }

    /// The other end learns that its connection is gone.
    pub(crate) fn notify_closed(&mut self, from: usize, end: &End, later: Duration) {
        let what = Happening::Closed {
            node: end.node,
            key: end.key,
            link: end.link,
        };
        let at = (self.now + self.distance(from, end.node)).max(end.arrives) + later;
        self.route(from, end.node, at, what);
    }

    /// What our connection does with a message of the engine.
    pub(crate) fn say(&mut self, node: usize, key: PeerKey, message: Message, mail: &mut Mail) {
        let conduct = self.nodes[node].member.conduct;
        let honest = conduct == Conduct::Honest;
        let pieces = self.layout.piece_count();
        let now = self.now;
        let Some(end) = self.nodes[node].ends.get_mut(&key) else {
            self.broken(node, &format!("{message:?} for {key}, who is gone"));
        };
        match message {
            Message::Choke if end.choking => {}
            Message::Choke => self.choke_on_wire(node, key, mail),
            Message::Unchoke if !end.choking => {}
            Message::Unchoke => {
                end.choking = false;
                let to = end.node;
                self.nodes[node].log.unchoked.insert(to);
                mail.add(key, Message::Unchoke);
            }
            Message::Request(block) => {
                let asked = end.ask(block);
                if honest {
                    self.must(node, asked);
                    if !self.nodes[node].wants(block.piece) {
                        self.broken(node, &format!("{block} is asked for and not wanted"));
                    }
                    if self.layout.is_padding(block) {
                        self.broken(node, &format!("{block} is asked for and is padding"));
                    }
                }
                mail.add(key, message);
            }
            Message::Cancel(block) => {
                end.call_off(block);
                mail.add(key, message);
            }
            Message::Reject(block) => {
                if end.over(block) {
                    mail.add_some(key, end.refusal(block));
                }
            }
            Message::HaveNone | Message::Bitfield(_) if conduct == Conduct::Liar => {
                let all = Bitfield::full(pieces);
                let fast = end.fast;
                mail.add(
                    key,
                    if fast {
                        Message::HaveAll
                    } else {
                        Message::Bitfield(bytes::Bytes::copy_from_slice(all.as_bytes()))
                    },
                );
            }
            Message::Have(piece) if !mail.rest.contains_key(&key) => {
                let to = (end.node, end.key, end.link);
                let at = (now + self.distance(node, to.0)).max(self.arrives(node, key));
                let at = self.delayed(at);
                self.set_arrives(node, key, at);
                if self.apart(node, to.0) {
                    mail.add(key, message);
                } else {
                    mail.haves.entry((at, piece)).or_default().push(to);
                }
            }
            other => {
                match other {
                    Message::Interested => end.interested = true,
                    Message::NotInterested => end.interested = false,
                    Message::AllowedFast(piece) => end.grant(piece),
                    _ => {}
                }
                mail.add(key, other);
            }
        }
    }

    /// A choke, and what follows from it for requests that wait.
    pub(crate) fn choke_on_wire(&mut self, node: usize, key: PeerKey, mail: &mut Mail) {
        let node = &mut self.nodes[node];
        let Some(end) = node.ends.get_mut(&key) else {
            return;
        };
        mail.add(key, Message::Choke);
        for block in end.choke() {
            node.uplink.remove(key, block);
            mail.add_some(key, end.refusal(block));
        }
    }

    /// The engine wants a block sent.
    pub(crate) fn serve(&mut self, node: usize, key: PeerKey, block: BlockRef, mail: &mut Mail) {
        let conduct = self.nodes[node].member.conduct;
        let Some(end) = self.nodes[node].ends.get_mut(&key) else {
            self.broken(node, &format!("{block} for {key}, who is gone"));
        };
        match conduct {
            Conduct::Snubber => {}
            Conduct::Withholder if block.begin == 0 => {}
            Conduct::Rejecter => {
                if end.over(block) {
                    mail.add(key, Message::Reject(block));
                }
            }
            _ => {
                let served = end.serve(block);
                if self.must(node, served) {
                    self.nodes[node].uplink.push(key, block);
                    self.pump(node);
                }
            }
        }
    }

    /// Sends off what a node said.
    pub(crate) fn post(&mut self, node: usize, mail: Mail) {
        for ((at, piece), to) in mail.haves {
            self.at(at, Happening::Haves { piece, to });
        }
        for (key, messages) in mail.rest {
            let Some(end) = self.nodes[node].ends.get(&key) else {
                // It was closed in the same step; what was said before may or may not arrive.
                continue;
            };
            let (to, remote, link) = (end.node, end.key, end.link);
            let at = (self.now + self.distance(node, to)).max(end.arrives);
            let at = self.delayed(at);
            self.set_arrives(node, key, at);
            let what = Happening::Arrive {
                to,
                key: remote,
                link,
                messages,
            };
            self.route(node, to, at, what);
        }
    }

    pub(crate) fn arrive(&mut self, to: usize, key: PeerKey, link: u32, messages: Vec<Message>) {
        if self.end(to, key, link).is_none() {
            return;
        }
        let now = self.instant(to);
        let (mut out, mut mail) = (Outputs::new(), Mail::default());
        for message in messages {
            let before = out.len();
            let request = match message {
                Message::Request(block) => Some(block),
                _ => None,
            };
            if self.hear(to, key, &message, &mut mail) {
                let news = match super::wire::extension(&message) {
                    Some(message) => Input::Extension(key, message),
                    None => Input::Message(key, message),
                };
                self.think(to, |engine| engine.handle(now, news, &mut out));
                if let Some(block) = request {
                    self.answered_once(to, key, block, &out[before..]);
                }
            }
        }
        self.think(to, |engine| {
            engine.handle(now, Input::Flush(key), &mut out);
        });
        self.post(to, mail);
        self.perform(to, out);
        if let Some(end) = self.end(to, key, link) {
            end.end_of_breath();
        }
    }

    /// What our connection makes of a message before the engine hears it; false if the engine does not.
    fn hear(&mut self, to: usize, key: PeerKey, message: &Message, mail: &mut Mail) -> bool {
        let conduct = self.nodes[to].member.conduct;
        let pieces = self.layout.piece_count();
        let node = &mut self.nodes[to];
        let Some(end) = node.ends.get_mut(&key) else {
            return true;
        };
        let sender_is_honest = self.plan.members[end.node].conduct == Conduct::Honest;
        match message {
            Message::Choke => end.choked(),
            Message::Unchoke => end.peer_choking = false,
            Message::Interested => end.peer_interested = true,
            Message::NotInterested => end.peer_interested = false,
            Message::Have(piece) => {
                end.has.set(*piece);
            }
            Message::HaveAll => end.has = Bitfield::full(pieces),
            Message::Extended { .. } => {
                if let Some(ext::Message::DontHave(ext::DontHave(piece))) =
                    super::wire::extension(message)
                {
                    end.has.clear(piece);
                }
            }
            Message::Bitfield(payload) => {
                end.has = Bitfield::from_wire(pieces, payload).expect("nodes send sound bitfields");
            }
            Message::AllowedFast(piece) => end.allow(*piece),
            Message::Request(block) => {
                let accepted = end.accept(*block);
                if !accepted {
                    mail.add_some(key, end.refusal(*block));
                }
                return accepted;
            }
            Message::Cancel(_) if conduct == Conduct::Deaf => {}
            Message::Cancel(block) => {
                // What waits to leave may be the same block, asked for once more.
                let is_queued = !end.is_undecided(*block);
                if end.take_back(*block) {
                    mail.add_some(key, end.refusal(*block));
                    if is_queued {
                        node.uplink.remove(key, *block);
                    }
                }
            }
            Message::Reject(block) => {
                let answered = end.rejected(*block);
                if sender_is_honest && conduct == Conduct::Honest {
                    self.must(to, answered);
                }
            }
            _ => {}
        }
        true
    }

    /// Every request that reaches an engine has exactly one answer, at once.
    fn answered_once(&mut self, node: usize, key: PeerKey, block: BlockRef, out: &[Output]) {
        let is_answer = |output: &&Output| match output {
            Output::Serve(to, served) => (*to, *served) == (key, block),
            Output::Send(to, Message::Reject(rejected)) => (*to, *rejected) == (key, block),
            Output::Close(to, _) => *to == key,
            _ => false,
        };
        let answers = out.iter().filter(is_answer).count();
        if answers != 1 {
            self.broken(node, &format!("a request of {block} has {answers} answers"));
        }
    }

    /// Starts the next block on an idle uplink.
    pub(crate) fn pump(&mut self, node: usize) {
        if self.nodes[node].uplink.busy {
            return;
        }
        let life = self.nodes[node].life;
        let wait = self.nodes[node].bucket.wait(self.start + self.now);
        if !wait.is_zero() {
            self.nodes[node].uplink.busy = true;
            let wait = wait.max(Duration::from_millis(1));
            return self.after(wait, Happening::MayPump(node, life));
        }
        let Some((key, block)) = self.nodes[node].uplink.next() else {
            return;
        };
        // From here on it cannot be called off.
        if let Some(end) = self.nodes[node].ends.get_mut(&key)
            && !end.leaves(block)
            && self.nodes[node].is_honest()
        {
            self.broken(node, &format!("{block} is sent and was not asked for"));
        }
        self.nodes[node].uplink.busy = true;
        let bytes = u64::from(block.length);
        self.nodes[node].bucket.charge(self.start + self.now, bytes);
        let time = Duration::from_secs_f64(bytes as f64 / self.nodes[node].line.up);
        let from = node;
        self.after(
            time,
            Happening::BlockLeft {
                from,
                key,
                block,
                life,
            },
        );
    }

    pub(crate) fn block_left(&mut self, from: usize, key: PeerKey, block: BlockRef) {
        self.nodes[from].uplink.busy = false;
        let bytes = u64::from(block.length);
        if let Some(end) = self.nodes[from].ends.get(&key) {
            let (to, remote, link) = (end.node, end.key, end.link);
            let conduct = self.nodes[from].member.conduct;
            let truth = match self.truth(from, block.piece) {
                Read::Bytes(truth) => truth,
                Read::Failed(trouble) => {
                    self.tell(from, Input::StorageFailed(trouble));
                    return self.pump(from);
                }
            };
            if self.layout.is_padding(block) && self.nodes[to].is_honest() {
                self.broken(from, &format!("{block} is sent and is padding"));
            }
            self.account(from, to, bytes);
            let time = Duration::from_secs_f64(bytes as f64 / self.nodes[to].line.down);
            let reaches = self.now + self.distance(from, to);
            let free = reaches.max(self.nodes[to].down_free + time);
            self.nodes[to].down_free = free;
            let free = self.delayed(free).max(self.arrives(from, key));
            self.set_arrives(from, key, free);
            let copies = if conduct == Conduct::Repeater { 2 } else { 1 };
            for _ in 0..copies {
                let what = Happening::BlockArrives {
                    to,
                    key: remote,
                    link,
                    block,
                    truth,
                };
                self.route(from, to, free, what);
            }
            self.tell(from, Input::Uploaded(key, bytes));
        }
        self.pump(from);
    }

    fn truth(&mut self, from: usize, piece: PieceIndex) -> Read {
        if self.nodes[from].member.conduct == Conduct::Poisoner {
            return Read::Bytes(Truth::try_from(2 + from % 200).expect("below 202"));
        }
        let read = self.nodes[from].disk.read(&mut self.dice, piece);
        self.must(from, read)
    }

    pub(crate) fn block_arrives(
        &mut self,
        to: usize,
        key: PeerKey,
        link: u32,
        block: BlockRef,
        truth: Truth,
    ) {
        let Some(end) = self.end(to, key, link) else {
            return;
        };
        let from = end.node;
        let answered = end.answered(block);
        if self.nodes[from].is_honest() && self.nodes[to].is_honest() {
            self.must(to, answered);
        }
        let now = self.instant(to);
        let (at, layout) = (self.now, std::sync::Arc::clone(&self.layout));
        let mut out = Outputs::new();
        self.nodes[to].log.received += u64::from(block.length);
        let keep = self.think(to, |engine| engine.block(now, key, block, &mut out));
        let whole = if keep {
            let disk = &mut self.nodes[to].disk;
            disk.store(at, &layout, block, truth)
        } else {
            Ok(None)
        };
        self.think(to, |engine| {
            engine.handle(now, Input::Flush(key), &mut out);
        });
        let life = self.nodes[to].life;
        if let Some(done) = self.must(to, whole) {
            let piece = block.piece;
            let node = to;
            self.at(done, Happening::Hashed { node, piece, life });
        }
        self.perform(to, out);
    }

    /// Hands something to the network: it arrives at `at`, or once the network has healed.
    fn route(&mut self, from: usize, to: usize, at: Duration, what: Happening) {
        if self.apart(from, to) {
            self.held.push((from, what));
        } else {
            self.at(at, what);
        }
    }

    pub(crate) fn apart(&self, a: usize, b: usize) -> bool {
        self.split.is_some_and(|split| (a < split) != (b < split))
    }

    pub(crate) fn distance(&self, a: usize, b: usize) -> Duration {
        let (a, b) = (&self.nodes[a], &self.nodes[b]);
        let far = if a.member.group == b.member.group {
            Duration::ZERO
        } else {
            self.plan.between_groups
        };
        a.line.latency + b.line.latency + far
    }

    fn delayed(&mut self, at: Duration) -> Duration {
        let lost = self.loss > 0 && self.dice.chance(self.loss);
        if lost { at + RETRANSMIT } else { at }
    }

    fn arrives(&self, node: usize, key: PeerKey) -> Duration {
        self.nodes[node]
            .ends
            .get(&key)
            .map_or(Duration::ZERO, |end| end.arrives)
    }

    fn set_arrives(&mut self, node: usize, key: PeerKey, at: Duration) {
        if let Some(end) = self.nodes[node].ends.get_mut(&key) {
            end.arrives = at;
        }
    }
}

impl Mail {
    fn add_some(&mut self, key: PeerKey, message: Option<Message>) {
        if let Some(message) = message {
            self.add(key, message);
        }
    }

    pub(crate) fn add(&mut self, key: PeerKey, message: Message) {
        self.rest.entry(key).or_default().push(message);
    }
}
