//! Announce and scrape as HTTP queries and bencoded replies, in both directions (BEP 3, 7, 21, 23,
//! 24, 31, 48).
//!
//! Everything here is pure: bytes in, values out. Heads, sockets and status codes belong to the
//! client and the server. A client calls [`announce_url`] and [`decode_announce_reply`]; a server
//! calls [`decode_announce_query`] and [`encode_announce_reply`].

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod percent;
mod query;
mod reply;
mod response;
mod url;

pub use query::{
    decode_announce_query, decode_scrape_query, decode_scrape_query_into, encode_announce_query,
    encode_scrape_query,
};
pub use reply::{
    OneOfMany, decode_announce_reply, decode_many_announce_replies, decode_scrape_reply,
};
pub use response::{PeerForm, encode_announce_reply, encode_failure, encode_scrape_reply};
pub use url::{announce_url, redacted, scrape_request_url, scrape_url};

#[cfg(test)]
mod tests;
