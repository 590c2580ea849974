//! A good client beside a flood: it announces over HTTP and over UDP all the time, and every announce
//! must be answered.
//!
//! It must not know what the flood is.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::packets::Asker;
use super::{Fault, Times, Tracker, announce};

/// The flood comes from another address, whose share of connect requests is not this client's.
const SOURCE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// The wait before a packet is sent again: longer than a busy machine takes to give everybody a turn.
const WAIT: Duration = Duration::from_secs(1);

/// The wait between two rounds, so that the machine is the flood's.
const PAUSE: Duration = Duration::from_millis(10);

/// Of a thousand rounds, those in which no packet may have to be sent twice.
const PROMISE: u64 = 990;

/// The client, until it is told to end.
pub(super) struct Watch {
    done: Arc<AtomicBool>,
    client: JoinHandle<Result<Served, Fault>>,
}

/// How it was served: an announce over HTTP, a connection id and an announce over UDP in each round.
pub(super) struct Served {
    over_http: Times,
    over_udp: Times,
    longest: Duration,
    /// Rounds without a packet that was sent twice.
    at_once: u64,
    /// Packets that were sent.
    pub(super) asked: u64,
}

impl Watch {
    pub(super) fn start(tracker: &Tracker) -> Self {
        let done = Arc::new(AtomicBool::new(false));
        let (http, udp) = (tracker.http, tracker.udp);
        let client = std::thread::spawn({
            let done = Arc::clone(&done);
            move || watch(http, udp, &done)
        });
        Self { done, client }
    }

    /// An error if an announce was refused, or not answered in time.
    pub(super) fn end(self) -> Result<Served, Fault> {
        self.done.store(true, Ordering::Relaxed);
        self.client.join().map_err(|_| "a client had a panic")?
    }
}

impl Served {
    /// Whether anything was asked, and hardly ever twice.
    pub(super) fn is_good(&self) -> bool {
        let rounds = self.over_udp.count();
        rounds > 0 && self.at_once * 1000 >= rounds * PROMISE
    }

    pub(super) fn figures(&self) -> String {
        format!(
            "{} rounds of good announces, {} of them without asking again: p99 {:.1} ms over HTTP, \
             {:.1} ms over UDP, longest {:.0} ms",
            self.over_udp.count(),
            self.at_once,
            self.over_http.of_a_thousand(990),
            self.over_udp.of_a_thousand(990),
            self.longest.as_secs_f64() * 1000.0,
        )
    }
}

fn watch(http: SocketAddr, udp: SocketAddr, done: &AtomicBool) -> Result<Served, Fault> {
    let mut asker = Asker::new(SOURCE, udp, WAIT)?;
    let mut served = Served {
        over_http: Times::new(),
        over_udp: Times::new(),
        longest: Duration::ZERO,
        at_once: 0,
        asked: 0,
    };
    while !done.load(Ordering::Relaxed) {
        let began = Instant::now();
        announce(http)?;
        let over_http = began.elapsed();
        let (began, asked) = (Instant::now(), asker.asked);
        let id = asker.connect()?;
        asker.announce(id)?;
        let over_udp = began.elapsed();
        served.over_http.add(over_http);
        served.over_udp.add(over_udp);
        served.longest = served.longest.max(over_http).max(over_udp);
        served.at_once += u64::from(asker.asked - asked == 2);
        std::thread::sleep(PAUSE);
    }
    served.asked = asker.asked;
    Ok(served)
}
