//! Changes to a torrent file that leave the rest byte for byte as it is.

use std::collections::BTreeMap;

use bt_bencode::OwnedValue;

use super::{Metainfo, encoded};
use crate::error::Error;
use crate::host_port::HostPort;
use crate::options::ParseOptions;

/// An edit of a torrent file.
///
/// Everything but the two methods that say so in their name leaves the info dictionary alone, so
/// that the torrent stays in its swarm. Keys that are not edited keep their bytes; keys of the
/// outer dictionary end up sorted, and of keys that appear twice the first stays.
///
/// ```
/// # let bytes = b"d8:announce20:http://t.example/ann4:infod6:lengthi5e4:name9:hello.txt\
/// #               12:piece lengthi16384e6:pieces20:aaaaaaaaaaaaaaaaaaaaee";
/// use bt_metainfo::Metainfo;
///
/// let torrent = Metainfo::parse(bytes)?;
/// let mut edit = torrent.edit();
/// edit.add_tracker("udp://other.example:6969")?;
/// edit.set_comment(Some("mirrored"));
/// let edited = edit.finish()?;
/// assert_eq!(edited.info_hash(), torrent.info_hash());
/// assert_eq!(edited.trackers().len(), 2);
/// # Ok::<(), bt_metainfo::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Editor {
    /// Encoded values by key.
    root: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Encoded values of the info dictionary to set or remove.
    info: BTreeMap<&'static str, Option<Vec<u8>>>,
    trackers: Vec<Vec<String>>,
    web_seeds: Vec<String>,
    options: ParseOptions,
}

impl Editor {
    pub(super) fn new(torrent: &Metainfo) -> Self {
        Self {
            root: entries(torrent.as_bytes()),
            info: BTreeMap::new(),
            trackers: torrent.trackers.clone(),
            web_seeds: torrent.web_seeds.clone(),
            // Whoever could read the torrent may edit it, whatever its size.
            options: ParseOptions::default()
                .max_file_bytes(usize::MAX)
                .layers_required(torrent.layers_known),
        }
    }

    /// The tracker tiers as they are now.
    pub fn trackers(&self) -> &[Vec<String>] {
        &self.trackers
    }

    /// Replaces all trackers. Empty tiers are left out.
    ///
    /// # Errors
    ///
    /// When a URL is empty, too long, or holds spaces or control characters; then nothing changes.
    pub fn set_trackers(&mut self, tiers: Vec<Vec<String>>) -> Result<(), Error> {
        tiers
            .iter()
            .flatten()
            .try_for_each(|url| encoded::require_url(url))?;
        self.trackers = tiers;
        self.put_trackers();
        Ok(())
    }

    /// Adds a tracker in a tier of its own behind the others, unless it is there already.
    ///
    /// # Errors
    ///
    /// As [`set_trackers`](Self::set_trackers).
    pub fn add_tracker(&mut self, url: &str) -> Result<(), Error> {
        encoded::require_url(url)?;
        if !self.trackers.iter().flatten().any(|known| known == url) {
            self.trackers.push(vec![url.to_owned()]);
            self.put_trackers();
        }
        Ok(())
    }

    /// Removes a tracker from all tiers and tells whether it was there.
    pub fn remove_tracker(&mut self, url: &str) -> bool {
        let found = self.trackers.iter().flatten().any(|known| known == url);
        if found {
            self.trackers
                .iter_mut()
                .for_each(|tier| tier.retain(|known| known != url));
            self.put_trackers();
        }
        found
    }

    /// Puts one tracker in the place of another and tells whether that was there.
    ///
    /// # Errors
    ///
    /// As [`set_trackers`](Self::set_trackers), for the new URL.
    pub fn replace_tracker(&mut self, old: &str, new: &str) -> Result<bool, Error> {
        encoded::require_url(new)?;
        let mut found = false;
        for known in self
            .trackers
            .iter_mut()
            .flatten()
            .filter(|known| *known == old)
        {
            new.clone_into(known);
            found = true;
        }
        if found {
            self.put_trackers();
        }
        Ok(found)
    }

    /// The web seeds as they are now.
    pub fn web_seeds(&self) -> &[String] {
        &self.web_seeds
    }

