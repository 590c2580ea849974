//! One peer after its transport is up: framing, phases, legality, answers, keep-alive, time-outs.
//!
//! This room decides what a peer may send and in which order our bytes leave. It must never know
//! what pieces contain, which files they belong to, which socket carries the bytes, or what time it
//! is: bytes and `now` come in as arguments. Its caller is the loop that owns the socket.
//!
//! - `config.rs`, `event.rs` – what goes in and comes out, as data
//! - `receive.rs` – bytes to events: handshake, framing, dispatch
//! - `send.rs` – what the owner wants to say, and the order in which it leaves
//! - `rules.rs` – what is negotiated and what is legal now, on both sides
//! - `requests.rs` – the peer's requests that wait for an answer, and their answers
//! - `cancels.rs` – how many cancels for nothing are put up with
//! - `deferred.rs` – what the peer announced before the piece count is known (magnets)
//! - `outbox.rs` – bytes that wait to be written
//! - `clock.rs` – deadlines

use std::collections::VecDeque;
use std::time::Instant;

use bt_metainfo::{InfoHash, PieceIndex};
use bytes::BytesMut;

use crate::error::{Error, Misbehaved};
use crate::ext::{Ext, PeerIds};
use crate::frame;
use crate::handshake::{HANDSHAKE_HEAD_LEN, HANDSHAKE_LEN, Handshake, Reserved};
use crate::limits;
use crate::message::Message;

mod cancels;
mod clock;
mod config;
mod deferred;
mod event;
mod outbox;
mod receive;
mod requests;
mod rules;
mod send;

pub use config::{Config, IncomingConfig, Timeouts};
pub use event::{Event, Refusal, Stats, Transmit};

use cancels::VainCancels;
use clock::Clock;
use deferred::Deferred;
use outbox::Outbox;
use requests::Requests;
use rules::Rules;

/// The state of one connection. Does no input or output and has no clock.
///
/// # The contract
///
/// There are four kinds of method:
///
/// - *what happened*: [`received`](Self::received), [`handle_timeout`](Self::handle_timeout),
///   [`accept`](Self::accept), [`set_piece_count`](Self::set_piece_count);
/// - *what the owner wants*: [`send`](Self::send), [`announce_pieces`](Self::announce_pieces),
///   [`choke`](Self::choke), [`send_block`](Self::send_block), [`reject`](Self::reject),
///   [`cancel`](Self::cancel);
/// - *what to do next*: [`poll_event`](Self::poll_event), [`poll_transmit`](Self::poll_transmit),
///   [`poll_timeout`](Self::poll_timeout), [`wanted`](Self::wanted);
/// - getters, which change nothing.
///
/// After any method of the first two kinds, take all events, then write what `poll_transmit` gives
/// as far as the transport takes it, then ask `poll_timeout` when to come back. `now` must not run
/// backwards; if it does, the earlier time is used.
///
/// An error is final: events from before it can still be taken, nothing is sent any more, and the
/// owner closes the transport.
///
/// # Requests of the peer
///
/// Each valid request becomes one event and waits in the connection until it is answered, which
/// happens exactly once: by a block (`send_block`, then `poll_transmit` hands it out), by
/// [`reject`](Self::reject), by the peer's own cancel, or by our [`choke`](Self::choke). All but the
/// first are answered with a reject message if the fast extension is negotiated (BEP 6) and
/// silently otherwise (BEP 3). What the *owner* has to do: choose when to choke, fetch data, and
/// drop the data of a block for which `send_block` gives `false`.
#[derive(Debug)]
pub struct Connection {
    phase: Phase,
    /// `None` until an incoming connection is accepted.
    config: Option<Config>,
    timeouts: Timeouts,
    peer: Option<Handshake>,
    rules: Rules,
    requests: Requests,
    vain_cancels: VainCancels,
    /// The extensions that our last extension handshake offers.
    offered: [bool; Ext::COUNT],
    peer_ids: PeerIds,
    deferred: Deferred,
    outbox: Outbox,
    events: VecDeque<Event>,
    clock: Clock,
    /// Blocks that we asked for and that neither came nor were refused; a guess where the protocol
    /// leaves it open (BEP 3 has no answer to a cancel).
    blocks_due: u32,
    /// Bytes of a message that is not wanted and still to come.
    skip: usize,
    /// The length of the incomplete message at the front of the owner's buffer, if known.
    front: Option<usize>,
    /// How many bytes `received` left in the owner's buffer.
    left: usize,
    error: Option<Error>,
    stats: Stats,
}

