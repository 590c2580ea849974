//! What a server does on its own: forget silent peers, follow the directory, write snapshots.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::contain::{self, Bug};
use super::publisher::Watch;
use super::shown::Shown;
use super::tracker::Tracker;
use super::{Config, Error, accounts, durable, history, snapshot};

/// How often a step of forgetting is made, at most.
const SWEEP_STEP: Duration = Duration::from_millis(100);

/// Of the time-to-live, the part in which a round through the whole store is made.
const SWEEP_ROUNDS_PER_TTL: u32 = 8;

/// Entries that a step looks at, at least.
const SWEEP_BUDGET: u64 = 1_000;

/// Starts everything that the configuration asks for.
pub(super) fn start(
    config: &Config,
    tracker: &Arc<Tracker>,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) {
    let round = config.effective_peer_ttl() / SWEEP_ROUNDS_PER_TTL;
    every(tracker, tasks, stop, SWEEP_STEP.min(round), {
        let tracker = Arc::clone(tracker);
        let steps = (round.as_millis() / SWEEP_STEP.as_millis()).max(1);
        let steps = u64::try_from(steps).unwrap_or(u64::MAX);
        move || sweep(&tracker, steps)
    });
    if config.stats.is_some() || config.inherited.stats.is_some() {
        let tracker = Arc::clone(tracker);
        every(
            &Arc::clone(&tracker),
            tasks,
            stop,
            history::STEP,
            move || {
                let now = tracker.snapshot(Instant::now());
                tracker.history().push(&now);
            },
        );
    }
    if let Some(dir) = config.torrents.clone() {
        let look = {
            let (tracker, dir) = (Arc::clone(tracker), dir.clone());
            move || {
                if let Err(error) = scan(&tracker, &dir) {
                    tracing::warn!("{}", Chain(&error));
                }
            }
        };
        every_blocking(tracker, tasks, stop, config.torrents_poll, look.clone());
        match Watch::new(&dir) {
            Ok(watch) => follow(tracker, tasks, stop, watch, look),
            // There are few of them in a system; looking again and again does as well.
            Err(error) => tracing::info!(%error, "the directory is followed by looking at it"),
        }
    }
    if let Some(path) = config.snapshot.clone() {
        every_blocking(tracker, tasks, stop, config.snapshot_every, {
            let tracker = Arc::clone(tracker);
            move || {
                save(&tracker, &path);
            }
        });
    }
    if tracker.access.accounts().is_some() {
        let ttl = i64::try_from(config.effective_peer_ttl().as_secs()).unwrap_or(i64::MAX);
        every_blocking(tracker, tasks, stop, round, {
            let tracker = Arc::clone(tracker);
            move || expire_accounts(&tracker, ttl)
        });
    }
    if let Some(path) = config.accounts.clone() {
        every_blocking(tracker, tasks, stop, config.snapshot_every, {
            let tracker = Arc::clone(tracker);
            move || {
                save_accounts(&tracker, &path);
            }
        });
    }
}

/// Reads the list, the directory of torrents and the certificate again, each whatever becomes of the
/// others, and carries out what has changed. Returns how many entries the list has. Of several
/// problems all are logged, and the list's is returned, or else the first.
pub(super) fn reload(tracker: &Tracker, torrents: Option<&Path>) -> Result<Option<usize>, Error> {
    // The list first: what it revokes is the most urgent.
    let list = tracker.access.reload();
    let list = list.map(|change| tracker.settle(Instant::now(), change));
    let mut others = Vec::new();
    if let Some(dir) = torrents {
        others.extend(scan(tracker, dir).err());
    }
    #[cfg(feature = "https")]
    if let Some(identity) = &tracker.identity {
        others.extend(identity.reload().err());
    }
    for error in list.as_ref().err().into_iter().chain(&others) {
        tracing::error!("{}; the old one stays in force", Shown(Chain(error)));
    }
    let entries = list?;
    match others.into_iter().next() {
        Some(error) => Err(error),
        None => Ok(entries),
    }
}

