//! `bt-client verify TORRENT [PATH]`: whether the content on disk is what the torrent says.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Instant;

use bt_metainfo::Metainfo;
use bt_metainfo::verify::{Error, Event, Options, Place, Problem, Report, Verdict, verify};
use clap::Args;
use serde::Serialize;

use super::Context;
use super::exit::Exit;
use super::progress::Row;
use super::report::{Failure, Outcome};
use super::{source, units};

/// Files listed for people; a folder that was moved away would list them all.
const FILES_SHOWN: usize = 20;
/// Ranges of pieces listed for people.
const RANGES_SHOWN: usize = 20;

/// What helps whoever named the wrong folder.
pub(crate) const DATA_IS_THE_PARENT: &str =
    "--data is the folder that the torrent's own file or folder is in";

/// Check content against its torrent; exits with 6 when it differs
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The .torrent file, or - for standard input
    #[arg(value_name = "TORRENT")]
    torrent: PathBuf,
    /// The file or folder that holds the content, or the folder it is in
    #[arg(value_name = "PATH", default_value = ".")]
    path: PathBuf,
    /// Hash with this many threads [default: one for each core]
    #[arg(short = 'j', long, value_name = "N")]
    threads: Option<NonZeroUsize>,
}

/// The result with `--json`.
#[derive(Debug, Serialize)]
struct Verified {
    pieces: usize,
    bad: Vec<u32>,
    missing: Vec<u32>,
    complete: bool,
    files: Vec<FileTrouble>,
}

/// A file that something is wrong with apart from its bytes.
#[derive(Debug, Serialize)]
struct FileTrouble {
    path: String,
    problem: String,
}

pub(crate) async fn run(args: &VerifyArgs, context: &Context) -> Outcome {
    let Some(metainfo) = source::torrent(&args.torrent, context).await? else {
        return Ok(context.stopped());
    };
    let options = Options {
        threads: args.threads,
        ..Options::default()
    };
    let Some(report) = check(&metainfo, &args.path, &options, context, |_, _| {})? else {
        return Ok(context.stopped());
    };
    context.report.emit(&Verified {
        pieces: report.verdicts.len(),
        bad: report.pieces(Verdict::Bad).map(|piece| piece.0).collect(),
        missing: report
            .pieces(Verdict::Missing)
            .map(|piece| piece.0)
            .collect(),
        complete: report.is_complete(),
        files: report
            .files
            .iter()
            .map(|file| FileTrouble {
                path: file.path.display().to_string(),
                problem: file.problem.to_string(),
            })
            .collect(),
    });
    context.report.lines(table(&report));
    // What is proved to be wrong says more than what could not be looked at.
    let is_wrong = report.pieces(Verdict::Bad).next().is_some();
    if let Some(failure) = unreadable(Path::new(""), &report).filter(|_| !is_wrong) {
        return Err(failure);
    }
    Ok(if report.is_complete() {
        Exit::Success
    } else {
        Exit::Unverified
    })
}

/// Checks with progress, of which `tell` hears bytes done and bytes in all; `None` when we were asked to stop.
pub(crate) fn check(
    metainfo: &Metainfo,
    path: &Path,
    options: &Options,
    context: &Context,
    mut tell: impl FnMut(u64, u64),
) -> Result<Option<Report>, Failure> {
    let info = metainfo.info();
    let mut progress = context.progress();
    let started = Instant::now();
    let checked = verify(info, path, options, context.stop.flag(), |event| {
        if let Event::Progress { done, total } = event {
            tell(done, total);
            let now = Instant::now();
            let rate = done as f64
                / now
                    .saturating_duration_since(started)
                    .as_secs_f64()
                    .max(0.001);
            let reason = units::rate(rate);
            progress.show(
                now,
                &[Row {
                    reason: &reason,
                    ..Row::plain(info.name(), "checking", done, total)
                }],
            );
        }
    });
    progress.end();
    match checked {
        Ok(report) => Ok(Some(report)),
        Err(Error::Canceled) => Ok(None),
        Err(error) => Err(failure(info.name(), &error, options.place)),
    }
}

