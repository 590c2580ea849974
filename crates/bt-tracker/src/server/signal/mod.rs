//! Signalling for WebTorrent (feature `websocket`): browsers that want to connect to each other
//! exchange offers and answers over WebSocket connections to the tracker.
//!
//! A connection comes here after `http` has answered its upgrade. Peers of browsers are a pool of
//! their own, since they cannot reach those of TCP and UDP. What is relayed is not looked at.

#[cfg(any(test, feature = "fuzz"))]
mod fuzz;
mod message;
mod meter;
mod places;
mod rooms;
#[cfg(test)]
mod tests;

#[cfg(any(test, feature = "fuzz"))]
pub(super) use fuzz::places as fuzz_places;
#[cfg(any(test, feature = "fuzz"))]
pub(super) use message::fuzz;
#[cfg(any(test, feature = "fuzz"))]
pub(super) use rooms::fuzz as fuzz_rooms;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bt_metainfo::InfoHash;
use futures::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::accounts::User;
use super::tracker::Tracker;
use crate::AnnounceRequest;
use crate::limits::{
    MAX_SIGNAL, MAX_SIGNALS_WAITING, MAX_UNCOUNTED_SIGNAL, SIGNAL_PING, SIGNAL_SILENCE,
    WRITE_TIMEOUT,
};
use message::{Announce, Event, Request};
use meter::Metered;
use rooms::{Delivery, Letter, Seat};

pub(super) use rooms::Rooms;

/// What browsers are told to wait between announces, at most: offers that nobody has answered are
/// thrown away by then.
const INTERVAL: Duration = Duration::from_secs(120);

/// The answer to the key of an upgrade (RFC 6455, section 4.2.2).
pub(super) fn accept_key(key: &[u8]) -> String {
    derive_accept_key(key)
}

/// One client.
struct Guest<'a, F> {
    tracker: &'a Tracker,
    /// The passkey of its URL.
    key: Option<Box<[u8]>>,
    seat: Seat,
    mailbox: mpsc::Receiver<Letter>,
    pings: Interval,
    heard: Instant,
    changes: watch::Receiver<()>,
    /// Is told of each announce.
    announced: F,
}

/// What comes after a step of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Listen,
    /// A large message has been read, and its buffer is not needed any more.
    Shrink,
    End,
}

/// Serves a connection until its client leaves or is silent. `came` is what it has sent after its
/// upgrade; `announced` is called for each announce.
pub(super) async fn serve<S>(
    stream: S,
    came: Vec<u8>,
    source: IpAddr,
    key: Option<Box<[u8]>>,
    tracker: &Tracker,
    announced: impl Fn(),
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let config = WebSocketConfig::default()
        .read_buffer_size(4 * 1024)
        .write_buffer_size(0)
        .max_write_buffer_size(4 * MAX_SIGNAL)
        .max_message_size(Some(MAX_SIGNAL))
        .max_frame_size(Some(MAX_SIGNAL));
    let stream = Metered::new(stream, came.len(), &tracker.memory);
    let mut socket =
        WebSocketStream::from_partially_read(stream, came, Role::Server, Some(config)).await;
    let mut guest = Guest::new(source, key, tracker, announced);
    loop {
        match guest.step(&mut socket).await {
            Ok(Next::Listen) => {}
            Ok(Next::Shrink) => {
                // It would keep the buffer of its largest message for as long as it stands.
                let stream = socket.into_inner();
                socket = WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await;
            }
            // An error is a client that has gone, or that breaks the protocol: nobody is left to be
            // told.
            Ok(Next::End) | Err(_) => break,
        }
    }
    if socket.get_ref().is_refused() {
        tracker.stats.overloaded.add(1);
    }
    // It is out of its torrents before it is waited for.
    drop(guest);
    let _ = timeout(WRITE_TIMEOUT, socket.close(None)).await;
}

/// Also when its connection is sent away in the middle of something.
impl<F> Drop for Guest<'_, F> {
    fn drop(&mut self) {
        self.tracker.rooms.leave_all(&self.seat);
        self.tracker.stats.ws_connections.sub(1);
    }
}

impl<'a, F: Fn()> Guest<'a, F> {
    fn new(source: IpAddr, key: Option<Box<[u8]>>, tracker: &'a Tracker, announced: F) -> Self {
        let (letters, mailbox) = mpsc::channel(MAX_SIGNALS_WAITING);
        let mut pings = interval(SIGNAL_PING);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        pings.reset();
        tracker.stats.ws_connections.add(1);
        Self {
            tracker,
            key,
            seat: Seat::new(letters, source),
            mailbox,
            pings,
            heard: Instant::now(),
            changes: tracker.rooms.changes(),
            announced,
        }
    }

