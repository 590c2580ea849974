//! Follows one torrent of a session until its goal is reached, something fails, or the user has
//! had enough; says on the way what happens. It must not know which command wants this.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use bt_metainfo::Metainfo;
use tokio::time::{MissedTickBehavior, interval};

use super::Context;
use super::checking::Checking;
use super::events::Event;
use super::exit::Exit;
use super::goal::{End, Goal, Judge, Sample};
use super::home::Kept;
use super::piece_map::PieceMap;
use super::progress::{Progress, Row};
use super::report::{Failure, Outcome};
use super::signals::StopReason;
use super::units;
use crate::contain::Bug;
use crate::engine::{State, Status};
use crate::{
    AddTorrent, Error, EventKind, EventStream, Session, SessionConfig, SessionEvent, Torrent,
};

/// How often the state is looked at; progress on a terminal moves as often.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How often `progress` and `checking` events come while the state stays the same.
const EVENT_EVERY: Duration = Duration::from_secs(1);

/// A torrent to run, and what for.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) config: SessionConfig,
    pub(crate) metainfo: Metainfo,
    /// The folder of the content.
    pub(crate) dir: PathBuf,
    /// What outlives this run, if anything can.
    pub(crate) kept: Option<Kept>,
    pub(crate) goal: Goal,
    /// Tell of each piece.
    pub(crate) piece_events: bool,
    /// Say when and how the content became complete; a seeder has nothing to say about that.
    pub(crate) tell_completion: bool,
}

/// A session whose torrent is still to come.
pub(crate) struct Opened<'a> {
    session: Session,
    events: EventStream,
    metainfo: Metainfo,
    watch: Watch<'a>,
    introduced: bool,
    /// Ours until the session has ended.
    _kept: Option<Kept>,
}

/// Starts a session for one torrent.
pub(crate) async fn open(job: Job, context: &Context) -> Result<Opened<'_>, Failure> {
    let metainfo = job.metainfo;
    let config = SessionConfig {
        state: job.kept.as_ref().map(|kept| kept.store.clone()),
        ..job.config
    };
    let (bind, session) = (config.bind, Session::start(config).await);
    let session = session.map_err(|error| cannot_start(&error, bind))?;
    let now = Instant::now();
    let watch = Watch {
        context,
        progress: context.progress(),
        judge: Judge::new(job.goal, now),
        info_hash: metainfo.info_hash().to_string(),
        name: metainfo.info().name().to_owned(),
        path: job.dir.join(top_level(&metainfo)),
        port: session.port(),
        started: now,
        piece_events: job.piece_events,
        tell_completion: job.tell_completion,
        next_event: None,
        hashed: 0,
        checking: Checking::default(),
        safe: false,
        most: 0,
        complete: false,
        failed: false,
        shown: None,
    };
    Ok(Opened {
        events: session.subscribe(),
        session,
        metainfo,
        watch,
        introduced: false,
        _kept: job.kept,
    })
}

impl Opened<'_> {
    /// Tells of the torrent before it takes part, for work that comes before.
    pub(crate) fn introduce(&mut self) {
        self.introduced = true;
        self.watch.introduce(&self.metainfo);
    }

    /// So many of so many bytes of the content have been hashed.
    pub(crate) fn checking(&mut self, done: u64, total: u64) {
        self.watch.checking(Instant::now(), done, total);
    }

    /// Lets the torrent take part until the end, whatever it is.
    pub(crate) async fn run(mut self, add: AddTorrent) -> Outcome {
        let torrent = match self.session.add(add).await {
            Ok(torrent) => torrent,
            Err(error) => {
                self.close().await;
                return Err(failure(&error));
            }
        };
        if !self.introduced {
            self.introduce();
        }
        let outcome = self.watch.follow(&torrent, self.events).await;
        self.watch.progress.end();
        let last = torrent.status();
        self.session.stop().await;
        self.watch.farewell(&last);
        outcome
    }

    /// Ends without the torrent.
    pub(crate) async fn close(self) {
        self.session.stop().await;
        if self.introduced {
            self.watch.stopped(0, 0);
        }
    }
}

