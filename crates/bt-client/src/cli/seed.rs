//! `bt-client seed TORRENT|PATH`: serves content that is here, from a torrent or straight from
//! the files. It never writes to them.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use bt_metainfo::Metainfo;
use bt_metainfo::create::{Options, creation_date};
use bt_metainfo::verify::{self, Place, Verdict};
use clap::Args;

use super::Context;
use super::args::Network;
use super::checking::Checking;
use super::create::{self, Tiers, parse_tiers};
use super::events::Event;
use super::exit::Exit;
use super::goal::{Goal, SeedGoal};
use super::home::Kept;
use super::output::{IfThere, Output};
use super::report::{Failure, Outcome};
use super::source::Word;
use super::verify::{DATA_IS_THE_PARENT, check, summary, unreadable};
use super::watch::{self, Job};
use super::{home, network, source, units};
use crate::session::{CloseLook, is_proven, looks, read_from_disk};
use crate::state::Store;
use crate::{AddTorrent, Check};

/// How often content that changes while it is checked is checked.
const HOLD_STILL: u32 = 3;

/// Serve content to others until asked to stop
#[derive(Debug, Args)]
pub(crate) struct SeedArgs {
    /// A .torrent file, or a file or folder to make a torrent of in memory
    #[arg(value_name = "TORRENT|PATH")]
    source: PathBuf,
    /// The folder that holds the torrent's file or folder [default: the current one]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Trust that the content is complete and right instead of hashing it first, and spread it
    /// as its first source
    #[arg(long)]
    skip_check: bool,
    /// Reveal pieces one by one, different ones to different peers, as a first source does (BEP 16)
    #[arg(long)]
    super_seed: bool,
    /// Announce here too; for a PATH these are all trackers. Commas and repeats as in create
    #[arg(short, long, value_name = "URL", value_parser = parse_tiers)]
    tracker: Vec<Tiers>,
    /// Also write the torrent made of a PATH here, so that others can be given it
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// End after this time
    #[arg(long, value_name = "DUR", value_parser = units::parse_duration)]
    time: Option<Duration>,
    /// End when so many times the size of the content has been uploaded
    #[arg(long, value_name = "R", value_parser = units::parse_ratio)]
    ratio: Option<f64>,
    /// Read the content again from the disk at this many bytes a second, and fetch again what has
    /// changed there
    #[arg(long, value_name = "RATE", value_parser = units::parse_scrub)]
    scrub: Option<u64>,
    #[command(flatten)]
    network: Network,
}

impl SeedArgs {
    /// `-o` goes with a PATH and `--data` with a torrent; only who types the other one is told so. For `download` `-o` is
    /// a folder, which what is said for all commands may well mean.
    pub(crate) fn forget_what_is_of_no_use(&mut self, is_typed: impl Fn(&str) -> bool) {
        if is_torrent(&self.source) {
            self.output.take_if(|_| !is_typed("output"));
        } else {
            self.output
                .take_if(|output| !is_typed("output") && !is_named_torrent(output));
            self.data.take_if(|_| !is_typed("data"));
        }
    }
}

