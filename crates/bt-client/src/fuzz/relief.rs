//! What idle peers take over from those that keep us waiting: a torrent whose peers send over lines of their own, slow,
//! fast, far away, and change their minds.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bt_metainfo::{BLOCK_SIZE, BlockRef, InfoHash, Layout, PieceIndex};
use bt_wire::{Bitfield, Message, PeerId};

use crate::engine::{
    CloseReason, Config, Direction, Input, Output, Outputs, PeerInfo, PeerKey, PieceVerdict,
    Torrent,
};

const PIECES: u32 = 6;
const BLOCKS: u32 = 8;

/// Peers, at most.
const PEERS: u8 = 5;

/// Milliseconds that a line takes for a block, and until a request is there.
const GAPS: [u64; 4] = [1, 20, 150, 1_500];
const WAYS: [u64; 4] = [0, 5, 60, 400];

/// How much later it is, in milliseconds.
const PAUSES: [u64; 8] = [0, 1, 10, 50, 100, 300, 1_000, 5_000];

/// Requests of a queue that are never moved, and blocks that one peer takes over at once.
const KEPT: usize = 3;
const MOST_AT_ONCE: usize = 4;

/// A peer with so many requests is not idle.
const BUSY: usize = 2;

/// How long a request stays at a peer at least, and at one that has sent nothing since it unchoked us.
const OLD_ENOUGH: Duration = Duration::from_millis(50);
const UNKNOWN: Duration = Duration::from_millis(500);

/// In the end all peers have everything, let us have it and take at most 150 ms for a block: so long is far too long.
const FAR_TOO_LONG: Duration = Duration::from_secs(120);

/// Two bytes are one thing that happens.
///
/// # Panics
/// If what is taken over was not at the end of a long queue, or was asked for a moment ago; if a peer takes over too much,
/// has something to do, or has sent nothing since it took over the last time; if a block is called off and asked of
/// nobody; or if in the end not everything comes.
pub fn relief(data: &[u8]) {
    let mut story = Story::new(data.len() as u64);
    for &[what, how] in data.as_chunks().0 {
        story.step(what, how);
    }
    story.end();
}

struct Story {
    torrent: Torrent,
    layout: Arc<Layout>,
    now: Instant,
    out: Outputs,
    lines: BTreeMap<PeerKey, Line>,
    /// Blocks of each piece that are here.
    here: BTreeMap<PieceIndex, u32>,
}

/// A peer as we see it from outside, and what it was asked for.
struct Line {
    gap: Duration,
    way: Duration,
    fast: bool,
    unchokes: bool,
    queue: VecDeque<Asked>,
    /// It sends the next block from then on.
    free: Instant,
    /// It has sent something since it unchoked us.
    has_sent: bool,
    /// Blocks that it has sent and was asked for, and how many they were when it took over the last time.
    sent: u32,
    relieved: Option<u32>,
}

#[derive(Clone, Copy)]
struct Asked {
    block: BlockRef,
    at: Instant,
    /// It was called off on its way.
    is_off: bool,
}

impl Line {
    /// When the first block is here.
    fn due(&self) -> Option<Instant> {
        let first = self.queue.front().filter(|_| self.unchokes)?;
        Some(self.free.max(first.at + self.way) + self.gap)
    }

    fn wanted(&self) -> impl Iterator<Item = &Asked> {
        self.queue.iter().filter(|asked| !asked.is_off)
    }
}

impl Story {
    fn new(seed: u64) -> Self {
        let length = u64::from(PIECES * BLOCKS * BLOCK_SIZE) - 1_000;
        let layout = Layout::new(BLOCKS * BLOCK_SIZE, [(length, false)]).expect("a sound layout");
        let layout = Arc::new(layout);
        let config = Config::new(
            InfoHash::from([1; 20]),
            PeerId::from(*b"-XX0001-000000000000"),
            seed,
        );
        let now = Instant::now();
        let torrent = Torrent::new(now, config, Arc::clone(&layout), Bitfield::full(PIECES));
        let mut story = Self {
            torrent,
            layout,
            now,
            out: Outputs::new(),
            lines: BTreeMap::new(),
            here: BTreeMap::new(),
        };
        story.tell(Input::Checked(Bitfield::new(PIECES)));
        story
    }

