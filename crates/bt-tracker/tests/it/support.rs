//! Small servers for the client to talk to, and a network that resolves names as a test wants.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bt_tracker::client::{BoxFuture, Direct, Net};
use bt_tracker::{AnnounceRequest, Event};
use bt_wire::PeerId;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinHandle;

/// Long enough for a loaded machine; no test that passes waits for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn announce() -> AnnounceRequest {
    let peer_id = PeerId::from(*b"-BT0100-0123456789ab");
    let mut request = AnnounceRequest::new([0xAA; 20].into(), peer_id, 6881);
    request.event = Event::Started;
    request.left = 1000;
    request.numwant = Some(50);
    request.key = 0xC0FFEE;
    request
}

/// An HTTP server that answers each request by a function of its head and closes.
pub(crate) struct HttpServer {
    pub(crate) addr: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl HttpServer {
    pub(crate) async fn start(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::start_on(Ipv4Addr::LOCALHOST.into(), answer).await
    }

    pub(crate) async fn start_on(
        ip: IpAddr,
        answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind((ip, 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&heads);
        let answer = Arc::new(answer);
        let task = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let (answer, seen) = (Arc::clone(&answer), Arc::clone(&seen));
                tokio::spawn(async move {
                    let head = read_head(&mut stream).await;
                    let reply = answer(&head);
                    seen.lock().unwrap().push(head);
                    // The client may have seen enough and gone.
                    let _ = stream.write_all(&reply).await;
                    let _ = stream.shutdown().await;
                });
            }
        });
        Self { addr, heads, task }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    /// The heads of all requests so far.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Reads a request; returns it up to the empty line.
pub(crate) async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    let head = String::from_utf8(head).unwrap();
    // A body that nobody reads would make the end of the connection an error at the other side.
    let lower = head.to_ascii_lowercase();
    let length = lower
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    let _ = stream.read_exact(&mut body).await;
    head
}

/// A complete response with this status line and body.
pub(crate) fn response(status: &str, body: &[u8]) -> Vec<u8> {
    response_with(status, "", body)
}

/// As [`response`], with header lines that each end in CRLF.
pub(crate) fn response_with(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let mut out =
        format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\n\r\n").into_bytes();
    out.extend_from_slice(body);
    out
}

/// A UDP server that answers each packet by a function of it.
pub(crate) struct UdpServer {
    pub(crate) addr: SocketAddr,
    packets: Arc<Mutex<Vec<Vec<u8>>>>,
    task: JoinHandle<()>,
}

impl UdpServer {
    pub(crate) async fn start(answer: impl FnMut(&[u8]) -> Vec<Vec<u8>> + Send + 'static) -> Self {
        Self::start_on(Ipv4Addr::LOCALHOST.into(), answer).await
    }

    pub(crate) async fn start_on(
        ip: IpAddr,
        mut answer: impl FnMut(&[u8]) -> Vec<Vec<u8>> + Send + 'static,
    ) -> Self {
        let socket = UdpSocket::bind((ip, 0)).await.unwrap();
        let addr = socket.local_addr().unwrap();
        let packets = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&packets);
        let task = tokio::spawn(async move {
            let mut buffer = vec![0; 4096];
            loop {
                let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
                seen.lock().unwrap().push(buffer[..length].to_vec());
                for packet in answer(&buffer[..length]) {
                    socket.send_to(&packet, from).await.unwrap();
                }
            }
        });
        Self {
            addr,
            packets,
            task,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("udp://{}/announce", self.addr)
    }

    /// All packets so far.
    pub(crate) fn packets(&self) -> Vec<Vec<u8>> {
        self.packets.lock().unwrap().clone()
    }
}

impl Drop for UdpServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A network whose names resolve as the test says, and whose addresses may lead elsewhere.
#[derive(Debug, Default)]
pub(crate) struct TestNet {
    /// Every name has these addresses.
    pub(crate) names: Vec<SocketAddr>,
    /// Connections to the first go to the second.
    pub(crate) detours: Vec<(SocketAddr, SocketAddr)>,
}

impl TestNet {
    pub(crate) fn resolving_to(names: impl Into<Vec<SocketAddr>>) -> Arc<Self> {
        Arc::new(Self {
            names: names.into(),
            detours: Vec::new(),
        })
    }

    fn detour(&self, addr: SocketAddr) -> SocketAddr {
        let found = self.detours.iter().find(|(from, _)| *from == addr);
        found.map_or(addr, |(_, to)| *to)
    }
}

impl Net for TestNet {
    fn resolve<'a>(&'a self, _: &'a str, _: u16) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        Box::pin(async { Ok(self.names.clone()) })
    }

    fn connect(&self, addr: SocketAddr) -> BoxFuture<'_, io::Result<TcpStream>> {
        let addr = self.detour(addr);
        Box::pin(async move { Direct.connect(addr).await })
    }

    fn udp(&self, remote: SocketAddr) -> BoxFuture<'_, io::Result<UdpSocket>> {
        let remote = self.detour(remote);
        Box::pin(async move { Direct.udp(remote).await })
    }
}

/// An address on which nobody listens: bound a moment ago, and free again.
pub(crate) async fn dead_addr() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .unwrap()
        .local_addr()
        .unwrap()
}
