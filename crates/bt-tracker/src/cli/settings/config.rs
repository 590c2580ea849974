//! The configuration of the server that settings make, with defaults where they say nothing.
//!
//! It must not know flags, environment or files of settings.

use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use bt_tracker::limits::MAX_SECRET_FILE;
use bt_tracker::server::{self, Config, IpParam, Mode, Secret};
use bt_tracker::swarm::{Limits, Locality};

use super::super::failure::{Failure, Printable};
use super::super::listen::Listen;
use super::super::units::{Near, Share, Size, Span, Store};
use super::{IpParamSetting, ModeSetting, Settings};

/// The port of trackers.
const PORT: u16 = 6969;

/// Threads and sockets at most: more than any machine has cores for.
const MAX_WORKERS: usize = 1_024;

/// How often something is done again at most: more often would only load the disk.
const SHORTEST_PERIOD: Duration = Duration::from_secs(1);

impl Settings {
    /// With the defaults written out.
    pub(in super::super) fn in_force(&self) -> Self {
        let defaults = Config::default();
        let (http, udp) = self.addresses();
        let interval = self.interval.map_or(defaults.interval, |span| span.0);
        Self {
            http,
            udp,
            mode: Some(self.mode.unwrap_or(ModeSetting::Open)),
            torrents_poll: Some(self.torrents_poll.unwrap_or(Span(defaults.torrents_poll))),
            interval: Some(Span(interval)),
            min_interval: Some(Span(
                self.min_interval
                    .map_or(interval / 2, |span| span.0.min(interval)),
            )),
            peer_ttl: Some(self.peer_ttl.unwrap_or(Span(interval * 2))),
            default_numwant: Some(self.default_numwant.unwrap_or(defaults.default_numwant)),
            max_numwant: Some(self.max_numwant.unwrap_or(defaults.max_numwant)),
            snapshot_every: Some(self.snapshot_every.unwrap_or(Span(defaults.snapshot_every))),
            store: Some(self.store.clone().unwrap_or_default()),
            max_torrents: Some(self.max_torrents.unwrap_or(defaults.limits.torrents)),
            max_peers_per_torrent: Some(
                self.max_peers_per_torrent
                    .unwrap_or(defaults.limits.peers_per_torrent),
            ),
            max_connections: Some(self.max_connections.unwrap_or(defaults.max_connections)),
            max_connection_memory: Some(
                self.max_connection_memory
                    .unwrap_or(Size(defaults.max_connection_memory as u64)),
            ),
            announce_path: Some(self.announce_path.clone().unwrap_or(defaults.announce_path)),
            interval_jitter: Some(
                self.interval_jitter
                    .unwrap_or(Share(defaults.interval_jitter)),
            ),
            max_scrape: Some(self.max_scrape.unwrap_or(defaults.max_scrape)),
            proxy_header: Some(self.proxy_header.clone().unwrap_or(defaults.proxy_header)),
            ip_param: Some(self.ip_param.unwrap_or(IpParamSetting::Deny)),
            no_peer_ids: Some(self.no_peer_ids.unwrap_or(false)),
            recv_buffer: Some(self.recv_buffer.unwrap_or(Size(defaults.udp_buffer as u64))),
            ..self.clone()
        }
    }

    /// Without passwords, for people to see.
    pub(in super::super) fn redacted(&self) -> Self {
        Self {
            store: self.store.as_ref().map(Store::redacted),
            ..self.clone()
        }
    }

    /// Refuses what cannot be meant.
    fn check(&self) -> Result<(), Failure> {
        if self
            .workers
            .is_some_and(|workers| !(1..=MAX_WORKERS).contains(&workers))
        {
            let problem = format!("--workers must be between 1 and {MAX_WORKERS}");
            return Err(Failure::usage(problem).hint("leave it out for one for each core"));
        }
        for (flag, span) in [
            ("torrents-poll", self.torrents_poll),
            ("snapshot-every", self.snapshot_every),
        ] {
            if span.is_some_and(|Span(span)| span < SHORTEST_PERIOD) {
                let problem = format!("--{flag} must be at least 1s");
                return Err(Failure::usage(problem).hint("leave it out for the default"));
            }
        }
        for (flag, path) in [("snapshot", &self.snapshot), ("accounts", &self.accounts)] {
            if let Some(path) = path.as_deref().filter(|path| path.is_dir()) {
                let problem = format!("--{flag}: {} is a directory", path.display());
                return Err(Failure::usage(problem).hint("name a file in it"));
            }
            let is_special = |path: &&Path| path.exists() && !path.is_file();
            if let Some(path) = path.as_deref().filter(is_special) {
                let problem = format!("--{flag}: {} is no file", path.display());
                return Err(Failure::usage(problem).hint("name a file, or one that is to be made"));
            }
        }
        for (flag, path) in [("snapshot", &self.snapshot), ("accounts", &self.accounts)] {
            let directory = path.as_deref().and_then(Path::parent);
            let directory = directory.filter(|directory| !directory.as_os_str().is_empty());
            if let Some(directory) = directory.filter(|directory| !directory.is_dir()) {
                let problem = format!(
                    "--{flag}: the directory {} does not exist",
                    directory.display()
                );
                return Err(
                    Failure::usage(problem).hint("make it, and let the tracker write there")
                );
            }
        }
        Ok(())
    }

