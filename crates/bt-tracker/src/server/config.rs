//! What the owner of a server decides. Flags, files and environment belong to the program.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use super::tracker::Tracker;
use super::{Error, Inherited, chores, http, snapshot, udp};
use crate::limits::{MAX_CONNECTION_MEMORY, MAX_INTERVAL, MAX_SCRAPE, SPARE_FILES};
use crate::swarm::{DEFAULT_MAX_NUMWANT, DEFAULT_NUMWANT, Limits, Locality, Network};

/// Who may announce what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Every torrent is tracked, except where a directory of torrents closes the tracker.
    #[default]
    Open,
    /// Only the torrents of the list.
    AllowList,
    /// Every torrent but those of the list.
    DenyList,
    /// Every torrent, for whoever has a key of the list in the announce URL:
    /// `http://tracker/KEY/announce`, `udp://tracker/KEY/announce` (BEP 41).
    Passkey,
}

/// Where swarms are kept while the server runs.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Store {
    /// In this process.
    #[default]
    Memory,
    /// In this process, and shared with other trackers through the Redis or Valkey at this URL:
    /// `redis://[user:password@]host[:port][/number]`, or `rediss://` for TLS. Announces never
    /// wait for it.
    #[cfg(feature = "redis")]
    Redis(String),
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Memory => "Memory",
            // The URL may hold a password.
            #[cfg(feature = "redis")]
            Self::Redis(_) => "Redis",
        })
    }
}

/// Whose word for its own address is taken (BEP 3 `ip`, BEP 7, the address field of BEP 15).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IpParam {
    /// Nobody's: with it anybody could direct a swarm at a victim.
    #[default]
    Deny,
    /// That of peers whose proven address is private, such as `10.0.0.0/8` or `fc00::/7`, or of this
    /// machine: for a tracker behind the same NAT as some of its peers, which others reach by
    /// another address.
    PrivateOnly,
}

/// Words that are not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides a secret.
    #[must_use]
    pub fn new(words: impl Into<String>) -> Self {
        Self(words.into())
    }

    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

