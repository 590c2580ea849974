//! The stream in Redis: writing notes in batches, reading those of others, and connecting again.
//!
//! An entry has two fields, `o` for the tracker that wrote it and `d` for records. Its id is the
//! time of Redis, so that the clocks of trackers do not matter. Each write has Redis drop the
//! entries that are older than the time-to-live, and the whole stream when it has taken none for
//! that long.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bt_metainfo::InfoHash;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Value};
use tokio_util::sync::CancellationToken;

use super::{Link, Relay, lock, record};
use crate::limits::{MAX_RELAY_BACKOFF, MAX_RELAY_ENTRIES, MAX_RELAY_ENTRY, MAX_RELAY_MISSED};
use crate::server::tracker::Tracker;
use crate::swarm::{Answer, Refusal};

/// The stream. The number is the version of the records.
const STREAM: &str = "bt-tracker:1:announces";

/// The wait for more notes before a batch is written.
const GATHER: Duration = Duration::from_millis(10);

/// The wait for an answer of Redis.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long Redis holds a read that has nothing to tell.
const BLOCK: Duration = Duration::from_secs(2);

/// The first wait before connecting again; it doubles with each failure.
const FIRST_BACKOFF: Duration = Duration::from_millis(100);

/// How long a connection must have stood before the next wait is the first one again: a Redis that
/// takes a tracker's word and breaks off is away.
const STEADY: Duration = Duration::from_secs(5);

/// How long a tracker that stops waits for its last notes to be taken.
const FAREWELL: Duration = Duration::from_millis(500);

/// What ended a connection.
type Lost = redis::RedisError;

/// How far the stream has been read, and what could not be taken from it.
#[derive(Debug, Default)]
struct Bookmark {
    /// The last entry that was read; `None` before the first connection.
    place: Option<(u64, u64)>,
    /// Torrents that others announced and that are not tracked here, [`MAX_RELAY_MISSED`] at most:
    /// should they be registered or allowed one day, their peers are read again.
    missed: HashSet<InfoHash>,
}

impl Bookmark {
    fn miss(&mut self, info_hash: InfoHash) {
        if self.missed.len() < MAX_RELAY_MISSED {
            self.missed.insert(info_hash);
        }
    }
}

/// Connects until the token is cancelled.
pub(super) async fn run(relay: Arc<Relay>, tracker: Arc<Tracker>, stop: CancellationToken) {
    let mut bookmark = Bookmark::default();
    let mut backoff = FIRST_BACKOFF;
    while !stop.is_cancelled() {
        let started = Instant::now();
        let Err(error) = connected(&relay, &tracker, &stop, &mut bookmark).await else {
            return;
        };
        let before = relay.link();
        if before == Link::Up && started.elapsed() >= STEADY {
            backoff = FIRST_BACKOFF;
        }
        if matches!(before, Link::Away(..)) {
            tracing::debug!(%error, "redis is still away");
        } else {
            tracing::warn!(%error, "redis is away; serving from local memory");
        }
        let since = match before {
            Link::Away(since, _) => since,
            Link::Connecting | Link::Up => started,
        };
        *lock(&relay.link) = Link::Away(since, error.to_string());
        let wait = jittered(backoff);
        backoff = (backoff * 2).min(MAX_RELAY_BACKOFF);
        let _ = stop.run_until_cancelled(tokio::time::sleep(wait)).await;
    }
}

/// Writes and reads until the connection is lost, or until the token is cancelled.
async fn connected(
    relay: &Relay,
    tracker: &Tracker,
    stop: &CancellationToken,
    bookmark: &mut Bookmark,
) -> Result<(), Lost> {
    let config = AsyncConnectionConfig::new().set_connection_timeout(Some(PATIENCE));
    let writing = config.clone().set_response_timeout(Some(PATIENCE));
    let reading = config.set_response_timeout(Some(BLOCK + PATIENCE));
    let connect = async {
        let writer = relay
            .client
            .get_multiplexed_async_connection_with_config(&writing);
        let reader = relay
            .client
            .get_multiplexed_async_connection_with_config(&reading);
        let (mut writer, reader) = tokio::try_join!(writer, reader)?;
        let clock = Clock::read(&mut writer).await?;
        Ok::<_, Lost>((writer, reader, clock))
    };
    let Some(connection) = stop.run_until_cancelled(connect).await else {
        return Ok(());
    };
    let (mut writer, mut reader, clock) = connection?;
    // A Redis that takes no notes, such as a full one, is as good as away, however well it can be
    // connected to.
    let first = flush(relay, &mut writer, clock);
    match stop.run_until_cancelled(first).await {
        Some(taken) => taken?,
        None => return Ok(()),
    }
    // A Redis whose clock has gone back, or that is another one, has entries before our place.
    let begin = clock.milliseconds(Instant::now());
    let oldest = begin.saturating_sub(milliseconds(relay.peer_ttl));
    let place = bookmark.place.filter(|at| at.0 <= begin);
    bookmark.place = Some(place.unwrap_or((oldest, 0)));
    // So is one that lets nothing be read, such as one with other rights or another thing under the
    // name.
    let first = take_in(relay, tracker, &mut reader, bookmark, Duration::ZERO);
    match stop.run_until_cancelled(first).await {
        Some(read) => read?,
        None => return Ok(()),
    }
    tracing::info!("redis is connected");
    relay.connects.add(1);
    *lock(&relay.link) = Link::Up;
    tokio::select! {
        lost = write(relay, writer, clock, stop) => lost,
        lost = read(relay, tracker, reader, bookmark) => lost,
    }
}

