//! Announces and scrapes over UDP: threads that take packets in batches and answer them.
//!
//! Each socket has a thread; several share an address and the kernel spreads peers over them. Not
//! one byte is kept of a peer that has not proven its address, and nothing that is sent to such a
//! peer is longer than what it sent.

mod answers;
mod connection_id;
#[cfg(any(test, feature = "fuzz"))]
mod fuzz;
mod sources;
mod worker;

#[cfg(test)]
mod batches;

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use socket2::{Domain, Protocol, Socket, Type};

use super::syscalls::tell_destination;
use super::tracker::Tracker;
use super::{Config, Error};
use crate::limits::{UDP_CONNECT_BURST, UDP_CONNECTS_PER_SOURCE, UDP_SOURCES};
use answers::{Answers, Limits};
use connection_id::ConnectionIds;
#[cfg(any(test, feature = "fuzz"))]
pub(super) use fuzz::{packets, sources as fuzz_sources};
use sources::Sources;
use worker::Worker;

/// How often a worker that gets no packets looks whether it shall stop.
const IDLE: Duration = Duration::from_millis(100);

/// The sockets, bound and not yet served.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) addrs: Vec<SocketAddr>,
    sockets: Vec<UdpSocket>,
}

/// Binds every address, as often as there are workers.
pub(super) fn bind(config: &Config) -> Result<Bound, Error> {
    let mut bound = Bound {
        addrs: Vec::new(),
        sockets: Vec::new(),
    };
    for &wanted in &config.udp {
        let refused = |source| Error::Bind {
            protocol: "udp",
            address: wanted,
            source,
        };
        let mut address = wanted;
        for worker in 0..config.effective_workers() {
            let socket = socket(address, worker, config).map_err(refused)?;
            if worker == 0 {
                address = socket.local_addr().map_err(refused)?;
                bound.addrs.push(address);
            }
            bound.sockets.push(socket);
        }
    }
    for socket in &config.inherited.udp {
        let taken = inherit(socket, config, &mut bound);
        taken.map_err(|source| Error::System {
            what: "an inherited socket",
            source,
        })?;
    }
    Ok(bound)
}

/// Takes over a socket: several workers receive from the same one.
fn inherit(socket: &UdpSocket, config: &Config, bound: &mut Bound) -> io::Result<()> {
    let address = socket.local_addr()?;
    bound.addrs.push(address);
    socket.set_nonblocking(false)?;
    socket.set_read_timeout(Some(IDLE))?;
    let options = socket2::SockRef::from(socket);
    let _ = options.set_recv_buffer_size(config.udp_buffer);
    let _ = options.set_send_buffer_size(config.udp_buffer);
    if address.ip().is_unspecified() {
        tell_destination(socket, address.is_ipv6())?;
    }
    for _ in 0..config.effective_workers() {
        bound.sockets.push(socket.try_clone()?);
    }
    Ok(())
}

/// Serves the sockets until `stop` is set.
pub(super) fn serve(
    bound: Bound,
    config: &Config,
    tracker: &Arc<Tracker>,
    stop: &Arc<AtomicBool>,
) -> Result<Vec<JoinHandle<()>>, Error> {
    let mut key = [0; 16];
    super::random::fill(&mut key)?;
    let now = Instant::now();
    let ids = ids(config, now)?;
    let start = |(at, socket)| {
        let limits = limits(&key, now, config.udp_requests_per_ip);
        let answers = Answers::new(Arc::clone(tracker), ids.clone(), limits);
        let worker = Worker::new(socket, answers);
        let alive = Alive(Arc::clone(tracker));
        let stop = Arc::clone(stop);
        std::thread::Builder::new()
            .name(format!("udp-{at}"))
            .spawn(move || {
                let _alive = alive;
                worker.run(&stop);
            })
    };
    let threads: io::Result<Vec<_>> = bound.sockets.into_iter().enumerate().map(start).collect();
    threads.map_err(|source| Error::System {
        what: "a thread",
        source,
    })
}

/// Tells operators when a worker breaks down: its socket is closed, and the kernel sends its share of
/// the peers nowhere.
struct Alive(Arc<Tracker>);

impl Drop for Alive {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.stats.udp_workers_lost.add(1);
            tracing::error!("a UDP worker has broken down; restart the tracker");
        }
    }
}

/// Whether the secret of connection ids can be used.
pub(super) fn check(config: &Config) -> Result<(), Error> {
    ids(config, Instant::now()).map(drop)
}

