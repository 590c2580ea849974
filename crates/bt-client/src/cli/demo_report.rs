//! What `demo` comes to, for people and for programs. It only counts.

use std::time::Duration;

use bt_metainfo::Metainfo;
use serde::Serialize;

use super::units;

/// One participant's figures at the end, in bytes and seconds.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Part {
    pub(crate) name: String,
    pub(crate) downloaded: u64,
    pub(crate) uploaded: u64,
    pub(crate) wasted: u64,
    pub(crate) hash_failures: u32,
    /// Until it was complete; null for the seeder, which was from the start.
    pub(crate) seconds: Option<f64>,
    #[serde(skip)]
    pub(crate) reason: String,
}

/// The result of `demo --json`.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename = "demo")]
pub(crate) struct Figures {
    info_hash: String,
    name: String,
    size: u64,
    files: usize,
    pieces: u32,
    seconds: f64,
    /// All participants together.
    bytes_moved: u64,
    /// Bytes a second.
    rate: u64,
    /// Uploaded by the seeder, divided by the size of the content.
    seeder_copies: f64,
    participants: Vec<Part>,
    verified: bool,
    /// Files of copies that are not what the original is.
    different: Vec<String>,
}

impl Figures {
    /// The seeder is the first of `parts`.
    pub(crate) fn new(
        metainfo: &Metainfo,
        parts: Vec<Part>,
        took: Duration,
        different: Vec<String>,
    ) -> Self {
        let info = metainfo.info();
        let layout = info.layout();
        let size = layout.content_length();
        let moved: u64 = parts.iter().map(|part| part.downloaded).sum();
        let seconds = took.as_secs_f64();
        let from_seeder = parts.first().map_or(0, |seeder| seeder.uploaded);
        Self {
            info_hash: metainfo.info_hash().to_string(),
            name: info.name().to_owned(),
            size,
            files: layout.files().filter(|file| !layout.is_pad(*file)).count(),
            pieces: layout.piece_count(),
            seconds,
            bytes_moved: moved,
            rate: units::whole(moved as f64 / seconds.max(0.001)),
            seeder_copies: from_seeder as f64 / size.max(1) as f64,
            participants: parts,
            verified: different.is_empty(),
            different,
        }
    }

    /// Whether every byte of every copy is right.
    pub(crate) fn verified(&self) -> bool {
        self.verified
    }

    /// The same for people.
    pub(crate) fn table(&self) -> Vec<String> {
        let mut lines = vec![format!(
            "shared {} ({}, {}, {})",
            self.name,
            units::size(self.size),
            units::count(self.files as u64, "file"),
            units::count(self.pieces.into(), "piece"),
        )];
        lines.extend(self.participants.iter().map(Self::row));
        let leechers = self.participants.len().saturating_sub(1);
        lines.push(format!(
            "moved {} in {:.2} s ({}); the seeder sent {:.2} copies for {}",
            units::size(self.bytes_moved),
            self.seconds,
            units::rate(self.rate as f64),
            self.seeder_copies,
            units::count(leechers as u64, "leecher"),
        ));
        if self.verified {
            lines.push(format!(
                "verified: the sha256 of {} in {} is that of the original",
                units::count(self.files as u64, "file"),
                if leechers == 1 {
                    "1 copy".to_owned()
                } else {
                    format!("each of {leechers} copies")
                },
            ));
        } else {
            lines.push("NOT verified: these files differ from the original".to_owned());
            lines.extend(self.different.iter().map(|file| format!("  {file}")));
        }
        lines
    }

    fn row(part: &Part) -> String {
        let sent = format!("sent {:>10}", units::size(part.uploaded));
        let Some(seconds) = part.seconds else {
            return format!("  {:<11} {sent}", part.name);
        };
        let rate = units::rate(part.downloaded as f64 / seconds.max(0.001));
        format!(
            "  {:<11} {sent}, got {:>10} in {seconds:.2} s ({rate}), not needed {}, {}",
            part.name,
            units::size(part.downloaded),
            units::size(part.wasted),
            units::count(part.hash_failures.into(), "hash failure"),
        )
    }
}
