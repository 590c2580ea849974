//! `probe`: asks any tracker the questions that peers ask, and says what it answers.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bt_metainfo::InfoHash;
use bt_tracker::client::{Client, Direct, Error};
use bt_tracker::{
    AnnounceRequest, AnnounceResponse, Event, ReplyError, ScrapeRequest, ScrapeStats,
};
use bt_wire::PeerId;
use clap::Args;
use serde_json::{Value, json};

use super::failure::Failure;
use super::output;

/// The wait for each answer.
const PATIENCE: Duration = Duration::from_secs(15);

/// Where the two peers of the test say that they listen; nothing does.
const PORTS: [u16; 2] = [61_881, 61_882];

/// What to probe.
#[derive(Clone, Debug, Args)]
pub(super) struct Probe {
    /// The announce URL: http, https or udp
    url: String,
    /// A torrent that the tracker knows, for closed trackers; by default one that nobody has, with
    /// two peers that should be told about each other
    hash: Option<InfoHash>,
}

/// What the tracker answered.
struct Findings {
    milliseconds: u128,
    response: AnnounceResponse,
    /// Whether the second peer was told about the first; `None` when that was not tried.
    names_others: Option<bool>,
    scrape: Result<Option<ScrapeStats>, Error>,
}

impl Probe {
    pub(super) fn run(&self, json: bool) -> Result<u8, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::other("cannot start").cause(&error))?;
        let findings = runtime
            .block_on(self.ask())
            .map_err(|error| failure(&error))?;
        if json {
            output::line(&findings.json(&self.url).to_string())?;
        } else {
            output::line(&findings.text())?;
        }
        Ok(u8::from(!findings.are_good()))
    }

    async fn ask(&self) -> Result<Findings, Error> {
        let client = Client::new(Arc::new(Direct));
        let hash = self.hash.unwrap_or_else(unknown_torrent);
        let [first, second] = PORTS.map(|port| peer(hash, port));
        let start = Instant::now();
        let mut response = client.announce(&self.url, &first, PATIENCE).await?;
        let milliseconds = start.elapsed().as_millis();
        let mut names_others = None;
        if self.hash.is_none() {
            response = client.announce(&self.url, &second, PATIENCE).await?;
            let named = |port| response.peers.iter().any(|peer| peer.addr.port() == port);
            names_others = Some(named(PORTS[0]) && !named(PORTS[1]));
        }
        let request = ScrapeRequest::new([hash]);
        let scrape = client.scrape(&self.url, &request, PATIENCE).await;
        for peer in [first, second]
            .into_iter()
            .take(if self.hash.is_none() { 2 } else { 1 })
        {
            let mut stop = peer;
            stop.event = Event::Stopped;
            client.announce(&self.url, &stop, PATIENCE).await?;
        }
        let scrape = scrape.map(|scrape| scrape.get(&hash).copied());
        Ok(Findings {
            milliseconds,
            response,
            names_others,
            scrape,
        })
    }
}

impl Findings {
    /// Whether scripts may take the tracker for a working one.
    fn are_good(&self) -> bool {
        self.names_others != Some(false) && self.scrape.is_ok()
    }

    fn text(&self) -> String {
        let response = &self.response;
        let mut lines = vec![
            format!("answered in {} ms", self.milliseconds),
            format!(
                "interval {} s, at least {}",
                response.interval.as_secs(),
                response
                    .min_interval
                    .map_or("not said".into(), |least| format!("{} s", least.as_secs()))
            ),
            format!(
                "{} seeds, {} others, {} peers named",
                shown(response.complete),
                shown(response.incomplete),
                response.peers.len()
            ),
        ];
        if let Some(ip) = response.external_ip {
            lines.push(format!("it sees us at {ip}"));
        }
        if let Some(warning) = &response.warning {
            lines.push(format!("it warns: {}", super::failure::Printable(warning)));
        }
        match self.names_others {
            Some(true) => {
                lines.push("peers are told about each other and not about themselves".into())
            }
            Some(false) => {
                lines.push("PROBLEM: a peer was not told about the other, or about itself".into())
            }
            None => {}
        }
        lines.push(match &self.scrape {
            Ok(Some(stats)) => format!(
                "scrape: {} seeds, {} others, {} times completed",
                stats.complete, stats.incomplete, stats.downloaded
            ),
            Ok(None) => "scrape: it does not know the torrent".into(),
            Err(error) => format!("PROBLEM: scrape: {error}"),
        });
        lines.join("\n")
    }

    fn json(&self, url: &str) -> Value {
        let response = &self.response;
        let scrape = self.scrape.as_ref().ok().copied().flatten().map(|stats| {
            json!({
                "complete": stats.complete,
                "incomplete": stats.incomplete,
                "downloaded": stats.downloaded,
            })
        });
        json!({
            "event": "probe",
            "url": bt_tracker::http::redacted(url),
            "milliseconds": u64::try_from(self.milliseconds).unwrap_or(u64::MAX),
            "interval": response.interval.as_secs(),
            "min_interval": response.min_interval.map(|least| least.as_secs()),
            "complete": response.complete,
            "incomplete": response.incomplete,
            "peers": response.peers.len(),
            "external_ip": response.external_ip,
            "warning": response.warning,
            "names_others": self.names_others,
            "scrape": scrape,
            "scrape_error": self.scrape.as_ref().err().map(ToString::to_string),
        })
    }
}

fn failure(error: &Error) -> Failure {
    match error {
        Error::Url { .. } | Error::Scheme { .. } => {
            Failure::usage("the URL is none of a tracker").cause(error)
        }
        Error::Reply(ReplyError::Refused(refusal)) => Failure::other("the tracker refused")
            .because(&*refusal.reason)
            .hint(
                "a closed tracker answers for torrents that it knows: bt-tracker probe URL HASH; one with \
                 passkeys wants a key in the URL: http://HOST:PORT/KEY/announce",
            ),
        Error::Status { .. } => Failure::network("the server does not answer like a tracker")
            .cause(error)
            .hint("is there a tracker at this port, and is the path right, such as /announce?"),
        Error::Http { .. }
        | Error::Redirect { .. }
        | Error::TooLarge { .. }
        | Error::Encoding { .. }
        | Error::Reply(_) => {
            Failure::network("the server does not answer like a tracker").cause(error)
        }
        _ => Failure::network("the tracker does not answer").cause(error),
    }
}

fn shown(number: Option<u32>) -> String {
    number.map_or("?".into(), |number| number.to_string())
}

/// A torrent that nobody has.
fn unknown_torrent() -> InfoHash {
    let mut hash = [0; 20];
    for chunk in hash.chunks_mut(8) {
        let random = RandomState::new().build_hasher().finish().to_be_bytes();
        chunk.copy_from_slice(random.get(..chunk.len()).unwrap_or_default());
    }
    hash.into()
}

fn peer(hash: InfoHash, port: u16) -> AnnounceRequest {
    let id = PeerId::generate("-BT0100-", RandomState::new().build_hasher().finish());
    let mut request = AnnounceRequest::new(hash, id, port);
    request.event = Event::Started;
    request.left = 1 << 20;
    request
}
