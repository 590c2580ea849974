//! The client's side of one question to one tracker address: connect, ask, retransmit, give up
//! (BEP 15, "Time outs").
//!
//! It must not know sockets. The owner sends packets only to the tracker's address and hands in
//! only packets that came from there; forged sources never reach this machine.

use std::time::{Duration, Instant};

use bt_metainfo::InfoHash;

use super::{
    Family, ReplyHead, decode_announce_reply, decode_connect_reply, decode_error_reply,
    decode_scrape_reply, encode_announce_request, encode_connect_request, encode_scrape_request,
};
use crate::limits::{UDP_CONNECTION_LIFE, UDP_FIRST_TIMEOUT, UDP_MAX_RETRANSMISSIONS};
use crate::{AnnounceRequest, AnnounceResponse, ReplyError, ScrapeResponse};

/// What to ask a tracker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// Announce a peer.
    Announce(AnnounceRequest),
    /// Ask for the numbers of these torrents, at most [`MAX_SCRAPE`](crate::limits::MAX_SCRAPE).
    Scrape(Vec<InfoHash>),
}

/// What the tracker said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To [`Question::Announce`].
    Announce(AnnounceResponse),
    /// To [`Question::Scrape`].
    Scrape(ScrapeResponse),
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExchangeError {
    /// The last of all retransmissions was not answered.
    #[error("no answer to {packets} packets")]
    TimedOut {
        /// How many packets were sent.
        packets: u32,
    },
    /// The answer gives no response.
    #[error(transparent)]
    Reply(#[from] ReplyError),
}

/// A connection id and when it came. It may be used for one minute (BEP 15), by every exchange
/// with the same address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    /// The id.
    pub id: u64,
    /// When the tracker gave it.
    pub received: Instant,
}

impl Connection {
    /// Whether it may still be used.
    #[must_use]
    pub fn is_fresh(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.received) < UDP_CONNECTION_LIFE
    }
}

/// One question on its way to one address of a tracker.
///
/// Call [`poll_transmit`](Self::poll_transmit) until it gives nothing, wait for a packet or for
/// [`poll_timeout`](Self::poll_timeout), hand it to [`handle_packet`](Self::handle_packet) or
/// [`handle_timeout`](Self::handle_timeout), and start over until one of them gives a result.
#[derive(Debug)]
pub struct Exchange {
    question: Question,
    family: Family,
    connection: Option<Connection>,
    /// The connection came from an earlier exchange and this tracker has not yet answered to it. A
    /// tracker that ties ids to ports will not, so silence or an error then means: connect anew.
    borrowed: bool,
    connect_transaction: u32,
    ask_transaction: u32,
    asked: bool,
    /// How often the wait has doubled: the `n` of BEP 15, from 0 to 8.
    doublings: u32,
    /// Waits start over at the first connection only, so that a tracker which connects and then
    /// stays silent is given up in the end.
    connected_once: bool,
    packets: u32,
    transmit: bool,
    deadline: Option<Instant>,
}

impl Exchange {
    /// Starts an exchange. `connection` is the one of an earlier exchange with the same address, if
    /// any; a stale one is not used. The seed must be unpredictable to others: it is what keeps
    /// them from forging replies.
    #[must_use]
    pub fn new(
        question: Question,
        family: Family,
        connection: Option<Connection>,
        seed: u64,
    ) -> Self {
        let [a, b, c, d, e, f, g, h] = crate::seed::mix(seed).to_be_bytes();
        Self {
            question,
            family,
            connection,
            borrowed: connection.is_some(),
            connect_transaction: u32::from_be_bytes([a, b, c, d]),
            ask_transaction: u32::from_be_bytes([e, f, g, h]),
            asked: false,
            doublings: 0,
            connected_once: false,
            packets: 0,
            transmit: true,
            deadline: None,
        }
    }

    /// The connection id to be kept for later exchanges with the same address.
    #[must_use]
    pub fn connection(&self) -> Option<Connection> {
        self.connection
    }

    /// Appends the packet that is to be sent now and returns true, or returns false. Starts the
    /// clock of the reply.
    pub fn poll_transmit(&mut self, now: Instant, out: &mut Vec<u8>) -> bool {
        if !std::mem::take(&mut self.transmit) {
            return false;
        }
        self.connection = self
            .connection
            .filter(|connection| connection.is_fresh(now));
        match (self.connection, &self.question) {
            (None, _) => {
                self.borrowed = false;
                encode_connect_request(self.connect_transaction, out);
            }
            (Some(connection), question) => {
                self.asked = true;
                let (id, transaction) = (connection.id, self.ask_transaction);
                match question {
                    Question::Announce(announce) => {
                        encode_announce_request(id, transaction, announce, out);
                    }
                    Question::Scrape(hashes) => encode_scrape_request(id, transaction, hashes, out),
                }
            }
        }
        self.packets += 1;
        self.deadline = Some(now + wait(self.doublings));
        true
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadline
    }

    /// Notes that time has passed. Does nothing before the deadline.
    ///
    /// # Errors
    ///
    /// [`ExchangeError::TimedOut`] when the last retransmission was not answered; the exchange is
    /// then over.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), ExchangeError> {
        if self.deadline.is_none_or(|deadline| now < deadline) {
            return Ok(());
        }
        self.deadline = None;
        if self.borrowed {
            self.reconnect();
            return Ok(());
        }
        if self.doublings == UDP_MAX_RETRANSMISSIONS {
            return Err(ExchangeError::TimedOut {
                packets: self.packets,
            });
        }
        self.doublings += 1;
        self.transmit = true;
        Ok(())
    }

    /// Reads a packet from the tracker's address. `None` when it is not for us or only a step on
    /// the way. After `Some` the exchange is over.
    pub fn handle_packet(
        &mut self,
        now: Instant,
        packet: &[u8],
    ) -> Option<Result<Answer, ExchangeError>> {
        let head = ReplyHead::decode(packet).ok()?;
        if self.asked && head.transaction_id == self.ask_transaction {
            return self.handle_answer(packet);
        }
        if self.connection.is_none() && head.transaction_id == self.connect_transaction {
            return match decode_connect_reply(packet) {
                Ok(id) => {
                    self.connection = Some(Connection { id, received: now });
                    if !std::mem::replace(&mut self.connected_once, true) {
                        self.doublings = 0;
                    }
                    self.transmit = true;
                    self.deadline = None;
                    None
                }
                Err(error) => Some(Err(error.into())),
            };
        }
        None
    }

    fn handle_answer(&mut self, packet: &[u8]) -> Option<Result<Answer, ExchangeError>> {
        if self.borrowed && decode_error_reply(packet).is_some() {
            self.reconnect();
            return None;
        }
        let answer = match &self.question {
            Question::Announce(_) => {
                decode_announce_reply(packet, self.family).map(Answer::Announce)
            }
            Question::Scrape(hashes) => decode_scrape_reply(packet, hashes).map(Answer::Scrape),
        };
        Some(answer.map_err(ExchangeError::from))
    }

    /// Forgets a connection that the tracker does not honor.
    fn reconnect(&mut self) {
        self.borrowed = false;
        self.connection = None;
        self.asked = false;
        self.transmit = true;
        self.deadline = None;
    }
}

/// 15·2ⁿ seconds.
fn wait(doublings: u32) -> Duration {
    UDP_FIRST_TIMEOUT * 2u32.pow(doublings.min(UDP_MAX_RETRANSMISSIONS))
}
