//! From records to what is known: the state that the journal stands for, and the fewest records that say the same.

use std::collections::BTreeMap;

use super::record::{Bad, Origin, Reader, Record, Stamp};
use super::set::{IndexSet, spans};
use crate::limits::MAX_RECORDED_INDEX;

/// What was last known of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileThen {
    /// It may have been written since: its time says nothing.
    Opened,
    /// It was left like this.
    Closed(Stamp),
}

/// What is known of one torrent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// What it is, and where its content is.
    pub origin: Origin,
    /// Pieces that verified and are on the disk to stay.
    pub pieces: IndexSet,
    /// All of the content was looked at once: a piece that is not among `pieces` was not there then.
    pub looked: bool,
    /// What is known of files; of the others nothing is.
    pub files: BTreeMap<u32, FileThen>,
}

/// What the records so far come to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Replay {
    torrents: BTreeMap<u32, Known>,
    by_hash: BTreeMap<[u8; 20], u32>,
    next: u32,
    clean: bool,
}

/// Where a file can be read no further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// At its end, as a crash leaves it: no record that was written after a later sync can be read behind it.
    Torn,
    /// In its middle.
    Inside(Bad),
}

impl Replay {
    /// What a file comes to, and why no more of it was read.
    ///
    /// A torn end costs nothing but the records of the last group: each group is synced before anybody acts on it, so
    /// that what a crash cuts off was promised to nobody, and a record that takes something back was not acted on either.
    /// Damage that has a readable record of a later group behind it may have been any record, also one that took pieces back.
    /// What stands before it says nothing of pieces then, since it cannot be told which of them were taken back. Damage
    /// of the last group alone looks like a torn end, and cannot be told from one.
    pub fn read(reader: &mut Reader<'_>) -> (Self, Option<Fault>) {
        let mut known = Self::default();
        while let Some(record) = reader.next() {
            match record {
                Ok(record) => known.apply(&record),
                Err(bad) if reader.is_damaged_inside() => {
                    known.distrust();
                    return (known, Some(Fault::Inside(bad)));
                }
                Err(_) => return (known, Some(Fault::Torn)),
            }
        }
        (known, None)
    }

    /// Nothing that is known of content counts any more: only where each torrent is. Files that were known stay, as ones
    /// that may have been written, so that they are hashed from the disk and not from memory.
    fn distrust(&mut self) {
        self.clean = false;
        for known in self.torrents.values_mut() {
            known.pieces = IndexSet::default();
            known.looked = false;
            for then in known.files.values_mut() {
                *then = FileThen::Opened;
            }
        }
    }

    /// Takes a record into account. Records of torrents that nobody has added mean nothing.
    pub fn apply(&mut self, record: &Record) {
        self.clean = *record == Record::CleanStop;
        match record {
            Record::Added { torrent, origin } => self.add(*torrent, origin),
            Record::Removed { torrent } => self.remove(*torrent),
            Record::Verified { torrent, pieces } => {
                if let Some(known) = self.torrents.get_mut(torrent) {
                    pieces.iter().for_each(|piece| known.pieces.insert(piece));
                }
            }
            Record::Forgotten { torrent, pieces } => {
                if let Some(known) = self.torrents.get_mut(torrent) {
                    pieces.iter().for_each(|piece| known.pieces.remove(piece));
                }
            }
            Record::Opened { torrent, files } => {
                if let Some(known) = self.torrents.get_mut(torrent) {
                    let files = files.iter().filter(|file| *file < MAX_RECORDED_INDEX);
                    known
                        .files
                        .extend(files.map(|file| (file, FileThen::Opened)));
                }
            }
            Record::Closed {
                torrent,
                file,
                stamp,
            } => {
                if let Some(known) = self.torrents.get_mut(torrent)
                    && *file < MAX_RECORDED_INDEX
                {
                    known.files.insert(*file, FileThen::Closed(*stamp));
                }
            }
            Record::Looked { torrent } => {
                if let Some(known) = self.torrents.get_mut(torrent) {
                    known.looked = true;
                }
            }
            Record::CleanStop => {}
        }
    }

    /// A number is of one torrent and a torrent has one number, whatever the file says: another one is replaced.
    fn add(&mut self, torrent: u32, origin: &Origin) {
        self.next = self.next.max(torrent.saturating_add(1));
        let is_another = |known: &Known| known.origin.info_hash != origin.info_hash;
        if self.torrents.get(&torrent).is_some_and(is_another) {
            self.remove(torrent);
        }
        if let Some(before) = self.by_hash.insert(origin.info_hash, torrent)
            && before != torrent
        {
            self.torrents.remove(&before);
        }
        let place = self.torrents.entry(torrent).or_insert_with(|| Known {
            origin: origin.clone(),
            pieces: IndexSet::default(),
            looked: false,
            files: BTreeMap::new(),
        });
        place.origin = origin.clone();
    }

    fn remove(&mut self, torrent: u32) {
        if let Some(known) = self.torrents.remove(&torrent) {
            self.by_hash.remove(&known.origin.info_hash);
        }
    }

    /// The number of a torrent, and what is known of it.
    #[must_use]
    pub fn find(&self, info_hash: [u8; 20]) -> Option<(u32, &Known)> {
        let number = *self.by_hash.get(&info_hash)?;
        Some((number, self.torrents.get(&number)?))
    }

