//! Announces, scrapes and downloads of torrents over real sockets.
//!
//! [`Client`] asks one tracker once. *When* to ask *which* is the [`schedule`](crate::schedule)'s
//! decision, and where sockets come from is the [`Net`]'s. This room must not know torrents or
//! sessions.

mod address;
mod body;
mod destination;
mod error;
mod families;
#[cfg(any(test, feature = "fuzz"))]
mod fuzz;
mod guard;
mod http;
mod many;
mod net;
mod race;
#[cfg(feature = "tls")]
mod tls;
mod udp;

use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::future::Future;
use std::hash::BuildHasher as _;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper::header::HeaderValue;

use self::address::interleaved;
use self::destination::{Destination, Name, Scheme};
use self::http::Errand;
use self::udp::Connections;
use crate::limits::{ANNOUNCE_TIMEOUT, MAX_REPLY_BODY, MAX_URL};
use crate::udp::{Answer, Family, Question};
use crate::{AnnounceRequest, AnnounceResponse, ReplyError, ScrapeRequest, ScrapeResponse};

#[cfg(any(test, feature = "fuzz"))]
pub(crate) use body::fuzz as fuzz_body;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) use destination::fuzz as fuzz_redirect;
pub use error::Error;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) use fuzz::address as fuzz_address;
pub use net::{BoxFuture, Direct, Net};

/// What an owner may choose about a client.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The `User-Agent` header. Some private trackers admit only those that they know. Default
    /// `bt-tracker/` and the version; must be text that a header can hold.
    pub user_agent: String,
    /// Announce over IPv4 and IPv6 when the tracker has addresses of both (BEP 7). Default true.
    pub both_families: bool,
    /// How long [`Client::fetch`] may take. Default [`ANNOUNCE_TIMEOUT`].
    pub fetch_timeout: Duration,
    /// How to check certificates, for private roots. Default: the system's roots, read at the
    /// first use; `SSL_CERT_FILE` and `SSL_CERT_DIR` override them.
    #[cfg(feature = "tls")]
    pub tls: Option<Arc<rustls::ClientConfig>>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            user_agent: concat!("bt-tracker/", env!("CARGO_PKG_VERSION")).to_owned(),
            both_families: true,
            fetch_timeout: ANNOUNCE_TIMEOUT,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }
}

/// Asks trackers, over HTTP, HTTPS (feature `tls`) and UDP. Cheap to clone; all clones share the
/// connection ids of UDP trackers.
///
/// ```no_run
/// # async fn example() -> Result<(), bt_tracker::client::Error> {
/// use std::sync::Arc;
/// use std::time::Duration;
/// use bt_tracker::client::{Client, Direct};
/// use bt_tracker::{AnnounceRequest, Event};
///
/// let client = Client::new(Arc::new(Direct));
/// let mut request = AnnounceRequest::new([0xAA; 20].into(), [0xBB; 20].into(), 6881);
/// request.event = Event::Started;
/// request.left = 1 << 20;
/// let timeout = Duration::from_secs(20);
/// let answer = client.announce("udp://tracker.example:6969/announce", &request, timeout).await?;
/// println!("{} peers", answer.peers.len());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Client {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    net: Arc<dyn Net>,
    user_agent: HeaderValue,
    both_families: bool,
    fetch_timeout: Duration,
    connections: Connections,
    /// Trackers that take one announce at a time.
    single: Mutex<HashSet<String>>,
    /// Keyed at random for each client; hashes of the counter are unpredictable to others.
    seeds: RandomState,
    count: AtomicU64,
    #[cfg(feature = "tls")]
    tls_config: Option<Arc<rustls::ClientConfig>>,
    #[cfg(feature = "tls")]
    system_tls: std::sync::OnceLock<Result<Arc<rustls::ClientConfig>, String>>,
}

impl Client {
    /// A client with the default configuration.
    #[must_use]
    pub fn new(net: Arc<dyn Net>) -> Self {
        Self::with_config(net, Config::default())
    }

