//! What a disk thread does with whole pieces: hash several at once, write the good ones, report all.

use std::io::IoSlice;
use std::sync::Arc;

use bt_metainfo::{BlockRef, PieceIndex, lanes};
use bytes::Bytes;

use super::assembly::{Slot, WholePiece};
use super::pool::{Shared, Waiting};
use super::{Content, DiskError, Done};

/// Blocks that one write call takes; the system's limit is 1,024.
const BLOCKS_PER_WRITE: usize = 512;

/// Spilled content that is read back at once, to be hashed: it is memory that no budget counts. A single piece may be
/// longer.
const READ_BACK: usize = 4 * 1024 * 1024;

pub(super) fn verify(shared: &Shared, waiting: Vec<Waiting>) {
    let mut round = Vec::with_capacity(waiting.len());
    let mut read_back = 0;
    for piece in waiting {
        let more = spilled(&piece);
        if read_back > 0 && read_back + more > READ_BACK {
            verify_round(shared, std::mem::take(&mut round));
            read_back = 0;
        }
        read_back += more;
        round.push(piece);
    }
    verify_round(shared, round);
    relieve(shared);
}

/// Bytes of a piece that are on the disk only.
fn spilled(waiting: &Waiting) -> usize {
    let length = |(number, slot): (u32, &Slot)| match slot {
        Slot::Memory(_) => 0,
        Slot::Spilled | Slot::Empty => {
            let layout = waiting.content.layout();
            layout.block(waiting.whole.piece, number).length as usize
        }
    };
    (0u32..).zip(&waiting.whole.blocks).map(length).sum()
}

fn verify_round(shared: &Shared, waiting: Vec<Waiting>) {
    let mut pieces = Vec::with_capacity(waiting.len());
    for waiting in waiting {
        let Waiting {
            content,
            whole,
            held,
            ..
        } = waiting;
        match shared.bugs.catch(|| fetch_spilled(&content, &whole)) {
            Ok(Ok(data)) => pieces.push((content, whole, data, held)),
            Ok(Err(error)) => {
                drop(held);
                content.was_bad(whole.piece);
                content.report(Done::Failed(error));
            }
            Err(bug) => content.breaks(&bug),
        }
    }
    let slices: Vec<Vec<&[u8]>> = pieces
        .iter()
        .map(|(_, _, data, _)| data.iter().map(AsRef::as_ref).collect())
        .collect();
    let inputs: Vec<&[&[u8]]> = slices.iter().map(Vec::as_slice).collect();
    let hashes = lanes::sha1_each(&inputs);
    drop(slices);
    for ((content, whole, data, held), hash) in pieces.into_iter().zip(hashes) {
        let done = shared.bugs.catch(|| {
            let good = content.piece_hash(whole.piece) == Some(&hash);
            let done = finish(&content, &whole, &data, good);
            if !matches!(done, Done::Good { .. }) {
                content.was_bad(whole.piece);
            }
            done
        });
        // The buffers go back to their pool before the memory is counted as free.
        drop((whole, data));
        drop(held);
        match done {
            Ok(done) => content.report(done),
            Err(bug) => content.breaks(&bug),
        }
    }
}

fn finish(content: &Content, whole: &WholePiece, data: &[Bytes], good: bool) -> Done {
    #[cfg(test)]
    content.planted.goes_off();
    let digests = if good && !whole.watched {
        Vec::new()
    } else {
        digests(data)
    };
    let piece = whole.piece;
    if !good {
        return Done::Bad { piece, digests };
    }
    match write_piece(content, whole) {
        Ok(()) => {
            content.regain(piece);
            Done::Good { piece, digests }
        }
        Err(error) => Done::Failed(error),
    }
}

fn digests(data: &[Bytes]) -> Vec<[u8; 20]> {
    let blocks: Vec<[&[u8]; 1]> = data.iter().map(|block| [block.as_ref()]).collect();
    let inputs: Vec<&[&[u8]]> = blocks.iter().map(<[&[u8]; 1]>::as_slice).collect();
    lanes::sha1_each(&inputs)
}

/// All blocks of the piece; those that were spilled are read back.
fn fetch_spilled(content: &Content, whole: &WholePiece) -> Result<Vec<Bytes>, DiskError> {
    let fetch = |(number, slot): (u32, &Slot)| match slot {
        Slot::Memory(data) => Ok(data.clone()),
        Slot::Spilled | Slot::Empty => {
            let block = content.layout().block(whole.piece, number);
            let mut data = vec![0; block.length as usize];
            content.read(block, &mut data)?;
            Ok(Bytes::from(data))
        }
    };
    (0u32..).zip(&whole.blocks).map(fetch).collect()
}

/// Writes the blocks that are in memory, neighbors together.
fn write_piece(content: &Content, whole: &WholePiece) -> Result<(), DiskError> {
    let offset = content.layout().piece_offset(whole.piece);
    let mut run: Vec<&[u8]> = Vec::with_capacity(whole.blocks.len().min(BLOCKS_PER_WRITE));
    let mut at = offset;
    let mut start = offset;
    for (number, slot) in (0u32..).zip(&whole.blocks) {
        let length = u64::from(content.layout().block(whole.piece, number).length);
        match slot {
            Slot::Memory(data) => {
                if run.is_empty() {
                    start = at;
                }
                run.push(data);
            }
            Slot::Spilled | Slot::Empty => flush(content, start, &mut run)?,
        }
        at += length;
        if run.len() == BLOCKS_PER_WRITE {
            flush(content, start, &mut run)?;
        }
    }
    flush(content, start, &mut run)
}

fn flush(content: &Content, start: u64, run: &mut Vec<&[u8]>) -> Result<(), DiskError> {
    if run.is_empty() {
        return Ok(());
    }
    let mut slices: Vec<IoSlice<'_>> = run.drain(..).map(IoSlice::new).collect();
    content.write_run(start, &mut slices)
}

/// Takes incomplete pieces out of memory, the largest first, while memory is short and no whole piece could be written
/// instead.
pub(super) fn relieve(shared: &Shared) {
    while shared.budget.is_tight() && !shared.has_pieces() {
        let Some(content) = shared.heaviest() else {
            return;
        };
        match shared.bugs.catch(|| spill(shared, &content)) {
            Ok(true) => {}
            Ok(false) => return,
            // What it held is dropped, so that another one is the heaviest.
            Err(bug) => content.breaks(&bug),
        }
    }
}

/// Takes the largest incomplete piece of `content` out of memory; false if there is none.
fn spill(shared: &Shared, content: &Arc<Content>) -> bool {
    let Some(spill) = content.begin_spill() else {
        return false;
    };
    let written = spill_blocks(content, &spill.blocks);
    let (freed, whole) = content.end_spill(&spill, written.is_ok());
    shared.budget.give_back(freed);
    shared.push(content, whole.into_iter().collect());
    if let Err(error) = written {
        // The owner stops the torrent, which drops what is held.
        content.report(Done::Failed(error));
    }
    freed > 0
}

fn spill_blocks(content: &Content, blocks: &[(BlockRef, Bytes)]) -> Result<(), DiskError> {
    for (block, data) in blocks {
        let start =
            content.layout().piece_offset(PieceIndex(block.piece.0)) + u64::from(block.begin);
        content.write_run(start, &mut [IoSlice::new(data)])?;
    }
    Ok(())
}
