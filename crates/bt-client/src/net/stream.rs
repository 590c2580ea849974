//! A connected transport. TCP today; the callers already go through this enum, so that uTP is one more arm.

use std::io;
use std::net::SocketAddr;

use bytes::BufMut;
use bytes::BytesMut;
use rustix::net::{SendFlags, send};
use tokio::io::Interest;
use tokio::net::TcpStream;

use crate::disk::Region;

/// See the module.
#[derive(Debug)]
pub(crate) enum Stream {
    /// TCP over IPv4 or IPv6.
    Tcp(TcpStream),
}

/// Zeros for pad files, which are never kept on the disk.
static ZEROS: [u8; 16 * 1024] = [0; 16 * 1024];

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

    /// Writes what the kernel takes of `bytes`; with `more`, other bytes follow at once and are worth waiting for.
    pub(crate) fn try_write(&self, bytes: &[u8], more: bool) -> io::Result<usize> {
        match self {
            Self::Tcp(tcp) => {
                let flags = if more {
                    SendFlags::MORE
                } else {
                    SendFlags::empty()
                } | SendFlags::NOSIGNAL;
                tcp.try_io(Interest::WRITABLE, || Ok(send(tcp, bytes, flags)?))
            }
        }
    }

    /// Sends what the kernel takes of a part of a file, straight from the page cache.
    pub(crate) fn try_send_file(&self, region: &Region) -> io::Result<usize> {
        let Some(file) = &region.file else {
            return self.try_write(&ZEROS[..region.length.min(ZEROS.len())], false);
        };
        match self {
            Self::Tcp(tcp) => {
                let mut offset = region.offset;
                let call = || {
                    Ok(rustix::fs::sendfile(
                        tcp,
                        file,
                        Some(&mut offset),
                        region.length,
                    )?)
                };
                tcp.try_io(Interest::WRITABLE, call)
            }
        }
    }
}

/// An IPv4 peer of a dual-stack socket is an IPv4 peer.
pub(crate) fn unmapped(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}