/// One torrent under observation.
struct Watch<'a> {
    context: &'a Context,
    progress: Progress,
    judge: Judge,
    info_hash: String,
    name: String,
    /// The file or folder of the content.
    path: PathBuf,
    port: u16,
    started: Instant,
    piece_events: bool,
    tell_completion: bool,
    /// The number that the next event of the session should have.
    next_event: Option<u64>,
    /// Bytes hashed at the start.
    hashed: u64,
    checking: Checking,
    /// All wanted content is on the disk to stay.
    safe: bool,
    /// The most that was ever received.
    most: u64,
    complete: bool,
    failed: bool,
    /// When an event last told of the state, and which.
    shown: Option<(Instant, State)>,
}

impl Watch<'_> {
    fn introduce(&self, metainfo: &Metainfo) {
        let layout = metainfo.info().layout();
        let report = &self.context.report;
        report.emit(&Event::Added {
            info_hash: &self.info_hash,
            name: &self.name,
            port: self.port,
        });
        report.emit(&Event::Metadata {
            info_hash: &self.info_hash,
            name: &self.name,
            size: layout.content_length(),
            pieces: layout.piece_count(),
            files: metainfo.info().files().len(),
        });
        // Who only seeds says it when there is something to be had there.
        if self.tell_completion {
            report.note(&format!("listening on port {}", self.port));
        }
        for warning in metainfo.warnings() {
            report.warning(warning.kind(), &warning.to_string());
        }
    }

    /// Until the end, whatever it is.
    async fn follow(&mut self, torrent: &Torrent, mut events: EventStream) -> Outcome {
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let safe = torrent.wait_until_seeding();
        tokio::pin!(safe);
        let mut waiting = true;
        loop {
            tokio::select! {
                biased;
                reason = self.context.stop.requested() => {
                    return Ok(self.asked_to_stop(reason, &torrent.status()));
                }
                event = events.next() => match event {
                    Some(event) => self.happened(event)?,
                    None => return Err(Failure::new(Exit::Other, "the session ended by itself")),
                },
                done = &mut safe, if waiting => {
                    waiting = false;
                    if done.is_ok() {
                        look.reset_immediately();
                        self.safe = true;
                    }
                }
                _ = look.tick() => {
                    let status = torrent.status();
                    if let Some(end) = self.look(&status)? {
                        return self.end(end, &status);
                    }
                }
            }
        }
    }

    /// A seeder did all it could; a download that is not complete did not.
    fn asked_to_stop(&self, reason: StopReason, status: &Status) -> Exit {
        if self.complete || !self.tell_completion {
            return Exit::Success;
        }
        let report = &self.context.report;
        match reason {
            StopReason::Signal(_) => report.note(&how_far("stopped", status)),
            StopReason::OutputClosed => report.caution(&how_far(report.end_of_output(), status)),
        }
        reason.exit()
    }

    fn happened(&mut self, event: SessionEvent) -> Result<(), Failure> {
        let report = &self.context.report;
        let missed = self
            .next_event
            .map_or(0, |expected| event.sequence.saturating_sub(expected));
        if missed > 0 && self.piece_events {
            report.warning(
                "events",
                &format!("{missed} events came too fast to be told"),
            );
        }
        self.next_event = Some(event.sequence.saturating_add(1));
        match event.kind {
            EventKind::Piece(index) if self.piece_events => {
                report.emit(&Event::Piece {
                    info_hash: &self.info_hash,
                    index: index.0,
                });
            }
            EventKind::Checked { hashed, .. } => {
                self.hashed = hashed;
                if let Some(total) = self.checking.end(hashed) {
                    self.checking(Instant::now(), total, total);
                }
            }
            // How far it is is looked up, but a short check may begin and end between two looks.
            EventKind::Checking { total, .. } => self.checking.is_of(total),
            EventKind::Warning { kind, message } => report.warning(kind, &message),
            EventKind::Banned(ip) => {
                let message = format!("{ip} sent data that does not verify, and is banned");
                report.warning("peer", &message);
            }
            EventKind::Failed {
                kind,
                message,
                hint,
            } => {
                let failure = failed(kind, message);
                return Err(if hint.is_empty() {
                    failure
                } else {
                    failure.hint(hint)
                });
            }
            _ => {}
        }
        Ok(())
    }

    /// Takes a picture: tells of it, and finds out whether it is the last.
    fn look(&mut self, status: &Status) -> Result<Option<End>, Failure> {
        let now = Instant::now();
        if status.state == State::Failed {
            // The event says more; this is for the case that it was missed.
            if std::mem::replace(&mut self.failed, true) {
                return Err(Failure::new(Exit::Storage, status.reason.as_str()));
            }
        }
        // Who only seeds has downloaded nothing that must be on the disk to stay before it is told.
        let is_safe = self.safe || !self.tell_completion;
        let complete = is_safe && matches!(status.state, State::Seeding | State::Finished);
        // It falls with each piece that fails: rubbish that comes and goes is no progress.
        self.most = self.most.max(status.downloaded);
        self.show(now, status);
        if complete && !self.complete {
            self.complete = true;
            self.completed(status);
        }
        Ok(self.judge.look(
            now,
            Sample {
                complete,
                advance: (
                    status.bytes_have,
                    self.most,
                    status.checking.map_or(0, |(done, _)| done),
                ),
                uploaded: status.uploaded,
                size: status.size,
            },
        ))
    }

    fn show(&mut self, now: Instant, status: &Status) {
        let due = match self.shown {
            Some((at, state)) => {
                state != status.state || now.saturating_duration_since(at) >= EVENT_EVERY
            }
            None => true,
        };
        if due {
            self.shown = Some((now, status.state));
            self.emit(status);
        }
        if let Some((done, total)) = status.checking {
            self.checking(now, done, total);
        }
        let state = status.state.to_string();
        let map = piece_map(status);
        let (done, total) = status.checking.unwrap_or((have(status), wanted(status)));
        let checking = status.checking.is_some();
        self.progress.show(
            now,
            &[Row {
                name: &self.name,
                state: &state,
                done,
                total,
                pieces: (!checking).then_some(&map),
                rates: (!checking).then_some((status.down_rate, status.up_rate)),
                peers: (!checking).then_some((status.peers, status.seeds)),
                eta: status.eta,
                reason: &status.reason,
            }],
        );
    }

    fn checking(&mut self, now: Instant, done: u64, total: u64) {
        if self.checking.is_due(now, done, total) {
            self.context.report.emit(&Event::Checking {
                info_hash: &self.info_hash,
                done,
                total,
            });
        }
    }

    fn emit(&self, status: &Status) {
        if status.checking.is_some() {
            return;
        }
        self.context.report.emit(&Event::Progress {
            info_hash: &self.info_hash,
            have: have(status),
            total: wanted(status),
            down_rate: units::whole(status.down_rate),
            up_rate: units::whole(status.up_rate),
            peers: status.peers,
            seeds: status.seeds,
            eta: status.eta.map(|eta| eta.as_secs()),
            state: &status.state.to_string(),
            reason: &status.reason,
            downloaded: status.downloaded,
            uploaded: status.uploaded,
        });
    }

    /// All wanted content is here.
    fn completed(&mut self, status: &Status) {
        let report = &self.context.report;
        if self.tell_completion {
            let took = self.started.elapsed();
            let path = self.path.display().to_string();
            report.emit(&Event::Complete {
                info_hash: &self.info_hash,
                path: &path,
                seconds: took.as_secs_f64(),
                downloaded: status.downloaded,
                uploaded: status.uploaded,
                wasted: status.wasted,
                hash_failures: status.hash_failures,
                reused: reused(status),
                hashed: self.hashed,
            });
            report.lines(self.summary(&path, status, took));
        }
        if self.judge.is_to_seed() {
            report.emit(&Event::Seeding {
                info_hash: &self.info_hash,
                port: self.port,
            });
        }
        if !self.tell_completion {
            report.line(format!(
                "seeding {} ({}) on port {}",
                self.name, self.info_hash, self.port
            ));
        }
    }

    /// What a download came to, for people.
    fn summary(&self, path: &str, status: &Status, took: Duration) -> Vec<String> {
        let seconds = took.as_secs_f64().max(0.001);
        let mut lines = vec![
            path.to_owned(),
            format!(
                "  downloaded {} in {} ({} on average)",
                units::size(status.downloaded),
                units::elapsed(took),
                units::rate(status.downloaded as f64 / seconds),
            ),
        ];
        match reused(status) {
            0 => {}
            bytes => lines.push(format!("  {} were there already", units::size(bytes))),
        }
        lines.push(format!(
            "  uploaded {}, not needed {}, {}",
            units::size(status.uploaded),
            units::size(status.wasted),
            units::count(status.hash_failures.into(), "hash failure"),
        ));
        lines.push(format!(
            "  sha1 ok {}/{} pieces",
            status.pieces_have, status.pieces_total
        ));
        lines
    }

    fn end(&self, end: End, status: &Status) -> Outcome {
        match end {
            End::Done => Ok(Exit::Success),
            End::TimeUp if self.complete => Ok(Exit::Success),
            End::TimeUp => {
                let text = how_far("the time is over", status);
                self.context.report.note(&text);
                Ok(Exit::Unfinished)
            }
            End::Stalled(patience) => Err(stalled(patience, status.state, &status.reason)),
        }
    }

    fn stopped(&self, downloaded: u64, uploaded: u64) {
        self.context.report.emit(&Event::Stopped {
            info_hash: &self.info_hash,
            downloaded,
            uploaded,
        });
    }

    fn farewell(&self, status: &Status) {
        self.stopped(status.downloaded, status.uploaded);
        // Of a download that ends when it is complete its summary has said it.
        if self.complete && self.judge.is_to_seed() {
            let ratio = status.uploaded as f64 / status.size.max(1) as f64;
            self.context.report.note(&format!(
                "uploaded {}, ratio {ratio:.2}",
                units::size(status.uploaded)
            ));
        }
    }
}

