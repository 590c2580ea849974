//! Programs under test: starting them, reading what they say, and what the kernel says of them.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

/// A running program; it is killed when this goes.
#[derive(Debug)]
pub(super) struct Program {
    child: Child,
    lines: Receiver<String>,
    /// The process that does the work, which under a wrapper is a child of the one started.
    pub(super) pid: u32,
}

/// What a process holds at one moment.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Usage {
    pub(super) rss_kib: u64,
    pub(super) descriptors: usize,
    pub(super) threads: usize,
    /// Processor time used so far, in hundredths of a second.
    pub(super) ticks: u64,
}

impl Program {
    /// Starts it with its standard output read line by line.
    pub(super) fn start(command: &mut Command) -> Result<Self, String> {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command.spawn().map_err(|e| format!("{command:?}: {e}"))?;
        let stdout = child.stdout.take().ok_or("no standard output")?;
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let pid = child.id();
        Ok(Self { child, lines, pid })
    }

    /// The next line with this in it.
    pub(super) fn line_with(&self, part: &str, patience: Duration) -> Result<String, String> {
        let deadline = Instant::now() + patience;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left);
            let line = line.map_err(|_| format!("no line with {part} within {patience:?}"))?;
            if line.contains(part) {
                return Ok(line);
            }
        }
    }

    /// Waits for the end; whether it went well.
    pub(super) fn end(&mut self, patience: Duration) -> Result<bool, String> {
        let deadline = Instant::now() + patience;
        loop {
            let status = self.child.try_wait().map_err(|e| e.to_string())?;
            if let Some(status) = status {
                return Ok(status.success());
            }
            if Instant::now() > deadline {
                return Err(format!("a program did not end within {patience:?}"));
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Whether it has not ended.
    pub(super) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Ends it without a word, as a crash would.
    pub(super) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Takes the child of this name for the one that is measured; a wrapper may have others.
    pub(super) fn measure_child(&mut self, name: &str) -> Result<(), String> {
        let path = format!("/proc/{0}/task/{0}/children", self.child.id());
        let deadline = Instant::now() + Duration::from_secs(10);
        while Instant::now() < deadline {
            let text = fs::read_to_string(&path).unwrap_or_default();
            let is_it = |pid: &u32| {
                let comm = fs::read_to_string(format!("/proc/{pid}/comm"));
                comm.is_ok_and(|comm| comm.trim_end() == name)
            };
            let pids = text.split_whitespace().filter_map(|word| word.parse().ok());
            if let Some(pid) = pids.into_iter().find(is_it) {
                self.pid = pid;
                return Ok(());
            }
            thread::sleep(Duration::from_millis(10));
        }
        Err(format!("the wrapper started no {name}"))
    }

    /// What it holds now; nothing once it has ended.
    pub(super) fn usage(&self) -> Usage {
        usage_of(self.pid)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if self.pid != self.child.id() {
            // A wrapper that is killed leaves its child behind.
            let _ = Command::new("kill").arg(self.pid.to_string()).status();
        }
        self.kill();
    }
}

/// What the kernel says of a process.
pub(super) fn usage_of(pid: u32) -> Usage {
    let folder = format!("/proc/{pid}");
    let status = fs::read_to_string(format!("{folder}/status")).unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    let stat = fs::read_to_string(format!("{folder}/stat")).unwrap_or_default();
    // Fields 14 and 15 by the manual; the name in field 2 may hold spaces.
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = after_name.split_whitespace().skip(11).take(2);
    Usage {
        rss_kib: field("VmRSS:").unwrap_or(0),
        descriptors: fs::read_dir(format!("{folder}/fd")).map_or(0, Iterator::count),
        threads: usize::try_from(field("Threads:").unwrap_or(0)).unwrap_or(0),
        ticks: ticks.filter_map(|word| word.parse::<u64>().ok()).sum(),
    }
}

/// Thousands of sockets need more than the usual 1,024.
pub(super) fn raise_descriptor_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
}

/// Adds `patience` to now and calls `probe` until it says yes.
pub(super) fn eventually(patience: Duration, mut probe: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + patience;
    loop {
        if probe() {
            return true;
        }
        if Instant::now() > deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(50));
    }
}
