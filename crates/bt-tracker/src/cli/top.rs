//! `top`: what a running tracker is doing, from the numbers that it serves.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::Duration;

use bt_tracker::client::{Client, Direct};
use bt_tracker::limits::MAX_NUMBERS_REPLY;
use clap::Args;
use serde_json::{Value, json};

use super::failure::{Failure, Printable};
use super::output::{self, Reader};
use super::settings::Settings;
use super::units::Span;

/// Columns of the little chart.
const CHART: usize = 60;

/// What to watch.
#[derive(Clone, Debug, Args)]
pub(super) struct Top {
    /// Where the tracker serves its numbers: ADDR or URL [default: --stats-addr]
    tracker: Option<String>,
    /// How often to look
    #[arg(long, default_value = "1s", value_name = "DUR")]
    every: Span,
    /// End after this many looks [default: never]
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
}

/// What is shown of one look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Numbers {
    uptime: u64,
    http: u64,
    udp: u64,
    scrapes: u64,
    failures: u64,
    bytes_in: u64,
    bytes_out: u64,
    peers: u64,
    seeds: u64,
    torrents: u64,
    connections: u64,
}

/// How many a second of what only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Rates {
    http: u64,
    udp: u64,
    scrapes: u64,
    failures: u64,
    bytes_in: u64,
    bytes_out: u64,
}

impl Top {
    pub(super) fn run(&self, settings: &Settings, json: bool) -> Result<u8, Failure> {
        if self.every.0.is_zero() {
            return Err(Failure::usage("--every must be more than 0").hint("for example 1s"));
        }
        let url = self.url(settings)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::other("cannot start").cause(&error))?;
        runtime.block_on(self.watch(&url, json))
    }

    fn url(&self, settings: &Settings) -> Result<String, Failure> {
        let from_settings = || settings.stats_addr.map(|place| place.to_string());
        let tracker = self.tracker.clone().or_else(from_settings).ok_or_else(|| {
            Failure::usage("which tracker is to be watched?")
                .hint("give the address of its numbers: bt-tracker top 127.0.0.1:6880")
        })?;
        let base = if tracker.contains("://") {
            tracker
        } else if tracker.starts_with(':') {
            format!("http://localhost{tracker}")
        } else {
            format!("http://{tracker}")
        };
        let base = base.trim_end_matches('/').trim_end_matches("/stats");
        Ok(format!("{base}/stats?format=json"))
    }

    async fn watch(&self, url: &str, json: bool) -> Result<u8, Failure> {
        let client = Client::new(Arc::new(Direct));
        let live = !json && std::io::stdout().is_terminal();
        let every = self.every.0.max(Duration::from_millis(100));
        let mut clock = tokio::time::interval(every);
        let mut before: Option<(tokio::time::Instant, Numbers)> = None;
        let mut looks = 0;
        while self.count.is_none_or(|count| looks < count) {
            clock.tick().await;
            let stats = match look(&client, url).await {
                Ok(stats) => stats,
                // A tracker that was there once comes back: it is being restarted.
                Err(failure) if before.is_some() => {
                    looks += 1;
                    if output::text(&absent(url, json, live, &failure))? == Reader::Left {
                        break;
                    }
                    continue;
                }
                Err(failure) => return Err(failure),
            };
            let (now, numbers) = (tokio::time::Instant::now(), Numbers::of(&stats));
            // The first look has nothing to compare with, and neither has one after a restart.
            let rates = before.filter(|(_, before)| before.uptime <= numbers.uptime);
            let rates = rates.map(|(then, before)| numbers.since(&before, now - then));
            let header = if before.is_none() { HEADER } else { "" };
            before = Some((now, numbers));
            looks += 1;
            let text = if json {
                format!("{}\n", event(&numbers, rates))
            } else if live {
                format!("\x1b[H\x1b[J{}", screen(url, &numbers, rates, &stats))
            } else {
                format!("{header}{}\n", row(&numbers, rates))
            };
            if output::text(&text)? == Reader::Left {
                break;
            }
        }
        Ok(0)
    }
}

/// What is shown while the tracker does not answer.
fn absent(url: &str, json: bool, live: bool, failure: &Failure) -> String {
    if json {
        return format!(
            "{}\n",
            json!({"event": "away", "message": failure.message()})
        );
    }
    let host = Printable(url.trim_end_matches("/stats?format=json")).to_string();
    let line = format!("{host} does not answer; it is asked again\n");
    if live {
        format!("\x1b[H\x1b[J{line}")
    } else {
        line
    }
}

