//! What must hold after every step, and at the end of a run. The numbers are those of `docs/TESTING.md`.
//!
//! Rules about single messages stand where the messages pass: in `wire.rs`, `traffic.rs`, `disk.rs` and `tracker.rs`.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use bt_metainfo::PieceIndex;

use super::node::Node;
use super::world::World;

/// The burst that a limit may hand out at once: a quarter of a second, at least two blocks; and the block under way.
fn allowed(limit: u64) -> u64 {
    2 * limit + (limit / 4).max(32 * 1024) + 16 * 1024
}

/// How long what is under way may take to settle once everybody is complete.
const SETTLE: Duration = Duration::from_secs(20);

impl World {
    /// Fails the run if `result` is an error.
    pub(crate) fn must<T>(&self, node: usize, result: Result<T, impl fmt::Display>) -> T {
        match result {
            Ok(value) => value,
            Err(error) => self.broken(node, &error.to_string()),
        }
    }

    /// An invariant does not hold.
    pub(crate) fn broken(&self, node: usize, what: &str) -> ! {
        panic!(
            "seed {}, step {}, at {:?}, node {node}: {what}",
            self.seed, self.steps, self.now
        );
    }

    /// After each step that touched `node`.
    pub(crate) fn check(&self, node: usize) {
        self.must(node, self.look_at(node));
        if self.audit_every > 0 && self.steps.is_multiple_of(self.audit_every) {
            self.must(node, self.nodes[node].engine.audit());
        }
    }

    fn look_at(&self, number: usize) -> Result<(), String> {
        let node = &self.nodes[number];
        // 3: what it says that it has is on the disk, and right.
        if node.online
            && let Some(piece) = node.engine.have().iter_and_not(&node.disk.written).next()
        {
            return Err(format!("it has piece {piece}, and the disk does not"));
        }
        if node.disk.synced().has_more_than(&node.disk.written) {
            return Err("something is durable that is not written".to_owned());
        }
        // 10: every byte that came was counted once.
        let (uploaded, received) = node.engine.totals();
        let unasked = node.engine.unasked();
        if received + unasked != node.log.received {
            return Err(format!(
                "{received} bytes are counted as received, and {unasked} that nobody asked for; {} came",
                node.log.received
            ));
        }
        let sent = node.log.uploaded - node.log.uploaded_before;
        if uploaded != sent {
            return Err(format!("{uploaded} bytes are counted as sent, {sent} left"));
        }
        let (have, count) = (node.engine.have(), self.layout.piece_count());
        let missing = count - have.count_ones();
        let (left, full) = (node.engine.left(), self.layout.piece_length());
        let last = PieceIndex(count - 1);
        let shorter = match have.get(last) {
            true => 0,
            false => full - self.layout.piece_size(last),
        };
        if left != u64::from(missing) * u64::from(full) - u64::from(shorter) {
            return Err(format!(
                "{left} bytes are counted as left, {missing} pieces are missing"
            ));
        }
        self.look_at_peers(number, node)
    }

    fn look_at_peers(&self, number: usize, node: &Node) -> Result<(), String> {
        // 16: nobody honest is banned, and nobody banned is connected.
        for ip in &node.log.banned {
            let guilty = self
                .culprits
                .iter()
                .any(|culprit| self.nodes.get(*culprit).map(|node| node.addr.ip()) == Some(*ip));
            if !guilty {
                return Err(format!("{ip} is banned and did nothing wrong"));
            }
        }
        if !node.log.banned.is_empty() && node.is_honest() && node.life == 0 {
            for end in node.ends.values() {
                if node.log.banned.contains(&self.nodes[end.node].addr.ip()) {
                    return Err(format!(
                        "{} is banned and connected",
                        self.nodes[end.node].addr
                    ));
                }
            }
        }
        // 13: no limit is exceeded over any two seconds.
        if let Some(limit) = node.limit {
            let sent: u64 = node.log.lately.iter().map(|(_, bytes)| bytes).sum();
            if sent > allowed(limit) {
                return Err(format!(
                    "{sent} bytes left in 2 s, the limit is {limit} a second"
                ));
            }
        }
        // 9, one half: its engine and its connections agree on who is choked.
        let unchoked = node
            .ends
            .values()
            .filter(|end| !end.choking && end.peer_interested);
        let (unchoked, slots) = (unchoked.count(), node.member.slots.max(1));
        if node.is_honest() && unchoked > slots {
            return Err(format!(
                "{unchoked} peers are unchoked of {slots} slots ({number})"
            ));
        }
        Ok(())
    }

