//! A torrent, a seeder of it and leechers, as processes; and peers of our own that misbehave.

use std::fs;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use super::Bench;
use super::filler::bytes;
use super::process::Program;

/// Nothing here takes longer unless it hangs.
pub(super) const PATIENCE: Duration = Duration::from_secs(180);

/// Content, its torrent, and where they lie.
#[derive(Debug)]
pub(super) struct Torrent {
    pub(super) file: PathBuf,
    pub(super) data: PathBuf,
    pub(super) info_hash: [u8; 20],
}

impl Bench {
    /// The program with a home of its own.
    pub(super) fn client(&self) -> Command {
        let mut command = Command::new(self.programs.join("bt-client"));
        command.arg("--home").arg(self.folder.join("home"));
        command
    }

    /// Runs the program under a limit or another program: `wrapper` is shell before `exec`.
    pub(super) fn client_in_shell(&self, wrapper: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("{wrapper}; exec \"$0\" \"$@\"")]);
        command
            .arg(self.programs.join("bt-client"))
            .arg("--home")
            .arg(self.folder.join("home"));
        command
    }

    /// A torrent of `count` files of `size` bytes each.
    pub(super) fn torrent(
        &self,
        count: usize,
        size: usize,
        tracker: Option<&str>,
    ) -> Result<Torrent, String> {
        let data = self.folder.join("source");
        let content = data.join("content");
        fs::create_dir_all(&content).map_err(|e| e.to_string())?;
        for (seed, number) in (1..).zip(0..count) {
            let bytes = bytes(size, seed);
            fs::write(content.join(format!("f{number:05}")), bytes).map_err(|e| e.to_string())?;
        }
        let file = self.folder.join("a.torrent");
        let mut create = self.client();
        create
            .arg("create")
            .arg(&content)
            .arg("--output")
            .arg(&file);
        if let Some(tracker) = tracker {
            create.args(["--tracker", tracker]);
        }
        let output = create.output().map_err(|e| e.to_string())?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        let mut magnet = self.client();
        let output = magnet
            .arg("magnet")
            .arg(&file)
            .output()
            .map_err(|e| e.to_string())?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let hash = text
            .split("urn:btih:")
            .nth(1)
            .and_then(|rest| rest.get(..40));
        let mut info_hash = [0; 20];
        for (at, byte) in info_hash.iter_mut().enumerate() {
            let digits = hash.and_then(|hash| hash.get(2 * at..2 * at + 2));
            let value = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
            *byte = value.ok_or_else(|| format!("no info-hash in {text:?}"))?;
        }
        Ok(Torrent {
            file,
            data,
            info_hash,
        })
    }

    /// Starts a seeder by the command and waits until it serves; where.
    pub(super) fn seed(
        &self,
        torrent: &Torrent,
        command: Command,
        more: &[&str],
    ) -> Result<(Program, SocketAddr), String> {
        self.seed_at(Ipv4Addr::LOCALHOST, torrent, command, more)
    }

    /// The same on another address of this machine.
    pub(super) fn seed_at(
        &self,
        ip: Ipv4Addr,
        torrent: &Torrent,
        mut command: Command,
        more: &[&str],
    ) -> Result<(Program, SocketAddr), String> {
        command.args(["seed", "--json", "--bind", &ip.to_string()]);
        command
            .args(more)
            .arg(&torrent.file)
            .arg("--data")
            .arg(&torrent.data);
        let program = Program::start(&mut command)?;
        let line = program.line_with("\"event\":\"seeding\"", PATIENCE)?;
        let port = line
            .split("\"port\":")
            .nth(1)
            .and_then(|rest| rest.trim_end_matches('}').parse().ok());
        let port: u16 = port.ok_or_else(|| format!("no port in {line}"))?;
        Ok((program, SocketAddr::from((ip, port))))
    }

    /// Starts a leecher by the command, into a folder of this name.
    pub(super) fn leech(
        &self,
        torrent: &Torrent,
        mut command: Command,
        into: &str,
        more: &[&str],
    ) -> Result<Program, String> {
        command
            .args(["download", "--json", "--bind", "127.0.0.1"])
            .args(more);
        command
            .arg(&torrent.file)
            .arg("--output")
            .arg(self.folder.join(into));
        Program::start(&mut command)
    }

    /// Whether every piece of what a leecher made is right, hashed by another process.
    pub(super) fn verify(&self, torrent: &Torrent, into: &str) -> Result<(), String> {
        let mut command = self.client();
        command
            .arg("verify")
            .arg(&torrent.file)
            .arg(self.folder.join(into).join("content"));
        let output = command.output().map_err(|e| e.to_string())?;
        if output.status.success() {
            return Ok(());
        }
        Err(format!(
            "false content in {into}: {}",
            String::from_utf8_lossy(&output.stderr)
        ))
    }

    /// Downloads everything from one seeder and verifies it; how long it took.
    pub(super) fn download(
        &self,
        torrent: &Torrent,
        from: SocketAddr,
        into: &str,
    ) -> Result<Duration, String> {
        let begin = Instant::now();
        let peer = from.to_string();
        let mut leecher = self.leech(
            torrent,
            self.client(),
            into,
            &["--peer", &peer, "--no-trackers"],
        )?;
        if !leecher.end(PATIENCE)? {
            return Err(format!("the download into {into} failed"));
        }
        let took = begin.elapsed();
        self.verify(torrent, into)?;
        Ok(took)
    }
}

/// Connects from one of the many addresses of this machine; `None` if that failed.
pub(super) fn connect_from(number: u32, to: SocketAddr) -> Option<TcpStream> {
    let [_, second, third, fourth] = (number + 2).to_be_bytes();
    let from = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, second, third, fourth)), 0);
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).ok()?;
    socket.bind(&from.into()).ok()?;
    socket
        .connect_timeout(&to.into(), Duration::from_secs(5))
        .ok()?;
    Some(socket.into())
}

/// The handshake of a peer without extensions.
pub(super) fn handshake(torrent: &Torrent, number: u32) -> Vec<u8> {
    let mut bytes = b"\x13BitTorrent protocol\0\0\0\0\0\0\0\0".to_vec();
    bytes.extend_from_slice(&torrent.info_hash);
    bytes.extend_from_slice(format!("-SK0100-{number:012}").as_bytes());
    bytes
}

/// Whether the other side has closed; reads what has come.
pub(super) fn is_closed(stream: &mut TcpStream) -> bool {
    use std::io::{ErrorKind, Read as _};
    let mut buffer = [0; 4096];
    if stream.set_nonblocking(true).is_err() {
        return true;
    }
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() != ErrorKind::WouldBlock,
        }
    }
}

/// Sends without waiting; whether it went.
pub(super) fn send(stream: &mut TcpStream, bytes: &[u8]) -> bool {
    let _ = stream.set_nonblocking(true);
    stream.write_all(bytes).is_ok()
}

/// For messages.
pub(super) fn mib(kib: u64) -> u64 {
    kib / 1024
}

/// Whether a program is installed.
pub(super) fn needs(program: &str) -> Result<(), String> {
    let found = Command::new(program).arg("-V").output().is_ok();
    found
        .then_some(())
        .ok_or_else(|| format!("{program} is not installed; .ci/run installs it"))
}

/// Whether a path is there.
pub(super) fn exists(path: &str) -> bool {
    Path::new(path).exists()
}
