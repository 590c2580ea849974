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
        self.edit(|text| Some(list::with(text, &line)))
    }

    /// Takes an entry off the list, in the file as well.
    pub(super) fn remove(&self, entry: &str) -> Result<Change, Error> {
        if matches!(self.rule, Rule::Open) {
            return Err(Error::NoListToEdit);
        }
        self.edit(|text| list::without(text, entry))
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
mod tests {
    use std::path::Path;

    use super::*;

    fn access(mode: Mode, list: &Path) -> Result<Access, Error> {
        Access::new(&Config {
            mode,
            list: Some(list.into()),
            ..Config::default()
        })
    }

    fn may(access: &Access, info_hash: &InfoHash) -> bool {
        access.admit(info_hash, None).is_ok()
    }

    #[test]
    fn lists_allow_and_deny_and_a_bad_list_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("list");
        let (a, b) = (InfoHash::from([0xaa; 20]), InfoHash::from([0xbb; 20]));
        std::fs::write(&path, format!("# ours\n\n {a} # the first\r\n")).unwrap();
        let allow = access(Mode::AllowList, &path).unwrap();
        let deny = access(Mode::DenyList, &path).unwrap();
        assert!(may(&allow, &a) && !may(&allow, &b));
        assert!(!may(&deny, &a) && may(&deny, &b));

        std::fs::write(&path, format!("{b}\n{a}zz\n")).unwrap();
        let error = allow.reload().unwrap_err().to_string();
        assert!(
            error.ends_with("line 2: not an info-hash of 40 hexadecimal digits"),
            "{error}"
        );
        assert!(may(&allow, &a) && !may(&allow, &b));

        std::fs::write(&path, b.to_string()).unwrap();
        let change = allow.reload().unwrap();
        assert_eq!((change.entries, change.forbidden), (Some(1), vec![a]));
        assert_eq!(deny.reload().unwrap().forbidden, [b]);
        assert!(!may(&allow, &a) && may(&allow, &b));

        std::fs::remove_file(&path).unwrap();
        assert!(allow.reload().is_err());
        assert!(may(&allow, &b));
    }

    #[test]
    fn keys_are_needed_and_known() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys");
        std::fs::write(&path, "0123456789abcdef # ann\n").unwrap();
        let access_ = access(Mode::Passkey, &path).unwrap();
        let hash = InfoHash::from([1; 20]);
        assert!(access_.needs_key());
        let refusal = |key: Option<&[u8]>| access_.admit(&hash, key).unwrap_err();
        assert!(refusal(None).contains("needs a passkey"));
        assert!(refusal(Some(b"0123456789abcdee")).contains("not known"));
        assert!(access_.admit(&hash, Some(b"0123456789abcdef")).is_ok());
        std::fs::write(&path, "short\n").unwrap();
        assert!(
            access(Mode::Passkey, &path)
                .unwrap_err()
                .to_string()
                .contains("line 1")
        );
    }

    #[test]
    fn what_is_changed_while_it_runs_is_in_the_file_and_in_force() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys");
        std::fs::write(&path, "key-of-ann ann # since May\n").unwrap();
        let keys = access(Mode::Passkey, &path).unwrap();
        let hash = InfoHash::from([1; 20]);
        let knows = |key: &str| keys.admit(&hash, Some(key.as_bytes())).is_ok();
        assert_eq!(keys.add("key-of-bob bob").unwrap().entries, Some(2));
        assert!(knows("key-of-ann") && knows("key-of-bob"));
        // A name cannot smuggle a line in.
        keys.add("key-of-eve\nkey-of-mal").unwrap();
        assert!(knows("key-of-eve") && !knows("key-of-mal"));
        assert!(matches!(keys.add("short"), Err(Error::BadEntry { .. })));
        assert_eq!(keys.remove("key-of-ann").unwrap().dropped.len(), 1);
        assert!(!knows("key-of-ann"));
        assert!(matches!(keys.remove("key-of-ann"), Err(Error::NotListed)));
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, "key-of-bob bob\nkey-of-eve key-of-mal\n");
        // A list that somebody broke meanwhile is not made worse.
        std::fs::write(&path, "short\n").unwrap();
        assert!(matches!(keys.add("key-of-ann"), Err(Error::BadList { .. })));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "short\n");
        let open = Access::new(&Config::default()).unwrap();
        assert!(matches!(open.add("key-of-ann"), Err(Error::NoListToEdit)));
    }

    #[test]
    fn a_mode_that_needs_a_list_says_so() {
        let config = Config {
            mode: Mode::AllowList,
            ..Config::default()
        };
        let error = Access::new(&config).unwrap_err();
        assert_eq!(error.to_string(), "mode allow-list needs a list");
    }
}