/// Connection ids of this server alone, or of all that have the same secret.
fn ids(config: &Config, now: Instant) -> Result<ConnectionIds, Error> {
    let mut key = [0; 16];
    let Some(secret) = &config.udp_key else {
        super::random::fill(&mut key)?;
        return Ok(ConnectionIds::new(&key, now, Duration::ZERO));
    };
    let number = Some(secret.reveal())
        .filter(|text| text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .and_then(|text| u128::from_str_radix(text, 16).ok());
    let key = number.ok_or(Error::setting(
        "udp-key",
        "the secret of connection ids must be 32 hexadecimal digits",
    ))?;
    // Those that share it have only the time of day in common.
    let clock = SystemTime::now().duration_since(UNIX_EPOCH);
    Ok(ConnectionIds::new(
        &key.to_be_bytes(),
        now,
        clock.unwrap_or_default(),
    ))
}

/// The limits of one worker. The kernel hands all packets of one socket to the same worker.
fn limits(key: &[u8; 16], now: Instant, requests: Option<u32>) -> Limits {
    let sources = |rate, burst| Sources::new(key, now, UDP_SOURCES, rate, burst);
    Limits {
        connects: sources(UDP_CONNECTS_PER_SOURCE, UDP_CONNECT_BURST),
        requests: requests.map(|rate| sources(rate, rate.saturating_mul(2))),
    }
}

fn socket(address: SocketAddr, worker: usize, config: &Config) -> io::Result<UdpSocket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::DGRAM,
        Some(Protocol::UDP),
    )?;
    if address.is_ipv6() {
        // IPv4 has sockets of its own: the family of a packet decides the form of the reply.
        socket.set_only_v6(true)?;
    }
    // The first socket must have the address for itself, or else two servers could be started on
    // one address and share its peers without anybody noticing.
    if worker > 0 {
        socket.set_reuse_port(true)?;
    }
    // The kernel grants what it is allowed to; less only drops packets earlier under load.
    let _ = socket.set_recv_buffer_size(config.udp_buffer);
    let _ = socket.set_send_buffer_size(config.udp_buffer);
    socket.set_read_timeout(Some(IDLE))?;
    if address.ip().is_unspecified() {
        tell_destination(&socket, address.is_ipv6())?;
    }
    socket.bind(&address.into())?;
    socket.set_reuse_port(config.effective_workers() > 1)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_connects_so_often_at_once_and_as_many_sources_are_remembered_as_the_table_has() {
        let start = Instant::now();
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        let ip = |n: usize| std::net::IpAddr::from(u32::try_from(n).unwrap().to_be_bytes());
        let mut connects = limits(&[5; 16], start, None).connects;
        let allowed = |connects: &mut Sources, n, now| {
            let tries = 0..2 * UDP_CONNECT_BURST;
            tries.filter(|_| connects.allow(ip(n), now)).count()
        };
        assert_eq!(UDP_CONNECT_BURST, 4_000);
        for _ in 0..UDP_CONNECT_BURST {
            assert!(connects.allow(ip(1), start), "at the limit");
        }
        assert!(!connects.allow(ip(1), start), "one above");
        // A second later as many as the rate says, and after a long time no more than all at once.
        let rate = UDP_CONNECTS_PER_SOURCE as usize;
        assert_eq!(allowed(&mut connects, 1, at(1_000)), rate);
        let burst = UDP_CONNECT_BURST as usize;
        assert_eq!(allowed(&mut connects, 1, at(1_000_000)), burst);

        // A flood of four times as many sources as there are places takes no more memory, and none of
        // those that have asked for all they may is given anything.
        let now = at(2_000_000);
        assert_eq!(connects.places(), UDP_SOURCES);
        let busy = 0..UDP_SOURCES / 512;
        for n in busy.clone() {
            assert_eq!(allowed(&mut connects, n, now), burst, "{n}");
        }
        for n in UDP_SOURCES..5 * UDP_SOURCES {
            connects.allow(ip(n), now);
        }
        assert_eq!(connects.places(), UDP_SOURCES);
        let freed = busy.filter(|n| connects.allow(ip(*n), now)).count();
        assert_eq!(freed, 0);
    }

    #[test]
    fn a_worker_that_breaks_down_is_told_to_operators_and_one_that_ends_is_not() {
        let now = Instant::now();
        let tracker = Arc::new(Tracker::new(&Config::default(), now).unwrap());
        let ended = Alive(Arc::clone(&tracker));
        std::thread::spawn(move || drop(ended)).join().unwrap();
        assert_eq!(tracker.readiness(now), Ok("ready\n".into()));
        let broken = Alive(Arc::clone(&tracker));
        let worker = std::thread::spawn(move || {
            let _alive = broken;
            panic!("as a worker that has met a bug");
        });
        assert!(worker.join().is_err());
        let state = tracker.readiness(now).unwrap_err();
        assert!(state.starts_with("not ready\nudp: 1 workers"), "{state}");
    }
}
