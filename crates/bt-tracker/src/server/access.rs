//! Who may announce what: the list, and reading it again without dropping a request.
//!
//! A list that cannot be read as a whole changes nothing. Knows nothing of transports.

use std::collections::HashSet;
use std::hash::Hash;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use bt_metainfo::InfoHash;

use super::{Config, Error, Mode};

/// Passkeys are this long, in bytes: shorter ones can be guessed, longer ones are no keys.
const PASSKEY_LENGTH: std::ops::RangeInclusive<usize> = 8..=128;

#[derive(Debug)]
pub(super) struct Access {
    path: PathBuf,
    rule: Rule,
}

#[derive(Debug)]
enum Rule {
    Open,
    Allow(Shared<InfoHash>),
    Deny(Shared<InfoHash>),
    Passkey(Shared<Box<[u8]>>),
}

/// Read by every announce and replaced as a whole.
type Shared<T> = RwLock<Arc<HashSet<T>>>;

impl Access {
    pub(super) fn new(config: &Config) -> Result<Self, Error> {
        let name = match config.mode {
            Mode::Open => {
                return Ok(Self {
                    path: PathBuf::new(),
                    rule: Rule::Open,
                });
            }
            Mode::AllowList => "allow-list",
            Mode::DenyList => "deny-list",
            Mode::Passkey => "passkey",
        };
        let path = config.list.clone().ok_or(Error::NoList(name))?;
        let rule = match config.mode {
            Mode::AllowList => Rule::Allow(shared(read(&path, info_hash)?)),
            Mode::DenyList => Rule::Deny(shared(read(&path, info_hash)?)),
            Mode::Passkey | Mode::Open => Rule::Passkey(shared(read(&path, passkey)?)),
        };
        Ok(Self { path, rule })
    }

    /// Reads the list again. Returns how many entries it has, or `None` when there is no list.
    pub(super) fn reload(&self) -> Result<Option<usize>, Error> {
        match &self.rule {
            Rule::Open => Ok(None),
            Rule::Allow(list) | Rule::Deny(list) => replace(list, read(&self.path, info_hash)?),
            Rule::Passkey(list) => replace(list, read(&self.path, passkey)?),
        }
    }

    /// Whether requests need a passkey.
    pub(super) fn needs_key(&self) -> bool {
        matches!(self.rule, Rule::Passkey(_))
    }

    /// Whether the lists let this torrent be tracked at all, whoever announces it.
    #[cfg(feature = "redis")]
    pub(super) fn tracks(&self, info_hash: &InfoHash) -> bool {
        match &self.rule {
            Rule::Open | Rule::Passkey(_) => true,
            Rule::Allow(list) => current(list).contains(info_hash),
            Rule::Deny(list) => !current(list).contains(info_hash),
        }
    }

    /// Why the announce is refused, in words for `failure reason`.
    pub(super) fn refuses(&self, info_hash: &InfoHash, key: Option<&[u8]>) -> Option<&'static str> {
        match &self.rule {
            Rule::Open => None,
            Rule::Allow(list) => (!current(list).contains(info_hash))
                .then_some("torrent is not on the list of this tracker"),
            Rule::Deny(list) => current(list)
                .contains(info_hash)
                .then_some("torrent is not allowed on this tracker"),
            Rule::Passkey(list) => match key {
                None => Some("this tracker needs a passkey in the announce URL"),
                Some(key) => (!current(list).contains(key)).then_some("passkey is not known"),
            },
        }
    }
}

fn shared<T>(set: HashSet<T>) -> Shared<T> {
    RwLock::new(Arc::new(set))
}

fn current<T>(list: &Shared<T>) -> Arc<HashSet<T>> {
    list.read().unwrap_or_else(PoisonError::into_inner).clone()
}

fn replace<T>(list: &Shared<T>, set: HashSet<T>) -> Result<Option<usize>, Error> {
    let entries = set.len();
    *list.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(set);
    Ok(Some(entries))
}

fn read<T: Hash + Eq>(
    path: &Path,
    parse: impl Fn(&str) -> Result<T, &'static str>,
) -> Result<HashSet<T>, Error> {
    let text = std::fs::read_to_string(path).map_err(|source| Error::ReadList {
        path: path.into(),
        source,
    })?;
    let mut set = HashSet::new();
    for (at, line) in text.lines().enumerate() {
        let entry = line.split('#').next().unwrap_or_default().trim();
        if !entry.is_empty() {
            let bad = |problem| Error::BadList {
                path: path.into(),
                line: at + 1,
                problem,
            };
            set.insert(parse(entry).map_err(bad)?);
        }
    }
    Ok(set)
}

fn info_hash(entry: &str) -> Result<InfoHash, &'static str> {
    let problem = "not an info-hash of 40 hexadecimal digits";
    if entry.len() == 40 {
        entry.parse().map_err(|_| problem)
    } else {
        Err(problem)
    }
}

fn passkey(entry: &str) -> Result<Box<[u8]>, &'static str> {
    let is_key = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if PASSKEY_LENGTH.contains(&entry.len()) && entry.bytes().all(is_key) {
        Ok(entry.as_bytes().into())
    } else {
        Err("not a passkey of 8 to 128 letters, digits, - and _")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(mode: Mode, list: &Path) -> Result<Access, Error> {
        Access::new(&Config {
            mode,
            list: Some(list.into()),
            ..Config::default()
        })
    }

    #[test]
    fn lists_allow_and_deny_and_a_bad_list_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("list");
        let (a, b) = (InfoHash::from([0xaa; 20]), InfoHash::from([0xbb; 20]));
        std::fs::write(&path, format!("# ours\n\n {a} # the first\r\n")).unwrap();
        let allow = access(Mode::AllowList, &path).unwrap();
        let deny = access(Mode::DenyList, &path).unwrap();
        assert!(allow.refuses(&a, None).is_none() && allow.refuses(&b, None).is_some());
        assert!(deny.refuses(&a, None).is_some() && deny.refuses(&b, None).is_none());

        std::fs::write(&path, format!("{b}\n{a}zz\n")).unwrap();
        let error = allow.reload().unwrap_err().to_string();
        assert!(
            error.ends_with("line 2: not an info-hash of 40 hexadecimal digits"),
            "{error}"
        );
        assert!(allow.refuses(&a, None).is_none() && allow.refuses(&b, None).is_some());

        std::fs::write(&path, b.to_string()).unwrap();
        assert_eq!(allow.reload().unwrap(), Some(1));
        assert!(allow.refuses(&a, None).is_some() && allow.refuses(&b, None).is_none());

        std::fs::remove_file(&path).unwrap();
        assert!(allow.reload().is_err());
        assert!(allow.refuses(&b, None).is_none());
    }

    #[test]
    fn keys_are_needed_and_known() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys");
        std::fs::write(&path, "0123456789abcdef # ann\n").unwrap();
        let access_ = access(Mode::Passkey, &path).unwrap();
        let hash = InfoHash::from([1; 20]);
        assert!(access_.needs_key());
        assert!(
            access_
                .refuses(&hash, None)
                .unwrap()
                .contains("needs a passkey")
        );
        assert!(
            access_
                .refuses(&hash, Some(b"0123456789abcdee"))
                .unwrap()
                .contains("not known")
        );
        assert!(access_.refuses(&hash, Some(b"0123456789abcdef")).is_none());
        std::fs::write(&path, "short\n").unwrap();
        assert!(
            access(Mode::Passkey, &path)
                .unwrap_err()
                .to_string()
                .contains("line 1")
        );
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
