//! The first words: dialing or being called, the handshake, and being let in.

use std::net::SocketAddr;
use std::sync::Arc;

use bt_wire::{Connection, Event, Handshake, IncomingConfig, Misbehaved};
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::time::Instant as TokioInstant;

use super::super::stream::Stream;
use super::Guest;
use super::link::{Ended, Link};
use crate::engine::{Direction, PeerInfo};
use crate::limits::CONNECT_TIMEOUT;
use crate::net::{Caller, Host, Lobby, Mailbox, Tools};

/// Dials `addr` and serves the connection until it ends.
pub(crate) async fn call(host: Arc<dyn Host>, addr: SocketAddr, tools: Tools) {
    let (owner, bugs) = (Arc::clone(&host), Arc::clone(&tools.bugs));
    // Once a peer was let in, a bug in its connection is met where it is served.
    if bugs
        .catch_in(Box::pin(dial(host, addr, tools)))
        .await
        .is_err()
    {
        owner.dial_failed(addr);
    }
}

async fn dial(host: Arc<dyn Host>, addr: SocketAddr, tools: Tools) {
    let needy = host.is_needy();
    if !tools.places.is_one_free(needy) {
        tracing::debug!(%addr, "not dialed: there are enough peers");
        return host.dial_put_off(addr);
    }
    let Some(permit) = tools.dialer.half_open((tools.now)(), needy).await else {
        tracing::debug!(%addr, "not dialed: too many wait for their turn");
        return host.dial_put_off(addr);
    };
    if !tools.places.is_one_free(host.is_needy()) {
        tracing::debug!(%addr, "not dialed: there are enough peers by now");
        return host.dial_put_off(addr);
    }
    if !host.is_active() {
        // Its turn came after minutes, perhaps: nobody is to hear of a torrent that has been paused or removed since.
        tracing::debug!(%addr, "not dialed: the torrent has no peers now");
        return host.dial_put_off(addr);
    }
    let connected = tools.dialer.tcp(addr, CONNECT_TIMEOUT).await;
    drop(permit);
    let stream = match connected {
        Ok(stream) => stream,
        Err(error) => {
            tracing::debug!(%addr, %error, "dial failed");
            return host.dial_failed(addr);
        }
    };
    let connection = Connection::outgoing(host.introduction(), (tools.now)());
    let mut link = Link::new(Stream::Tcp(stream), connection, addr);
    let mut events = Vec::new();
    match handshake(&mut link, &tools, None, &mut events).await {
        Ok((peer, _)) => welcome(link, host, peer, Direction::Outgoing, tools, events).await,
        Err(Ended::Wire(bt_wire::Error::Misbehaved(Misbehaved::Ourselves))) => {
            tracing::debug!(%addr, "not dialed again: this is our own address");
            host.dialed_ourselves(addr);
        }
        Err(ended) => {
            tracing::debug!(%addr, %ended, "handshake failed");
            host.dial_failed(addr);
        }
    }
}

/// Serves a peer that called us until the connection ends. It gives up its `place` among the callers who have not said
/// what they want once it has.
pub(crate) async fn receive_caller(
    lobby: Arc<dyn Lobby>,
    stream: TcpStream,
    addr: SocketAddr,
    tools: Tools,
    place: Caller,
) {
    let connection = Connection::incoming(IncomingConfig::default(), (tools.now)());
    let mut link = Link::new(Stream::Tcp(stream), connection, addr);
    let mut events = Vec::new();
    let met = tokio::select! {
        met = handshake(&mut link, &tools, Some(&lobby), &mut events) => met,
        () = place.sent_away() => return tracing::debug!(%addr, "caller makes room for others"),
    };
    drop(place);
    match met {
        Ok((peer, Some(host))) => {
            welcome(link, host, peer, Direction::Incoming, tools, events).await
        }
        Ok((_, None)) => {}
        Err(ended) => tracing::debug!(%addr, %ended, "caller turned away"),
    }
}

