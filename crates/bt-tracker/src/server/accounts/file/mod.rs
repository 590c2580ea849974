//! The file of accounts: what users have transferred survives a restart, and so does what each
//! peer said last, so that a restart costs nobody anything.
//!
//! Lines of text: a head with a version and the wall clock, a `user` line for each, `peer` lines
//! after their user, and an end with a checksum over everything before it. It holds keys, and
//! only its owner may read it.

use std::fmt::Write as _;
use std::hash::Hasher as _;
use std::io::{self, Write as _};
use std::net::{SocketAddrV4, SocketAddrV6};
use std::path::Path;
use std::str::{FromStr, SplitWhitespace};
use std::sync::{Arc, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use siphasher::sip::SipHasher13;

use super::super::bounded::read_marked;
use super::super::durable;
use super::user::{Book, PeerKey, Said, Totals, User};
use super::{Accounts, Entry};

const HEAD: &str = "bt-tracker accounts 1 ";

/// Why the file was not taken. It is never overwritten then.
#[derive(Debug, thiserror::Error)]
pub(in super::super) enum FileError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("it is not a file of accounts, or one of another version")]
    Foreign,
    #[error("it is torn: the checksum is wrong or lines are missing")]
    Torn,
    #[error("line {0} makes no sense")]
    Line(usize),
}

/// Writes all accounts. `at` is now, in seconds of the server's life.
pub(in super::super) fn save(path: &Path, accounts: &Accounts, at: i64) -> io::Result<()> {
    let text = write(accounts, at, clock());
    durable::replace(path, durable::SECRET, |file| {
        file.write_all(text.as_bytes())
    })
}

/// Takes the file in. Nobody is a user by it: that is the list's decision. Returns how many
/// accounts it has; 0 when there is no file.
pub(in super::super) fn load(path: &Path, accounts: &Accounts) -> Result<usize, FileError> {
    let text = match read_marked(path, HEAD.as_bytes()) {
        Ok(bytes) => String::from_utf8(bytes).map_err(|_| FileError::Foreign)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error.into()),
    };
    let read = read(&text, clock())?;
    let count = read.len();
    take(accounts, read);
    Ok(count)
}

fn take(accounts: &Accounts, read: Vec<(Box<str>, User)>) {
    let mut users = accounts
        .users
        .write()
        .unwrap_or_else(PoisonError::into_inner);
    for (key, user) in read {
        let entry = users.entry(key).or_insert_with(|| Entry {
            name: None,
            is_active: false,
            user: Arc::default(),
        });
        entry.user = Arc::new(user);
    }
}

fn clock() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(since.unwrap_or_default().as_secs()).unwrap_or(i64::MAX)
}

fn write(accounts: &Accounts, at: i64, clock: i64) -> String {
    let mut text = format!("{HEAD}{clock}\n");
    let mut entries = accounts.entries();
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    for (key, entry) in entries {
        let book = entry.user.book();
        if book.totals == Totals::default() && book.peers.is_empty() {
            continue;
        }
        let Totals {
            uploaded,
            downloaded,
            announces,
            impossible,
            unaccounted,
            last,
        } = book.totals;
        let idle = last.map_or(-1, |last| at.saturating_sub(last).max(0));
        line(
            &mut text,
            format_args!(
                "user {key} {uploaded} {downloaded} {announces} {impossible} {unaccounted} {idle}"
            ),
        );
        // In an order, so that the same accounts make the same file.
        let mut peers: Vec<_> = book.peers.iter().collect();
        peers.sort_by_key(|(peer, _)| (peer.info_hash, peer.identity));
        for (peer, said) in peers {
            line(
                &mut text,
                format_args!(
                    "peer {} {:x} {} {} {} {} {} {}",
                    peer.info_hash,
                    peer.identity,
                    said.uploaded,
                    said.downloaded,
                    said.left,
                    at.saturating_sub(said.at).max(0),
                    SocketAddrV4::new(said.v4.0, said.v4.1),
                    SocketAddrV6::new(said.v6.0, said.v6.1, 0, 0),
                ),
            );
        }
    }
    let sum = checksum(&text);
    line(&mut text, format_args!("end {sum:016x}"));
    text
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("writing to a String cannot fail");
}

