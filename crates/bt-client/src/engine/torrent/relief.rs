//! A peer that has nothing to do takes over what others keep us waiting for.
//!
//! Who shows a piece first is asked for it by all its neighbours at once. By the time others have it too, it is under way
//! to everybody, in one long queue, and they are idle. So blocks move from the end of a long queue to an idle peer: called
//! off there, asked here. The end-game, which asks twice, comes after it.

use std::time::{Duration, Instant};

use bt_metainfo::{BlockRef, PieceIndex};
use bt_wire::Message;

use super::Torrent;
use crate::engine::peers::Peer;
use crate::engine::{Output, Outputs, PeerKey};

/// The first requests of a queue stay where they are: they are on their way before a word of ours arrives.
const KEPT: usize = 3;

/// How long a block has to be expected to take at least, besides a round trip, before it is worth two messages.
const WORTH_IT: Duration = Duration::from_millis(100);

/// How long a request has been under way at least, besides a round trip: how fast a peer is shows in what it has had time
/// for.
const OLD_ENOUGH: Duration = Duration::from_millis(50);

/// The same of a peer that has sent next to nothing since it unchoked us: how far away it is, and how fast, is not known.
/// For so long we expect to wait for each of its blocks as well.
const UNKNOWN: Duration = Duration::from_millis(500);

/// Blocks that are moved at once, at most: the next ones are when these have come.
const MOST_AT_ONCE: usize = 4;

/// Requests at the end of each queue that are looked at.
const MOST_LOOKED_AT: usize = 8;

/// When a peer found nothing to take over, nobody looks again for so long for each peer that there is: a look costs as much
/// as there are peers, and whoever tells us of a piece a thousand times a second must not make us look as often. It is
/// some ten times what a look takes, by estimate.
const PAUSE_EACH: Duration = Duration::from_micros(5);

impl Torrent {
    /// There is nothing new to ask of `key`, who does not choke us: if it has nothing to do, it gets up to `room` blocks
    /// that others were asked for, those first that would take longest.
    pub(super) fn relieve_others(
        &mut self,
        now: Instant,
        key: PeerKey,
        room: usize,
        barred: &[PieceIndex],
        blocks: &mut Vec<BlockRef>,
        out: &mut Outputs,
    ) {
        let may_look = self.next_relief.is_none_or(|at| now >= at);
        let may = self.peers.get(&key).is_some_and(Peer::may_relieve);
        if !may_look || !may {
            return;
        }
        let late = self.what_comes_sooner(now, key, barred, room.min(MOST_AT_ONCE));
        if late.is_empty() {
            let there = u32::try_from(self.peers.len()).unwrap_or(u32::MAX);
            self.next_relief = Some(now + PAUSE_EACH.saturating_mul(there));
        } else if let Some(peer) = self.peers.get_mut(&key) {
            peer.relieves();
        }
        for (_, other, block) in late {
            let slow = self.peers.get_mut(&other);
            if slow.is_some_and(|slow| slow.call_off(now, block)) {
                out.push(Output::Send(other, Message::Cancel(block)));
                blocks.push(block);
            }
        }
    }

    /// Up to `most` of the blocks that others were asked for and `key` would send sooner, those first for which we would
    /// wait longest: for how many seconds, and for whom.
    fn what_comes_sooner(
        &self,
        now: Instant,
        key: PeerKey,
        barred: &[PieceIndex],
        most: usize,
    ) -> Vec<(f64, PeerKey, BlockRef)> {
        let mut late = self.waits_of_others(now, key, barred);
        late.sort_by(|(one, ..), (other, ..)| other.total_cmp(one));
        let Some(peer) = self.peers.get(&key) else {
            return Vec::new();
        };
        // The one that waits least goes last, and has to be worth it as well.
        let is_sooner = |at: usize, wait: f64| peer.wait(now, at) < wait;
        let sooner = late.iter().enumerate().take(most);
        let sooner = sooner.take_while(|(at, (wait, ..))| is_sooner(*at, *wait));
        let count = sooner.count();
        late.truncate(count);
        late
    }

    /// Blocks that `key` has, and that others were asked for, so that we have to wait for them: for how many seconds, and
    /// for whom.
    fn waits_of_others(
        &self,
        now: Instant,
        key: PeerKey,
        barred: &[PieceIndex],
    ) -> Vec<(f64, PeerKey, BlockRef)> {
        let mut late = Vec::new();
        let Some(peer) = self.peers.get(&key) else {
            return late;
        };
        let may = |piece| {
            peer.has.get(piece) && !barred.contains(&piece) && self.suspects.may_share(now, piece)
        };
        let held_up = self.held_up();
        for (&other, slow) in self.peers.iter().filter(|(other, _)| **other != key) {
            if slow.in_flight.len() <= KEPT {
                continue;
            }
            let (old_enough, bearable, a_block) = match slow.seconds_a_block(now) {
                Some(a_block) => {
                    let trip = slow.pipeline.round_trip();
                    (OLD_ENOUGH + trip, WORTH_IT + trip, a_block)
                }
                None => (UNKNOWN, WORTH_IT, UNKNOWN.as_secs_f64()),
            };
            let (old_enough, bearable) = (old_enough + held_up, bearable + held_up);
            let first = slow
                .in_flight
                .len()
                .saturating_sub(MOST_LOOKED_AT)
                .max(KEPT);
            let asked = slow.in_flight.iter().enumerate().skip(first);
            for (before, flying) in asked {
                #[expect(
                    clippy::cast_precision_loss,
                    reason = "there are a thousand of them at most"
                )]
                let wait = (before + 1) as f64 * a_block;
                let is_old = now.saturating_duration_since(flying.at) >= old_enough;
                if wait < bearable.as_secs_f64() || !is_old {
                    continue;
                }
                if may(flying.block.piece) && self.pieces.is_asked_once(flying.block) {
                    late.push((wait, other, flying.block));
                }
            }
        }
        late
    }
}
