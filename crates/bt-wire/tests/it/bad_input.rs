//! The files of `tests/bad-input` that a peer sends: handshakes, streams after them, and the
//! dictionaries of the extension protocol. Streams are fed whole and byte by byte.

use bt_wire::{Handshake, ext};

use crate::broken_streams::{Us, feed};
use crate::replay::replay;

/// P6 of `docs/SECURITY.md`.
#[test]
fn every_stream_gets_its_verdict() {
    replay("peer-streams", |name, bytes| {
        let role = match name.split('-').next() {
            Some("dialing") => Us::Dialing,
            Some("plain") => Us::Plain,
            Some("magnet") => Us::Magnet,
            _ => panic!("{name}: nobody"),
        };
        let whole = feed(role, bytes, usize::MAX);
        assert_eq!(feed(role, bytes, 1), whole, "{name}, byte by byte");
        let blamed = [
            "malformed bytes from the peer: ",
            "the peer broke the protocol: ",
        ];
        assert!(
            whole.is_empty() || blamed.iter().any(|blame| whole.starts_with(blame)),
            "{name}: {whole}"
        );
        if whole.is_empty() {
            Ok(whole)
        } else {
            Err(whole)
        }
    });
}

#[test]
fn every_handshake_gets_its_verdict() {
    replay("handshakes", |_, bytes| {
        let read = Handshake::decode(bytes);
        read.map(|_| String::new())
            .map_err(|error| error.to_string())
    });
}

#[test]
fn every_extension_handshake_gets_its_verdict() {
    replay(
        "extension-handshakes",
        |name, bytes| match ext::Handshake::decode(bytes) {
            Ok(read) => {
                let again = ext::Handshake::decode(&read.encode());
                assert_eq!(again.as_ref(), Ok(&read), "{name}");
                assert_ne!(read.port, Some(0), "{name}");
                assert_ne!(read.max_requests, Some(0), "{name}");
                assert_ne!(read.metadata_size, Some(0), "{name}");
                Ok(String::new())
            }
            Err(error) => Err(error.to_string()),
        },
    );
}