/// Looks at once when the system says that something has changed. Network file systems do not say
/// so; for them the directory is looked at again and again.
fn follow(
    tracker: &Arc<Tracker>,
    tasks: &TaskTracker,
    stop: &CancellationToken,
    watch: Watch,
    look: impl Fn() + Clone + Send + 'static,
) {
    let (stop, tracker) = (stop.clone(), Arc::clone(tracker));
    tasks.spawn(async move {
        while let Some(Ok(())) = stop.run_until_cancelled(watch.changed()).await {
            if blocking(&tracker, look.clone()).await.is_err() {
                stop.run_until_cancelled(contain::pause()).await;
            }
        }
    });
}

/// Looks at the directory of torrents and says what has changed.
pub(super) fn scan(tracker: &Tracker, dir: &Path) -> Result<(), Error> {
    let changes = tracker.publisher.scan(dir, &tracker.swarms)?;
    for problem in &changes.problems {
        let (file, reason) = (Shown(&problem.file), Shown(&problem.reason));
        tracing::warn!(%file, %reason, "not a torrent, left out");
    }
    if !changes.added.is_empty() || !changes.removed.is_empty() {
        let names =
            |files: &[String]| (!files.is_empty()).then(|| Shown(files.join(", ")).to_string());
        let (added, removed) = (names(&changes.added), names(&changes.removed));
        tracing::info!(
            added = added.as_ref().map(tracing::field::display),
            removed = removed.as_ref().map(tracing::field::display),
            "torrents"
        );
        // Browsers leave those that are gone.
        #[cfg(feature = "websocket")]
        tracker.rooms.review();
    }
    Ok(())
}

/// Warns of files that the server is to write later and could not write now: else that would be found out at its end.
pub(super) fn doubt_places(config: &Config) {
    for (what, path) in [
        ("snapshot", config.snapshot.as_deref()),
        ("accounts", config.accounts.as_deref()),
    ] {
        if let Some((path, Err(error))) = path.map(|path| (path, durable::try_out(path))) {
            tracing::warn!(path = %Shown(path.display()), %error, "the {what} cannot be written there");
        }
    }
}

/// Takes in the snapshot, without what the lists of now no longer allow. One that makes no sense is
/// set aside, so that the next one does not replace it. Returns whether a next one may be written:
/// what could not be read may be a good one, or something of others, and stays as it is.
pub(super) fn load(tracker: &Tracker, path: &Path, now: Instant) -> Result<bool, Error> {
    match snapshot::load(path, &tracker.swarms, now) {
        Ok(Some(peers)) => {
            tracing::info!(path = %Shown(path.display()), peers, "snapshot read");
            tracker.drop_unwelcome(now);
        }
        Ok(None) => tracing::info!(path = %Shown(path.display()), "no snapshot yet"),
        Err(snapshot::Error::Io(error)) => {
            tracing::error!(
                path = %Shown(path.display()),
                %error,
                "the snapshot cannot be read; it is left alone, and none will be written"
            );
            return Ok(false);
        }
        // It never was a snapshot, so that it is of somebody else.
        Err(error @ snapshot::Error::Foreign) => {
            return Err(Error::ReadSnapshot {
                path: path.into(),
                problem: error.to_string(),
            });
        }
        Err(error) => {
            tracker.drop_unwelcome(now);
            let aside = durable::set_aside(path).map_err(|source| Error::Snapshot {
                path: path.into(),
                source,
            })?;
            tracing::warn!(path = %Shown(path.display()), %error, kept_as = %Shown(aside.display()), "snapshot refused, set aside");
        }
    }
    Ok(true)
}

/// Writes the snapshot, or says why not. Returns whether it was written.
pub(super) fn save(tracker: &Tracker, path: &Path) -> bool {
    let saved = snapshot::save(path, &tracker.swarms, Instant::now());
    match &saved {
        Ok(()) => tracing::debug!(path = %Shown(path.display()), "snapshot written"),
        Err(error) => {
            tracing::error!(path = %Shown(path.display()), %error, "snapshot not written")
        }
    }
    saved.is_ok()
}

