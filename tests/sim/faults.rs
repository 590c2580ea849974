//! What goes wrong: nodes that leave or crash, disks, trackers, lines, clocks, and nodes that misbehave on purpose.

use std::collections::BTreeMap;
use std::time::Duration;

use bt_client::engine::{Command, Input, TokenBucket};
use bt_metainfo::{BlockRef, PieceIndex};
use bt_wire::{Message, ext};

use super::disk::Truth;
use super::link::Uplink;
use super::node::Log;
use super::plan::{Conduct, Fault};
use super::traffic::{Mail, SILENCE};
use super::wire::extended;
use super::world::{Happening, MISCHIEF, World};

/// Requests that a hoarder sends to each peer at a time.
const HOARD: usize = 200;

/// How long a session waits for the goodbyes of a torrent that is removed.
const GOODBYE: Duration = Duration::from_secs(6);

/// What a pusher sends: unlike the truth, and unlike what anybody else sends.
const RUBBISH: Truth = 254;

impl World {
    /// Strikes what the plan says.
    pub(crate) fn planned(&mut self, number: usize) {
        let fault = self.plan.faults[number].1;
        self.coming -= usize::from(fault.is_awaited());
        self.strike(fault);
    }

    pub(crate) fn strike(&mut self, fault: Fault) {
        match fault {
            Fault::Leave(node) => {
                if self.nodes[node].online {
                    self.tell(node, Input::Command(Command::Stop));
                    self.nodes[node].online = false;
                }
            }
            Fault::Crash {
                node,
                power_cut,
                back_after,
            } => self.crash(node, power_cut, back_after),
            Fault::Pause(node) => self.command(node, Command::Pause),
            Fault::Resume(node) => self.resume(node),
            Fault::Recheck(node, takes) => self.recheck(node, takes),
            Fault::Lose(node) => self.lose(node),
            Fault::Crowded(node, crowded) => self.nodes[node].crowded = crowded,
            Fault::Readd(node, back_after) => self.remove(node, back_after),
            Fault::Reannounce(node) => self.command(node, Command::Reannounce),
            Fault::Prioritize(node) => self.prioritize(node),
            Fault::Select(node, from, to) => self.select(node, from, to),
            Fault::Jump(node, ahead) => {
                self.nodes[node].skew += ahead;
                self.nodes[node].wake = None;
                self.rearm(node);
            }
            Fault::Disk(node, mood) => self.nodes[node].disk.mood = mood,
            Fault::Journal(node, failing) => self.nodes[node].disk.records.failing = failing,
            Fault::Line(node, line) => self.nodes[node].line = line,
            Fault::Limit(node, limit) => {
                let node = &mut self.nodes[node];
                node.limit = limit;
                node.bucket = TokenBucket::new(self.start + self.now, limit);
                node.log.lately.clear();
            }
            Fault::Tracker(tracker, mood) => self.trackers[tracker].mood = mood,
            Fault::Partition(at) => self.partition(at),
            Fault::Heal => self.heal(),
            Fault::Loss(percent) => self.loss = percent,
        }
    }

    fn command(&mut self, node: usize, command: Command) {
        if self.nodes[node].online {
            self.tell(node, Input::Command(command));
        }
    }

    fn crash(&mut self, node: usize, power_cut: bool, back_after: Option<Duration>) {
        if !self.nodes[node].online {
            return;
        }
        let ends = std::mem::take(&mut self.nodes[node].ends);
        // The kernel of a killed program says goodbye for it; without power nobody does.
        let later = if power_cut { SILENCE } else { Duration::ZERO };
        for end in ends.values() {
            self.notify_closed(node, end, later);
        }
        let dead = &mut self.nodes[node];
        let (kept, is_safe) = (dead.disk.synced().clone(), dead.log.is_safe);
        dead.disk.crash(&mut self.dice, power_cut);
        let is_gone = kept.has_more_than(&dead.disk.written);
        let records = dead.disk.records.crash(power_cut);
        let (is_complete, is_full) = (dead.is_complete_on_disk(), dead.disk.written.is_full());
        let has_announced = dead.log.has_announced;
        self.must(node, records);
        self.must(node, self.nodes[node].disk.check_records());
        if is_gone {
            self.broken(node, "what was synced did not survive the crash");
        }
        if is_safe && !is_complete {
            self.broken(node, "what was told as complete did not survive the crash");
        }
        if has_announced && !is_full {
            self.broken(
                node,
                "what was announced as `completed` did not survive the crash",
            );
        }
        self.begin_anew(node, back_after);
    }

    /// Nothing of the node goes on; it comes back after the time, or never.
    fn begin_anew(&mut self, node: usize, back_after: Option<Duration>) {
        let dead = &mut self.nodes[node];
        dead.online = false;
        dead.life += 1;
        dead.uplink = Uplink::default();
        dead.ends = BTreeMap::new();
        dead.wake = None;
        let banned = std::mem::take(&mut dead.log.banned);
        dead.log = Log {
            banned,
            uploaded: dead.log.uploaded,
            uploaded_before: dead.log.uploaded,
            ..Log::default()
        };
        let (life, member, now) = (dead.life, dead.member.clone(), self.instant(node));
        self.nodes[node].engine = self.engine(node, &member, life, now);
        if let Some(delay) = back_after {
            self.coming += 1;
            self.after(delay, Happening::Join(node, life));
        }
    }

