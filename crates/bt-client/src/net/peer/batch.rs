//! The bytes of one call to the socket: messages and blocks, one after the other in one buffer.
//!
//! Many blocks leave by two system calls, one that reads them from the page cache and one that sends them; why that
//! costs less than `sendfile` block by block is in decision 7. A buffer belongs to its thread and is lent for one
//! turn of one peer, so that no peer holds memory while it waits. It must not know sockets.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::IoSliceMut;
use std::ops::Range;

use bt_wire::PIECE_HEADER_LEN;
use bytes::Bytes;

use crate::disk::Content;
use crate::limits::MAX_SEND_BATCH;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Lends the buffer of this thread, which has room for `room` bytes.
pub(super) fn with_scratch<T>(room: usize, then: impl FnOnce(&mut [u8]) -> T) -> T {
    SCRATCH.with_borrow_mut(|scratch| {
        if scratch.len() < room {
            scratch.resize(room.max(MAX_SEND_BATCH), 0);
        }
        let lent = then(&mut scratch[..room]);
        if scratch.len() > MAX_SEND_BATCH {
            // A message longer than a batch is rare: a bitfield of a huge torrent.
            scratch.truncate(MAX_SEND_BATCH);
            scratch.shrink_to_fit();
        }
        lent
    })
}

/// Something to send.
#[derive(Debug)]
pub(super) enum Part {
    /// A message.
    Control(Bytes),
    /// A block of the content.
    Block {
        header: [u8; PIECE_HEADER_LEN],
        /// Where it begins in the content.
        start: u64,
        length: usize,
    },
}

impl Part {
    /// Bytes on the wire.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Control(bytes) => bytes.len(),
            Self::Block { length, .. } => PIECE_HEADER_LEN + length,
        }
    }

    /// Bytes of content in it.
    pub(super) fn payload(&self) -> usize {
        match self {
            Self::Control(_) => 0,
            Self::Block { length, .. } => *length,
        }
    }
}

/// What [`fill`] put into a buffer.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Filled {
    /// Whole parts.
    pub(super) parts: usize,
    /// Their bytes.
    pub(super) bytes: usize,
    /// Bytes of content among them.
    pub(super) payload: usize,
}

/// Content that is in hand: where it begins, and its bytes.
pub(super) type Fetched = (u64, Bytes);

/// Lays out `parts` in `buffer` as they are to be sent, as many of them as are whole, and reads what they need of
/// `content`: from `fetched` where that holds it, else only what is in memory.
pub(super) fn fill(
    parts: &VecDeque<Part>,
    fetched: Option<&Fetched>,
    content: &Content,
    buffer: &mut [u8],
) -> Filled {
    let mut filled = Filled::default();
    let mut rest = buffer;
    let mut run = Run::default();
    for part in parts {
        if part.size() > rest.len() {
            break;
        }
        let (place, after) = rest.split_at_mut(part.size());
        rest = after;
        match part {
            Part::Control(bytes) => {
                place.copy_from_slice(bytes);
                run.follow(part);
            }
            Part::Block {
                header,
                start,
                length,
            } => {
                let (head, data) = place.split_at_mut(PIECE_HEADER_LEN);
                head.copy_from_slice(header);
                if let Some(bytes) = fetched.and_then(|fetched| cut(fetched, *start, *length)) {
                    data.copy_from_slice(bytes);
                    run.follow(part);
                } else {
                    if !run.continues(*start) && !run.read(content, &mut filled) {
                        return filled;
                    }
                    run.wait_for(part, *start, IoSliceMut::new(data));
                }
            }
        }
    }
    run.read(content, &mut filled);
    filled
}

/// Parts that are whole once one read has brought the blocks among them, which are neighbors in the content.
#[derive(Debug, Default)]
struct Run<'a> {
    span: Range<u64>,
    slices: Vec<IoSliceMut<'a>>,
    /// Size and payload of each part, and whether it waits for the read.
    parts: Vec<(usize, usize, bool)>,
}

impl<'a> Run<'a> {
    fn continues(&self, start: u64) -> bool {
        self.slices.is_empty() || self.span.end == start
    }

    fn follow(&mut self, part: &Part) {
        self.parts.push((part.size(), part.payload(), false));
    }

    fn wait_for(&mut self, part: &Part, start: u64, data: IoSliceMut<'a>) {
        if self.slices.is_empty() {
            self.span.start = start;
        }
        self.span.end = start + data.len() as u64;
        self.slices.push(data);
        self.parts.push((part.size(), part.payload(), true));
    }

    /// Reads, and books the parts that are whole now. False if some are not: nothing may follow them.
    fn read(&mut self, content: &Content, filled: &mut Filled) -> bool {
        let mut read = if self.slices.is_empty() {
            0
        } else {
            content.read_warm(self.span.start, &mut self.slices)
        };
        self.slices.clear();
        for (size, payload, waits) in self.parts.drain(..) {
            if waits {
                let Some(left) = read.checked_sub(payload) else {
                    return false;
                };
                read = left;
            }
            filled.parts += 1;
            filled.bytes += size;
            filled.payload += payload;
        }
        true
    }
}

