//! BitTorrent trackers from both sides: codecs, an announce schedule, a swarm store, a client and
//! a server.
//!
//! | feature | adds |
//! | --- | --- |
//! | none | the types below, [`http`] and [`udp`] codecs in both directions, [`schedule`], [`swarm`]: all pure |
//! | `client` | `client`: announces and scrapes over HTTP and UDP |
//! | `tls` | `https://` for the client |
//! | `server` | `server`: a tracker to embed |
//! | `bin` (default) | the program `bt-tracker` |

#![cfg_attr(docsrs, feature(doc_cfg))]

mod announce;
#[cfg(test)]
mod arbitrary;
#[cfg(feature = "client")]
pub mod client;
mod error;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
pub mod http;
pub mod limits;
pub mod schedule;
mod scrape;
mod seed;
#[cfg(feature = "server")]
pub mod server;
pub mod swarm;
pub mod udp;

pub use announce::{AnnounceRequest, AnnounceResponse, Event, Failure, Peer, RetryIn};
pub use error::{ReplyError, RequestError};
pub use scrape::{ScrapeRequest, ScrapeResponse, ScrapeStats};
