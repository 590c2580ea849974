//! The records of the journal and their bytes.
//!
//! A file is a header and records without gaps. A record is `length u16 · kind u8 · torrent u32 · payload ·
//! sequence u64 · crc32c u32`, little-endian; `length` is that of the payload and the checksum covers everything
//! before it. The highest bit of `kind` says that all before this record was on the disk when it was written. Sequence numbers count up by one from the number in the header, so that a record that was left over
//! from an older file can never pass for the next one. It must not know files, nor what records mean together.

use thiserror::Error;

use super::set::Span;
use crate::limits::{MAX_RECORDED_INDEX, MAX_SPAN_BYTES};

/// How the file begins.
const MAGIC: [u8; 8] = *b"btstate\n";

/// What others would misread makes it one more. In version 1 nothing told what had been synced, so that a damaged file of
/// it cannot be told from a torn one.
const VERSION: u32 = 2;

/// Set in the kind of a record before which everything is on the disk: the first of those that are written together.
const BEHIND_SYNC: u8 = 0x80;

/// Magic, version, first sequence number, checksum.
pub const HEADER_LENGTH: usize = 24;

/// Length, kind, torrent; sequence, checksum.
const FRONT: usize = 7;
const BACK: usize = 12;

/// The size and time of last change of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Bytes.
    pub size: u64,
    /// Seconds since 1970 of the last change.
    pub seconds: i64,
    /// And nanoseconds.
    pub nanos: u32,
}

/// A torrent, and where its content is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Which torrent.
    pub info_hash: [u8; 20],
    /// The device that holds the directory.
    pub device: u64,
    /// The directory's number on it.
    pub inode: u64,
    /// The directory that holds the content, as the system spells paths.
    pub directory: Vec<u8>,
}

/// Something that is known from now on. `torrent` is a number that [`Record::Added`] gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// These pieces verified, and their bytes are on the disk to stay.
    Verified {
        /// Of this torrent.
        torrent: u32,
        /// Which.
        pieces: Span,
    },
    /// These pieces are not to be believed any more.
    Forgotten {
        /// Of this torrent.
        torrent: u32,
        /// Which.
        pieces: Span,
    },
    /// These files may be written from now on.
    Opened {
        /// Of this torrent.
        torrent: u32,
        /// Which.
        files: Span,
    },
    /// This file is not written any more, and this is how it was left.
    Closed {
        /// Of this torrent.
        torrent: u32,
        /// Which.
        file: u32,
        /// Its size and time.
        stamp: Stamp,
    },
    /// This torrent's content is here; a second time, it has moved.
    Added {
        /// The number that stands for it.
        torrent: u32,
        /// What and where it is.
        origin: Origin,
    },
    /// It is not ours any more.
    Removed {
        /// Which.
        torrent: u32,
    },
    /// All of its content was looked at: what is not verified now was not there.
    Looked {
        /// Which.
        torrent: u32,
    },
    /// The program ended with nothing under way.
    CleanStop,
}

/// Why a file cannot be a journal of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum HeaderError {
    /// Something else, or damaged beyond recognition.
    #[error("it does not begin like a journal")]
    Foreign,
    /// Written by a later program, or by one of long ago.
    #[error("its format is {0}, and this program knows {VERSION}")]
    Version(u32),
}

/// The first record that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("byte {offset}: {why}")]
pub struct Bad {
    /// Where it begins.
    pub offset: usize,
    /// What is wrong with it.
    pub why: &'static str,
}

/// The beginning of a file whose first record has this sequence number.
#[must_use]
pub fn header(first_sequence: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_LENGTH);
    bytes.extend(MAGIC);
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend(first_sequence.to_le_bytes());
    bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
    bytes
}

impl Record {
    fn kind(&self) -> u8 {
        match self {
            Self::Verified { .. } => 1,
            Self::Forgotten { .. } => 2,
            Self::Opened { .. } => 3,
            Self::Closed { .. } => 4,
            Self::Added { .. } => 5,
            Self::Removed { .. } => 6,
            Self::Looked { .. } => 7,
            Self::CleanStop => 8,
        }
    }

