//! What the server counts. Knows nothing of how numbers are shown.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only grows.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, count: u64) {
        if count > 0 {
            self.0.fetch_add(count, Ordering::Relaxed);
        }
    }

    pub(super) fn sub(&self, count: u64) {
        self.0.fetch_sub(count, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The numbers of one transport, on cache lines of their own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct TransportStats {
    pub(super) announces: Counter,
    pub(super) scrapes: Counter,
    /// Requests that were answered with a failure.
    pub(super) failures: Counter,
    /// Requests that make no sense.
    pub(super) malformed: Counter,
    /// Peers that replies named.
    pub(super) named: Counter,
    /// Of these, in the asker's own locality group.
    pub(super) named_near: Counter,
    pub(super) bytes_in: Counter,
    pub(super) bytes_out: Counter,
}

/// All numbers of a server.
#[derive(Debug, Default)]
pub(super) struct Stats {
    pub(super) http: TransportStats,
    pub(super) udp: TransportStats,
    /// Messages of browsers; `named` are offers that were relayed.
    pub(super) ws: TransportStats,
    /// Browsers that are connected; goes down as well.
    pub(super) ws_connections: Counter,
    /// Connect requests over UDP.
    pub(super) udp_connects: Counter,
    /// Packets with a connection id that we did not give to their address, or long ago.
    pub(super) udp_unproven: Counter,
    /// Packets of sources that asked more than they may.
    pub(super) udp_limited: Counter,
    /// Workers that have ended although nobody has asked them to.
    pub(super) udp_workers_lost: Counter,
    /// Bugs of this program that were met.
    pub(super) panics: Counter,
    /// Tokens for changes and for uploads that were not the right ones.
    pub(super) wrong_tokens: Counter,
    /// Open connections; goes down as well.
    pub(super) connections: Counter,
    /// Connections that were not kept because there were too many and none could make room.
    pub(super) connections_refused: Counter,
    /// Idle connections that were closed to make room for new ones.
    pub(super) connections_evicted: Counter,
    /// Requests that were refused because connections held too much together.
    pub(super) overloaded: Counter,
    /// Addresses of trusted proxies that were none, or that nobody can have.
    pub(super) forwarded_ignored: Counter,
    /// Connections that did not send a whole head in time.
    pub(super) connections_timed_out: Counter,
    /// TLS handshakes that came to nothing.
    pub(super) handshakes_failed: Counter,
    /// Entries that were not kept because of a limit.
    pub(super) not_stored: Counter,
}

/// Numbers of a transport, at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct TransportSnapshot {
    /// Announces that were accepted.
    pub announces: u64,
    /// Scrapes that were answered.
    pub scrapes: u64,
    /// Requests that were refused.
    pub failures: u64,
    /// Requests that made no sense.
    pub malformed: u64,
    /// Peers that replies named.
    pub named: u64,
    /// Of these, in the asker's own locality group.
    pub named_near: u64,
    /// Bytes of requests.
    pub bytes_in: u64,
    /// Bytes of replies.
    pub bytes_out: u64,
}

/// All numbers of a server, at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct StatsSnapshot {
    /// Seconds since the server started.
    pub uptime: u64,
    /// Torrents that are known.
    pub torrents: u64,
    /// Torrents that are registered.
    pub registered: u64,
    /// Entries of IPv4 peers.
    pub peers_v4: u64,
    /// Entries of IPv6 peers.
    pub peers_v6: u64,
    /// Entries that are seeds.
    pub seeds: u64,
    /// Entries that want pieces.
    pub downloaders: u64,
    /// Completions since the start.
    pub completed: u64,
    /// Torrents forgotten to make room for others.
    pub evicted: u64,
    /// Entries that were not kept because of a limit.
    pub not_stored: u64,
    /// Announces and scrapes over HTTP.
    pub http: TransportSnapshot,
    /// Announces and scrapes over UDP.
    pub udp: TransportSnapshot,
    /// Announces and scrapes of browsers; `named` are offers that were relayed.
    pub ws: TransportSnapshot,
    /// Open WebSocket connections, which are HTTP connections as well.
    pub ws_connections: u64,
    /// Torrents that browsers are in.
    pub ws_torrents: u64,
    /// Browsers in torrents.
    pub ws_peers: u64,
    /// Connect requests over UDP.
    pub udp_connects: u64,
    /// Packets whose connection id did not prove their address.
    pub udp_unproven: u64,
    /// Packets of UDP sources that asked more than they may.
    pub udp_limited: u64,
    /// Open HTTP connections.
    pub connections: u64,
    /// HTTP connections that were one too many.
    pub connections_refused: u64,
    /// Idle HTTP connections that were closed to make room for new ones.
    pub connections_evicted: u64,
    /// Bytes that HTTP connections hold of requests and replies under way, beyond what each may keep.
    pub connection_memory: u64,
    /// Requests that were refused because this was too much.
    pub overloaded: u64,
    /// Addresses in `X-Forwarded-For` of trusted proxies that were none, or that nobody can have;
    /// the proxy's own address was taken instead.
    pub forwarded_ignored: u64,
    /// HTTP connections that did not send a head in time.
    pub connections_timed_out: u64,
    /// TLS handshakes that came to nothing.
    pub handshakes_failed: u64,
    /// Bugs of this program that were met: each has ended one request, connection or chore, and is in the log.
    pub panics: u64,
    /// Tokens for changes and for uploads that were not the right ones.
    pub wrong_tokens: u64,
    /// What is shared with other trackers; `None` when swarms are kept in memory only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store: Option<StoreSnapshot>,
}

/// Numbers of a store that several trackers share, at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct StoreSnapshot {
    /// Whether it is connected.
    pub up: bool,
    /// Announces that it has taken from us.
    pub sent: u64,
    /// Announces of other trackers that were carried out here.
    pub received: u64,
    /// Announces that were not sent because too many were waiting.
    pub dropped: u64,
    /// What it told that makes no sense.
    pub malformed: u64,
    /// Connections made.
    pub connects: u64,
    /// Bytes of announces that wait to be sent.
    pub queued_bytes: u64,
}

impl TransportStats {
    pub(super) fn snapshot(&self) -> TransportSnapshot {
        TransportSnapshot {
            announces: self.announces.get(),
            scrapes: self.scrapes.get(),
            failures: self.failures.get(),
            malformed: self.malformed.get(),
            named: self.named.get(),
            named_near: self.named_near.get(),
            bytes_in: self.bytes_in.get(),
            bytes_out: self.bytes_out.get(),
        }
    }
}
