//! Measures a UDP tracker on this machine:
//! `udp_load ADDR [SECONDS] [TORRENTS] [PEERS] [CLIENTS] [KEYS]`.
//!
//! Announces of `PEERS` peers in `TORRENTS` torrents go out from `CLIENTS` sockets on addresses
//! of their own, with 100 packets at a time on their way from each; one announce in a hundred is a
//! scrape instead. A few torrents are popular and most are not. With `KEYS`, each peer has one of
//! the passkeys `key-00000000`, `key-00000001`, … in the path of its URL (BEP 41), and nobody
//! scrapes. Prints replies a second. It only talks to loopback addresses.

#![expect(clippy::print_stdout, reason = "it is a program for people")]

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use bt_metainfo::InfoHash;
use bt_tracker::udp::{
    decode_connect_reply, encode_announce_request, encode_connect_request, encode_scrape_request,
};
use bt_tracker::{AnnounceRequest, Event};

const ON_THEIR_WAY: usize = 100;

struct Client {
    socket: UdpSocket,
    connection: u64,
    waiting: usize,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let server: SocketAddr = arguments
        .next()
        .ok_or("give the address of the tracker")?
        .parse()?;
    if !server.ip().is_loopback() {
        return Err("only trackers on this machine are measured".into());
    }
    let mut number = |default: u64| arguments.next().map_or(Ok(default), |text| text.parse());
    let (seconds, torrents, peers, clients, keys) = (
        number(10)?,
        number(1_000_000)?,
        number(2_000_000)?,
        number(4)?,
        number(0)?,
    );
    let mut clients = (0..clients)
        .map(|n| connect(server, u8::try_from(n % 250)? + 2))
        .collect::<Result<Vec<_>, Box<dyn Error>>>()?;
    let mut random = 0x1234_5678_9abc_def1_u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let (mut replies, mut bytes, mut packet, mut buffer) = (0u64, 0u64, Vec::new(), [0; 4096]);
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(seconds) {
        for client in &mut clients {
            while client.waiting < ON_THEIR_WAY {
                packet.clear();
                let random = next();
                let hash = torrent(random, torrents);
                if keys == 0 && random.is_multiple_of(100) {
                    encode_scrape_request(client.connection, 1, &[hash], &mut packet);
                } else {
                    let peer = next() % peers;
                    let mut request = announce(hash, peer);
                    if keys > 0 {
                        let key = peer % keys;
                        request.url_data = format!("/key-{key:08}/announce").into_bytes();
                    }
                    encode_announce_request(client.connection, 1, &request, &mut packet);
                }
                client.socket.send(&packet)?;
                client.waiting += 1;
            }
            client.socket.set_nonblocking(true)?;
            while let Ok(count) = client.socket.recv(&mut buffer) {
                replies += 1;
                bytes += count as u64;
                client.waiting -= 1;
            }
        }
        if clients.iter().all(|client| client.waiting == ON_THEIR_WAY) {
            wait(&mut clients, &mut replies)?;
        }
    }
    let elapsed = start.elapsed().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a few digits are shown")]
    let (rate, size) = (replies as f64 / elapsed, bytes as f64 / replies as f64);
    println!("{rate:.0} replies/s, {size:.0} bytes each");
    Ok(())
}

/// Nothing came from anybody: wait for the first, and take a long silence for loss.
fn wait(clients: &mut [Client], replies: &mut u64) -> Result<(), Box<dyn Error>> {
    let first = clients.first_mut().ok_or("no clients")?;
    first.socket.set_nonblocking(false)?;
    first
        .socket
        .set_read_timeout(Some(Duration::from_millis(20)))?;
    if first.socket.recv(&mut [0; 4096]).is_ok() {
        *replies += 1;
        first.waiting -= 1;
    } else {
        clients.iter_mut().for_each(|client| client.waiting = 0);
    }
    Ok(())
}

fn connect(server: SocketAddr, last: u8) -> Result<Client, Box<dyn Error>> {
    let ours = if server.is_ipv4() {
        SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), 0))
    } else {
        "[::1]:0".parse()?
    };
    let socket = UdpSocket::bind(ours)?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(Duration::from_secs(2)))?;
    let mut packet = Vec::new();
    encode_connect_request(1, &mut packet);
    socket.send(&packet)?;
    let mut reply = [0; 16];
    let count = socket.recv(&mut reply)?;
    let connection = decode_connect_reply(reply.get(..count).unwrap_or_default())?;
    Ok(Client {
        socket,
        connection,
        waiting: 0,
    })
}

/// One of the torrents: of a thousand announces, every power of two brings as many.
fn torrent(random: u64, torrents: u64) -> InfoHash {
    let bound = (torrents >> (random >> 32 & 7)).max(1);
    let n = (random >> 35) % bound;
    let mut hash = [0; 20];
    for (at, chunk) in hash.chunks_mut(8).enumerate() {
        let word = (n + at as u64)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .to_be_bytes();
        chunk.copy_from_slice(word.get(..chunk.len()).unwrap_or_default());
    }
    hash.into()
}

fn announce(hash: InfoHash, peer: u64) -> AnnounceRequest {
    let mut id = *b"-XX0001-000000000000";
    id[12..].copy_from_slice(&peer.to_be_bytes());
    let port = u16::try_from(peer % 60_000).unwrap_or(0) + 1024;
    let mut request = AnnounceRequest::new(hash, id.into(), port);
    request.left = if peer.is_multiple_of(4) { 0 } else { 1000 };
    request.event = Event::Started;
    request.numwant = Some(30);
    request
}