/// How a server is made.
///
/// ```
/// use bt_tracker::server::Config;
///
/// let config = Config { http: vec!["127.0.0.1:0".parse()?], ..Config::default() };
/// assert_eq!(config.interval.as_secs(), 1800);
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Config {
    /// Addresses for announces over HTTP. Port 0 means any free one.
    pub http: Vec<SocketAddr>,
    /// Addresses for announces over HTTPS. Port 0 means any free one.
    #[cfg(feature = "https")]
    pub https: Vec<SocketAddr>,
    /// The certificate for `https` and those that vouch for it, in PEM, its own first. Read again
    /// by [`Handle::reload`](super::Handle::reload).
    #[cfg(feature = "https")]
    pub tls_cert: Option<PathBuf>,
    /// The private key of the certificate, in PEM.
    #[cfg(feature = "https")]
    pub tls_key: Option<PathBuf>,
    /// Addresses for announces over UDP. Port 0 means any free one.
    pub udp: Vec<SocketAddr>,
    /// Sockets that are bound already, besides these addresses.
    pub inherited: Inherited,
    /// Where `/metrics`, `/healthz`, `/readyz` and `/stats` are. Keep it from the public.
    pub stats: Option<SocketAddr>,
    /// Who may announce what.
    pub mode: Mode,
    /// The list that `mode` goes by, and only with a mode that has one: one info-hash of 40 hexadecimal digits, or one passkey and
    /// maybe a name, a line; `#` starts a comment. Read again by
    /// [`Handle::reload`](super::Handle::reload), and rewritten by
    /// [`Handle::add_to_list`](super::Handle::add_to_list).
    pub list: Option<PathBuf>,
    /// What users with passkeys have transferred is kept here across restarts. Written as often
    /// as the snapshot.
    pub accounts: Option<PathBuf>,
    /// Who sends this token (`Authorization: Bearer TOKEN`) may change lists and torrents where
    /// `stats` is, and there has to be such an address. At least 16 bytes of visible ASCII.
    /// Default nobody.
    pub admin_token: Option<Secret>,
    /// A directory of `.torrent` files: they are tracked and offered for download, nothing else
    /// is tracked, and files that come and go are followed.
    pub torrents: Option<PathBuf>,
    /// How often the directory is looked at. Default 2 s.
    pub torrents_poll: Duration,
    /// Who sends this token (`Authorization: Bearer TOKEN`) may put torrents into the directory:
    /// `PUT /torrents/NAME.torrent`, or `POST /torrents/`. At least 16 bytes of visible ASCII.
    /// Default nobody.
    pub upload_token: Option<Secret>,
    /// Only registered torrents are tracked. Implied by `torrents`.
    pub closed: bool,
    /// What peers are told to wait between announces: from a second to
    /// [a day](crate::limits::MAX_INTERVAL). Default 30 minutes.
    pub interval: Duration,
    /// What peers are told to wait at least. Default half the interval.
    pub min_interval: Option<Duration>,
    /// Silence after which a peer is forgotten. Default twice the interval.
    pub peer_ttl: Option<Duration>,
    /// Of the interval, how many percent a reply may be off, at random and in both directions: peers
    /// who came together do not come back together. At most 100. Default 0.
    pub interval_jitter: u8,
    /// The path of announces over HTTP; with passkeys, `/KEY` stands before it. Scrapes are at the
    /// same path with `scrape` for the last `announce` in it (BEP 48). Default `/announce`.
    pub announce_path: String,
    /// Torrents in a scrape at most, up to [`MAX_SCRAPE`](crate::limits::MAX_SCRAPE), the default.
    pub max_scrape: usize,
    /// Peers in a reply when the request does not say. Default 50.
    pub default_numwant: u32,
    /// Peers in a reply at most. Default 100.
    pub max_numwant: u32,
    /// Whether the ids of peers that announce over HTTP are kept, so that unpacked lists
    /// (`compact=0`) have them. It costs about 20 bytes a peer. Default true.
    pub keep_peer_ids: bool,
    /// Reverse proxies whose `X-Forwarded-For` is believed. Default none.
    pub trusted_proxies: Vec<Network>,
    /// The header in which they name the client. Default `X-Forwarded-For`.
    pub proxy_header: String,
    /// Whose word for its own address is taken. Default nobody's.
    pub ip_param: IpParam,
    /// Which peers are near each other.
    pub locality: Locality,
    /// What strangers can make the server keep.
    pub limits: Limits,
    /// Connections at once over HTTP. When there are more, those that have been idle for the longest
    /// make room, and if there are none, the new one is closed. Default 20,000.
    pub max_connections: usize,
    /// Connections at once of one source (an IPv4 address, or a /64 of IPv6) that is no trusted
    /// proxy; those of its own that have been idle for the longest make room. Default a quarter of
    /// `max_connections`.
    pub max_connections_per_ip: Option<usize>,
    /// Bytes that all connections together may hold of requests that are coming and replies that are
    /// going, besides [`MAX_KEPT_BUFFER`](crate::limits::MAX_KEPT_BUFFER) for each. Above it,
    /// requests that need more are refused. Default 256 MiB.
    pub max_connection_memory: usize,
    /// Requests a second that one UDP source (an IPv4 address, or a /64 of IPv6) gets answered
    /// over time, and twice as many at once, by each worker that its packets come to. Default no
    /// limit. Connect requests are always limited.
    pub udp_requests_per_ip: Option<u32>,
    /// The secret of connection ids over UDP, 32 hexadecimal digits. Servers with the same one, whose
    /// clocks agree, honor each other's ids, and so does one that is restarted. Default random.
    pub udp_key: Option<Secret>,
    /// Where swarms are kept across restarts.
    pub snapshot: Option<PathBuf>,
    /// How often the snapshot and the accounts are written. Default 5 minutes.
    pub snapshot_every: Duration,
    /// Where swarms are kept while the server runs. Default in this process alone.
    pub store: Store,
    /// Sockets for each UDP address, each with a thread of its own, and listeners for each HTTP
    /// address. Default one for each core that the process may use.
    pub workers: Option<usize>,
    /// Bytes that the kernel may keep for each UDP socket; it may grant less. Default 4 MiB.
    pub udp_buffer: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            http: Vec::new(),
            #[cfg(feature = "https")]
            https: Vec::new(),
            #[cfg(feature = "https")]
            tls_cert: None,
            #[cfg(feature = "https")]
            tls_key: None,
            udp: Vec::new(),
            inherited: Inherited::default(),
            stats: None,
            mode: Mode::default(),
            list: None,
            accounts: None,
            admin_token: None,
            torrents: None,
            torrents_poll: Duration::from_secs(2),
            upload_token: None,
            closed: false,
            interval: Duration::from_secs(30 * 60),
            min_interval: None,
            peer_ttl: None,
            interval_jitter: 0,
            announce_path: "/announce".into(),
            max_scrape: MAX_SCRAPE,
            default_numwant: DEFAULT_NUMWANT,
            max_numwant: DEFAULT_MAX_NUMWANT,
            keep_peer_ids: true,
            trusted_proxies: Vec::new(),
            proxy_header: "X-Forwarded-For".into(),
            ip_param: IpParam::default(),
            locality: Locality::default(),
            limits: Limits::default(),
            max_connections: 20_000,
            max_connections_per_ip: None,
            max_connection_memory: MAX_CONNECTION_MEMORY,
            udp_requests_per_ip: None,
            udp_key: None,
            snapshot: None,
            snapshot_every: Duration::from_secs(5 * 60),
            store: Store::default(),
            workers: None,
            udp_buffer: 4 * 1024 * 1024,
        }
    }
}

