//! One download whose power is cut again and again, and what must hold each time.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::chance::Chance;
use super::content::{Content, HOME, OUT, PIECE};
use super::disk::{Moment, Survival};
use super::mount::{Mounted, Shared};

/// Where nobody else listens or asks.
const LOCAL: [&str; 3] = ["--bind", "127.0.0.1", "--no-trackers"];

/// Rates of a download that is to be cut: with the lowest it takes longer than three commits, with the last all is
/// under way at once.
const RATES: [&str; 3] = ["1500KB", "4MB", "100MB"];

/// A cut comes within this many changes and syncs, which is more than the slowest whole download makes, ...
const REQUESTS: u64 = 420;

/// ... or within this many: while the client makes its directories and opens its journal, ...
const FIRST_REQUESTS: u64 = 40;

/// ... or before one of this many syncs, which is where an order of writes that is wrong shows, ...
const SYNCS: u64 = 40;

/// ... or within this many milliseconds.
const MILLISECONDS: u64 = 3_000;

/// Pieces that the disk threads are writing when it happens: these may be whole on the disk without the client's
/// knowing.
const BEING_WRITTEN: usize = 4;

/// One in so many cuts is followed by a run that may end.
const ENDING: u64 = 3;

/// One in so many times only the program is killed, and the disk stays as it is.
const KILL: u64 = 5;

/// Of one in so many cuts nothing survives that was not synced.
const CRUEL: u64 = 4;

/// A run that is not cut must end within this.
const PATIENCE: Duration = Duration::from_secs(120);

/// So many pieces are named when something is broken.
const NAMED: usize = 10;

/// What came of it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Figures {
    /// Cuts in the middle of a download.
    pub(super) cuts: u64,
    /// Cuts right after a program ended with code 0, of which nothing survived that was not synced.
    pub(super) cuts_at_the_end: u64,
    /// Kills that left the disk as it was, with all that was not synced: the next cut may take it.
    pub(super) kills: u64,
    pub(super) claims_checked: usize,
    pub(super) durable_checked: usize,
    /// In pieces: hashed by one start, and written but not recorded at one cut.
    pub(super) most_hashed: usize,
    pub(super) most_in_flight: usize,
    pub(super) hashed: usize,
    pub(super) starts: u64,
}

impl Figures {
    pub(super) fn add(&mut self, other: &Self) {
        self.cuts += other.cuts;
        self.cuts_at_the_end += other.cuts_at_the_end;
        self.kills += other.kills;
        self.claims_checked += other.claims_checked;
        self.durable_checked += other.durable_checked;
        self.most_hashed = self.most_hashed.max(other.most_hashed);
        self.most_in_flight = self.most_in_flight.max(other.most_in_flight);
        self.hashed += other.hashed;
        self.starts += other.starts;
    }

    /// For people.
    pub(super) fn line(&self) -> String {
        format!(
            "{} cuts, {} right after the end, {} kills; {} claims and {} durable pieces checked; {} starts that told hashed {} pieces, \
             at most {} ({} KiB); at most {} in flight",
            self.cuts,
            self.cuts_at_the_end,
            self.kills,
            self.claims_checked,
            self.durable_checked,
            self.starts,
            self.hashed,
            self.most_hashed,
            self.most_hashed * (PIECE as usize / 1024),
            self.most_in_flight,
        )
    }
}

/// A child that does not outlive its owner.
#[derive(Debug)]
struct Guarded(Child);

