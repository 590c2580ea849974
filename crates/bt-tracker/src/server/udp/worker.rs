//! One UDP socket and the thread that takes its packets, batch by batch, and sends the answers.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::super::contain;
use super::super::stats::Stats;
use super::super::syscalls::{BATCH, Inbox, Outbox};
use super::answers::{Answers, Due, Moment, Tally};

/// Packets that are prepared together: what they need fits the nearest cache.
const WARM: usize = 32;

/// Batches of packets that are looked at before the replies to them leave. The more there are, the more of the replies to
/// one address have one length and travel together; to answer so many packets takes two milliseconds.
const BATCHES: usize = 8;

/// Packets that come together for the worker to rest after them. With fewer, nobody has to wait, and a program that asks for
/// one thing after the other is answered at once.
const SEVERAL: usize = 4;

/// The longest rest of a worker: what an announce may wait for company, and the kernel keeps what comes meanwhile, also with
/// the small buffer that it grants where nobody has raised its limit (180 packets of a driver that gives each a page; at
/// 400,000 a second 100 of them come).
const LONGEST_REST: Duration = Duration::from_micros(250);

/// The wait after an error that is no usual one, so that it does not take a core.
const PAUSE: Duration = Duration::from_millis(50);

pub(super) struct Worker {
    socket: UdpSocket,
    answers: Answers,
    /// The packets of the batch before this one have been answered, or never are.
    next: usize,
    /// Those before this one have been weighed, which is done once. `>= next`
    weighed: usize,
    /// What each of these is to get.
    due: [Due; BATCH],
    /// The end of the whole replies.
    whole: usize,
}

impl Worker {
    pub(super) fn new(socket: UdpSocket, answers: Answers) -> Self {
        Self {
            socket,
            answers,
            next: 0,
            weighed: 0,
            due: [Due::Nothing; BATCH],
            whole: 0,
        }
    }

    pub(super) fn run(mut self, stop: &AtomicBool) {
        let is_wildcard = |address: SocketAddr| address.ip().is_unspecified();
        let is_told = self.socket.local_addr().is_ok_and(is_wildcard);
        let (mut inbox, mut outbox) = (Inbox::new(is_told), Outbox::new());
        let tracker = self.answers.tracker();
        let stats = &tracker.stats;
        while !stop.load(Ordering::Relaxed) {
            match inbox.receive(&self.socket) {
                Ok(()) => {
                    let began = Instant::now();
                    outbox.clear();
                    let mut packets = inbox.packets(0).len();
                    self.answer(stats, &inbox, &mut outbox);
                    // While packets come faster than they are answered, more replies leave with
                    // one call.
                    for _ in 1..BATCHES {
                        if !inbox.is_full() || !inbox.receive_more(&self.socket) {
                            break;
                        }
                        packets += inbox.packets(0).len();
                        self.answer(stats, &inbox, &mut outbox);
                    }
                    outbox.send(&self.socket);
                    if let Some(rest) = rest(packets, began.elapsed()) {
                        std::thread::sleep(rest);
                    }
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

    /// Answers a batch. A packet that meets a bug of ours gets no answer, and the others theirs.
    fn answer(&mut self, stats: &Stats, inbox: &Inbox, outbox: &mut Outbox) {
        let moment = self.answers.moment(Instant::now());
        let (mut tally, before) = (Tally::default(), outbox.bytes.len());
        (self.next, self.weighed, self.whole) = (0, 0, before);
        let work = || self.answer_rest((inbox, outbox), WARM, moment, &mut tally);
        let mut met = contain::catch(stats, work);
        while met.is_err() {
            // Which packet it was is found out one by one: their replies may come in any order.
            outbox.bytes.truncate(self.whole);
            self.answers.begin_anew();
            let work = || self.answer_rest((inbox, outbox), 1, moment, &mut tally);
            met = contain::catch(stats, work);
        }
        tally.bytes_out = (outbox.bytes.len() - before) as u64;
        self.answers.count(&tally);
    }

    /// Answers what is left of a batch, `width` packets at a time: at most [`WARM`].
    fn answer_rest(
        &mut self,
        (inbox, outbox): (&Inbox, &mut Outbox),
        width: usize,
        moment: Moment,
        tally: &mut Tally,
    ) {
        for start in (self.next..inbox.packets(0).len()).step_by(width) {
            // While one announce would wait for memory, what the others need is fetched as well.
            let turn = || (start..).zip(inbox.packets(start)).take(width);
            let weighed = self.weighed;
            for (at, packet) in turn().filter(|(at, _)| *at >= weighed) {
                // One that meets a bug here gets nothing, and is not weighed again either.
                (self.weighed, self.due[at]) = (at + 1, Due::Nothing);
                self.due[at] = match packet {
                    Some((packet, source)) => {
                        tally.bytes_in += packet.len() as u64;
                        self.answers.weigh(packet, source, moment, tally)
                    }
                    None => {
                        tally.malformed += 1;
                        Due::Nothing
                    }
                };
            }
            self.answers.warm();
            for (at, packet) in turn() {
                let Some((packet, source)) = packet else {
                    continue;
                };
                self.next = at + 1;
                let due = self.due[at];
                self.reply(due, (packet, source), moment, (inbox, at, outbox), tally);
            }
        }
    }

    /// Answers one packet, which is at `at` in its batch.
    #[inline]
    fn reply(
        &mut self,
        due: Due,
        (packet, source): (&[u8], SocketAddr),
        moment: Moment,
        (inbox, at, outbox): (&Inbox, usize, &mut Outbox),
        tally: &mut Tally,
    ) {
        let start = outbox.bytes.len();
        let out = &mut outbox.bytes;
        self.answers.answer(due, packet, source, moment, out, tally);
        if outbox.bytes.len() > start {
            outbox.reply(start, inbox, at, source);
            self.whole = outbox.bytes.len();
        }
    }
}

/// For how long to leave the socket alone after a number of packets that took some time to answer.
///
/// A worker that looks again at once finds the few packets that came while it answered the few before, for ever: a call into
/// the kernel for every handful, replies that leave one by one, and a receive queue that both sides fight for. After a rest
/// as long as the work there are more of them, up to full batches, if they come so fast that the worker is busy half of the
/// time; if they do not, they get fewer again. None waits longer than what came before it took, and the lateness of a timer.
fn rest(packets: usize, took: Duration) -> Option<Duration> {
    let is_busy = packets >= BATCH * BATCHES;
    (packets >= SEVERAL && !is_busy).then(|| took.min(LONGEST_REST))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_rests_as_long_as_it_worked_unless_few_came_or_all_that_it_takes() {
        let work = Duration::from_micros(90);
        assert_eq!(rest(1, work), None, "who asks alone is answered at once");
        assert_eq!(rest(SEVERAL - 1, work), None);
        assert_eq!(rest(SEVERAL, work), Some(work));
        assert_eq!(
            rest(200, Duration::from_secs(1)),
            Some(LONGEST_REST),
            "a machine that was away for a second does not rest for another"
        );
        assert_eq!(rest(BATCH * BATCHES - 1, work), Some(work));
        assert_eq!(rest(BATCH * BATCHES, work), None, "more are waiting");
    }
}