async fn look(client: &Client, url: &str) -> Result<Value, Failure> {
    let hint = "is that the --stats-addr of a running bt-tracker?";
    let bytes = client
        .fetch(url, MAX_NUMBERS_REPLY)
        .await
        .map_err(|error| {
            Failure::network("the tracker does not tell its numbers")
                .cause(&error)
                .hint(hint)
        })?;
    serde_json::from_slice(&bytes).map_err(|error| {
        Failure::network("these are no numbers of a tracker")
            .cause(&error)
            .hint(hint)
    })
}

impl Numbers {
    fn of(stats: &Value) -> Self {
        let number = |path: &str| stats.pointer(path).and_then(Value::as_u64).unwrap_or(0);
        // Another tracker may say anything.
        let sum = |one: &str, other: &str| number(one).saturating_add(number(other));
        let both = |name: &str| sum(&format!("/http/{name}"), &format!("/udp/{name}"));
        Self {
            uptime: number("/uptime"),
            http: number("/http/announces"),
            udp: number("/udp/announces"),
            scrapes: both("scrapes"),
            failures: both("failures"),
            bytes_in: both("bytes_in"),
            bytes_out: both("bytes_out"),
            peers: sum("/peers_v4", "/peers_v6"),
            seeds: number("/seeds"),
            torrents: number("/torrents"),
            connections: number("/connections"),
        }
    }

    fn since(&self, before: &Self, elapsed: Duration) -> Rates {
        let milliseconds = u64::try_from(elapsed.as_millis())
            .unwrap_or(u64::MAX)
            .max(1);
        let rate = |now: u64, before: u64| {
            let grown = u128::from(now.saturating_sub(before)) * 1000;
            u64::try_from(grown / u128::from(milliseconds)).unwrap_or(u64::MAX)
        };
        Rates {
            http: rate(self.http, before.http),
            udp: rate(self.udp, before.udp),
            scrapes: rate(self.scrapes, before.scrapes),
            failures: rate(self.failures, before.failures),
            bytes_in: rate(self.bytes_in, before.bytes_in),
            bytes_out: rate(self.bytes_out, before.bytes_out),
        }
    }
}

fn event(numbers: &Numbers, rates: Option<Rates>) -> Value {
    json!({
        "event": "top",
        "uptime": numbers.uptime,
        "torrents": numbers.torrents,
        "peers": numbers.peers,
        "seeds": numbers.seeds,
        "connections": numbers.connections,
        "http_announces_per_second": rates.map(|rates| rates.http),
        "udp_announces_per_second": rates.map(|rates| rates.udp),
        "scrapes_per_second": rates.map(|rates| rates.scrapes),
        "failures_per_second": rates.map(|rates| rates.failures),
        "bytes_in_per_second": rates.map(|rates| rates.bytes_in),
        "bytes_out_per_second": rates.map(|rates| rates.bytes_out),
    })
}

const HEADER: &str = "    uptime   torrents      peers      seeds  connections  http/s    udp/s  \
                      scrape/s  fail/s   in B/s  out B/s\n";

fn row(numbers: &Numbers, rates: Option<Rates>) -> String {
    let shown = |of: fn(&Rates) -> u64| rates.as_ref().map_or("-".into(), |r| of(r).to_string());
    format!(
        "{:>10} {:>10} {:>10} {:>10} {:>12} {:>7} {:>8} {:>9} {:>7} {:>8} {:>8}",
        numbers.uptime,
        numbers.torrents,
        numbers.peers,
        numbers.seeds,
        numbers.connections,
        shown(|rates| rates.http),
        shown(|rates| rates.udp),
        shown(|rates| rates.scrapes),
        shown(|rates| rates.failures),
        shown(|rates| rates.bytes_in),
        shown(|rates| rates.bytes_out),
    )
}