    /// Its session forgets it once it has said goodbye.
    fn remove(&mut self, node: usize, back_after: Duration) {
        if !self.nodes[node].online {
            return;
        }
        self.tell(node, Input::Command(Command::Stop));
        self.nodes[node].online = false;
        self.coming += 1;
        self.removed(node, self.now + GOODBYE, back_after);
    }

    pub(crate) fn removed(&mut self, node: usize, until: Duration, back_after: Duration) {
        let life = self.nodes[node].life;
        if self.now < until && !self.nodes[node].engine.has_said_goodbye() {
            let what = Happening::Removed {
                node,
                life,
                until,
                back_after,
            };
            return self.after(Duration::from_millis(20), what);
        }
        self.coming -= 1;
        self.nodes[node].disk.crash(&mut self.dice, false);
        self.nodes[node].disk.records.remove();
        self.begin_anew(node, Some(back_after));
    }

    /// A machine is back that had lost its power: it resets the connections that others believe to have with it.
    pub(crate) fn reset_stale(&mut self, back: usize) {
        let mut stale = Vec::new();
        for (number, node) in self.nodes.iter().enumerate() {
            for (key, end) in &node.ends {
                if end.node == back {
                    stale.push((number, *key, end.link));
                }
            }
        }
        for (node, key, link) in stale {
            let delay = self.distance(node, back) * 2;
            self.after(delay, Happening::Closed { node, key, link });
        }
    }

    fn partition(&mut self, at: usize) {
        self.split = Some(at);
        let mut silent = Vec::new();
        for (number, node) in self.nodes.iter().enumerate() {
            for (key, end) in &node.ends {
                if self.apart(number, end.node) {
                    silent.push((number, *key, end.link));
                }
            }
        }
        for (node, key, link) in silent {
            self.after(SILENCE, Happening::Silence { node, key, link });
        }
    }

    fn heal(&mut self) {
        self.split = None;
        for (from, what) in std::mem::take(&mut self.held) {
            let delay = self.nodes[from].line.latency * 2;
            self.after(delay, what);
        }
    }

    /// What a badly behaved node does five times a second.
    pub(crate) fn mischief(&mut self, node: usize) {
        if !self.nodes[node].online {
            return;
        }
        if self.nodes[node].member.conduct == Conduct::Pusher {
            self.push_rubbish(node);
        }
        let mut mail = Mail::default();
        let keys: Vec<_> = self.nodes[node].ends.keys().copied().collect();
        for key in keys {
            match self.nodes[node].member.conduct {
                Conduct::Flapper => {
                    let end = self.nodes[node]
                        .ends
                        .get_mut(&key)
                        .expect("one of its keys");
                    if end.choking {
                        end.choking = false;
                        mail.add(key, Message::Unchoke);
                    } else {
                        self.choke_on_wire(node, key, &mut mail);
                    }
                }
                Conduct::Fickle => {
                    let end = self.nodes[node]
                        .ends
                        .get_mut(&key)
                        .expect("one of its keys");
                    end.interested = !end.interested;
                    mail.add(
                        key,
                        if end.interested {
                            Message::Interested
                        } else {
                            Message::NotInterested
                        },
                    );
                }
                Conduct::Hoarder => {
                    for _ in 0..HOARD {
                        let pieces = u64::from(self.layout.piece_count());
                        let piece = u32::try_from(self.dice.between(0, pieces)).expect("a piece");
                        let piece = PieceIndex(piece);
                        let count = u64::from(self.layout.block_count(piece));
                        let number = u32::try_from(self.dice.between(0, count)).expect("a block");
                        mail.add(key, Message::Request(self.layout.block(piece, number)));
                    }
                }
                Conduct::Forgetter => {
                    let has: Vec<PieceIndex> = self.nodes[node].engine.have().iter_ones().collect();
                    if has.is_empty() {
                        continue;
                    }
                    let piece = has[self.dice.below(has.len())];
                    let lost = ext::Message::DontHave(ext::DontHave(piece));
                    mail.add(key, extended(&lost));
                    let again = match self.dice.chance(80) {
                        true => piece,
                        false => has[self.dice.below(has.len())],
                    };
                    mail.add(key, Message::Have(again));
                }
                _ => {}
            }
        }
        self.post(node, mail);
        let life = self.nodes[node].life;
        self.after(MISCHIEF, Happening::Mischief(node, life));
    }

    /// One block of rubbish into each piece of which its peers have asked others.
    fn push_rubbish(&mut self, node: usize) {
        let ends = self.nodes[node].ends.values();
        let ends: Vec<_> = ends.map(|end| (end.node, end.key, end.link)).collect();
        for (to, key, link) in ends {
            let others = self.nodes[to].ends.values().filter(|end| end.node != node);
            let asked = others.flat_map(|end| end.unanswered());
            let by_piece: BTreeMap<PieceIndex, BlockRef> =
                asked.map(|block| (block.piece, *block)).collect();
            let delay = self.distance(node, to);
            for block in by_piece.into_values() {
                let what = Happening::BlockArrives {
                    to,
                    key,
                    link,
                    block,
                    truth: RUBBISH,
                };
                self.after(delay, what);
            }
        }
    }
}
