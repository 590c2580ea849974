//! One GET or POST over a connection of its own: connect, TLS, request, redirects, body.
//!
//! Speaks HTTP/1.1 by hyper over streams that the [`Net`] made. It must not know what a body
//! means.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_ENCODING, HOST, HeaderValue,
    LOCATION, USER_AGENT,
};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::address::{interleaved, is_global};
use super::destination::{Destination, Name, Scheme};
use super::{Error, Inner, body, guard, no_address, race};
use crate::ReplyError;
use crate::limits::{CONNECT_STAGGER, MAX_REDIRECTS, MAX_REPLY_HEAD, MAX_REPLY_HEADERS};
use crate::udp::Family;

/// What came back after all redirects.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) status: StatusCode,
    pub(super) body: Vec<u8>,
}

impl Fetched {
    /// Reads the body as a tracker's reply. A refusal counts with any status: many trackers refuse
    /// with 400 or 403, and their words say more than the number.
    pub(super) fn reply<T>(
        self,
        decode: impl FnOnce(&[u8]) -> Result<T, ReplyError>,
    ) -> Result<T, Error> {
        match decode(&self.body) {
            Err(refused @ ReplyError::Refused(_)) => Err(refused.into()),
            _ if !self.status.is_success() => Err(Error::Status {
                status: self.status.as_u16(),
            }),
            reply => Ok(reply?),
        }
    }
}

/// Who chose the URL.
#[derive(Clone, Debug)]
pub(super) enum Errand {
    /// Whoever wrote a torrent: only what [`guard`] allows is asked.
    Tracker {
        /// To send as a POST, which it stays when it is redirected.
        body: Option<Bytes>,
    },
    /// The user.
    File,
}

/// Gets a URL with a body of at most `limit` bytes. `addrs` are those of the URL's host, in the
/// order in which to try them; when all are of one family, redirects stay in it where they can.
pub(super) async fn request(
    inner: &Inner,
    errand: Errand,
    destination: &Destination,
    addrs: Vec<SocketAddr>,
    limit: usize,
) -> Result<Fetched, Error> {
    let allowed = |destination: &Destination, addrs| match errand {
        Errand::Tracker { .. } => guard::allowed(&destination.path_and_query, addrs),
        Errand::File => Ok(addrs),
    };
    let body = match &errand {
        Errand::Tracker { body } => body.clone(),
        Errand::File => None,
    };
    let family = addrs.first().map(|addr| Family::of(*addr));
    let family = family.filter(|family| addrs.iter().all(|addr| Family::of(*addr) == *family));
    let mut destination = destination.clone();
    let mut addrs = allowed(&destination, addrs)?;
    let mut from_global = false;
    for _ in 0..=MAX_REDIRECTS {
        let (stream, addr) = connect(inner, &destination, &addrs).await?;
        from_global |= is_global(addr.ip());
        let request = head(inner, &destination, body.clone())?;
        match exchange(inner, &destination, stream, request, addr, limit).await? {
            Step::Done(fetched) => return Ok(fetched),
            Step::Redirect(location) => destination = destination.redirected(&location)?,
        }
        let found = inner.resolve(&destination).await?;
        addrs = allowed(&destination, redirect_addrs(&found, family, from_global)?)?;
    }
    Err(Error::Redirect {
        what: format!("there are more than {MAX_REDIRECTS} in a row"),
    })
}

/// Which addresses of the host a redirect leads to may be tried.
fn redirect_addrs(
    found: &[SocketAddr],
    family: Option<Family>,
    from_global: bool,
) -> Result<Vec<SocketAddr>, Error> {
    // A tracker on the internet must not make us talk to what only we can reach.
    let allowed: Vec<SocketAddr> = found
        .iter()
        .copied()
        .filter(|addr| !from_global || is_global(addr.ip()))
        .collect();
    if allowed.is_empty() {
        let what = "it leads from the internet to a private address".to_owned();
        return Err(Error::Redirect { what });
    }
    let same: Vec<SocketAddr> = allowed
        .iter()
        .copied()
        .filter(|addr| family.is_none_or(|family| Family::of(*addr) == family))
        .collect();
    Ok(interleaved(if same.is_empty() { &allowed } else { &same }))
}