impl Config {
    /// A closed tracker over HTTP on one address: only registered torrents are tracked. Port 0
    /// means any free one.
    #[must_use]
    pub fn closed(http: SocketAddr) -> Self {
        Self {
            http: vec![http],
            closed: true,
            ..Self::default()
        }
    }

    /// Every address of this machine with this port: `0.0.0.0`, and `[::]` if it has IPv6.
    #[must_use]
    pub fn every_address(port: u16) -> Vec<SocketAddr> {
        let has_v6 = || {
            let socket = Socket::new(Domain::IPV6, Type::DGRAM, None)?;
            socket.bind(&SocketAddr::from((Ipv6Addr::LOCALHOST, 0)).into())
        };
        let v4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
        let v6 = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
        if has_v6().is_ok() {
            vec![v4, v6]
        } else {
            vec![v4]
        }
    }

    /// The time-to-live of peers that is in force.
    #[must_use]
    pub fn effective_peer_ttl(&self) -> Duration {
        self.peer_ttl
            .unwrap_or(self.interval.saturating_mul(2))
            .max(Duration::from_millis(1))
    }

    /// The shortest interval that is in force.
    #[must_use]
    pub fn effective_min_interval(&self) -> Duration {
        self.min_interval
            .unwrap_or(self.interval / 2)
            .min(self.interval)
    }

