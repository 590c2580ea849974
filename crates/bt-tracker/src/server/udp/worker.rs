//! One UDP socket and the thread that takes its packets, batch by batch, and sends the answers.

use std::io;
use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::super::syscalls::{Inbox, Outbox};
use super::answers::{Answers, Due, Tally};

/// Packets that are prepared together: what they need fits the nearest cache.
const WARM: usize = 32;

/// Batches of packets that are looked at before the replies to them leave. The more there are, the more of the replies to
/// one address have one length and travel together; to answer so many packets takes two milliseconds.
const BATCHES: usize = 8;

/// The wait after an error that is no usual one, so that it does not take a core.
const PAUSE: Duration = Duration::from_millis(50);

pub(super) struct Worker {
    socket: UdpSocket,
    answers: Answers,
}

impl Worker {
    pub(super) fn new(socket: UdpSocket, answers: Answers) -> Self {
        Self { socket, answers }
    }

    pub(super) fn run(mut self, stop: &AtomicBool) {
        let is_wildcard = |address: std::net::SocketAddr| address.ip().is_unspecified();
        let is_told = self.socket.local_addr().is_ok_and(is_wildcard);
        let (mut inbox, mut outbox) = (Inbox::new(is_told), Outbox::new());
        while !stop.load(Ordering::Relaxed) {
            match inbox.receive(&self.socket) {
                Ok(()) => {
                    outbox.clear();
                    self.answer(&inbox, &mut outbox);
                    // While packets come faster than they are answered, more replies leave with
                    // one call.
                    for _ in 1..BATCHES {
                        if !inbox.is_full() || !inbox.receive_more(&self.socket) {
                            break;
                        }
                        self.answer(&inbox, &mut outbox);
                    }
                    outbox.send(&self.socket);
                }
                // None of these is a reason to stop.
                Err(error) if is_usual(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "cannot receive over UDP");
                    std::thread::sleep(PAUSE);
                }
            }
        }
    }

    fn answer(&mut self, inbox: &Inbox, outbox: &mut Outbox) {
        let moment = self.answers.moment(Instant::now());
        let (mut tally, before) = (Tally::default(), outbox.bytes.len());
        let mut due = [Due::Nothing; WARM];
        for start in (0..inbox.packets(0).len()).step_by(WARM) {
            // While one announce would wait for memory, what the others need is fetched as well.
            let turn = || (start..).zip(inbox.packets(start)).take(WARM);
            for ((_, packet), due) in turn().zip(&mut due) {
                *due = match packet {
                    Some((packet, source)) => {
                        tally.bytes_in += packet.len() as u64;
                        self.answers.weigh(packet, source, moment, &mut tally)
                    }
                    None => {
                        tally.malformed += 1;
                        Due::Nothing
                    }
                };
            }
            self.answers.warm();
            for ((at, packet), &due) in turn().zip(&due) {
                let Some((packet, source)) = packet else {
                    continue;
                };
                let start = outbox.bytes.len();
                let out = &mut outbox.bytes;
                self.answers
                    .answer(due, packet, source, moment, out, &mut tally);
                if outbox.bytes.len() > start {
                    outbox.reply(start, inbox, at, source);
                }
            }
        }
        tally.bytes_out = (outbox.bytes.len() - before) as u64;
        self.answers.count(&tally);
    }
}

/// Whether receiving may fail so all the time: a time-out, a signal, or news of an earlier reply.
fn is_usual(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock
            | io::ErrorKind::TimedOut
            | io::ErrorKind::Interrupted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
    )
}
