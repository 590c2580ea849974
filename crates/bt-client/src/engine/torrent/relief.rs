//! A peer that has nothing to do takes over what others keep us waiting for.
//!
//! Who shows a piece first is asked for it by all its neighbours at once. By the time others have it too, it is under way
//! to everybody, in one long queue, and they are idle. So blocks move from the end of a long queue to an idle peer: called
//! off there, asked here, and sent by one of them only. The end-game, which asks twice, comes after it.

use std::time::{Duration, Instant};

use bt_metainfo::{BLOCK_SIZE, BlockRef, PieceIndex};
use bt_wire::Message;

use super::Torrent;
use crate::engine::{Output, Outputs, PeerKey};

/// A peer with so many requests under way has something to do.
const BUSY: usize = 2;

/// The first requests of a queue stay where they are: they are on their way before a word of ours arrives.
const KEPT: usize = 3;

/// How long a block has to be expected to take at least, besides a round trip, before it is worth two messages.
const WORTH_IT: Duration = Duration::from_millis(100);

/// How long a request has been under way at least, besides a round trip: how fast a peer is shows in what it has had time
/// for.
const OLD_ENOUGH: Duration = Duration::from_millis(50);

/// The same of a peer that has not sent anything yet.
const UNKNOWN: Duration = Duration::from_millis(500);

/// Blocks that are moved at once, at most: the next ones are when these have come.
const MOST_AT_ONCE: usize = 4;

/// Requests at the end of each queue that are looked at.
const MOST_LOOKED_AT: usize = 8;

/// A peer that found nothing to take over does not look again for this long: to look costs as much as there are peers, and
/// whoever tells us of a piece a thousand times a second must not make us look as often.
const PAUSE: Duration = Duration::from_millis(2);

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
        let Some(peer) = self.peers.get(&key) else {
            return;
        };
        let looked = |at| now.saturating_duration_since(at) < PAUSE;
        let is_idle = peer.in_flight.len() < BUSY && !peer.snubbing;
        if !is_idle || peer.useful == 0 || peer.relieved_nobody.is_some_and(looked) {
            return;
        }
        let mut late = self.waits_of_others(now, key, barred);
        late.sort_by(|(one, ..), (other, ..)| other.total_cmp(one));
        late.truncate(room.min(MOST_AT_ONCE));
        if late.is_empty()
            && let Some(peer) = self.peers.get_mut(&key)
        {
            peer.relieved_nobody = Some(now);
        }
        for (_, other, block) in late {
            let slow = self.peers.get_mut(&other);
            if slow.is_some_and(|slow| slow.call_off(now, block)) {
                out.push(Output::Send(other, Message::Cancel(block)));
                blocks.push(block);
            }
        }
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
            let trip = slow.pipeline.round_trip();
            // How far away it is shows with its first block.
            let old_enough = if slow.downloaded > 0 {
                OLD_ENOUGH + trip
            } else {
                UNKNOWN
            };
            let bearable = (WORTH_IT + trip + held_up).as_secs_f64();
            let first = slow
                .in_flight
                .len()
                .saturating_sub(MOST_LOOKED_AT)
                .max(KEPT);
            let a_block = f64::from(BLOCK_SIZE) / slow.down.rate(now).max(1.0);
            let asked = slow.in_flight.iter().enumerate().skip(first);
            for (before, flying) in asked {
                #[expect(
                    clippy::cast_precision_loss,
                    reason = "there are a thousand of them at most"
                )]
                let wait = (before + 1) as f64 * a_block;
                let is_old = now.saturating_duration_since(flying.at) >= old_enough;
                if wait < bearable || !is_old {
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