/// Reads until the peer's handshake is complete; what it said right behind it is left in `events`.
async fn handshake(
    link: &mut Link,
    tools: &Tools,
    lobby: Option<&Arc<dyn Lobby>>,
    events: &mut Vec<Event>,
) -> Result<(Handshake, Option<Arc<dyn Host>>), Ended> {
    let mut host = None;
    loop {
        let now = (tools.now)();
        flush_control(link).await?;
        let deadline = TokioInstant::from_std(link.deadline(now));
        let readable =
            tokio::time::timeout_at(deadline, link.ready(Some(Interest::READABLE))).await;
        let now = (tools.now)();
        if let Ok(ready) = readable {
            ready?;
            link.read(now, tools, events)?;
        } else {
            link.timeout(now)?;
        }
        if let (Some(Event::InfoHash { info_hash, .. }), Some(lobby)) = (events.first(), lobby) {
            let found = lobby.host(*info_hash).ok_or(Ended::Unknown)?;
            events.remove(0);
            link.connection.accept(now, found.introduction());
            host = Some(found);
            // It goes out before we look at whose id it is: the caller may be ourselves, and is to know.
            flush_control(link).await?;
            link.look_again(now, events)?;
        }
        if matches!(events.first(), Some(Event::Handshake(_)))
            && let Event::Handshake(peer) = events.remove(0)
        {
            return Ok((peer, host));
        }
    }
}

/// Writes the handshake; it is small enough for any socket buffer, so this rarely waits.
async fn flush_control(link: &mut Link) -> Result<(), Ended> {
    while let Some(bt_wire::Transmit::Control(mut bytes)) = link.connection.poll_transmit() {
        while !bytes.is_empty() {
            match link.stream.try_write(&bytes) {
                Ok(written) => drop(bytes.split_to(written)),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    link.ready(Some(Interest::WRITABLE)).await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}

async fn welcome(
    link: Link,
    host: Arc<dyn Host>,
    peer: Handshake,
    direction: Direction,
    tools: Tools,
    events: Vec<Event>,
) {
    let addr = link.addr;
    // It is held until the connection ends.
    let needed = direction == Direction::Outgoing && host.is_needy();
    let Some(_place) = tools.places.take(needed) else {
        tracing::debug!(%addr, "not let in: there are enough peers");
        return match direction {
            Direction::Outgoing => host.dial_put_off(addr),
            Direction::Incoming => host.crowded(),
        };
    };
    let mailbox = Arc::new(Mailbox::default());
    let info = PeerInfo {
        addr,
        id: peer.peer_id,
        direction,
        fast: link.connection.supports_fast(),
    };
    let key = match host.opened(info, &mailbox) {
        Ok(key) => key,
        Err(refusal) => {
            tracing::debug!(%addr, %refusal, "not let in");
            return;
        }
    };
    let bugs = Arc::clone(&tools.bugs);
    let mut guest = Guest {
        link,
        host: Arc::clone(&host),
        key,
        mailbox,
        tools,
        orders: Vec::new(),
        events,
        unread_since: None,
    };
    let serve = Box::pin(async {
        match guest.introduce() {
            Ok(()) => guest.run().await,
            Err(ended) => ended,
        }
    });
    // What a connection changes of its torrent is contained there; the rest is its own, and ends with it.
    match bugs.catch_in(serve).await {
        Ok(ended) => tracing::debug!(%addr, %ended, "connection ended"),
        Err(_) => tracing::debug!(%addr, "connection ended"),
    }
    host.closed(key);
}

impl Guest {
    /// What we have goes out first (BEP 3, 6), then the extension handshake (BEP 10).
    fn introduce(&mut self) -> Result<(), Ended> {
        self.mailbox.take(&mut self.orders);
        self.obey()?;
        let handshake = self.host.extension_handshake(self.link.addr);
        self.link.connection.send_extension_handshake(&handshake);
        self.hand_in(0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{call, receive_caller};

    /// Bytes that the future of a function takes, whatever it is called with.
    const fn of_three<A, B, C, F>(_: fn(A, B, C) -> F) -> usize {
        size_of::<F>()
    }

    const fn of_five<A, B, C, D, E, F>(_: fn(A, B, C, D, E) -> F) -> usize {
        size_of::<F>()
    }

    /// Each connection has one of them for its life, and a seeder has thousands of connections. One that is kept in
    /// others may be there several times, which nobody sees in the code.
    #[test]
    fn a_connection_takes_little_room_as_a_task() {
        assert!(of_three(call) <= 1024, "{}", of_three(call));
        assert!(
            of_five(receive_caller) <= 6 * 1024,
            "{}",
            of_five(receive_caller)
        );
    }
}