/// How far the handshake is.
#[derive(Clone, Copy, Debug)]
enum Phase {
    /// Waiting for all of the peer's handshake but its id.
    Head,
    /// Waiting for the owner to accept the torrent.
    Undecided {
        reserved: Reserved,
        info_hash: InfoHash,
    },
    /// Waiting for the peer's id.
    PeerId {
        reserved: Reserved,
        info_hash: InfoHash,
    },
    /// Messages flow.
    Open,
}

impl Connection {
    /// The side that dialed: our handshake is ready to be written.
    pub fn outgoing(config: Config, now: Instant) -> Self {
        let mut connection = Self::start(config.timeouts, now);
        connection.introduce(config);
        connection
    }

    /// The side that was dialed: waits for the peer to name its torrent.
    pub fn incoming(config: IncomingConfig, now: Instant) -> Self {
        Self::start(config.timeouts, now)
    }

    fn start(timeouts: Timeouts, now: Instant) -> Self {
        Self {
            phase: Phase::Head,
            config: None,
            timeouts,
            peer: None,
            rules: Rules::default(),
            requests: Requests::default(),
            vain_cancels: VainCancels::default(),
            offered: [false; Ext::COUNT],
            peer_ids: PeerIds::default(),
            deferred: Deferred::default(),
            outbox: Outbox::default(),
            events: VecDeque::new(),
            clock: Clock::new(now),
            blocks_due: 0,
            skip: 0,
            front: Some(HANDSHAKE_HEAD_LEN),
            left: 0,
            error: None,
            stats: Stats::default(),
        }
    }

    /// Queues our handshake and takes over what the configuration says.
    fn introduce(&mut self, config: Config) {
        let Config {
            info_hash,
            peer_id,
            reserved,
            ..
        } = config;
        self.outbox.push(
            &Handshake {
                reserved,
                info_hash,
                peer_id,
            }
            .encode(),
        );
        self.requests.limit = config.max_requests.min(limits::MAX_INCOMING_REQUESTS);
        self.rules.piece_count = config.piece_count;
        self.timeouts = config.timeouts;
        self.config = Some(config);
    }

    /// Answers [`Event::InfoHash`]: this is who we are for that torrent.
    ///
    /// The peer's next bytes may be in the owner's buffer already, so call
    /// [`received`](Self::received) again afterwards. `config.info_hash` may differ from the one in
    /// the event only where two hashes name one torrent (hybrid torrents, BEP 52). At any other
    /// time this does nothing and gives `false`.
    pub fn accept(&mut self, now: Instant, config: Config) -> bool {
        self.clock.advance(now);
        let Phase::Undecided {
            reserved,
            info_hash,
        } = self.phase
        else {
            return false;
        };
        if self.error.is_some() {
            return false;
        }
        self.phase = Phase::PeerId {
            reserved,
            info_hash,
        };
        self.front = Some(HANDSHAKE_LEN - HANDSHAKE_HEAD_LEN);
        self.introduce(config);
        true
    }

    /// Says how many pieces the torrent has, once its metadata is known.
    ///
    /// What the peer announced before is checked now and comes out as events. Does nothing if the
    /// count is known.
    ///
    /// # Errors
    ///
    /// If what the peer announced does not fit a torrent of `count` pieces.
    pub fn set_piece_count(&mut self, count: u32) -> Result<(), Error> {
        self.check()?;
        if self.rules.piece_count.is_some() {
            return Ok(());
        }
        self.rules.piece_count = Some(count);
        if let Some(config) = &mut self.config {
            config.piece_count = Some(count);
        }
        match std::mem::take(&mut self.deferred).resolve(count) {
            Ok(events) => {
                self.events.extend(events);
                Ok(())
            }
            Err(error) => Err(self.fail(error.into())),
        }
    }

    /// Takes all whole messages off the front of `buf`, which holds what was read so far.
    ///
    /// The owner reads from its transport to the end of `buf` and calls this; a message that is not
    /// complete stays in `buf` and is waited for. Payloads in the events are slices of `buf`'s
    /// memory, never copies. There are at most as many events as `buf` had bytes, divided by five.
    ///
    /// # Errors
    ///
    /// Whatever ends the connection. Later calls give the same error.
    pub fn received(&mut self, now: Instant, buf: &mut BytesMut) -> Result<(), Error> {
        self.check()?;
        self.clock.advance(now);
        if buf.len() != self.left {
            self.clock.heard();
        }
        let result = self.consume(buf);
        self.left = buf.len();
        result.map_err(|error| self.fail(error))?;
        self.check_outbox()
    }

