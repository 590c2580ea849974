//! Programs of others that tests run: how each is found, started and ended.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A program that runs until it is dropped.
#[derive(Debug)]
pub(crate) struct Running(Child);

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::null()).stdout(Stdio::null());
        Self::of(command.stderr(Stdio::null()).spawn().expect("it starts"))
    }

    pub(crate) fn of(child: Child) -> Self {
        Self(child)
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let id = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(id, signal).expect("it runs");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A program on the path.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|directory| directory.join(name))
        .find(|file| file.is_file())
}

/// Says that a test is left out because a program is missing.
pub(crate) fn leave_out(test: &str, program: &str) {
    let line = format!("left out: {test} (needs {program})\n");
    match std::env::var_os("BT_LEFT_OUT_FILE") {
        Some(path) => {
            let file = std::fs::File::options()
                .append(true)
                .create(true)
                .open(path);
            file.and_then(|mut file| file.write_all(line.as_bytes()))
                .expect("the list of left-out tests");
        }
        None => eprint!("{line}"),
    }
}

/// A Redis without persistence, on a socket in a directory.
pub(crate) fn redis(program: &Path, socket: &Path) -> Running {
    Running::start(
        Command::new(program)
            .args(["--port", "0", "--save", "", "--appendonly", "no"])
            .arg("--unixsocket")
            .arg(socket),
    )
}
