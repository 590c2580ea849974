//! What all transports share: the store, who may use it, and what a reply says besides peers.
//!
//! Knows nothing of sockets and encodings.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bt_metainfo::InfoHash;

use super::access::{Access, Change};
use super::accounts::Accounts;
use super::history::History;
use super::memory::Budget;
use super::paths::Paths;
use super::publisher::Publisher;
use super::stats::{Stats, StatsSnapshot, StoreSnapshot, TransportStats};
use super::token::Token;
use super::{Config, Error, IpParam};
use crate::limits::{MAX_INTERVAL, MAX_SCRAPE};
use crate::seed;
use crate::swarm::{self, Answer, Counts, Families, Network, Refusal, Stored, Swarms};
use crate::{AnnounceRequest, AnnounceResponse, Failure, RetryIn, ScrapeStats};

/// How a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Http,
    /// A reply has room for one family and for no ids.
    Udp,
}

/// Buffers of one connection or worker, used again for each request.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// Whom the last announce that was accepted is told about, packed.
    pub(super) answer: Answer,
    /// The response to it; over UDP without peers, which are sent as they are packed.
    pub(super) response: AnnounceResponse,
}

#[derive(Debug)]
pub(super) struct Tracker {
    pub(super) swarms: Swarms,
    pub(super) access: Access,
    pub(super) stats: Stats,
    pub(super) publisher: Publisher,
    pub(super) paths: Paths,
    /// What connections hold together.
    pub(super) memory: Arc<Budget>,
    /// Torrents in a scrape at most.
    pub(super) max_scrape: usize,
    /// Who has it may upload.
    pub(super) upload_token: Option<Token>,
    pub(super) admin_token: Option<Token>,
    /// What the server shows over HTTPS.
    #[cfg(feature = "https")]
    pub(super) identity: Option<super::http::tls::Identity>,
    /// Where browsers find each other.
    #[cfg(feature = "websocket")]
    pub(super) rooms: super::signal::Rooms,
    /// Tells other trackers; `None` when there are none.
    #[cfg(feature = "redis")]
    pub(super) relay: Option<Arc<super::relay::Relay>>,
    pub(super) interval: Duration,
    min_interval: Duration,
    jitter: Option<Jitter>,
    ip_param: IpParam,
    /// Reverse proxies that name their clients.
    trusted_proxies: Vec<Network>,
    keep_peer_ids: bool,
    started: Instant,
    history: Mutex<History>,
}

impl Tracker {
    /// An announce of this torrent panics, to see what becomes of the rest.
    #[cfg(test)]
    pub(super) const PLANTED: [u8; 20] = [0xbb; 20];

    pub(super) fn new(config: &Config, now: Instant) -> Result<Self, Error> {
        if config.interval.as_secs() == 0 {
            return Err(Error::setting(
                "interval",
                "the interval must be at least one second",
            ));
        }
        if config.interval > MAX_INTERVAL {
            return Err(Error::setting(
                "interval",
                "the interval must be at most one day: clients wait no longer",
            ));
        }
        config.check_limits()?;
        let mut secret = [0; 24];
        super::random::fill(&mut secret)?;
        let ([key @ .., _, _, _, _, _, _, _, _], [.., a, b, c, d, e, f, g, h]) = (secret, secret);
        let store = swarm::Config {
            peer_ttl: config.effective_peer_ttl(),
            default_numwant: config.default_numwant,
            max_numwant: config.max_numwant,
            closed: config.closed || config.torrents.is_some(),
            limits: config.limits,
            locality: config.locality.clone(),
            key,
            seed: u64::from_be_bytes([a, b, c, d, e, f, g, h]),
            ..swarm::Config::default()
        };
        Ok(Self {
            swarms: Swarms::new(store, now),
            access: Access::new(config)?,
            stats: Stats::default(),
            publisher: Publisher::new(config.torrents.as_deref()),
            paths: Paths::new(&config.announce_path)?,
            memory: Budget::new(config.max_connection_memory),
            max_scrape: max_scrape(config)?,
            upload_token: Self::upload_token(config)?,
            admin_token: Self::admin_token(config)?,
            #[cfg(feature = "https")]
            identity: super::http::tls::Identity::new(config)?,
            #[cfg(feature = "websocket")]
            rooms: super::signal::Rooms::default(),
            #[cfg(feature = "redis")]
            relay: super::relay::Relay::new(config)?,
            interval: config.interval,
            min_interval: config.effective_min_interval(),
            jitter: Jitter::new(config)?,
            ip_param: config.ip_param,
            trusted_proxies: config.trusted_proxies.clone(),
            keep_peer_ids: config.keep_peer_ids,
            started: now,
            history: Mutex::default(),
        })
    }

