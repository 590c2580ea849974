//! `bt-client create PATH`: a torrent from a file or folder.

use std::collections::BTreeSet;
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

use bt_metainfo::create::{Blame, Error, Options, Plan, creation_date};
use bt_metainfo::{HostPort, Metainfo, Version, Warning};
use clap::Args;
use serde::Serialize;

use super::Context;
use super::exit::Exit;
use super::output::{IfThere, Output};
use super::progress::Row;
use super::report::{Failure, Outcome};
use super::select::glob_text;
use super::units;

/// What we call ourselves in torrents.
const CREATOR: &str = concat!("bt-client/", env!("CARGO_PKG_VERSION"));
/// Schemes of trackers and of web seeds.
const TRACKER_SCHEMES: &[&str] = &["http", "https", "udp", "ws", "wss"];
const WEB_SEED_SCHEMES: &[&str] = &["http", "https", "ftp"];

/// Make a torrent of a file or folder
#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch on the command line"
)]
pub(crate) struct CreateArgs {
    /// The file or folder to share
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// Write the torrent here, or to standard output with - [default: NAME.torrent]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace the output file if it is there
    #[arg(long)]
    force: bool,
    /// Announce here; repeat for further tiers, separate URLs of one tier with commas
    #[arg(short, long, value_name = "URL", value_parser = parse_tiers)]
    tracker: Vec<Tiers>,
    /// The content is also at this URL (BEP 19); repeat for more
    #[arg(short, long, value_name = "URL", value_parser = parse_web_seed)]
    webseed: Vec<String>,
    /// Let clients enter the DHT here; repeat for more
    #[arg(long, value_name = "HOST:PORT")]
    node: Vec<HostPort>,
    /// Bytes of a piece, a power of two from 16KiB to 64MiB [default: at most 2048 pieces]
    #[arg(short = 's', long, value_name = "SIZE", value_parser = units::parse_size)]
    piece_length: Option<u64>,
    /// Make a v1 torrent, which every client understands; this is the default
    #[arg(long, conflicts_with_all = ["v2", "hybrid"])]
    v1: bool,
    /// Make a v2 torrent. This version makes v1 only, so that this is refused
    #[arg(long, conflicts_with = "hybrid")]
    v2: bool,
    /// Make a torrent that is both. This version makes v1 only, so that this is refused
    #[arg(long)]
    hybrid: bool,
    /// Allow peers from the trackers alone (BEP 27)
    #[arg(short, long)]
    private: bool,
    /// Call the torrent so instead of like the file or folder
    #[arg(short, long)]
    name: Option<String>,
    /// Add a text for people
    #[arg(short, long, value_name = "TEXT")]
    comment: Option<String>,
    /// Say where it was made; gives the same content another info-hash
    #[arg(long, value_name = "TEXT")]
    source: Option<String>,
    /// Say it was made then, in seconds since 1970 [default: SOURCE_DATE_EPOCH, or now]
    #[arg(long, value_name = "EPOCH", value_parser = clap::value_parser!(i64).range(0..))]
    date: Option<i64>,
    /// Do not say when it was made
    #[arg(long, conflicts_with = "date")]
    no_date: bool,
    /// Do not say which program made it
    #[arg(long)]
    no_creator: bool,
    /// Take only what matches: names, or paths if there is a / in it; repeat for more
    #[arg(long, value_name = "GLOB", value_parser = glob_text)]
    include: Vec<String>,
    /// Leave out what matches; repeat for more
    #[arg(long, value_name = "GLOB", value_parser = glob_text)]
    exclude: Vec<String>,
    /// Leave out names that begin with a dot
    #[arg(long)]
    no_hidden: bool,
    /// Follow symbolic links instead of leaving them out
    #[arg(long)]
    follow_symlinks: bool,
    /// Hash with this many threads [default: one for each core]
    #[arg(short = 'j', long, value_name = "N")]
    threads: Option<NonZeroUsize>,
}

/// Tiers of trackers in one value. White space separates tiers too, so that a variable or a line
/// in a file can hold several.
#[derive(Debug, Clone)]
pub(crate) struct Tiers(pub(crate) Vec<Vec<String>>);