    fn step(&mut self, what: u8, how: u8) {
        let number = usize::from(what >> 4) % self.lines.len().max(1);
        let Some(key) = self.lines.keys().nth(number).copied() else {
            return self.join(how);
        };
        match what & 15 {
            0 => self.join(how),
            1 => {
                self.tell(Input::PeerClosed(key));
                self.lines.remove(&key);
            }
            2 => self.choke(key),
            3 | 4 => self.unchoke(key),
            5 | 6 => self.hear(key, Message::Have(PieceIndex(u32::from(how) % PIECES))),
            7 => self.set_line(key, how),
            _ => self.pass(Duration::from_millis(PAUSES[usize::from(how & 7)])),
        }
    }

    fn join(&mut self, how: u8) {
        let last = u8::try_from(self.lines.len()).unwrap_or(PEERS);
        if last >= PEERS {
            return;
        }
        let info = PeerInfo {
            addr: SocketAddr::from(([10, how, 0, last], 6881)),
            id: PeerId::from([how; 20]),
            direction: Direction::Incoming,
            fast: how & 64 == 0,
        };
        let fast = info.fast;
        let Ok(key) = self.torrent.open(self.now, info, &mut self.out) else {
            return;
        };
        let line = Line {
            gap: Duration::ZERO,
            way: Duration::ZERO,
            fast,
            unchokes: false,
            queue: VecDeque::new(),
            free: self.now,
            has_sent: false,
            sent: 0,
            relieved: None,
        };
        self.lines.insert(key, line);
        self.set_line(key, how);
        self.obey(None);
        let has = (0..PIECES).filter(|piece| how & 16 == 0 || piece % 2 == 0);
        for piece in has {
            self.hear(key, Message::Have(PieceIndex(piece)));
        }
        if how & 32 == 0 {
            self.unchoke(key);
        }
    }

    fn set_line(&mut self, key: PeerKey, how: u8) {
        if let Some(line) = self.lines.get_mut(&key) {
            line.gap = Duration::from_millis(GAPS[usize::from(how & 3)]);
            line.way = Duration::from_millis(WAYS[usize::from(how >> 2 & 3)]);
        }
    }

    /// With the Fast extension each request is refused one by one, without it they are void.
    fn choke(&mut self, key: PeerKey) {
        let Some(line) = self.lines.get_mut(&key).filter(|line| line.unchokes) else {
            return;
        };
        line.unchokes = false;
        if !line.fast {
            line.queue.clear();
        }
        self.hear(key, Message::Choke);
        let next = |story: &mut Self| story.lines.get_mut(&key)?.queue.pop_front();
        while let Some(asked) = next(self) {
            self.hear(key, Message::Reject(asked.block));
        }
    }

    fn unchoke(&mut self, key: PeerKey) {
        let Some(line) = self.lines.get_mut(&key).filter(|line| !line.unchokes) else {
            return;
        };
        (line.unchokes, line.has_sent, line.free) = (true, false, self.now);
        self.hear(key, Message::Unchoke);
    }

    fn hear(&mut self, key: PeerKey, message: Message) {
        self.tell(Input::Message(key, message));
        self.tell(Input::Flush(key));
    }

    fn tell(&mut self, input: Input) {
        self.torrent.handle(self.now, input, &mut self.out);
        self.obey(None);
    }