    /// Which torrent it is about; 0 if it is about none.
    #[must_use]
    pub fn torrent(&self) -> u32 {
        match self {
            Self::Verified { torrent, .. }
            | Self::Forgotten { torrent, .. }
            | Self::Opened { torrent, .. }
            | Self::Closed { torrent, .. }
            | Self::Added { torrent, .. }
            | Self::Removed { torrent }
            | Self::Looked { torrent } => *torrent,
            Self::CleanStop => 0,
        }
    }

    /// Whether it says that less is known than before.
    #[must_use]
    pub fn takes_back(&self) -> bool {
        matches!(self, Self::Forgotten { .. } | Self::Removed { .. })
    }

    /// Appends the bytes of the record, which is written together with the one before it.
    pub fn encode(&self, sequence: u64, into: &mut Vec<u8>) {
        self.encode_as(self.kind(), sequence, into);
    }

    /// The same of a record before which everything is on the disk.
    pub fn encode_behind_sync(&self, sequence: u64, into: &mut Vec<u8>) {
        self.encode_as(self.kind() | BEHIND_SYNC, sequence, into);
    }

    fn encode_as(&self, kind: u8, sequence: u64, into: &mut Vec<u8>) {
        let start = into.len();
        into.extend([0; 2]);
        into.push(kind);
        into.extend(self.torrent().to_le_bytes());
        match self {
            Self::Verified { pieces: span, .. }
            | Self::Forgotten { pieces: span, .. }
            | Self::Opened { files: span, .. } => {
                into.extend(span.first.to_le_bytes());
                into.extend(&span.bits);
            }
            Self::Closed { file, stamp, .. } => {
                into.extend(file.to_le_bytes());
                into.extend(stamp.size.to_le_bytes());
                into.extend(stamp.seconds.to_le_bytes());
                into.extend(stamp.nanos.to_le_bytes());
            }
            Self::Added { origin, .. } => {
                into.extend(origin.info_hash);
                into.extend(origin.device.to_le_bytes());
                into.extend(origin.inode.to_le_bytes());
                into.extend(&origin.directory);
            }
            Self::Removed { .. } | Self::Looked { .. } | Self::CleanStop => {}
        }
        let length = u16::try_from(into.len() - start - FRONT)
            .expect("spans are cut at MAX_SPAN_BYTES and paths are shorter than 64 KiB");
        into[start..start + 2].copy_from_slice(&length.to_le_bytes());
        into.extend(sequence.to_le_bytes());
        let checksum = crc32c::crc32c(&into[start..]);
        into.extend(checksum.to_le_bytes());
    }

    fn decode(kind: u8, torrent: u32, payload: &[u8]) -> Option<Self> {
        let mut fields = Fields(payload);
        let record = match kind {
            1 => Self::Verified {
                torrent,
                pieces: fields.span()?,
            },
            2 => Self::Forgotten {
                torrent,
                pieces: fields.span()?,
            },
            3 => Self::Opened {
                torrent,
                files: fields.span()?,
            },
            4 => Self::Closed {
                torrent,
                file: u32::from_le_bytes(fields.take()?),
                stamp: Stamp {
                    size: u64::from_le_bytes(fields.take()?),
                    seconds: i64::from_le_bytes(fields.take()?),
                    nanos: u32::from_le_bytes(fields.take()?),
                },
            },
            5 => Self::Added {
                torrent,
                origin: Origin {
                    info_hash: fields.take()?,
                    device: u64::from_le_bytes(fields.take()?),
                    inode: u64::from_le_bytes(fields.take()?),
                    directory: std::mem::take(&mut fields.0).to_vec(),
                },
            },
            6 => Self::Removed { torrent },
            7 => Self::Looked { torrent },
            // It speaks of all torrents, and has one spelling.
            8 if torrent == 0 => Self::CleanStop,
            _ => return None,
        };
        fields.0.is_empty().then_some(record)
    }
}

struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*field)
    }

    fn span(&mut self) -> Option<Span> {
        let first = u32::from_le_bytes(self.take()?);
        let bits = std::mem::take(&mut self.0).to_vec();
        let ok = first < MAX_RECORDED_INDEX && bits.len() <= MAX_SPAN_BYTES;
        ok.then_some(Span { first, bits })
    }
}

/// Goes through the records of a file until the first that cannot be read.
#[derive(Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    offset: usize,
    sequence: u64,
    /// A bad record was found: nothing behind it is read.
    ended: bool,
}

