//! The one place that opens connections: peers and trackers alike come through here, bound alike.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bt_tracker::client::{BoxFuture, Net};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpSocket, TcpStream, UdpSocket};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::pace::Pace;
use crate::engine::Families;
use crate::limits::{
    CONNECT_TIMEOUT, DIALS_PER_SECOND, MAX_DIAL_WAIT, MAX_DIAL_WAIT_OF_SEEDS, MAX_SESSION_HALF_OPEN,
};

/// See the module.
#[derive(Debug)]
pub(crate) struct Dialer {
    bind: Option<IpAddr>,
    ipv4: bool,
    ipv6: bool,
    half_open: Arc<Semaphore>,
    pace: Mutex<Pace>,
}

impl Dialer {
    /// Connections leave from `bind`, if given, and never from another address.
    pub(crate) fn new(bind: Option<IpAddr>, ipv4: bool, ipv6: bool) -> Self {
        Self {
            bind,
            ipv4,
            ipv6,
            half_open: Arc::new(Semaphore::new(MAX_SESSION_HALF_OPEN)),
            pace: Mutex::new(Pace::new(DIALS_PER_SECOND)),
        }
    }

    /// Whether addresses of this family may be used at all.
    pub(crate) fn allows(&self, ip: IpAddr) -> bool {
        let family = if ip.is_ipv4() { self.ipv4 } else { self.ipv6 };
        family && self.bind.is_none_or(|bind| bind.is_ipv4() == ip.is_ipv4())
    }

    /// The families of addresses that may be used.
    pub(crate) fn families(&self) -> Families {
        let [ipv4, ipv6] = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
        match (self.allows(ipv4), self.allows(ipv6)) {
            (true, false) => Families::Ipv4,
            (false, true) => Families::Ipv6,
            _ => Families::Both,
        }
    }

    /// A place among the connections to peers that are being opened; waits for one, and for its turn. `None` if that
    /// would take too long: who is `needed` may wait longer than others.
    pub(crate) async fn half_open(
        &self,
        now: Instant,
        needed: bool,
    ) -> Option<OwnedSemaphorePermit> {
        let most = match needed {
            true => MAX_DIAL_WAIT,
            // Those under way may swallow every attempt.
            false if self.half_open.available_permits() == 0 => return None,
            false => MAX_DIAL_WAIT_OF_SEEDS,
        };
        let wait = {
            let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
            pace.book(now, most)?
        };
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        let place = Arc::clone(&self.half_open).acquire_owned();
        tokio::time::timeout(most, place).await.ok()?.ok()
    }

    /// Opens a TCP connection.
    pub(crate) async fn tcp(&self, addr: SocketAddr, patience: Duration) -> io::Result<TcpStream> {
        if !self.allows(addr.ip()) {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "this address family is switched off or not bound",
            ));
        }
        let socket = if addr.is_ipv4() {
            TcpSocket::new_v4()?
        } else {
            TcpSocket::new_v6()?
        };
        if let Some(ip) = self.bind {
            socket.bind(SocketAddr::new(ip, 0))?;
        }
        let connecting = tokio::time::timeout(patience, socket.connect(addr));
        let stream = connecting
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// A UDP socket connected to `remote`, so that packets from anywhere else are dropped by the system.
    pub(crate) async fn udp(&self, remote: SocketAddr) -> io::Result<UdpSocket> {
        if !self.allows(remote.ip()) {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "this address family is switched off or not bound",
            ));
        }
        let domain = Domain::for_address(remote);
        let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
        let any = if remote.is_ipv4() {
            IpAddr::from([0u8; 4])
        } else {
            IpAddr::from([0u8; 16])
        };
        socket.set_nonblocking(true)?;
        socket.bind(&SocketAddr::new(self.bind.unwrap_or(any), 0).into())?;
        let socket = UdpSocket::from_std(socket.into())?;
        socket.connect(remote).await?;
        Ok(socket)
    }

    /// The addresses of a host name.
    pub(crate) async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let found: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await?.collect();
        let usable: Vec<SocketAddr> = found
            .iter()
            .copied()
            .filter(|addr| self.allows(addr.ip()))
            .collect();
        if usable.is_empty() && !found.is_empty() {
            let why =
                format!("{host} has only addresses of a family that is switched off or not bound");
            return Err(io::Error::new(io::ErrorKind::Unsupported, why));
        }
        Ok(usable)
    }
}

/// Trackers and web servers are reached the same way as peers.
impl Net for Dialer {
    fn resolve<'a>(
        &'a self,
        host: &'a str,
        port: u16,
    ) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        Box::pin(Self::resolve(self, host, port))
    }

    fn connect(&self, addr: SocketAddr) -> BoxFuture<'_, io::Result<TcpStream>> {
        Box::pin(self.tcp(addr, CONNECT_TIMEOUT))
    }

    fn udp(&self, remote: SocketAddr) -> BoxFuture<'_, io::Result<UdpSocket>> {
        Box::pin(Self::udp(self, remote))
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use futures::FutureExt as _;

    use super::Dialer;
    use crate::limits::MAX_SESSION_HALF_OPEN;

    #[tokio::test]
    async fn so_many_connections_are_being_opened_and_the_next_waits_for_one_of_them() {
        let dialer = Dialer::new(None, true, true);
        let mut now = Instant::now();
        // So late that the pace holds nobody up.
        let mut next = |needed| {
            now += Duration::from_secs(1);
            dialer.half_open(now, needed).now_or_never().flatten()
        };
        let mut places: Vec<_> = (0..MAX_SESSION_HALF_OPEN)
            .map(|n| next(n % 2 == 0))
            .collect();
        assert!(places.iter().all(Option::is_some), "at the limit");
        for needed in [true, false] {
            assert!(next(needed).is_none(), "one above");
        }
        places.pop();
        assert!(next(false).is_some(), "one has come up or failed");
    }
}
