//! Why an announce, a scrape or a download over HTTP came to nothing.
//!
//! No message holds a path or a query: both may contain a passkey.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use crate::schedule::Problem;
use crate::udp::ExchangeError;
use crate::{ReplyError, RetryIn};

/// The error of [`Client`](super::Client).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The URL cannot be used.
    #[error("invalid URL: {what}")]
    Url {
        /// What is wrong with it.
        what: String,
    },
    /// The URL's scheme is not one that this operation knows.
    #[error("scheme {scheme:?} is not supported here")]
    Scheme {
        /// The scheme.
        scheme: String,
    },
    /// The tracker's URL has no scrape URL (BEP 48).
    #[error("this tracker cannot be scraped: its path has no \"/announce\"")]
    NotScrapable,
    /// The host name has no address.
    #[error("cannot resolve {host}: {source}")]
    Resolve {
        /// The host name.
        host: String,
        /// What the resolver says.
        source: io::Error,
    },
    /// None of the host's addresses could be connected to; this is the last of them.
    #[error("cannot connect to {addr}: {source}")]
    Connect {
        /// The address.
        addr: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The connection broke.
    #[error("connection to {addr} failed: {source}")]
    Io {
        /// The address.
        addr: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The server's certificate was not accepted, or TLS failed otherwise. There is no way to
    /// switch verification off.
    #[error("TLS with {host} failed: {what}")]
    Tls {
        /// The host.
        host: String,
        /// What is wrong.
        what: String,
    },
    /// What came is not an HTTP response.
    #[error("invalid HTTP response: {what}")]
    Http {
        /// What is wrong.
        what: String,
    },
    /// The server answered with this status and no tracker's reply.
    #[error("HTTP status {status}")]
    Status {
        /// The status code.
        status: u16,
    },
    /// A redirect that we do not follow.
    #[error("redirect refused: {what}")]
    Redirect {
        /// Why.
        what: String,
    },
    /// A torrent's tracker that is not asked, because the request could do harm where it leads.
    #[error("not asked for safety: {what}")]
    Unsafe {
        /// Why.
        what: &'static str,
    },
    /// The body is larger than allowed, before or after decompression.
    #[error("the response is larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// The body's encoding is unknown or broken.
    #[error("the response cannot be decompressed: {what}")]
    Encoding {
        /// What is wrong.
        what: String,
    },
    /// Nothing came within the time the caller allowed.
    #[error("no answer within {} s", .after.as_secs_f32())]
    TimedOut {
        /// The time.
        after: Duration,
    },
    /// A UDP tracker did not answer to any of our packets.
    #[error("no answer to {packets} packets")]
    Silent {
        /// How many were sent.
        packets: u32,
    },
    /// The tracker answered, but gave no response: it refuses, or its reply is malformed.
    #[error(transparent)]
    Reply(#[from] ReplyError),
}

impl Error {
    /// When the tracker wants to be asked again, if it said so (BEP 31).
    #[must_use]
    pub fn retry_in(&self) -> Option<RetryIn> {
        match self {
            Self::Reply(reply) => reply.retry_in(),
            _ => None,
        }
    }

    /// How much the error tells: of two failed attempts, the one that got further is reported.
    pub(super) fn progress(&self) -> u8 {
        match self {
            Self::Reply(ReplyError::Refused(_)) => 3,
            Self::Reply(_) | Self::Status { .. } => 2,
            Self::Connect { .. } | Self::Resolve { .. } => 0,
            _ => 1,
        }
    }
}

impl From<ExchangeError> for Error {
    fn from(error: ExchangeError) -> Self {
        match error {
            ExchangeError::TimedOut { packets } => Self::Silent { packets },
            ExchangeError::Reply(reply) => Self::Reply(reply),
        }
    }
}

impl From<&Error> for Problem {
    fn from(error: &Error) -> Self {
        match error {
            Error::Reply(reply) => Self::from(reply),
            other => Self::new(other.to_string()),
        }
    }
}
