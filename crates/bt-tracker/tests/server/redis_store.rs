//! Trackers that share swarms through Redis.

use std::io::{BufRead as _, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use bt_tracker::limits::MAX_RELAY_ENTRIES;
use bt_tracker::server::{Config, Handle, Mode, Store};

use crate::harness::{announce, config, eventually, get, hash, http, local, ports, query, start};
use crate::others::{Running, leave_out, program, redis};

/// The test, if its Redis is here.
macro_rules! redis_or_return {
    ($test:literal) => {
        match program("redis-server") {
            Some(program) => program,
            None => return leave_out($test, "redis-server"),
        }
    };
}

fn sharing(socket: &Path) -> Config {
    Config {
        store: Store::Redis(format!("redis+unix://{}", socket.display())),
        stats: Some(local()),
        ..config()
    }
}

fn is_up(server: &Handle) -> bool {
    server.stats().store.unwrap().up
}

fn readiness(server: &Handle) -> String {
    let reply = get(server.stats_addr().unwrap(), "/readyz");
    assert_eq!(reply.status, 200, "announces are served in any case");
    reply.text()
}

fn seeds(server: &Handle, torrent: u8) -> u32 {
    server
        .scrape(hash(torrent))
        .map_or(0, |stats| stats.complete)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_trackers_on_one_redis_return_each_others_peers() {
    let program = redis_or_return!("two trackers on one Redis");
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("redis");
    let _redis = redis(&program, &socket);
    let (first, second) = (start(sharing(&socket)).await, start(sharing(&socket)).await);
    eventually("both are connected", || is_up(&first) && is_up(&second));
    assert_eq!(readiness(&first), "ready\nstore: redis is connected\n");

    let begin = Instant::now();
    announce(http(&first), 1, 1001, 5, "&event=started").unwrap();
    eventually("the second knows the first one's peer", || {
        second.scrape(hash(1)).is_some()
    });
    let took = begin.elapsed();
    println!("known to the other tracker after {} ms", took.as_millis());
    assert!(took < Duration::from_secs(2), "{took:?}");

    let from_second = announce(http(&second), 1, 1002, 5, "&event=started").unwrap();
    assert_eq!(ports(&from_second), [1001]);
    eventually("the first knows the second one's peer", || {
        first.scrape(hash(1)).unwrap().incomplete == 2
    });
    let from_first = announce(http(&first), 1, 1001, 0, "&event=completed").unwrap();
    assert_eq!(ports(&from_first), [1002]);
    eventually("the completion is known", || seeds(&second, 1) == 1);
    assert_eq!(second.scrape(hash(1)).unwrap().downloaded, 1);

    announce(http(&second), 1, 1001, 0, "&event=stopped").unwrap();
    eventually("who leaves one leaves both", || seeds(&first, 1) == 0);
    assert_eq!(second.scrape(hash(1)).unwrap().incomplete, 1);
    let metrics = get(first.stats_addr().unwrap(), "/metrics").text();
    assert!(metrics.contains("\nbt_tracker_store_up 1\n"), "{metrics}");
    assert_eq!(first.stats().store.unwrap().dropped, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_redis_that_dies_and_comes_back_costs_no_announce() {
    let program = redis_or_return!("a Redis that dies and comes back");
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("redis");
    let running = redis(&program, &socket);
    let (first, second) = (start(sharing(&socket)).await, start(sharing(&socket)).await);
    eventually("both are connected", || is_up(&first) && is_up(&second));
    announce(http(&first), 1, 1001, 0, "").unwrap();
    eventually("it is shared", || seeds(&second, 1) == 1);

    drop(running);
    eventually("both notice", || !is_up(&first) && !is_up(&second));
    assert!(
        readiness(&first).contains("store: redis has been away for"),
        "{}",
        readiness(&first)
    );
    let begin = Instant::now();
    for port in 2001..2101 {
        announce(http(&first), 1, port, 0, "").unwrap();
    }
    announce(http(&second), 1, 3001, 0, "").unwrap();
    assert!(begin.elapsed() < Duration::from_secs(5), "{begin:?}");
    assert_eq!((seeds(&first, 1), seeds(&second, 1)), (101, 2));

    let _running = redis(&program, &socket);
    eventually("what was announced meanwhile is shared", || {
        seeds(&first, 1) == 102 && seeds(&second, 1) == 102
    });
    // It is told after what was taken has been looked at.
    eventually("it is told", || is_up(&second));
    assert_eq!(readiness(&second), "ready\nstore: redis is connected\n");
    assert_eq!(first.stats().store.unwrap().dropped, 0);
}

/// Asks Redis something whose answer is one line.
fn redis_says(socket: &Path, command: &str) -> String {
    let mut stream = std::os::unix::net::UnixStream::connect(socket).unwrap();
    writeln!(stream, "{command}\r").unwrap();
    let mut line = String::new();
    std::io::BufReader::new(stream)
        .read_line(&mut line)
        .unwrap();
    line.trim().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_full_redis_is_away_until_its_old_entries_have_gone() {
    let program = redis_or_return!("a Redis that is full");
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("redis");
    let _redis = redis(&program, &socket);
    let short = |socket: &Path| Config {
        peer_ttl: Some(Duration::from_secs(3)),
        ..sharing(socket)
    };
    let (first, second) = (start(short(&socket)).await, start(short(&socket)).await);
    eventually("both are connected", || is_up(&first) && is_up(&second));
    announce(http(&first), 1, 1001, 0, "").unwrap();
    eventually("it is shared", || seeds(&second, 1) == 1);
    let entries = || redis_says(&socket, "XLEN bt-tracker:1:announces");
    assert_eq!(entries(), ":1");

    assert_eq!(redis_says(&socket, "CONFIG SET maxmemory 1"), "+OK");
    announce(http(&first), 1, 1002, 0, "").unwrap();
    eventually("it is noticed", || !is_up(&first));
    let connects = first.stats().store.unwrap().connects;
    // It is tried again and again meanwhile.
    eventually("what is old has gone", || {
        announce(http(&first), 1, 1002, 0, "").unwrap();
        entries() == ":0"
    });
    assert!(!is_up(&first));
    assert_eq!(first.stats().store.unwrap().connects, connects);

    assert_eq!(redis_says(&socket, "CONFIG SET maxmemory 0"), "+OK");
    eventually("it is connected again", || is_up(&first));
    announce(http(&first), 2, 1003, 0, "").unwrap();
    eventually("it is shared again", || seeds(&second, 2) == 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_tracker_that_starts_later_knows_the_swarms_and_only_those_that_it_may() {
    let program = redis_or_return!("a tracker that joins others on Redis");
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("redis");
    let _redis = redis(&program, &socket);
    let first = start(sharing(&socket)).await;
    // Noted before the connection stands.
    announce(http(&first), 1, 1001, 0, "").unwrap();
    announce(http(&first), 2, 1002, 0, "").unwrap();
    eventually("all is told", || first.stats().store.unwrap().sent == 2);
    first.stop().await;

    let list = dir.path().join("list");
    std::fs::write(&list, format!("{}\n", hash(1))).unwrap();
    let denying = start(Config {
        mode: Mode::DenyList,
        list: Some(list),
        ..sharing(&socket)
    })
    .await;
    eventually("it reads what it may track", || seeds(&denying, 2) == 1);
    assert_eq!(denying.scrape(hash(1)), None);
    let closed = start(Config {
        closed: true,
        ..sharing(&socket)
    })
    .await;
    closed.register_hash(hash(1));
    announce(http(&denying), 1, 9, 0, "").unwrap_err();
    announce(http(&denying), 2, 9, 0, "").unwrap();
    eventually("a closed one reads only what it knows", || {
        closed.stats().store.unwrap().up && denying.stats().store.unwrap().sent == 1
    });
    assert_eq!(closed.scrape(hash(2)), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn without_redis_a_tracker_starts_serves_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(sharing(&dir.path().join("nobody"))).await;
    for port in 1..200 {
        announce(http(&server), 1, port, 0, "").unwrap();
    }
    assert_eq!(seeds(&server, 1), 199);
    eventually("the state is told", || {
        readiness(&server).contains("store: redis has been away for")
    });
    let stats = server.stats().store.unwrap();
    assert_eq!(
        (stats.up, stats.sent, stats.queued_bytes),
        (false, 0, 199 * 27)
    );
    let metrics = get(server.stats_addr().unwrap(), "/metrics").text();
    assert!(metrics.contains("\nbt_tracker_store_up 0\n"), "{metrics}");
    server.stop().await;

    let nonsense = Config {
        store: Store::Redis("redis://:secret@host:port".into()),
        ..config()
    };
    let error = nonsense.check().unwrap_err().to_string();
    assert!(error.starts_with("the store cannot be used"), "{error}");
    assert!(!error.contains("secret"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn peers_of_a_revoked_key_leave_all_trackers() {
    let program = redis_or_return!("a key that is revoked, on Redis");
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("redis");
    let _redis = redis(&program, &socket);
    let list = dir.path().join("keys");
    std::fs::write(&list, "secret-key-1\nsecret-key-2\n").unwrap();
    let first = start(Config {
        mode: Mode::Passkey,
        list: Some(list),
        ..sharing(&socket)
    })
    .await;
    let second = start(sharing(&socket)).await;
    eventually("both are connected", || is_up(&first) && is_up(&second));
    for (key, port) in [("secret-key-1", 1001), ("secret-key-2", 1002)] {
        let target = format!("/{key}/announce?{}", query(1, port, 0, ""));
        assert!(get(http(&first), &target).text().contains("8:interval"));
    }
    eventually("the second knows both", || seeds(&second, 1) == 2);
    first.remove_from_list("secret-key-1").unwrap();
    assert_eq!(seeds(&first, 1), 1);
    eventually("it has left the second", || seeds(&second, 1) == 1);
    let reply = announce(http(&second), 1, 9, 5, "").unwrap();
    assert_eq!(ports(&reply), [1002]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_torrent_that_is_registered_later_has_the_peers_that_others_heard_before() {
    let program = redis_or_return!("a torrent that is registered later, on Redis");
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("redis");
    let _redis = redis(&program, &socket);
    let first = start(sharing(&socket)).await;
    let closed = start(Config {
        closed: true,
        ..sharing(&socket)
    })
    .await;
    let list = dir.path().join("list");
    std::fs::write(&list, format!("{}\n", hash(9))).unwrap();
    let allowing = start(Config {
        mode: Mode::AllowList,
        list: Some(list),
        ..sharing(&socket)
    })
    .await;
    let all = [&first, &closed, &allowing];
    eventually("all are connected", || {
        all.iter().all(|server| is_up(server))
    });
    closed.register_hash(hash(9));
    announce(http(&first), 1, 1001, 0, "").unwrap();
    announce(http(&first), 1, 1002, 0, "").unwrap();
    announce(http(&first), 1, 1002, 0, "&event=stopped").unwrap();
    announce(http(&first), 2, 1003, 0, "").unwrap();
    // What comes last has been read, and so has what came before it.
    announce(http(&first), 9, 1009, 0, "").unwrap();
    eventually("all is read", || {
        seeds(&closed, 9) == 1 && seeds(&allowing, 9) == 1
    });
    assert_eq!(
        (closed.scrape(hash(1)), allowing.scrape(hash(1))),
        (None, None)
    );

    closed.register_hash(hash(1));
    allowing.add_to_list(&hash(1).to_string()).unwrap();
    eventually("the peers are known", || {
        seeds(&closed, 1) == 1 && seeds(&allowing, 1) == 1
    });
    assert_eq!(
        (closed.scrape(hash(2)), allowing.scrape(hash(2))),
        (None, None)
    );
    let reply = announce(http(&closed), 1, 9, 5, "").unwrap();
    assert_eq!(ports(&reply), [1001]);
    assert_eq!(closed.stats().store.unwrap().malformed, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_redis_that_hangs_is_away_until_it_goes_on() {
    let program = redis_or_return!("a Redis that hangs");
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("redis");
    let running = redis(&program, &socket);
    let server = start(sharing(&socket)).await;
    eventually("it is connected", || is_up(&server));
    // Nothing is written meanwhile: only reading can notice.
    running.signal(rustix::process::Signal::STOP);
    eventually("it is noticed", || !is_up(&server));
    announce(http(&server), 1, 1001, 0, "").unwrap();
    assert!(readiness(&server).contains("store: redis has been away for"));
    running.signal(rustix::process::Signal::CONT);
    eventually("it is connected again", || is_up(&server));
    eventually("what waited is told", || {
        server.stats().store.unwrap().sent == 1
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_redis_behind_tls_is_believed_only_with_a_certificate_that_is_trusted() {
    let program = redis_or_return!("a Redis behind TLS");
    let certificates = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/certificates");
    // It takes no port 0.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port().to_string();
    drop(free);
    let mut command = std::process::Command::new(program);
    command.args([
        "--port",
        "0",
        "--save",
        "",
        "--bind",
        "127.0.0.1",
        "--tls-port",
        &port,
    ]);
    command.args(["--tls-auth-clients", "no", "--tls-cert-file"]);
    command
        .arg(certificates.join("good.pem"))
        .arg("--tls-key-file");
    command
        .arg(certificates.join("good.key"))
        .arg("--tls-ca-cert-file");
    let _redis = Running::start(command.arg(certificates.join("root.pem")));
    eventually("redis listens", || {
        std::net::TcpStream::connect(format!("127.0.0.1:{port}")).is_ok()
    });
    let store = format!("rediss://127.0.0.1:{port}");
    for (root, state) in [
        ("root.pem", "store: redis is connected"),
        ("good.pem", "store: redis has been away for"),
    ] {
        let arguments = crate::cli::with(&["--stats-addr", "127.0.0.1:0", "--store", &store]);
        let mut tracker = crate::cli::program(&arguments);
        tracker.env("SSL_CERT_FILE", certificates.join(root));
        let tracker = crate::cli::Running::spawn(&mut tracker);
        let stats = tracker.address("stats=");
        eventually(state, || get(stats, "/readyz").text().contains(state));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_entry_that_makes_no_sense_is_read_once_and_passed() {
    let program = redis_or_return!("an entry of somebody else, on Redis");
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("redis");
    let _redis = redis(&program, &socket);
    let (first, second) = (start(sharing(&socket)).await, start(sharing(&socket)).await);
    eventually("both are connected", || is_up(&first) && is_up(&second));
    redis_says(&socket, "XADD bt-tracker:1:announces * foo bar");
    eventually("it is seen", || second.stats().store.unwrap().malformed > 0);
    // What comes after it is read, and after that there has been time to read it again.
    for torrent in 1..=5 {
        announce(http(&first), torrent, 1001, 0, "").unwrap();
        eventually("what comes later is read", || seeds(&second, torrent) == 1);
    }
    assert_eq!(second.stats().store.unwrap().malformed, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_redis_that_lets_nothing_be_read_is_away() {
    let program = redis_or_return!("a Redis that lets nothing be read");
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("redis");
    let _redis = redis(&program, &socket);
    // Its socket is there a moment before anybody may connect to it.
    eventually("redis listens", || {
        std::os::unix::net::UnixStream::connect(&socket).is_ok()
    });
    assert_eq!(redis_says(&socket, "SET bt-tracker:1:announces x"), "+OK");
    let server = start(sharing(&socket)).await;
    eventually("it is away", || readiness(&server).contains("WRONGTYPE"));
    assert_eq!(server.stats().store.unwrap().connects, 0);
    assert_eq!(redis_says(&socket, "DEL bt-tracker:1:announces"), ":1");
    eventually("it is connected", || is_up(&server));
    assert_eq!(server.stats().store.unwrap().connects, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn more_entries_than_are_read_at_once_are_all_read() {
    let program = redis_or_return!("more entries in Redis than are read at once");
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("redis");
    let _redis = redis(&program, &socket);
    eventually("it listens", || {
        std::os::unix::net::UnixStream::connect(&socket).is_ok()
    });
    let mut written = 0;
    // At the limit, one above, and above twice of it.
    for count in [MAX_RELAY_ENTRIES, 1, MAX_RELAY_ENTRIES] {
        for _ in 0..count {
            written += 1;
            // A seed of torrent 1, as the records say it.
            let port: String = u16::to_be_bytes(written)
                .map(|byte| format!("\\x{byte:02x}"))
                .concat();
            let record = format!("\\x02{}\\xc0\\x00\\x02\\x01{port}", "\\x01".repeat(20));
            let add = format!("XADD bt-tracker:1:announces * o other d \"{record}\"");
            assert!(redis_says(&socket, &add).starts_with('$'), "an id");
        }
        let server = start(sharing(&socket)).await;
        eventually("all are read", || seeds(&server, 1) == u32::from(written));
        assert_eq!(server.stats().store.unwrap().malformed, 0);
        server.stop().await;
    }
}