    /// A client. Characters of the user agent that a header cannot hold are left out.
    #[must_use]
    pub fn with_config(net: Arc<dyn Net>, config: Config) -> Self {
        let Config {
            user_agent,
            both_families,
            fetch_timeout,
            #[cfg(feature = "tls")]
            tls,
        } = config;
        let printable: String = user_agent
            .chars()
            .filter(|c| matches!(c, ' '..='~'))
            .collect();
        Self {
            inner: Arc::new(Inner {
                net,
                user_agent: HeaderValue::from_str(&printable)
                    .unwrap_or(HeaderValue::from_static("bt-tracker")),
                both_families,
                fetch_timeout,
                connections: Connections::default(),
                single: Mutex::default(),
                seeds: RandomState::new(),
                count: AtomicU64::new(0),
                #[cfg(feature = "tls")]
                tls_config: tls,
                #[cfg(feature = "tls")]
                system_tls: std::sync::OnceLock::new(),
            }),
        }
    }

    /// Announces to one tracker.
    ///
    /// With [`Config::both_families`] the announce goes out over IPv4 and IPv6 when the tracker has
    /// addresses of both; it succeeds when one of them does, with the peers of both.
    ///
    /// # Errors
    ///
    /// [`Error`], [`Error::TimedOut`] at the latest after `timeout`.
    pub async fn announce(
        &self,
        url: &str,
        request: &AnnounceRequest,
        timeout: Duration,
    ) -> Result<AnnounceResponse, Error> {
        let destination = tracker(url)?;
        tracing::debug!(host = destination.host_text(), event = %request.event, "announce");
        let call = if destination.scheme == Scheme::Udp {
            let url_data = destination.url_data.clone().into_bytes();
            Call::Udp(Question::Announce(AnnounceRequest {
                url_data,
                ..request.clone()
            }))
        } else {
            let url = crate::http::announce_url(url.trim(), request);
            Call::Http(Box::new(Destination::parse(&url)?))
        };
        let patience = Patience::new(timeout);
        let addrs = patience.limit(self.inner.resolve(&destination)).await?;
        let over = |addrs| patience.limit(self.inner.announce_over(&call, addrs));
        let (v4, v6): (Vec<_>, Vec<_>) = addrs
            .iter()
            .copied()
            .partition(|addr| Family::of(*addr) == Family::V4);
        if self.inner.both_families && !v4.is_empty() && !v6.is_empty() {
            families::both(over(v4), over(v6)).await
        } else {
            over(interleaved(&addrs)).await
        }
    }

    /// Asks one tracker for the numbers of torrents. `url` is its announce URL.
    ///
    /// # Errors
    ///
    /// [`Error`], [`Error::NotScrapable`] for a tracker over HTTP that has no scrape URL, and
    /// [`Error::TimedOut`] at the latest after `timeout`.
    pub async fn scrape(
        &self,
        url: &str,
        request: &ScrapeRequest,
        timeout: Duration,
    ) -> Result<ScrapeResponse, Error> {
        let destination = tracker(url)?;
        tracing::debug!(
            host = destination.host_text(),
            torrents = request.info_hashes.len(),
            "scrape"
        );
        let call = if destination.scheme == Scheme::Udp {
            Call::Udp(Question::Scrape(request.info_hashes.clone()))
        } else {
            let scrape = crate::http::scrape_url(url.trim()).ok_or(Error::NotScrapable)?;
            let url = crate::http::scrape_request_url(&scrape, request);
            Call::Http(Box::new(Destination::parse(&url)?))
        };
        let patience = Patience::new(timeout);
        let addrs = patience.limit(self.inner.resolve(&destination)).await?;
        patience
            .limit(self.inner.scrape_over(&call, interleaved(&addrs)))
            .await
    }