    /// Settings that work together in a way that is hardly meant, in words for people.
    #[must_use]
    pub fn doubts(&self) -> Vec<&'static str> {
        // The server refuses longer ones; here they must not do harm.
        let interval = self.interval.min(MAX_INTERVAL);
        let longest = interval + interval * u32::from(self.interval_jitter) / 100;
        let ttl = self.effective_peer_ttl();
        let doubts = [
            (
                ttl < self.interval,
                "the time-to-live of peers is shorter than the interval: peers are forgotten \
                 between their announces",
            ),
            (
                ttl >= self.interval && self.interval_jitter > 0 && ttl <= longest,
                "the interval with its jitter can be as long as the time-to-live of peers: some \
                 are forgotten between their announces",
            ),
            (
                self.min_interval.is_some_and(|least| least > self.interval),
                "the shortest interval is longer than the interval, which holds instead",
            ),
            (
                self.default_numwant > self.max_numwant,
                "more peers are given by default than at most, which holds instead",
            ),
            (
                self.max_numwant == 0,
                "no reply names a peer: nobody finds anybody here",
            ),
        ];
        let held = doubts.into_iter().filter(|(holds, _)| *holds);
        held.map(|(_, doubt)| doubt).collect()
    }

    /// Reads everything that a server would read, and binds nothing.
    ///
    /// # Errors
    /// When the list or the directory of torrents cannot be read, a file in it is no torrent, or
    /// a setting makes no sense.
    pub fn check(&self) -> Result<(), Error> {
        let tracker = Tracker::new(self, Instant::now())?;
        http::proxy_header(self)?;
        udp::check(self)?;
        if let Some(path) = &self.snapshot {
            snapshot::check_file(path)?;
        }
        chores::doubt_places(self);
        chores::load_accounts(&tracker, self.accounts.as_deref())?;
        if let Some(dir) = &self.torrents {
            let changes = tracker.publisher.scan(dir, &tracker.swarms)?;
            if let Some(problem) = changes.problems.into_iter().next() {
                return Err(Error::NotATorrent {
                    path: dir.join(problem.file),
                    problem: problem.reason,
                });
            }
        }
        Ok(())
    }

    /// Refuses limits of nothing: they would keep everybody out, and whoever writes 0 means "none".
    pub(super) fn check_limits(&self) -> Result<(), Error> {
        let limits = [
            (
                self.limits.torrents == 0,
                "max-torrents",
                "a limit of 0 torrents lets nobody in; give none for the default",
            ),
            (
                self.limits.peers_per_torrent == 0,
                "max-peers-per-torrent",
                "a limit of 0 peers in a torrent lets nobody in; give none for the default",
            ),
            (
                self.limits.peers_per_ip == Some(0),
                "max-peers-per-ip",
                "a limit of 0 peers of an address lets nobody in; give none for no limit",
            ),
            (
                self.udp_requests_per_ip == Some(0),
                "max-udp-requests-per-ip",
                "a limit of 0 requests of an address answers nobody; give none for no limit",
            ),
            (
                self.max_connections == 0,
                "max-connections",
                "a limit of 0 connections keeps none; give none for the default",
            ),
            (
                self.max_connections_per_ip == Some(0),
                "max-connections-per-ip",
                "a limit of 0 connections of an address keeps none; give none for the default",
            ),
            (
                self.max_connection_memory == 0,
                "max-connection-memory",
                "a limit of 0 bytes refuses every upload; give none for the default",
            ),
            (
                self.peer_ttl == Some(Duration::ZERO),
                "peer-ttl",
                "a limit of 0 for the silence of peers forgets all at once; give none for the default",
            ),
        ];
        match limits.into_iter().find(|(is_nothing, ..)| *is_nothing) {
            Some((_, name, problem)) => Err(Error::setting(name, problem)),
            None => Ok(()),
        }
    }

    /// Keeps the number of connections below what the process may open, so that it is the server
    /// that sends idle ones away and not the system that refuses new ones.
    pub(super) fn fit_files(&mut self, most: u64) {
        #[cfg(feature = "https")]
        let https = self.https.len();
        #[cfg(not(feature = "https"))]
        let https = 0;
        let inherited = self.inherited.http.len() + self.inherited.udp.len();
        let each = self.http.len() + self.udp.len() + inherited;
        let sockets = each * self.effective_workers() + https;
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let room = most.saturating_sub(sockets + SPARE_FILES).max(1);
        if self.max_connections > room {
            let asked = std::mem::replace(&mut self.max_connections, room);
            // Whoever gets nearly what he asked for need not be warned at each start.
            if room < asked / 2 {
                tracing::warn!(
                    files = most,
                    asked,
                    "at most {room} connections are kept: the limit of open file descriptors (ulimit -n) allows no more"
                );
            } else {
                tracing::info!(
                    files = most,
                    asked,
                    "at most {room} connections are kept: the limit of open file descriptors (ulimit -n) allows no more"
                );
            }
        }
    }

    /// Connections that one source may have.
    pub(super) fn effective_connections_per_ip(&self) -> usize {
        self.max_connections_per_ip
            .unwrap_or(self.max_connections / 4)
            .clamp(1, self.max_connections.max(1))
    }

    pub(super) fn listens_nowhere(&self) -> bool {
        #[cfg(feature = "https")]
        if !self.https.is_empty() {
            return false;
        }
        self.http.is_empty() && self.udp.is_empty() && self.inherited.is_empty()
    }

    /// How many workers each address gets.
    pub(super) fn effective_workers(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        self.workers.unwrap_or_else(cores).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_fit_what_the_process_may_open_and_the_share_of_a_source_follows() {
        let config = || Config {
            http: Config::every_address(0)[..1].to_vec(),
            udp: Config::every_address(0)[..1].to_vec(),
            workers: Some(2),
            ..Config::default()
        };
        for (files, connections) in [
            (u64::MAX, 20_000),
            (20_000 + 4 + SPARE_FILES as u64, 20_000),
            (20_000, 20_000 - 4 - SPARE_FILES),
            (256, 256 - 4 - SPARE_FILES),
            (0, 1),
        ] {
            let mut config = config();
            config.fit_files(files);
            assert_eq!(config.max_connections, connections, "{files} files");
            let share = config.effective_connections_per_ip();
            assert_eq!(share, (connections / 4).max(1));
        }
    }

    #[test]
    fn limits_of_nothing_are_refused() {
        let refused = |change: fn(&mut Config)| {
            let mut config = Config::default();
            change(&mut config);
            assert!(
                config
                    .check()
                    .unwrap_err()
                    .to_string()
                    .contains("limit of 0")
            );
        };
        refused(|config| config.limits.torrents = 0);
        refused(|config| config.limits.peers_per_torrent = 0);
        refused(|config| config.limits.peers_per_ip = Some(0));
        refused(|config| config.udp_requests_per_ip = Some(0));
        refused(|config| config.max_connections = 0);
        refused(|config| config.max_connections_per_ip = Some(0));
        refused(|config| config.max_connection_memory = 0);
        refused(|config| config.peer_ttl = Some(Duration::ZERO));
    }

    #[test]
    fn a_jitter_that_outlives_peers_is_doubted() {
        let doubts = |jitter, ttl| {
            let config = Config {
                interval: Duration::from_secs(1_800),
                interval_jitter: jitter,
                peer_ttl: Some(Duration::from_secs(ttl)),
                ..Config::default()
            };
            config.doubts().iter().any(|doubt| doubt.contains("jitter"))
        };
        assert!(!doubts(0, 1_800) && !doubts(10, 1_981) && doubts(10, 1_980));
        assert!(doubts(100, 3_600) && !doubts(100, 3_601));
    }
}
