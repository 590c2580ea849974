//! A tracker for one swarm, so that programs which can only be told of peers that way find each other, and so that it
//! is known when a seeder is ready: it says itself that nothing is left.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// Seconds after which programs ask again.
const INTERVAL: u32 = 5;

/// See the module. It serves as long as the process lives.
#[derive(Debug)]
pub(crate) struct Tracker {
    pub(crate) url: String,
    peers: Arc<Mutex<Vec<Known>>>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Known {
    addr: SocketAddrV4,
    complete: bool,
}

impl Tracker {
    /// Listens on a free port of the address that this machine has on its network, because some programs take no peers
    /// from loopback. Nothing leaves the machine.
    pub(crate) fn start() -> io::Result<Self> {
        let socket = TcpListener::bind((own_address(), 0))?;
        let url = format!("http://{}/announce", socket.local_addr()?);
        let peers = Arc::new(Mutex::new(Vec::new()));
        let known = Arc::clone(&peers);
        thread::spawn(move || {
            for stream in socket.incoming().flatten() {
                let known = Arc::clone(&known);
                thread::spawn(move || answer(&stream, &known));
            }
        });
        Ok(Self { url, peers })
    }

    /// Forgets everybody.
    pub(crate) fn clear(&self) {
        self.peers().clear();
    }

    /// Whether a seeder has announced itself.
    pub(crate) fn has_seed(&self) -> bool {
        self.peers().iter().any(|peer| peer.complete)
    }

    fn peers(&self) -> std::sync::MutexGuard<'_, Vec<Known>> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The address from which packets would go to another network; asking sends none.
pub(crate) fn own_address() -> Ipv4Addr {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0));
    let addr = socket.and_then(|socket| {
        socket.connect((Ipv4Addr::new(198, 51, 100, 1), 9))?;
        socket.local_addr()
    });
    match addr.map(|addr| addr.ip()) {
        Ok(IpAddr::V4(ip)) => ip,
        _ => Ipv4Addr::LOCALHOST,
    }
}

fn answer(mut stream: &TcpStream, known: &Mutex<Vec<Known>>) -> Option<()> {
    let mut request = String::new();
    let mut lines = BufReader::new(stream);
    lines.read_line(&mut request).ok()?;
    let mut line = String::new();
    while lines.read_line(&mut line).ok()? > 2 {
        line.clear();
    }
    let Ok(SocketAddr::V4(from)) = stream.peer_addr() else {
        return None;
    };
    let value = |name: &str| {
        let query = request.split(['?', '&', ' ']);
        query
            .filter_map(|pair| pair.split_once('='))
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
    };
    let caller = Known {
        addr: SocketAddrV4::new(*from.ip(), value("port")?.parse().ok()?),
        complete: value("left") == Some("0"),
    };
    let body = {
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|other| other.addr != caller.addr);
        let body = reply(&known);
        if value("event") != Some("stopped") {
            known.push(caller);
        }
        body
    };
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(&[head.as_bytes(), &body].concat()).ok()
}

/// Peers in compact form (BEP 23).
fn reply(peers: &[Known]) -> Vec<u8> {
    let mut body = format!(
        "d8:completei1e10:incompletei1e8:intervali{INTERVAL}e12:min intervali{INTERVAL}e5:peers{}:",
        peers.len() * 6
    )
    .into_bytes();
    for peer in peers {
        body.extend(peer.addr.ip().octets());
        body.extend(peer.addr.port().to_be_bytes());
    }
    body.push(b'e');
    body
}