    fn upload_token(config: &Config) -> Result<Option<Token>, Error> {
        match &config.upload_token {
            Some(_) if config.torrents.is_none() => Err(Error::setting(
                "torrents",
                "uploads need a directory of torrents to go to",
            )),
            Some(token) => {
                let complaint = "the upload token must have at least 16 letters, digits and signs";
                Token::new(token.reveal(), "upload-token-file", complaint).map(Some)
            }
            None => Ok(None),
        }
    }

    fn admin_token(config: &Config) -> Result<Option<Token>, Error> {
        let has_stats = config.stats.is_some() || config.inherited.stats.is_some();
        match &config.admin_token {
            Some(_) if !has_stats => Err(Error::setting(
                "stats-addr",
                "an admin token needs an address for numbers",
            )),
            Some(token) => {
                let complaint = "the admin token must have at least 16 letters, digits and signs";
                Token::new(token.reveal(), "admin-token-file", complaint).map(Some)
            }
            None => Ok(None),
        }
    }

    /// Carries an announce out and leaves the response in `scratch`.
    pub(super) fn announce(
        &self,
        now: Instant,
        request: &AnnounceRequest,
        source: IpAddr,
        key: Option<&[u8]>,
        transport: Transport,
        scratch: &mut Scratch,
    ) -> Result<(), Failure> {
        #[cfg(test)]
        assert!(*request.info_hash.as_bytes() != Self::PLANTED, "planted");
        let user = self
            .access
            .admit(&request.info_hash, key)
            .map_err(refused)?;
        let mut announce = self
            .swarms
            .asked(request, self.believed(request, source, transport));
        match transport {
            Transport::Udp => announce.families = Families::Own,
            Transport::Http => {
                announce.peer_id = self.keep_peer_ids.then_some(request.peer_id);
                announce.with_ids = !request.compact && !request.no_peer_id;
            }
        }
        let Scratch { answer, response } = scratch;
        self.swarms
            .enter(now, &announce, answer)
            .map_err(|refusal| match refusal {
                Refusal::Full => Failure {
                    reason: refusal.to_string(),
                    retry_in: Some(RetryIn::Minutes(5)),
                },
                _ => refused(&refusal.to_string()),
            })?;
        self.count(transport, answer);
        #[cfg(feature = "redis")]
        if let Some(relay) = &self.relay {
            relay.note(&announce, answer.stored);
        }
        if let Some(gone) =
            user.and_then(|user| user.account(self.age(now), request, announce.peer))
        {
            // Nobody could be found there when the user has to go.
            if gone == announce.peer {
                self.stats.not_stored.add(1);
            }
            self.leave(now, &request.info_hash, gone);
        }
        response.peers.clear();
        if transport == Transport::Http {
            response.peers.extend(answer.peers());
        }
        response.interval = self
            .jitter
            .as_ref()
            .map_or(self.interval, |jitter| jitter.next(self.interval))
            .max(self.min_interval);
        response.min_interval = Some(self.min_interval);
        response.complete = Some(answer.counts.complete());
        response.incomplete = Some(answer.counts.incomplete());
        response.downloaded = Some(answer.counts.completed);
        response.external_ip = (transport == Transport::Http).then_some(source);
        Ok(())
    }

    /// The address that others are told: the proven one, unless the peer is in a private network and
    /// may say which one it has outside of it.
    fn believed(&self, request: &AnnounceRequest, proven: IpAddr, transport: Transport) -> IpAddr {
        if self.ip_param == IpParam::Deny || !is_private(proven.to_canonical()) {
            return proven;
        }
        // A proxy that did not say for whom it asks may ask for anybody.
        if transport == Transport::Http && self.is_trusted(proven.to_canonical()) {
            return proven;
        }
        let v4 = request.ipv4.map(IpAddr::from);
        let v6 = request.ipv6.map(IpAddr::from);
        let of_family = if proven.to_canonical().is_ipv4() {
            v4.or(v6)
        } else {
            v6.or(v4)
        };
        let said = request.ip.or(of_family).map(|ip| ip.to_canonical());
        let can_be = |ip: &IpAddr| {
            let is_nobody = ip.is_unspecified() || ip.is_multicast() || ip.is_loopback();
            !is_nobody && *ip != IpAddr::V4(Ipv4Addr::BROADCAST)
        };
        said.filter(can_be).unwrap_or(proven)
    }