    /// Replaces all web seeds (BEP 19).
    ///
    /// # Errors
    ///
    /// As [`set_trackers`](Self::set_trackers).
    pub fn set_web_seeds(&mut self, urls: Vec<String>) -> Result<(), Error> {
        urls.iter().try_for_each(|url| encoded::require_url(url))?;
        self.put("url-list", encoded::web_seeds(&urls));
        self.web_seeds = urls;
        Ok(())
    }

    /// Replaces all DHT nodes (BEP 5).
    pub fn set_nodes(&mut self, nodes: &[HostPort]) {
        self.put("nodes", encoded::nodes(nodes));
    }

    /// Sets or removes the comment.
    pub fn set_comment(&mut self, comment: Option<&str>) {
        self.put("comment.utf-8", None);
        self.put("comment", comment.map(OwnedValue::from));
    }

    /// Sets or removes the name of the program that made the torrent.
    pub fn set_created_by(&mut self, created_by: Option<&str>) {
        self.put("created by.utf-8", None);
        self.put("created by", created_by.map(OwnedValue::from));
    }

    /// Sets or removes the date of creation, in seconds since 1970 in UTC.
    pub fn set_creation_date(&mut self, date: Option<i64>) {
        self.put("creation date", date.map(OwnedValue::Int));
    }

    /// Makes the torrent private or public (BEP 27). This makes **another torrent** with another
    /// info-hash, whose swarm starts empty.
    pub fn set_private_changing_hash(&mut self, private: bool) {
        self.info
            .insert("private", private.then(|| OwnedValue::Int(1).encode()));
    }

    /// Sets or removes the source tag. This makes **another torrent** with another info-hash,
    /// whose swarm starts empty.
    pub fn set_source_changing_hash(&mut self, source: Option<&str>) {
        self.info.insert(
            "source",
            source.map(|source| OwnedValue::from(source).encode()),
        );
    }

    /// The edited torrent.
    ///
    /// # Errors
    ///
    /// When the result is no torrent, which the methods of this type do not cause.
    pub fn finish(&self) -> Result<Metainfo, Error> {
        let info = self
            .root
            .get(b"info".as_slice())
            .filter(|_| !self.info.is_empty());
        let Some(info) = info else {
            return self.options.parse(&write(&self.root));
        };
        let mut root = self.root.clone();
        let mut info = entries(info);
        for (key, value) in &self.info {
            match value {
                Some(value) => info.insert(key.as_bytes().to_vec(), value.clone()),
                None => info.remove(key.as_bytes()),
            };
        }
        root.insert(b"info".to_vec(), write(&info));
        self.options.parse(&write(&root))
    }

    fn put_trackers(&mut self) {
        self.trackers.retain(|tier| !tier.is_empty());
        let announce = self
            .trackers
            .iter()
            .flatten()
            .next()
            .map(|url| OwnedValue::from(url.as_str()));
        self.put("announce", announce);
        self.put("announce-list", encoded::announce_list(&self.trackers));
    }

    fn put(&mut self, key: &str, value: Option<OwnedValue>) {
        match value {
            Some(value) => self.root.insert(key.into(), value.encode()),
            None => self.root.remove(key.as_bytes()),
        };
    }
}

/// Takes a dictionary apart; of keys that appear twice the first stays.
fn entries(bytes: &[u8]) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut entries = BTreeMap::new();
    let limits = bt_bencode::Limits {
        max_tokens: usize::MAX,
        ..bt_bencode::Limits::default()
    };
    let parsed = bt_bencode::Options::lenient()
        .limits(limits)
        .parse_prefix(bytes);
    let dict = parsed.ok().and_then(|parsed| parsed.value.as_dict());
    for (key, value) in dict.into_iter().flatten() {
        entries
            .entry(key.to_vec())
            .or_insert_with(|| value.raw().to_vec());
    }
    entries
}

/// Puts a dictionary together from values that are encoded already.
fn write(entries: &BTreeMap<Vec<u8>, Vec<u8>>) -> Vec<u8> {
    let mut out = vec![b'd'];
    for (key, value) in entries {
        out.extend(OwnedValue::Bytes(key.clone()).encode());
        out.extend_from_slice(value);
    }
    out.push(b'e');
    out
}
