//! The side for operators: `/metrics`, `/healthz`, `/readyz` and `/stats`, on an address of its
//! own.
//!
//! Knows how numbers are shown, not how they come about.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::tracker::Tracker;
use super::{Error, StatsSnapshot};

/// Connections at once.
const MAX_CONNECTIONS: usize = 256;

/// A head must come within this time.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// Torrents shown in `/stats`.
const LARGEST: usize = 20;

/// Binds the address and tells the real one.
pub(super) async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), Error> {
    let refused = |source| Error::Bind {
        protocol: "stats",
        address,
        source,
    };
    let listener = TcpListener::bind(address).await.map_err(refused)?;
    let real = listener.local_addr().map_err(refused)?;
    Ok((listener, real))
}

/// Serves until the token is cancelled.
pub(super) fn serve(
    listener: TcpListener,
    tracker: &Arc<Tracker>,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) {
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/stats", get(stats))
        .with_state(Arc::clone(tracker));
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let (stop, connections) = (stop.clone(), tasks.clone());
    tasks.spawn(async move {
        while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
            let Ok((stream, _)) = accepted else {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else {
                continue;
            };
            let service = TowerToHyperService::new(router.clone());
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIMEOUT)
                .max_headers(64)
                .serve_connection(TokioIo::new(stream), service);
            let stop = stop.clone();
            connections.spawn(async move {
                let _slot = slot;
                // An error is a client that has gone or was too slow.
                let _ = stop.run_until_cancelled_owned(connection).await;
            });
        }
    });
}

async fn ready(State(tracker): State<Arc<Tracker>>) -> String {
    tracker.readiness(Instant::now())
}

async fn metrics(State(tracker): State<Arc<Tracker>>) -> Response {
    const OPEN_METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";
    let text = prometheus(&tracker.snapshot(Instant::now()));
    ([(CONTENT_TYPE, OPEN_METRICS)], text).into_response()
}

async fn stats(State(tracker): State<Arc<Tracker>>, headers: HeaderMap) -> Response {
    let snapshot = tracker.snapshot(Instant::now());
    let accept = headers
        .get(ACCEPT)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    if accept.contains("application/json") {
        let json = serde_json::to_vec(&snapshot).unwrap_or_default();
        ([(CONTENT_TYPE, "application/json")], json).into_response()
    } else if accept.contains("text/html") {
        let policy = HeaderName::from_static("content-security-policy");
        let headers = [
            (CONTENT_TYPE, "text/html; charset=utf-8"),
            (policy, "default-src 'none'; style-src 'unsafe-inline'"),
        ];
        (headers, page(&tracker, &snapshot)).into_response()
    } else {
        rows(&snapshot)
            .iter()
            .fold(String::new(), |mut text, (name, value)| {
                let _ = writeln!(text, "{name:<24} {value}");
                text
            })
            .into_response()
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

fn prometheus(stats: &StatsSnapshot) -> String {
    let mut text = String::new();
    for (name, value) in rows(stats) {
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
    text
}

fn page(tracker: &Tracker, stats: &StatsSnapshot) -> String {
    let mut page = String::from(
        "<!DOCTYPE html>\n<html lang=en>\n<head>\n<meta charset=utf-8>\n\
         <meta http-equiv=refresh content=5>\n<title>Tracker</title>\n<style>\n\
         body{font:1rem/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem;\
         color-scheme:light dark}\ntable{border-collapse:collapse;margin-bottom:2rem}\n\
         th,td{text-align:left;padding:.2rem .8rem;border-bottom:1px solid #8884}\n\
         .n{text-align:right;font-variant-numeric:tabular-nums}\n</style>\n</head>\n<body>\n\
         <h1>Tracker</h1>\n<table>\n",
    );
    for (name, value) in rows(stats) {
        let _ = writeln!(page, "<tr><td>{name}<td class=n>{value}</tr>");
    }
    page.push_str(
        "</table>\n<h2>Largest swarms</h2>\n<table>\n<tr><th>Info-hash<th class=n>Seeds\
         <th class=n>Leechers<th class=n>Completed</tr>\n",
    );
    for (info_hash, counts) in tracker.swarms.largest(LARGEST) {
        let _ = writeln!(
            page,
            "<tr><td><code>{info_hash}</code><td class=n>{}<td class=n>{}<td class=n>{}</tr>",
            counts.seeds,
            counts.incomplete(),
            counts.completed
        );
    }
    page.push_str("</table>\n</body>\n</html>\n");
    page
}