/// What a report comes to, in one line.
pub(crate) fn summary(report: &Report) -> String {
    let count = |verdict| report.pieces(verdict).count();
    let good = count(Verdict::Good);
    let mut text = format!(
        "{good} of {} ok",
        units::count(report.verdicts.len() as u64, "piece")
    );
    for (verdict, word) in [(Verdict::Bad, "bad"), (Verdict::Missing, "missing")] {
        match count(verdict) {
            0 => {}
            number => text.push_str(&format!(", {number} {word}")),
        }
    }
    text
}

/// Files that cannot be read say nothing of whether they are right: that is trouble with the storage. Paths of the report
/// are below `dir`.
pub(crate) fn unreadable(dir: &Path, report: &Report) -> Option<Failure> {
    let mut troubles = report.files.iter().filter_map(|file| match &file.problem {
        Problem::Unreadable(error) => Some((dir.join(&file.path), error)),
        _ => None,
    });
    let (path, error) = troubles.next()?;
    let failure =
        Failure::new(Exit::Storage, format!("cannot read {}", path.display())).cause(error);
    Some(match troubles.count() {
        0 => failure,
        more => failure.because(format!(
            "{} cannot be read either",
            units::count(more as u64, "other file")
        )),
    })
}

fn failure(name: &str, error: &Error, place: Place) -> Failure {
    let exit = if matches!(error, Error::NotYet) {
        Exit::Other
    } else {
        Exit::Storage
    };
    let failure = Failure::new(exit, format!("cannot check {name}")).cause(error);
    match error {
        Error::NotFound { .. } | Error::NotAFolder { .. } if place == Place::Parent => {
            failure.hint(DATA_IS_THE_PARENT)
        }
        Error::NotFound { .. } | Error::NotAFolder { .. } => {
            failure.hint("name the file or folder that holds the content, or the folder it is in")
        }
        _ => failure,
    }
}

/// The result for people.
fn table(report: &Report) -> Vec<String> {
    let word = if report.is_complete() {
        "complete"
    } else {
        "incomplete"
    };
    let mut lines = vec![format!("{word}: {}", summary(report))];
    for (verdict, word) in [(Verdict::Bad, "bad"), (Verdict::Missing, "missing")] {
        let ranges = ranges(report.pieces(verdict).map(|piece| piece.0));
        if !ranges.is_empty() {
            let more = ranges.len().saturating_sub(RANGES_SHOWN);
            let mut text = ranges
                .into_iter()
                .take(RANGES_SHOWN)
                .collect::<Vec<_>>()
                .join(",");
            if more > 0 {
                text.push_str(&format!(" and {more} more ranges"));
            }
            lines.push(format!("  {word} pieces: {text}"));
        }
    }
    lines.extend(
        report
            .files
            .iter()
            .take(FILES_SHOWN)
            .map(|file| format!("  {file}")),
    );
    if report.files.len() > FILES_SHOWN {
        lines.push(format!(
            "  and {} more files",
            report.files.len() - FILES_SHOWN
        ));
    }
    lines
}

/// Ascending numbers as `1-3`, `7`.
fn ranges(numbers: impl Iterator<Item = u32>) -> Vec<String> {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(number) => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    let text = |(from, to)| {
        if from == to {
            format!("{from}")
        } else {
            format!("{from}-{to}")
        }
    };
    ranges.into_iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::ranges;

    #[test]
    fn neighbors_make_ranges() {
        assert_eq!(
            ranges([0, 1, 2, 7, 9, 10].into_iter()),
            ["0-2", "7", "9-10"]
        );
        assert!(ranges(std::iter::empty()).is_empty());
        assert_eq!(ranges([u32::MAX].into_iter()), ["4294967295"]);
    }
}
