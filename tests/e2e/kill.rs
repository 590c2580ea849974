//! Real processes, killed at any moment: whatever the journal says afterwards is true, nothing that was durable is lost,
//! and the next start hashes no more than was under way.
//!
//! `cargo xtask kill` sets how often and where; as a plain test it is a smoke run.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use bt_client::state::knowledge::{Reader, Replay};
use bt_metainfo::verify::{self, Place, Verdict};
use bt_metainfo::{Metainfo, create};

use super::peers::{leave_out, program};

const PIECE: u64 = 16 * 1024;
const LOCAL: [&str; 3] = ["--bind", "127.0.0.1", "--no-trackers"];
/// The kernel can be half way through the pieces that the disk threads are writing.
const BEING_WRITTEN: usize = 4;

fn setting(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |text| text.parse().expect(name))
}

/// Where it happens: a directory of its own in `KILL_DIR`, or in the usual place for temporary files.
fn place() -> tempfile::TempDir {
    match std::env::var_os("KILL_DIR") {
        Some(dir) => tempfile::tempdir_in(dir).unwrap(),
        None => tempfile::tempdir().unwrap(),
    }
}

struct Rng(u64);

impl Rng {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// A program that ends with the test.
struct Seeder(Child);

impl Drop for Seeder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// One torrent, its seeder, and a download of it that is killed again and again.
struct Bench {
    dir: tempfile::TempDir,
    metainfo: Metainfo,
    port: u16,
    _seeder: Seeder,
    figures: Figures,
}

#[derive(Debug, Default)]
struct Figures {
    kills: u64,
    completions: u64,
    claims_checked: usize,
    most_hashed: usize,
    most_under_way: usize,
}

impl Figures {
    fn add(&mut self, other: &Self) {
        self.kills += other.kills;
        self.completions += other.completions;
        self.claims_checked += other.claims_checked;
        self.most_hashed = self.most_hashed.max(other.most_hashed);
        self.most_under_way = self.most_under_way.max(other.most_under_way);
    }
}

impl Bench {
    fn new() -> Self {
        let dir = place();
        let share = dir.path().join("share/tree");
        fs::create_dir_all(&share).unwrap();
        let mut rng = Rng(7);
        for (name, length) in [
            ("a.bin", 2_500_000),
            ("b.bin", 10_000),
            ("c.bin", 1_700_000),
        ] {
            let bytes: Vec<u8> = (0..length)
                .map(|_| u8::try_from(rng.below(255)).unwrap() + 1)
                .collect();
            fs::write(share.join(name), bytes).unwrap();
        }
        let options = create::Options {
            piece_length: Some(u32::try_from(PIECE).unwrap()),
            ..create::Options::default()
        };
        let torrent = create::create(&share, &options)
            .unwrap()
            .to_bytes()
            .unwrap();
        fs::write(dir.path().join("t.torrent"), &torrent).unwrap();
        let mut command = client(dir.path());
        command.args([
            "seed",
            "--json",
            "t.torrent",
            "--data",
            "share",
            "--home",
            "seeder",
        ]);
        let mut child = command.args(LOCAL).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = lines.find_map(|line| {
            let event: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
            (event["event"] == "seeding")
                .then(|| u16::try_from(event["port"].as_u64().unwrap()).unwrap())
        });
        // A seeder that nobody listens to ends.
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            metainfo: Metainfo::parse(&torrent).unwrap(),
            dir,
            port: port.expect("the seeder says its port"),
            _seeder: Seeder(child),
            figures: Figures::default(),
        }
    }

    fn download(&self, rate: &str) -> Vec<String> {
        let peer = format!("127.0.0.1:{}", self.port);
        let words = [
            "download",
            "--json",
            "t.torrent",
            "-o",
            "out",
            "--timeout",
            "60s",
            "--down",
            rate,
            "--peer",
            &peer,
        ];
        words
            .iter()
            .chain(&LOCAL)
            .map(|word| (*word).to_owned())
            .collect()
    }