    /// 15: after a time-out, the next one is in the future.
    pub(crate) fn time_moves_on(&self, node: usize) {
        let now = self.instant(node);
        if self.nodes[node]
            .engine
            .poll_timeout()
            .is_some_and(|at| at <= now)
        {
            self.broken(node, "the time-out that was handled is due again at once");
        }
    }

    pub(crate) fn account(&mut self, from: usize, to: usize, bytes: u64) {
        let near = self.nodes[from].member.group == self.nodes[to].member.group;
        let now = self.now;
        let node = &mut self.nodes[from];
        node.log.uploaded += bytes;
        node.log.uploaded_near += if near { bytes } else { 0 };
        if node.limit.is_some() {
            node.log.lately.push_back((now, bytes));
            while node
                .log
                .lately
                .front()
                .is_some_and(|(at, _)| *at + Duration::from_secs(2) < now)
            {
                node.log.lately.pop_front();
            }
        }
    }

    /// 20 and what belongs to an end: everybody finishes in time, nothing is left under way, all trackers heard the truth.
    pub(crate) fn play(&mut self) {
        let limit = self.plan.limit;
        if !self.run(limit, Self::all_complete) {
            panic!(
                "seed {}: not everybody is complete\n{}",
                self.seed,
                self.picture()
            );
        }
        let end = self.now + SETTLE;
        self.run(end, |_| false);
        for (number, node) in self.nodes.iter().enumerate() {
            if node.online && node.is_honest() {
                self.must(number, self.settled(number, node));
                self.must(number, node.engine.audit());
            }
        }
    }

    fn settled(&self, number: usize, node: &Node) -> Result<(), String> {
        for end in node.ends.values() {
            let other = &self.nodes[end.node];
            let alive = other
                .ends
                .get(&end.key)
                .is_some_and(|its| its.link == end.link);
            let answers = other.is_honest() && alive && end.fast && self.split.is_none();
            if let (true, Some(block)) = (answers && other.line.up > 1e4, end.unanswered().first())
            {
                return Err(format!("{block} was asked for, and no answer ever came"));
            }
        }
        if node.log.owes_safety {
            return Err("what it has told as complete is not safe yet".to_owned());
        }
        if node.log.owes_completed {
            return Err(format!(
                "`completed` was told {} times, and once more is missing",
                node.log.completions
            ));
        }
        // 10, the rest: every byte that came is wasted, part of a piece that failed, or kept.
        let downloaded = node.engine.status(self.instant(number)).downloaded;
        let kept = node.log.fetched + node.disk.unfinished(&self.layout);
        if downloaded != kept && !node.disk.has_forgotten {
            return Err(format!(
                "{downloaded} bytes are counted as downloaded, {kept} were kept"
            ));
        }
        let said =
            |tracker: &super::tracker::Tracker| tracker.heard_completed(node.addr, node.life);
        let partial = node.member.wanted.is_some() && !node.engine.has_everything();
        if (node.log.complete_at_start || partial) && self.trackers.iter().any(said) {
            return Err("a tracker heard `completed` from one that was or is not".to_owned());
        }
        Ok(())
    }

    /// Who was banned by anybody.
    pub(crate) fn bans_of(&self, culprit: usize) -> usize {
        let addr: SocketAddr = self.nodes[culprit].addr;
        let banned = |node: &&Node| node.log.banned.contains(&addr.ip());
        self.nodes.iter().filter(banned).count()
    }
}
