//! What the disk reports besides verdicts: it is full, it has room again, it is broken, pieces are no longer there.
//!
//! It must not know how room is measured.

use std::time::{Duration, Instant};

use bt_metainfo::PieceIndex;

use super::Torrent;
use crate::engine::{Notice, Output, Outputs, PeerKey, State, Trouble, TroubleKind};
use crate::limits::{ENOUGH_ROOM, LOOK_FOR_ROOM, LOOK_FOR_ROOM_AT_MOST};

/// A full disk that we wait for.
#[derive(Debug)]
pub(super) struct Shortage {
    /// When to look for room.
    pub(super) next_look: Instant,
    /// The time between two looks.
    wait: Duration,
}

impl Torrent {
    pub(super) fn storage_failed(&mut self, now: Instant, trouble: Trouble, out: &mut Outputs) {
        match (trouble.kind, self.state) {
            (_, State::Failed | State::Stopped) => {}
            (TroubleKind::Full, State::Downloading) => self.disk_is_full(now, trouble, out),
            // What is missing was given up when the first write failed, and nothing has been asked for since.
            (TroubleKind::Full, State::DiskFull | State::Paused) => {}
            (TroubleKind::Full, State::Seeding | State::Finished) => {
                // What was under way when its file was deselected will not be written: selected again, it is begun anew.
                self.drop_all_partials();
                out.push(Output::Forget);
                out.push(Output::Notice(Notice::DiskFull(trouble)));
            }
            (TroubleKind::Full, State::Checking) | (TroubleKind::Broken, _) => {
                self.close_all(now, out);
                self.announcing.stop(now);
                self.failure = Some(trouble.message.clone());
                self.set_state(State::Failed, out);
                out.push(Output::Notice(Notice::Failed(trouble)));
            }
        }
    }

    /// Writing stops until there is room; serving goes on.
    fn disk_is_full(&mut self, now: Instant, trouble: Trouble, out: &mut Outputs) {
        // A disk that says that it has room and then takes nothing (a quota does that) is asked less and less often.
        let wait = match &self.shortage {
            Some(before) => (before.wait * 2).min(LOOK_FOR_ROOM_AT_MOST),
            None => LOOK_FOR_ROOM,
        };
        self.shortage = Some(Shortage {
            next_look: now + wait,
            wait,
        });
        self.endgame = false;
        self.failure = Some(trouble.message.clone());
        self.set_state(State::DiskFull, out);
        self.call_everything_off(now, out);
        self.drop_all_partials();
        out.push(Output::Forget);
        out.push(Output::Notice(Notice::DiskFull(trouble)));
    }

    /// Cancels every request under way.
    fn call_everything_off(&mut self, now: Instant, out: &mut Outputs) {
        let keys: Vec<PeerKey> = self.peers.keys().copied().collect();
        for key in keys {
            self.call_off_where(now, key, |_| true, out);
        }
    }

    /// The pieces under way are missing again; the disk forgets their blocks as well. A piece that it is hashing may yet
    /// turn out good.
    pub(super) fn drop_all_partials(&mut self) {
        let under_way: Vec<PieceIndex> = self.pieces.partials().map(|(piece, _)| piece).collect();
        for piece in under_way {
            self.write_off(piece);
        }
        for piece in self.pieces.drop_partials() {
            if self.pieces.wants(piece) {
                self.list(piece);
            }
        }
    }

    /// What is here of a piece under way will not be used.
    pub(super) fn write_off(&mut self, piece: PieceIndex) {
        if self.pieces.is_incomplete(piece) {
            self.counters.thrown_away(self.pieces.bytes_received(piece));
        }
    }

    /// Looks for room when it is time to.
    pub(super) fn look_for_room(&mut self, now: Instant, out: &mut Outputs) {
        if self.state == State::DiskFull
            && let Some(shortage) = &mut self.shortage
            && shortage.next_look <= now
        {
            shortage.next_look = now + shortage.wait;
            out.push(Output::LookForRoom);
        }
    }

    /// When to look for room next.
    pub(super) fn next_look_for_room(&self) -> Option<Instant> {
        let shortage = self.shortage.as_ref()?;
        (self.state == State::DiskFull).then_some(shortage.next_look)
    }

    /// So many bytes are free.
    pub(super) fn room(&mut self, now: Instant, free: u64, out: &mut Outputs) {
        if self.state != State::DiskFull || free < self.room_needed() {
            return;
        }
        self.failure = None;
        self.set_state(self.working_state(), out);
        self.request_more_of_all(now, out);
        self.dial(now, out);
    }

    /// Room with which it is worth to go on: for two pieces, or for all that is missing.
    fn room_needed(&self) -> u64 {
        ENOUGH_ROOM
            .min(2 * u64::from(self.layout.piece_length()))
            .min(self.pieces.bytes_left())
    }

    /// These pieces turned out not to be on the disk any more: they are missing again.
    pub(super) fn pieces_lost(&mut self, now: Instant, lost: &[PieceIndex], out: &mut Outputs) {
        let mut gone = Vec::new();
        for &piece in lost {
            if self.pieces.lost(piece) {
                gone.push(piece);
                if self.pieces.wants(piece) {
                    self.list(piece);
                }
            }
        }
        self.tell_lost(&gone, out);
        // An initial seeder that lacks a piece is no seed.
        if !self.has_everything() {
            self.stop_spreading(out);
        }
        self.selection_or_pieces_changed(now, out);
    }

    /// Everything that follows from what is wanted and what is here: interest, state, requests.
    pub(super) fn selection_or_pieces_changed(&mut self, now: Instant, out: &mut Outputs) {
        let (pieces, availability) = (&self.pieces, &self.availability);
        for peer in self.peers.values_mut() {
            let wanted = peer.has.iter_ones().filter(|piece| pieces.wants(*piece));
            peer.useful = u32::try_from(wanted.count()).unwrap_or(u32::MAX);
            let listed = peer
                .has
                .iter_ones()
                .filter(|piece| availability.is_listed(*piece));
            peer.open = u32::try_from(listed.count()).unwrap_or(u32::MAX);
            peer.current = None;
        }
        let keys: Vec<PeerKey> = self.peers.keys().copied().collect();
        for key in keys {
            self.update_interest(key, out);
        }
        self.update_partial_seed();
        if !self.is_complete() {
            self.candidates.release();
        }
        // Whoever has told of a completion tells of the next one, also if this comes during a pause.
        self.completed_before &= self.is_complete();
        match self.state {
            State::Downloading | State::DiskFull if self.is_complete() && self.checked => {
                self.completed(now, out);
            }
            State::Seeding | State::Finished => self.set_state(self.working_state(), out),
            _ => {}
        }
        self.request_more_of_all(now, out);
        self.dial(now, out);
    }
}