    /// Waits for whatever comes first and carries it out.
    async fn step<S>(&mut self, socket: &mut WebSocketStream<Metered<S>>) -> Result<Next, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        tokio::select! {
            came = socket.next() => {
                let Some(came) = came else { return Ok(Next::End) };
                self.heard = Instant::now();
                let came = came?;
                let (length, is_data) = (came.len(), came.is_text() || came.is_binary());
                match came {
                    Message::Text(text) => self.reply(socket, text.as_bytes()).await?,
                    Message::Binary(bytes) => self.reply(socket, &bytes).await?,
                    Message::Close(_) => return Ok(Next::End),
                    Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {
                        timeout(WRITE_TIMEOUT, socket.flush()).await.map_err(late)??;
                    }
                }
                let is_all = socket.get_mut().message(length);
                if is_data && is_all && length > MAX_UNCOUNTED_SIGNAL {
                    timeout(WRITE_TIMEOUT, socket.flush()).await.map_err(late)??;
                    return Ok(Next::Shrink);
                }
            }
            Some(letter) = self.mailbox.recv() => {
                self.send(socket, Message::text(letter.text)).await?;
            }
            Ok(()) = self.changes.changed() => {
                let (tracker, key) = (self.tracker, self.key.as_deref());
                if tracker.access.needs_key() && !key.is_some_and(|key| tracker.access.knows(key)) {
                    return Ok(Next::End);
                }
                let may_not = |hash: &InfoHash| admit(tracker, key, hash).is_err();
                tracker.rooms.leave_those(&mut self.seat, may_not);
            }
            _ = self.pings.tick() => {
                if self.heard.elapsed() > SIGNAL_SILENCE {
                    return Ok(Next::End);
                }
                self.send(socket, Message::Ping(Vec::new().into())).await?;
            }
        }
        Ok(Next::Listen)
    }

    async fn reply<S>(
        &mut self,
        socket: &mut WebSocketStream<S>,
        message: &[u8],
    ) -> Result<(), Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        match self.answer(message) {
            Some(answer) => self.send(socket, Message::text(answer)).await,
            None => Ok(()),
        }
    }

    async fn send<S>(&self, socket: &mut WebSocketStream<S>, message: Message) -> Result<(), Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        self.tracker.stats.ws.bytes_out.add(message.len() as u64);
        timeout(WRITE_TIMEOUT, socket.send(message))
            .await
            .map_err(late)?
    }

    /// Carries a message out and gives the answer, if it gets one.
    fn answer(&mut self, bytes: &[u8]) -> Option<String> {
        let stats = &self.tracker.stats.ws;
        stats.bytes_in.add(bytes.len() as u64);
        match Request::parse(bytes) {
            Ok(Request::Announce(announce)) => self.announce(announce),
            Ok(Request::Scrape(hashes)) => {
                stats.scrapes.add(1);
                let known = hashes
                    .into_iter()
                    .filter(|hash| self.refuses(hash).is_none());
                let files = known.map(|hash| (hash, self.tracker.rooms.counts(&hash)));
                Some(message::scraped(files))
            }
            Err(problem) => {
                stats.malformed.add(1);
                Some(message::failure(None, problem))
            }
        }
    }

    fn announce(&mut self, announce: Announce) -> Option<String> {
        let stats = &self.tracker.stats.ws;
        let info_hash = announce.info_hash;
        let user = match admit(self.tracker, self.key.as_deref(), &info_hash) {
            Ok(user) => user,
            Err(reason) => {
                stats.failures.add(1);
                // Whoever is no longer welcome may still leave.
                if announce.event == Event::Stopped {
                    let _ = self.tracker.rooms.announce(&mut self.seat, announce);
                }
                return Some(message::failure(Some(&info_hash), reason));
            }
        };
        let totals = user.zip(self.totals(&announce));
        let is_answer = announce.answer.is_some();
        match self.tracker.rooms.announce(&mut self.seat, announce) {
            Ok((counts, deliveries)) => {
                stats.announces.add(1);
                (self.announced)();
                if let Some((user, (request, peer))) = totals {
                    let at = self.tracker.age(Instant::now().into_std());
                    user.account(at, &request, peer);
                }
                for Delivery {
                    to,
                    letter,
                    is_offer,
                } in deliveries
                {
                    // A client that does not read misses letters; it does not hold up others, and
                    // all that wait together stay within the memory of connections.
                    let letter = Letter::new(letter, &self.tracker.memory);
                    if !letter.is_too_much() && to.try_send(letter).is_ok() && is_offer {
                        stats.named.add(1);
                    }
                }
                let interval = self.tracker.interval.min(INTERVAL);
                (!is_answer).then(|| message::announced(&info_hash, interval, counts))
            }
            Err(reason) => {
                stats.failures.add(1);
                Some(message::failure(Some(&info_hash), reason))
            }
        }
    }

    /// What a browser says of its transfers, for the accounts. It can be reached nowhere, and an
    /// answer to another peer says nothing of them.
    fn totals(&self, announce: &Announce) -> Option<(AnnounceRequest, SocketAddr)> {
        let mut request = AnnounceRequest::new(announce.info_hash, announce.peer_id.into(), 0);
        (request.uploaded, request.downloaded) = announce.transferred?;
        request.left = if announce.is_seed {
            0
        } else {
            announce.left.unwrap_or(u64::MAX)
        };
        if announce.event == Event::Stopped {
            request.event = crate::Event::Stopped;
        }
        Some((request, SocketAddr::new(self.seat.source(), 0)))
    }

    fn refuses(&self, info_hash: &InfoHash) -> Option<&'static str> {
        admit(self.tracker, self.key.as_deref(), info_hash).err()
    }
}

/// Who announces, if there are users; or why it may not.
fn admit(
    tracker: &Tracker,
    key: Option<&[u8]>,
    info_hash: &InfoHash,
) -> Result<Option<Arc<User>>, &'static str> {
    let user = tracker.access.admit(info_hash, key)?;
    if tracker.swarms.config().closed && tracker.swarms.scrape(info_hash).is_none() {
        return Err("torrent is not registered with this tracker");
    }
    Ok(user)
}

fn late(_: tokio::time::error::Elapsed) -> Error {
    Error::Io(std::io::ErrorKind::TimedOut.into())
}
