//! `bt-client show FILE|MAGNET|-`: everything that a torrent or magnet says.

use std::ffi::OsString;

use bt_metainfo::{Magnet, Metainfo};
use clap::Args;
use serde::Serialize;

use super::Context;
use super::exit::Exit;
use super::report::Outcome;
use super::source::{self, Source};
use super::units;

/// Files listed for people unless all are asked for.
const FILES_SHOWN: usize = 100;

/// Show what a torrent or magnet says
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The .torrent file, a magnet, or - for a torrent on standard input
    #[arg(value_name = "FILE|MAGNET|-")]
    source: OsString,
    /// List all files, however many there are
    #[arg(long)]
    files: bool,
}

/// The result with `--json`. A magnet knows little: what it does not know is null or empty.
#[derive(Debug, Serialize)]
pub(crate) struct Shown {
    name: Option<String>,
    info_hash_v1: Option<String>,
    info_hash_v2: Option<String>,
    piece_length: Option<u32>,
    piece_count: Option<u32>,
    total_size: Option<u64>,
    private: Option<bool>,
    files: Vec<ShownFile>,
    trackers: Vec<Vec<String>>,
    web_seeds: Vec<String>,
    nodes: Vec<String>,
    comment: Option<String>,
    created_by: Option<String>,
    creation_date: Option<i64>,
    source: Option<String>,
    magnet: String,
    warnings: Vec<String>,
}

#[derive(Debug, Serialize)]
struct ShownFile {
    path: String,
    length: u64,
    pad: bool,
}

pub(crate) async fn run(args: &ShowArgs, context: &Context) -> Outcome {
    let shown = match source::torrent_or_magnet(&args.source, context).await? {
        Some(Source::Torrent(metainfo)) => Shown::of_torrent(&metainfo),
        Some(Source::Magnet(magnet)) => Shown::of_magnet(&magnet),
        None => return Ok(context.stopped()),
    };
    context.report.emit(&shown);
    context.report.lines(shown.table(args.files));
    for warning in &shown.warnings {
        if !context.report.json() {
            context.report.caution(warning);
        }
    }
    Ok(Exit::Success)
}

impl Shown {
    fn of_torrent(metainfo: &Metainfo) -> Self {
        let info = metainfo.info();
        let layout = info.layout();
        let text = |text: Option<&str>| text.map(str::to_owned);
        Self {
            name: Some(info.name().to_owned()),
            info_hash_v1: metainfo.info_hash_v1().map(|hash| hash.to_string()),
            info_hash_v2: metainfo.info_hash_v2().map(|hash| hash.to_string()),
            piece_length: Some(layout.piece_length()),
            piece_count: Some(layout.piece_count()),
            total_size: Some(layout.content_length()),
            private: Some(info.private()),
            files: info
                .files()
                .iter()
                .map(|file| ShownFile {
                    path: file.path.to_string(),
                    length: file.length,
                    pad: file.attributes.pad,
                })
                .collect(),
            trackers: metainfo.trackers().to_vec(),
            web_seeds: metainfo.web_seeds().to_vec(),
            nodes: metainfo.nodes().iter().map(ToString::to_string).collect(),
            comment: text(metainfo.comment()),
            created_by: text(metainfo.created_by()),
            creation_date: metainfo.creation_date(),
            source: text(info.source()),
            magnet: metainfo.magnet().to_string(),
            warnings: metainfo
                .warnings()
                .iter()
                .map(ToString::to_string)
                .collect(),
        }
    }

    fn of_magnet(magnet: &Magnet) -> Self {
        Self {
            name: magnet.display_name.clone(),
            info_hash_v1: magnet.info_hash_v1().map(|hash| hash.to_string()),
            info_hash_v2: magnet.info_hash_v2().map(|hash| hash.to_string()),
            piece_length: None,
            piece_count: None,
            total_size: magnet.length,
            private: None,
            files: Vec::new(),
            // Trackers of a magnet stand side by side: each is a tier of its own.
            trackers: magnet
                .trackers
                .iter()
                .map(|url| vec![url.clone()])
                .collect(),
            web_seeds: magnet.web_seeds.clone(),
            nodes: Vec::new(),
            comment: None,
            created_by: None,
            creation_date: None,
            source: None,
            magnet: magnet.to_string(),
            warnings: Vec::new(),
        }
    }

