//! Parsing, visiting and writing a large torrent file.

use std::hint::black_box;

use bt_bencode::{Encoder, OwnedValue, Value, parse};

use crate::measure::Meter;

/// Entries of the file list; half of the file is names, the other half piece hashes.
const FILES: usize = 60_000;
const HASHES: usize = 5 * 1024 * 1024 / 20;

pub(crate) fn run(meter: &Meter) {
    let torrent = torrent();
    let size = torrent.len();
    meter.throughput("bencode: parse 10 MiB torrent", size, || {
        black_box(parse(black_box(&torrent)).is_ok());
    });
    meter.throughput("bencode: parse and visit every value", size, || {
        black_box(parse(black_box(&torrent)).map_or(0, visit));
    });
    let owned = parse(&torrent)
        .map(Value::to_owned)
        .expect("the torrent is well-formed");
    meter.throughput("bencode: encode it from the heap", size, || {
        black_box(OwnedValue::encode(black_box(&owned)));
    });
}

/// How many values there are; recursion is as deep as the torrent above, which is four.
fn visit(value: Value<'_>) -> usize {
    let below: usize = if let Some(dict) = value.as_dict() {
        dict.iter().map(|(_, value)| visit(value)).sum()
    } else if let Some(list) = value.as_list() {
        list.iter().map(visit).sum()
    } else {
        black_box(value.raw());
        0
    };
    below + 1
}

fn torrent() -> Vec<u8> {
    let mut encoder = Encoder::new();
    let written = encoder.dict(|root| {
        root.bytes("announce", "http://tracker.example/announce")?;
        root.dict("info", |info| {
            info.list("files", |files| {
                for number in 0..FILES {
                    files.dict(|file| {
                        file.int("length", number * 977)?;
                        file.list("path", |path| {
                            path.bytes(format!("folder {:04}", number / 50))?;
                            path.bytes(format!("a file with a name {number:06}.bin"))
                        })
                    })?;
                }
                Ok(())
            })?;
            info.bytes("name", "large")?;
            info.int("piece length", 1 << 20)?;
            info.bytes("pieces", vec![0x5a; HASHES * 20])
        })
    });
    written.expect("keys are in order");
    encoder.finish()
}