    fn begin_anew(&self) {
        for dir in ["out", "home"] {
            let _ = fs::remove_dir_all(self.dir.path().join(dir));
        }
    }

    /// Starts the download and kills it after this time; false if it was complete before.
    fn kill_after(&mut self, time: Duration) -> bool {
        let mut command = client(self.dir.path());
        let mut child = command
            .args(self.download("4MB"))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let end = Instant::now() + time;
        while Instant::now() < end {
            if child.try_wait().unwrap().is_some() {
                return false;
            }
            std::thread::park_timeout(Duration::from_millis(2));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        self.figures.kills += 1;
        true
    }

    /// What the journal claims, by the same reader as the client's.
    fn claims(&self) -> BTreeSet<u32> {
        let Some(journal) = self.journal() else {
            return BTreeSet::new();
        };
        let bytes = fs::read(journal).unwrap();
        let mut replay = Replay::default();
        let reader = Reader::new(&bytes).expect("a kill leaves no foreign file");
        reader
            .map_while(Result::ok)
            .for_each(|record| replay.apply(&record));
        let hash = *self.metainfo.info_hash_v1().unwrap().as_bytes();
        replay
            .find(hash)
            .map(|(_, known)| known.pieces.iter().collect())
            .unwrap_or_default()
    }

    fn journal(&self) -> Option<PathBuf> {
        let all = self
            .dir
            .path()
            .join("home/.local/state/bt-client/downloads");
        let dir = fs::read_dir(all).ok()?.next()?.unwrap().path();
        Some(dir.join("journal")).filter(|path| path.exists())
    }

    /// What is on the disk, by hashing all of it.
    fn good(&self) -> BTreeSet<u32> {
        let out = self.dir.path().join("out");
        let mut good = BTreeSet::new();
        if !out.join("tree").exists() {
            return good;
        }
        let options = verify::Options {
            place: Place::Parent,
            ..verify::Options::default()
        };
        let never = AtomicBool::new(false);
        verify::verify(self.metainfo.info(), &out, &options, &never, |event| {
            if let verify::Event::Piece {
                piece,
                verdict: Verdict::Good,
            } = event
            {
                good.insert(piece.0);
            }
        })
        .unwrap();
        good
    }

    /// The checks after a kill. Returns what is claimed, and how many good pieces are not.
    fn inspect(&mut self, durable_before: &BTreeSet<u32>) -> (BTreeSet<u32>, usize) {
        let (claims, good) = (self.claims(), self.good());
        let false_claims: Vec<_> = claims.difference(&good).collect();
        assert!(
            false_claims.is_empty(),
            "claimed and not there: {false_claims:?}"
        );
        let lost: Vec<_> = durable_before.difference(&claims).collect();
        assert!(lost.is_empty(), "durable and lost: {lost:?}");
        self.figures.claims_checked += claims.len();
        let under_way = good.len() - claims.len();
        self.figures.most_under_way = self.figures.most_under_way.max(under_way);
        (claims, under_way)
    }

    /// Lets the download end, and checks what it hashed and what came of it.
    fn complete(&mut self, under_way: usize) {
        let output = client(self.dir.path())
            .args(self.download("100MB"))
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let text = String::from_utf8(output.stdout).unwrap();
        let complete = text
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
            .find(|event| event["event"] == "complete")
            .expect("it says so");
        let hashed = usize::try_from(complete["hashed"].as_u64().unwrap().div_ceil(PIECE)).unwrap();
        self.figures.most_hashed = self.figures.most_hashed.max(hashed);
        assert!(
            hashed <= under_way + BEING_WRITTEN,
            "{hashed} pieces were hashed, {under_way} were under way"
        );
        let all = self.metainfo.info().layout().piece_count() as usize;
        assert_eq!(self.good().len(), all, "every byte is right");
        assert_eq!(
            self.claims().len(),
            all,
            "what is called complete is durable"
        );
        self.figures.completions += 1;
    }
}

/// The program that `KILL_CLIENT` names, or else the one that was built with the tests.
fn program_under_test() -> PathBuf {
    let given = std::env::var_os("KILL_CLIENT").map(PathBuf::from);
    given.unwrap_or_else(|| env!("CARGO_BIN_EXE_bt-client").into())
}

fn client(dir: &Path) -> Command {
    let mut command = Command::new(program_under_test());
    command
        .env_clear()
        .env("HOME", dir.join("home"))
        .current_dir(dir);
    command.stdin(Stdio::null()).stderr(Stdio::piped());
    command
}

/// `KILL_LANES` of them run beside each other, each with a seeder and a directory of its own: then a kill meets
/// processors and a disk that are busy, and more of them fit into an hour.
///
/// P1, P2 and P3 of `docs/SECURITY.md`.
#[test]
fn kills_at_any_moment_lose_nothing_and_claim_nothing_false() {
    let cycles = setting("KILL_CYCLES", 5);
    let lanes = setting("KILL_LANES", 1).clamp(1, cycles.max(1));
    let seed = setting("KILL_SEED", 1);
    let begun = Instant::now();
    let mut sum = Figures::default();
    std::thread::scope(|scope| {
        let share = |lane| cycles / lanes + u64::from(lane < cycles % lanes);
        let running: Vec<_> = (0..lanes)
            .map(|lane| scope.spawn(move || kill_at_any_moment(share(lane), seed * 1_000 + lane)))
            .collect();
        for lane in running {
            sum.add(&lane.join().expect("nothing false, nothing lost"));
        }
    });
    println!("{sum:?} in {:?}", begun.elapsed());
}

fn kill_at_any_moment(cycles: u64, seed: u64) -> Figures {
    let mut rng = Rng(seed);
    let mut bench = Bench::new();
    let mut durable = BTreeSet::new();
    let mut done = 0;
    while done < cycles {
        let time = Duration::from_millis(rng.below(1_500));
        let killed = bench.kill_after(time);
        done += u64::from(killed);
        let under_way;
        (durable, under_way) = bench.inspect(&durable);
        // A download is killed a few times before it may end; then another one begins.
        if !killed || rng.below(3) == 0 {
            bench.complete(under_way);
            bench.begin_anew();
            durable.clear();
        }
        if done.is_multiple_of(50) {
            eprintln!("seed {seed}: {:?}", bench.figures);
        }
    }
    std::mem::take(&mut bench.figures)
}

/// `strace` kills the client when one of its threads makes its N-th call of a kind, for each N up to `KILL_CALLS`.
///
/// P1, P2 and P3 of `docs/SECURITY.md`.
#[test]
fn kills_at_each_system_call_lose_nothing_and_claim_nothing_false() {
    let Some(strace) = program("strace") else {
        return leave_out("kills at each system call", "strace");
    };
    let most = setting("KILL_CALLS", 2);
    let mut bench = Bench::new();
    let begun = Instant::now();
    for call in [
        "pwrite64",
        "pwritev",
        "fdatasync",
        "fsync",
        "rename",
        "ftruncate",
        "flock",
        "unlink",
    ] {
        let mut durable = BTreeSet::new();
        for number in 1..=most {
            // Every second run goes on with what the one before left, so that there is something to lose.
            if !number.is_multiple_of(2) {
                bench.begin_anew();
                durable.clear();
            }
            let mut command = Command::new(&strace);
            command
                .env_clear()
                .env("HOME", bench.dir.path().join("home"))
                .current_dir(bench.dir.path());
            command.args(["-f", "-qq", "-o", "/dev/null"]);
            command.arg(format!("--inject={call}:signal=KILL:when={number}"));
            command
                .arg(program_under_test())
                .args(bench.download("100MB"));
            let output = command.stdin(Stdio::null()).output().unwrap();
            let killed = !output.status.success();
            // Under strace the end is strace's own signal, or the code that a shell gives to it.
            let by_signal = output.status.signal() == Some(9) || output.status.code() == Some(137);
            assert!(
                !killed || by_signal,
                "{call} {number}: {} {}",
                output.status,
                String::from_utf8_lossy(&output.stderr)
            );
            bench.figures.kills += u64::from(killed);
            let under_way;
            (durable, under_way) = bench.inspect(&durable);
            if !killed || number.is_multiple_of(2) || number == most {
                bench.complete(under_way);
            }
            if !killed {
                println!("{call}: {} calls", number - 1);
                break;
            }
        }
    }
    println!("{:?} in {:?}", bench.figures, begun.elapsed());
}

/// Not only the journal is synced, but also the names that lead to it: a run that makes them sees to it, and so does one
/// that finds them, because whoever made them may have been killed before.
///
/// P1 and P4 of `docs/SECURITY.md`.
#[test]
fn the_directories_of_the_state_survive_a_power_cut() {
    let Some(strace) = program("strace") else {
        return leave_out("directories of the state", "strace");
    };
    let bench = Bench::new();
    for run in ["first", "second"] {
        let log = bench.dir.path().join(run);
        let mut command = Command::new(&strace);
        command
            .env_clear()
            .env("HOME", bench.dir.path().join("home"))
            .current_dir(bench.dir.path());
        command.args(["-f", "-y", "-qq", "-e", "trace=fsync", "-o"]);
        command.arg(&log).arg(program_under_test());
        command.args(bench.download("100MB"));
        let output = command.stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success());
        let calls = fs::read_to_string(log).unwrap();
        let root = bench.dir.path().canonicalize().unwrap();
        for made in [
            "home/.local/state/bt-client/downloads",
            "home/.local/state/bt-client",
            "home/.local/state",
            "home/.local",
            "home",
            "",
        ] {
            // The root of the test has no slash at its end in the log.
            let folder = root.join(made).components().collect::<PathBuf>();
            let synced = format!("<{}>)", folder.display());
            assert!(calls.contains(&synced), "{run} run, no {synced} in {calls}");
        }
    }
}

