//! The torrents that the server offers: those of a directory, which is followed while it runs,
//! and those that the owner registers.
//!
//! Every torrent that is offered is registered with the store, so that a closed tracker serves it
//! and never forgets it. Knows nothing of HTTP.

mod index;
mod pages;
mod scan;
mod sync;
#[cfg(test)]
mod tests;
mod upload;
mod watch;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Instant;

use bt_metainfo::{InfoHash, Metainfo};
use bytes::Bytes;

use super::Error;
use super::memory::Budget;
use crate::swarm::Swarms;
use pages::Pages;
use scan::Stamp;

pub(super) use index::{escaped, info_html, info_json};
pub(super) use pages::Form;
pub(super) use scan::Problem;
pub(super) use upload::{Refused, Uploaded};
pub(super) use watch::Watch;

/// The names of a directory and of the owner, each with its torrent.
#[derive(Debug, Default)]
pub(super) struct Publisher {
    catalog: RwLock<Arc<Catalog>>,
    /// What everybody who asks for all of them is sent.
    pages: Pages,
    /// Where uploads go.
    dir: Option<PathBuf>,
    /// Held from reading the catalog until it is replaced, so that no change is lost.
    changing: Mutex<()>,
}

/// What is offered at one moment; replaced as a whole.
#[derive(Clone, Debug, Default)]
pub(super) struct Catalog {
    /// By file name.
    torrents: BTreeMap<String, Arc<Published>>,
    /// The file name of each torrent; of two with one hash, that of the directory. Made when the
    /// catalog is put in force.
    files: HashMap<InfoHash, String>,
    /// Files that are no torrents, so that each version is reported once.
    refused: BTreeMap<String, Stamp>,
    /// Files that could not be read, so that this is reported once; they are tried again.
    unreadable: BTreeSet<String>,
}

/// A torrent that is offered.
#[derive(Debug)]
pub(super) struct Published {
    /// What its content is called.
    pub(super) name: String,
    /// Bytes of its content.
    pub(super) size: u64,
    /// v1 and truncated v2: the hashes that peers may announce with.
    pub(super) info_hashes: Vec<InfoHash>,
    pub(super) magnet: String,
    /// The torrent file.
    pub(super) bytes: Bytes,
    /// `None` when it did not come from the directory.
    stamp: Option<Stamp>,
}

/// What a look at the directory found.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// File names that are new, or whose torrent is.
    pub(super) added: Vec<String>,
    pub(super) removed: Vec<String>,
    /// Files that are no torrents, once for each version.
    pub(super) problems: Vec<Problem>,
}

impl Publisher {
    pub(super) fn new(dir: Option<&Path>) -> Self {
        Self {
            dir: dir.map(Path::to_owned),
            ..Self::default()
        }
    }

    /// Whether there is nothing to offer and never was meant to be: no directory, and nothing that the
    /// owner has.
    pub(super) fn is_idle(&self) -> bool {
        self.dir.is_none() && self.catalog().torrents.is_empty()
    }

