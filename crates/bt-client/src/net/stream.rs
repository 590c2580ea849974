//! A connected transport. TCP today; the callers already go through this enum, so that uTP is one more arm.

use std::io;
use std::net::SocketAddr;

use bytes::BufMut;
use bytes::BytesMut;
use tokio::io::Interest;
use tokio::net::TcpStream;

/// See the module.
#[derive(Debug)]
pub(crate) enum Stream {
    /// TCP over IPv4 or IPv6.
    Tcp(TcpStream),
}

impl Stream {
    /// Waits until one of `interest` is likely to succeed.
    pub(crate) async fn ready(&self, interest: Interest) -> io::Result<tokio::io::Ready> {
        match self {
            Self::Tcp(tcp) => tcp.ready(interest).await,
        }
    }

    /// Reads up to `limit` bytes to the end of `buffer`; `Ok(0)` is the end.
    pub(crate) fn try_read(&self, buffer: &mut BytesMut, limit: usize) -> io::Result<usize> {
        match self {
            Self::Tcp(tcp) => tcp.try_read_buf(&mut buffer.limit(limit)),
        }
    }

    /// Writes what the kernel takes of `bytes`.
    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(tcp) => tcp.try_write(bytes),
        }
    }
}

/// An IPv4 peer of a dual-stack socket is an IPv4 peer.
pub(crate) fn unmapped(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}
