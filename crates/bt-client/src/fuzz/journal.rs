//! The journal of an earlier run: read from any bytes, and from what a run could have written.

use std::collections::BTreeSet;

use crate::limits::MAX_RECORDED_INDEX;
use crate::state::knowledge::{HEADER_LENGTH, Origin, Reader, Record, Replay, Span, Stamp, header};

/// Torrents that the operations speak of: each may hold a set of half a MiB.
const TORRENTS: u8 = 4;

/// How many times a file is cut and read from its beginning.
const WHOLE_CUTS: usize = 4;

/// A journal from bytes. With an even first byte the others are the file; with an odd one they stand for records, and
/// the file is what a run would have written of them, damaged in one place or cut off.
///
/// # Panics
/// If what was written is not read back, if a part of the file says anything that the whole does not, if a record has
/// two spellings, or if a checkpoint comes to something else than the records before it.
pub fn journal(data: &[u8]) {
    let Some((&how, rest)) = data.split_first() else {
        return;
    };
    if how & 1 == 0 {
        check_file(rest);
        return;
    }
    let mut bytes = rest.iter().copied();
    let (first, damage) = (u64::from(how), bytes.next().unwrap_or(0));
    let records: Vec<Record> = std::iter::from_fn(|| record(&mut bytes)).collect();
    // Each of them is synced by itself.
    let mut file = write(first, &records, |_| true);
    let read = check_file(&file).expect("we wrote the header");
    assert_eq!(read, records, "what was written is read");
    let Some(place) = (usize::from(damage) * 7919).checked_rem(file.len()) else {
        return;
    };
    let until = file.split_off(place);
    check_part(&file, &records);
    file.extend(until);
    file[place] ^= damage | 1;
    check_part(&file, &records);
    check_belief(&file, place, first, &records);
    check_file(&file);
}

/// `is_behind_sync` tells it of the record of that number.
fn write(first: u64, records: &[Record], is_behind_sync: impl Fn(usize) -> bool) -> Vec<u8> {
    let mut file = header(first);
    for (sequence, (at, record)) in (first..).zip(records.iter().enumerate()) {
        match is_behind_sync(at) {
            true => record.encode_behind_sync(sequence, &mut file),
            false => record.encode(sequence, &mut file),
        }
    }
    file
}

/// The records of a file up to the first that is bad, if it is a journal at all.
fn check_file(file: &[u8]) -> Option<Vec<Record>> {
    let mut reader = Reader::new(file).ok()?;
    let first = reader.sequence();
    let mut records = Vec::new();
    let (mut ends, mut marks) = (Vec::new(), Vec::new());
    let mut begin = reader.offset();
    while let Some(Ok(record)) = reader.next() {
        records.push(record);
        // The highest bit of the kind, behind the length.
        marks.push(file.get(begin + 2).is_some_and(|kind| kind & 0x80 != 0));
        begin = reader.offset();
        ends.push(reader.offset());
    }
    assert!(
        reader.next().is_none(),
        "nothing is read behind a bad record"
    );
    let _ = reader.is_damaged_inside();
    let good = file.get(..reader.offset()).expect("it was read");
    let again = write(first, &records, |at| marks.get(at) == Some(&true));
    assert_eq!(again, good, "each record has one spelling");
    check_cuts(file, first, &ends);
    let mut replay = Replay::default();
    records.iter().for_each(|record| replay.apply(record));
    let checkpoint = replay.snapshot();
    let mut again = Replay::default();
    checkpoint.iter().for_each(|record| again.apply(record));
    assert_eq!(again.snapshot(), checkpoint, "a checkpoint says the same");
    let added = records.iter().filter_map(|record| match record {
        Record::Added { origin, .. } => Some(origin.info_hash),
        _ => None,
    });
    for hash in added.collect::<BTreeSet<_>>() {
        assert_eq!(
            again.find(hash),
            replay.find(hash),
            "a checkpoint says the same"
        );
        let found = replay.find(hash).map(|(_, known)| known.origin.info_hash);
        assert!(
            found.is_none_or(|found| found == hash),
            "it is another torrent"
        );
    }
    Some(records)
}

