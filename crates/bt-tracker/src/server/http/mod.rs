//! Announces, scrapes and torrent files over HTTP: a loop of our own, since an announce is a few
//! hundred bytes in and out and any framework costs more than the answer.
//!
//! [`session`] is the protocol without a socket, [`route`] what is answered, [`accept`] takes new
//! connections and answers those that send one request and go, [`connection`] keeps the others.
//! [`detour`] is for requests that take time or that end HTTP.

mod accept;
mod connection;
mod crowd;
mod detour;
#[cfg(any(test, feature = "fuzz"))]
mod fuzz;
mod head;
mod multi;
mod route;
mod session;
#[cfg(feature = "https")]
pub(super) mod tls;

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use socket2::{Domain, Protocol, Socket, Type};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::syscalls::defer_accept;
use super::tracker::Tracker;
use super::{Config, Error};
use crate::limits::FILE_COMPLAINTS;
use crowd::{Crowd, Seat};
#[cfg(any(test, feature = "fuzz"))]
pub(super) use fuzz::{crowd as fuzz_crowd, open, publisher};
use head::Head;
#[cfg(any(test, feature = "fuzz"))]
pub(super) use head::fuzz as fuzz_head;

/// Connections that the kernel keeps until they are accepted.
const BACKLOG: i32 = 4096;

/// The status of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Ok,
    Created,
    MovedPermanently,
    BadRequest,
    Unauthorized,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    Conflict,
    LengthRequired,
    BodyTooLarge,
    TooManyRequests,
    HeadTooLarge,
    ServerError,
    Overloaded,
}

impl Status {
    fn line(self) -> &'static str {
        match self {
            Self::Ok => "200 OK",
            Self::Created => "201 Created",
            Self::MovedPermanently => "301 Moved Permanently",
            Self::BadRequest => "400 Bad Request",
            Self::Unauthorized => "401 Unauthorized",
            Self::Forbidden => "403 Forbidden",
            Self::NotFound => "404 Not Found",
            Self::MethodNotAllowed => "405 Method Not Allowed",
            Self::Conflict => "409 Conflict",
            Self::LengthRequired => "411 Length Required",
            Self::BodyTooLarge => "413 Content Too Large",
            Self::TooManyRequests => "429 Too Many Requests",
            Self::HeadTooLarge => "431 Request Header Fields Too Large",
            Self::ServerError => "500 Internal Server Error",
            Self::Overloaded => "503 Service Unavailable",
        }
    }
}

/// What all connections share.
#[derive(Debug)]
struct Http {
    tracker: Arc<Tracker>,
    /// In which header they name the client; empty when there are none.
    proxy_header: Box<str>,
    /// The connections that are kept.
    crowd: Arc<Crowd>,
    /// When it was last said that connections cannot be accepted.
    complained: Mutex<Option<Instant>>,
}

/// The sockets, bound and not yet served.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) addrs: Vec<SocketAddr>,
    listeners: Vec<TcpListener>,
    pub(super) tls_addrs: Vec<SocketAddr>,
    #[cfg(feature = "https")]
    tls_listeners: Vec<TcpListener>,
}

/// Binds every address, as often as there are workers.
pub(super) fn bind(config: &Config) -> Result<Bound, Error> {
    let mut bound = Bound {
        addrs: Vec::new(),
        listeners: Vec::new(),
        tls_addrs: Vec::new(),
        #[cfg(feature = "https")]
        tls_listeners: Vec::new(),
    };
    for &wanted in &config.http {
        let refused = |source| Error::Bind {
            protocol: "http",
            address: wanted,
            source,
        };
        let mut address = wanted;
        for worker in 0..config.effective_workers() {
            let listener = listener(address, worker, config).map_err(refused)?;
            if worker == 0 {
                address = listener.local_addr().map_err(refused)?;
                bound.addrs.push(address);
            }
            bound.listeners.push(listener);
        }
    }
    #[cfg(feature = "https")]
    for &wanted in &config.https {
        let refused = |source| Error::Bind {
            protocol: "https",
            address: wanted,
            source,
        };
        // A handshake takes so long that one listener is no bottleneck.
        let listener = listener(wanted, 0, config).map_err(refused)?;
        bound
            .tls_addrs
            .push(listener.local_addr().map_err(refused)?);
        bound.tls_listeners.push(listener);
    }
    for listener in &config.inherited.http {
        let taken = inherit(listener, config, &mut bound);
        taken.map_err(|source| Error::System {
            what: "an inherited listener",
            source,
        })?;
    }
    Ok(bound)
}

/// Takes over a listener: several workers accept from the same one.
fn inherit(listener: &TcpListener, config: &Config, bound: &mut Bound) -> io::Result<()> {
    bound.addrs.push(listener.local_addr()?);
    listener.set_nonblocking(true)?;
    defer_accept(listener)?;
    for _ in 0..config.effective_workers() {
        bound.listeners.push(listener.try_clone()?);
    }
    Ok(())
}

/// Serves the sockets until the token is cancelled; every connection is a task of `tasks`.
pub(super) fn serve(
    bound: Bound,
    config: &Config,
    tracker: &Arc<Tracker>,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) -> Result<(), Error> {
    let http = Arc::new(Http {
        tracker: Arc::clone(tracker),
        proxy_header: proxy_header(config)?.into(),
        crowd: Crowd::new(
            Instant::now(),
            config.max_connections,
            config.effective_connections_per_ip(),
        ),
        complained: Mutex::default(),
    });
    for listener in bound.listeners {
        let acceptor = accept::Acceptor::new(listener, &http, tasks, stop).map_err(|source| {
            Error::System {
                what: "a listener",
                source,
            }
        })?;
        let stop = stop.clone();
        tasks.spawn(async move { stop.run_until_cancelled(acceptor.run()).await });
    }
    #[cfg(feature = "https")]
    for listener in bound.tls_listeners {
        tls::serve(listener, &http, tasks, stop)?;
    }
    Ok(())
}

