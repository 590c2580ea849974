//! The journal: records are appended and synced; now and then the whole is written anew, shorter.
//!
//! What it says in memory is what was handed to it; the file catches up or the caller hears that it cannot. It must not
//! know what files of content look like, nor when anything is due.

use std::collections::BTreeSet;
use std::fmt;
use std::io;

use super::knowledge::{Fault, HeaderError, Reader, Record, Replay, header};
use super::storage::Storage;

/// The name of the file.
const NAME: &str = "journal";

/// Something about the journal that its owner should read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// The end was torn, as a crash leaves it; it was cut off.
    Torn {
        /// Where, in bytes.
        offset: usize,
        /// Bytes cut off.
        lost: usize,
    },
    /// A record inside cannot be read; the file was set aside, and nothing that it said of pieces is believed.
    Damaged {
        /// Where, in bytes.
        offset: usize,
        /// What is wrong.
        why: &'static str,
        /// Its name now.
        aside: String,
    },
    /// The file is larger than a journal can be; it was set aside and a new one begun.
    TooLarge {
        /// Its name now.
        aside: String,
    },
    /// The file is no journal that this program knows; it was set aside and a new one begun.
    Refused {
        /// Why.
        error: HeaderError,
        /// Its name now.
        aside: String,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Torn { offset, lost } => write!(
                f,
                "the journal ends in the middle of a record, as after a crash: {lost} bytes from byte {offset} on were cut off"
            ),
            Self::Damaged { offset, why, aside } => write!(
                f,
                "the journal is damaged at byte {offset} ({why}); it is kept as {aside}, and what it said is found out anew by hashing"
            ),
            Self::TooLarge { aside } => write!(
                f,
                "the journal is larger than any that is ours; it is kept as {aside}, and what it said is found out anew by hashing"
            ),
            Self::Refused { error, aside } => write!(
                f,
                "the journal cannot be used ({error}); it is kept as {aside}, and what it said is found out anew by hashing"
            ),
        }
    }
}

/// The file `journal` of a directory of state: records of what is proven of each torrent, and in memory what they come
/// to. It is written anew, shorter, when it has grown by enough.
#[derive(Debug)]
pub struct Journal<S: Storage> {
    storage: S,
    file: Option<S::File>,
    /// Where the next record goes.
    end: u64,
    sequence: u64,
    known: Replay,
    /// Torrents of which the file may say more than is known: what took it back could not be written.
    overclaimed: BTreeSet<u32>,
    /// Bytes that the last checkpoint took.
    base: u64,
    checkpoint_after: u64,
}

