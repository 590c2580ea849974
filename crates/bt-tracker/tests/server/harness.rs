//! What the tests share: starting servers, sending requests, making torrents.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bt_metainfo::assemble::{Assembly, Content};
use bt_metainfo::{InfoHash, Metainfo};
use bt_tracker::server::{Config, Handle, Server};
use bt_tracker::{AnnounceResponse, ReplyError};

/// No test waits longer for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A configuration on free ports of the loopback address.
pub(crate) fn config() -> Config {
    Config {
        http: vec![local()],
        udp: vec![local()],
        torrents_poll: Duration::from_millis(20),
        ..Config::default()
    }
}

pub(crate) fn local() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

pub(crate) async fn start(config: Config) -> Handle {
    Server::start(config).await.expect("the server starts")
}

pub(crate) fn http(server: &Handle) -> SocketAddr {
    server.http_addrs()[0]
}

/// Waits until something holds, without a fixed wait.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(
            Instant::now() < deadline,
            "{what}: still not after {PATIENCE:?}"
        );
        std::thread::yield_now();
    }
}

pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A connection on which requests can be sent one after the other.
pub(crate) struct Connection {
    stream: TcpStream,
    came: Vec<u8>,
}

impl Connection {
    pub(crate) fn open(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self {
            stream,
            came: Vec::new(),
        }
    }

