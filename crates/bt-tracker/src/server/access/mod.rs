//! Who may announce what: the list, and changing it without dropping a request.
//!
//! A list that cannot be read as a whole changes nothing. Knows nothing of transports.

mod list;

#[cfg(any(test, feature = "fuzz"))]
pub(super) use list::fuzz;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use bt_metainfo::InfoHash;

use super::accounts::{Accounts, User};
use super::{Config, Error, Mode};

#[derive(Debug)]
pub(super) struct Access {
    path: PathBuf,
    rule: Rule,
    /// Held by whoever changes the list; nobody who announces waits for it.
    changing: Mutex<()>,
}

#[derive(Debug)]
enum Rule {
    Open,
    Allow(Shared),
    Deny(Shared),
    Passkey(Accounts),
}

/// Read by every announce and replaced as a whole.
type Shared = RwLock<HashSet<InfoHash>>;

/// What a new list means for those who are here already.
#[derive(Debug, Default)]
pub(super) struct Change {
    /// How many entries it has; `None` when there is no list.
    pub(super) entries: Option<usize>,
    /// Torrents that were allowed and no longer are.
    pub(super) forbidden: Vec<InfoHash>,
    /// Users who no longer are.
    pub(super) dropped: Vec<Arc<User>>,
}

impl Access {
    pub(super) fn new(config: &Config) -> Result<Self, Error> {
        let (name, rule) = match config.mode {
            Mode::Open => ("open", Rule::Open),
            Mode::AllowList => ("allow-list", Rule::Allow(Shared::default())),
            Mode::DenyList => ("deny-list", Rule::Deny(Shared::default())),
            Mode::Passkey => ("passkey", Rule::Passkey(Accounts::default())),
        };
        let path = match (&rule, &config.list) {
            (Rule::Open, Some(_)) => return Err(Error::IdleList),
            (Rule::Open, None) => PathBuf::new(),
            (_, Some(path)) => path.clone(),
            (_, None) => return Err(Error::NoList(name)),
        };
        let access = Self {
            path,
            rule,
            changing: Mutex::new(()),
        };
        access.reload()?;
        Ok(access)
    }

    /// The users of a list that is in no file, for the fuzzer; a list that makes no sense has none.
    #[cfg(any(test, feature = "fuzz"))]
    pub(super) fn of_users(text: &str) -> Self {
        let access = Self {
            path: PathBuf::from("/dev/null/list"),
            rule: Rule::Passkey(Accounts::default()),
            changing: Mutex::new(()),
        };
        let _ = access.take(text);
        access
    }