fn listener(address: SocketAddr, worker: usize, config: &Config) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // A restarted server may listen although connections of the one before still linger.
    socket.set_reuse_address(true)?;
    // The first one must have the address for itself, or else two servers could share it unnoticed.
    socket.set_reuse_port(worker > 0)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.set_reuse_port(config.effective_workers() > 1)?;
    socket.listen(BACKLOG)?;
    let listener = TcpListener::from(socket);
    defer_accept(&listener)?;
    Ok(listener)
}

/// The header in which trusted proxies name the client; empty when there are none.
pub(super) fn proxy_header(config: &Config) -> Result<&str, Error> {
    let name = config.proxy_header.as_str();
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if name.is_empty() || !name.bytes().all(is_name) {
        return Err(Error::setting(
            "proxy-header",
            "the header of proxies must have letters, digits, - and _",
        ));
    }
    Ok(if config.trusted_proxies.is_empty() {
        ""
    } else {
        name
    })
}

impl Http {
    /// Takes a connection in that is to be kept.
    fn seat(&self, peer: IpAddr, stop: &CancellationToken) -> Option<Seat> {
        let peer = peer.to_canonical();
        let source = (!self.is_trusted(peer)).then_some(peer);
        let seat = self.crowd.enter(source, Instant::now(), stop);
        if seat.is_none() {
            self.tracker.stats.connections_refused.add(1);
        }
        seat
    }

    /// A connection could not be accepted. When the system has no file descriptor left, some of the
    /// idlest connections give theirs back.
    fn cannot_accept(&self, error: &io::Error) {
        let now = Instant::now();
        let is_out_of_files = matches!(
            rustix::io::Errno::from_io_error(error),
            Some(rustix::io::Errno::MFILE | rustix::io::Errno::NFILE)
        );
        let has_room = is_out_of_files && self.crowd.spare_files(now);
        let mut complained = self
            .complained
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if complained.is_none_or(|at| now.saturating_duration_since(at) >= FILE_COMPLAINTS) {
            *complained = Some(now);
            tracing::warn!(%error, has_room, "cannot accept connections");
        }
    }

    fn is_trusted(&self, ip: IpAddr) -> bool {
        self.tracker.is_trusted(ip)
    }

    /// Who asks: the other end of the connection, or whom a trusted proxy names. `bytes` are those
    /// of the head.
    fn source(&self, peer: IpAddr, head: &Head<'_>, bytes: &[u8]) -> IpAddr {
        if head.forwarded_lines == 0 || !self.is_trusted(peer) {
            return peer;
        }
        if head.forwarded_lines == 1 {
            return self.nearest(peer, head.forwarded_for.into_iter());
        }
        // Several lines of one name are one list (RFC 9110, section 5.3): each proxy added its own.
        let lines = head::all_named(bytes, &self.proxy_header);
        self.nearest(peer, lines.into_iter().rev())
    }

    /// Goes through what proxies have written, the last line first.
    fn nearest<'a>(&self, peer: IpAddr, lines: impl Iterator<Item = &'a [u8]>) -> IpAddr {
        // The last address that no trusted proxy has is the one that a trusted proxy saw; those
        // before it are whatever the client wrote.
        let addresses = lines.flat_map(|line| line.rsplit(|&byte| byte == b','));
        let parsed = addresses.map(|address| forwarded(address.trim_ascii()));
        let mut nearest = peer;
        for address in parsed {
            let Some(address) = address else {
                self.tracker.stats.forwarded_ignored.add(1);
                break;
            };
            debug_assert!(!address.is_unspecified() && !address.is_multicast());
            nearest = address;
            if !self.is_trusted(nearest) {
                break;
            }
        }
        nearest
    }
}

/// An address as proxies write it: alone, in brackets, with a port. `None` for what is none, and for
/// those that nobody can have: peers would be sent to them.
fn forwarded(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?.trim_matches('"');
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    let address: IpAddr = match text.parse::<SocketAddr>() {
        Ok(address) => address.ip(),
        Err(_) => bare.unwrap_or(text).parse().ok()?,
    };
    let address = address.to_canonical();
    let is_nobody = address.is_unspecified()
        || address.is_multicast()
        || address == IpAddr::V4(std::net::Ipv4Addr::BROADCAST);
    (!is_nobody).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_proxies_write_them_and_nobodys_are_ignored() {
        for (text, address) in [
            ("192.0.2.1", "192.0.2.1"),
            ("192.0.2.1:4711", "192.0.2.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:4711", "2001:db8::1"),
            ("\"[2001:db8::1]:4711\"", "2001:db8::1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
        ] {
            assert_eq!(forwarded(text.as_bytes()), address.parse().ok(), "{text}");
        }
        for nobody in [
            "",
            "unknown",
            "0.0.0.0",
            "0.0.0.0:80",
            "::",
            "[::]:80",
            "224.0.0.1",
            "[ff02::1]",
            "255.255.255.255",
            "::ffff:0.0.0.0",
            "192.0.2.1:99999",
        ] {
            assert_eq!(forwarded(nobody.as_bytes()), None, "{nobody}");
        }
    }
}