/// The result with `--json`; fields as in `show`.
#[derive(Debug, Serialize)]
struct Created<'a> {
    /// `null` when the torrent went to standard output.
    path: Option<String>,
    name: &'a str,
    info_hash_v1: Option<String>,
    info_hash_v2: Option<String>,
    piece_length: u32,
    piece_count: u32,
    total_size: u64,
    files: usize,
    magnet: &'a str,
    warnings: Vec<String>,
}

pub(crate) fn run(args: &CreateArgs, context: &Context) -> Outcome {
    let to_stdout = args.output.as_deref() == Some(Path::new("-"));
    if to_stdout && context.report.json() {
        return Err(
            Failure::new(Exit::Usage, "-o - and --json both want standard output")
                .of(&["json", "output"]),
        );
    }
    let mut options = options(args)?;
    let Some(mut plan) = plan(&args.path, &options, context)? else {
        return Ok(context.stopped());
    };
    let output = args
        .output
        .clone()
        .unwrap_or_else(|| PathBuf::from(format!("{}.torrent", plan.name())));
    let if_there = match args.force {
        true => IfThere::Replace,
        false => IfThere::AskForForce,
    };
    let output = Output::new(&output, if_there);
    let mut own = BTreeSet::new();
    if !to_stdout {
        // Now rather than after an hour of hashing. A link and what it leads to may both lie in the content.
        let place = output.place()?;
        own.extend(place_within(&args.path, output.named()));
        own.extend(place_within(&args.path, &place));
    }
    let mut warnings = Vec::new();
    if !own.is_empty() {
        for own in own {
            warnings.push(format!(
                "{} is left out: it is the torrent that is about to be written",
                own.display()
            ));
            let own = globset::escape(&own.to_string_lossy());
            options.exclude.push(format!("/{own}"));
        }
        let Some(without) = self::plan(&args.path, &options, context)? else {
            return Ok(context.stopped());
        };
        plan = without;
    }
    warnings.extend(plan.warnings().iter().map(ToString::to_string));
    for warning in &warnings {
        context.report.caution(warning);
    }
    let Some(metainfo) = hash(&plan, context, |_, _| {})? else {
        return Ok(context.stopped());
    };
    let renamed = |warning: &&Warning| matches!(warning, Warning::Renamed { file: None, .. });
    if let Some(renamed) = metainfo.warnings().iter().find(renamed) {
        // Everyone who reads it is told so; whoever gives it away can still choose another.
        let warning = format!("{renamed} where it is stored: some systems cannot hold it");
        context.report.caution(&warning);
        warnings.push(warning);
    }
    if to_stdout {
        context.report.bytes(&metainfo.to_bytes());
        return Ok(Exit::Success);
    }
    output.save(&metainfo.to_bytes())?;
    tell(output.named(), &metainfo, warnings, context);
    Ok(Exit::Success)
}

/// Where a file that is there lies below a folder, if it does.
fn place_within(folder: &Path, file: &Path) -> Option<PathBuf> {
    fs::symlink_metadata(file).ok()?;
    let whole = fs::canonicalize(folder).ok()?;
    let parent = file
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let parent = fs::canonicalize(parent.unwrap_or(Path::new("."))).ok()?;
    let within = parent.join(file.file_name()?);
    let within = within.strip_prefix(&whole).ok()?;
    (within != Path::new("")).then(|| within.to_owned())
}

/// Finds the files, with errors in our words; `None` when we were asked to stop.
pub(crate) fn plan(
    path: &Path,
    options: &Options,
    context: &Context,
) -> Result<Option<Plan>, Failure> {
    match Plan::search(path, options, context.stop.flag()) {
        Err(Error::Canceled) => Ok(None),
        plan => plan.map(Some).map_err(|error| failure(path, &error)),
    }
}

