//! Why an announce came to nothing, as far as the schedule needs to know.

use crate::{Failure, ReplyError, RetryIn};

/// A failed announce: words for people, and what the tracker said about asking again.
///
/// Errors of the client and of the codecs convert into it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// For people.
    pub message: String,
    /// What the tracker said (BEP 31).
    pub retry_in: Option<RetryIn>,
    /// The tracker was reached and refused. It is asked less often than one that is unreachable.
    pub refused: bool,
}

impl Problem {
    /// The tracker could not be reached, or said nothing that makes sense.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            retry_in: None,
            refused: false,
        }
    }
}

impl From<&Failure> for Problem {
    fn from(failure: &Failure) -> Self {
        Self {
            message: failure.reason.clone(),
            retry_in: failure.retry_in,
            refused: true,
        }
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        Self::from(&failure)
    }
}

impl From<&ReplyError> for Problem {
    fn from(error: &ReplyError) -> Self {
        match error {
            ReplyError::Refused(failure) => Self::from(failure),
            other => Self::new(other.to_string()),
        }
    }
}
