//! What can be wrong with a request that a server reads and with a reply that a client reads.
//!
//! Errors of sockets are the client's own ([`client::Error`](crate::client)); nothing here knows
//! about them.

use std::borrow::Cow;

use crate::{Failure, RetryIn};

/// A request that no tracker can answer. The message is fit for `failure reason`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// A parameter that the request needs is not there.
    #[error("{name} is missing")]
    Missing {
        /// The parameter.
        name: &'static str,
    },
    /// A parameter is there and means nothing.
    #[error("{name} is not valid: {expected}")]
    Invalid {
        /// The parameter.
        name: &'static str,
        /// What it should have been.
        expected: &'static str,
    },
    /// A parameter or the whole request is larger than any honest one.
    #[error("{name} is too long: more than {limit} bytes")]
    TooLong {
        /// The parameter, or `request`.
        name: &'static str,
        /// The limit in bytes, from [`limits`](crate::limits).
        limit: usize,
    },
    /// More torrents than one request may name.
    #[error("too many info_hash: more than {limit}")]
    TooMany {
        /// The limit, from [`limits`](crate::limits).
        limit: usize,
    },
    /// A UDP packet ends before its fixed part does.
    #[error("packet of {length} bytes is too short: {expected} are needed")]
    Truncated {
        /// The packet's size.
        length: usize,
        /// The least size of a packet with its action.
        expected: usize,
    },
    /// A UDP packet names an action that requests do not have.
    #[error("action {action} is unknown")]
    UnknownAction {
        /// The number at offset 8.
        action: u32,
    },
}

/// A tracker's reply that gives no response: it refuses, or it is not a tracker's reply at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplyError {
    /// The tracker understood and refused.
    #[error("the tracker refused: {0}")]
    Refused(Failure),
    /// The body is not bencoding.
    #[error("the reply is not bencoded: {0}")]
    Bencode(#[from] bt_bencode::Error),
    /// The body is bencoding, but a value is missing or is not what it must be.
    #[error("the reply is malformed: {what}")]
    Malformed {
        /// Which key, and what is wrong with it.
        what: Cow<'static, str>,
    },
    /// A packet ends before its fixed part does.
    #[error("the reply is malformed: packet of {length} bytes, {expected} are needed")]
    Truncated {
        /// The packet's size.
        length: usize,
        /// The least size of such a reply.
        expected: usize,
    },
    /// A packet answers something else than was asked.
    #[error("the reply is malformed: action {found}, expected {expected}")]
    WrongAction {
        /// The action that was asked for.
        expected: u32,
        /// The action in the packet.
        found: u32,
    },
}

impl ReplyError {
    pub(crate) fn malformed(what: impl Into<Cow<'static, str>>) -> Self {
        Self::Malformed { what: what.into() }
    }

    /// When the tracker wants to be asked again, if it said so (BEP 31).
    #[must_use]
    pub fn retry_in(&self) -> Option<RetryIn> {
        match self {
            Self::Refused(failure) => failure.retry_in,
            _ => None,
        }
    }
}