/// Hashes the content with progress, of which `tell` hears bytes done and bytes in all; `None` when we were asked to
/// stop.
pub(crate) fn hash(
    plan: &Plan,
    context: &Context,
    mut tell: impl FnMut(u64, u64),
) -> Result<Option<Metainfo>, Failure> {
    let mut progress = context.progress();
    let name = plan.name();
    let started = Instant::now();
    let assembly = plan.hash(context.stop.flag(), |hashed| {
        tell(hashed.done, hashed.total);
        let now = Instant::now();
        let rate = hashed.done as f64
            / now
                .saturating_duration_since(started)
                .as_secs_f64()
                .max(0.001);
        let reason = units::rate(rate);
        progress.show(
            now,
            &[Row {
                reason: &reason,
                ..Row::plain(name, "hashing", hashed.done, hashed.total)
            }],
        );
    });
    progress.end();
    let broken = |error: &dyn std::error::Error| {
        Failure::new(Exit::BadInput, format!("cannot make a torrent of {name}")).cause(error)
    };
    match assembly {
        Err(Error::Canceled) => Ok(None),
        Err(error) => Err(failure(Path::new(name), &error)),
        Ok(assembly) => {
            let bytes = assembly.to_bytes().map_err(|error| broken(&error))?;
            Metainfo::parse(&bytes)
                .map(Some)
                .map_err(|error| broken(&error))
        }
    }
}

/// The folder that the content is in, whatever links lead there.
pub(crate) fn folder_of(content: &Path) -> Result<PathBuf, Failure> {
    let whole = fs::canonicalize(content).map_err(|error| {
        Failure::new(Exit::Storage, format!("cannot find {}", content.display())).cause(&error)
    })?;
    Ok(whole.parent().unwrap_or(Path::new("/")).to_owned())
}

/// The creator that `seed PATH` and `demo` name too.
pub(crate) fn creator() -> Option<String> {
    Some(CREATOR.to_owned())
}

fn options(args: &CreateArgs) -> Result<Options, Failure> {
    let creation_date = if args.no_date {
        None
    } else if let Some(date) = args.date {
        Some(date)
    } else {
        Some(date(std::env::var("SOURCE_DATE_EPOCH").ok().as_deref())?)
    };
    let version = match (args.v2, args.hybrid) {
        (true, _) => Version::V2,
        (_, true) => Version::Hybrid,
        _ => Version::V1,
    };
    Ok(Options {
        trackers: args
            .tracker
            .iter()
            .flat_map(|tiers| tiers.0.clone())
            .collect(),
        web_seeds: args.webseed.clone(),
        nodes: args.node.clone(),
        piece_length: args.piece_length.map(piece_length).transpose()?,
        version,
        private: args.private,
        name: args.name.clone(),
        comment: args.comment.clone(),
        source: args.source.clone(),
        created_by: if args.no_creator { None } else { creator() },
        creation_date,
        include: args.include.clone(),
        exclude: args.exclude.clone(),
        hidden: !args.no_hidden,
        follow_symlinks: args.follow_symlinks,
        threads: args.threads,
    })
}

fn date(source_date_epoch: Option<&str>) -> Result<i64, Failure> {
    creation_date(
        source_date_epoch.filter(|text| !text.is_empty()),
        SystemTime::now(),
    )
    .map_err(|error| {
        Failure::new(Exit::Usage, error.to_string()).hint("unset it, or give --date or --no-date")
    })
}

/// The power of two that was asked for, or the one that was probably meant.
fn piece_length(bytes: u64) -> Result<u32, Failure> {
    const LEAST: u64 = 16 << 10;
    let most = u64::from(bt_metainfo::limits::MAX_PIECE_LENGTH);
    let fits = bytes.is_power_of_two() && (LEAST..=most).contains(&bytes);
    if let Some(length) = u32::try_from(bytes).ok().filter(|_| fits) {
        return Ok(length);
    }
    let near = bytes.clamp(LEAST, most).next_power_of_two();
    let meant = if near < 1 << 20 {
        format!("{}KiB", near >> 10)
    } else {
        format!("{}MiB", near >> 20)
    };
    Err(Failure::new(
        Exit::Usage,
        format!("a piece length of {bytes} bytes cannot be used"),
    )
    .of(&["piece-length"])
    .because(format!(
        "it must be a power of two from {} to {}",
        units::size(LEAST),
        units::size(most)
    ))
    .hint(format!("did you mean -s {meant}? (k is 1000, KiB is 1024)")))
}

