//! `bt-client demo [PATH]`: the whole life of a torrent on this machine, in one process. A tracker,
//! a seeder and some leechers of the same library that everybody embeds share a folder, and a
//! check that uses none of it proves that every byte arrived.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bt_metainfo::create::Options;
use bt_metainfo::{Info, Metainfo, Naming};
use bt_tracker::server::{self, Handle, Server};
use clap::Args;
use tokio::time::interval;

use super::Context;
use super::demo_report::{Figures, Part};
use super::exit::Exit;
use super::goal::{End, Goal, Judge, Sample};
use super::progress::{Progress, Row};
use super::report::{Failure, Outcome};
use super::watch::{self, piece_map};
use super::{compare, create, sample, units};
use crate::engine::{State, Status};
use crate::{AddTorrent, Check, Session, SessionConfig, Torrent};

/// How often everybody is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// On one machine nothing takes so long that goes well.
const PATIENCE: Duration = Duration::from_secs(30);

/// Share a folder among a tracker, a seeder and leechers in this process, and verify it
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// The file or folder to share [default: a sample of nested, empty and oddly named files]
    #[arg(value_name = "PATH")]
    path: Option<PathBuf>,
    /// Size of the sample, 1.63 MB at least: so much is in its small files
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = units::parse_size)]
    size: u64,
    /// How many download it
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=16))]
    leechers: u8,
}

pub(crate) async fn run(args: &DemoArgs, context: &Context) -> Outcome {
    let yard = Yard::new()?;
    match share(args, &yard, context).await? {
        Some(figures) => {
            context.report.emit(&figures);
            context.report.lines(figures.table());
            Ok(if figures.verified() {
                Exit::Success
            } else {
                Exit::Unverified
            })
        }
        None => Ok(context.stopped()),
    }
}

/// Everything between making the content and comparing the copies; `None` when asked to stop.
async fn share(
    args: &DemoArgs,
    yard: &Yard,
    context: &Context,
) -> Result<Option<Figures>, Failure> {
    let Some(content) = content(args, yard, context)? else {
        return Ok(None);
    };
    let tracker = tracker().await?;
    let announce = format!("http://{}/announce", first(tracker.http_addrs())?);
    let Some((metainfo, dir)) = torrent(&content, announce, context)? else {
        return Ok(None);
    };
    yard.has_room_for(metainfo.info().layout().content_length(), args.leechers)?;

    let (members, started) = start(&metainfo, &dir, yard, args.leechers).await?;
    let end = follow(&members, started, context).await;
    let took = started.elapsed();
    let parts: Vec<Part> = members.iter().map(Participant::part).collect();
    futures::future::join_all(members.iter().map(|member| member.session.stop())).await;
    tracker.stop().await;
    match end? {
        None => return Ok(None),
        Some(End::Done) => {}
        Some(_) => return Err(stalled(&parts)),
    }
    let different = verify(&metainfo, &dir, &members)?;
    Ok(Some(Figures::new(&metainfo, parts, took, different)))
}

/// One session of the demonstration.
struct Participant {
    name: String,
    dir: PathBuf,
    session: Session,
    torrent: Torrent,
    completed: std::sync::OnceLock<Duration>,
}

impl Participant {
    /// Starts a session on the loopback interface with this one torrent.
    async fn start(
        name: String,
        metainfo: &Metainfo,
        dir: PathBuf,
        check: Check,
    ) -> Result<Self, Failure> {
        let config = SessionConfig {
            bind: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            ipv6: false,
            ..SessionConfig::default()
        };
        let session = Session::start(config)
            .await
            .map_err(|error| watch::failure(&error))?;
        let mut add = AddTorrent::new(metainfo.clone(), &dir);
        add.check = check;
        let torrent = session
            .add(add)
            .await
            .map_err(|error| watch::failure(&error))?;
        Ok(Self {
            name,
            dir,
            session,
            torrent,
            completed: std::sync::OnceLock::new(),
        })
    }

    fn part(&self) -> Part {
        let status = self.torrent.status();
        Part {
            name: self.name.clone(),
            downloaded: status.downloaded,
            uploaded: status.uploaded,
            wasted: status.wasted,
            hash_failures: status.hash_failures,
            seconds: self.completed.get().map(Duration::as_secs_f64),
            reason: status.reason,
        }
    }
}