fn checksum(text: &str) -> u64 {
    let mut hasher = SipHasher13::new();
    hasher.write(text.as_bytes());
    hasher.finish()
}

fn read(text: &str, clock: i64) -> Result<Vec<(Box<str>, User)>, FileError> {
    let first = text.lines().next().unwrap_or_default();
    let written = first.strip_prefix(HEAD).ok_or(FileError::Foreign)?;
    let (covered, end) = text
        .trim_end_matches('\n')
        .rsplit_once('\n')
        .ok_or(FileError::Torn)?;
    let sum = end.strip_prefix("end ").ok_or(FileError::Torn)?;
    if sum != format!("{:016x}", checksum(&format!("{covered}\n"))) {
        return Err(FileError::Torn);
    }
    let written: i64 = written.parse().map_err(|_| FileError::Line(1))?;
    // Moments before the server's life are negative.
    let away = clock.saturating_sub(written).max(0);
    let mut users: Vec<(Box<str>, User)> = Vec::new();
    for (at, line) in covered.lines().enumerate().skip(1) {
        let mut words = line.split_whitespace();
        let done = match words.next() {
            Some("user") => user(&mut words, away).map(|user| users.push(user)),
            Some("peer") => users.last().and_then(|(_, user)| {
                let (key, said) = peer(&mut words, away)?;
                user.book().peers.insert(key, said);
                Some(())
            }),
            _ => None,
        };
        if done.is_none() || words.next().is_some() {
            return Err(FileError::Line(at + 1));
        }
    }
    Ok(users)
}

fn user(words: &mut SplitWhitespace<'_>, away: i64) -> Option<(Box<str>, User)> {
    let key = words.next()?.into();
    let totals = Totals {
        uploaded: word(words)?,
        downloaded: word(words)?,
        announces: word(words)?,
        impossible: word(words)?,
        unaccounted: word(words)?,
        last: word::<i64>(words)
            .filter(|&idle| idle >= -1)
            .map(|idle| (idle >= 0).then(|| before(idle, away)))?,
    };
    let user = User::default();
    *user.book() = Book {
        totals,
        ..Book::default()
    };
    Some((key, user))
}

fn peer(words: &mut SplitWhitespace<'_>, away: i64) -> Option<(PeerKey, Said)> {
    let key = PeerKey {
        info_hash: word(words)?,
        identity: u64::from_str_radix(words.next()?, 16).ok()?,
    };
    let mut said = Said::nowhere();
    said.uploaded = word(words)?;
    said.downloaded = word(words)?;
    said.left = word(words)?;
    said.at = before(word(words)?, away);
    let v4: SocketAddrV4 = word(words)?;
    let v6: SocketAddrV6 = word(words)?;
    (said.v4, said.v6) = ((*v4.ip(), v4.port()), (*v6.ip(), v6.port()));
    Some((key, said))
}

fn word<T: FromStr>(words: &mut SplitWhitespace<'_>) -> Option<T> {
    words.next()?.parse().ok()
}

fn before(age: i64, away: i64) -> i64 {
    age.saturating_add(away).saturating_neg()
}

/// A file for the fuzzer, as it is and with the head and the checksum that it lacks: what is taken in is written, and what
/// is written is taken in and written again without a change.
#[cfg(any(test, feature = "fuzz"))]
pub(in super::super) fn fuzz(bytes: &[u8]) {
    /// Seconds since 1970; the head's own time may be before or after it.
    const NOW: i64 = 1_000_000;
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let mut whole = format!("{HEAD}{text}\n");
    let sum = checksum(&whole);
    line(&mut whole, format_args!("end {sum:016x}"));
    for text in [text, &whole] {
        let Ok(users) = read(text, NOW) else {
            continue;
        };
        let accounts = Accounts::default();
        take(&accounts, users);
        let written = write(&accounts, 0, NOW);
        let again = Accounts::default();
        take(&again, read(&written, NOW).expect("we wrote it"));
        assert_eq!(write(&again, 0, NOW), written);
    }
}

#[cfg(test)]
mod tests;
