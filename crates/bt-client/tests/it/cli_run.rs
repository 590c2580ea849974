//! Runs the real binary in a clean environment and looks at what it says.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serde_json::Value;

/// No command of these tests works for longer; one that does hangs.
const PATIENCE: Duration = Duration::from_secs(120);

/// A folder of its own, and the binary with nothing of ours in its environment.
pub(crate) struct Bench {
    dir: tempfile::TempDir,
}

/// What a run left.
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: Vec<u8>,
    pub(crate) err: String,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    /// A path below the folder.
    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file, with the folders above it.
    pub(crate) fn write(&self, name: impl AsRef<Path>, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    /// The binary with the folder as working directory and home.
    pub(crate) fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bt-client"));
        command.args(args).current_dir(self.dir.path()).env_clear();
        command
            .env("HOME", self.path("home"))
            .env("PATH", "")
            .env("TMPDIR", self.dir.path());
        // Where a program that is built to count its lines writes the counts.
        if let Some(counts) = std::env::var_os("LLVM_PROFILE_FILE") {
            command.env("LLVM_PROFILE_FILE", counts);
        }
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs to the end.
    pub(crate) fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Ran {
        finish(self.command(args).spawn().unwrap())
    }

    /// Runs to the end with these bytes on standard input.
    pub(crate) fn run_with_input<S: AsRef<OsStr>>(
        &self,
        args: impl IntoIterator<Item = S>,
        input: &[u8],
    ) -> Ran {
        let mut child = self.command(args).stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        // The program may end without reading everything.
        let writer = thread::spawn(move || drop(stdin.write_all(&input)));
        let ran = finish(child);
        writer.join().unwrap();
        ran
    }
}

impl fmt::Debug for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |text: &str| text.chars().take(2000).collect::<String>();
        let (out, err) = (shown(&String::from_utf8_lossy(&self.out)), shown(&self.err));
        write!(
            f,
            "code {:?}\n--- stdout\n{out}\n--- stderr\n{err}\n---",
            self.code
        )
    }
}

impl Ran {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.out).unwrap()
    }

    /// Standard output as one JSON object a line and nothing else.
    pub(crate) fn json(&self) -> Vec<Value> {
        self.text()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
            .collect()
    }

    /// The only JSON object of the output.
    pub(crate) fn object(&self) -> Value {
        let mut all = self.json();
        assert_eq!(all.len(), 1, "{self:?}");
        all.remove(0)
    }

    /// It went well.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }

    /// It failed as the manual says: this code, a message with these parts, nothing on standard
    /// output, and no dump of ours.
    #[track_caller]
    pub(crate) fn failed(&self, what: &str, code: i32, fragments: &[&str]) {
        assert_eq!(self.code, Some(code), "{what}: {self:?}");
        assert_eq!(self.text(), "", "{what}");
        assert!(self.err.starts_with("error: "), "{what}: {}", self.err);
        let rest_is_cause_or_hint = self
            .err
            .lines()
            .skip(1)
            .all(|line| line.starts_with("  cause: ") || line.starts_with("  hint: "));
        assert!(rest_is_cause_or_hint, "{what}: {}", self.err);
        for bad in [
            "panicked",
            "RUST_BACKTRACE",
            "Error {",
            "Err(",
            "Some(",
            "internal fault",
        ] {
            assert!(!self.err.contains(bad), "{what}: {}", self.err);
        }
        assert!(
            !self.err.contains(|c: char| c.is_control() && c != '\n'),
            "{what}: {:?}",
            self.err
        );
        for fragment in fragments {
            assert!(
                self.err.contains(fragment),
                "{what}: {fragment:?} is missing in: {}",
                self.err
            );
        }
    }
}

/// The names of the fields of a JSON object, in order.
pub(crate) fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    keys.sort_unstable();
    keys
}

/// Words for a command line.
pub(crate) fn words(line: &str) -> Vec<OsString> {
    line.split_whitespace().map(OsString::from).collect()
}

/// Waits for the end with a limit and collects what was said.
pub(crate) fn finish(mut child: Child) -> Ran {
    let collect = |stream: Option<Box<dyn Read + Send>>| {
        thread::spawn(move || {
            let mut bytes = Vec::new();
            if let Some(mut stream) = stream {
                stream.read_to_end(&mut bytes).unwrap();
            }
            bytes
        })
    };
    let out = collect(
        child
            .stdout
            .take()
            .map(|s| Box::new(s) as Box<dyn Read + Send>),
    );
    let err = collect(
        child
            .stderr
            .take()
            .map(|s| Box::new(s) as Box<dyn Read + Send>),
    );
    let (done, ended) = mpsc::channel::<()>();
    let pid = child.id();
    let guard = thread::spawn(move || {
        if ended.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
            signal(pid, rustix::process::Signal::KILL);
        }
    });
    let status = child.wait().unwrap();
    drop(done);
    guard.join().unwrap();
    Ran {
        code: status.code(),
        out: out.join().unwrap(),
        err: String::from_utf8(err.join().unwrap()).unwrap(),
    }
}

/// A program that runs while the test goes on; killed at the end of the test.
pub(crate) struct Running {
    child: Option<Child>,
    lines: mpsc::Receiver<String>,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        Self::of(command.spawn().unwrap())
    }

    pub(crate) fn of(mut child: Child) -> Self {
        let stdout = child.stdout.take().unwrap();
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self {
            child: Some(child),
            lines,
        }
    }

    /// The first event of this name that comes from now on.
    #[track_caller]
    pub(crate) fn event(&self, name: &str) -> Value {
        loop {
            let line = self
                .lines
                .recv_timeout(PATIENCE)
                .unwrap_or_else(|e| panic!("no event {name}: {e}"));
            let value: Value =
                serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"));
            if value["event"] == name {
                return value;
            }
        }
    }

    pub(crate) fn signal(&self, which: rustix::process::Signal) {
        signal(self.child.as_ref().unwrap().id(), which);
    }

    /// Waits for the end; the output that no [`Running::event`] took is in `out`.
    pub(crate) fn finish(mut self) -> Ran {
        let mut ran = finish(self.child.take().unwrap());
        for line in self.lines.iter() {
            ran.out.extend(line.bytes().chain([b'\n']));
        }
        ran
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn signal(pid: u32, which: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    // It may have ended just now.
    let _ = rustix::process::kill_process(pid, which);
}