    /// Lines send and the torrent looks until `time` has passed.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let lines = self.lines.iter();
            let first = lines
                .filter_map(|(key, line)| Some((line.due()?, *key)))
                .min();
            let look = self.torrent.poll_timeout();
            match (first, look) {
                (Some((due, key)), look) if due <= end && look.is_none_or(|look| due <= look) => {
                    self.now = due.max(self.now);
                    self.deliver(key);
                }
                (_, Some(look)) if look <= end => {
                    self.now = look.max(self.now);
                    self.tell(Input::Timeout);
                }
                _ => break,
            }
        }
        self.now = end;
    }

    fn deliver(&mut self, key: PeerKey) {
        let Some(line) = self.lines.get_mut(&key) else {
            return;
        };
        let Some(asked) = line.queue.pop_front() else {
            return;
        };
        (line.free, line.has_sent) = (self.now, true);
        line.sent += 1;
        let block = asked.block;
        if let Some(again) = line.queue.iter_mut().find(|again| again.block == block) {
            // It was called off and asked for once more: what comes is taken for the answer to the second.
            again.is_off = true;
        }
        let kept = self.torrent.block(self.now, key, block, &mut self.out);
        self.obey(Some(block));
        self.tell(Input::Flush(key));
        if kept {
            let here = self.here.entry(block.piece).or_default();
            *here += 1;
            if *here == self.layout.block_count(block.piece) {
                let digests = Vec::new();
                let good = PieceVerdict::Good { digests };
                self.tell(Input::PieceChecked(block.piece, good));
            }
        }
    }

    /// Does what the torrent wants, and looks at what was taken over; `came` is the block that has just come.
    fn obey(&mut self, came: Option<BlockRef>) {
        if let Err(disagreement) = self.torrent.audit() {
            panic!("{disagreement}");
        }
        let said = std::mem::take(&mut self.out);
        let (mut off, mut asked) = (Vec::new(), Vec::new());
        for output in said {
            match output {
                Output::Send(key, Message::Cancel(block)) if Some(block) != came => {
                    off.push((key, block));
                }
                Output::Send(key, Message::Cancel(block)) => self.call_off(key, block),
                Output::Send(key, Message::Request(block)) => {
                    asked.push((block, key));
                }
                Output::Close(key, reason) => {
                    assert_eq!(reason, CloseReason::BothSeeds, "{key} did nothing wrong");
                    self.lines.remove(&key);
                }
                _ => {}
            }
        }
        self.check_what_moved(&off, &asked);
        for (key, block) in off {
            self.call_off(key, block);
        }
        for (block, key) in asked {
            let line = self.lines.get_mut(&key).expect("it is there");
            let is_new = line.wanted().all(|asked| asked.block != block);
            assert!(is_new, "{block:?} is asked twice of {key}");
            let (at, is_off) = (self.now, false);
            line.queue.push_back(Asked { block, at, is_off });
        }
        if !self.out.is_empty() {
            self.obey(None);
        }
    }

    /// What is on its way comes all the same.
    fn call_off(&mut self, key: PeerKey, block: BlockRef) {
        let line = self.lines.get_mut(&key).expect("it is there");
        let at = line.wanted().position(|asked| asked.block == block);
        assert!(at.is_some(), "{key} was not asked for {block:?}");
        if let Some(first) = line.queue.front_mut()
            && first.block == block
        {
            first.is_off = true;
            return;
        }
        line.queue
            .retain(|asked| asked.block != block || asked.is_off);
        if line.fast {
            self.torrent.handle(
                self.now,
                Input::Message(key, Message::Reject(block)),
                &mut self.out,
            );
        }
    }

    /// What is called off at a peer that keeps its first requests was moved: whoever is given up loses the first ones.
    fn check_what_moved(&mut self, off: &[(PeerKey, BlockRef)], asked: &[(BlockRef, PeerKey)]) {
        let mut taken: BTreeMap<PeerKey, usize> = BTreeMap::new();
        for (from, block) in off {
            let line = &self.lines[from];
            let first = line.wanted().next().map(|asked| asked.block);
            if off
                .iter()
                .any(|(key, block)| key == from && Some(*block) == first)
            {
                continue;
            }
            let at = line.wanted().position(|asked| asked.block == *block);
            let at = at.expect("it was asked for");
            assert!(at >= KEPT, "{block:?} is number {at} of {from}'s queue");
            let entry = line.wanted().nth(at).expect("it was asked for");
            let patience = if line.has_sent { OLD_ENOUGH } else { UNKNOWN };
            assert!(self.now - entry.at >= patience, "asked for a moment ago");
            let to: Vec<PeerKey> = asked
                .iter()
                .filter(|(moved, _)| moved == block)
                .map(|(_, key)| *key)
                .collect();
            assert_eq!(to.len(), 1, "{block:?} is called off and asked of {to:?}");
            *taken.entry(to[0]).or_default() += 1;
        }
        for (to, count) in taken {
            let line = self.lines.get_mut(&to).expect("it is there");
            assert!(count <= MOST_AT_ONCE, "{to} takes over {count}");
            assert!(line.unchokes, "{to} chokes us");
            assert!(line.wanted().count() < BUSY, "{to} has something to do");
            assert_ne!(
                line.relieved,
                Some(line.sent),
                "{to} has sent nothing since"
            );
            line.relieved = Some(line.sent);
        }
    }

    fn end(&mut self) {
        if self.lines.is_empty() {
            self.join(0);
        }
        let keys: Vec<PeerKey> = self.lines.keys().copied().collect();
        for key in keys {
            for piece in 0..PIECES {
                self.hear(key, Message::Have(PieceIndex(piece)));
            }
            self.set_line(key, 2);
            self.unchoke(key);
        }
        self.pass(FAR_TOO_LONG);
        assert!(self.torrent.has_everything(), "not everything has come");
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::{any, proptest};

    #[test]
    fn the_corpus_holds() {
        crate::fuzz::replay("client_relief", 4, super::relief);
    }

    proptest! {
        #[test]
        fn only_the_ends_of_long_queues_move(story in vec(any::<u8>(), 0..160)) {
            super::relief(&story);
        }
    }
}
