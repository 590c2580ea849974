//! Sockets that somebody else has bound: a service manager, which can bind ports that we may not,
//! and keeps them while we are restarted.

use std::net::{TcpListener, UdpSocket};
use std::sync::Arc;

/// Bound sockets that a server takes over, besides the addresses that it binds itself.
#[derive(Clone, Debug, Default)]
pub struct Inherited {
    pub(super) http: Vec<Arc<TcpListener>>,
    pub(super) udp: Vec<Arc<UdpSocket>>,
    pub(super) stats: Option<Arc<TcpListener>>,
}

impl Inherited {
    /// Serves announces over HTTP on this one, which listens already.
    pub fn http(&mut self, listener: TcpListener) {
        self.http.push(Arc::new(listener));
    }

    /// Serves announces over UDP on this one.
    pub fn udp(&mut self, socket: UdpSocket) {
        self.udp.push(Arc::new(socket));
    }

    /// Serves the numbers on this one, which listens already; not on `stats` then.
    pub fn stats(&mut self, listener: TcpListener) {
        self.stats = Some(Arc::new(listener));
    }

    /// Whether there is none for announces.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.http.is_empty() && self.udp.is_empty()
    }
}
