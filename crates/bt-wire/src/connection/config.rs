//! What the owner decides about a connection before it starts.
//!
//! Plain data. Knows nothing of how it is used.

use std::time::Duration;

use bt_metainfo::InfoHash;

use crate::handshake::Reserved;
use crate::limits;
use crate::peer_id::PeerId;

/// What this side is on one connection.
#[derive(Clone, Debug)]
pub struct Config {
    /// The torrent; the first 20 bytes of the hash for version 2.
    pub info_hash: InfoHash,
    /// Our own id.
    pub peer_id: PeerId,
    /// The extensions we offer; [`Config::new`] offers BEP 6 and BEP 10.
    pub reserved: Reserved,
    /// If set, a peer with another id is an error (BEP 3).
    ///
    /// Many clients change their id, so this is for callers that know better than a tracker's list.
    pub expected_peer_id: Option<PeerId>,
    /// How many pieces the torrent has; `None` until its metadata is known (BEP 9), see
    /// [`Connection::set_piece_count`](super::Connection::set_piece_count).
    pub piece_count: Option<u32>,
    /// How many requests of the peer may wait for an answer; more are refused. The `reqq` to
    /// announce (BEP 10). At most [`limits::MAX_INCOMING_REQUESTS`].
    pub max_requests: usize,
    /// How long to wait for what.
    pub timeouts: Timeouts,
}

impl Config {
    /// A configuration with the fast extension, the extension protocol, and default limits.
    pub fn new(info_hash: InfoHash, peer_id: PeerId, piece_count: Option<u32>) -> Self {
        Self {
            info_hash,
            peer_id,
            reserved: Reserved::NONE.with_fast().with_extended(),
            expected_peer_id: None,
            piece_count,
            max_requests: limits::DEFAULT_INCOMING_REQUESTS,
            timeouts: Timeouts::default(),
        }
    }
}

/// What is known of an incoming connection before it names its torrent.
#[derive(Clone, Copy, Debug, Default)]
pub struct IncomingConfig {
    /// How long to wait for the handshake; [`Connection::accept`](super::Connection::accept) brings the rest.
    pub timeouts: Timeouts,
}

/// How long to wait for what. The defaults are the constants of [`limits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// From the start to the peer's complete handshake.
    pub handshake: Duration,
    /// From the handshake to the first message, if the negotiated extensions make one due.
    pub first_message: Duration,
    /// From the last byte we sent to a keep-alive.
    pub keep_alive: Duration,
    /// From the last byte the peer sent to giving it up.
    pub silence: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            handshake: limits::HANDSHAKE_TIMEOUT,
            first_message: limits::FIRST_MESSAGE_TIMEOUT,
            keep_alive: limits::KEEP_ALIVE_INTERVAL,
            silence: limits::SILENCE_TIMEOUT,
        }
    }
}