impl<'a> Reader<'a> {
    /// Looks at the header.
    ///
    /// # Errors
    /// If this is no journal, or one of a later program.
    pub fn new(bytes: &'a [u8]) -> Result<Self, HeaderError> {
        let mut fields = Fields(bytes);
        if fields.take() != Some(MAGIC) {
            return Err(HeaderError::Foreign);
        }
        let version = fields.take().map(u32::from_le_bytes);
        // The rest of a header of another version may be anything.
        if let Some(version) = version.filter(|version| *version != VERSION) {
            return Err(HeaderError::Version(version));
        }
        let sequence = fields.take().map(u64::from_le_bytes);
        match sequence {
            Some(sequence) if bytes.get(..HEADER_LENGTH) == Some(&*header(sequence)) => Ok(Self {
                bytes,
                offset: HEADER_LENGTH,
                sequence,
                ended: false,
            }),
            _ => Err(HeaderError::Foreign),
        }
    }

    /// Where the next record begins.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// The sequence number of the next record.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    fn read(&mut self) -> Result<Record, &'static str> {
        let bytes = self.bytes.get(self.offset..).unwrap_or_default();
        let Some((length, _)) = bytes.split_first_chunk() else {
            return Err("the record is cut off");
        };
        let whole = FRONT + usize::from(u16::from_le_bytes(*length)) + BACK;
        let Some(record) = bytes.get(..whole) else {
            return Err("the record is cut off");
        };
        let (body, checksum) = record.split_at(whole - 4);
        if crc32c::crc32c(body).to_le_bytes() != checksum {
            return Err("the checksum is wrong");
        }
        let (front, back) = body.split_at(whole - BACK);
        if back != self.sequence.to_le_bytes() {
            return Err("the record belongs elsewhere");
        }
        let mut fields = Fields(&front[2..]);
        let (Some([kind]), Some(torrent)) = (fields.take(), fields.take()) else {
            return Err("the record is cut off");
        };
        let kind = kind & !BEHIND_SYNC;
        let record = Record::decode(kind, u32::from_le_bytes(torrent), fields.0);
        let record = record.ok_or("the record has no meaning")?;
        self.offset += whole;
        self.sequence += 1;
        Ok(record)
    }

    /// Whether a record can be read behind the bad one before which everything had been synced: then it is not just the end
    /// that is missing. Of what was written together a power cut may leave any part.
    #[must_use]
    pub fn is_damaged_inside(&self) -> bool {
        let tail = self.bytes.get(self.offset..).unwrap_or_default();
        (1..=tail.len().saturating_sub(FRONT + BACK)).any(|start| {
            let candidate = &tail[start..];
            let length = usize::from(u16::from_le_bytes([candidate[0], candidate[1]]));
            let whole = FRONT + length + BACK;
            let Some(record) = candidate.get(..whole) else {
                return false;
            };
            let (body, checksum) = record.split_at(whole - 4);
            let sequence = body[whole - BACK..].first_chunk().copied();
            // The sequence number is compared first: a checksum at every byte would take minutes.
            candidate[2] & BEHIND_SYNC != 0
                && sequence
                    .map(u64::from_le_bytes)
                    .is_some_and(|sequence| sequence.wrapping_sub(self.sequence) < 1 << 32)
                && crc32c::crc32c(body).to_le_bytes() == checksum
        })
    }
}

impl Iterator for Reader<'_> {
    type Item = Result<Record, Bad>;

    /// `None` at the end of the file and behind a bad record.
    fn next(&mut self) -> Option<Self::Item> {
        if self.ended || self.offset == self.bytes.len() {
            return None;
        }
        let offset = self.offset;
        let record = self.read().map_err(|why| Bad { offset, why });
        self.ended = record.is_err();
        Some(record)
    }
}

#[cfg(test)]
mod tests {
    use super::{HeaderError, Origin, Reader, Record, Span, Stamp, header};
    use proptest::prelude::*;