    /// How many bytes to read next, given that `buffered` bytes are in the buffer after
    /// [`received`](Self::received) and that there is room for `spare` more. Never 0.
    ///
    /// While blocks are due, reading no more than this makes the buffer end on a message boundary:
    /// when it is full, nothing is left in it that would have to be moved to the next one. A result
    /// above `spare` says that the next message does not fit: reserve so much first, which moves
    /// `buffered` bytes to a fresh buffer.
    pub fn wanted(&self, buffered: usize, spare: usize) -> usize {
        let block_due = self.blocks_due > 0;
        match self.phase {
            // Skipped bytes do not stay in the buffer, so any room will do for them.
            Phase::Open if self.skip > spare => spare.max(1),
            Phase::Open if self.skip > 0 => frame::wanted(Some(self.skip), 0, spare, block_due),
            Phase::Open => frame::wanted(self.front, buffered, spare, block_due),
            _ => frame::wanted(self.front, buffered, spare, false),
        }
    }

    /// The next thing the peer did.
    pub fn poll_event(&mut self) -> Option<Event> {
        let event = self.events.pop_front();
        if event.is_none() {
            // A burst of tiny messages must not pin memory for the life of the connection.
            self.events.shrink_to(64);
        }
        event
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due next; may be in the past. `None` after
    /// an error.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.error.is_some() {
            return None;
        }
        Some(if self.outbox.is_over() {
            self.clock.now()
        } else {
            self.clock.deadline(&self.timeouts, self.is_open())
        })
    }

    /// Does what is due at `now`: sends a keep-alive, or finds that the peer is gone. Calling it
    /// early does nothing.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`], or [`Misbehaved::DoesNotRead`].
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), Error> {
        self.check()?;
        self.clock.advance(now);
        self.check_outbox()?;
        let open = self.is_open();
        if let Some(reason) = self.clock.expired(&self.timeouts, open) {
            return Err(self.fail(reason.into()));
        }
        if open && self.clock.keep_alive_due(&self.timeouts) {
            // Whatever waits to be written is a sign of life already.
            if self.outbox.is_empty() && !self.requests.has_queued() {
                self.outbox.encode(&Message::KeepAlive);
            }
            self.clock.sent();
        }
        Ok(())
    }

    /// The owner has not read from the peer since `since`, for reasons of its own: the peer has that much longer to say
    /// something, but no more than twice as long as without.
    pub fn did_not_listen(&mut self, now: Instant, since: Instant) {
        self.clock.advance(now);
        self.clock.did_not_listen(since, &self.timeouts);
    }

    /// Whether both handshakes are done and no error happened.
    pub fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open) && self.error.is_none()
    }

    /// The peer's handshake, once complete.
    pub fn peer(&self) -> Option<&Handshake> {
        self.peer.as_ref()
    }

    /// Whether both sides speak the fast extension (BEP 6).
    pub fn supports_fast(&self) -> bool {
        self.rules.negotiated.supports_fast()
    }

    /// Whether both sides speak the extension protocol (BEP 10).
    pub fn supports_extended(&self) -> bool {
        self.rules.negotiated.supports_extended()
    }

    /// Whether the peer's extension handshakes offer this extension.
    pub fn peer_speaks(&self, ext: Ext) -> bool {
        self.peer_ids.get(ext).is_some()
    }

    /// Whether we choke the peer. Connections start so.
    pub fn is_choking(&self) -> bool {
        self.rules.choking
    }

    /// Whether we told the peer that we are interested.
    pub fn is_interested(&self) -> bool {
        self.rules.interested
    }

    /// Whether the peer chokes us. Connections start so.
    pub fn is_peer_choking(&self) -> bool {
        self.rules.peer_choking
    }

    /// Whether the peer is interested in us.
    pub fn is_peer_interested(&self) -> bool {
        self.rules.peer_interested
    }

    /// Whether we allowed the peer to fetch this piece while choked (BEP 6).
    pub fn is_allowed_fast(&self, piece: PieceIndex) -> bool {
        self.rules.is_allowed_fast(piece)
    }

    /// How many requests of the peer wait for an answer.
    pub fn waiting_requests(&self) -> usize {
        self.requests.len()
    }

    /// How many bytes of messages wait for [`poll_transmit`](Self::poll_transmit); blocks not
    /// counted. Above [`limits::MAX_CONTROL_BYTES`] the peer is given up.
    pub fn queued_bytes(&self) -> usize {
        self.outbox.len()
    }

    /// What went over the connection so far.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    fn check(&self) -> Result<(), Error> {
        self.error.clone().map_or(Ok(()), Err)
    }

    fn check_outbox(&mut self) -> Result<(), Error> {
        if !self.outbox.is_over() {
            return Ok(());
        }
        let (queued, limit) = (self.outbox.len(), limits::MAX_CONTROL_BYTES);
        Err(self.fail(Misbehaved::DoesNotRead { queued, limit }.into()))
    }

    fn fail(&mut self, error: Error) -> Error {
        self.error = Some(error.clone());
        error
    }
}

#[cfg(test)]
mod tests;