enum Step {
    Done(Fetched),
    Redirect(String),
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Connects to the first address that answers.
async fn connect(
    inner: &Inner,
    destination: &Destination,
    addrs: &[SocketAddr],
) -> Result<(tokio::net::TcpStream, SocketAddr), Error> {
    let net = &inner.net;
    let attempt = |addr| {
        let net = Arc::clone(net);
        async move {
            match net.connect(addr).await {
                Ok(stream) => Ok((stream, addr)),
                Err(source) => Err(Error::Connect { addr, source }),
            }
        }
    };
    race::first_success(addrs, CONNECT_STAGGER, attempt)
        .await
        .unwrap_or_else(|| Err(no_address(destination.host_text())))
}

fn head(
    inner: &Inner,
    destination: &Destination,
    body: Option<Bytes>,
) -> Result<Request<Full<Bytes>>, Error> {
    let invalid = |what: String| Error::Url { what };
    let method = if body.is_some() {
        Method::POST
    } else {
        Method::GET
    };
    let mut request = Request::builder()
        .method(method)
        .uri(destination.path_and_query.as_str())
        .header(HOST, destination.authority.as_str())
        .header(USER_AGENT, inner.user_agent.clone())
        .header(ACCEPT, HeaderValue::from_static("*/*"))
        .header(ACCEPT_ENCODING, HeaderValue::from_static("gzip"))
        .header(CONNECTION, HeaderValue::from_static("close"));
    if let Some(basic) = &destination.basic {
        let mut value = HeaderValue::from_str(basic).map_err(|error| invalid(error.to_string()))?;
        value.set_sensitive(true);
        request = request.header(AUTHORIZATION, value);
    }
    request
        .body(Full::new(body.unwrap_or_default()))
        .map_err(|error| invalid(error.to_string()))
}

/// Sends the request and reads the response while the connection is driven along.
async fn exchange(
    inner: &Inner,
    destination: &Destination,
    tcp: tokio::net::TcpStream,
    request: Request<Full<Bytes>>,
    addr: SocketAddr,
    limit: usize,
) -> Result<Step, Error> {
    let stream: Box<dyn Stream> = match destination.scheme {
        Scheme::Http => Box::new(tcp),
        Scheme::Https => secure(inner, &destination.host, destination.host_text(), tcp).await?,
        Scheme::Udp => {
            return Err(Error::Scheme {
                scheme: "udp".to_owned(),
            });
        }
    };
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_REPLY_HEAD)
        .max_headers(MAX_REPLY_HEADERS)
        .title_case_headers(true)
        // Old and homemade trackers are careless about heads; nothing of it concerns us.
        .allow_spaces_after_header_name_in_responses(true)
        .allow_obsolete_multiline_headers_in_responses(true)
        .ignore_invalid_headers_in_responses(true)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| http_error(&error, addr))?;
    let mut conversation = pin!(async {
        let response = sender.send_request(request).await;
        receive(
            response.map_err(|error| http_error(&error, addr))?,
            addr,
            limit,
        )
        .await
    });
    let mut connection = pin!(connection);
    let mut connected = true;
    loop {
        // Errors of the connection reach the conversation too, with everything read before them.
        tokio::select! {
            biased;
            step = &mut conversation => return step,
            _ = &mut connection, if connected => connected = false,
        }
    }
}

async fn receive(
    response: Response<Incoming>,
    addr: SocketAddr,
    limit: usize,
) -> Result<Step, Error> {
    let status = response.status();
    let is_redirect = matches!(
        status,
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    );
    if is_redirect {
        let location = response
            .headers()
            .get(LOCATION)
            .and_then(|value| value.to_str().ok());
        let Some(location) = location else {
            return Err(Error::Redirect {
                what: "it has no location".to_owned(),
            });
        };
        return Ok(Step::Redirect(location.to_owned()));
    }
    let (head, incoming) = response.into_parts();
    let body = match body::collect(incoming, addr, limit).await {
        Ok(raw) => body::decompress(head.headers.get(CONTENT_ENCODING), raw, limit),
        Err(error) => Err(error),
    };
    match body {
        Ok(body) => Ok(Step::Done(Fetched { status, body })),
        // The status says more than what is wrong with the page that explains it.
        Err(_) if !status.is_success() => Ok(Step::Done(Fetched {
            status,
            body: Vec::new(),
        })),
        Err(error) => Err(error),
    }
}

/// What hyper found, in our words where people will see it often.
pub(super) fn http_error(error: &hyper::Error, addr: SocketAddr) -> Error {
    let http = |what: &str| Error::Http {
        what: what.to_owned(),
    };
    let closed = "the connection was closed before it was complete";
    if error.is_incomplete_message() {
        return http(closed);
    }
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        if let Some(source) = inner.downcast_ref::<io::Error>() {
            return match source.kind() {
                io::ErrorKind::UnexpectedEof => http(closed),
                io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
                    http(&source.to_string())
                }
                kind => Error::Io {
                    addr,
                    source: io::Error::new(kind, source.to_string()),
                },
            };
        }
        cause = inner.source();
    }
    http(&error.to_string())
}

#[cfg(feature = "tls")]
async fn secure(
    inner: &Inner,
    host: &Name,
    text: &str,
    tcp: tokio::net::TcpStream,
) -> Result<Box<dyn Stream>, Error> {
    Ok(Box::new(super::tls::connect(inner, host, text, tcp).await?))
}

#[cfg(not(feature = "tls"))]
async fn secure(
    _: &Inner,
    _: &Name,
    _: &str,
    _: tokio::net::TcpStream,
) -> Result<Box<dyn Stream>, Error> {
    Err(Error::Scheme {
        scheme: "https".to_owned(),
    })
}