/// The seeder first, and the leechers when the tracker knows of it; the time is when they began.
async fn start(
    metainfo: &Metainfo,
    dir: &Path,
    yard: &Yard,
    leechers: u8,
) -> Result<(Vec<Participant>, Instant), Failure> {
    let seeder =
        Participant::start("seeder".to_owned(), metainfo, dir.to_owned(), Check::Trust).await?;
    let known = |status: &Status| {
        status
            .trackers
            .iter()
            .any(|tracker| tracker.last_success.is_some())
    };
    let announced = tokio::time::timeout(PATIENCE, seeder.torrent.wait_for(known)).await;
    if !matches!(announced, Ok(Ok(_))) {
        return Err(Failure::new(
            Exit::Network,
            "the seeder could not announce itself to the tracker",
        )
        .because(seeder.torrent.status().reason)
        .hint("does a firewall stand between programs of this machine?"));
    }
    let started = Instant::now();
    let mut members = vec![seeder];
    for number in 1..=leechers {
        let name = format!("leecher {number}");
        let dir = yard.folder(&name)?;
        members.push(Participant::start(name, metainfo, dir, Check::Auto).await?);
    }
    Ok((members, started))
}

/// Shows everybody until all leechers are complete; `None` when asked to stop.
async fn follow(
    members: &[Participant],
    started: Instant,
    context: &Context,
) -> Result<Option<End>, Failure> {
    let mut progress = context.progress();
    let mut judge = Judge::new(
        Goal {
            patience: Some(PATIENCE),
            ..Goal::default()
        },
        started,
    );
    let mut look = interval(LOOK_EVERY);
    let leechers = members.iter().filter(|member| member.name != "seeder");
    let all_safe = futures::future::try_join_all(leechers.map(async |member| {
        let safe = member.torrent.wait_until_seeding().await;
        let _ = member.completed.set(started.elapsed());
        safe
    }));
    tokio::pin!(all_safe);
    loop {
        tokio::select! {
            biased;
            _ = context.stop.requested() => return Ok(None),
            safe = &mut all_safe => {
                safe.map_err(|error| watch::failure(&error))?;
                show(&mut progress, members);
                progress.end();
                return Ok(Some(End::Done));
            }
            _ = look.tick() => {
                let sample = show(&mut progress, members);
                if let Some(end) = judge.look(Instant::now(), sample) {
                    progress.end();
                    return Ok(Some(end));
                }
            }
        }
    }
}

/// Draws one row each, and sums up how far all are.
fn show(progress: &mut Progress, members: &[Participant]) -> Sample {
    let statuses: Vec<Status> = members
        .iter()
        .map(|member| member.torrent.status())
        .collect();
    let maps: Vec<_> = statuses.iter().map(piece_map).collect();
    let states: Vec<String> = statuses
        .iter()
        .map(|status| status.state.to_string())
        .collect();
    let rows: Vec<Row<'_>> = members
        .iter()
        .zip(&statuses)
        .zip(maps.iter().zip(&states))
        .map(|((member, status), (map, state))| Row {
            name: &member.name,
            state,
            done: status.bytes_have,
            total: status.size,
            pieces: Some(map),
            rates: Some((status.down_rate, status.up_rate)),
            peers: Some((status.peers, status.seeds)),
            eta: status.eta,
            reason: &status.reason,
        })
        .collect();
    progress.show(Instant::now(), &rows);
    Sample {
        complete: false,
        advance: (
            statuses.iter().map(|status| status.bytes_have).sum(),
            statuses
                .iter()
                .filter(|status| status.state == State::Downloading)
                .count() as u64,
            0,
        ),
        uploaded: 0,
        size: 0,
    }
}

/// What is shared: the user's own, or a sample made now; `None` when asked to stop.
fn content(args: &DemoArgs, yard: &Yard, context: &Context) -> Result<Option<PathBuf>, Failure> {
    if let Some(path) = &args.path {
        return Ok(Some(path.clone()));
    }
    // The sample itself and a copy for each leecher.
    yard.has_room_for(args.size, args.leechers.saturating_add(1))?;
    let root = yard.folder("sample")?.join("bt-client demo");
    let stopped = || context.stop.reason().is_some();
    let made = fs::create_dir(&root).and_then(|()| sample::write(&root, args.size, stopped));
    match made {
        Ok(bytes) => {
            context
                .report
                .note(&format!("made a sample of {}", units::size(bytes)));
            Ok(Some(root))
        }
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(None),
        Err(error) => Err(Failure::new(Exit::Storage, "cannot write the sample").cause(&error)),
    }
}

/// Makes the torrent, and finds the folder that the content is in.
fn torrent(
    content: &Path,
    announce: String,
    context: &Context,
) -> Result<Option<(Metainfo, PathBuf)>, Failure> {
    let options = Options {
        trackers: vec![vec![announce]],
        created_by: create::creator(),
        ..Options::default()
    };
    let Some(plan) = create::plan(content, &options, context)? else {
        return Ok(None);
    };
    let Some(metainfo) = create::hash(&plan, context, |_, _| {})? else {
        return Ok(None);
    };
    let dir = create::folder_of(content)?;
    Ok(Some((metainfo, dir)))
}