    pub(super) fn catalog(&self) -> Arc<Catalog> {
        self.catalog
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// All torrents with their numbers, which may be a second old, or somewhat more when there are
    /// many.
    pub(super) fn index(
        &self,
        form: Form,
        now: Instant,
        swarms: &Swarms,
        memory: &Arc<Budget>,
    ) -> Bytes {
        self.pages.get(form, now, &self.catalog(), swarms, memory)
    }

    /// Offers a torrent that the owner has.
    pub(super) fn publish(&self, metainfo: &Metainfo, swarms: &Swarms) {
        let torrent = Published::new(metainfo, metainfo.to_bytes().into(), None);
        let _changing = self.change();
        let mut catalog = Catalog::clone(&self.catalog());
        catalog
            .torrents
            .retain(|_, known| known.stamp.is_some() || known.info_hashes != torrent.info_hashes);
        catalog.add_registered(Arc::new(torrent));
        self.replace(catalog, swarms);
    }

    /// Withdraws every torrent with this hash that is not in the directory.
    pub(super) fn withdraw(&self, info_hash: InfoHash, swarms: &Swarms) {
        let _changing = self.change();
        let mut catalog = Catalog::clone(&self.catalog());
        catalog.torrents.retain(|_, torrent| {
            torrent.stamp.is_some() || !torrent.info_hashes.contains(&info_hash)
        });
        self.replace(catalog, swarms);
    }

    /// Looks at the directory and takes in what has changed.
    pub(super) fn scan(&self, dir: &Path, swarms: &Swarms) -> Result<Changes, Error> {
        let _changing = self.change();
        let before = self.catalog();
        let (catalog, problems) = scan::scan(dir, &before).map_err(|source| Error::Torrents {
            path: dir.into(),
            source,
        })?;
        let same = |file: &String, a: &Catalog, b: &Catalog| {
            a.torrents.get(file).map(|t| &t.info_hashes)
                == b.torrents.get(file).map(|t| &t.info_hashes)
        };
        let differing = |a: &Catalog, b: &Catalog| {
            a.torrents
                .keys()
                .filter(|file| !same(file, a, b))
                .cloned()
                .collect()
        };
        let changes = Changes {
            added: differing(&catalog, &before),
            removed: before
                .torrents
                .keys()
                .filter(|file| !catalog.torrents.contains_key(*file))
                .cloned()
                .collect(),
            problems,
        };
        if !catalog.is_as(&before) {
            self.replace(catalog, swarms);
        }
        Ok(changes)
    }

    fn change(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn replace(&self, mut catalog: Catalog, swarms: &Swarms) {
        catalog.name_files();
        let before = self.catalog().info_hashes();
        let after = catalog.info_hashes();
        for info_hash in after.difference(&before) {
            swarms.register(*info_hash);
        }
        *self.catalog.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(catalog);
        for info_hash in before.difference(&after) {
            swarms.unregister(*info_hash);
        }
    }
}

impl Catalog {
    pub(super) fn get(&self, file: &str) -> Option<&Arc<Published>> {
        self.torrents.get(file)
    }

    /// Whether a torrent with this hash is offered.
    pub(super) fn has(&self, info_hash: &InfoHash) -> bool {
        self.files.contains_key(info_hash)
    }

    /// The name in the directory of a torrent with this hash.
    pub(super) fn file_of(&self, info_hash: &InfoHash) -> Option<&str> {
        let (file, torrent) = self.by_hash(*info_hash)?;
        torrent.stamp.is_some().then_some(file)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Published)> {
        self.torrents
            .iter()
            .map(|(file, torrent)| (file.as_str(), torrent.as_ref()))
    }

    /// The torrent that peers announce with this hash, and its file name.
    pub(super) fn by_hash(&self, info_hash: InfoHash) -> Option<(&str, &Published)> {
        let file = self.files.get(&info_hash)?;
        let torrent = self.torrents.get(file)?;
        Some((file, torrent))
    }

    /// Whether the same files are in it, with the same verdicts.
    fn is_as(&self, other: &Self) -> bool {
        self.torrents.len() == other.torrents.len()
            && self
                .torrents
                .iter()
                .zip(&other.torrents)
                .all(|(a, b)| a.0 == b.0 && Arc::ptr_eq(a.1, b.1))
            && self.refused == other.refused
            && self.unreadable == other.unreadable
    }

    fn name_files(&mut self) {
        self.files.clear();
        for of_directory in [false, true] {
            for (file, torrent) in &self.torrents {
                if torrent.stamp.is_some() == of_directory {
                    let names = torrent.info_hashes.iter().map(|hash| (*hash, file.clone()));
                    self.files.extend(names);
                }
            }
        }
    }

    /// Adds a torrent of the owner under its own name, or, where another torrent has that, with
    /// its info-hash behind it.
    fn add_registered(&mut self, torrent: Arc<Published>) {
        let mut file = format!("{}.torrent", torrent.name);
        if self.torrents.contains_key(&file)
            && let Some(hash) = torrent.info_hashes.first()
        {
            file = format!("{}-{hash}.torrent", torrent.name);
        }
        self.torrents.insert(file, torrent);
    }

    /// Keeps a torrent of the owner under the name that it has, unless a file takes that.
    fn keep_registered(&mut self, file: &str, torrent: Arc<Published>) {
        if self.torrents.contains_key(file) {
            self.add_registered(torrent);
        } else {
            self.torrents.insert(file.to_owned(), torrent);
        }
    }

    fn info_hashes(&self) -> BTreeSet<InfoHash> {
        self.torrents
            .values()
            .flat_map(|torrent| torrent.info_hashes.iter().copied())
            .collect()
    }
}

impl Published {
    fn new(metainfo: &Metainfo, bytes: Bytes, stamp: Option<Stamp>) -> Self {
        let v2 = metainfo.info_hash_v2().map(|hash| hash.truncated());
        Self {
            name: metainfo.info().name().to_owned(),
            size: metainfo.info().layout().total_length(),
            info_hashes: metainfo.info_hash_v1().into_iter().chain(v2).collect(),
            magnet: metainfo.magnet().to_string(),
            bytes,
            stamp,
        }
    }
}