/// Errors of making torrents, as exit codes and advice.
fn failure(path: &Path, error: &Error) -> Failure {
    let exit = match error.blame() {
        Blame::Options => Exit::Usage,
        Blame::Content => Exit::BadInput,
        Blame::Storage => Exit::Storage,
        Blame::Nobody => Exit::Other,
    };
    let failure =
        Failure::new(exit, format!("cannot make a torrent of {}", path.display())).cause(error);
    match error {
        Error::NotYet { .. } => failure
            .of(&["v2", "hybrid"])
            .hint("leave --v2 and --hybrid out"),
        Error::NoName { .. } => failure.hint("give it one with --name"),
        Error::Assembly(bt_metainfo::Error::Name { .. }) => {
            failure.of(&["name"]).hint("give another one with --name")
        }
        Error::Assembly(bt_metainfo::Error::Url { .. }) => failure.of(&["tracker", "webseed"]),
        Error::NothingTaken { .. } => failure.hint("look at --include and --exclude"),
        Error::Changed { .. } | Error::Vanished { .. } => {
            failure.hint("try again when nobody writes there")
        }
        _ => failure,
    }
}

fn tell(output: &Path, metainfo: &Metainfo, warnings: Vec<String>, context: &Context) {
    let info = metainfo.info();
    let layout = info.layout();
    let magnet = metainfo.magnet().to_string();
    let path = output.display().to_string();
    let pieces = units::count(layout.piece_count().into(), "piece");
    context.report.lines([
        format!("torrent    {path}"),
        format!("info-hash  {}", metainfo.info_hash()),
        format!("magnet     {magnet}"),
        format!(
            "content    {}, {}, {pieces} of {}",
            units::size(layout.total_length()),
            units::count(info.files().len() as u64, "file"),
            units::size(layout.piece_length().into()),
        ),
    ]);
    context.report.emit(&Created {
        path: Some(path),
        name: info.name(),
        info_hash_v1: metainfo.info_hash_v1().map(|hash| hash.to_string()),
        info_hash_v2: metainfo.info_hash_v2().map(|hash| hash.to_string()),
        piece_length: layout.piece_length(),
        piece_count: layout.piece_count(),
        total_size: layout.total_length(),
        files: info.files().len(),
        magnet: &magnet,
        warnings,
    });
}

/// `http://a/announce,udp://b:1/announce`: one tier; white space separates tiers.
pub(crate) fn parse_tiers(text: &str) -> Result<Tiers, String> {
    let tier = |text: &str| {
        text.split(',')
            .map(|url| parse_url(url, TRACKER_SCHEMES))
            .collect()
    };
    match text
        .split_whitespace()
        .map(tier)
        .collect::<Result<Vec<_>, _>>()?
    {
        tiers if tiers.is_empty() => Err("expected a URL".to_owned()),
        tiers => Ok(Tiers(tiers)),
    }
}

pub(super) fn parse_web_seed(text: &str) -> Result<String, String> {
    parse_url(text.trim(), WEB_SEED_SCHEMES)
}

/// Looks at the scheme and that there is a host; the rest is up to who answers there.
fn parse_url(text: &str, schemes: &[&str]) -> Result<String, String> {
    let usage = || {
        format!(
            "\"{text}\" is not a URL that starts with {}://",
            schemes.join("://, ")
        )
    };
    let (scheme, rest) = text.split_once("://").ok_or_else(usage)?;
    let known = schemes
        .iter()
        .any(|known| known.eq_ignore_ascii_case(scheme));
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if !known || host.is_empty() || text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(usage());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{parse_tiers, piece_length};

    #[test]
    fn commas_join_a_tier_and_spaces_separate_tiers() {
        let tiers = parse_tiers("http://a/announce,udp://b:1/announce  https://c/announce")
            .unwrap()
            .0;
        assert_eq!(
            tiers,
            [
                vec!["http://a/announce", "udp://b:1/announce"],
                vec!["https://c/announce"]
            ]
        );
        for bad in [
            "",
            "http://",
            "a",
            "http://a/x,",
            "file:///etc/passwd",
            "http://a/\u{1}",
        ] {
            assert!(parse_tiers(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn only_powers_of_two_are_piece_lengths() {
        assert_eq!(piece_length(1 << 20).unwrap(), 1 << 20);
        let hint = |bytes| piece_length(bytes).unwrap_err().to_string();
        assert!(hint(512_000).contains("-s 512KiB"));
        assert!(hint(0).contains("-s 16KiB"));
        assert!(hint(u64::MAX).contains("-s 64MiB"));
    }
}
