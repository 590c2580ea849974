//! Every setting, in one place. Its environment variable and its key in the configuration file follow
//! from its name.

mod config;

use std::path::PathBuf;

use bt_tracker::swarm::Network;
use clap::{Args, ValueEnum};
use serde::{Serialize, Serializer};

use super::listen::Listen;
use super::options::{SETTINGS, switch};
use super::units::{Near, Share, Size, Span, Store};

/// Who may announce what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum ModeSetting {
    /// Every torrent
    Open,
    /// Only the torrents of --list
    AllowList,
    /// Every torrent but those of --list
    DenyList,
    /// Every torrent, for whoever has a key of --list in the announce URL
    Passkey,
}

/// Whose word for its own address is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum IpParamSetting {
    /// Nobody's
    Deny,
    /// That of peers whose proven address is private: the tracker is behind the same NAT as they
    PrivateOnly,
}

/// `None` and empty mean: not said here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args, Serialize)]
#[serde(rename_all = "kebab-case")]
#[command(next_help_heading = SETTINGS)]
pub(super) struct Settings {
    /// Serve announces over HTTP here; repeat for more addresses [default: port 6969 everywhere,
    /// unless --udp is given alone]
    #[arg(long, global = true, value_name = "ADDR", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) http: Vec<Listen>,
    /// Serve announces over HTTPS here; repeat for more addresses [default: nowhere]
    #[arg(long, global = true, value_name = "ADDR", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) https: Vec<Listen>,
    /// The certificate for --https with those that vouch for it, in PEM; SIGHUP reads it again
    #[arg(long, global = true, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tls_cert: Option<PathBuf>,
    /// The private key of the certificate, in PEM
    #[arg(long, global = true, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tls_key: Option<PathBuf>,
    /// Serve announces over UDP here; repeat for more addresses [default: port 6969 everywhere,
    /// unless --http is given alone]
    #[arg(long, global = true, value_name = "ADDR", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) udp: Vec<Listen>,
    /// Where announces over HTTP go; scrapes go to the same path with `scrape` for its last
    /// `announce` [default: /announce]
    #[arg(long, global = true, value_name = "PATH")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) announce_path: Option<String>,
    /// Who may announce what [default: open]
    #[arg(long, global = true, value_name = "MODE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mode: Option<ModeSetting>,
    /// Info-hashes, or passkeys with names, for --mode, one a line; SIGHUP reads it again
    #[arg(long, global = true, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) list: Option<PathBuf>,
    /// Keep what users with passkeys have transferred in this file across restarts
    #[arg(long, global = true, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) accounts: Option<PathBuf>,
    /// Who sends the token in this file may change lists and torrents at --stats-addr
    #[arg(long, global = true, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) admin_token_file: Option<PathBuf>,
    /// The token itself, at least 16 characters; better given by the environment than by a flag,
    /// which other users can see
    #[arg(
        long,
        global = true,
        hide_env_values = true,
        conflicts_with = "admin_token_file",
        value_name = "TOKEN"
    )]
    #[serde(skip)]
    pub(super) admin_token: Option<String>,
    /// Track the torrents of this directory and no others, and offer them at /torrents/
    #[arg(long, global = true, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) torrents: Option<PathBuf>,
    /// How often the directory is looked at [default: 2s]
    #[arg(long, global = true, value_name = "DUR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) torrents_poll: Option<Span>,
    /// Who sends the token in this file may put torrents into the directory of --torrents
    #[arg(long, global = true, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) upload_token_file: Option<PathBuf>,
    /// The token itself, at least 16 characters; better given by the environment than by a flag,
    /// which other users can see
    #[arg(
        long,
        global = true,
        hide_env_values = true,
        conflicts_with = "upload_token_file",
        value_name = "TOKEN"
    )]
    #[serde(skip)]
    pub(super) upload_token: Option<String>,
    /// What peers are told to wait between announces [default: 30m]
    #[arg(long, global = true, value_name = "DUR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) interval: Option<Span>,
    /// What peers are told to wait at least [default: half the interval]
    #[arg(long, global = true, value_name = "DUR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) min_interval: Option<Span>,
    /// How far the interval of a reply may be off, so that peers who came together do not come
    /// back together [default: 0%]
    #[arg(long, global = true, value_name = "PERCENT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) interval_jitter: Option<Share>,
    /// Silence after which a peer is forgotten [default: twice the interval]
    #[arg(long, global = true, value_name = "DUR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) peer_ttl: Option<Span>,
    /// Peers in a reply when the request does not say [default: 50]
    #[arg(long, global = true, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) default_numwant: Option<u32>,
    /// Peers in a reply at most [default: 100]
    #[arg(long, global = true, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max_numwant: Option<u32>,
    /// Torrents in a scrape, at most [default: 74]
    #[arg(long, global = true, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max_scrape: Option<usize>,
    /// Peers of this network are near each other and are named to each other first; `auto` groups
    /// by prefix; repeat for more
    #[arg(long, global = true, value_name = "CIDR=NAME", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) locality: Vec<Near>,
    /// Serve /metrics, /healthz, /readyz and /stats here; keep it from the public
    #[arg(long, global = true, value_name = "ADDR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stats_addr: Option<Listen>,
    /// Keep swarms in this file across restarts
    #[arg(long, global = true, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) snapshot: Option<PathBuf>,
    /// How often the file is written [default: 5m]
    #[arg(long, global = true, value_name = "DUR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) snapshot_every: Option<Span>,
    /// Where swarms are kept while the tracker runs; with the URL of a Redis or Valkey, several
    /// trackers share them [default: memory]
    #[arg(
        long,
        global = true,
        hide_env_values = true,
        value_name = "memory|redis://…"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) store: Option<Store>,
    /// Threads, and sockets for each address [default: one for each core]
    #[arg(long, global = true, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) workers: Option<usize>,
    /// Believe X-Forwarded-For of proxies in this network; repeat for more
    #[arg(long, global = true, value_name = "CIDR", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "networks")]
    pub(super) trust_proxy: Vec<Network>,
    /// The header in which these proxies name the client [default: X-Forwarded-For]
    #[arg(long, global = true, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) proxy_header: Option<String>,
    /// Whose `ip` parameter is taken for its address [default: deny]
    #[arg(long, global = true, value_name = "WHOSE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ip_param: Option<IpParamSetting>,
    /// Torrents that are not registered, at most [default: 8000000]
    #[arg(long, global = true, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max_torrents: Option<u32>,
    /// Peers in one torrent, at most [default: 1000000]
    #[arg(long, global = true, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max_peers_per_torrent: Option<u32>,
    /// Entries of one address in all torrents together, at most [default: no limit]
    #[arg(long, global = true, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max_peers_per_ip: Option<u32>,
    /// Requests a second of one address over UDP that are answered [default: no limit]
    #[arg(long, global = true, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max_udp_requests_per_ip: Option<u32>,
    /// HTTP connections at once [default: 20000]
    #[arg(long, global = true, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max_connections: Option<usize>,
    /// HTTP connections of one address at once, or of one /64 of IPv6 [default: a quarter of all]
    #[arg(long, global = true, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max_connections_per_ip: Option<usize>,
    /// Memory of all HTTP connections for requests and replies under way [default: 256MiB]
    #[arg(long, global = true, value_name = "SIZE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max_connection_memory: Option<Size>,
    /// Do not keep peer ids, which saves 20 bytes a peer; unpacked lists then have none
    #[arg(long, global = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = switch, value_name = "BOOL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) no_peer_ids: Option<bool>,
    /// The key of connection ids over UDP, 32 hexadecimal digits in a file: trackers with the same
    /// one honor each other's ids, and so does one that is restarted [default: random]
    #[arg(long, global = true, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) udp_key: Option<PathBuf>,
    /// Receive buffer of each UDP socket; the kernel may grant less [default: 4MiB]
    #[arg(long, global = true, value_name = "SIZE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) recv_buffer: Option<Size>,
}

/// Networks as text.
fn networks<S: Serializer>(networks: &[Network], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(networks.iter().map(ToString::to_string))
}