    /// From this address, which has to be one of this machine.
    pub(crate) fn open_from(ip: [u8; 4], addr: SocketAddr) -> Self {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
        let socket = socket.unwrap();
        let ours = SocketAddr::from((ip, 0));
        socket.bind(&ours.into()).unwrap();
        socket.connect(&addr.into()).unwrap();
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self {
            stream,
            came: Vec::new(),
        }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    pub(crate) fn get(&mut self, target: &str) -> Reply {
        self.send(format!("GET {target} HTTP/1.1\r\nHost: t\r\n\r\n").as_bytes());
        self.reply().expect("the server answers")
    }

    /// A request of an operator with a token.
    pub(crate) fn manage(&mut self, method: &str, target: &str, token: &str) -> Reply {
        let request = format!(
            "{method} {target} HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {token}\r\n\r\n"
        );
        self.send(request.as_bytes());
        self.reply().expect("the server answers")
    }

    /// The next reply; `None` when the server has closed the connection.
    pub(crate) fn reply(&mut self) -> Option<Reply> {
        let head_end = loop {
            if let Some(end) = self
                .came
                .windows(4)
                .position(|window| window == b"\r\n\r\n")
            {
                break end;
            }
            if !self.read() {
                return None;
            }
        };
        let head = String::from_utf8(self.came[..head_end].to_vec()).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines
            .next()
            .unwrap()
            .split(' ')
            .nth(1)
            .unwrap()
            .parse()
            .unwrap();
        let pair = |line: &str| {
            line.split_once(": ")
                .map(|(a, b)| (a.to_owned(), b.to_owned()))
        };
        let headers: Vec<_> = lines.filter_map(pair).collect();
        let mut reply = Reply {
            status,
            headers,
            body: Vec::new(),
        };
        let length: usize = reply.header("content-length").unwrap().parse().unwrap();
        let end = head_end + 4 + length;
        while self.came.len() < end {
            assert!(self.read(), "the reply is cut");
        }
        reply.body = self.came[head_end + 4..end].to_vec();
        self.came.drain(..end);
        Some(reply)
    }

    /// Asserts that the server says nothing for `time`, and does not close either.
    pub(crate) fn hears_nothing_for(&mut self, time: Duration) {
        self.stream.set_read_timeout(Some(time)).unwrap();
        let error = again(|| self.stream.read(&mut [0])).expect_err("nothing comes");
        let kind = error.kind();
        assert!(
            matches!(
                kind,
                std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
            ),
            "{error}"
        );
        self.stream.set_read_timeout(Some(PATIENCE)).unwrap();
    }

    /// Waits until the server closes; false when it has sent more instead.
    pub(crate) fn is_closed(&mut self) -> bool {
        self.came.is_empty() && !self.read()
    }

    /// Reads into `came` what the server sends; true when it has closed.
    pub(crate) fn is_closed_after(&mut self, came: &mut Vec<u8>) -> bool {
        let more = self.read();
        came.append(&mut self.came);
        !more
    }

    /// Says that nothing more will be sent.
    pub(crate) fn finish(&mut self) {
        // The server may have closed already.
        let _ = self.stream.shutdown(std::net::Shutdown::Write);
    }

    fn read(&mut self) -> bool {
        let mut buffer = [0; 4096];
        match again(|| self.stream.read(&mut buffer)) {
            Ok(0) => false,
            Ok(count) => {
                self.came.extend_from_slice(&buffer[..count]);
                true
            }
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => false,
            Err(error) => panic!("the server does not answer: {error}"),
        }
    }
}

/// Makes a call on a socket once more when it was interrupted.
///
/// The kernel does not restart a wait with a time limit after the process was stopped and continued, as happens to
/// all of a machine that is frozen for a moment (signal(7)).
pub(crate) fn again<T>(mut call: impl FnMut() -> std::io::Result<T>) -> std::io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

pub(crate) fn get(addr: SocketAddr, target: &str) -> Reply {
    Connection::open(addr).get(target)
}

/// `a=1&b=2` of an announce of a peer that lacks `left` bytes; `more` is appended.
pub(crate) fn query(torrent: u8, port: u16, left: u64, more: &str) -> String {
    let hash = format!("%{torrent:02x}").repeat(20);
    format!(
        "info_hash={hash}&peer_id=-XX0001-{port:012}&port={port}&uploaded=0&downloaded=0\
         &left={left}{more}"
    )
}

/// Announces over HTTP on a connection of its own.
pub(crate) fn announce(
    addr: SocketAddr,
    torrent: u8,
    port: u16,
    left: u64,
    more: &str,
) -> Result<AnnounceResponse, ReplyError> {
    let reply = get(
        addr,
        &format!("/announce?{}", query(torrent, port, left, more)),
    );
    assert_eq!(reply.status, 200, "{}", reply.text());
    bt_tracker::http::decode_announce_reply(&reply.body)
}

/// The reason of a refusal.
pub(crate) fn refusal<T: std::fmt::Debug>(result: Result<T, ReplyError>) -> String {
    match result {
        Err(ReplyError::Refused(failure)) => failure.reason,
        other => panic!("not refused: {other:?}"),
    }
}

pub(crate) fn ports(response: &AnnounceResponse) -> Vec<u16> {
    let mut ports: Vec<_> = response.peers.iter().map(|peer| peer.addr.port()).collect();
    ports.sort_unstable();
    ports
}

pub(crate) fn hash(torrent: u8) -> InfoHash {
    InfoHash::from([torrent; 20])
}

/// A socket that asks one UDP tracker.
pub(crate) fn udp_client(server: &Handle) -> UdpSocket {
    let server = server.udp_addrs()[0];
    let ours: SocketAddr = if server.is_ipv4() {
        "127.0.0.1:0"
    } else {
        "[::1]:0"
    }
    .parse()
    .unwrap();
    let socket = UdpSocket::bind(ours).unwrap();
    socket.connect(server).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// Sends a packet and gives the reply.
pub(crate) fn ask(socket: &UdpSocket, packet: &[u8]) -> Vec<u8> {
    socket.send(packet).unwrap();
    let mut buffer = vec![0; 4096];
    let count = again(|| socket.recv(&mut buffer)).expect("the server answers");
    buffer.truncate(count);
    buffer
}

/// A torrent of one file.
pub(crate) fn torrent(name: &str) -> Metainfo {
    let assembly = Assembly {
        name: name.into(),
        content: Content::Single {
            length: 5,
            md5sum: None,
        },
        piece_length: 16 * 1024,
        pieces: vec![[7; 20]],
        ..Assembly::default()
    };
    Metainfo::parse(&assembly.to_bytes().unwrap()).unwrap()
}

/// Puts a torrent into a directory in one step, as careful programs do.
pub(crate) fn put(dir: &Path, file: &str, bytes: &[u8]) -> PathBuf {
    let beside = dir.join(format!("{file}.part"));
    std::fs::write(&beside, bytes).unwrap();
    let path = dir.join(file);
    std::fs::rename(beside, &path).unwrap();
    path
}

/// An info-hash as it stands in a query.
pub(crate) fn escaped(hash: InfoHash) -> String {
    hash.as_bytes()
        .iter()
        .map(|byte| format!("%{byte:02x}"))
        .collect()
}