    /// Downloads what an `http` or `https` URL leads to, a .torrent file for instance, of at most
    /// `limit` bytes.
    ///
    /// # Errors
    ///
    /// [`Error`]; every status but success is one.
    pub async fn fetch(&self, url: &str, limit: usize) -> Result<Vec<u8>, Error> {
        let destination = Destination::parse(url)?;
        if destination.scheme == Scheme::Udp {
            return Err(Error::Scheme {
                scheme: "udp".to_owned(),
            });
        }
        tracing::debug!(host = destination.host_text(), "fetch");
        let get = async {
            let addrs = self.inner.resolve(&destination).await?;
            let addrs = interleaved(&addrs);
            http::request(&self.inner, Errand::File, &destination, addrs, limit).await
        };
        let fetched = Patience::new(self.inner.fetch_timeout).limit(get).await?;
        if !fetched.status.is_success() {
            return Err(Error::Status {
                status: fetched.status.as_u16(),
            });
        }
        Ok(fetched.body)
    }
}

/// What to do once the addresses are known.
#[derive(Debug)]
enum Call {
    Http(Box<Destination>),
    Udp(Question),
}

/// A time-out that several steps share.
#[derive(Clone, Copy, Debug)]
struct Patience {
    timeout: Duration,
    deadline: tokio::time::Instant,
}

impl Patience {
    fn new(timeout: Duration) -> Self {
        Self {
            timeout,
            deadline: tokio::time::Instant::now() + timeout,
        }
    }

    async fn limit<T>(self, step: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let outcome = tokio::time::timeout_at(self.deadline, step).await;
        outcome.unwrap_or(Err(Error::TimedOut {
            after: self.timeout,
        }))
    }
}

impl Inner {
    /// The addresses of the host, best first; never empty.
    async fn resolve(&self, destination: &Destination) -> Result<Vec<SocketAddr>, Error> {
        let failed = |source| Error::Resolve {
            host: destination.host_text().to_owned(),
            source,
        };
        let addrs = match &destination.host {
            Name::Ip(ip) => vec![SocketAddr::new(*ip, destination.port)],
            Name::Domain(domain) => self
                .net
                .resolve(domain, destination.port)
                .await
                .map_err(failed)?,
        };
        if addrs.is_empty() {
            return Err(no_address(destination.host_text()));
        }
        Ok(addrs)
    }

    async fn announce_over(
        self: &Arc<Self>,
        call: &Call,
        addrs: Vec<SocketAddr>,
    ) -> Result<AnnounceResponse, Error> {
        match call {
            Call::Http(destination) => {
                let errand = Errand::Tracker { body: None };
                let fetched = http::request(self, errand, destination, addrs, MAX_REPLY_BODY);
                fetched.await?.reply(crate::http::decode_announce_reply)
            }
            Call::Udp(question) => match udp::ask(self, &addrs, question).await? {
                Answer::Announce(response) => Ok(response),
                Answer::Scrape(_) => Err(ReplyError::malformed("it answers a scrape").into()),
            },
        }
    }

    async fn scrape_over(
        self: &Arc<Self>,
        call: &Call,
        addrs: Vec<SocketAddr>,
    ) -> Result<ScrapeResponse, Error> {
        match call {
            Call::Http(destination) => {
                let errand = Errand::Tracker { body: None };
                let fetched = http::request(self, errand, destination, addrs, MAX_REPLY_BODY);
                fetched.await?.reply(crate::http::decode_scrape_reply)
            }
            Call::Udp(question) => match udp::ask(self, &addrs, question).await? {
                Answer::Scrape(response) => Ok(response),
                Answer::Announce(_) => Err(ReplyError::malformed("it answers an announce").into()),
            },
        }
    }

    /// A number that nobody else can foresee.
    fn seed(&self) -> u64 {
        self.seeds
            .hash_one(self.count.fetch_add(1, Ordering::Relaxed))
    }
}

fn no_address(host: &str) -> Error {
    let source = io::Error::new(
        io::ErrorKind::NotFound,
        "it has no address that may be used",
    );
    Error::Resolve {
        host: host.to_owned(),
        source,
    }
}

/// Takes a tracker's URL apart.
fn tracker(url: &str) -> Result<Destination, Error> {
    if url.trim().len() > MAX_URL {
        return Err(Error::Url {
            what: format!("more than {MAX_URL} bytes"),
        });
    }
    Destination::parse(url)
}