/// As a run that was cut off leaves it: at the end of each record and just before that.
fn check_cuts(file: &[u8], first: u64, ends: &[usize]) {
    let read = |file: &[u8]| {
        let part = Reader::new(file).expect("the header is the same");
        part.map_while(Result::ok).count()
    };
    // Each record by itself behind a header of its own, since to read all before it each time takes the square.
    let mut begin = HEADER_LENGTH;
    let mut part = Vec::new();
    for (sequence, end) in (first..).zip(ends) {
        part.clear();
        part.extend(header(sequence));
        part.extend_from_slice(file.get(begin..*end).expect("it was read"));
        assert_eq!(read(&part), 1, "record {sequence} by itself");
        part.pop();
        assert_eq!(read(&part), 0, "record {sequence} without its last byte");
        begin = *end;
    }
    // And some with all that is before them.
    let step = ends.len().div_ceil(WHOLE_CUTS).max(1);
    for (number, end) in ends.iter().enumerate().rev().step_by(step) {
        for (cut, whole) in [(*end, number + 1), (end.saturating_sub(1), number)] {
            let part = file.get(..cut).expect("before the end");
            assert_eq!(read(part), whole, "of the {cut} bytes at the beginning");
        }
    }
}

/// Whatever happened to the file, only records that were written are read, from the first on.
fn check_part(file: &[u8], written: &[Record]) {
    if let Ok(reader) = Reader::new(file) {
        let read: Vec<Record> = reader.map_while(Result::ok).collect();
        assert_eq!(
            Some(read.as_slice()),
            written.get(..read.len()),
            "a record is made up"
        );
    }
}

/// After damage at `place` what is believed of pieces is nothing, or what a crash while the last record was written would
/// have left: a record that takes something back is not undone by damage before it.
fn check_belief(file: &[u8], place: usize, first: u64, written: &[Record]) {
    let Ok(mut reader) = Reader::new(file) else {
        return;
    };
    let (known, _) = Replay::read(&mut reader);
    let before = written.split_last().map_or(written, |(_, before)| before);
    if place < write(first, before, |_| true).len() {
        let verified = |record: &Record| matches!(record, Record::Verified { .. });
        let believed = known.snapshot().iter().any(verified);
        assert!(!believed, "pieces are believed in spite of damage");
    } else {
        let mut crashed = Replay::default();
        before.iter().for_each(|record| crashed.apply(record));
        assert_eq!(known, crashed, "only the last record is lost");
    }
}

/// The next record that the bytes stand for.
fn record(bytes: &mut impl Iterator<Item = u8>) -> Option<Record> {
    let what = bytes.next()?;
    let torrent = u32::from((what >> 3) % TORRENTS);
    Some(match what & 7 {
        0 => Record::Verified {
            torrent,
            pieces: span(bytes),
        },
        1 => Record::Forgotten {
            torrent,
            pieces: span(bytes),
        },
        2 => Record::Opened {
            torrent,
            files: span(bytes),
        },
        3 => Record::Closed {
            torrent,
            file: number(bytes),
            stamp: Stamp {
                size: u64::from(number(bytes)) << 20,
                seconds: i64::from(number(bytes)) - (1 << 20),
                nanos: number(bytes),
            },
        },
        4 => Record::Added {
            torrent,
            origin: Origin {
                info_hash: [bytes.next().unwrap_or(0) % TORRENTS; 20],
                device: u64::from(number(bytes)),
                inode: u64::from(number(bytes)),
                directory: bytes.by_ref().take(usize::from(what >> 5)).collect(),
            },
        },
        5 => Record::Removed { torrent },
        6 => Record::Looked { torrent },
        _ => Record::CleanStop,
    })
}

fn span(bytes: &mut impl Iterator<Item = u8>) -> Span {
    let length = bytes.next().unwrap_or(0);
    // A set is as large as its highest number, so nearly all numbers are small, or little else would be done.
    let bound = if length >= 0xf8 {
        MAX_RECORDED_INDEX
    } else {
        4096
    };
    let length = usize::from(length % 8);
    Span {
        first: number(bytes) % bound,
        bits: bytes.by_ref().take(length).collect(),
    }
}

fn number(bytes: &mut impl Iterator<Item = u8>) -> u32 {
    let mut next = || bytes.next().unwrap_or(0);
    u32::from_le_bytes([next(), next(), next(), 0])
}

#[cfg(test)]
mod tests {
    use crate::engine::parts::Rng;

    #[test]
    fn the_corpus_holds() {
        crate::fuzz::replay("client_journal", 3, super::journal);
    }

    #[test]
    fn random_records_are_read_back() {
        let mut rng = Rng::new(5);
        for _ in 0..2000 {
            let length = rng.below(300);
            let data: Vec<u8> = (0..length)
                .map(|_| u8::try_from(rng.below(256)).unwrap())
                .collect();
            super::journal(&data);
        }
    }
}
