//! Broken request heads, many on a connection and many connections at a time.
//!
//! On each connection a few requests come first whose targets are broken, which a tracker answers
//! and goes on, and last a head with anything broken, after which it may close.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use super::{Fault, Noise, PATIENCE, query};

/// Heads on one connection at most.
const HEADS: usize = 8;

/// What a reply begins with; no body has it.
const STATUS: &[u8] = b"HTTP/1.1 ";

/// Connections of one client at the same time.
///
/// On a busy machine client and tracker wait for each other's turn, so each turn must have much to
/// do; the tracker keeps far more connections of one address.
const CONNECTIONS: usize = 64;

/// What was sent and what came back.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Heads {
    /// Heads of either kind.
    pub(super) sent: u64,
    /// Of these, with anything broken, each the last one of its connection.
    pub(super) last: u64,
    /// Replies, one for each head that was looked at to its end.
    pub(super) answered: u64,
    /// Of these, refusals of any kind.
    pub(super) refused: u64,
}

impl Heads {
    pub(super) fn add(&mut self, other: Self) {
        self.sent += other.sent;
        self.last += other.last;
        self.answered += other.answered;
        self.refused += other.refused;
    }
}

/// Sends heads on some connections and then reads what comes back on each. An error if a head
/// before the last one of its connection was not answered.
pub(super) fn send(address: SocketAddr, noise: &mut Noise) -> Result<Heads, Fault> {
    let mut all = Heads::default();
    let mut open = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut bytes = Vec::new();
        let count = noise.below(HEADS);
        for _ in 0..count {
            broken_target(noise, &mut bytes);
        }
        let mut last = seed(noise).into_bytes();
        noise.mutate(&mut last);
        bytes.append(&mut last);
        let mut stream = TcpStream::connect(address)?;
        // Closing resets, so that no port is kept waiting.
        rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        // The tracker may have seen enough before everything is sent.
        let _ = stream.write_all(&bytes);
        let _ = stream.shutdown(Shutdown::Write);
        open.push((stream, u64::try_from(count)?));
    }
    let mut replies = Vec::new();
    for (mut stream, before) in open {
        replies.clear();
        let end = stream.read_to_end(&mut replies);
        if end.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock) {
            return Err("the tracker neither answers nor closes".into());
        }
        let (answered, refused) = count(&replies);
        if answered < before {
            let shown = String::from_utf8_lossy(&replies);
            return Err(format!("{before} heads had {answered} replies: {shown:?}").into());
        }
        all.add(Heads {
            sent: before + 1,
            last: 1,
            answered,
            refused,
        });
    }
    Ok(all)
}

/// Replies among these bytes, and those of them that refuse. Failures of a tracker have the status of a
/// success, so what tells is whether it says when to come again, or something of torrents.
fn count(replies: &[u8]) -> (u64, u64) {
    let has = |reply: &[u8], part: &[u8]| reply.windows(part.len()).any(|found| found == part);
    let (mut answered, mut refused) = (0, 0);
    let mut rest = replies;
    while let Some(after) = rest.strip_prefix(STATUS) {
        let end = after.windows(STATUS.len()).position(|part| part == STATUS);
        let (reply, next) = after.split_at(end.unwrap_or(after.len()));
        answered += 1;
        refused += u64::from(!has(reply, b"8:interval") && !has(reply, b"5:files"));
        rest = next;
    }
    (answered, refused)
}

/// A head that is one, whose path and query have been changed at random.
fn broken_target(noise: &mut Noise, bytes: &mut Vec<u8>) {
    let mut target = match noise.below(4) {
        0 => format!("/scrape?{}", query(noise.next() % 16, 6881, 5)),
        1 => format!("/a-passkey/announce?{}&event=started", query(1, 6881, 5)),
        _ => format!("/announce?{}", query(noise.next() % 16, 6881, 5)),
    }
    .into_bytes();
    noise.mutate(&mut target);
    // What ends a request line would make it another one.
    target.retain(u8::is_ascii_graphic);
    bytes.extend_from_slice(b"GET /");
    bytes.extend_from_slice(&target);
    bytes.extend_from_slice(b" HTTP/1.1\r\nHost: t\r\n\r\n");
}

fn seed(noise: &mut Noise) -> String {
    let query = query(noise.next() % 16, 6881, 5);
    match noise.below(6) {
        0 => format!("GET /scrape?{query} HTTP/1.1\r\nHost: t\r\n\r\n"),
        1 => "GET /torrents/a%20b.torrent HTTP/1.0\r\nAccept: application/json\r\n\r\n".into(),
        2 => {
            let body = format!("http://t/announce?{query}\nhttp://t/announce?{query}\n");
            let length = body.len();
            format!("POST /announce HTTP/1.1\r\nContent-Length: {length}\r\n\r\n{body}")
        }
        3 => format!(
            "GET /a-passkey/announce?{query}&event=started&numwant=5&key=ff&ip=::1 HTTP/1.1\r\n\
             X-Forwarded-For: 1.2.3.4, ::1\r\nConnection: keep-alive\r\n\r\n"
        ),
        _ => format!("GET /announce?{query} HTTP/1.1\r\nHost: t\r\nUser-Agent: soak\r\n\r\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::count;

    #[test]
    fn replies_are_counted_and_failures_are_refusals_whatever_their_status() {
        let good = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nd8:intervali1800ee";
        let failure = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nd14:failure reason3:noe";
        let refused = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
        let counted = |replies: &[&str]| count(replies.concat().as_bytes());
        assert_eq!(counted(&[good, failure, good, refused]), (4, 2));
        assert_eq!(counted(&[failure]), (1, 1));
        assert_eq!(counted(&[]), (0, 0));
    }
}