impl Drop for Guarded {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Lane {
    client: PathBuf,
    folder: PathBuf,
    content: Content,
    disk: Shared,
    chance: Chance,
    port: u16,
    _seeder: Guarded,
    /// The disk answers syncs of content and does not do them, as if the client had forgotten them.
    is_liar: bool,
    /// Pieces that a start may hash: written at some cut since the copy began, and not recorded then.
    in_flight: BTreeSet<u32>,
    pub(super) figures: Figures,
}

/// How a run ended.
#[derive(Debug)]
struct Run {
    /// It ended with code 0 and said that all is complete.
    is_complete: bool,
    lines: Vec<String>,
    errors: String,
}

impl Lane {
    pub(super) fn new(
        client: &Path,
        folder: &Path,
        seed: u64,
        is_liar: bool,
    ) -> Result<Self, String> {
        let mount = folder.join("disk");
        fs::create_dir_all(&mount).map_err(|error| format!("{}: {error}", mount.display()))?;
        let content = Content::make(folder, seed)?;
        let mut command = Command::new(client);
        command.args(["seed", "--json", "it.torrent", "--data", "share"]);
        command.args(["--home", "seeder"]).args(LOCAL);
        command.current_dir(folder).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut seeder = Guarded(
            command
                .spawn()
                .map_err(|error| format!("{client:?}: {error}"))?,
        );
        let out = seeder.0.stdout.take().ok_or("no output")?;
        let mut lines = BufReader::new(out).lines().map_while(Result::ok);
        let port = lines
            .find(|line| line.contains("\"event\":\"seeding\""))
            .and_then(|line| number(&line, "port"))
            .and_then(|port| u16::try_from(port).ok());
        // A seeder whose output nobody reads ends.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(Self {
            client: client.to_owned(),
            folder: folder.to_owned(),
            content,
            disk: Shared::new(),
            chance: Chance::new(seed ^ 0x00c7),
            port: port.ok_or("the seeder ended")?,
            _seeder: seeder,
            is_liar,
            in_flight: BTreeSet::new(),
            figures: Figures::default(),
        })
    }

    /// A start, a cut or an end, and the checks after it.
    pub(super) fn step(&mut self) -> Result<(), String> {
        let rate = self.chance.below(RATES.len() as u64);
        let rate = RATES
            .get(usize::try_from(rate).unwrap_or(0))
            .unwrap_or(&"4MB");
        let (moment, time) = match self.chance.below(6) {
            0 => (
                Some(Moment::Request(1 + self.chance.below(FIRST_REQUESTS))),
                PATIENCE,
            ),
            1 | 2 => (
                Some(Moment::Request(1 + self.chance.below(REQUESTS))),
                PATIENCE,
            ),
            3 => (Some(Moment::Sync(1 + self.chance.below(SYNCS))), PATIENCE),
            _ => (None, Duration::from_millis(self.chance.below(MILLISECONDS))),
        };
        let run = self.run(rate, moment, Some(time))?;
        if run.is_complete {
            return self.end(&run);
        }
        self.cut(&run)?;
        if self.chance.below(ENDING) == 0 {
            let run = self.run("100MB", None, None)?;
            if !run.is_complete {
                let said = run.lines.last().cloned().unwrap_or_default();
                return Err(format!(
                    "a run that was not cut failed: {said} {}",
                    run.errors
                ));
            }
            return self.end(&run);
        }
        Ok(())
    }

    /// Runs the client until it ends, the power goes, or the time is over, at which the power goes as well. Without a
    /// time the power stays.
    fn run(
        &mut self,
        rate: &str,
        moment: Option<Moment>,
        time: Option<Duration>,
    ) -> Result<Run, String> {
        self.disk.lock().power_on(moment);
        let mounted = Mounted::new(
            &self.disk,
            &self.folder.join("disk"),
            self.is_liar.then_some(OUT),
        )?;
        let run = self.run_mounted(rate, time);
        mounted.unmount()?;
        run
    }

    fn run_mounted(&self, rate: &str, time: Option<Duration>) -> Result<Run, String> {
        let mount = self.folder.join("disk");
        let mut command = Command::new(&self.client);
        command.args(["download", "--json", "it.torrent", "--timeout", "60s"]);
        command.args([
            "--down",
            rate,
            "--peer",
            &format!("127.0.0.1:{}", self.port),
        ]);
        command.arg("-o").arg(mount.join(OUT));
        command.arg("--home").arg(mount.join(HOME)).args(LOCAL);
        command.current_dir(&self.folder).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn();
        let mut child = Guarded(child.map_err(|error| format!("{:?}: {error}", self.client))?);
        let (out, err) = (child.0.stdout.take(), child.0.stderr.take());
        let lines = std::thread::spawn(move || -> Vec<String> {
            let lines = out.map(|out| BufReader::new(out).lines().map_while(Result::ok));
            lines.into_iter().flatten().collect()
        });
        let errors =
            std::thread::spawn(move || err.and_then(|err| std::io::read_to_string(err).ok()));
        let deadline = Instant::now() + time.unwrap_or(PATIENCE);
        let status = loop {
            let status = child.0.try_wait().map_err(|error| error.to_string())?;
            if status.is_some() || self.disk.lock().is_dead() {
                break status;
            }
            if Instant::now() >= deadline {
                self.disk.lock().power_off();
                break None;
            }
            std::thread::sleep(Duration::from_millis(1));
        };
        drop(child);
        let lines = lines.join().map_err(|_| "a reader panicked")?;
        let errors = errors.join().map_err(|_| "a reader panicked")?;
        let is_complete = status.is_some_and(|status| status.success());
        if time.is_none() && status.is_none() {
            return Err(format!("a run did not end within {PATIENCE:?}"));
        }
        Ok(Run {
            is_complete,
            lines,
            errors: errors.unwrap_or_default(),
        })
    }

    /// Whatever this start hashed must have been in flight at a cut before it. Only a run that ends tells it.
    fn check_start(&mut self, run: &Run) -> Result<(), String> {
        let end = |line: &&String| line.contains("\"event\":\"complete\"");
        let end = run.lines.iter().find(end);
        let hashed = end.and_then(|line| number(line, "hashed")).unwrap_or(0);
        let hashed = usize::try_from(hashed.div_ceil(u64::from(PIECE))).unwrap_or(usize::MAX);
        self.figures.starts += u64::from(end.is_some());
        self.figures.hashed += hashed;
        self.figures.most_hashed = self.figures.most_hashed.max(hashed);
        let in_flight = self.in_flight.len();
        if hashed > in_flight + BEING_WRITTEN {
            return Err(format!(
                "{hashed} pieces were hashed at the start, {in_flight} were in flight"
            ));
        }
        let warned = run
            .lines
            .iter()
            .find(|line| line.contains("\"kind\":\"file\""));
        warned.map_or(Ok(()), |line| {
            Err(format!("a file is said to be changed: {line}"))
        })
    }

    /// The run was ended in its middle, most times by a cut: then what was not synced is at chance's mercy.
    fn cut(&mut self, run: &Run) -> Result<(), String> {
        self.check_start(run)?;
        let said_complete = run
            .lines
            .iter()
            .any(|line| line.contains("\"event\":\"complete\""));
        let mut disk = self.disk.lock();
        let mut durable = self.content.durable(&disk)?;
        let written = self.content.written(&disk);
        let is_kill = self.chance.below(KILL) == 0;
        if is_kill {
            self.figures.kills += 1;
        } else {
            let is_cruel = self.chance.below(CRUEL) == 0;
            let survival = if is_cruel {
                Survival::Nothing
            } else {
                Survival::Chance
            };
            disk.cut(survival, &mut self.chance);
            self.figures.cuts += 1;
        }
        disk.power_on(None);
        let (claims, good) = (self.content.claims(&disk)?, self.content.good(&disk));
        drop(disk);
        if said_complete {
            durable = (0..u32::try_from(self.content.pieces()).unwrap_or(0)).collect();
        }
        self.compare(&durable, &claims, &good)?;
        self.in_flight.extend(written.difference(&durable));
        self.in_flight.retain(|piece| !claims.contains(piece));
        self.figures.most_in_flight = self.figures.most_in_flight.max(self.in_flight.len());
        Ok(())
    }

    fn compare(
        &mut self,
        durable: &BTreeSet<u32>,
        claims: &BTreeSet<u32>,
        good: &BTreeSet<u32>,
    ) -> Result<(), String> {
        self.figures.claims_checked += claims.len();
        self.figures.durable_checked += durable.len();
        let first = |what: &str, left: &BTreeSet<u32>, right: &BTreeSet<u32>| {
            let pieces: Vec<u32> = left.difference(right).copied().collect();
            let named: Vec<String> = pieces.iter().take(NAMED).map(u32::to_string).collect();
            let (count, all, named) = (pieces.len(), left.len(), named.join(", "));
            match count {
                0 => Ok(()),
                _ => Err(format!(
                    "{what}: {count} pieces of {all}, the first are {named}"
                )),
            }
        };
        first("claimed and not there", claims, good)?;
        first("durable and lost", durable, claims)
    }

    /// The program said that all is complete and ended; the power goes now, and with it all that was not synced.
    fn end(&mut self, run: &Run) -> Result<(), String> {
        self.check_start(run)?;
        let mut disk = self.disk.lock();
        if !self.content.is_whole(&disk) {
            return Err("it says that all is complete, and it is not".to_owned());
        }
        disk.cut(Survival::Nothing, &mut self.chance);
        let (claims, good) = (self.content.claims(&disk)?, self.content.good(&disk));
        let is_whole = self.content.is_whole(&disk);
        drop(disk);
        self.figures.cuts_at_the_end += 1;
        let all = (0..u32::try_from(self.content.pieces()).unwrap_or(0)).collect();
        self.compare(&all, &claims, &good)?;
        if !is_whole {
            return Err("complete, and after the cut it is not".to_owned());
        }
        self.disk = Shared::new();
        self.in_flight.clear();
        Ok(())
    }
}

/// The number behind a name in a line of JSON.
fn number(line: &str, name: &str) -> Option<u64> {
    let (_, rest) = line.split_once(&format!("\"{name}\":"))?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}
