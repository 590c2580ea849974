//! The users of a tracker with passkeys: who they are, and what each has transferred.
//!
//! Who is a user is decided by the list; what is known of somebody who is none any more stays until
//! the operator forgets it. It must not know transports and swarms.

mod file;
mod user;

#[cfg(any(test, feature = "fuzz"))]
pub(super) use file::fuzz;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

pub(super) use file::{FileError, load, save};
pub(super) use user::User;

/// All users, by their keys.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    /// Read by every announce.
    users: RwLock<HashMap<Box<str>, Entry>>,
}

#[derive(Clone, Debug)]
struct Entry {
    /// What the list calls it.
    name: Option<Box<str>>,
    /// Whether the key is on the list.
    is_active: bool,
    user: Arc<User>,
}

/// What a user has transferred, by the word of its peers.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Account {
    /// The passkey. It is a secret.
    pub key: String,
    /// What the list calls the user.
    pub name: Option<String>,
    /// Whether the key is on the list; revoked keys keep their numbers.
    pub active: bool,
    /// Bytes sent to peers since the account began.
    pub uploaded: u64,
    /// Bytes received since the account began.
    pub downloaded: u64,
    /// Bytes that the peers of now lack together.
    pub left: u64,
    /// Torrents that are seeded now, once for each peer.
    pub seeding: u64,
    /// Torrents that are not complete now, once for each peer.
    pub leeching: u64,
    /// Announces that were accepted.
    pub announces: u64,
    /// Announces whose totals could not be true and so count nothing.
    pub impossible: u64,
    /// Announces of more peers than are followed for one user.
    pub unaccounted: u64,
    /// Seconds since the last announce.
    pub idle_seconds: Option<u64>,
}

/// Sums for all who see the numbers: by name, without keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    pub(super) uploaded: u64,
    pub(super) downloaded: u64,
}

/// A user as the list has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) key: Box<str>,
    pub(super) name: Option<Box<str>>,
}

/// As a line of the list.
impl fmt::Display for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)?;
        self.name.iter().try_for_each(|name| write!(f, " {name}"))
    }
}

impl Accounts {
    /// The user with this key, if it is on the list.
    pub(super) fn find(&self, key: &[u8]) -> Option<Arc<User>> {
        let key = std::str::from_utf8(key).ok()?;
        let users = self.users.read().unwrap_or_else(PoisonError::into_inner);
        let entry = users.get(key).filter(|entry| entry.is_active)?;
        Some(Arc::clone(&entry.user))
    }

    /// Makes these the users. Returns those that no longer are.
    pub(super) fn replace(&self, listed: Vec<Listed>) -> Vec<Arc<User>> {
        let mut dropped = Vec::new();
        let mut users = self.users.write().unwrap_or_else(PoisonError::into_inner);
        let mut before = std::mem::take(&mut *users);
        users.reserve(listed.len());
        for Listed { key, name } in listed {
            let known = before.remove(&key);
            // A key that stands on the list twice is one user, with the last name.
            let entry = users.entry(key).or_insert_with(|| Entry {
                name: None,
                is_active: true,
                user: known.map(|entry| entry.user).unwrap_or_default(),
            });
            entry.name = name;
        }
        for (key, entry) in before {
            if entry.is_active {
                dropped.push(Arc::clone(&entry.user));
            }
            users.insert(
                key,
                Entry {
                    is_active: false,
                    ..entry
                },
            );
        }
        dropped
    }

    /// Forgets the numbers of a key. Returns whether there were any.
    pub(super) fn forget(&self, key: &str) -> bool {
        let mut users = self.users.write().unwrap_or_else(PoisonError::into_inner);
        match users.get_mut(key) {
            Some(entry) if entry.is_active => {
                entry.user = Arc::default();
                true
            }
            Some(_) => users.remove(key).is_some(),
            None => false,
        }
    }

    /// Forgets peers that have said nothing since this moment.
    pub(super) fn expire(&self, since: i64) {
        for (_, entry) in self.entries() {
            entry.user.expire(since);
        }
    }

    /// Everybody, in the order of the keys. `at` is now.
    pub(super) fn accounts(&self, at: i64) -> Vec<Account> {
        let mut entries = self.entries();
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        entries
            .iter()
            .map(|(key, entry)| account(key, entry, at))
            .collect()
    }

    /// One user. `at` is now.
    pub(super) fn account(&self, key: &str, at: i64) -> Option<Account> {
        let users = self.users.read().unwrap_or_else(PoisonError::into_inner);
        let entry = users.get(key)?.clone();
        drop(users);
        Some(account(key, &entry, at))
    }

