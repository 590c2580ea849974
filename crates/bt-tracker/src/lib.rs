//! BitTorrent trackers from both sides: codecs, an announce schedule, a swarm store, a client and
//! a server.
//!
//! | feature | adds |
//! | --- | --- |
//! | none | the types below, the codecs [`http`] and [`udp`] in both directions, [`schedule`], [`swarm`]; all pure: no socket, clock, task or random number |
//! | `client` | `client`: announces and scrapes over HTTP and UDP, downloads of .torrent files |
//! | `tls` | `https://` for the client |
//! | `server` | `server`: a tracker to embed |
//! | `redis` | swarms shared by several trackers |
//! | `websocket` | signalling for browsers |
//! | `https` | HTTPS addresses for the server |
//! | `units` | `units`: sizes, rates and durations as people write them |
//! | `bin` (default) | the program `bt-tracker` |
//!
//! One pair of types, [`AnnounceRequest`] and [`AnnounceResponse`], serves every transport:
//!
//! ```
//! use bt_tracker::{AnnounceRequest, Event, http, udp};
//!
//! let mut request = AnnounceRequest::new([0xAA; 20].into(), [0xBB; 20].into(), 6881);
//! request.event = Event::Started;
//! request.left = 5_000_000_000;
//!
//! // The same announce as a URL and as a packet, and back again.
//! let url = http::announce_url("http://tracker.example/announce", &request);
//! let query = url.split_once('?').unwrap().1;
//! assert_eq!(http::decode_announce_query(query.as_bytes())?, request);
//!
//! let mut packet = Vec::new();
//! udp::encode_announce_request(0x1234, 1, &request, &mut packet);
//! assert_eq!(udp::decode_announce_request(&packet)?, request);
//!
//! let answer = http::decode_announce_reply(b"d8:intervali1800e5:peers6:\x01\x02\x03\x04\x1a\xe1e")?;
//! assert_eq!(answer.peers[0].addr, "1.2.3.4:6881".parse().unwrap());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[cfg(all(feature = "fuzz", feature = "bin"))]
extern crate self as bt_tracker;

mod announce;
#[cfg(test)]
mod arbitrary;
// The command line belongs to the program; the fuzzer reaches it from here, under the names that it uses there.
#[cfg(all(feature = "fuzz", feature = "bin"))]
#[allow(dead_code, reason = "nobody runs the program from here")]
#[path = "cli/mod.rs"]
mod cli;
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
#[cfg(feature = "units")]
pub mod units;

pub use announce::{AnnounceRequest, AnnounceResponse, Event, Failure, Peer, RetryIn};
pub use error::{ReplyError, RequestError};
pub use scrape::{ScrapeRequest, ScrapeResponse, ScrapeStats};

#[cfg(all(doctest, feature = "client"))]
#[doc = include_str!("../README.md")]
struct Readme;