/// Which pieces are here.
pub(crate) fn piece_map(status: &Status) -> PieceMap {
    PieceMap::new(
        status.pieces_total,
        status.have.iter_ones().map(|piece| piece.0),
    )
}

/// Wanted bytes, here or not. Pieces that are here though nobody wanted them count too.
fn wanted(status: &Status) -> u64 {
    status.bytes_have.saturating_add(status.bytes_left)
}

fn have(status: &Status) -> u64 {
    status.bytes_have
}

/// Why a download ended before it was complete, and what became of it.
fn how_far(why: &str, status: &Status) -> String {
    let percent = 100.0 * have(status) as f64 / wanted(status).max(1) as f64;
    format!("{why} at {percent:.1} %; what is here is kept: start again to go on")
}

/// Bytes that were there before: of a complete torrent, what is not from peers.
fn reused(status: &Status) -> u64 {
    status.bytes_have.saturating_sub(status.downloaded)
}

/// The file or folder that holds the content, as a name.
fn top_level(metainfo: &Metainfo) -> PathBuf {
    PathBuf::from(metainfo.info().name())
}

/// What the session says of a torrent that has failed.
fn failed(kind: &str, message: String) -> Failure {
    match (kind, message.split_once(": ")) {
        ("storage", _) => Failure::new(Exit::Storage, message),
        ("internal", Some((what, cause))) => Failure::new(Exit::Other, what).because(cause),
        _ => Failure::new(Exit::Other, message),
    }
}