async fn tracker() -> Result<Handle, Failure> {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let config = server::Config {
        http: vec![any],
        workers: Some(1),
        ..server::Config::default()
    };
    Server::start(config)
        .await
        .map_err(|error| Failure::new(Exit::Network, "cannot start the tracker").cause(&error))
}

fn first(addrs: &[SocketAddr]) -> Result<SocketAddr, Failure> {
    addrs
        .first()
        .copied()
        .ok_or_else(|| Failure::new(Exit::Network, "the tracker has no address"))
}

/// Compares every file of every copy with the original.
fn verify(
    metainfo: &Metainfo,
    dir: &Path,
    members: &[Participant],
) -> Result<Vec<String>, Failure> {
    let dirs = members.iter().skip(1).map(|member| member.dir.as_path());
    let copies: Vec<compare::Copy> = [dir]
        .into_iter()
        .chain(dirs)
        .map(|dir| files_in(dir, metainfo.info()))
        .collect();
    let digests = compare::digests(&copies).map_err(|(path, error)| {
        Failure::new(Exit::Storage, format!("cannot read {}", path.display())).cause(&error)
    })?;
    let (original, copies) = digests.split_first().expect("there is always a seeder");
    let different = copies
        .iter()
        .flat_map(|copy| compare::different(original, copy));
    Ok(different.map(|file| file.display().to_string()).collect())
}

/// Where the files of the torrent are in `dir`: the user's own may have names that a download replaces.
fn files_in(dir: &Path, info: &Info) -> compare::Copy {
    let is_there = |path: &Path| dir.join(path).symlink_metadata().is_ok();
    let naming = Naming::find(info, is_there);
    let layout = info.layout();
    let stored = layout.files().filter(|file| !layout.is_pad(*file));
    stored
        .map(|file| {
            let likeliest = info.disk_path(file);
            let found = naming.paths(info, file).find(|path| is_there(path));
            dir.join(found.unwrap_or(likeliest))
        })
        .collect()
}

fn stalled(parts: &[Part]) -> Failure {
    let failure = Failure::new(
        Exit::Network,
        format!("nothing came for {} s", PATIENCE.as_secs()),
    );
    parts
        .iter()
        .filter(|part| !part.reason.is_empty())
        .fold(failure, |failure, part| {
            failure.because(format!("{}: {}", part.name, part.reason))
        })
}

/// A folder below the system's temporary one, with everything in it removed at the end.
struct Yard(PathBuf);

impl Yard {
    fn new() -> Result<Self, Failure> {
        let base = std::env::temp_dir();
        let mut last = io::Error::from(io::ErrorKind::AlreadyExists);
        for attempt in 0..100 {
            let path = base.join(format!("bt-client-demo-{}-{attempt}", std::process::id()));
            // Copies of private content are nobody else's business.
            match fs::DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self(path)),
                Err(error) => last = error,
            }
            if last.kind() != io::ErrorKind::AlreadyExists {
                break;
            }
        }
        Err(Failure::new(
            Exit::Storage,
            format!("cannot make a folder in {}", base.display()),
        )
        .cause(&last)
        .hint("set TMPDIR to a folder with room"))
    }

    fn folder(&self, name: &str) -> Result<PathBuf, Failure> {
        let path = self.0.join(name);
        fs::create_dir(&path).map_err(|error| {
            Failure::new(Exit::Storage, format!("cannot make {}", path.display())).cause(&error)
        })?;
        Ok(path)
    }

    /// Says so early when the copies will not fit.
    fn has_room_for(&self, size: u64, copies: u8) -> Result<(), Failure> {
        let needed = size.saturating_mul(copies.into());
        let Ok(space) = rustix::fs::statvfs(&self.0) else {
            return Ok(());
        };
        let free = space.f_bavail.saturating_mul(space.f_frsize);
        if free >= needed {
            return Ok(());
        }
        Err(Failure::new(
            Exit::Storage,
            format!("not enough room in {}", std::env::temp_dir().display()),
        )
        .because(format!(
            "{} are needed, {} are free",
            units::size(needed),
            units::size(free)
        ))
        .hint("set TMPDIR to a folder with room, or share less with --size"))
    }
}

impl Drop for Yard {
    fn drop(&mut self) {
        // What cannot be removed is in the system's temporary folder, where it is cleaned up anyway.
        let _ = fs::remove_dir_all(&self.0);
    }
}
