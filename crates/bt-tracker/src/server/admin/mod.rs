//! The side for operators, on an address of its own: `/metrics`, `/healthz`, `/readyz` and `/stats`
//! for whoever can reach it, and behind a token what may be changed ([`manage`]).
//!
//! Knows how numbers are shown, not how they come about.

#[cfg(any(test, feature = "fuzz"))]
mod fuzz;
mod manage;
mod page;

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Query, State};
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use bt_metainfo::InfoHash;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

#[cfg(any(test, feature = "fuzz"))]
pub(super) use fuzz::{fuzz, logins as fuzz_logins};

use super::accounts::Sums;
use super::handle::DRAIN;
use super::history::{self, Series};
use super::tracker::Tracker;
use super::{Config, Error, StatsSnapshot, contain};
use crate::limits::{
    ADMIN_CONNECTION_LIFE, MAX_ADMIN_BUFFER, MAX_ADMIN_CONNECTIONS, MAX_ADMIN_HEADERS,
    MAX_NAMED_USERS, REQUEST_TIMEOUT,
};
use crate::swarm::Counts;

/// Torrents shown in `/stats`.
const LARGEST: usize = 20;

/// Binds the address, if there is one, and tells the real one.
pub(super) async fn bind(config: &Config) -> Result<Option<(TcpListener, SocketAddr)>, Error> {
    if let Some(inherited) = &config.inherited.stats {
        let taken = inherited.try_clone().and_then(|listener| {
            listener.set_nonblocking(true)?;
            let address = listener.local_addr()?;
            Ok((TcpListener::from_std(listener)?, address))
        });
        return taken.map(Some).map_err(|source| Error::System {
            what: "the inherited socket for numbers",
            source,
        });
    }
    let Some(address) = config.stats else {
        return Ok(None);
    };
    let refused = |source| Error::Bind {
        protocol: "stats",
        address,
        source,
    };
    let listener = TcpListener::bind(address).await.map_err(refused)?;
    let real = listener.local_addr().map_err(refused)?;
    Ok(Some((listener, real)))
}

/// The query of `/stats`.
#[derive(Deserialize)]
struct Form {
    format: Option<String>,
}

/// `/stats` for programs.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    stats: StatsSnapshot,
    largest: Vec<Swarm>,
    step_seconds: u64,
    history: Vec<Series>,
}

#[derive(Serialize)]
struct Swarm {
    info_hash: String,
    seeds: u32,
    leechers: u32,
    completed: u32,
}

impl From<(InfoHash, Counts)> for Swarm {
    fn from((info_hash, counts): (InfoHash, Counts)) -> Self {
        Self {
            info_hash: info_hash.to_string(),
            seeds: counts.seeds,
            leechers: counts.incomplete(),
            completed: counts.completed,
        }
    }
}

/// What all requests share.
#[derive(Debug)]
struct Admin {
    tracker: Arc<Tracker>,
    torrents: Option<PathBuf>,
}

/// Where a request comes from.
#[derive(Clone, Copy, Debug)]
struct Source(IpAddr);

impl Admin {
    fn add(&self, entry: &str) -> Result<Option<usize>, Error> {
        let change = self.tracker.access.add(entry)?;
        Ok(self.tracker.settle(Instant::now(), change))
    }

    fn remove(&self, entry: &str) -> Result<Option<usize>, Error> {
        let change = self.tracker.access.remove(entry)?;
        Ok(self.tracker.settle(Instant::now(), change))
    }
}

/// Serves until the token is cancelled.
pub(super) fn serve(
    listener: TcpListener,
    config: &Config,
    tracker: &Arc<Tracker>,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) {
    let admin = Arc::new(Admin {
        tracker: Arc::clone(tracker),
        torrents: config.torrents.clone(),
    });
    let door = Door {
        listener,
        router: router(admin),
        slots: Arc::new(Semaphore::new(MAX_ADMIN_CONNECTIONS)),
        tracker: Arc::clone(tracker),
        connections: tasks.clone(),
        stop: stop.clone(),
    };
    tasks.spawn(async move {
        let (tracker, stop) = (Arc::clone(&door.tracker), door.stop.clone());
        contain::lasting(tracker, stop, || door.accept()).await;
    });
}

/// What is needed to let somebody in.
struct Door {
    listener: TcpListener,
    router: Router,
    slots: Arc<Semaphore>,
    tracker: Arc<Tracker>,
    connections: TaskTracker,
    stop: CancellationToken,
}