/// Nothing came for as long as the user wanted to wait.
fn stalled(patience: Duration, state: State, reason: &str) -> Failure {
    let message = format!("nothing came for {}", units::elapsed(patience));
    let failure = Failure::new(Exit::Network, message);
    let failure = if reason.is_empty() {
        failure
    } else {
        failure.because(reason)
    };
    failure.hint(match state {
        State::DiskFull => "what is here is kept: make room and start again to go on",
        _ => "what is here is kept: start again to go on, or name a peer with --peer",
    })
}

/// Why there is no session. The port is seldom to blame where a local address was named that is none.
fn cannot_start(error: &Error, bind: Option<IpAddr>) -> Failure {
    match (error, bind) {
        (Error::Listen { source, .. }, Some(bind))
            if source.kind() == io::ErrorKind::AddrNotAvailable =>
        {
            let what = format!("--bind {bind} is no address of this machine");
            Failure::new(Exit::Network, what).cause(source).hint(
                "ip addr shows those that there are; the name of an interface takes its first one",
            )
        }
        _ => failure(error),
    }
}

/// Errors of the session, as exit codes and advice.
pub(crate) fn failure(error: &Error) -> Failure {
    let (exit, hint) = match error {
        Error::Listen { .. } => (
            Exit::Network,
            "choose another port with -p, or any free one with -p 0",
        ),
        Error::OnlyV2 => (
            Exit::Other,
            "ask for a v1 or hybrid torrent of the same content",
        ),
        Error::NoSuchFile(_) => (Exit::Usage, "show prints the files and their numbers"),
        Error::Disk(disk) => (Exit::Storage, disk.hint()),
        Error::State(state) => (Exit::Storage, state.hint()),
        Error::Elsewhere(_) => (
            Exit::Storage,
            "mount the disk that was used before; with --check always the folder is taken as it is now",
        ),
        Error::Suffix(_) => (
            Exit::Usage,
            "a suffix has no slash and at most 15 bytes, such as .part",
        ),
        Error::Failed(_) => (Exit::Storage, ""),
        Error::Bug(_) => (Exit::Other, Bug::HINT),
        _ => (Exit::Other, ""),
    };
    let mut failure = Failure::new(exit, error.to_string());
    if matches!(error, Error::Suffix(_)) {
        failure = failure.of(&["incomplete-suffix"]);
    }
    let source = std::error::Error::source(error);
    if let Some(source) = source {
        failure = failure.cause(source);
    }
    if hint.is_empty() {
        failure
    } else {
        failure.hint(hint)
    }
}

#[cfg(test)]
mod tests {
    use super::{failed, stalled};
    use crate::cli::exit::Exit;
    use crate::engine::State;
    use std::time::Duration;

    #[test]
    fn a_bug_is_told_in_the_form_of_all_errors_and_is_not_the_fault_of_the_disk() {
        let failure = failed(
            "internal",
            "a bug of this program: no: such piece".to_owned(),
        );
        assert_eq!(failure.exit(), Exit::Other);
        let text = "error: a bug of this program\n  cause: no: such piece";
        assert_eq!(failure.to_string(), text);
        assert_eq!(failed("storage", "x".to_owned()).exit(), Exit::Storage);
    }

    #[test]
    fn a_full_disk_is_helped_by_room_and_nothing_else_by_it() {
        for (state, has_room, has_peer) in [
            (State::DiskFull, true, false),
            (State::Downloading, false, true),
        ] {
            let failure = stalled(Duration::from_secs(8), state, "why");
            assert_eq!(failure.exit(), Exit::Network, "as --timeout promises");
            let text = failure.to_string();
            assert!(text.contains("cause: why"), "{text}");
            assert_eq!(text.contains("make room"), has_room, "{text}");
            assert_eq!(text.contains("--peer"), has_peer, "{text}");
        }
    }
}