fn screen(url: &str, numbers: &Numbers, rates: Option<Rates>, stats: &Value) -> String {
    let rates = rates.unwrap_or_default();
    let host = url.trim_end_matches("/stats?format=json");
    let mut lines = vec![
        format!(
            "{}   up {}",
            Printable(host),
            Span(Duration::from_secs(numbers.uptime))
        ),
        String::new(),
        format!(
            "announces/s {:>9} udp  {:>9} http     scrapes/s {:>7}   failures/s {:>7}",
            rates.udp, rates.http, rates.scrapes, rates.failures
        ),
        format!(
            "bytes/s     {:>9} in   {:>9} out      connections {:>5}",
            rates.bytes_in, rates.bytes_out, numbers.connections
        ),
        format!(
            "torrents    {:>9}      {:>9} peers    seeds {:>11}",
            numbers.torrents, numbers.peers, numbers.seeds
        ),
        String::new(),
    ];
    for series in stats["history"].as_array().into_iter().flatten() {
        let values = series["values"].as_array().into_iter().flatten();
        let values: Vec<u64> = values.filter_map(Value::as_u64).collect();
        let name = series["name"]
            .as_str()
            .unwrap_or_default()
            .replace('_', " ");
        let last = values
            .get(values.len().saturating_sub(CHART)..)
            .unwrap_or_default();
        lines.push(format!(
            "{:<22} {}",
            Printable(&name).to_string(),
            bars(last)
        ));
    }
    lines.push(String::new());
    lines.push(format!(
        "{:<40} {:>8} {:>9} {:>10}",
        "largest", "seeds", "leechers", "completed"
    ));
    for swarm in stats["largest"].as_array().into_iter().flatten().take(10) {
        lines.push(format!(
            "{:<40} {:>8} {:>9} {:>10}",
            Printable(swarm["info_hash"].as_str().unwrap_or_default()).to_string(),
            swarm["seeds"].as_u64().unwrap_or(0),
            swarm["leechers"].as_u64().unwrap_or(0),
            swarm["completed"].as_u64().unwrap_or(0),
        ));
    }
    lines.push(String::new());
    lines.join("\n")
}

/// Values as bars of eight heights; the highest fills its line.
fn bars(values: &[u64]) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let most = u128::from(values.iter().copied().max().unwrap_or(0).max(1));
    let bar = |&value: &u64| {
        let height = usize::try_from(u128::from(value) * 7 / most).unwrap_or(7);
        BARS.get(height).copied().unwrap_or('█')
    };
    values.iter().map(bar).collect()
}

/// What another tracker says of itself for the fuzzer: it is shown in lines that cannot steer a terminal.
#[cfg(any(test, feature = "fuzz"))]
pub(super) fn fuzz(stats: &Value) {
    let numbers = Numbers::of(stats);
    let rates = numbers.since(&Numbers::default(), Duration::from_millis(1));
    for rates in [None, Some(rates)] {
        let screen = screen("http://t/stats?format=json", &numbers, rates, stats);
        let steers = |sign: char| sign.is_control() && sign != '\n';
        assert!(!screen.contains(steers), "{screen:?}");
        assert_eq!(row(&numbers, rates).lines().count(), 1);
        assert_eq!(event(&numbers, rates)["uptime"], numbers.uptime);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_differences_over_time() {
        let stats = json!({
            "uptime": 7, "torrents": 3, "peers_v4": 4, "peers_v6": 1,
            "http": {"announces": 100}, "udp": {"announces": 5_000, "bytes_out": 70},
        });
        let now = Numbers::of(&stats);
        assert_eq!((now.peers, now.udp, now.bytes_out), (5, 5_000, 70));
        let rates = now.since(&Numbers::default(), Duration::from_millis(500));
        assert_eq!((rates.http, rates.udp, rates.bytes_out), (200, 10_000, 140));
        assert!(row(&now, None).contains(" - "));
        assert_eq!(event(&now, Some(rates))["udp_announces_per_second"], 10_000);
        assert!(event(&now, None)["udp_announces_per_second"].is_null());
        assert_eq!(row(&now, Some(rates)).len(), HEADER.trim_end().len());
    }

    #[test]
    fn bars_fill_their_line_and_a_hostile_tracker_cannot_write_on_the_terminal() {
        assert_eq!(bars(&[0, 4, 8]), "▁▄█");
        assert_eq!(bars(&[u64::MAX, 0]), "█▁");
        assert_eq!(bars(&[]), "");
        let stats = json!({
            "largest": [{"info_hash": "\x1b[2J"}], "history": [{"name": "\x1b]0;x", "values": [1]}],
        });
        let screen = screen("http://t", &Numbers::of(&stats), None, &stats);
        assert!(!screen.contains('\x1b'), "{screen}");
        let most = json!({"peers_v4": u64::MAX, "peers_v6": 1, "udp": {"scrapes": u64::MAX}, "http": {"scrapes": 1}});
        let numbers = Numbers::of(&most);
        assert_eq!((numbers.peers, numbers.scrapes), (u64::MAX, u64::MAX));
    }
}
