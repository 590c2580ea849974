//! A link that is long and of known width: what goes in comes out later, and no faster than the link carries.
//!
//! The relay ends TCP on both sides, so that it shows how deep the programs' own pipelines are, not how the kernel
//! recovers losses. It must not know what it carries.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Bytes read at once; a chunk takes a millisecond of the link at 500 Mbit/s.
const CHUNK: usize = 64 * 1024;

/// What a link does to bytes, in each direction alike.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) delay: Duration,
    /// Bytes a second.
    pub(crate) rate: u32,
}

impl Shape {
    /// Bytes that a direction holds at most: those on their way, and a queue of one bandwidth-delay product.
    fn held(&self) -> usize {
        // A rate for a time is a number of bytes.
        let on_their_way = (self.delay * self.rate).as_secs();
        usize::try_from(on_their_way * 3).unwrap_or(usize::MAX)
    }
}

/// A listening end; each caller is connected on to the other side.
#[derive(Debug)]
pub(crate) struct Relay {
    pub(crate) addr: SocketAddr,
    meter: Arc<Delivered>,
}

/// What has come out towards the callers.
#[derive(Debug, Default)]
struct Delivered {
    bytes: AtomicU64,
    /// When the first caller came.
    since: Mutex<Option<Instant>>,
}

impl Relay {
    /// Listens on a free port and connects callers with `to`. Its threads end with their connections.
    pub(crate) fn start(to: SocketAddr, shape: Shape) -> io::Result<Self> {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let addr = socket.local_addr()?;
        let meter = Arc::new(Delivered::default());
        let counted = Arc::clone(&meter);
        thread::spawn(move || {
            for caller in socket.incoming() {
                let _ = caller.and_then(|caller| connect(&caller, to, shape, &counted));
            }
        });
        Ok(Self { addr, meter })
    }

    /// Bytes that came out towards callers so far.
    pub(crate) fn delivered(&self) -> u64 {
        self.meter.bytes.load(Ordering::Relaxed)
    }

    /// When the first caller came.
    pub(crate) fn since(&self) -> Option<Instant> {
        *lock(&self.meter.since)
    }
}

fn connect(
    caller: &TcpStream,
    to: SocketAddr,
    shape: Shape,
    meter: &Arc<Delivered>,
) -> io::Result<()> {
    lock(&meter.since).get_or_insert_with(Instant::now);
    let callee = TcpStream::connect(to)?;
    caller.set_nodelay(true)?;
    callee.set_nodelay(true)?;
    one_way(caller.try_clone()?, callee.try_clone()?, shape, None);
    let meter = Some(Arc::clone(meter));
    one_way(callee, caller.try_clone()?, shape, meter);
    Ok(())
}

/// Bytes on their way in one direction, with the time at which they arrive.
#[derive(Debug, Default)]
struct Lane {
    chunks: VecDeque<(Instant, Vec<u8>)>,
    bytes: usize,
    /// No more will come in, or nobody takes what comes out.
    closed: bool,
}

type Shared = Arc<(Mutex<Lane>, Condvar)>;

fn one_way(from: TcpStream, to: TcpStream, shape: Shape, meter: Option<Arc<Delivered>>) {
    let lane = Shared::default();
    let other = Arc::clone(&lane);
    thread::spawn(move || {
        let _ = take_in(from, &lane, shape);
        close(&lane);
    });
    thread::spawn(move || {
        let _ = give_out(&to, &other, meter.as_deref());
        let _ = to.shutdown(Shutdown::Both);
        close(&other);
    });
}

fn take_in(mut from: TcpStream, lane: &Shared, shape: Shape) -> io::Result<()> {
    let mut free = Instant::now();
    loop {
        let mut chunk = vec![0; CHUNK];
        let length = from.read(&mut chunk)?;
        if length == 0 {
            return Ok(());
        }
        chunk.truncate(length);
        // The link carries one chunk after the other; then the chunk travels.
        free = free.max(Instant::now())
            + Duration::from_secs_f64(length as f64 / f64::from(shape.rate));
        let (state, changed) = &**lane;
        let mut state = lock(state);
        while state.bytes > 0 && state.bytes + length > shape.held() && !state.closed {
            state = changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.closed {
            return Ok(());
        }
        state.bytes += length;
        state.chunks.push_back((free + shape.delay, chunk));
        changed.notify_all();
    }
}

fn give_out(mut to: &TcpStream, lane: &Shared, meter: Option<&Delivered>) -> io::Result<()> {
    let (state, changed) = &**lane;
    loop {
        let (due, chunk) = {
            let mut state = lock(state);
            loop {
                if let Some(next) = state.chunks.pop_front() {
                    break next;
                }
                if state.closed {
                    return Ok(());
                }
                state = changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        };
        thread::sleep(due.saturating_duration_since(Instant::now()));
        to.write_all(&chunk)?;
        if let Some(meter) = meter {
            meter.bytes.fetch_add(chunk.len() as u64, Ordering::Relaxed);
        }
        // Only what has come out makes room.
        lock(state).bytes -= chunk.len();
        changed.notify_all();
    }
}

fn close(lane: &Shared) {
    lock(&lane.0).closed = true;
    lane.1.notify_all();
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::{Relay, Shape};
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::thread;
    use std::time::{Duration, Instant};

    #[test]
    fn bytes_come_late_in_order_and_no_faster_than_the_link() {
        let far = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let shape = Shape {
            delay: Duration::from_millis(30),
            rate: 1_000_000,
        };
        let relay = Relay::start(far.local_addr().expect("bound"), shape).expect("a free port");
        let sent: Vec<u8> = (0..200_000u32).map(|n| (n % 251) as u8).collect();
        let begin = Instant::now();
        let mut caller = TcpStream::connect(relay.addr).expect("the relay listens");
        let echo = thread::spawn(move || {
            let (mut stream, _) = far.accept().expect("the relay connects");
            let mut word = [0; 5];
            stream.read_exact(&mut word).expect("the caller speaks");
            stream.write_all(&sent).expect("the relay takes it");
            (word, sent)
        });
        caller.write_all(b"hello").expect("the relay takes it");
        let mut got = Vec::new();
        caller.read_to_end(&mut got).expect("the far end closes");
        let (word, sent) = echo.join().expect("it does not panic");
        assert_eq!(&word, b"hello");
        assert_eq!(got, sent);
        // A delay each way, and a fifth of a second of the link.
        assert!(
            begin.elapsed() >= Duration::from_millis(260),
            "{:?}",
            begin.elapsed()
        );
        assert_eq!(relay.delivered(), 200_000);
    }
}