    /// The configuration of the server.
    pub(in super::super) fn config(&self) -> Result<Config, Failure> {
        self.check()?;
        let settings = self.in_force();
        let defaults = Config::default();
        let span = |span: Option<Span>, default| span.map_or(default, |Span(span)| span);
        let bytes = |Size(size)| usize::try_from(size).unwrap_or(usize::MAX);
        let addresses = |places: Vec<Listen>| places.into_iter().flat_map(Listen::addresses);
        Ok(Config {
            mode: match settings.mode {
                None | Some(ModeSetting::Open) => Mode::Open,
                Some(ModeSetting::AllowList) => Mode::AllowList,
                Some(ModeSetting::DenyList) => Mode::DenyList,
                Some(ModeSetting::Passkey) => Mode::Passkey,
            },
            locality: settings.near()?,
            upload_token: token(
                "upload token",
                settings.upload_token.as_deref(),
                settings.upload_token_file.as_deref(),
            )?,
            https: addresses(settings.https).collect(),
            tls_cert: settings.tls_cert,
            tls_key: settings.tls_key,
            http: addresses(settings.http).collect(),
            udp: addresses(settings.udp).collect(),
            stats: settings.stats_addr.map(Listen::address),
            list: settings.list,
            accounts: settings.accounts,
            admin_token: token(
                "admin token",
                settings.admin_token.as_deref(),
                settings.admin_token_file.as_deref(),
            )?,
            torrents: settings.torrents,
            torrents_poll: span(settings.torrents_poll, defaults.torrents_poll),
            interval: span(settings.interval, defaults.interval),
            // As it was said, so that the server can doubt it.
            min_interval: self.min_interval.map(|Span(span)| span),
            peer_ttl: settings.peer_ttl.map(|Span(span)| span),
            default_numwant: settings.default_numwant.unwrap_or(defaults.default_numwant),
            max_numwant: settings.max_numwant.unwrap_or(defaults.max_numwant),
            keep_peer_ids: settings.no_peer_ids != Some(true),
            trusted_proxies: settings.trust_proxy,
            limits: Limits {
                torrents: settings.max_torrents.unwrap_or(defaults.limits.torrents),
                peers_per_torrent: settings
                    .max_peers_per_torrent
                    .unwrap_or(defaults.limits.peers_per_torrent),
                peers_per_ip: settings.max_peers_per_ip,
            },
            udp_requests_per_ip: settings.max_udp_requests_per_ip,
            max_connections: settings.max_connections.unwrap_or(defaults.max_connections),
            max_connections_per_ip: settings.max_connections_per_ip,
            max_connection_memory: settings
                .max_connection_memory
                .map_or(defaults.max_connection_memory, bytes),
            announce_path: settings.announce_path.unwrap_or(defaults.announce_path),
            interval_jitter: settings
                .interval_jitter
                .map_or(defaults.interval_jitter, |Share(share)| share),
            max_scrape: settings.max_scrape.unwrap_or(defaults.max_scrape),
            proxy_header: settings.proxy_header.unwrap_or(defaults.proxy_header),
            ip_param: match settings.ip_param {
                None | Some(IpParamSetting::Deny) => IpParam::Deny,
                Some(IpParamSetting::PrivateOnly) => IpParam::PrivateOnly,
            },
            udp_key: token("UDP key", None, settings.udp_key.as_deref())?,
            snapshot: settings.snapshot,
            snapshot_every: span(settings.snapshot_every, defaults.snapshot_every),
            store: match settings.store {
                None | Some(Store::Memory) => server::Store::Memory,
                Some(Store::Redis(url)) => server::Store::Redis(url),
            },
            workers: settings.workers,
            udp_buffer: settings.recv_buffer.map_or(defaults.udp_buffer, bytes),
            ..defaults
        })
    }

    fn near(&self) -> Result<Locality, Failure> {
        let mut named = Vec::new();
        let mut auto = false;
        for near in &self.locality {
            match near {
                Near::Named(network, name) => named.push((*network, name.clone())),
                Near::Auto => auto = true,
            }
        }
        let locality = Locality::named(named).map_err(|error| {
            Failure::usage("--locality makes no sense")
                .cause(&error)
                .hint("it is CIDR=NAME, such as 10.1.0.0/16=rack-7, or auto")
        })?;
        Ok(if auto {
            locality.by_prefix(24, 48)
        } else {
            locality
        })
    }

    /// The addresses, by default port 6969 of every family that this machine has.
    fn addresses(&self) -> (Vec<Listen>, Vec<Listen>) {
        if self.http.is_empty() && self.udp.is_empty() && self.https.is_empty() {
            let everywhere = Config::every_address(PORT);
            let everywhere: Vec<_> = everywhere.into_iter().map(Listen::At).collect();
            return (everywhere.clone(), everywhere);
        }
        (self.http.clone(), self.udp.clone())
    }
}

/// A secret that is given itself, or in a file.
fn token(what: &str, token: Option<&str>, file: Option<&Path>) -> Result<Option<Secret>, Failure> {
    if let Some(token) = token {
        return Ok(Some(Secret::new(token)));
    }
    let Some(path) = file else {
        return Ok(None);
    };
    let words = server::read_bounded_text(path, MAX_SECRET_FILE).map_err(|error| {
        Failure::bad_input(format!("cannot read the {what} {}", path.display()))
            .cause(&error)
            .hint(match error.kind() {
                ErrorKind::InvalidData | ErrorKind::FileTooLarge => {
                    "the file holds the secret on a line and nothing else; \
                     openssl rand -hex 16 makes one"
                }
                _ => "it must be there, and the tracker's user must be allowed to read it",
            })
    })?;
    let mode = std::fs::metadata(path).map_or(0, |metadata| metadata.permissions().mode());
    if mode & 0o077 != 0 {
        let mode = format!("{:o}", mode & 0o777);
        tracing::warn!(path = %Printable(&path.to_string_lossy()), mode, "others may read the {what}; chmod 600 keeps it secret");
    }
    Ok(Some(Secret::new(words.trim())))
}
