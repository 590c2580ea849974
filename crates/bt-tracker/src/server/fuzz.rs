//! Bodies for the fuzzer, which ordinary tests run as well: whatever strangers send, nothing
//! panics, and nobody who has not proven an address gets more than was sent.

/// The bytes of an HTTP connection, cut in several ways.
pub fn http_connection(data: &[u8]) {
    super::http::open(data);
}

/// The head of a request.
pub fn http_head(data: &[u8]) {
    super::http::fuzz_head(data);
}

/// The bytes of a connection to a tracker with users and torrents of its own.
pub fn http_publisher(data: &[u8]) {
    super::http::publisher(data);
}

/// Requests of operators and of strangers.
pub fn admin(data: &[u8]) {
    super::admin::fuzz(data);
}

/// Lines as UDP packets.
pub fn udp_packets(data: &[u8]) {
    super::udp::packets(data);
}

/// Control messages of the kernel.
pub fn control(data: &[u8]) {
    super::control_message::fuzz(data);
}

/// What happens to many connections.
pub fn crowd(data: &[u8]) {
    super::http::fuzz_crowd(data);
}

/// Sources that ask over UDP.
pub fn sources(data: &[u8]) {
    super::udp::fuzz_sources(data);
}

/// Attempts to log in.
pub fn logins(data: &[u8]) {
    super::admin::fuzz_logins(data);
}

/// A snapshot file.
pub fn snapshot(data: &[u8]) {
    super::snapshot::fuzz(data);
}

/// A file of accounts.
pub fn accounts(data: &[u8]) {
    super::accounts::fuzz(data);
}

/// A list of users or of torrents.
pub fn list(data: &[u8]) {
    super::access::fuzz(data);
}

/// Replies of Redis.
#[cfg(feature = "redis")]
pub fn redis_replies(data: &[u8]) {
    super::relay::replies(data);
}

/// Announces as trackers tell them to each other.
#[cfg(feature = "redis")]
pub fn relay(data: &[u8]) {
    super::relay::fuzz(data);
}

/// A message of a browser.
#[cfg(feature = "websocket")]
pub fn signal(data: &[u8]) {
    super::signal::fuzz(data);
}

/// What browsers do.
#[cfg(feature = "websocket")]
pub fn rooms(data: &[u8]) {
    super::signal::fuzz_rooms(data);
}