pub(crate) async fn run(args: &SeedArgs, context: &Context) -> Outcome {
    let mut config = network::session(&args.network)?;
    config.scrub_rate = args.scrub;
    let Some(content) = content(args, context).await? else {
        return Ok(match (&args.output, is_torrent(&args.source)) {
            // The torrent that was asked for is not there.
            (Some(_), false) => context.stopped(),
            // Asked to stop before there was anything to serve; a seeder has nothing to lose.
            _ => Exit::Success,
        });
    };
    let Content {
        metainfo,
        dir,
        kept,
        known,
    } = content;
    let metainfo = with_trackers(metainfo, args)?;
    let mut add = AddTorrent::new(metainfo.clone(), &dir);
    add.peers.clone_from(&args.network.peer);
    // What was made in memory or is to be trusted is most likely nowhere else yet.
    let first_source = args.super_seed || args.skip_check || !is_torrent(&args.source);
    add.spread = Some(first_source);
    let goal = Goal {
        seed: Some(SeedGoal {
            time: args.time,
            ratio: args.ratio,
        }),
        ..Goal::default()
    };
    let store = kept.as_ref().map(|kept| kept.store.clone());
    let job = Job {
        config,
        metainfo: metainfo.clone(),
        dir: dir.clone(),
        kept,
        goal,
        piece_events: false,
        tell_completion: false,
    };
    let mut opened = watch::open(job, context).await?;
    opened.introduce();
    add.check = match known {
        Known::Given => Check::Trust,
        Known::Hashed => {
            let total = metainfo.info().layout().total_length();
            opened.checking(total, total);
            Check::Trust
        }
        Known::Proven => Check::Auto,
        Known::Nothing => {
            let tell = |done, total| opened.checking(done, total);
            match prove(&metainfo, &dir, store.as_ref(), context, tell) {
                Ok(Some(looks)) => {
                    add.looks = looks;
                    Check::Proven
                }
                Ok(None) => {
                    opened.close().await;
                    return Ok(Exit::Success);
                }
                Err(failure) => {
                    opened.close().await;
                    return Err(failure);
                }
            }
        }
    };
    opened.run(add).await
}

/// What to serve.
struct Content {
    metainfo: Metainfo,
    /// The folder that holds the content.
    dir: PathBuf,
    kept: Option<Kept>,
    known: Known,
}

/// What is known of the content before the session starts.
enum Known {
    /// The user answers for it.
    Given,
    /// The torrent was made of it just now.
    Hashed,
    /// An earlier run has proven it.
    Proven,
    Nothing,
}

/// `None` when asked to stop meanwhile.
async fn content(args: &SeedArgs, context: &Context) -> Result<Option<Content>, Failure> {
    if !is_torrent(&args.source) {
        // What was made in memory has no other run to be known to.
        let made = made_in_memory(args, context)?;
        return Ok(made.map(|(metainfo, dir)| Content {
            metainfo,
            dir,
            kept: None,
            known: Known::Hashed,
        }));
    }
    if args.output.is_some() {
        return Err(Failure::new(
            Exit::Usage,
            "-o writes the torrent of a PATH, but a torrent was given",
        ));
    }
    let hint = match Word::of(args.source.as_os_str()) {
        Word::Url(_) => Some(
            "give the .torrent file with --data DIR, or the file or folder to share; to get it first and serve it on: bt-client download SRC --seed",
        ),
        Word::Magnet(_) | Word::InfoHash(_) => Some(
            "give the file or folder to share, or the .torrent file (from where the link was) with --data DIR",
        ),
        Word::Stdin | Word::Path(_) => None,
    };
    if let Some(hint) = hint {
        let what = format!("{} is not content", args.source.display());
        return Err(Failure::new(Exit::Usage, what)
            .because("seed serves what is on this machine")
            .hint(hint));
    }
    let Some(metainfo) = source::torrent(&args.source, context).await? else {
        return Ok(None);
    };
    let dir = match &args.data {
        Some(named) => parent_of_content(&metainfo, named),
        // That the folder we are in has the name of the content may be chance.
        None => PathBuf::from("."),
    };
    if args.skip_check {
        is_all_there(&metainfo, &dir)?;
    }
    let kept = match args.skip_check {
        true => None,
        false => home::take_if_free(context, &metainfo, &dir)?,
    };
    let is_proven = kept
        .as_ref()
        .is_some_and(|kept| is_proven(&kept.store, &metainfo, &dir));
    let known = match (args.skip_check, is_proven) {
        (true, _) => Known::Given,
        (false, true) => Known::Proven,
        (false, false) => Known::Nothing,
    };
    Ok(Some(Content {
        metainfo,
        dir,
        kept,
        known,
    }))
}