/// Writes notes as they come.
async fn write(
    relay: &Relay,
    mut connection: MultiplexedConnection,
    clock: Clock,
    stop: &CancellationToken,
) -> Result<(), Lost> {
    loop {
        flush(relay, &mut connection, clock).await?;
        if stop
            .run_until_cancelled(relay.queue.filled())
            .await
            .is_none()
        {
            let last = flush(relay, &mut connection, clock);
            return tokio::time::timeout(FAREWELL, last).await.unwrap_or(Ok(()));
        }
        let _ = stop.run_until_cancelled(tokio::time::sleep(GATHER)).await;
    }
}

/// Writes all that is noted. A Redis that is full refuses new entries, but it still drops old ones:
/// they go first, and the stream only lives longer when an entry has been taken.
async fn flush(
    relay: &Relay,
    connection: &mut MultiplexedConnection,
    clock: Clock,
) -> Result<(), Lost> {
    let notes = relay.take();
    if notes.is_empty() {
        return Ok(());
    }
    let lifetime = milliseconds(relay.peer_ttl);
    let oldest = clock.milliseconds(Instant::now()).saturating_sub(lifetime);
    let mut pipe = redis::pipe();
    pipe.cmd("XTRIM")
        .arg(STREAM)
        .arg(("MINID", "~", oldest))
        .ignore();
    // When this future is dropped or fails, the notes go back, and at worst they are told twice.
    let mut unsent = Unsent { relay, notes };
    let records = record::count(&unsent.notes);
    let mut rest = unsent.notes.as_slice();
    while !rest.is_empty() {
        let (entry, after) = split_entry(rest);
        rest = after;
        pipe.cmd("XADD")
            .arg(STREAM)
            .arg("*")
            .arg(("o", &relay.origin, "d", entry))
            .ignore();
    }
    pipe.query_async::<()>(connection).await?;
    unsent.notes.clear();
    relay.sent.add(records);
    let mut live_on = redis::cmd("PEXPIRE");
    live_on.arg(STREAM).arg(lifetime);
    live_on.query_async::<()>(connection).await
}

/// As many whole records as one entry may have, and the rest. The bytes must be our own.
fn split_entry(notes: &[u8]) -> (&[u8], &[u8]) {
    let window = notes.get(..MAX_RELAY_ENTRY).unwrap_or(notes);
    let (length, _) = record::fitting(window, window.len());
    notes.split_at(length.max(1).min(notes.len()))
}

/// Reads what others write, and carries it out.
async fn read(
    relay: &Relay,
    tracker: &Tracker,
    mut connection: MultiplexedConnection,
    bookmark: &mut Bookmark,
) -> Result<(), Lost> {
    loop {
        read_again(relay, tracker, &mut connection, bookmark).await?;
        take_in(relay, tracker, &mut connection, bookmark, BLOCK).await?;
    }
}

/// Reads once, for as long as `block` if there is nothing yet, and carries it out.
async fn take_in(
    relay: &Relay,
    tracker: &Tracker,
    connection: &mut MultiplexedConnection,
    bookmark: &mut Bookmark,
    block: Duration,
) -> Result<(), Lost> {
    let mut answer = Answer::default();
    let (reply, clock) = fetch(connection, bookmark.place.unwrap_or_default(), block).await?;
    for entry in entries(&reply) {
        // Also past what makes no sense, or else it would be read for ever.
        bookmark.place = Some(entry.id);
        if entry.said.is_none() {
            relay.malformed.add(1);
        }
        if entry.said.is_some_and(|(origin, _)| origin != relay.origin) {
            let miss = |info_hash| bookmark.miss(info_hash);
            let heard = clock.heard(&entry);
            carry_out(relay, tracker, &entry, heard, |_| true, miss, &mut answer);
            tokio::task::yield_now().await;
        }
    }
    Ok(())
}