/// What browsers do to have places.
#[cfg(feature = "websocket")]
pub fn places(data: &[u8]) {
    super::signal::fuzz_places(data);
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUNDS: u64 = 3_000;

    /// Runs a body over inputs with a few bytes changed, cut or doubled, the same ones each time.
    fn mutate(seeds: &[&[u8]], body: fn(&[u8])) {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = move |bound: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state % u64::try_from(bound.max(1)).unwrap()).unwrap()
        };
        seeds.iter().for_each(|seed| body(seed));
        for _ in 0..ROUNDS {
            let mut data = seeds[next(seeds.len())].to_vec();
            for _ in 0..=next(6) {
                let at = next(data.len());
                match next(4) {
                    0 => data.truncate(at),
                    1 => data.extend_from_within(at..),
                    _ if data.is_empty() => {}
                    2 => data[at] = u8::try_from(next(256)).unwrap(),
                    _ => data[at] ^= 1 << next(8),
                }
            }
            data.truncate(20_000);
            body(&data);
        }
    }

    #[test]
    fn every_corpus_file_passes() {
        type Body = fn(&[u8]);
        let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/corpus");
        let targets: &[(&str, Body)] = &[
            ("tracker_server_head", http_head),
            ("tracker_server_http", http_connection),
            ("tracker_server_publisher", http_publisher),
            ("tracker_server_admin", admin),
            ("tracker_server_udp", udp_packets),
            ("tracker_server_control", control),
            ("tracker_server_crowd", crowd),
            ("tracker_server_sources", sources),
            ("tracker_server_logins", logins),
            ("tracker_server_snapshot", snapshot),
            ("tracker_server_accounts", accounts),
            ("tracker_server_list", list),
            #[cfg(feature = "redis")]
            ("tracker_server_relay", relay),
            #[cfg(feature = "redis")]
            ("tracker_server_redis", redis_replies),
            #[cfg(feature = "websocket")]
            ("tracker_server_signal", signal),
            #[cfg(feature = "websocket")]
            ("tracker_server_rooms", rooms),
            #[cfg(feature = "websocket")]
            ("tracker_server_places", places),
        ];
        for (name, body) in targets {
            let files = std::fs::read_dir(corpus.join(name))
                .unwrap()
                .map(|file| file.unwrap());
            let count = files
                .map(|file| body(&std::fs::read(file.path()).unwrap()))
                .count();
            assert!(count > 0, "{name} has no seeds");
        }
    }

    #[test]
    fn connections_survive_whatever_comes() {
        let hash = "%01".repeat(20);
        let peer = "peer_id=-XX0001-000000000001&port=7000&left=0";
        let announce = format!("GET /announce?info_hash={hash}&{peer} HTTP/1.1\r\nHost: x\r\n\r\n");
        let body = format!("http://x/announce?info_hash={hash}&{peer}\n");
        let post = format!(
            "POST /announce HTTP/1.1\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let scrape = format!("GET /scrape?info_hash={hash} HTTP/1.0\r\n\r\n");
        let torrents = "GET /torrents/a.torrent HTTP/1.1\r\nAccept: application/json\r\n\r\n";
        let seeds = [&announce, &post, &scrape, torrents].map(str::as_bytes);
        mutate(&seeds, http_connection);
    }

    #[cfg(feature = "websocket")]
    #[test]
    fn sums_of_rooms_hold_whatever_browsers_do() {
        let all: Vec<u8> = (0..=255).collect();
        mutate(
            &[&all, b"000", &[0, 3, 0, 16, 19, 8, 0, 7, 0, 0, 1, 0]],
            rooms,
        );
    }

    #[test]
    fn packets_survive_whatever_comes() {
        let (mut connect, mut announce, mut scrape) = (Vec::new(), Vec::new(), Vec::new());
        let mut request = crate::AnnounceRequest::new([1; 20].into(), [2; 20].into(), 7000);
        request.url_data = b"/key/announce".to_vec();
        crate::udp::encode_connect_request(1, &mut connect);
        crate::udp::encode_announce_request(1, 1, &request, &mut announce);
        crate::udp::encode_scrape_request(1, 1, &[[1; 20].into()], &mut scrape);
        mutate(&[&connect, &announce, &scrape], udp_packets);
    }

    #[test]
    fn files_survive_whatever_comes() {
        let accounts_text = "1000\nuser key-of-ann 300 0 2 0 0 5\npeer 0101010101010101010101010101010101010101 \
                             ff 100 0 9 15 192.0.2.1:7000 [::]:0";
        mutate(
            &[accounts_text.as_bytes(), b"bt-tracker accounts 1 "],
            accounts,
        );
        let users = "# ours\nkey-of-ann ann # since May\n\nkey-of-bob\n";
        let torrents = format!("{}\n{} # one\n", "ab".repeat(20), "CD".repeat(20));
        mutate(&[users.as_bytes(), torrents.as_bytes()], list);
    }

    #[test]
    fn snapshots_survive_whatever_comes() {
        let mut part = vec![0; 8];
        part.extend_from_slice(&43_u32.to_be_bytes());
        part.extend_from_slice(&[1; 20]);
        part.extend_from_slice(&[0, 0, 0, 5, 0, 0, 0, 1, 0, 0, 0, 0]);
        part.extend_from_slice(&[10, 0, 0, 1, 0, 80, 2, 0, 0, 0, 9]);
        part.extend_from_slice(&u32::MAX.to_be_bytes());
        mutate(&[&part, b"BTSWARMS"], snapshot);
    }
}