    /// Sums by name; users without one are together under the empty name, and so are those beyond
    /// the first `most` names.
    pub(super) fn by_name(&self, most: usize) -> BTreeMap<Box<str>, Sums> {
        let mut sums: BTreeMap<Box<str>, Sums> = BTreeMap::new();
        let mut entries = self.entries();
        entries.sort_by(|a, b| a.1.name.cmp(&b.1.name));
        for (_, Entry { name, user, .. }) in entries {
            let name = name.unwrap_or_default();
            let has_room = sums.len() < most || sums.contains_key(&name);
            let sum = sums.entry(if has_room { name } else { Box::default() });
            let (sum, totals) = (sum.or_default(), user.totals());
            sum.uploaded = sum.uploaded.saturating_add(totals.uploaded);
            sum.downloaded = sum.downloaded.saturating_add(totals.downloaded);
        }
        sums
    }

    /// Those whose keys are not on the list.
    pub(super) fn inactive(&self) -> Vec<Arc<User>> {
        let users = self.users.read().unwrap_or_else(PoisonError::into_inner);
        users
            .values()
            .filter(|entry| !entry.is_active)
            .map(|entry| Arc::clone(&entry.user))
            .collect()
    }

    /// How many keys are on the list.
    pub(super) fn active(&self) -> usize {
        let users = self.users.read().unwrap_or_else(PoisonError::into_inner);
        users.values().filter(|entry| entry.is_active).count()
    }

    /// A copy, so that no announce waits while something is done with each.
    fn entries(&self) -> Vec<(Box<str>, Entry)> {
        let users = self.users.read().unwrap_or_else(PoisonError::into_inner);
        users
            .iter()
            .map(|(key, entry)| (key.clone(), entry.clone()))
            .collect()
    }
}

fn account(key: &str, entry: &Entry, at: i64) -> Account {
    let (totals, present) = (entry.user.totals(), entry.user.present());
    let idle = |last: i64| u64::try_from(at.saturating_sub(last)).unwrap_or(0);
    Account {
        key: key.to_owned(),
        name: entry.name.as_deref().map(str::to_owned),
        active: entry.is_active,
        uploaded: totals.uploaded,
        downloaded: totals.downloaded,
        left: present.left,
        seeding: present.seeding,
        leeching: present.leeching,
        announces: totals.announces,
        impossible: totals.impossible,
        unaccounted: totals.unaccounted,
        idle_seconds: totals.last.map(idle),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AnnounceRequest;

    fn listed(users: &[(&str, &str)]) -> Vec<Listed> {
        let listed = |&(key, name): &(&str, &str)| Listed {
            key: key.into(),
            name: Some(name).filter(|name| !name.is_empty()).map(Into::into),
        };
        users.iter().map(listed).collect()
    }

    fn upload(accounts: &Accounts, key: &str, bytes: u64) {
        let user = accounts.find(key.as_bytes()).unwrap();
        let mut request = AnnounceRequest::new([1; 20].into(), [2; 20].into(), 7000);
        user.account(0, &request, "192.0.2.1:7000".parse().unwrap());
        request.uploaded = bytes;
        user.account(1, &request, "192.0.2.1:7000".parse().unwrap());
    }

    #[test]
    fn a_revoked_key_is_no_user_and_keeps_its_numbers_until_they_are_forgotten() {
        let accounts = Accounts::default();
        assert!(
            accounts
                .replace(listed(&[("key-of-ann", "ann"), ("key-of-bob", "")]))
                .is_empty()
        );
        upload(&accounts, "key-of-ann", 5);
        let dropped = accounts.replace(listed(&[("key-of-bob", "bob")]));
        assert_eq!(dropped[0].dismiss().len(), 1);
        assert!(accounts.find(b"key-of-ann").is_none());
        let ann = accounts.account("key-of-ann", 3).unwrap();
        assert_eq!(
            (ann.active, ann.uploaded, ann.idle_seconds),
            (false, 5, Some(2))
        );
        assert_eq!(accounts.accounts(3)[1].name.as_deref(), Some("bob"));
        // Back again, with what it had, although somebody wrote it down twice.
        accounts.replace(listed(&[("key-of-ann", "anne"), ("key-of-ann", "ann")]));
        upload(&accounts, "key-of-ann", 2);
        assert_eq!(accounts.account("key-of-ann", 3).unwrap().uploaded, 7);
        assert!(accounts.forget("key-of-ann") && accounts.forget("key-of-bob"));
        assert!(!accounts.forget("key-of-bob"));
        assert_eq!(accounts.account("key-of-ann", 3).unwrap().uploaded, 0);
    }

    #[test]
    fn sums_have_names_and_no_keys() {
        let accounts = Accounts::default();
        accounts.replace(listed(&[
            ("key-1111", "ann"),
            ("key-2222", "ann"),
            ("key-3333", "bob"),
            ("key-4444", ""),
        ]));
        for (key, bytes) in [
            ("key-1111", 1),
            ("key-2222", 2),
            ("key-3333", 4),
            ("key-4444", 8),
        ] {
            upload(&accounts, key, bytes);
        }
        let uploaded = |most| {
            let sums = accounts.by_name(most);
            let sums = sums
                .iter()
                .map(|(name, sum)| format!("{name}={}", sum.uploaded));
            sums.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(uploaded(9), "=8 ann=3 bob=4");
        assert_eq!(uploaded(2), "=12 ann=3");
    }
}