/// Takes in the accounts, if the mode has users and they are kept.
pub(super) fn load_accounts(tracker: &Tracker, path: Option<&Path>) -> Result<(), Error> {
    let Some(path) = path else { return Ok(()) };
    let Some(users) = tracker.access.accounts() else {
        return Err(Error::setting(
            "accounts",
            "only a tracker with passkeys has accounts",
        ));
    };
    let refused = |error: accounts::FileError| Error::Accounts {
        path: path.into(),
        problem: error.to_string(),
    };
    let accounts = accounts::load(path, users).map_err(refused)?;
    tracing::info!(path = %Shown(path.display()), accounts, "accounts read");
    Ok(())
}

/// Writes the accounts, or says why not. Returns whether none were lost.
pub(super) fn save_accounts(tracker: &Tracker, path: &Path) -> bool {
    let Some(users) = tracker.access.accounts() else {
        return true;
    };
    let saved = accounts::save(path, users, tracker.age(Instant::now()));
    match &saved {
        Ok(()) => tracing::debug!(path = %Shown(path.display()), "accounts written"),
        Err(error) => {
            tracing::error!(path = %Shown(path.display()), %error, "accounts not written")
        }
    }
    saved.is_ok()
}

fn expire_accounts(tracker: &Tracker, ttl: i64) {
    if let Some(users) = tracker.access.accounts() {
        users.expire(tracker.age(Instant::now()).saturating_sub(ttl));
    }
}

fn sweep(tracker: &Tracker, steps: u64) {
    let totals = tracker.swarms.totals();
    let entries = totals.torrents + totals.peers_v4 + totals.peers_v6;
    let budget = (entries / steps).max(SWEEP_BUDGET);
    tracker
        .swarms
        .expire(Instant::now(), u32::try_from(budget).unwrap_or(u32::MAX));
}

fn every(
    tracker: &Arc<Tracker>,
    tasks: &TaskTracker,
    stop: &CancellationToken,
    period: Duration,
    mut chore: impl FnMut() + Send + 'static,
) {
    let (stop, tracker) = (stop.clone(), Arc::clone(tracker));
    tasks.spawn(async move {
        let mut clock = clock(period);
        while stop.run_until_cancelled(clock.tick()).await.is_some() {
            if contain::catch(&tracker.stats, &mut chore).is_err() {
                stop.run_until_cancelled(contain::pause()).await;
            }
        }
    });
}

/// Like [`every`], for chores that wait for a disk.
fn every_blocking(
    tracker: &Arc<Tracker>,
    tasks: &TaskTracker,
    stop: &CancellationToken,
    period: Duration,
    chore: impl Fn() + Send + Sync + 'static,
) {
    let (stop, tracker, chore) = (stop.clone(), Arc::clone(tracker), Arc::new(chore));
    tasks.spawn(async move {
        let mut clock = clock(period);
        // The first tick is at once, and the server has just done what it would do.
        clock.tick().await;
        while stop.run_until_cancelled(clock.tick()).await.is_some() {
            let chore = Arc::clone(&chore);
            if blocking(&tracker, move || chore()).await.is_err() {
                stop.run_until_cancelled(contain::pause()).await;
            }
        }
    });
}

/// Does something where waiting is allowed.
async fn blocking(tracker: &Arc<Tracker>, work: impl FnOnce() + Send + 'static) -> Result<(), Bug> {
    let tracker = Arc::clone(tracker);
    let work = move || contain::catch(&tracker.stats, work);
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(Bug))
}

fn clock(period: Duration) -> tokio::time::Interval {
    let mut clock = tokio::time::interval(period.max(Duration::from_millis(1)));
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    clock
}

/// An error with its causes, on one line.
struct Chain<'a>(&'a dyn std::error::Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
