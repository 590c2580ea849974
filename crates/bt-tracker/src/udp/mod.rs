//! Announce and scrape as UDP packets, in both directions (BEP 15, BEP 41), and the client's side
//! of an exchange as a state machine.
//!
//! Everything here is pure: packets, times and seeds come in, packets and values come out. It must
//! not know sockets. A client drives an [`Exchange`]; a server calls [`Head::decode`], checks the
//! connection id, and goes on with [`decode_announce_request`] or [`scrape_hashes`].

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod exchange;
mod options;
mod packet;
mod reply;
mod request;
mod response;

use std::net::{IpAddr, SocketAddr};

pub use exchange::{Answer, Connection, Exchange, ExchangeError, Question};
pub use options::{decode_url_data, encode_url_data};
pub use reply::{
    ReplyHead, decode_announce_reply, decode_connect_reply, decode_error_reply, decode_scrape_reply,
};
pub use request::{
    Head, Request, decode_announce_request, decode_request, encode_announce_request,
    encode_connect_request, encode_scrape_request, scrape_hashes,
};
pub use response::{
    encode_announce_reply, encode_connect_reply, encode_error_reply, encode_packed_announce_reply,
    encode_scrape_reply,
};

/// What stands in the place of the connection id in a connect request (BEP 15, "Connect").
pub const PROTOCOL_ID: u64 = 0x417_2710_1980;

/// The number of each kind of packet (BEP 15).
pub mod action {
    /// Ask for or give a connection id.
    pub const CONNECT: u32 = 0;
    /// Announce, or its answer.
    pub const ANNOUNCE: u32 = 1;
    /// Scrape, or its answer.
    pub const SCRAPE: u32 = 2;
    /// The tracker refuses.
    pub const ERROR: u32 = 3;
}

/// The address family of the packets. It alone decides how long the peer records of an announce
/// reply are (BEP 15, "IPv6").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// Records of 6 bytes.
    V4,
    /// Records of 18 bytes.
    V6,
}

impl Family {
    /// The family of packets that come from `addr` or go there. An IPv4 address that is written as
    /// an IPv6 one, as dual-stack sockets show it, is IPv4.
    #[must_use]
    pub fn of(addr: SocketAddr) -> Self {
        match addr.ip().to_canonical() {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }
}

#[cfg(test)]
mod tests;
