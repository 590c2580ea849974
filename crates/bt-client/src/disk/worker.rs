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

pub(super) fn verify(shared: &Shared, waiting: Vec<Waiting>) {
    let mut pieces = Vec::with_capacity(waiting.len());
    for Waiting { content, whole, .. } in waiting {
        match fetch_spilled(&content, &whole) {
            Ok(data) => pieces.push((content, whole, data)),
            Err(error) => {
                shared.budget.give_back(whole.memory());
                content.report(Done::Failed(error));
            }
        }
    }
    let slices: Vec<Vec<&[u8]>> =
        pieces.iter().map(|(_, _, data)| data.iter().map(AsRef::as_ref).collect()).collect();
    let inputs: Vec<&[&[u8]]> = slices.iter().map(Vec::as_slice).collect();
    let hashes = lanes::sha1_each(&inputs);
    drop(slices);
    for ((content, whole, data), hash) in pieces.into_iter().zip(hashes) {
        let good = content.piece_hash(whole.piece) == Some(&hash);
        let done = finish(&content, &whole, &data, good);
        shared.budget.give_back(whole.memory());
        content.report(done);
    }
}

fn finish(content: &Content, whole: &WholePiece, data: &[Bytes], good: bool) -> Done {
    let digests = if good && !whole.watched { Vec::new() } else { digests(data) };
    let piece = whole.piece;
    if !good {
        return Done::Bad { piece, digests };
    }
    match write_piece(content, whole) {
        Ok(()) => Done::Good { piece, digests },
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

/// Takes the largest incomplete piece of `content` out of memory.
pub(super) fn spill(shared: &Shared, content: &Arc<Content>) {
    let blocks = content.take_for_spill();
    let held: usize = blocks.iter().map(|(_, data)| data.len()).sum();
    let written = spill_blocks(content, &blocks);
    shared.budget.give_back(held);
    if let Err(error) = written {
        content.report(Done::Failed(error));
    }
}

fn spill_blocks(content: &Content, blocks: &[(BlockRef, Bytes)]) -> Result<(), DiskError> {
    for (block, data) in blocks {
        let start = content.layout().piece_offset(PieceIndex(block.piece.0)) + u64::from(block.begin);
        content.write_run(start, &mut [IoSlice::new(data)])?;
    }
    Ok(())
}
