//! The files of `tests/bad-input/bencode`: strict parsing gives the verdict of the manifest, and
//! the pulling reader gives the same.

use bt_bencode::{Reader, parse};

use crate::replay::replay;

/// P6 of `docs/SECURITY.md`.
#[test]
fn every_file_gets_its_verdict() {
    replay("bencode", |name, bytes| {
        let verdict = parse(bytes)
            .map(|value| format!("{value:?}"))
            .map_err(|error| error.to_string());
        let mut reader = Reader::new(bytes);
        let read = loop {
            match reader.next() {
                Ok(Some(_)) => {}
                Ok(None) => break None,
                Err(error) => break Some(error.to_string()),
            }
        };
        assert_eq!(read, verdict.clone().err(), "{name}");
        verdict
    });
}