/// The bytes from `start` on, if all of them are in hand.
fn cut(fetched: &Fetched, start: u64, length: usize) -> Option<&[u8]> {
    let at = usize::try_from(start.checked_sub(fetched.0)?).ok()?;
    fetched.1.get(at..at.checked_add(length)?)
}

#[cfg(test)]
mod tests {
    use super::{Filled, Part, fill};
    use crate::disk::{Content, Disk};
    use bt_metainfo::Metainfo;
    use bytes::Bytes;
    use std::collections::VecDeque;
    use std::sync::Arc;

    /// Files of 100, 20 (padding) and 80 bytes on the disk, and the two hundred bytes that they are.
    fn content(directory: &std::path::Path) -> (Disk, Arc<Content>, Vec<u8>) {
        let mut bytes: Vec<u8> = (1..=200).collect();
        std::fs::create_dir(directory.join("t")).expect("a directory");
        std::fs::write(directory.join("t/a"), &bytes[..100]).expect("a file");
        std::fs::write(directory.join("t/b"), &bytes[120..]).expect("a file");
        bytes[100..120].fill(0);
        let files = "d6:lengthi100e4:pathl1:aeed4:attr1:p6:lengthi20e4:pathl4:.pad2:20eed6:lengthi80e4:pathl1:bee";
        let hash = "01234567890123456789";
        let torrent =
            format!("d4:infod5:filesl{files}e4:name1:t12:piece lengthi16384e6:pieces20:{hash}ee");
        let metainfo = Arc::new(Metainfo::parse(torrent.as_bytes()).expect("a torrent"));
        let layout = Arc::new(metainfo.info().layout().clone());
        let disk = Disk::start(1 << 20).expect("threads");
        let content = Content::new(
            &disk,
            metainfo,
            layout,
            crate::disk::Site::plain(directory.to_owned()),
            Box::new(|_| ()),
        );
        (disk, content, bytes)
    }

    fn block(start: u64, length: usize) -> Part {
        Part::Block {
            header: [7; 13],
            start,
            length,
        }
    }

    #[test]
    fn a_batch_is_what_the_parts_say_one_after_the_other() {
        let directory = tempfile::tempdir().expect("a directory");
        let (_disk, content, bytes) = content(directory.path());
        let control = || Part::Control(Bytes::from_static(b"message"));
        let parts = VecDeque::from([
            control(),
            block(50, 30),
            block(80, 90), // The end of one file, a pad file, the beginning of another.
            control(),
            block(0, 50),
            block(170, 30),
        ]);
        let mut buffer = vec![0xff; 400];
        // Nothing is open yet: a network thread opens no files.
        let cold = fill(&parts, None, &content, &mut buffer);
        assert_eq!((cold.parts, cold.bytes, cold.payload), (1, 7, 0));
        content.read_at(0, &mut [0; 200]).expect("opens the files");
        let filled = fill(&parts, None, &content, &mut buffer);
        let mut expected = b"message".to_vec();
        for (start, end) in [(50, 80), (80, 170)] {
            expected.extend([7; 13]);
            expected.extend(&bytes[start..end]);
        }
        expected.extend(b"message");
        for (start, end) in [(0, 50), (170, 200)] {
            expected.extend([7; 13]);
            expected.extend(&bytes[start..end]);
        }
        let whole = Filled {
            parts: 6,
            bytes: expected.len(),
            payload: 200,
        };
        assert_eq!(filled, whole);
        assert_eq!(buffer[..filled.bytes], expected);
    }

    #[test]
    fn only_whole_parts_that_fit_are_in_a_batch() {
        let directory = tempfile::tempdir().expect("a directory");
        let (_disk, content, _) = content(directory.path());
        content.read_at(0, &mut [0; 200]).expect("opens the files");
        let parts = VecDeque::from([block(0, 50), block(50, 50), block(0, 10)]);
        let filled = fill(&parts, None, &content, &mut [0; 63 + 62]);
        assert_eq!((filled.parts, filled.bytes, filled.payload), (1, 63, 50));
        // The file is shorter than what was promised of it: what is there leaves, the rest does not.
        std::fs::write(directory.path().join("t/a"), [1; 70]).expect("a file");
        let filled = fill(&parts, None, &content, &mut [0; 400]);
        assert_eq!((filled.parts, filled.payload), (1, 50));
    }

    #[test]
    fn content_in_hand_is_not_read_again() {
        let directory = tempfile::tempdir().expect("a directory");
        let (_disk, content, _) = content(directory.path());
        let parts = VecDeque::from([block(10, 20), block(30, 5), block(35, 6)]);
        let fetched = (10, Bytes::from_static(&[9; 25]));
        let mut buffer = vec![0; 400];
        let filled = fill(&parts, Some(&fetched), &content, &mut buffer);
        assert_eq!((filled.parts, filled.payload), (2, 25));
        assert_eq!(buffer[13..33], [9; 20]);
    }
}