    fn all() -> Vec<Record> {
        let span = Span {
            first: 7,
            bits: vec![0b101, 0xff],
        };
        vec![
            Record::Added {
                torrent: 3,
                origin: Origin {
                    info_hash: [9; 20],
                    device: 1,
                    inode: u64::MAX,
                    directory: b"/srv/\xff".to_vec(),
                },
            },
            Record::Verified {
                torrent: 3,
                pieces: span.clone(),
            },
            Record::Forgotten {
                torrent: 3,
                pieces: span.clone(),
            },
            Record::Opened {
                torrent: 3,
                files: span,
            },
            Record::Closed {
                torrent: 3,
                file: 1,
                stamp: Stamp {
                    size: 5,
                    seconds: -1,
                    nanos: 999_999_999,
                },
            },
            Record::Looked { torrent: 3 },
            Record::Removed { torrent: 3 },
            Record::CleanStop,
        ]
    }

    fn file(records: &[Record]) -> Vec<u8> {
        let mut bytes = header(40);
        for (sequence, record) in (40..).zip(records) {
            record.encode(sequence, &mut bytes);
        }
        bytes
    }

    #[test]
    fn what_is_written_is_read() {
        let read: Result<Vec<_>, _> = Reader::new(&file(&all())).unwrap().collect();
        assert_eq!(read.unwrap(), all());
    }

    /// Whatever happens to the bytes, the records before the first one that was touched are read, and no other is
    /// made up.
    fn check_prefix(bytes: &[u8]) {
        let Ok(reader) = Reader::new(bytes) else {
            return;
        };
        let read: Vec<_> = reader.map_while(Result::ok).collect();
        assert_eq!(read[..], all()[..read.len()]);
    }

    #[test]
    fn every_cut_and_every_flipped_bit_is_noticed() {
        let whole = file(&all());
        for length in 0..whole.len() {
            check_prefix(&whole[..length]);
            let mut zeros = whole[..length].to_vec();
            zeros.resize(whole.len() + 40, 0);
            check_prefix(&zeros);
            let bad = Reader::new(&zeros).ok().and_then(|r| r.last());
            assert!(bad.is_none_or(|last| last.is_err()), "zeros are no records");
        }
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            check_prefix(&bytes);
            let all_read = Reader::new(&bytes).is_ok_and(|r| r.filter_map(Result::ok).count() == 8);
            assert!(!all_read, "bit {bit}");
        }
    }

    #[test]
    fn a_record_of_an_older_file_is_not_the_next_one() {
        let mut bytes = file(&all()[..1]);
        Record::CleanStop.encode(40, &mut bytes);
        let last = Reader::new(&bytes).unwrap().nth(1).unwrap().unwrap_err();
        assert_eq!(last.why, "the record belongs elsewhere");
    }

    #[test]
    fn damage_inside_is_told_from_a_torn_end() {
        let mut bytes = file(&all());
        let mut reader = Reader::new(&bytes[..bytes.len() - 3]).unwrap();
        assert!(reader.by_ref().last().unwrap().is_err());
        assert!(!reader.is_damaged_inside());
        // All of them were written together: a power cut may have left the first one out.
        bytes[super::HEADER_LENGTH + 10] ^= 1;
        let mut reader = Reader::new(&bytes).unwrap();
        assert!(reader.next().unwrap().is_err());
        assert!(!reader.is_damaged_inside());
        // Another one was written when these were on the disk, alone and with others.
        let count = all().len() as u64;
        Record::CleanStop.encode_behind_sync(40 + count, &mut bytes);
        for _ in 0..2 {
            let mut reader = Reader::new(&bytes).unwrap();
            assert!(reader.next().unwrap().is_err());
            assert!(reader.is_damaged_inside());
            Record::CleanStop.encode(41 + count, &mut bytes);
        }
    }

    #[test]
    fn other_versions_and_foreign_files_are_refused() {
        for version in [1, 3] {
            let mut other = header(1);
            other[8] = version;
            let refused = Reader::new(&other).unwrap_err();
            assert_eq!(refused, HeaderError::Version(version.into()));
        }
        for foreign in [&b""[..], b"btstate", b"{\"json\":1}", &[0; 100]] {
            assert_eq!(Reader::new(foreign).unwrap_err(), HeaderError::Foreign);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), ours in any::<bool>()) {
            if ours {
                let mut whole = header(0);
                whole.append(&mut bytes);
                bytes = whole;
            }
            if let Ok(mut reader) = Reader::new(&bytes) {
                while let Some(Ok(_)) = reader.next() {}
                let _ = reader.is_damaged_inside();
            }
        }
    }
}
