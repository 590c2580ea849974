//! The events of `--json`: one closed list whose names and fields scripts rely on. It must not
//! know where the numbers come from.

use std::borrow::Cow;

use serde::Serialize;

/// One line of `download --json` and `seed --json`. Sizes are bytes, rates bytes a
/// second, times seconds.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Event<'a> {
    /// The torrent is part of the session.
    Added {
        info_hash: &'a str,
        name: &'a str,
        /// Where peers can connect to.
        port: u16,
    },
    /// Everything that the torrent describes is known.
    Metadata {
        info_hash: &'a str,
        name: &'a str,
        size: u64,
        pieces: u32,
        files: usize,
    },
    /// Content is being hashed to make a torrent of it; only with `seed PATH`, before `added`.
    Hashing {
        name: &'a str,
        done: u64,
        total: u64,
    },
    /// Existing content is being hashed.
    Checking {
        info_hash: &'a str,
        done: u64,
        total: u64,
    },
    /// How far it is; comes about once a second and at each change of `state`.
    Progress {
        info_hash: &'a str,
        have: u64,
        total: u64,
        down_rate: u64,
        up_rate: u64,
        peers: u32,
        seeds: u32,
        eta: Option<u64>,
        state: &'a str,
        reason: &'a str,
        downloaded: u64,
        uploaded: u64,
    },
    /// A piece was verified; only with `--events piece`.
    Piece { info_hash: &'a str, index: u32 },
    /// The torrent can be downloaded from us on this port.
    Seeding { info_hash: &'a str, port: u16 },
    /// All wanted content is on disk and verified.
    Complete {
        info_hash: &'a str,
        path: &'a str,
        seconds: f64,
        downloaded: u64,
        uploaded: u64,
        wasted: u64,
        hash_failures: u32,
        /// Bytes that were there already.
        reused: u64,
        /// Bytes that were hashed at the start because no earlier run had proven them.
        hashed: u64,
    },
    /// Something is not as it should be, and the work goes on.
    Warning { kind: &'a str, message: &'a str },
    /// The work ended without reaching its goal.
    Error {
        kind: &'a str,
        message: Cow<'a, str>,
        cause: Option<String>,
        hint: Option<Cow<'a, str>>,
    },
    /// The last event of a torrent.
    Stopped {
        info_hash: &'a str,
        downloaded: u64,
        uploaded: u64,
    },
}

#[cfg(test)]
mod tests {
    use super::Event;
    use crate::cli::report::json_line;

    #[test]
    fn the_name_of_the_event_comes_first() {
        let line = json_line(&Event::Piece {
            info_hash: "ab",
            index: 7,
        });
        assert_eq!(line, r#"{"event":"piece","info_hash":"ab","index":7}"#);
    }
}
