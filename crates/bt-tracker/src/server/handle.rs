//! What the owner of a running server can ask and tell it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bt_metainfo::{InfoHash, Metainfo};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::tracker::{Tracker, scrape_stats};
use super::{Account, Config, Error, StatsSnapshot, chores};
use crate::ScrapeStats;

/// How long connections get to finish what they are at when the server stops.
pub(super) const DRAIN: Duration = Duration::from_secs(2);

/// A running server. Dropping it stops the server without waiting; [`Handle::stop`] waits.
#[derive(Debug)]
pub struct Handle {
    addresses: Addresses,
    config: Config,
    tracker: Arc<Tracker>,
    running: Running,
}

#[derive(Debug)]
pub(super) struct Addresses {
    pub(super) http: Vec<SocketAddr>,
    pub(super) https: Vec<SocketAddr>,
    pub(super) udp: Vec<SocketAddr>,
    pub(super) stats: Option<SocketAddr>,
}

#[derive(Debug)]
pub(super) struct Running {
    pub(super) tasks: TaskTracker,
    pub(super) stop: CancellationToken,
    pub(super) udp_stop: Arc<AtomicBool>,
    pub(super) threads: Vec<JoinHandle<()>>,
}

impl Handle {
    pub(super) fn new(
        addresses: Addresses,
        config: Config,
        tracker: Arc<Tracker>,
        running: Running,
    ) -> Self {
        Self {
            addresses,
            config,
            tracker,
            running,
        }
    }

    /// Where announces over HTTP are served, in the order of the configuration.
    #[must_use]
    pub fn http_addrs(&self) -> &[SocketAddr] {
        &self.addresses.http
    }

    /// Where announces over HTTPS are served, in the order of the configuration.
    #[must_use]
    pub fn https_addrs(&self) -> &[SocketAddr] {
        &self.addresses.https
    }

    /// Where announces over UDP are served, in the order of the configuration.
    #[must_use]
    pub fn udp_addrs(&self) -> &[SocketAddr] {
        &self.addresses.udp
    }

    /// Where the numbers are.
    #[must_use]
    pub fn stats_addr(&self) -> Option<SocketAddr> {
        self.addresses.stats
    }

    /// A URL for torrents that peers on this machine can use: HTTP if it is served, else UDP. An
    /// unspecified address becomes the loopback address.
    #[must_use]
    pub fn announce_url(&self) -> Option<String> {
        let Addresses { http, udp, .. } = &self.addresses;
        // Over UDP the path says nothing.
        let (scheme, addr, path) = match (http.first(), udp.first()) {
            (Some(addr), _) => ("http", addr, self.config.announce_path.as_str()),
            (None, addr) => ("udp", addr?, "/announce"),
        };
        let ip = match addr.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        Some(format!(
            "{scheme}://{}{path}",
            SocketAddr::new(ip, addr.port())
        ))
    }

    /// Tracks the torrent even when the server is closed, never forgets it, and offers its file
    /// at `/torrents/NAME.torrent`.
    pub fn register(&self, metainfo: &Metainfo) {
        self.tracker
            .publisher
            .publish(metainfo, &self.tracker.swarms);
    }

    /// Tracks the torrent even when the server is closed, and never forgets it.
    pub fn register_hash(&self, info_hash: InfoHash) {
        self.tracker.swarms.register(info_hash);
    }

    /// Forgets a torrent, its peers, its registration and its file. In an open server it comes
    /// back with the next announce; files of the directory are looked at again when they change.
    pub fn remove(&self, info_hash: InfoHash) {
        self.tracker.drop_torrent(info_hash);
    }

    /// The numbers of a torrent, if it is known.
    #[must_use]
    pub fn scrape(&self, info_hash: InfoHash) -> Option<ScrapeStats> {
        self.tracker.swarms.scrape(&info_hash).map(scrape_stats)
    }

    /// All numbers.
    #[must_use]
    pub fn stats(&self) -> StatsSnapshot {
        self.tracker.snapshot(Instant::now())
    }

    /// Reads the list, the directory of torrents and the certificate again. Returns how many
    /// entries the list has.
    ///
    /// # Errors
    /// When one of them cannot be used: its old version stays in force, and the others are read
    /// again all the same. All problems are logged; the list's is returned, or else the first.
    pub fn reload(&self) -> Result<Option<usize>, Error> {
        chores::reload(&self.tracker, self.config.torrents.as_deref())
    }

    /// Adds an info-hash, or a passkey and maybe a name, to the list that the mode goes by: in its
    /// file, and at once in force. Torrents that are denied by it are forgotten. Waits for a disk.
    /// Returns how many entries the list has.
    ///
    /// # Errors
    /// When the mode has no list, the entry is none, or the file cannot be read or written; the
    /// old list stays in force.
    pub fn add_to_list(&self, entry: &str) -> Result<Option<usize>, Error> {
        let change = self.tracker.access.add(entry)?;
        Ok(self.tracker.settle(Instant::now(), change))
    }

    /// Takes an info-hash or a passkey off the list: in its file, and at once in force. Torrents
    /// and users that are no longer welcome are forgotten, with their peers. Waits for a disk.
    /// Returns how many entries the list has.
    ///
    /// # Errors
    /// When the mode has no list, the entry is not on it, or the file cannot be read or written;
    /// the old list stays in force.
    pub fn remove_from_list(&self, entry: &str) -> Result<Option<usize>, Error> {
        let change = self.tracker.access.remove(entry)?;
        Ok(self.tracker.settle(Instant::now(), change))
    }

    /// What each user of a tracker with passkeys has transferred; empty in other modes.
    #[must_use]
    pub fn accounts(&self) -> Vec<Account> {
        let users = self.tracker.access.accounts();
        let at = self.tracker.age(Instant::now());
        users.map(|users| users.accounts(at)).unwrap_or_default()
    }

    /// Stops taking requests, lets those that are being answered finish, and writes the
    /// snapshot and the accounts. Returns whether these were written, as far as they are kept.
    pub async fn stop(mut self) -> bool {
        self.running.stop.cancel();
        self.running.udp_stop.store(true, Ordering::Relaxed);
        self.running.tasks.close();
        // A client that does not take its reply must not keep the server.
        let _ = tokio::time::timeout(DRAIN, self.running.tasks.wait()).await;
        let threads = std::mem::take(&mut self.running.threads);
        let tracker = Arc::clone(&self.tracker);
        let snapshot = self.config.snapshot.clone();
        let accounts = self.config.accounts.clone();
        let end = move || {
            for thread in threads {
                if thread.join().is_err() {
                    tracing::error!("a UDP worker had panicked");
                }
            }
            let snapshot = snapshot.is_none_or(|path| chores::save(&tracker, &path));
            let accounts = accounts.is_none_or(|path| chores::save_accounts(&tracker, &path));
            snapshot && accounts
        };
        tokio::task::spawn_blocking(end).await.unwrap_or_else(|_| {
            tracing::error!("the end of the server had a panic");
            false
        })
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.running.stop.cancel();
        self.running.udp_stop.store(true, Ordering::Relaxed);
    }
}
