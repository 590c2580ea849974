//! Clients and trackers of others: they announce here, and our client announces there.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use bt_metainfo::Metainfo;
use bt_metainfo::assemble::{Assembly, Content};
use bt_tracker::client::{Client, Direct};
use bt_tracker::server::{Config, Handle};
use bt_tracker::{AnnounceRequest, Event, ScrapeRequest};
use serde_json::Value;

use crate::harness::{PATIENCE, eventually, hash, start};
use crate::others::{Running, leave_out, program};

/// Where the package `bittorrent-tracker` is installed, if it and its interpreter are here.
fn npm() -> Option<(PathBuf, PathBuf)> {
    let named = std::env::var_os("BT_PEERS_NODE").map(PathBuf::from);
    let usual = std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache/bt-peers/node"));
    let dir = named.or(usual)?;
    let is_there = dir
        .join("node_modules/bittorrent-tracker/package.json")
        .exists();
    Some((program("node").filter(|_| is_there)?, dir))
}

fn script(node: &Path, dir: &Path, text: &str) -> Command {
    let mut command = Command::new(node);
    command
        .current_dir(dir)
        .args(["--input-type=module", "-e", text, "--"])
        .stdin(Stdio::null());
    command
}

/// The interpreter that has a module.
fn python(module: &str) -> Option<PathBuf> {
    let named = std::env::var_os("BT_PEERS_PYTHON").map(PathBuf::from);
    let usual = std::env::var_os("HOME")
        .map(|home| Path::new(&home).join(".cache/bt-peers/venv/bin/python"));
    let python = named.or(usual).filter(|path| path.exists())?;
    let probe = Command::new(&python)
        .args(["-c", &format!("import {module}")])
        .stderr(Stdio::null())
        .status();
    probe.is_ok_and(|status| status.success()).then_some(python)
}

/// A tracker on both families.
async fn tracker() -> Handle {
    let both = vec!["127.0.0.1:0".parse().unwrap(), "[::1]:0".parse().unwrap()];
    start(Config {
        http: both.clone(),
        udp: both,
        ..Config::default()
    })
    .await
}

