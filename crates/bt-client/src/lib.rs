//! A BitTorrent client to embed, and the program `bt-client`.
//!
//! ```no_run
//! use bt_client::{AddTorrent, Session, SessionConfig};
//! use bt_metainfo::Metainfo;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let session = Session::start(SessionConfig::default()).await?;
//! let metainfo = Metainfo::parse(&std::fs::read("build.torrent")?)?;
//! let torrent = session.add(AddTorrent::new(metainfo, "downloads")).await?;
//! torrent.wait_until_seeding().await?;
//! session.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! A [`Session`] has one port, one disk and any number of [`Torrent`]s. What each torrent does is decided in
//! [`engine`], which is pure; [`disk`] and a private room for the network move the bytes, [`session`] connects them.
//!
//! | to do this | start here |
//! | --- | --- |
//! | run a client | [`Session::start`], [`SessionConfig`] |
//! | download or seed a torrent | [`Session::add`], [`AddTorrent`] |
//! | follow what happens | [`Session::subscribe`], [`EventKind`] |
//! | know how a torrent is doing | [`Torrent::status`], [`engine::Status`] |
//! | pause, choose files, move content | [`Torrent`] |
//! | go on after a restart | [`SessionConfig::state`], [`state::Store`], [`Session::restore`] |
//! | drive the decisions without a socket or a disk | [`engine::Torrent`] |
//!
//! | feature | adds |
//! | --- | --- |
//! | none | everything above |
//! | `tls` | `https://` trackers |
//! | `cli` (default) | the program `bt-client` and its module `cli`, the tracker of `demo`, `tls` |
//! | `fuzz` | bodies for a fuzzing driver |

#[cfg(feature = "cli")]
pub mod cli;
mod contain;
pub mod disk;
pub mod engine;
mod error;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
pub mod limits;
mod net;
mod scrub;
pub mod session;
pub mod state;

pub use error::Error;
pub use session::{
    AddTorrent, Allocation, Check, EventKind, EventStream, Restored, Session, SessionConfig,
    SessionEvent, Torrent,
};

#[doc = include_str!("../README.md")]
#[cfg(doctest)]
struct Readme;
