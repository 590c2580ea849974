//! Where sockets come from. The client makes none itself: whoever embeds it decides about
//! interfaces, proxies and addresses that must not be dialed, in one place.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;

use tokio::net::{TcpStream, UdpSocket};

/// A future on the heap, so that [`Net`] can be a trait object.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The one maker of sockets and resolver of names.
///
/// The client calls [`resolve`](Self::resolve) for host names only, tries the addresses in the
/// order given, and announces over each address family among them. So a program that is bound to
/// one family, or to one interface, leaves out what it must not use; and it refuses, with an
/// error, an address that it must not dial.
pub trait Net: fmt::Debug + Send + Sync + 'static {
    /// The addresses of a host name, best first.
    fn resolve<'a>(
        &'a self,
        host: &'a str,
        port: u16,
    ) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>>;

    /// A TCP connection to the address.
    fn connect(&self, addr: SocketAddr) -> BoxFuture<'_, io::Result<TcpStream>>;

    /// A UDP socket that is *connected* to the address, so that the system drops packets from
    /// anywhere else.
    fn udp(&self, remote: SocketAddr) -> BoxFuture<'_, io::Result<UdpSocket>>;
}

/// The operating system's sockets and resolver, without any policy.
#[derive(Clone, Copy, Debug, Default)]
pub struct Direct;

impl Net for Direct {
    fn resolve<'a>(
        &'a self,
        host: &'a str,
        port: u16,
    ) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) })
    }

    fn connect(&self, addr: SocketAddr) -> BoxFuture<'_, io::Result<TcpStream>> {
        Box::pin(TcpStream::connect(addr))
    }

    fn udp(&self, remote: SocketAddr) -> BoxFuture<'_, io::Result<UdpSocket>> {
        Box::pin(async move {
            let any: SocketAddr = match remote {
                SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
                SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
            };
            let socket = UdpSocket::bind(any).await?;
            socket.connect(remote).await?;
            Ok(socket)
        })
    }
}
