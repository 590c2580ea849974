//! `bt-client download SRC`: gets what a torrent describes, and serves it on if asked to.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use bt_metainfo::{Metainfo, limits};
use bt_tracker::http::redacted;
use clap::{Args, ValueEnum};

use super::Context;
use super::args::Network;
use super::exit::Exit;
use super::goal::{Goal, SeedGoal};
use super::report::{Failure, Outcome};
use super::select::Selection;
use super::source::{self, Word};
use super::watch::{self, Job};
use super::{fetch, home, network, units};
use crate::{AddTorrent, Allocation, Check, SessionConfig};

/// Download what a torrent describes
#[derive(Debug, Args)]
pub(crate) struct DownloadArgs {
    /// A .torrent file, the http(s) URL of one, or - for standard input. Magnets and bare
    /// info-hashes are refused in this version
    #[arg(value_name = "SRC")]
    source: OsString,
    /// Put the file or folder of the torrent here
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    output: PathBuf,
    /// Keep the content in this folder until it is complete, then move it to the one of -o
    #[arg(long, value_name = "DIR")]
    incomplete_dir: Option<PathBuf>,
    /// Let this stand behind the name of each file until all is complete, such as .part
    #[arg(long, value_name = "SUFFIX")]
    incomplete_suffix: Option<String>,
    /// Get pieces in their order instead of the rarest first
    #[arg(long)]
    sequential: bool,
    /// What to hash of content that is there: auto what no earlier run has proven, always all of
    /// it; never takes what is not proven for missing
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    check: When,
    /// How files are made: growing (none), of their full size without taking room (sparse), or
    /// with all their room at once (full)
    #[arg(long, value_name = "HOW", default_value = "sparse")]
    allocate: Allocate,
    /// Serve it when complete, until asked to stop
    #[arg(long)]
    seed: bool,
    /// Serve it when complete, for this long
    #[arg(long, value_name = "DUR", value_parser = units::parse_duration)]
    seed_time: Option<Duration>,
    /// Serve it when complete, until so many times its size has been uploaded
    #[arg(long, value_name = "R", value_parser = units::parse_ratio)]
    seed_ratio: Option<f64>,
    /// Give up with code 4 when nothing came for so long, or when getting a torrent from a URL takes longer
    #[arg(long, value_name = "DUR", value_parser = units::parse_patience)]
    timeout: Option<Duration>,
    /// End after this time, with code 7 if it is not complete
    #[arg(long, value_name = "DUR", value_parser = units::parse_duration)]
    stop_after: Option<Duration>,
    /// With --json, also tell of each piece
    #[arg(long, value_name = "KIND")]
    events: Option<Events>,
    /// Read the content again from the disk at this many bytes a second, and fetch again what has
    /// changed there
    #[arg(long, value_name = "RATE", value_parser = units::parse_scrub)]
    scrub: Option<u64>,
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    network: Network,
}

/// `--check`.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum When {
    Auto,
    Always,
    Never,
}

/// `--allocate`.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Allocate {
    None,
    Sparse,
    Full,
}

/// `--events`.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Events {
    Piece,
}

pub(crate) async fn run(args: &DownloadArgs, context: &Context) -> Outcome {
    let mut config = network::session(&args.network)?;
    config.scrub_rate = args.scrub;
    let Some(metainfo) = torrent(args, &config, context).await? else {
        return Ok(context.stopped());
    };
    let only_files = args.selection.choose(metainfo.info())?;
    let priorities = args
        .selection
        .priorities(metainfo.info(), only_files.as_deref())?;
    let kept = home::take(
        context,
        &metainfo,
        &args.output,
        args.incomplete_dir.as_deref(),
    )?;
    let mut add = AddTorrent::new(metainfo.clone(), &args.output);
    add.only_files = only_files;
    add.priorities = priorities;
    add.incomplete_dir.clone_from(&args.incomplete_dir);
    add.incomplete_suffix.clone_from(&args.incomplete_suffix);
    add.sequential = args.sequential;
    add.peers.clone_from(&args.network.peer);
    add.check = match args.check {
        When::Auto => Check::Auto,
        When::Always => Check::Always,
        When::Never => Check::Never,
    };
    add.allocation = match args.allocate {
        Allocate::None => Allocation::None,
        Allocate::Sparse => Allocation::Sparse,
        Allocate::Full => Allocation::Full,
    };
    let goal = Goal {
        seed: seeding(args),
        patience: args.timeout,
        stop_after: args.stop_after,
    };
    let piece_events = args.events.is_some();
    let job = Job {
        config,
        metainfo,
        dir: args.output.clone(),
        kept,
        goal,
        piece_events,
        tell_completion: true,
    };
    watch::open(job, context).await?.run(add).await
}

/// Without any of the options a download ends when it is complete.
fn seeding(args: &DownloadArgs) -> Option<SeedGoal> {
    let wanted = args.seed || args.seed_time.is_some() || args.seed_ratio.is_some();
    wanted.then_some(SeedGoal {
        time: args.seed_time,
        ratio: args.seed_ratio,
    })
}

/// Reads or fetches the torrent; `None` when asked to stop meanwhile.
async fn torrent(
    args: &DownloadArgs,
    config: &SessionConfig,
    context: &Context,
) -> Result<Option<Metainfo>, Failure> {
    let no_metadata = |what: String| {
        Failure::new(Exit::Other, what)
            .because("this version cannot get the torrent itself from peers")
            .hint("get the .torrent file, from where the link was, and give that")
    };
    match Word::of(&args.source) {
        Word::Stdin | Word::Path(_) => {
            source::torrent(PathBuf::from(&args.source).as_path(), context).await
        }
        Word::Url(url) => {
            let most = limits::MAX_FILE_BYTES;
            let fetched = fetch::url(url, most, args.timeout, config, context).await?;
            let Some(bytes) = fetched else {
                return Ok(None);
            };
            source::parse_torrent(&redacted(url), &bytes).map(Some)
        }
        Word::Magnet(text) => {
            let magnet = source::magnet(text)?;
            let hash = magnet.info_hash();
            Err(no_metadata(format!(
                "the magnet of {hash} cannot be downloaded yet"
            )))
        }
        Word::InfoHash(text) => Err(no_metadata(format!(
            "the info-hash {text} cannot be downloaded yet"
        ))),
    }
}