    /// The same for people.
    fn table(&self, all_files: bool) -> Vec<String> {
        let mut lines = Vec::new();
        let mut row = |label: &str, value: Option<String>| {
            if let Some(value) = value {
                lines.push(format!("{label:<13} {value}"));
            }
        };
        row("name", self.name.clone());
        row("info-hash", self.info_hash_v1.clone());
        row("info-hash v2", self.info_hash_v2.clone());
        let files = self.files.iter().filter(|file| !file.pad).count();
        row(
            "size",
            self.total_size.map(|bytes| match files {
                0 => format!("{} ({bytes} bytes)", units::size(bytes)),
                files => format!(
                    "{} ({bytes} bytes) in {}",
                    units::size(bytes),
                    units::count(files as u64, "file")
                ),
            }),
        );
        row(
            "pieces",
            self.piece_count
                .zip(self.piece_length)
                .map(|(count, length)| format!("{count} of {}", units::size(length.into()))),
        );
        row(
            "private",
            self.private
                .map(|private| if private { "yes" } else { "no" }.to_owned()),
        );
        for (label, value) in [
            ("comment", &self.comment),
            ("created by", &self.created_by),
            ("source", &self.source),
        ] {
            row(label, value.clone());
        }
        row("created at", self.creation_date.map(moment));
        for (tier, number) in self.trackers.iter().zip(1..) {
            row(&format!("tracker {number}"), Some(tier.join(", ")));
        }
        for (label, list) in [("web seed", &self.web_seeds), ("node", &self.nodes)] {
            for value in list {
                row(label, Some(value.clone()));
            }
        }
        row("magnet", Some(self.magnet.clone()));
        let shown = if all_files {
            self.files.len()
        } else {
            FILES_SHOWN
        };
        for (file, number) in self
            .files
            .iter()
            .zip(1..)
            .filter(|(file, _)| !file.pad)
            .take(shown)
        {
            row(
                &format!("file {number}"),
                Some(format!("{:>10}  {}", units::size(file.length), file.path)),
            );
        }
        if files > shown {
            lines.push(format!(
                "{} more files: list them with --files",
                files - shown
            ));
        }
        lines
    }
}

/// `2026-03-01 12:30:00 UTC`, and the number itself where no calendar reaches.
fn moment(seconds: i64) -> String {
    const LAST_OF_9999: i64 = 253_402_300_799;
    if !(0..=LAST_OF_9999).contains(&seconds) {
        return format!("{seconds} s since 1970");
    }
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    format!(
        "{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02} UTC",
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

/// Days since 1970-01-01 as year, month, day of the Gregorian calendar. Counts in years that
/// begin in March, so that the leap day is the last of its year.
fn civil(days: i64) -> (i64, i64, i64) {
    const DAYS_OF_400_YEARS: i64 = 146_097;
    // From 0000-03-01 to 1970-01-01.
    let days = days + 719_468;
    let (era, day_of_era) = (
        days.div_euclid(DAYS_OF_400_YEARS),
        days.rem_euclid(DAYS_OF_400_YEARS),
    );
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::moment;

    #[test]
    fn dates_follow_the_calendar() {
        let table = [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (951_868_799, "2000-02-29 23:59:59 UTC"),
            (1_709_164_800, "2024-02-29 00:00:00 UTC"),
            (1_772_368_200, "2026-03-01 12:30:00 UTC"),
            (4_107_542_399, "2100-02-28 23:59:59 UTC"),
            (4_107_542_400, "2100-03-01 00:00:00 UTC"),
            (253_402_300_799, "9999-12-31 23:59:59 UTC"),
            (253_402_300_800, "253402300800 s since 1970"),
            (-1, "-1 s since 1970"),
            (i64::MAX, "9223372036854775807 s since 1970"),
        ];
        for (seconds, text) in table {
            assert_eq!(moment(seconds), text);
        }
    }
}