/// Each run, every sync of a thread from its N-th on fails, as on a disk that dies. The first of the thread that commits
/// is one of data; later ones may hit the journal, without which a download can be complete all the same.
///
/// P1 of `docs/SECURITY.md`.
#[test]
fn a_sync_that_fails_ends_the_download_and_nothing_of_it_is_claimed() {
    let Some(strace) = program("strace") else {
        return leave_out("syncs that fail", "strace");
    };
    let mut bench = Bench::new();
    for first in [1, 2, 3] {
        bench.begin_anew();
        let mut command = Command::new(&strace);
        command
            .env_clear()
            .env("HOME", bench.dir.path().join("home"))
            .current_dir(bench.dir.path());
        command.args(["-f", "-qq", "-o", "/dev/null"]);
        command.arg(format!("--inject=fdatasync:error=EIO:when={first}+"));
        command
            .arg(env!("CARGO_BIN_EXE_bt-client"))
            .args(bench.download("100MB"));
        let output = command.stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let all = bench.metainfo.info().layout().piece_count() as usize;
        let (claims, _) = bench.inspect(&BTreeSet::new());
        let code = output.status.code();
        if first == 1 {
            assert!(code == Some(5) && said.contains("cannot sync"), "{said}");
            assert!(claims.is_empty(), "{} pieces are claimed", claims.len());
        } else {
            assert!(matches!(code, Some(0 | 5)), "{said}");
            assert!(code == Some(5) || bench.good().len() == all, "{said}");
        }
        let again = client(bench.dir.path())
            .args(bench.download("100MB"))
            .output()
            .unwrap();
        assert!(again.status.success());
        assert_eq!((bench.good().len(), bench.claims().len()), (all, all));
    }
}