impl Door {
    /// A connection from here meets a bug before it is served, to see what becomes of the rest.
    #[cfg(test)]
    const PLANTED: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 99));

    async fn accept(&self) {
        while let Some(accepted) = self.stop.run_until_cancelled(self.listener.accept()).await {
            let Ok((stream, from)) = accepted else {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            #[cfg(test)]
            assert!(from.ip() != Self::PLANTED, "planted");
            let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else {
                continue;
            };
            let router = self.router.clone().layer(Extension(Source(from.ip())));
            let service = TowerToHyperService::new(router);
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(REQUEST_TIMEOUT)
                .max_headers(MAX_ADMIN_HEADERS)
                .max_buf_size(MAX_ADMIN_BUFFER)
                .serve_connection(TokioIo::new(stream), service);
            let (stop, tracker) = (self.stop.clone(), Arc::clone(&self.tracker));
            self.connections.spawn(contain::catch_in(
                tracker,
                Box::pin(async move {
                    let _slot = slot;
                    let mut connection = std::pin::pin!(connection);
                    let end = tokio::time::timeout(ADMIN_CONNECTION_LIFE, stop.cancelled());
                    // An error is a client that has gone or was too slow.
                    tokio::select! {
                        _ = connection.as_mut() => {}
                        _ = end => {
                            connection.as_mut().graceful_shutdown();
                            let _ = tokio::time::timeout(DRAIN, connection).await;
                        }
                    }
                }),
            ));
        }
    }
}

fn router(admin: Arc<Admin>) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/stats", get(stats))
        .merge(manage::router(&admin))
        .with_state(admin)
}

async fn ready(State(admin): State<Arc<Admin>>) -> Response {
    match admin.tracker.readiness(Instant::now()) {
        Ok(state) => state.into_response(),
        Err(state) => (StatusCode::SERVICE_UNAVAILABLE, state).into_response(),
    }
}

async fn metrics(State(admin): State<Arc<Admin>>) -> Response {
    const OPEN_METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";
    let text = prometheus(&admin.tracker);
    ([(CONTENT_TYPE, OPEN_METRICS)], text).into_response()
}

/// In the form that the query asks for, or else the `Accept` header.
async fn stats(
    State(admin): State<Arc<Admin>>,
    Query(query): Query<Form>,
    headers: HeaderMap,
) -> Response {
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    let accept = accept.unwrap_or_default();
    let form = query.format.as_deref().unwrap_or_else(|| {
        let known = [("application/json", "json"), ("text/html", "html")];
        let asked = known.iter().find(|(name, _)| accept.contains(name));
        asked.map_or("text", |(_, form)| form)
    });
    let tracker = &admin.tracker;
    let stats = tracker.snapshot(Instant::now());
    match form {
        "json" => {
            let largest = tracker.swarms.largest(LARGEST).into_iter();
            let shown = Shown {
                stats,
                largest: largest.map(Swarm::from).collect(),
                step_seconds: history::STEP.as_secs(),
                history: tracker.history().series(),
            };
            Json(shown).into_response()
        }
        "html" => {
            let policy = HeaderName::from_static("content-security-policy");
            let headers = [
                (CONTENT_TYPE, "text/html; charset=utf-8"),
                (policy, "default-src 'none'; style-src 'unsafe-inline'"),
            ];
            let series = tracker.history().series();
            let largest = tracker.swarms.largest(LARGEST);
            (headers, page::page(&rows(&stats), &series, &largest)).into_response()
        }
        "text" => rows(&stats)
            .iter()
            .fold(String::new(), |mut text, (name, value)| {
                let _ = writeln!(text, "{name:<33} {value}");
                text
            })
            .into_response(),
        _ => (StatusCode::BAD_REQUEST, "format is text, json or html\n").into_response(),
    }
}

