//! The index as it was last made. A page of all torrents costs more than any other answer, so it is
//! made once for each catalog, and again when its numbers are old; everybody is sent the same bytes.
//!
//! It must not know HTTP, nor what is in a page.

use std::sync::{Arc, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::super::memory::{Budget, Held};
use super::sync::{Mutex, RwLock};
use super::{Catalog, index};
use crate::limits::{INDEX_LIFE, INDEX_SHARE};
use crate::swarm::Swarms;

/// For whom an index is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Form {
    /// For people, as HTML.
    Page,
    /// For programs, as JSON.
    Json,
}

/// Both forms.
#[derive(Debug, Default)]
pub(super) struct Pages {
    page: Latest,
    json: Latest,
}

/// One form as it was last made.
#[derive(Debug, Default)]
pub(super) struct Latest {
    made: RwLock<Option<Made>>,
    /// Held by whoever makes the next one. Taken before `made`.
    making: Mutex<()>,
}

#[derive(Clone, Debug)]
struct Made {
    of: Arc<Catalog>,
    bytes: Bytes,
    /// When its numbers are old.
    old_at: Instant,
}

/// Bytes that count among the memory of connections for as long as anybody is being sent them.
struct Counted {
    bytes: Vec<u8>,
    _held: Held,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Pages {
    pub(super) fn get(
        &self,
        form: Form,
        now: Instant,
        catalog: &Arc<Catalog>,
        swarms: &Swarms,
        memory: &Arc<Budget>,
    ) -> Bytes {
        let latest = match form {
            Form::Page => &self.page,
            Form::Json => &self.json,
        };
        latest.get(now, catalog, memory, || match form {
            Form::Page => index::html(catalog, swarms),
            Form::Json => index::json(catalog, swarms),
        })
    }
}

impl Latest {
    pub(super) fn get(
        &self,
        now: Instant,
        catalog: &Arc<Catalog>,
        memory: &Arc<Budget>,
        make: impl FnOnce() -> Vec<u8>,
    ) -> Bytes {
        let is_of = |made: &Made| Arc::ptr_eq(&made.of, catalog);
        let is_good = |made: &Made| is_of(made) && now < made.old_at;
        let known = self.made();
        if let Some(good) = known.as_ref().filter(|made| is_good(made)) {
            return good.bytes.clone();
        }
        if let Some(known) = &known
            && memory.is_exceeded()
        {
            // Readers that take their time hold old pages; there shall not be more of them.
            return known.bytes.clone();
        }
        let _making = match self.making.try_lock() {
            Ok(making) => making,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => match known.filter(is_of) {
                // Old numbers at once are better than new ones later.
                Some(known) => return known.bytes,
                None => self.making.lock().unwrap_or_else(PoisonError::into_inner),
            },
        };
        if let Some(good) = self.made().filter(is_good) {
            return good.bytes;
        }
        let began = Instant::now();
        let bytes = make();
        let life = (began.elapsed() * INDEX_SHARE).max(INDEX_LIFE);
        let bytes = Bytes::from_owner(Counted {
            _held: memory.hold(bytes.len()),
            bytes,
        });
        *self.made.write().unwrap_or_else(PoisonError::into_inner) = Some(Made {
            of: Arc::clone(catalog),
            bytes: bytes.clone(),
            old_at: now + life.max(Duration::from_millis(1)),
        });
        bytes
    }

    fn made(&self) -> Option<Made> {
        let made = self.made.read().unwrap_or_else(PoisonError::into_inner);
        made.clone()
    }
}
