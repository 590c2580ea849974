//! Where announces and scrapes go, and whose passkey stands before them.
//!
//! Knows nothing of what is at other paths.

use super::Error;

/// Bytes of the announce path: it is in every torrent that is made for the tracker.
const MAX_PATH: usize = 256;

#[derive(Debug)]
pub(super) struct Paths {
    announce: Box<str>,
    scrape: Box<str>,
}

/// What a path is for, with the passkey in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place<'a> {
    Announce(Option<&'a [u8]>),
    Scrape(Option<&'a [u8]>),
}

impl Paths {
    pub(super) fn new(announce: &str) -> Result<Self, Error> {
        let is_path = announce.len() <= MAX_PATH
            && announce.len() > 1
            && announce.starts_with('/')
            && announce.bytes().all(|byte| byte.is_ascii_graphic())
            && !announce.contains(['?', '#', '%']);
        if !is_path {
            return Err(Error::setting(
                "announce-path",
                "the announce path must begin with a slash and have up to 256 letters, digits and \
                 signs, and no ?, # or %",
            ));
        }
        if announce == "/torrents" || announce.starts_with("/torrents/") {
            return Err(Error::setting(
                "announce-path",
                "the announce path is where torrents are",
            ));
        }
        // BEP 48: the last part of the path says `scrape` where it says `announce`.
        let (before, last) = announce.rsplit_once('/').unwrap_or_default();
        let scrape = match last.strip_prefix("announce") {
            Some(rest) => format!("{before}/scrape{rest}"),
            None => "/scrape".into(),
        };
        if scrape == announce {
            return Err(Error::setting(
                "announce-path",
                "the announce path is where scrapes go",
            ));
        }
        Ok(Self {
            announce: announce.into(),
            scrape: scrape.into(),
        })
    }

    pub(super) fn find<'a>(&self, path: &'a str) -> Option<Place<'a>> {
        if path == &*self.announce {
            Some(Place::Announce(None))
        } else if path == &*self.scrape {
            Some(Place::Scrape(None))
        } else if let Some(key) = key(path, &self.announce) {
            Some(Place::Announce(Some(key)))
        } else {
            key(path, &self.scrape).map(|key| Place::Scrape(Some(key)))
        }
    }
}

/// The passkey before a path: `/KEY/announce`.
fn key<'a>(path: &'a str, end: &str) -> Option<&'a [u8]> {
    let key = path.strip_suffix(end)?.strip_prefix('/')?;
    (!key.is_empty() && !key.contains('/')).then_some(key.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn announces_scrapes_and_keys_are_found_and_nothing_else() {
        let paths = Paths::new("/announce").unwrap();
        let key: &[u8] = b"some-key";
        for (path, place) in [
            ("/announce", Some(Place::Announce(None))),
            ("/scrape", Some(Place::Scrape(None))),
            ("/some-key/announce", Some(Place::Announce(Some(key)))),
            ("/some-key/scrape", Some(Place::Scrape(Some(key)))),
            ("/", None),
            ("", None),
            ("//announce", None),
            ("/announce/", None),
            ("/a/some-key/announce", None),
            ("/xannounce", None),
            ("/torrents/announce/x", None),
        ] {
            assert_eq!(paths.find(path), place, "{path}");
        }
        let paths = Paths::new("/a/b/announce.php").unwrap();
        assert_eq!(paths.find("/a/b/announce.php"), Some(Place::Announce(None)));
        assert_eq!(paths.find("/a/b/scrape.php"), Some(Place::Scrape(None)));
        let with_key = paths.find("/some-key/a/b/announce.php");
        assert_eq!(with_key, Some(Place::Announce(Some(key))));
        assert_eq!(paths.find("/announce"), None);
        let paths = Paths::new("/here").unwrap();
        assert_eq!(paths.find("/scrape"), Some(Place::Scrape(None)));
    }

    #[test]
    fn what_cannot_be_a_path_is_refused() {
        let long = format!("/{}", "a".repeat(MAX_PATH - 1));
        assert!(Paths::new(&long).is_ok());
        for bad in [
            "",
            "/",
            "announce",
            "/a b",
            "/a?b",
            "/a%20",
            "/é",
            "/torrents",
            "/torrents/announce",
            "/scrape",
            &format!("{long}a"),
        ] {
            assert!(Paths::new(bad).is_err(), "{bad}");
        }
    }
}