    /// A number that no torrent has had.
    #[must_use]
    pub fn next_number(&self) -> u32 {
        self.next
    }

    /// The last record says that nothing was under way.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.clean
    }

    /// The fewest records that come to the same.
    #[must_use]
    pub fn snapshot(&self) -> Vec<Record> {
        let mut records = Vec::new();
        for (&torrent, known) in &self.torrents {
            let origin = known.origin.clone();
            records.push(Record::Added { torrent, origin });
            if known.looked {
                records.push(Record::Looked { torrent });
            }
            let pieces = spans(&known.pieces);
            records.extend(
                pieces
                    .into_iter()
                    .map(|pieces| Record::Verified { torrent, pieces }),
            );
            let opened: IndexSet = known
                .files
                .iter()
                .filter(|(_, then)| **then == FileThen::Opened)
                .map(|(file, _)| *file)
                .collect();
            let opened = spans(&opened);
            records.extend(
                opened
                    .into_iter()
                    .map(|files| Record::Opened { torrent, files }),
            );
            for (&file, then) in &known.files {
                if let FileThen::Closed(stamp) = *then {
                    records.push(Record::Closed {
                        torrent,
                        file,
                        stamp,
                    });
                }
            }
        }
        if self.clean {
            records.push(Record::CleanStop);
        }
        records
    }
}

#[cfg(test)]
mod tests {
    use super::{FileThen, Replay};
    use crate::state::knowledge::{IndexSet, Origin, Record, Span, Stamp, spans};
    use proptest::prelude::*;

    pub(crate) fn added(torrent: u32, hash: u8) -> Record {
        Record::Added {
            torrent,
            origin: Origin {
                info_hash: [hash; 20],
                device: 1,
                inode: 2,
                directory: b"/d".to_vec(),
            },
        }
    }

    fn replay(records: &[Record]) -> Replay {
        let mut replay = Replay::default();
        records.iter().for_each(|record| replay.apply(record));
        replay
    }

    fn span(indices: &[u32]) -> Span {
        let set: IndexSet = indices.iter().copied().collect();
        spans(&set).remove(0)
    }

    #[test]
    fn the_last_word_counts() {
        let stamp = Stamp {
            size: 1,
            seconds: 2,
            nanos: 3,
        };
        let all = replay(&[
            added(0, 1),
            Record::Verified {
                torrent: 0,
                pieces: span(&[1, 2, 9]),
            },
            Record::Forgotten {
                torrent: 0,
                pieces: span(&[2]),
            },
            Record::Opened {
                torrent: 0,
                files: span(&[0, 1]),
            },
            Record::Closed {
                torrent: 0,
                file: 1,
                stamp,
            },
            Record::Looked { torrent: 5 },
            Record::CleanStop,
        ]);
        let (number, known) = all.find([1; 20]).unwrap();
        assert_eq!((number, all.next_number(), all.is_clean()), (0, 1, true));
        assert_eq!(known.pieces.iter().collect::<Vec<_>>(), [1, 9]);
        assert_eq!(known.files[&0], FileThen::Opened);
        assert_eq!(known.files[&1], FileThen::Closed(stamp));
        assert!(!known.looked, "torrent 5 is nobody");
        let mut more = all.clone();
        more.apply(&Record::Removed { torrent: 0 });
        assert!(more.find([1; 20]).is_none() && !more.is_clean());
        assert_eq!(more.next_number(), 1, "numbers are not given twice");
    }

    #[test]
    fn a_number_is_of_one_torrent_and_a_torrent_has_one_number() {
        let twice = replay(&[added(1, 1), added(0, 1)]);
        assert_eq!(twice.find([1; 20]).map(|(number, _)| number), Some(0));
        assert_eq!(twice.snapshot(), [added(0, 1)]);
        let verified = Record::Verified {
            torrent: 0,
            pieces: span(&[3]),
        };
        let replaced = replay(&[added(0, 1), verified, added(0, 2)]);
        assert!(replaced.find([1; 20]).is_none());
        assert!(replaced.find([2; 20]).unwrap().1.pieces.is_empty());
    }

    fn any_record() -> impl Strategy<Value = Record> {
        let torrent = 0u32..4;
        let set = proptest::collection::btree_set(0u32..200, 1..8);
        (torrent, set, 0u8..8, any::<u64>()).prop_map(|(torrent, set, kind, size)| {
            let span = span(&set.iter().copied().collect::<Vec<_>>());
            let stamp = Stamp {
                size,
                seconds: 1,
                nanos: 1,
            };
            match kind {
                0 => Record::Verified {
                    torrent,
                    pieces: span,
                },
                1 => Record::Forgotten {
                    torrent,
                    pieces: span,
                },
                2 => Record::Opened {
                    torrent,
                    files: span,
                },
                3 => Record::Closed {
                    torrent,
                    file: span.first,
                    stamp,
                },
                4 | 5 => added(torrent, u8::try_from(torrent).unwrap_or(0)),
                6 => Record::Looked { torrent },
                _ => Record::CleanStop,
            }
        })
    }

    proptest! {
        #[test]
        fn a_snapshot_comes_to_the_same(records in proptest::collection::vec(any_record(), 0..60)) {
            let all = replay(&records);
            let mut again = replay(&all.snapshot());
            again.clean = all.clean;
            again.next = all.next;
            prop_assert_eq!(again, all);
        }
    }
}
