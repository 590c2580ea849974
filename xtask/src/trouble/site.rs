//! A directory for one run: content, its torrent, and a seeder of it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use super::filler;
use crate::shell::{cargo, run};

/// See the module. The seeder ends and the directory goes with it.
pub(super) struct Site {
    pub(super) root: PathBuf,
    client: PathBuf,
    seeder: Option<Child>,
    port: u16,
}

impl Site {
    /// Finds the client and makes the directory.
    pub(super) fn new(name: &str) -> Result<Self, String> {
        let root = std::env::temp_dir().join(format!("bt-trouble-{name}-{}", std::process::id()));
        fs::create_dir_all(&root).map_err(|error| format!("{}: {error}", root.display()))?;
        Ok(Self {
            client: client()?,
            root,
            seeder: None,
            port: 0,
        })
    }

    /// Writes `bytes` that differ everywhere to a file of the content.
    pub(super) fn content(&self, path: &str, bytes: u64) -> Result<(), String> {
        let path = self.root.join("content").join(path);
        let write = || {
            fs::create_dir_all(path.parent().unwrap_or(&self.root))?;
            let length = usize::try_from(bytes).map_err(std::io::Error::other)?;
            fs::write(&path, filler::bytes(length, bytes))
        };
        write().map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Describes the content and starts to serve it.
    pub(super) fn serve(
        &mut self,
        piece_length: &str,
        descriptors: Option<u32>,
    ) -> Result<(), String> {
        let made = self
            .client(["create", "content", "-s", piece_length, "-o", "it.torrent"])
            .output();
        let made = made.map_err(|error| error.to_string())?;
        if !made.status.success() {
            return Err(String::from_utf8_lossy(&made.stderr).into_owned());
        }
        let arguments = "seed it.torrent --json --skip-check --bind 127.0.0.1";
        let mut seeder = match descriptors {
            None => self.client(arguments.split(' ')),
            Some(most) => self.with_descriptors(most, arguments),
        };
        let mut seeder = seeder
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| error.to_string())?;
        let out = seeder.stdout.take().ok_or("no output")?;
        self.seeder = Some(seeder);
        let mut lines = BufReader::new(out).lines().map_while(Result::ok);
        while let Some(line) = lines.next() {
            if line.contains("\"event\":\"seeding\"") {
                let port = line.rsplit("\"port\":").next().unwrap_or_default();
                let digits: String = port.chars().take_while(char::is_ascii_digit).collect();
                self.port = digits.parse().map_err(|_| line)?;
                // A seeder whose output nobody reads ends.
                std::thread::spawn(move || lines.for_each(drop));
                return Ok(());
            }
        }
        Err("the seeder ended".to_owned())
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn seeder_id(&self) -> u32 {
        self.seeder.as_ref().map_or(0, Child::id)
    }

    /// The client with the site as its directory and home.
    pub(super) fn client<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Command {
        let mut command = Command::new(&self.client);
        command.args(arguments);
        self.settle(&mut command);
        command
    }

    /// The same with a limit on descriptors.
    pub(super) fn with_descriptors(&self, most: u32, arguments: &str) -> Command {
        let mut command = Command::new("sh");
        let line = format!(
            "ulimit -n {most}; exec {} {arguments}",
            self.client.display()
        );
        command.args(["-c", &line]);
        self.settle(&mut command);
        command
    }

    /// The same under strace with these options.
    pub(super) fn traced(&self, options: &[String], arguments: &str) -> Command {
        let mut command = Command::new("strace");
        command
            .args(["-f", "-qq", "-o", "strace.log"])
            .args(options);
        command.arg(&self.client).args(arguments.split(' '));
        self.settle(&mut command);
        command
    }

    /// The arguments of a download into `directory`.
    pub(super) fn download(&self, directory: &str) -> String {
        let port = self.port;
        format!(
            "download it.torrent --json --bind 127.0.0.1 --peer 127.0.0.1:{port} -o {directory} --timeout 90s"
        )
    }

    fn settle(&self, command: &mut Command) {
        command.current_dir(&self.root).env("HOME", &self.root);
        command.env("XDG_STATE_HOME", self.root.join("state"));
        command.stdin(Stdio::null());
    }

    /// Makes the next download one that knows of no earlier one.
    pub(super) fn forget(&self) {
        let _ = fs::remove_dir_all(self.root.join("state"));
    }

    /// Whether the copy in `directory` has the same files with the same bytes.
    pub(super) fn is_intact(&self, directory: &str) -> bool {
        same(
            &self.root.join("content"),
            &self.root.join(directory).join("content"),
        )
    }
}

/// The program that `BT_TROUBLE_CLIENT` names, or else the one of this tree, built now.
fn client() -> Result<PathBuf, String> {
    if let Some(given) = std::env::var_os("BT_TROUBLE_CLIENT") {
        return Ok(given.into());
    }
    run(&mut cargo(["build", "--quiet", "-p", "bt-client"]))?;
    let target = std::env::var_os("CARGO_TARGET_DIR");
    let target = target.map_or_else(|| crate::tree::root().join("target"), PathBuf::from);
    Ok(target.join("debug/bt-client"))
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Some(seeder) = &mut self.seeder {
            // It may have ended by itself.
            let _ = seeder.kill();
            let _ = seeder.wait();
        }
        let _ = fs::remove_dir_all(&self.root);
    }
}

fn same(a: &Path, b: &Path) -> bool {
    if a.is_dir() {
        let Ok(entries) = fs::read_dir(a) else {
            return false;
        };
        let names = entries.filter_map(|entry| Some(entry.ok()?.file_name()));
        return b.is_dir()
            && names
                .into_iter()
                .all(|name| same(&a.join(&name), &b.join(&name)));
    }
    match (fs::read(a), fs::read(b)) {
        (Ok(a), Ok(b)) => a == b,
        _ => false,
    }
}

/// The text of the first `error` event, or what there was instead.
pub(super) fn error_event(output: &Output) -> String {
    first_event(output, "error")
}

/// The text of the first `warning` event, or what there was instead.
pub(super) fn warning_event(output: &Output) -> String {
    first_event(output, "warning")
}

fn first_event(output: &Output, name: &str) -> String {
    let out = String::from_utf8_lossy(&output.stdout);
    let event = format!("\"event\":\"{name}\"");
    let found = out.lines().find(|line| line.contains(&event));
    found.map_or_else(|| format!("no {name} event"), str::to_owned)
}