/// Every number with its name; the only place that knows them all.
fn rows(stats: &StatsSnapshot) -> Vec<(&'static str, u64)> {
    let (http, udp) = (&stats.http, &stats.udp);
    let mut rows = vec![
        ("uptime_seconds", stats.uptime),
        ("torrents", stats.torrents),
        ("torrents_registered", stats.registered),
        ("peers_ipv4", stats.peers_v4),
        ("peers_ipv6", stats.peers_v6),
        ("seeds", stats.seeds),
        ("downloaders", stats.downloaders),
        ("completed_total", stats.completed),
        ("evicted_torrents_total", stats.evicted),
        ("not_stored_total", stats.not_stored),
        ("panics_total", stats.panics),
        ("wrong_tokens_total", stats.wrong_tokens),
        ("http_announces_total", http.announces),
        ("http_scrapes_total", http.scrapes),
        ("http_failures_total", http.failures),
        ("http_malformed_total", http.malformed),
        ("http_peers_named_total", http.named),
        ("http_peers_named_near_total", http.named_near),
        ("http_bytes_in_total", http.bytes_in),
        ("http_bytes_out_total", http.bytes_out),
        ("http_connections", stats.connections),
        ("http_connections_refused_total", stats.connections_refused),
        ("http_connections_evicted_total", stats.connections_evicted),
        ("http_connection_memory_bytes", stats.connection_memory),
        ("http_overloaded_total", stats.overloaded),
        ("http_forwarded_ignored_total", stats.forwarded_ignored),
        (
            "http_connections_timed_out_total",
            stats.connections_timed_out,
        ),
        ("tls_handshakes_failed_total", stats.handshakes_failed),
        ("udp_announces_total", udp.announces),
        ("udp_scrapes_total", udp.scrapes),
        ("udp_failures_total", udp.failures),
        ("udp_malformed_total", udp.malformed),
        ("udp_peers_named_total", udp.named),
        ("udp_peers_named_near_total", udp.named_near),
        ("udp_bytes_in_total", udp.bytes_in),
        ("udp_bytes_out_total", udp.bytes_out),
        ("udp_connects_total", stats.udp_connects),
        ("udp_unproven_total", stats.udp_unproven),
        ("udp_limited_total", stats.udp_limited),
    ];
    #[cfg(feature = "websocket")]
    rows.extend([
        ("ws_connections", stats.ws_connections),
        ("ws_torrents", stats.ws_torrents),
        ("ws_peers", stats.ws_peers),
        ("ws_announces_total", stats.ws.announces),
        ("ws_scrapes_total", stats.ws.scrapes),
        ("ws_failures_total", stats.ws.failures),
        ("ws_malformed_total", stats.ws.malformed),
        ("ws_offers_relayed_total", stats.ws.named),
        ("ws_bytes_in_total", stats.ws.bytes_in),
        ("ws_bytes_out_total", stats.ws.bytes_out),
    ]);
    if let Some(store) = &stats.store {
        rows.extend([
            ("store_up", store.up.into()),
            ("store_sent_total", store.sent),
            ("store_received_total", store.received),
            ("store_dropped_total", store.dropped),
            ("store_malformed_total", store.malformed),
            ("store_connects_total", store.connects),
            ("store_queued_bytes", store.queued_bytes),
        ]);
    }
    rows
}

fn prometheus(tracker: &Tracker) -> String {
    let mut text = String::new();
    for (name, value) in rows(&tracker.snapshot(Instant::now())) {
        let kind = if name.ends_with("_total") {
            "counter"
        } else {
            "gauge"
        };
        let _ = writeln!(
            text,
            "# TYPE bt_tracker_{name} {kind}\nbt_tracker_{name} {value}"
        );
    }
    if let Some(accounts) = tracker.access.accounts() {
        let _ = writeln!(
            text,
            "# TYPE bt_tracker_users gauge\nbt_tracker_users {}",
            accounts.active()
        );
        // Keys are secrets and never labels; names cannot hold what a label would need escaped.
        let sums = accounts.by_name(MAX_NAMED_USERS);
        for (what, value) in [
            ("uploaded", (|sum| sum.uploaded) as fn(&Sums) -> u64),
            ("downloaded", |sum| sum.downloaded),
        ] {
            let metric = format!("bt_tracker_user_{what}_bytes_total");
            let _ = writeln!(text, "# TYPE {metric} counter");
            for (name, sum) in &sums {
                let _ = writeln!(text, "{metric}{{user=\"{name}\"}} {}", value(sum));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;
    use crate::server::Server;

    /// What somebody at this address is told of the health; nothing if the connection was closed.
    fn health(from: IpAddr, to: SocketAddr) -> String {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
        let socket = socket.unwrap();
        socket.bind(&SocketAddr::new(from, 0).into()).unwrap();
        socket.connect(&to.into()).unwrap();
        let mut stream = std::net::TcpStream::from(socket);
        let request = b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        let _ = stream.write_all(request);
        let mut reply = Vec::new();
        let _ = stream.read_to_end(&mut reply);
        String::from_utf8(reply).unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_bug_as_a_connection_of_an_operator_comes_ends_that_connection_alone() {
        let config = Config {
            http: vec![([127, 0, 0, 1], 0).into()],
            stats: Some(([127, 0, 0, 1], 0).into()),
            ..Config::default()
        };
        let server = Server::start(config).await.unwrap();
        let to = server.stats_addr().unwrap();
        let work = move || {
            for _ in 0..2 {
                assert_eq!(health(Door::PLANTED, to), "");
                // Waits for as long as the listener pauses.
                let reply = health([127, 0, 0, 1].into(), to);
                assert!(reply.ends_with("ok\n"), "{reply}");
            }
        };
        tokio::task::spawn_blocking(work).await.unwrap();
        contain::tests::counted(&server, 2).await;
        server.stop().await;
    }
}
