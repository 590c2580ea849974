//! Splitting a stream of blocks into messages.

use std::hint::black_box;

use bt_metainfo::{BLOCK_SIZE, BlockRef, PieceIndex};
use bt_wire::{Message, frame};
use bytes::{Bytes, BytesMut};

use crate::measure::Meter;

/// Blocks in the stream; about what one large read brings.
const BLOCKS: u32 = 16;

pub(crate) fn run(meter: &Meter) {
    let stream = stream();
    let count = BLOCKS as usize;
    meter.each(
        "wire: split off one block of 16 KiB",
        count,
        || BytesMut::from(&stream[..]),
        |mut buffer| {
            while let Ok(Some(message)) = frame::decode(&mut buffer) {
                black_box(message);
            }
        },
    );
    let requests: Vec<Message> = (0..1000).map(|n| Message::Request(block(n))).collect();
    meter.each(
        "wire: encode one request",
        requests.len(),
        || BytesMut::with_capacity(17 * requests.len()),
        |mut out| {
            for request in &requests {
                request.encode(&mut out);
            }
            black_box(out);
        },
    );
}

const fn block(number: u32) -> BlockRef {
    BlockRef::new(
        PieceIndex(number / 64),
        number % 64 * BLOCK_SIZE,
        BLOCK_SIZE,
    )
}

fn stream() -> Bytes {
    let data = Bytes::from(vec![0x11; BLOCK_SIZE as usize]);
    let mut out = BytesMut::new();
    for number in 0..BLOCKS {
        let block = block(number);
        let data = data.clone();
        Message::Piece { block, data }.encode(&mut out);
    }
    out.freeze()
}
