//! Programs that are started for a figure: what they cost, and that none is left behind.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// The kernel counts CPU time for user space in hundredths of a second, whatever it is built with.
const TICKS: f64 = 100.0;

/// How often a program is looked at.
const LOOK: Duration = Duration::from_millis(3);

/// A program under way; dropping it ends it.
#[derive(Debug)]
pub(crate) struct Program {
    child: Child,
    log: PathBuf,
    peak: u64,
}

impl Program {
    /// Starts `command` with its output in the file `log`.
    pub(crate) fn start(command: &mut Command, log: &Path) -> Result<Self, String> {
        let name = command.get_program().to_string_lossy().into_owned();
        let failed = |error: std::io::Error| format!("{name}: {error}");
        let out = File::create(log).map_err(failed)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(out.try_clone().map_err(failed)?)
            .stderr(out)
            .spawn()
            .map_err(failed)?;
        Ok(Self {
            child,
            log: log.to_owned(),
            peak: 0,
        })
    }

    /// CPU seconds so far, of all its threads.
    pub(crate) fn cpu(&self) -> f64 {
        let stat = format!("/proc/{}/stat", self.child.id());
        cpu_of(Path::new(&stat), 11)
    }

    /// Bytes of memory that it held at its fullest, as far as that was seen.
    pub(crate) fn peak(&mut self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let seen = field(&status.unwrap_or_default(), "VmHWM:") * 1024;
        self.peak = self.peak.max(seen);
        self.peak
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until `is_done` or it ends well. Gives its CPU seconds.
    pub(crate) fn finish(
        &mut self,
        patience: Duration,
        is_done: impl Fn() -> bool,
    ) -> Result<f64, String> {
        let begin = Instant::now();
        let before = waited_for();
        loop {
            self.peak();
            let done = is_done().then(|| self.cpu());
            match self.child.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(waited_for() - before),
                Ok(Some(status)) => return Err(self.complaint(&format!("ended with {status}"))),
                Ok(None) => {}
                Err(error) => return Err(error.to_string()),
            }
            if let Some(cpu) = done {
                return Ok(cpu);
            }
            if begin.elapsed() > patience {
                return Err(self.complaint(&format!("is not done after {patience:?}")));
            }
            thread::sleep(LOOK);
        }
    }

    /// Waits until `is_so`, and fails if it ends before.
    pub(crate) fn until(
        &mut self,
        patience: Duration,
        otherwise: &str,
        is_so: impl Fn() -> bool,
    ) -> Result<(), String> {
        let begin = Instant::now();
        while !is_so() {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(self.complaint(&format!("ended with {status}")));
            }
            if begin.elapsed() > patience {
                return Err(self.complaint(otherwise));
            }
            thread::sleep(LOOK);
        }
        Ok(())
    }

    fn complaint(&self, what: &str) -> String {
        let said = fs::read_to_string(&self.log).unwrap_or_default();
        let last = said.lines().last().unwrap_or_default();
        format!("the program of {} {what}: {last}", self.log.display())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Wall and CPU seconds of a command that does its work and ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    pub(crate) wall: f64,
    pub(crate) cpu: f64,
}

/// Runs a command to its end, which must be a good one.
pub(crate) fn measured(command: &mut Command, log: &Path) -> Result<Cost, String> {
    let begin = Instant::now();
    let before = waited_for();
    let mut program = Program::start(command, log)?;
    let status = program.child.wait().map_err(|error| error.to_string())?;
    if !status.success() {
        return Err(program.complaint(&format!("ended with {status}")));
    }
    Ok(Cost {
        wall: begin.elapsed().as_secs_f64(),
        cpu: waited_for() - before,
    })
}

/// Whether anything accepts connections on `port`; asking does not connect.
pub(crate) fn is_listening(port: u16) -> bool {
    let listens = format!(":{port:04X} ");
    ["/proc/net/tcp", "/proc/net/tcp6"].iter().any(|table| {
        let table = fs::read_to_string(table).unwrap_or_default();
        let mut lines = table.lines().skip(1);
        // Local address, remote address, state; 0A is listening.
        lines.any(|line| {
            let mut words = line.split_whitespace().skip(1);
            let local = words
                .next()
                .is_some_and(|local| format!("{local} ").ends_with(&listens));
            local && words.nth(1) == Some("0A")
        })
    })
}

/// A port that nothing uses at the moment. It is below those that the system gives to whoever connects, or a program
/// could find it taken by then.
pub(crate) fn free_port() -> Result<u16, String> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = std::process::id() * 97 % 10_000;
    (0..1_000)
        .map(|_| NEXT.fetch_add(1, Ordering::Relaxed))
        .filter_map(|next| u16::try_from(20_000 + (first + u32::from(next)) % 10_000).ok())
        .find(|port| TcpListener::bind((Ipv4Addr::UNSPECIFIED, *port)).is_ok())
        .ok_or_else(|| "no port is free".to_owned())
}

/// Our own program, which `cargo xtask bench` builds beside this one.
pub(crate) fn ours() -> Result<PathBuf, String> {
    let here = std::env::current_exe().map_err(|error| error.to_string())?;
    let path = here.with_file_name("bt-client");
    if path.is_file() {
        return Ok(path);
    }
    Err("bt-client is not built; cargo xtask bench does that".to_owned())
}

/// CPU seconds of this process.
pub(crate) fn own_cpu() -> f64 {
    cpu_of(Path::new("/proc/self/stat"), 11)
}

/// CPU seconds of children that were waited for.
fn waited_for() -> f64 {
    cpu_of(Path::new("/proc/self/stat"), 13)
}

/// The sum of two neighboring counts of ticks in `stat`, the first of which is number `index` behind the name.
fn cpu_of(stat: &Path, index: usize) -> f64 {
    let text = fs::read_to_string(stat).unwrap_or_default();
    let behind_name = text.rsplit(')').next().unwrap_or_default();
    let ticks = behind_name.split_whitespace().skip(index).take(2);
    ticks
        .filter_map(|ticks| ticks.parse::<f64>().ok())
        .sum::<f64>()
        / TICKS
}

/// The number behind `name` in the `status` of a process.
pub(crate) fn field(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let word = line.and_then(|line| line.split_whitespace().next());
    word.and_then(|word| word.parse().ok()).unwrap_or(0)
}