/// Its announce URLs: HTTP and UDP over IPv4, then over IPv6.
fn urls(tracker: &Handle) -> [String; 4] {
    let (http, udp) = (tracker.http_addrs(), tracker.udp_addrs());
    [
        format!("http://{}/announce", http[0]),
        format!("udp://{}/announce", udp[0]),
        format!("http://{}/announce", http[1]),
        format!("udp://{}/announce", udp[1]),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn the_npm_client_announces_and_scrapes_over_http_udp_and_websocket() {
    let Some((node, dir)) = npm() else {
        return leave_out("the npm client on our tracker", "bittorrent-tracker of npm");
    };
    let tracker = tracker().await;
    let [http4, udp4, http6, _] = urls(&tracker);
    let (ws4, ws6) = (http4.replace("http", "ws"), http6.replace("http", "ws"));
    // The package sends UDP over IPv4 only.
    for (n, url) in [http4, udp4, http6, ws4, ws6].iter().enumerate() {
        let torrent = hash(u8::try_from(n).unwrap() + 1).to_string();
        let output = script(&node, &dir, include_str!("npm.mjs"))
            .args([url, &torrent])
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let found: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{url} {text}"));
        assert!(output.status.success(), "{url}: {found}");
        let counts = |n: usize| {
            let update = &found["updates"][n];
            (update["complete"].as_u64(), update["incomplete"].as_u64())
        };
        assert_eq!(counts(0), (Some(1), Some(0)), "{url}: {found}");
        assert_eq!(counts(1), (Some(1), Some(1)), "{url}: {found}");
        assert_eq!(counts(2), (Some(2), Some(0)), "{url}: {found}");
        assert_eq!(counts(3), (Some(0), Some(0)), "{url}: {found}");
        assert_eq!(found["scrape"]["complete"], 1, "{url}: {found}");
        assert_eq!(found["scrape"]["incomplete"], 1, "{url}: {found}");
        let peer = found["peers"][0].as_str().unwrap_or_default();
        if !url.starts_with("ws") {
            assert!(peer.ends_with(":3900"), "{url}: {found}");
        } else {
            assert_eq!(peer.len(), 40, "{url}: {found}");
            assert_eq!(found["answered"], "re: é", "{url}: {found}");
        }
    }
    assert_eq!(
        tracker.stats().ws.malformed + tracker.stats().udp.malformed,
        0
    );
    tracker.stop().await;
}

const LIBTORRENT: &str = r#"
import libtorrent as lt, sys, json, time
hash, urls = sys.argv[1], sys.argv[2:]
s = lt.session({"listen_interfaces": "127.0.0.1:0,[::1]:0", "enable_dht": False, "enable_lsd": False,
    "enable_upnp": False, "enable_natpmp": False, "announce_to_all_trackers": True,
    "announce_to_all_tiers": True, "alert_mask": lt.alert.category_t.all_categories,
    "validate_https_trackers": False, "ssrf_mitigation": False})
p = lt.add_torrent_params(); p.info_hashes = lt.info_hash_t(lt.sha1_hash(bytes.fromhex(hash)))
p.save_path = "/nonexistent"; p.trackers = urls; p.tracker_tiers = list(range(len(urls)))
p.flags &= ~lt.torrent_flags.auto_managed; p.flags &= ~lt.torrent_flags.paused
h = s.add_torrent(p)
announced, scraped = {}, {}
end, asked = time.monotonic() + 60, 0
while time.monotonic() < end:
    s.wait_for_alert(100)
    for a in s.pop_alerts():
        if isinstance(a, lt.tracker_reply_alert): announced[a.url] = a.num_peers
        if isinstance(a, lt.scrape_reply_alert): scraped[a.url] = a.incomplete
        if isinstance(a, (lt.tracker_error_alert, lt.scrape_failed_alert)):
            print(a.message(), file=sys.stderr)
    if len(announced) == len(urls) and len(scraped) == len(urls): break
    if len(announced) == len(urls) and time.monotonic() > asked + 1:
        asked = time.monotonic()
        for n in range(len(urls)): h.scrape_tracker(n)
print(json.dumps({"announced": announced, "scraped": scraped}))
"#;

#[tokio::test(flavor = "multi_thread")]
async fn libtorrent_announces_and_scrapes_over_both_transports_and_families() {
    let Some(python) = python("libtorrent") else {
        return leave_out("libtorrent on our tracker", "libtorrent");
    };
    let tracker = tracker().await;
    let urls = urls(&tracker);
    let output = Command::new(python)
        .args(["-c", LIBTORRENT, &hash(9).to_string()])
        .args(&urls)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    let found: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text} {errors}"));
    for url in &urls {
        assert!(
            found["announced"][url].is_number(),
            "{url}: {found} {errors}"
        );
        assert!(found["scraped"][url].is_number(), "{url}: {found} {errors}");
    }
    let stats = tracker.stats();
    assert_eq!((stats.http.malformed, stats.udp.malformed), (0, 0));
    assert_eq!((stats.http.failures, stats.udp.failures), (0, 0));
    tracker.stop().await;
}

/// A torrent that announces to one URL.
fn torrent_of(url: &str, dir: &Path) -> (Metainfo, PathBuf) {
    let assembly = Assembly {
        name: format!("for {}", url.replace(['/', ':'], "-")),
        content: Content::Single {
            length: 5,
            md5sum: None,
        },
        piece_length: 16 * 1024,
        pieces: vec![[7; 20]],
        trackers: vec![vec![url.to_owned()]],
        ..Assembly::default()
    };
    let bytes = assembly.to_bytes().unwrap();
    let file = dir.join("it.torrent");
    std::fs::write(&file, &bytes).unwrap();
    (Metainfo::parse(&bytes).unwrap(), file)
}

#[tokio::test(flavor = "multi_thread")]
async fn aria2_announces_over_http_and_udp() {
    let Some(aria2) = program("aria2c") else {
        return leave_out("aria2 on our tracker", "aria2c");
    };
    let tracker = tracker().await;
    let [http4, udp4, http6, _] = urls(&tracker);
    for url in [http4, udp4, http6] {
        let home = tempfile::tempdir().unwrap();
        let (metainfo, file) = torrent_of(&url, home.path());
        let mut command = Command::new(&aria2);
        command.args([
            "-q",
            "--no-conf=true",
            "--bt-enable-lpd=false",
            "--enable-dht6=false",
        ]);
        // aria2 speaks to UDP trackers only when its DHT is on; without entry points it is alone.
        let is_udp = url.starts_with("udp");
        command
            .arg(format!("--enable-dht={is_udp}"))
            .arg(format!(
                "--dht-file-path={}",
                home.path().join("dht").display()
            ))
            .arg(format!("--dir={}", home.path().display()));
        let _running = Running::start(command.arg(&file));
        eventually(&format!("aria2 has announced to {url}"), || {
            tracker
                .scrape(metainfo.info_hash())
                .is_some_and(|stats| stats.incomplete == 1)
        });
    }
    tracker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn transmission_announces_over_http_and_udp() {
    let Some(transmission) = program("transmission-daemon") else {
        return leave_out("transmission on our tracker", "transmission-daemon");
    };
    let tracker = tracker().await;
    let [http4, udp4, http6, _] = urls(&tracker);
    for url in [http4, udp4, http6] {
        let home = tempfile::tempdir().unwrap();
        let watch = home.path().join("watch");
        std::fs::create_dir(&watch).unwrap();
        let (metainfo, _) = torrent_of(&url, &watch);
        let settings = serde_json::json!({
            "download-dir": home.path(), "peer-port-random-on-start": true, "rpc-enabled": false,
            "dht-enabled": false, "lpd-enabled": false, "port-forwarding-enabled": false,
            // Its UDP trackers go over the socket of uTP.
            "utp-enabled": true, "watch-dir": watch, "watch-dir-enabled": true,
            "start-added-torrents": true,
        });
        std::fs::write(home.path().join("settings.json"), settings.to_string()).unwrap();
        let mut command = Command::new(&transmission);
        let _running = Running::start(command.args(["-f", "-g"]).arg(home.path()));
        eventually(&format!("transmission has announced to {url}"), || {
            tracker
                .scrape(metainfo.info_hash())
                .is_some_and(|stats| stats.incomplete == 1)
        });
    }
    tracker.stop().await;
}

const RQBIT: &str = r#"
import pyrqbit, sys
home, torrents = sys.argv[1], sys.argv[2:]
session = pyrqbit.Session(home, disable_dht=True)
for n, torrent in enumerate(torrents):
    session.add_torrent(torrent, output_folder=f"{home}/{n}", overwrite=True)
sys.stdin.read()
"#;

#[tokio::test(flavor = "multi_thread")]
async fn rqbit_announces_over_both_transports_and_families() {
    let Some(python) = python("pyrqbit") else {
        return leave_out("rqbit on our tracker", "pyrqbit");
    };
    let tracker = tracker().await;
    let home = tempfile::tempdir().unwrap();
    let torrents = urls(&tracker).into_iter().enumerate().map(|(n, url)| {
        let dir = home.path().join(format!("torrent {n}"));
        std::fs::create_dir(&dir).unwrap();
        (url.clone(), torrent_of(&url, &dir))
    });
    let torrents: Vec<_> = torrents.collect();
    let mut command = Command::new(python);
    command.args(["-c", RQBIT]).arg(home.path());
    command.args(torrents.iter().map(|(_, (_, file))| file));
    let command = command.stdin(Stdio::piped()).stdout(Stdio::null());
    let _running = Running::of(command.spawn().unwrap());
    for (url, (metainfo, _)) in &torrents {
        eventually(&format!("rqbit has announced to {url}"), || {
            tracker
                .scrape(metainfo.info_hash())
                .is_some_and(|stats| stats.incomplete == 1)
        });
    }
    let stats = tracker.stats();
    assert_eq!((stats.http.malformed, stats.udp.malformed), (0, 0));
    assert_eq!((stats.http.failures, stats.udp.failures), (0, 0));
    tracker.stop().await;
}

/// Two peers of ours announce, are told about each other, scrape and leave.
async fn our_client_at(url: &str, torrent: u8) {
    let client = Client::new(Arc::new(Direct));
    let mut seed = AnnounceRequest::new(hash(torrent), [torrent; 20].into(), 4001);
    (seed.left, seed.event) = (0, Event::Started);
    let mut leech = AnnounceRequest::new(hash(torrent), [torrent + 1; 20].into(), 4002);
    (leech.left, leech.event) = (5, Event::Started);
    accepted(&client, url, &seed).await;
    let answer = client.announce(url, &leech, PATIENCE).await.unwrap();
    let ports: Vec<_> = answer.peers.iter().map(|peer| peer.addr.port()).collect();
    assert!(ports.contains(&4001), "{url}: {answer:?}");
    assert_eq!(
        (answer.complete, answer.incomplete),
        (Some(1), Some(1)),
        "{url}"
    );
    let request = ScrapeRequest::new([hash(torrent)]);
    let scrape = client.scrape(url, &request, PATIENCE).await.unwrap();
    let counts = scrape.get(&hash(torrent)).unwrap();
    assert_eq!((counts.complete, counts.incomplete), (1, 1), "{url}");
    for mut peer in [seed, leech] {
        peer.event = Event::Stopped;
        client.announce(url, &peer, PATIENCE).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn our_client_speaks_to_the_npm_tracker() {
    let Some((node, dir)) = npm() else {
        return leave_out("our client at the npm tracker", "bittorrent-tracker of npm");
    };
    let mut command = script(&node, &dir, include_str!("npm-server.mjs"));
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let _running = Running::of(child);
    out.read_line(&mut line).unwrap();
    let ports: Value = serde_json::from_str(&line).unwrap();
    our_client_at(&format!("http://127.0.0.1:{}/announce", ports["http"]), 1).await;
    our_client_at(&format!("udp://127.0.0.1:{}/announce", ports["udp"]), 3).await;
}

/// Announces until it is taken: some listen before they have read their list of torrents.
async fn accepted(client: &Client, url: &str, request: &AnnounceRequest) {
    let begun = std::time::Instant::now();
    while let Err(error) = client.announce(url, request, PATIENCE).await {
        assert!(begun.elapsed() < PATIENCE, "{url}: {error}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn our_client_speaks_to_opentracker() {
    let Some(opentracker) = program("opentracker") else {
        return leave_out("our client at opentracker", "opentracker");
    };
    let home = tempfile::tempdir().unwrap();
    // It makes the directory its root and reads the list there as nobody.
    let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(home.path(), everybody).unwrap();
    std::fs::write(
        home.path().join("list"),
        format!("{}\n{}\n", hash(1), hash(3)),
    )
    .unwrap();
    // It takes no port 0.
    let port = {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = free.local_addr().unwrap();
        drop(std::net::UdpSocket::bind(addr).expect("free for datagrams too"));
        addr.port().to_string()
    };
    let mut command = Command::new(opentracker);
    command.args([
        "-i",
        "127.0.0.1",
        "-p",
        &port,
        "-P",
        &port,
        "-w",
        "list",
        "-d",
    ]);
    let _running = Running::start(command.arg(home.path()));
    eventually("opentracker listens", || {
        std::net::TcpStream::connect(format!("127.0.0.1:{port}")).is_ok()
    });
    our_client_at(&format!("http://127.0.0.1:{port}/announce"), 1).await;
    our_client_at(&format!("udp://127.0.0.1:{port}/announce"), 3).await;
}