    /// Whether this is a reverse proxy whose word is taken.
    pub(super) fn is_trusted(&self, ip: IpAddr) -> bool {
        let mut proxies = self.trusted_proxies.iter();
        proxies.any(|network| network.contains(ip))
    }

    /// Takes a peer out of a torrent, here and at other trackers, which name it too and may have a
    /// list of their own.
    fn leave(&self, now: Instant, info_hash: &InfoHash, peer: SocketAddr) {
        let goodbye = self.swarms.leave(now, info_hash, peer);
        #[cfg(feature = "redis")]
        if let Some(relay) = &self.relay {
            relay.note(&goodbye, Stored::Removed);
        }
        let _ = goodbye;
    }

    /// The refusal of a scrape of more torrents than may be.
    pub(super) fn too_many_to_scrape(&self) -> String {
        format!(
            "at most {} torrents can be scraped at once",
            self.max_scrape
        )
    }

    /// The numbers of a torrent, if it is known and may be asked for.
    pub(super) fn scrape(&self, info_hash: &InfoHash, key: Option<&[u8]>) -> Option<ScrapeStats> {
        self.access.admit(info_hash, key).ok()?;
        self.swarms.scrape(info_hash).map(scrape_stats)
    }

    /// Carries out what a new list means: whoever is no longer welcome is forgotten at once.
    /// Returns how many entries the list has.
    pub(super) fn settle(&self, now: Instant, change: Change) -> Option<usize> {
        for info_hash in change.forbidden {
            #[cfg(feature = "websocket")]
            self.rooms.close(&info_hash);
            // A torrent that the owner has registered stays known, without its peers.
            if self.swarms.remove(&info_hash) && self.publisher.catalog().has(&info_hash) {
                self.swarms.register(info_hash);
            }
        }
        for user in change.dropped {
            for (info_hash, peer) in user.dismiss() {
                self.leave(now, &info_hash, peer);
            }
        }
        #[cfg(feature = "websocket")]
        self.rooms.review();
        change.entries
    }

    /// Forgets what a snapshot has brought back although the lists no longer allow it: torrents, and
    /// the peers of users whose keys have been revoked meanwhile, as far as the accounts know them.
    pub(super) fn drop_unwelcome(&self, now: Instant) {
        let mut forbidden = Vec::new();
        self.swarms.each_hash(|info_hash| {
            if !self.access.tracks(&info_hash) {
                forbidden.push(info_hash);
            }
        });
        let dropped = self.access.accounts().map(Accounts::inactive);
        self.settle(
            now,
            Change {
                forbidden,
                dropped: dropped.unwrap_or_default(),
                entries: None,
            },
        );
    }

    /// Forgets a torrent, its peers and its registration. Returns whether it was known.
    pub(super) fn forget(&self, info_hash: InfoHash) -> Result<bool, Error> {
        if let Some(file) = self.publisher.catalog().file_of(&info_hash) {
            return Err(Error::InDirectory { file: file.into() });
        }
        Ok(self.drop_torrent(info_hash))
    }

    /// Forgets a torrent, also where browsers meet, and withdraws its file unless that is in the
    /// directory. Returns whether it was known.
    pub(super) fn drop_torrent(&self, info_hash: InfoHash) -> bool {
        self.publisher.withdraw(info_hash, &self.swarms);
        let was_known = self.swarms.remove(&info_hash);
        #[cfg(feature = "websocket")]
        self.rooms.close(&info_hash);
        was_known
    }

    /// Seconds of the server's life.
    pub(super) fn age(&self, now: Instant) -> i64 {
        let age = now.saturating_duration_since(self.started).as_secs();
        i64::try_from(age).unwrap_or(i64::MAX)
    }

