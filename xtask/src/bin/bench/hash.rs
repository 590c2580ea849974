//! Hashing: one message alone, and as many at once as the processor does well.

use std::hint::black_box;

use bt_metainfo::lanes::{sha1_each, sha1_width, sha256_each};

use crate::measure::Meter;

/// A usual piece.
const PIECE: usize = 1 << 20;
/// A leaf of the tree of BEP 52.
const LEAF: usize = 16 * 1024;

pub(crate) fn run(meter: &Meter) {
    let data = vec![0xa5; 8 * PIECE];
    let one: [&[&[u8]]; 1] = [&[&data[..PIECE]]];
    meter.throughput("hash: SHA-1, one 1 MiB piece", PIECE, || {
        black_box(sha1_each(black_box(&one)));
    });
    let pieces: Vec<[&[u8]; 1]> = data.chunks(PIECE).map(|piece| [piece]).collect();
    let pieces: Vec<&[&[u8]]> = pieces.iter().map(<[_; 1]>::as_slice).collect();
    let name = format!("hash: SHA-1, 8 pieces, {} lanes", sha1_width());
    meter.throughput(&name, data.len(), || {
        black_box(sha1_each(black_box(&pieces)));
    });
    let leaves: Vec<[&[u8]; 1]> = data.chunks(LEAF).map(|leaf| [leaf]).collect();
    let leaves: Vec<&[&[u8]]> = leaves.iter().map(<[_; 1]>::as_slice).collect();
    meter.throughput("hash: SHA-256, 512 leaves of 16 KiB", data.len(), || {
        black_box(sha256_each(black_box(&leaves)));
    });
}