/// Reads the whole stream once more for torrents that were not tracked here when their announces
/// were read, and now are. What was announced here is read as well: a peer that has left by way of
/// this tracker must not come back.
async fn read_again(
    relay: &Relay,
    tracker: &Tracker,
    connection: &mut MultiplexedConnection,
    bookmark: &mut Bookmark,
) -> Result<(), Lost> {
    let is_tracked = |info_hash: &InfoHash| {
        tracker.access.tracks(info_hash)
            && (!tracker.swarms.config().closed || tracker.swarms.scrape(info_hash).is_some())
    };
    let missed = bookmark.missed.iter();
    let welcome: HashSet<InfoHash> = missed.filter(|hash| is_tracked(hash)).copied().collect();
    let end = bookmark.place.unwrap_or_default();
    let mut at = (0, 0);
    let mut answer = Answer::default();
    while !welcome.is_empty() && at < end {
        let (reply, clock) = fetch(connection, at, Duration::ZERO).await?;
        let before = at;
        for entry in entries(&reply) {
            at = entry.id;
            let is_welcome = |info_hash: &InfoHash| welcome.contains(info_hash);
            carry_out(
                relay,
                tracker,
                &entry,
                clock.heard(&entry),
                is_welcome,
                |_| {},
                &mut answer,
            );
            tokio::task::yield_now().await;
        }
        if at == before {
            break;
        }
    }
    bookmark.missed.retain(|hash| !welcome.contains(hash));
    Ok(())
}

/// The entries after a place and the time of Redis; waits as long as `block` for the first one.
async fn fetch(
    connection: &mut MultiplexedConnection,
    place: (u64, u64),
    block: Duration,
) -> Result<(Value, Clock), Lost> {
    let (reply, time): (Value, (u64, u64)) = reading(place, block).query_async(connection).await?;
    Ok((reply, Clock::new(time)))
}

/// What Redis is asked for that.
fn reading((at, sequence): (u64, u64), block: Duration) -> redis::Pipeline {
    let mut pipe = redis::pipe();
    let read = pipe.cmd("XREAD").arg(("COUNT", MAX_RELAY_ENTRIES));
    // To block for no time means for ever.
    if !block.is_zero() {
        read.arg(("BLOCK", milliseconds(block)));
    }
    read.arg(("STREAMS", STREAM, format!("{at}-{sequence}")))
        .cmd("TIME");
    pipe
}

/// Carries out those announces of an entry that are `wanted`, and says which torrents are not
/// tracked here.
pub(super) fn carry_out(
    relay: &Relay,
    tracker: &Tracker,
    entry: &Entry<'_>,
    heard: Heard,
    wanted: impl Fn(&InfoHash) -> bool,
    mut miss: impl FnMut(InfoHash),
    answer: &mut Answer,
) {
    let (_, mut records) = entry.said.unwrap_or_default();
    while !records.is_empty() {
        let Some(announce) = record::decode(&mut records) else {
            relay.malformed.add(1);
            return;
        };
        if !wanted(&announce.info_hash) {
            continue;
        }
        let heard = if tracker.access.tracks(&announce.info_hash) {
            tracker
                .swarms
                .hear_of(heard.now, heard.age, &announce, answer)
        } else {
            Err(Refusal::Unregistered)
        };
        match heard {
            Ok(true) => relay.received.add(1),
            Err(Refusal::Unregistered) => miss(announce.info_hash),
            Ok(false) | Err(_) => {}
        }
    }
}

/// Puts notes back when they have not been taken.
struct Unsent<'a> {
    relay: &'a Relay,
    notes: Vec<u8>,
}

impl Drop for Unsent<'_> {
    fn drop(&mut self) {
        if !self.notes.is_empty() {
            self.relay.put_back(std::mem::take(&mut self.notes));
        }
    }
}

pub(super) struct Entry<'a> {
    pub(super) id: (u64, u64),
    /// Who wrote it, and records; `None` when it makes no sense.
    pub(super) said: Option<(&'a [u8], &'a [u8])>,
}

/// The entries of a reply to XREAD.
pub(super) fn entries(reply: &Value) -> impl Iterator<Item = Entry<'_>> {
    // One stream was asked for: [[name, [entry, …]]], or nothing.
    let of_stream = match reply {
        Value::Array(streams) => match streams.first() {
            Some(Value::Array(stream)) => match stream.get(1) {
                Some(Value::Array(entries)) => entries.as_slice(),
                _ => &[],
            },
            _ => &[],
        },
        _ => &[],
    };
    of_stream.iter().filter_map(entry)
}

