//! How fast a large torrent is checked, walked and copied: one line for each figure.
//!
//! `cargo run --release -p bt-bencode --example speed [MEBIBYTES]`
#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use bt_bencode::{Encoder, OwnedValue, Reader, Result, Value, parse};

/// How long each figure is measured; the fastest run counts.
const MEASURE: Duration = Duration::from_millis(1500);

fn main() -> Result<()> {
    let mebibytes = std::env::args()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .unwrap_or(10);
    let torrent = torrent(mebibytes << 20)?;
    println!("{} bytes", torrent.len());
    report("parse (checked, borrowed tree)", &torrent, |input| {
        black_box(parse(input).is_ok());
    });
    report("pull all tokens", &torrent, |input| {
        let mut reader = Reader::new(input);
        while let Ok(Some(token)) = reader.next() {
            black_box(token);
        }
    });
    report("parse and visit every value", &torrent, |input| {
        black_box(parse(input).map_or(0, visit));
    });
    report(
        "parse and read name, lengths and paths",
        &torrent,
        |input| {
            black_box(total_length(input).is_ok());
        },
    );
    let root = parse(&torrent)?.dict()?;
    report("step over every key of the root", &torrent, |_| {
        black_box(black_box(root).len());
    });
    report("copy to the heap", &torrent, |input| {
        black_box(parse(input).map(Value::to_owned).is_ok());
    });
    let owned = parse(&torrent)?.to_owned();
    report("encode from the heap", &torrent, |_| {
        black_box(OwnedValue::encode(&owned));
    });
    Ok(())
}

/// A torrent of many short entries in its first half and of piece hashes in the second.
fn torrent(size: usize) -> Result<Vec<u8>> {
    let files = size / 2 / 85;
    let mut encoder = Encoder::new();
    encoder.dict(|root| {
        root.bytes("announce", "http://tracker.example/announce")?;
        root.int("creation date", 1_600_000_000)?;
        root.dict("info", |info| {
            info.list("files", |list| {
                (0..files).try_for_each(|number| {
                    list.dict(|file| {
                        file.int("length", 1_000_000 + number * 7919 % 5_000_000)?;
                        file.list("path", |path| {
                            path.bytes(format!("folder {:04}", number / 100))?;
                            path.bytes(format!("recording {number:06}.flac"))
                        })
                    })
                })
            })?;
            info.bytes("name", "archive")?;
            info.int("piece length", 1 << 18)?;
            let hashes: Vec<u8> = (0..=250).cycle().take(size / 2 / 20 * 20).collect();
            info.bytes("pieces", hashes)
        })
    })?;
    Ok(encoder.finish())
}

/// Counts the values below this one.
fn visit(value: Value<'_>) -> usize {
    if let Some(list) = value.as_list() {
        return 1 + list.iter().map(visit).sum::<usize>();
    }
    if let Some(dict) = value.as_dict() {
        return 1 + dict.iter().map(|(_, child)| visit(child)).sum::<usize>();
    }
    1
}

/// What a client does with a torrent, without the safety of paths.
fn total_length(input: &[u8]) -> Result<u64> {
    let mut total = 0;
    for (key, value) in parse(input)?.dict()?.dict("info")? {
        match key {
            b"name" => {
                black_box(value.str()?);
            }
            b"files" => {
                for file in value.list()? {
                    let file = file.dict()?;
                    total += file.u64("length")?;
                    for element in file.list("path")? {
                        black_box(element.str()?);
                    }
                }
            }
            _ => {}
        }
    }
    Ok(total)
}

fn report(what: &str, input: &[u8], mut run: impl FnMut(&[u8])) {
    let begin = Instant::now();
    let mut best = Duration::MAX;
    while begin.elapsed() < MEASURE {
        let start = Instant::now();
        run(black_box(input));
        best = best.min(start.elapsed());
    }
    let rate = input.len() as f64 / best.as_secs_f64() / 1e9;
    println!(
        "{what:42} {rate:6.2} GB/s  {:7.3} ms",
        best.as_secs_f64() * 1e3
    );
}
