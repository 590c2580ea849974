//! Exchanges over UDP sockets: the loop around [`Exchange`], and the connection ids that outlive
//! one exchange.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::net::UdpSocket;

use super::{Error, Inner, no_address, race};
use crate::limits::{MAX_UDP_CONNECTIONS, MAX_UDP_PACKET, UDP_STAGGER};
use crate::udp::{Answer, Connection, Exchange, Family, Question};

/// Connection ids by address, each usable for a minute (BEP 15).
#[derive(Debug, Default)]
pub(super) struct Connections(Mutex<BTreeMap<SocketAddr, Connection>>);

impl Connections {
    fn get(&self, addr: SocketAddr, now: Instant) -> Option<Connection> {
        let map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        map.get(&addr)
            .copied()
            .filter(|connection| connection.is_fresh(now))
    }

    fn put(&self, addr: SocketAddr, connection: Option<Connection>, now: Instant) {
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match connection {
            Some(connection) => {
                map.insert(addr, connection);
                if map.len() > MAX_UDP_CONNECTIONS {
                    map.retain(|_, connection| connection.is_fresh(now));
                }
                if map.len() > MAX_UDP_CONNECTIONS {
                    map.remove(&addr);
                }
            }
            None => {
                map.remove(&addr);
            }
        }
    }
}

/// Asks the addresses of one tracker, the next when one stays silent for a while.
pub(super) async fn ask(
    inner: &Arc<Inner>,
    addrs: &[SocketAddr],
    question: &Question,
) -> Result<Answer, Error> {
    let attempt = |addr| {
        let (inner, question) = (Arc::clone(inner), question.clone());
        async move { ask_one(&inner, addr, question).await }
    };
    let outcome = race::first_success(addrs, UDP_STAGGER, attempt).await;
    outcome.unwrap_or_else(|| Err(no_address("the tracker")))
}

async fn ask_one(inner: &Inner, addr: SocketAddr, question: Question) -> Result<Answer, Error> {
    let socket = inner
        .net
        .udp(addr)
        .await
        .map_err(|source| Error::Connect { addr, source })?;
    let known = inner.connections.get(addr, now());
    let mut exchange = Exchange::new(question, Family::of(addr), known, inner.seed());
    let answer = drive(&socket, addr, &mut exchange).await;
    inner.connections.put(addr, exchange.connection(), now());
    answer
}

async fn drive(
    socket: &UdpSocket,
    addr: SocketAddr,
    exchange: &mut Exchange,
) -> Result<Answer, Error> {
    let broken = |source| Error::Io { addr, source };
    let mut outgoing = Vec::new();
    let mut incoming = vec![0; MAX_UDP_PACKET];
    loop {
        outgoing.clear();
        if exchange.poll_transmit(now(), &mut outgoing) {
            socket.send(&outgoing).await.map_err(broken)?;
        }
        let Some(deadline) = exchange.poll_timeout() else {
            continue;
        };
        match tokio::time::timeout_at(deadline.into(), socket.recv_from(&mut incoming)).await {
            Err(_) => exchange.handle_timeout(now())?,
            // The socket is connected; this holds even for a `Net` that forgot to.
            Ok(Ok((_, source))) if source != addr => {}
            Ok(Ok((length, _))) => {
                let packet = incoming.get(..length).unwrap_or_default();
                if let Some(answer) = exchange.handle_packet(now(), packet) {
                    return Ok(answer?);
                }
            }
            // "Port unreachable": nobody listens there now. Waiting would not help.
            Ok(Err(source)) => return Err(broken(source)),
        }
    }
}

/// The time as tokio sees it, so that tests can pause it.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[cfg(test)]
mod tests {
    use super::Connections;
    use crate::limits::{MAX_UDP_CONNECTIONS, UDP_CONNECTION_LIFE};
    use crate::udp::Connection;
    use std::net::SocketAddr;
    use std::time::Instant;

    #[test]
    fn ids_are_kept_for_so_many_trackers_and_stale_ones_make_room() {
        let addr = |n: usize| {
            SocketAddr::from(((0x0a00_0000 + u32::try_from(n).unwrap()).to_be_bytes(), 1))
        };
        let start = Instant::now();
        let given = |received| Some(Connection { id: 1, received });
        let connections = Connections::default();
        for n in 0..=MAX_UDP_CONNECTIONS {
            connections.put(addr(n), given(start), start);
        }
        assert!(
            connections
                .get(addr(MAX_UDP_CONNECTIONS - 1), start)
                .is_some()
        );
        assert!(connections.get(addr(MAX_UDP_CONNECTIONS), start).is_none());
        let later = start + UDP_CONNECTION_LIFE;
        connections.put(addr(MAX_UDP_CONNECTIONS), given(later), later);
        assert!(connections.get(addr(MAX_UDP_CONNECTIONS), later).is_some());
        assert!(connections.get(addr(0), later).is_none());
    }
}