    /// Reads the list again.
    pub(super) fn reload(&self) -> Result<Change, Error> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        match &self.rule {
            Rule::Open => Ok(Change::default()),
            _ => self.take(&list::text(&self.path)?),
        }
    }

    /// Adds an entry to the list, in the file as well: an info-hash, or a passkey and maybe a name.
    pub(super) fn add(&self, entry: &str) -> Result<Change, Error> {
        // What is written is made anew from what was understood, so that it is one line.
        let line = match &self.rule {
            Rule::Open => return Err(Error::NoListToEdit),
            Rule::Allow(_) | Rule::Deny(_) => list::info_hash(entry).map(|hash| hash.to_string()),
            Rule::Passkey(_) => list::user(entry).map(|user| user.to_string()),
        };
        let line = line.map_err(|problem| Error::BadEntry { problem })?;
        self.edit(|text| Some(list::with(text, &line, self.same())))
    }

    /// Takes an entry off the list, in the file as well.
    pub(super) fn remove(&self, entry: &str) -> Result<Change, Error> {
        if matches!(self.rule, Rule::Open) {
            return Err(Error::NoListToEdit);
        }
        self.edit(|text| list::without(text, entry, self.same()))
    }

    /// Whether the lists let this torrent be tracked at all, whoever announces it.
    pub(super) fn tracks(&self, info_hash: &InfoHash) -> bool {
        match &self.rule {
            Rule::Open | Rule::Passkey(_) => true,
            Rule::Allow(list) => contains(list, info_hash),
            Rule::Deny(list) => !contains(list, info_hash),
        }
    }

    /// Whether requests need a passkey.
    pub(super) fn needs_key(&self) -> bool {
        matches!(self.rule, Rule::Passkey(_))
    }

    /// Whether a user has this passkey now.
    #[cfg(feature = "websocket")]
    pub(super) fn knows(&self, key: &[u8]) -> bool {
        self.accounts()
            .is_some_and(|accounts| accounts.find(key).is_some())
    }

    /// The users, if the mode has any.
    pub(super) fn accounts(&self) -> Option<&Accounts> {
        match &self.rule {
            Rule::Passkey(accounts) => Some(accounts),
            _ => None,
        }
    }

    /// Who announces, if the mode has users; or why it may not, in words for `failure reason`.
    pub(super) fn admit(
        &self,
        info_hash: &InfoHash,
        key: Option<&[u8]>,
    ) -> Result<Option<Arc<User>>, &'static str> {
        match &self.rule {
            Rule::Open => Ok(None),
            Rule::Allow(list) if !contains(list, info_hash) => {
                Err("torrent is not on the list of this tracker")
            }
            Rule::Deny(list) if contains(list, info_hash) => {
                Err("torrent is not allowed on this tracker")
            }
            Rule::Allow(_) | Rule::Deny(_) => Ok(None),
            Rule::Passkey(accounts) => {
                let key = key.ok_or("this tracker needs a passkey in the announce URL")?;
                accounts.find(key).map(Some).ok_or("passkey is not known")
            }
        }
    }

    fn edit(&self, edit: impl FnOnce(&str) -> Option<String>) -> Result<Change, Error> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let text = edit(&list::text(&self.path)?).ok_or(Error::NotListed)?;
        // Nothing is written that could not be read again.
        self.check(&text)?;
        list::write(&self.path, &text)?;
        self.take(&text)
    }

    fn same(&self) -> list::Same {
        match &self.rule {
            Rule::Allow(_) | Rule::Deny(_) => list::same_hash,
            Rule::Open | Rule::Passkey(_) => list::same_key,
        }
    }

    fn check(&self, text: &str) -> Result<(), Error> {
        match &self.rule {
            Rule::Open => Ok(()),
            Rule::Allow(_) | Rule::Deny(_) => {
                list::entries(&self.path, text, list::info_hash).map(drop)
            }
            Rule::Passkey(_) => list::entries(&self.path, text, list::user).map(drop),
        }
    }

    fn take(&self, text: &str) -> Result<Change, Error> {
        let hashes = || list::entries(&self.path, text, list::info_hash);
        let mut change = Change::default();
        match &self.rule {
            Rule::Open => {}
            Rule::Allow(list) => {
                let (before, after) = replace(list, hashes()?);
                change.entries = Some(after.len());
                change.forbidden = before.difference(&after).copied().collect();
            }
            Rule::Deny(list) => {
                let (before, after) = replace(list, hashes()?);
                change.entries = Some(after.len());
                change.forbidden = after.difference(&before).copied().collect();
            }
            Rule::Passkey(accounts) => {
                let listed = list::entries(&self.path, text, list::user)?;
                change.dropped = accounts.replace(listed);
                change.entries = Some(accounts.active());
            }
        }
        Ok(change)
    }
}

fn contains(list: &Shared, info_hash: &InfoHash) -> bool {
    let list = list.read().unwrap_or_else(PoisonError::into_inner);
    list.contains(info_hash)
}

/// Returns what was there before and what is there now.
fn replace(list: &Shared, entries: Vec<InfoHash>) -> (HashSet<InfoHash>, HashSet<InfoHash>) {
    let after: HashSet<InfoHash> = entries.into_iter().collect();
    let ours = after.clone();
    let before = std::mem::replace(
        &mut *list.write().unwrap_or_else(PoisonError::into_inner),
        after,
    );
    (before, ours)
}

#[cfg(test)]
mod tests;
