//! The listening sockets: one port, both address families.

use std::fs::File;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};

use super::stream::unmapped;

/// Connections that may wait to be accepted; swarms start with a burst.
const BACKLOG: i32 = 512;

/// How long a caller that waits already may take to be taken.
const AT_ONCE: Duration = Duration::from_millis(50);

/// How often a port is drawn anew when the second family cannot have the same one.
const TRIES: usize = 8;

/// See the module.
#[derive(Debug)]
pub(crate) struct Listener {
    sockets: Vec<TcpListener>,
    port: u16,
}

/// Binds `port` (0: any free one) on `bind`, or on all addresses of the families that are on.
pub(crate) fn listen(
    port: u16,
    bind: Option<IpAddr>,
    ipv4: bool,
    ipv6: bool,
) -> io::Result<Listener> {
    let mut error = None;
    for _ in 0..if port == 0 { TRIES } else { 1 } {
        match listen_once(port, bind, ipv4, ipv6) {
            Ok(listener) => return Ok(listener),
            Err(failure) => error = Some(failure),
        }
    }
    Err(error.unwrap_or_else(|| io::Error::from(io::ErrorKind::AddrInUse)))
}

fn listen_once(port: u16, bind: Option<IpAddr>, ipv4: bool, ipv6: bool) -> io::Result<Listener> {
    let mut addresses: Vec<IpAddr> = bind.into_iter().collect();
    if addresses.is_empty() {
        addresses.extend(ipv4.then_some(IpAddr::V4(Ipv4Addr::UNSPECIFIED)));
        addresses.extend(ipv6.then_some(IpAddr::V6(Ipv6Addr::UNSPECIFIED)));
    }
    let mut sockets: Vec<TcpListener> = Vec::new();
    let mut port = port;
    for ip in addresses {
        match bind_one(SocketAddr::new(ip, port)) {
            Ok(socket) => {
                port = socket.local_addr()?.port();
                sockets.push(socket);
            }
            // A machine without IPv6 still shares over IPv4.
            Err(error) if ip.is_ipv6() && !sockets.is_empty() && is_family_missing(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Listener { sockets, port })
}

fn is_family_missing(error: &io::Error) -> bool {
    let code = error.raw_os_error();
    let missing = [
        rustix::io::Errno::AFNOSUPPORT,
        rustix::io::Errno::ADDRNOTAVAIL,
    ];
    missing
        .iter()
        .any(|errno| code == Some(errno.raw_os_error()))
}

fn bind_one(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    if addr.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // A restart must not wait for connections of the last run to time out.
    socket.set_reuse_address(addr.port() != 0)?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

impl Listener {
    /// The port that was bound.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// One task per socket can wait here.
    pub(crate) fn into_sockets(self) -> Vec<Socketed> {
        self.sockets.into_iter().map(Socketed::new).collect()
    }
}

/// One listening socket.
#[derive(Debug)]
pub(crate) struct Socketed {
    listener: TcpListener,
    /// A descriptor to give up when there is no other: with it a caller can be taken and sent away. Left waiting it
    /// would keep the socket ready, and us busy.
    reserve: Mutex<Option<File>>,
}

impl Socketed {
    fn new(listener: TcpListener) -> Self {
        Self {
            listener,
            reserve: Mutex::new(reserve()),
        }
    }

    /// The next caller.
    pub(crate) async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, addr) = loop {
            match self.listener.accept().await {
                Err(error) if is_out_of_descriptors(&error) && self.give_up_reserve() => {
                    let turned_away = tokio::time::timeout(AT_ONCE, self.listener.accept()).await;
                    drop(turned_away);
                    *self.reserve.lock().unwrap_or_else(PoisonError::into_inner) = reserve();
                    tracing::debug!("a caller was turned away: no descriptors left");
                }
                other => break other?,
            }
        };
        stream.set_nodelay(true)?;
        Ok((stream, unmapped(addr)))
    }

    /// False if somebody else took the descriptor when it was given up last.
    fn give_up_reserve(&self) -> bool {
        let mut reserve = self.reserve.lock().unwrap_or_else(PoisonError::into_inner);
        reserve.take().is_some()
    }
}

fn reserve() -> Option<File> {
    File::open("/dev/null").ok()
}

fn is_out_of_descriptors(error: &io::Error) -> bool {
    let out = [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE];
    out.iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}