    pub(super) fn snapshot(&self, now: Instant) -> StatsSnapshot {
        let totals = self.swarms.totals();
        #[cfg(feature = "websocket")]
        let browsers = self.rooms.totals();
        #[cfg(not(feature = "websocket"))]
        let browsers = (0, 0);
        let stats = &self.stats;
        StatsSnapshot {
            uptime: now.saturating_duration_since(self.started).as_secs(),
            torrents: totals.torrents,
            registered: totals.registered,
            peers_v4: totals.peers_v4,
            peers_v6: totals.peers_v6,
            seeds: totals.seeds,
            downloaders: totals.downloaders,
            completed: totals.completed,
            evicted: totals.evicted,
            not_stored: stats.not_stored.get(),
            http: stats.http.snapshot(),
            udp: stats.udp.snapshot(),
            udp_connects: stats.udp_connects.get(),
            udp_unproven: stats.udp_unproven.get(),
            udp_limited: stats.udp_limited.get(),
            connections: stats.connections.get(),
            forwarded_ignored: stats.forwarded_ignored.get(),
            connections_refused: stats.connections_refused.get(),
            connections_evicted: stats.connections_evicted.get(),
            connection_memory: self.memory.held(),
            overloaded: stats.overloaded.get(),
            connections_timed_out: stats.connections_timed_out.get(),
            handshakes_failed: stats.handshakes_failed.get(),
            panics: stats.panics.get(),
            wrong_tokens: stats.wrong_tokens.get(),
            store: self.store_snapshot(),
            ws: stats.ws.snapshot(),
            ws_connections: stats.ws_connections.get(),
            ws_torrents: browsers.0,
            ws_peers: browsers.1,
        }
    }

    /// The numbers of the connection to other trackers, if there is one.
    fn store_snapshot(&self) -> Option<StoreSnapshot> {
        #[cfg(feature = "redis")]
        return self.relay.as_ref().map(|relay| relay.snapshot());
        #[cfg(not(feature = "redis"))]
        None
    }

    /// Whether requests are served, and in what state, in words for operators.
    ///
    /// # Errors
    /// The state, when a part of the service has broken down.
    pub(super) fn readiness(&self, now: Instant) -> Result<String, String> {
        let lost = self.stats.udp_workers_lost.get();
        if lost > 0 {
            return Err(format!("not ready\nudp: {lost} workers have broken down\n"));
        }
        #[cfg(feature = "redis")]
        if let Some(relay) = &self.relay {
            return Ok(format!("ready\n{}\n", relay.describe(now)));
        }
        let _ = now;
        Ok("ready\n".into())
    }

    /// What the numbers were.
    pub(super) fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn transport_stats(&self, transport: Transport) -> &TransportStats {
        match transport {
            Transport::Http => &self.stats.http,
            Transport::Udp => &self.stats.udp,
        }
    }

    fn count(&self, transport: Transport, answer: &Answer) {
        let stats = self.transport_stats(transport);
        stats.announces.add(1);
        stats.named.add(answer.len() as u64);
        stats.named_near.add(answer.near.into());
        if matches!(answer.stored, Stored::OverPerIp | Stored::OverPeers) {
            self.stats.not_stored.add(1);
        }
    }
}

pub(super) fn scrape_stats(counts: Counts) -> ScrapeStats {
    let mut stats = ScrapeStats::new(counts.complete(), counts.completed, counts.incomplete());
    stats.downloaders = Some(counts.downloaders);
    stats
}

/// Makes intervals differ. A guess of the next one gains nobody anything.
#[derive(Debug)]
struct Jitter {
    /// Percent of the interval, 1 to 100.
    share: u8,
    turn: AtomicU64,
}

impl Jitter {
    /// `None` when all intervals shall be the same.
    fn new(config: &Config) -> Result<Option<Self>, Error> {
        match config.interval_jitter {
            0 => Ok(None),
            share @ 1..=100 => Ok(Some(Self {
                share,
                turn: AtomicU64::new(0),
            })),
            101.. => Err(Error::setting(
                "interval-jitter",
                "the jitter of the interval is at most 100 %",
            )),
        }
    }

    /// Between the interval less the share of it and the interval and the share more, at least a
    /// second.
    fn next(&self, interval: Duration) -> Duration {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let milliseconds = interval.as_millis() * u128::from(self.share) / 100;
        let spread = u64::try_from(2 * milliseconds).unwrap_or(u64::MAX);
        let by = seed::mix(turn) % spread.saturating_add(1);
        let least = interval.saturating_sub(Duration::from_millis(spread / 2));
        (least + Duration::from_millis(by)).max(Duration::from_secs(1))
    }
}

fn max_scrape(config: &Config) -> Result<usize, Error> {
    if (1..=MAX_SCRAPE).contains(&config.max_scrape) {
        return Ok(config.max_scrape);
    }
    Err(Error::setting(
        "max-scrape",
        "a scrape is of 1 to 74 torrents",
    ))
}

/// Whether an address means something only here (RFC 1918, RFC 3927, RFC 4193, RFC 4291).
fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_private() || ip.is_loopback() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_loopback() || ip.is_unicast_link_local(),
    }
}

fn refused(reason: &str) -> Failure {
    Failure::new(reason)
}