/// Hashes all of the content, with progress that `tell` hears too, and gives what its files looked like before; `None`
/// when asked to stop meanwhile.
fn prove(
    metainfo: &Metainfo,
    dir: &Path,
    store: Option<&Store>,
    context: &Context,
    mut tell: impl FnMut(u64, u64),
) -> Result<Option<Vec<Option<CloseLook>>>, Failure> {
    let options = verify::Options {
        place: Place::Parent,
        ..verify::Options::default()
    };
    if let Some(store) = store {
        read_from_disk(store, metainfo, dir);
    }
    for _ in 0..HOLD_STILL {
        tell(0, metainfo.info().layout().total_length());
        let before = looks(store, metainfo, dir);
        match check(metainfo, dir, &options, context, &mut tell)? {
            None => return Ok(None),
            Some(report) if !report.is_complete() => {
                let unreadable = unreadable(dir, &report);
                return Err(unreadable.unwrap_or_else(|| incomplete(metainfo, dir, &report)));
            }
            // What is recorded as proven are the times that the files have afterwards.
            Some(_) if before == looks(store, metainfo, dir) => {
                return Ok(Some(before.unwrap_or_default()));
            }
            Some(_) => {}
        }
    }
    let name = metainfo.info().name();
    let what = format!("{name} in {} changes while it is checked", dir.display());
    Err(Failure::new(Exit::Storage, what).hint("wait until whoever writes to it has ended"))
}

fn made_in_memory(
    args: &SeedArgs,
    context: &Context,
) -> Result<Option<(Metainfo, PathBuf)>, Failure> {
    if args.data.is_some() {
        return Err(Failure::new(
            Exit::Usage,
            "--data goes with a torrent, but a PATH was given",
        ));
    }
    let options = Options {
        trackers: tiers(args),
        created_by: create::creator(),
        creation_date: creation_date(None, SystemTime::now()).ok(),
        ..Options::default()
    };
    let output = args.output.as_deref();
    let output = output.map(|output| Output::new(output, IfThere::Keep));
    if let Some(output) = &output {
        // Now rather than after an hour of hashing.
        output.place()?;
    }
    let Some(plan) = create::plan(&args.source, &options, context)? else {
        return Ok(None);
    };
    for warning in plan.warnings() {
        context.report.warning("left_out", &warning.to_string());
    }
    let mut due = Checking::default();
    let tell = |done, total| {
        if due.is_due(Instant::now(), done, total) {
            let name = plan.name();
            context.report.emit(&Event::Hashing { name, done, total });
        }
    };
    let Some(metainfo) = create::hash(&plan, context, tell)? else {
        return Ok(None);
    };
    let dir = create::folder_of(&args.source)?;
    if let Some(output) = &output {
        output.save(&metainfo.to_bytes())?;
        let named = output.named().display();
        context.report.line(format!("torrent {named}"));
    }
    context.report.line(format!("magnet {}", metainfo.magnet()));
    Ok(Some((metainfo, dir)))
}

/// Whether the word means a torrent rather than content: it is called one, or it is `-`.
fn is_torrent(path: &Path) -> bool {
    path == Path::new("-") || (is_named_torrent(path) && !path.is_dir()) || !path.exists()
}

fn is_named_torrent(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("torrent"))
}

fn tiers(args: &SeedArgs) -> Vec<Vec<String>> {
    args.tracker
        .iter()
        .flat_map(|tiers| tiers.0.clone())
        .collect()
}

/// Adds the trackers of the command line behind those of the torrent.
fn with_trackers(metainfo: Metainfo, args: &SeedArgs) -> Result<Metainfo, Failure> {
    if args.tracker.is_empty() || !is_torrent(&args.source) {
        return Ok(metainfo);
    }
    let mut editor = metainfo.edit();
    let all = metainfo
        .trackers()
        .iter()
        .cloned()
        .chain(tiers(args))
        .collect();
    let edited = editor.set_trackers(all).and_then(|()| editor.finish());
    edited.map_err(|error| Failure::new(Exit::Usage, "a tracker cannot be used").cause(&error))
}