impl<S: Storage> Journal<S> {
    /// Reads what is there, mends what a crash has left, and begins a new file where there is none that can be used.
    /// A checkpoint comes when `checkpoint_after` bytes have been appended.
    ///
    /// # Errors
    /// Those of the system.
    pub fn open(storage: S, checkpoint_after: u64) -> io::Result<(Self, Vec<Notice>)> {
        let mut journal = Self {
            file: None,
            end: 0,
            sequence: 0,
            known: Replay::default(),
            overclaimed: BTreeSet::new(),
            base: 0,
            checkpoint_after,
            storage,
        };
        let mut notices = Vec::new();
        let bytes = match journal.storage.read(NAME) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => {
                journal.checkpoint()?;
                return Ok((journal, notices));
            }
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                let aside = journal.begin_anew()?;
                return Ok((journal, vec![Notice::TooLarge { aside }]));
            }
            Err(error) => return Err(error),
        };
        match Reader::new(&bytes) {
            Ok(reader) => notices.extend(journal.load(&bytes, reader)?),
            Err(error) => {
                let aside = journal.begin_anew()?;
                notices.push(Notice::Refused { error, aside });
            }
        }
        Ok((journal, notices))
    }

    fn load(&mut self, bytes: &[u8], mut reader: Reader<'_>) -> io::Result<Option<Notice>> {
        let (known, fault) = Replay::read(&mut reader);
        self.known = known;
        let (offset, sequence) = (reader.offset(), reader.sequence());
        if let Some(Fault::Inside(bad)) = fault {
            // Records behind the damage have the numbers that come next; a byte holds less than one record.
            self.sequence = sequence.wrapping_add(bytes.len() as u64);
            let aside = self.begin_anew()?;
            let why = bad.why;
            return Ok(Some(Notice::Damaged { offset, why, aside }));
        }
        let file = self.storage.open(NAME)?;
        let notice = fault.map(|_| Notice::Torn {
            offset,
            lost: bytes.len() - offset,
        });
        if notice.is_some() {
            self.storage.set_len(&file, offset as u64)?;
        }
        // Also without a bad record: what the last run wrote and did not sync must not be built upon.
        self.storage.sync(&file)?;
        self.file = Some(file);
        self.end = offset as u64;
        self.base = self.end;
        self.sequence = sequence;
        if !self.known.is_clean() {
            // What the last run wrote and could not sync may be read from memory and be missing on the disk, and what is
            // appended would then stand behind a gap. A new file has it all.
            self.checkpoint()?;
        }
        Ok(notice)
    }

    /// Gives the file that cannot be used another name, which takes no room, and writes a new one. If that cannot be
    /// written now, the next record does it: a start that finds no journal believes nothing, and to fail here would be
    /// to find none the next time and say nothing of the one that was set aside.
    fn begin_anew(&mut self) -> io::Result<String> {
        let aside = self.storage.set_aside(NAME)?;
        if let Err(error) = self.checkpoint() {
            tracing::warn!(%error, "a new journal cannot be written yet");
        }
        Ok(aside)
    }

    /// What is known.
    #[must_use]
    pub fn known(&self) -> &Replay {
        &self.known
    }

    /// Bytes in the file.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.end
    }

    /// Records what is true from now on. When it returns, it survives a power cut.
    ///
    /// # Errors
    /// Those of the system. A file that could not be written or synced is given up, because nobody knows what of it is
    /// on the disk; the next call writes a new one with all that is known, these records included. If they take back
    /// what was said before, [`Journal::disclaim`] is due until then.
    pub fn write(&mut self, records: &[Record]) -> io::Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        for record in records {
            self.known.apply(record);
        }
        let written = self.put(records);
        if written.is_err() {
            let taken_back = records.iter().filter(|record| record.takes_back());
            self.overclaimed.extend(taken_back.map(Record::torrent));
        }
        written
    }

    fn put(&mut self, records: &[Record]) -> io::Result<()> {
        let grown = self.end.saturating_sub(self.base);
        if self.file.is_none() || grown >= self.checkpoint_after.max(self.base) {
            return self.checkpoint();
        }
        if self.append(records).is_err() {
            self.file = None;
            return self.checkpoint();
        }
        Ok(())
    }

    fn append(&mut self, records: &[Record]) -> io::Result<()> {
        let mut bytes = Vec::new();
        let mut sequence = self.sequence;
        for (at, record) in records.iter().enumerate() {
            match at {
                0 => record.encode_behind_sync(sequence, &mut bytes),
                _ => record.encode(sequence, &mut bytes),
            }
            sequence += 1;
        }
        let file = self
            .file
            .as_ref()
            .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        self.storage.write_at(file, self.end, &bytes)?;
        self.storage.sync(file)?;
        self.end += bytes.len() as u64;
        self.sequence = sequence;
        Ok(())
    }

    /// Writes the whole anew, as short as it can be.
    ///
    /// # Errors
    /// Those of the system.
    pub fn checkpoint(&mut self) -> io::Result<()> {
        let mut bytes = header(self.sequence);
        let mut sequence = self.sequence;
        for record in self.known.snapshot() {
            // The whole file is on the disk before it has its name.
            record.encode_behind_sync(sequence, &mut bytes);
            sequence += 1;
        }
        // Until the new file is in place for good, nothing may go into the old one.
        self.file = None;
        self.file = Some(self.storage.replace(NAME, &bytes)?);
        self.end = bytes.len() as u64;
        self.base = self.end;
        self.sequence = sequence;
        self.overclaimed.clear();
        Ok(())
    }

    /// Whether the file may say more of a torrent than is known: a start after a power cut would believe it.
    #[must_use]
    pub fn overclaims(&self, torrent: u32) -> bool {
        self.overclaimed.contains(&torrent)
    }

    /// Removes the file if it may say more than is known: a start that finds no journal believes nothing and hashes
    /// everything, and removing a file takes no room and writes no data. The next [`Journal::write`] that succeeds makes
    /// a new one with all that is known. Does nothing if the file says no more than that.
    ///
    /// # Errors
    /// Those of the system; the file may say too much still.
    pub fn disclaim(&mut self) -> io::Result<()> {
        if self.overclaimed.is_empty() {
            return Ok(());
        }
        self.file = None;
        self.storage.remove(NAME)?;
        self.storage.sync_names()?;
        self.overclaimed.clear();
        Ok(())
    }

    /// Says that nothing is under way, and writes the whole anew.
    ///
    /// # Errors
    /// Those of the system.
    pub fn close(&mut self) -> io::Result<()> {
        self.known.apply(&Record::CleanStop);
        self.checkpoint()
    }
}
