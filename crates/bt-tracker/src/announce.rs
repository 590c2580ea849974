//! What a peer tells a tracker and what the tracker answers: one type for every transport.
//!
//! HTTP, UDP, the server's swarm store and the client all speak in these types. They must not
//! know how a request travels: percent-encoding, packets and sockets live in the rooms around.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use bt_metainfo::InfoHash;
use bt_wire::PeerId;

use crate::limits::MAX_MESSAGE;

/// Why a peer announces (BEP 3 `event`, BEP 21 `paused`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Event {
    /// A regular announce at the interval that the tracker asked for.
    #[default]
    None,
    /// The download has just become complete. Never sent by a peer that was complete when it
    /// started.
    Completed,
    /// The first announce of a session.
    Started,
    /// The peer leaves the swarm.
    Stopped,
    /// The peer is a partial seed: it lacks pieces and wants none (BEP 21). Over UDP we send it as
    /// [`Event::None`]: BEP 15 has no number for it, and some trackers refuse numbers that they
    /// do not know.
    Paused,
}

impl Event {
    /// The value of the HTTP parameter, or `None` for a regular announce, which has no parameter.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Completed => Some("completed"),
            Self::Started => Some("started"),
            Self::Stopped => Some("stopped"),
            Self::Paused => Some("paused"),
        }
    }

    /// Reads the value of the HTTP parameter; `empty` and the empty string mean a regular
    /// announce (BEP 3). `None` when it is no event at all.
    #[must_use]
    pub fn from_name(name: &[u8]) -> Option<Self> {
        match name {
            b"" | b"empty" => Some(Self::None),
            b"completed" => Some(Self::Completed),
            b"started" => Some(Self::Started),
            b"stopped" => Some(Self::Stopped),
            b"paused" => Some(Self::Paused),
            _ => None,
        }
    }

    /// The number in a UDP announce: 0 none, 1 completed, 2 started, 3 stopped (BEP 15,
    /// "Announce").
    #[must_use]
    pub fn udp_code(self) -> u32 {
        match self {
            Self::None | Self::Paused => 0,
            Self::Completed => 1,
            Self::Started => 2,
            Self::Stopped => 3,
        }
    }

    /// Reads the number of a UDP announce. 4 is [`Event::Paused`]: BEP 15 does not define it, but
    /// libtorrent sends it. `None` for any other number.
    #[must_use]
    pub fn from_udp_code(code: u32) -> Option<Self> {
        match code {
            0 => Some(Self::None),
            1 => Some(Self::Completed),
            2 => Some(Self::Started),
            3 => Some(Self::Stopped),
            4 => Some(Self::Paused),
            _ => None,
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name().unwrap_or("none"))
    }
}

/// One announce of one peer in one torrent.
///
/// Make it with [`AnnounceRequest::new`] and set the fields that matter.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AnnounceRequest {
    /// The torrent. For a v2 torrent this is the truncated hash (BEP 52).
    pub info_hash: InfoHash,
    /// Who announces.
    pub peer_id: PeerId,
    /// The TCP port on which the peer accepts connections. 0 means that it accepts none.
    pub port: u16,
    /// Bytes of content sent to peers since `started`.
    pub uploaded: u64,
    /// Bytes of content received since `started`.
    pub downloaded: u64,
    /// Bytes of content that the peer still lacks. 0 makes it a seed; [`u64::MAX`] means that it
    /// did not say.
    pub left: u64,
    /// Why the peer announces.
    pub event: Event,
    /// How many peers the answer should hold at most; `None` leaves it to the tracker.
    pub numwant: Option<u32>,
    /// Identifies the peer across its addresses (BEP 7, BEP 15). 0 means none was given. Keys
    /// that are no hexadecimal number of 32 bits arrive here as their hash.
    pub key: u32,
    /// What the tracker said in `tracker id`, byte for byte (BEP 3). HTTP only.
    pub tracker_id: Option<Vec<u8>>,
    /// Whether the packed peer list is preferred (BEP 23). HTTP only; UDP is always packed.
    pub compact: bool,
    /// Whether an unpacked list may omit the peer ids. HTTP only.
    pub no_peer_id: bool,
    /// The address that the peer claims to have. Trackers should not believe it: it lets anybody
    /// send a swarm to a victim (BEP 7, "IP announce parameters").
    pub ip: Option<IpAddr>,
    /// The `ipv4=` parameter of the first edition of BEP 7; as credible as [`Self::ip`].
    pub ipv4: Option<Ipv4Addr>,
    /// The `ipv6=` parameter of the first edition of BEP 7; as credible as [`Self::ip`].
    pub ipv6: Option<Ipv6Addr>,
    /// Path and query of the tracker's URL, as sent in BEP 41 options over UDP. Empty over HTTP,
    /// where they are in the request line.
    pub url_data: Vec<u8>,
}