/// `None` for what has no id, and so is none.
fn entry(value: &Value) -> Option<Entry<'_>> {
    let Value::Array(parts) = value else {
        return None;
    };
    let [Value::BulkString(id), Value::Array(fields)] = parts.as_slice() else {
        return None;
    };
    let (at, sequence) = std::str::from_utf8(id).ok()?.split_once('-')?;
    let field = |name: &[u8]| {
        fields.chunks_exact(2).find_map(|pair| match pair {
            [Value::BulkString(key), Value::BulkString(value)] if key == name => {
                Some(value.as_slice())
            }
            _ => None,
        })
    };
    Some(Entry {
        id: (at.parse().ok()?, sequence.parse().ok()?),
        said: field(b"o").zip(field(b"d")),
    })
}

/// When another tracker heard what it tells.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heard {
    pub(super) now: Instant,
    /// How long ago that was.
    pub(super) age: Duration,
}

/// The time of Redis.
#[derive(Clone, Copy, Debug)]
struct Clock {
    /// Milliseconds since 1970.
    at: u64,
    read: Instant,
}

impl Clock {
    fn new((seconds, microseconds): (u64, u64)) -> Self {
        Self {
            at: seconds
                .saturating_mul(1000)
                .saturating_add(microseconds / 1000),
            read: Instant::now(),
        }
    }

    async fn read(connection: &mut MultiplexedConnection) -> Result<Self, Lost> {
        Ok(Self::new(redis::cmd("TIME").query_async(connection).await?))
    }

    fn heard(self, entry: &Entry<'_>) -> Heard {
        Heard {
            now: Instant::now(),
            age: Duration::from_millis(self.at.saturating_sub(entry.id.0)),
        }
    }

    fn milliseconds(self, now: Instant) -> u64 {
        let since = milliseconds(now.saturating_duration_since(self.read));
        self.at.saturating_add(since)
    }
}

fn milliseconds(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX).max(1)
}

/// Between half and the whole of a wait, so that trackers do not come back all at once.
fn jittered(wait: Duration) -> Duration {
    let mut byte = [0];
    // Without randomness the wait is only less spread.
    let _ = crate::server::random::fill(&mut byte);
    let [part] = byte;
    wait / 2 + wait / 2 * u32::from(part) / 255
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_torrents_are_missed_and_no_more() {
        let mut bookmark = Bookmark::default();
        let hash = |n: usize| {
            let mut hash = [0; 20];
            hash[..8].copy_from_slice(&n.to_be_bytes());
            InfoHash::from(hash)
        };
        for n in 0..=MAX_RELAY_MISSED {
            bookmark.miss(hash(n));
            bookmark.miss(hash(0));
            assert_eq!(bookmark.missed.len(), (n + 1).min(MAX_RELAY_MISSED));
        }
        assert!(bookmark.missed.contains(&hash(0)));
        assert!(!bookmark.missed.contains(&hash(MAX_RELAY_MISSED)));
    }

    #[test]
    fn an_entry_has_so_many_bytes_of_whole_records_and_no_more() {
        let (short, long) = ([0; 27], [0b1000; record::MAX_LENGTH]);
        // Both lengths are multiples of three, so that an entry comes as near as a byte.
        let full = MAX_RELAY_ENTRY / 3 * 3;
        let notes = [
            long.repeat(5),
            short.repeat((full - 5 * long.len()) / short.len()),
        ]
        .concat();
        assert_eq!((notes.len(), MAX_RELAY_ENTRY - full), (full, 1));
        assert_eq!(split_entry(&notes), (&notes[..], &[][..]), "at the limit");
        for one_more in [&short[..], &long] {
            let more = [&notes, one_more].concat();
            assert_eq!(split_entry(&more), (&notes[..], one_more), "above it");
        }
        let many = long.repeat(3 * MAX_RELAY_ENTRY / long.len());
        let mut rest = many.as_slice();
        let mut entries = 0;
        while !rest.is_empty() {
            let (entry, after) = split_entry(rest);
            assert!(entry.len() <= MAX_RELAY_ENTRY && entry.len() % long.len() == 0);
            (rest, entries) = (after, entries + 1);
        }
        assert_eq!(entries, 4);
    }

    #[test]
    fn so_many_entries_are_asked_for_at_once() {
        for block in [Duration::ZERO, BLOCK] {
            let asked = reading((u64::MAX, u64::MAX), block).get_packed_pipeline();
            let asked = String::from_utf8(asked).unwrap();
            let count = format!("$5\r\nXREAD\r\n$5\r\nCOUNT\r\n$2\r\n{MAX_RELAY_ENTRIES}\r\n");
            assert!(asked.contains(&count), "{asked:?}");
        }
        // What they may have together is what a reply may have.
        assert_eq!(MAX_RELAY_ENTRIES * MAX_RELAY_ENTRY, 4 * 1024 * 1024);
    }
}