/// Trust has an end where files are not there, or not as long as they have to be: such a seed would disappoint whoever
/// asks it.
fn is_all_there(metainfo: &Metainfo, dir: &Path) -> Result<(), Failure> {
    let (info, layout) = (metainfo.info(), metainfo.info().layout());
    let seen = looks(None, metainfo, dir).unwrap_or_default();
    let stored: Vec<_> = layout
        .files()
        .filter(|file| !layout.is_pad(*file))
        .collect();
    let lacks = stored.iter().enumerate().filter(|(at, file)| {
        let size = seen
            .get(*at)
            .copied()
            .flatten()
            .map_or(0, |seen| seen.look.size);
        size != layout.file_length(**file)
    });
    let lacks: Vec<_> = lacks.map(|(_, file)| *file).collect();
    let Some(first) = lacks.first() else {
        return Ok(());
    };
    for file in &lacks {
        let path = dir.join(info.disk_path(*file));
        if let Err(error) = open_at_once(&path)
            && error.kind() == ErrorKind::PermissionDenied
        {
            let what = format!("cannot read {}", path.display());
            return Err(Failure::new(Exit::Storage, what).cause(&error));
        }
    }
    let what = format!("{} in {} is not complete", info.name(), dir.display());
    let why = match lacks.len() {
        1 => format!(
            "{} is missing or has another size",
            info.disk_path(*first).display()
        ),
        count => format!(
            "{count} of {} are missing or have another size, {} is the first",
            units::count(stored.len() as u64, "file"),
            info.disk_path(*first).display()
        ),
    };
    Err(Failure::new(Exit::Unverified, what)
        .because(why)
        .hint(DATA_IS_THE_PARENT))
}

/// A pipe that nobody writes to would be waited for.
fn open_at_once(path: &Path) -> std::io::Result<fs::File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let at_once = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let mut options = fs::OpenOptions::new();
    options.read(true).custom_flags(at_once).open(path)
}

fn incomplete(metainfo: &Metainfo, dir: &Path, report: &verify::Report) -> Failure {
    let name = metainfo.info().name();
    let failure = Failure::new(
        Exit::Unverified,
        format!("{name} in {} is not complete", dir.display()),
    )
    .because(summary(report));
    let is_nothing_there = report
        .verdicts
        .iter()
        .all(|verdict| *verdict == Verdict::Missing);
    // To get it there would be to get it once more if it is elsewhere.
    if is_nothing_there && !is_there(metainfo, dir) {
        return failure.hint(DATA_IS_THE_PARENT);
    }
    failure.hint(format!(
        "get the rest with: bt-client download TORRENT -o {} --seed",
        dir.display()
    ))
}

/// Whether the torrent's own file or folder is in the folder.
fn is_there(metainfo: &Metainfo, dir: &Path) -> bool {
    let info = metainfo.info();
    let top = |path: &Path| path.components().next().map(|top| dir.join(top));
    let mut files = info.layout().files();
    let path = files.next().map(|file| info.disk_path(file));
    let likeliest = path.and_then(|path| top(&path));
    let named = likeliest.is_some_and(|path| path.symlink_metadata().is_ok());
    named || dir.join(info.name()).symlink_metadata().is_ok()
}

/// The folder that holds the torrent's own file or folder, also when that itself was named, as `verify` takes it.
fn parent_of_content(metainfo: &Metainfo, named: &Path) -> PathBuf {
    let parent = fs::canonicalize(named).ok().and_then(|whole| {
        let parent = whole.parent()?.to_owned();
        let is_content = whole.file_name()? == metainfo.info().name();
        let is_kind = whole.is_dir() != metainfo.info().is_single_file();
        (is_content && is_kind).then_some(parent)
    });
    match parent {
        Some(parent) if !is_there(metainfo, named) => parent,
        _ => named.to_owned(),
    }
}