impl AnnounceRequest {
    /// A regular announce with nothing transferred, nothing known about what is left, and a
    /// packed answer preferred.
    #[must_use]
    pub fn new(info_hash: InfoHash, peer_id: PeerId, port: u16) -> Self {
        Self {
            info_hash,
            peer_id,
            port,
            uploaded: 0,
            downloaded: 0,
            left: u64::MAX,
            event: Event::None,
            numwant: None,
            key: 0,
            tracker_id: None,
            compact: true,
            no_peer_id: true,
            ip: None,
            ipv4: None,
            ipv6: None,
            url_data: Vec::new(),
        }
    }

    /// Whether the peer has everything.
    #[must_use]
    pub fn is_seed(&self) -> bool {
        self.left == 0
    }
}

/// A peer as a tracker names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Peer {
    /// Where it accepts connections.
    pub addr: SocketAddr,
    /// Its id; unknown from a packed list.
    pub id: Option<PeerId>,
}

impl Peer {
    /// Whether a peer can listen there at all. Whether we may dial it is the dialer's question.
    pub(crate) fn can_exist(&self) -> bool {
        let ip_is_possible = match self.addr.ip().to_canonical() {
            IpAddr::V4(ip) => !ip.is_unspecified() && !ip.is_multicast() && !ip.is_broadcast(),
            IpAddr::V6(ip) => !ip.is_unspecified() && !ip.is_multicast(),
        };
        self.addr.port() != 0 && ip_is_possible
    }
}

impl From<SocketAddr> for Peer {
    fn from(addr: SocketAddr) -> Self {
        Self { addr, id: None }
    }
}

/// What a tracker answers to an accepted announce.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AnnounceResponse {
    /// Time until the next regular announce, whole seconds, exactly as the tracker said; the
    /// schedule clamps it.
    pub interval: Duration,
    /// The tracker wants no announce at all before this time has passed, events excepted.
    pub min_interval: Option<Duration>,
    /// Number of seeds.
    pub complete: Option<u32>,
    /// Number of peers that are no seeds, partial seeds included.
    pub incomplete: Option<u32>,
    /// How many peers have ever become complete.
    pub downloaded: Option<u32>,
    /// Number of peers that want pieces: [`Self::incomplete`] without partial seeds (BEP 21).
    pub downloaders: Option<u32>,
    /// Peers to connect to.
    pub peers: Vec<Peer>,
    /// To be sent back in later announces to this tracker, byte for byte.
    pub tracker_id: Option<Vec<u8>>,
    /// The announce was accepted, but a person should read this.
    pub warning: Option<String>,
    /// The address from which the tracker sees us (BEP 24).
    pub external_ip: Option<IpAddr>,
    /// How many peer records were left out when the reply was read: they had port 0, a host name,
    /// an address that no peer can have, or came after the limit.
    pub skipped: u32,
}

impl AnnounceResponse {
    /// An answer without peers.
    #[must_use]
    pub fn new(interval: Duration) -> Self {
        Self {
            interval,
            ..Self::default()
        }
    }
}

/// A tracker's refusal: `failure reason` over HTTP, an error packet over UDP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The tracker's own words, for people.
    pub reason: String,
    /// When the tracker wants to be asked again (BEP 31).
    pub retry_in: Option<RetryIn>,
}

impl Failure {
    /// A refusal that says nothing about asking again.
    #[must_use]
    pub fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            retry_in: None,
        }
    }
}

impl Failure {
    /// A refusal as it came in, as [`words`].
    pub(crate) fn in_words(reason: &[u8]) -> Self {
        Self::new(if reason.is_empty() {
            String::from("no reason given")
        } else {
            words(reason)
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)?;
        match self.retry_in {
            None => Ok(()),
            Some(RetryIn::Minutes(1)) => f.write_str(" (retry in 1 minute)"),
            Some(RetryIn::Minutes(minutes)) => write!(f, " (retry in {minutes} minutes)"),
            Some(RetryIn::Never) => f.write_str(" (never retry)"),
        }
    }
}

/// When a tracker that refused may be asked again (BEP 31, "retry in").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RetryIn {
    /// After this many minutes, at least 1.
    Minutes(u32),
    /// Not in this session.
    Never,
}

/// What a tracker says to people: at most [`MAX_MESSAGE`] bytes of text. Bytes that are none become U+FFFD, and what is
/// cut off leaves a mark.
pub(crate) fn words(bytes: &[u8]) -> String {
    let cut = bytes.get(..MAX_MESSAGE).unwrap_or(bytes);
    let mut text = String::from_utf8_lossy(cut).into_owned();
    // U+FFFD takes three bytes.
    if cut.len() < bytes.len() || text.len() > MAX_MESSAGE {
        text.truncate(text.floor_char_boundary(MAX_MESSAGE - '…'.len_utf8()));
        text.push('…');
    }
    text
}
