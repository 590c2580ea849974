//! What people and peers ask for: magnet links, queries (`announce-`, `scrape-`), UDP requests.

use super::Cases;
use super::make::Random;

const HEX: &str = "d2474e86c95b19b8bcfdb92bc12c9d44667cfa36";
const LONG: &str = "caf1e1c30e81cb361b9ee167c4aa64228a7fa4fa9f6105232b28ad099f3a302e";

pub(super) fn magnets(cases: &mut Cases) {
    cases.because("a link begins with magnet:? and names a torrent");
    for (name, text) in [
        ("empty", ""),
        ("scheme-only", "magnet:"),
        ("no-question-mark", "magnet:xt=urn:btih:x"),
        ("http", "http://h.example/"),
        ("file", "file.torrent"),
        ("hash-alone", HEX),
        ("two-slashes", "magnet://?xt=urn:btih:x"),
    ] {
        cases.bad(name, text, "starts with \"magnet:?\"");
    }
    for (name, text) in [
        ("nothing", "magnet:?"),
        ("only-name", "magnet:?dn=x"),
        ("xt-without-value", "magnet:?xt"),
        ("xt-empty", "magnet:?xt="),
        ("other-key", "magnet:?tx=urn:btih:x"),
    ] {
        cases.bad(name, text, "no \"xt\" parameter");
    }
    cases
        .because("links of other networks and of mutable torrents are told apart from broken ones");
    for network in [
        "urn:ed2k:31D6",
        "urn:sha1:YNCK",
        "urn:tree:tiger:7N5O",
        "urn:btpk:8543",
        "urn:md5:d41d",
        "urn:kzhash:35",
        "btih:d247",
    ] {
        let name = network.replace(':', "-");
        cases.bad(
            &name,
            format!("magnet:?xt={network}"),
            "only urn:btih: and urn:btmh:",
        );
    }
    hashes(cases);
    hints(cases);
}

fn hashes(cases: &mut Cases) {
    cases.because("a version 1 hash has 40 hexadecimal or 32 base32 characters");
    for length in [0_usize, 1, 31, 33, 39] {
        cases.bad(
            &format!("hash-of-{length}"),
            format!("magnet:?xt=urn:btih:{}", &HEX[..length]),
            &format!("this has {length}"),
        );
    }
    cases.bad(
        "hash-of-41",
        format!("magnet:?xt=urn:btih:{HEX}0"),
        "this has 41",
    );
    for at in [0_usize, 1, 20, 39] {
        let mut text = HEX.as_bytes().to_vec();
        text[at] = b'g';
        let bytes = [b"magnet:?xt=urn:btih:".to_vec(), text].concat();
        cases.bad(
            &format!("hash-letter-{at}"),
            bytes,
            &format!("character {at} of the info-hash"),
        );
    }
    for digit in ['0', '1', '8', '9'] {
        cases.bad(
            &format!("base32-digit-{digit}"),
            format!("magnet:?xt=urn:btih:{digit}JDU5BWJLMM3RPH5XEV4CLE5IRTHZ6RW"),
            "character 0 of the info-hash is not a base32",
        );
    }
    cases.because("a version 2 hash is a multihash of SHA-256");
    for start in ["1114", "1221", "1320", "caf1"] {
        cases.bad(
            &format!("multihash-{start}"),
            format!("magnet:?xt=urn:btmh:{start}{LONG}"),
            &format!("this with \"{start}\""),
        );
    }
    for length in [0_usize, 1, 62, 63] {
        cases.bad(
            &format!("multihash-of-{length}"),
            format!("magnet:?xt=urn:btmh:1220{}", &LONG[..length]),
            &format!("this has {length}"),
        );
    }
    cases.bad(
        "two-torrents",
        format!(
            "magnet:?xt=urn:btih:{HEX}&xt=urn:btih:{}",
            HEX.replace('d', "e")
        ),
        "two different v1 torrents",
    );
}

fn hints(cases: &mut Cases) {
    cases.because(
        "an address of a peer or a choice of files that cannot be meant is refused, not guessed",
    );
    let with = |query: &str| format!("magnet:?xt=urn:btih:{HEX}&{query}");
    for (name, query, words) in [
        ("peer-no-port", "x.pe=1.2.3.4", "the port is missing"),
        (
            "peer-port-0",
            "x.pe=1.2.3.4:0",
            "not a number from 1 to 65535",
        ),
        (
            "peer-port-65536",
            "x.pe=1.2.3.4:65536",
            "not a number from 1 to 65535",
        ),
        (
            "peer-port-minus",
            "x.pe=1.2.3.4:-1",
            "not a number from 1 to 65535",
        ),
        ("peer-bare-v6", "x.pe=::1:5", "needs brackets"),
        ("peer-no-host", "x.pe=:5", "the host is empty"),
        ("peer-slash", "x.pe=a%2Fb:5", "that is no host name"),
        ("select-empty", "so=", "\"so\" holds \"\""),
        ("select-letters", "so=abc", "\"so\" holds \"abc\""),
        ("select-backwards", "so=9-1", "\"so\" holds \"9-1\""),
        ("select-minus", "so=-1", "\"so\" holds \"-1\""),
        ("select-u32", "so=4294967296", "\"so\" holds \"4294967296\""),
        ("select-endless", "so=1-", "\"so\" holds \"1-\""),
    ] {
        cases.bad(name, with(query), words);
    }
    cases.because("what a link says besides the hash is a hint; a bad hint is dropped");
    for (name, query) in [
        ("length-minus", "xl=-1"),
        ("length-letters", "xl=abc"),
        ("tracker-empty", "tr="),
        ("tracker-not-utf8", "tr=%ff"),
        ("tracker-newline", "tr=a%0ab"),
        ("name-percent", "dn=100%"),
        ("name-not-utf8", "dn=%ff%fe"),
        ("unknown-keys", "a=b&c&=d&&"),
        ("select-u32-max", "so=4294967295"),
        ("source-localhost", "xs=http://localhost/x"),
        ("name-escape", "dn=%1b%5b2J"),
    ] {
        cases.good(name, with(query));
    }
    cases.because("limit MAX_MAGNET_BYTES");
    cases.bad(
        "too-long",
        "magnet:?".to_owned() + &"x".repeat(65_529 - 8 + 8),
        "more than the 65536 allowed",
    );
}

/// A good announce, with one parameter replaced or removed.
fn query(key: &str, value: Option<&str>) -> String {
    let good = [
        ("info_hash", "aaaaaaaaaaaaaaaaaaaa"),
        ("peer_id", "-ZZ0100-abcdefghijkl"),
        ("port", "6881"),
        ("uploaded", "0"),
        ("downloaded", "0"),
        ("left", "5"),
        ("event", "started"),
    ];
    let mut pairs: Vec<String> = good
        .iter()
        .filter(|(name, _)| *name != key)
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    pairs.extend(value.map(|value| format!("{key}={value}")));
    pairs.join("&")
}

pub(super) fn queries(cases: &mut Cases) {
    cases.because("an announce names a torrent, a peer and a port");
    for key in ["info_hash", "peer_id", "port"] {
        cases.bad(
            &format!("announce-no-{key}"),
            query(key, None),
            &format!("{key} is missing"),
        );
    }
    cases.bad("announce-empty", "", "info_hash is missing");
    cases.because("hashes and peer ids are 20 bytes, percent-encoded");
    for key in ["info_hash", "peer_id"] {
        for (name, value) in [
            ("empty", ""),
            ("19", "aaaaaaaaaaaaaaaaaaa"),
            ("21", "aaaaaaaaaaaaaaaaaaaaa"),
            ("hex", HEX),
            ("half-escape", "aaaaaaaaaaaaaaaaaaa%4"),
            ("bad-escape", "aaaaaaaaaaaaaaaaaaa%zz"),
        ] {
            cases.bad(
                &format!("announce-{key}-{name}"),
                query(key, Some(value)),
                &format!("{key} is not valid: 20 bytes, percent-encoded"),
            );
        }
    }
    cases.bad(
        "announce-two-hashes",
        query(
            "info_hash",
            Some("aaaaaaaaaaaaaaaaaaaa&info_hash=bbbbbbbbbbbbbbbbbbbb"),
        ),
        "info_hash is not valid: one for each announce",
    );
    query_numbers(cases);
    query_limits(cases);
}

fn query_numbers(cases: &mut Cases) {
    cases.because("numbers are digits that fit");
    for (name, value) in [
        ("empty", ""),
        ("letters", "abc"),
        ("65536", "65536"),
        ("minus", "-1"),
        ("u64", "18446744073709551616"),
        ("space", "68%2081"),
        ("hex", "0x1ae1"),
    ] {
        cases.bad(
            &format!("announce-port-{name}"),
            query("port", Some(value)),
            "port is not valid: a number from 0 to 65535",
        );
    }
    for key in ["uploaded", "downloaded"] {
        for (name, value) in [
            ("empty", ""),
            ("letters", "x"),
            ("minus", "-1"),
            ("u64", "18446744073709551616"),
        ] {
            cases.bad(
                &format!("announce-{key}-{name}"),
                query(key, Some(value)),
                &format!("{key} is not valid: a number of bytes"),
            );
        }
        cases.good(
            &format!("announce-{key}-u64-max"),
            query(key, Some("18446744073709551615")),
        );
    }
    for (name, value) in [
        ("empty", ""),
        ("letters", "x"),
        ("two-minus", "--1"),
        ("u64", "18446744073709551616"),
    ] {
        cases.bad(
            &format!("announce-left-{name}"),
            query("left", Some(value)),
            "left is not valid: a number of bytes",
        );
    }
    for (name, value) in [("letters", "x"), ("empty", ""), ("minus-letter", "-x")] {
        cases.bad(
            &format!("announce-numwant-{name}"),
            query("numwant", Some(value)),
            "numwant is not valid: a number of peers",
        );
    }
    for value in ["begun", "STARTED", "%00", "started%20"] {
        let name: String = value.chars().filter(char::is_ascii_alphanumeric).collect();
        cases.bad(
            &format!("announce-event-{name}"),
            query("event", Some(value)),
            "event is not valid: started, completed, stopped, paused or nothing",
        );
    }
}

fn query_limits(cases: &mut Cases) {
    cases.because("limits MAX_QUERY, MAX_TRACKER_ID and MAX_SCRAPE");
    cases.bad(
        "announce-8193-bytes",
        "x".repeat(8_193),
        "request is too long: more than 8192 bytes",
    );
    cases.bad(
        "announce-trackerid-257",
        query("trackerid", Some(&"x".repeat(257))),
        "trackerid is too long: more than 256 bytes",
    );
    cases.good(
        "announce-trackerid-256",
        query("trackerid", Some(&"x".repeat(256))),
    );
    let scrape = |count: usize| vec!["info_hash=aaaaaaaaaaaaaaaaaaaa"; count].join("&");
    cases.good("scrape-74", scrape(74)).bad(
        "scrape-75",
        scrape(75),
        "too many info_hash: more than 74",
    );
    cases.bad(
        "scrape-short-hash",
        "info_hash=abc",
        "info_hash is not valid",
    );
    cases.good("scrape-everything", "");
    cases.because("claimed addresses and unknown keys are never worth refusing an announce");
    for (key, value) in [
        ("ip", "not an address"),
        ("ip", "999.1.1.1"),
        ("ipv6", "::g"),
        ("ipv4", ""),
        ("left", "-1"),
        ("left", "9223372036854775807"),
        ("numwant", "-1"),
        ("numwant", "4294967296"),
        ("event", ""),
        ("compact", "yes"),
        ("key", "zz%ff"),
        ("corrupt", "-1"),
        ("xyz", "%zz"),
    ] {
        let name: String = value
            .chars()
            .filter(|c| c.is_ascii_alphanumeric() || *c == '-')
            .collect();
        cases.good(
            &format!("announce-{key}-ok-{name}"),
            query(key, Some(value)),
        );
    }
}

pub(super) fn udp_requests(cases: &mut Cases) {
    let head = |action: u32| {
        [
            &0x0417_2710_1980_u64.to_be_bytes()[..],
            &action.to_be_bytes(),
            &9_u32.to_be_bytes(),
        ]
        .concat()
    };
    let mut random = Random::new(5);
    cases.because("BEP 15: 16 bytes of head, then what the action needs");
    for length in [0_usize, 1, 8, 12, 15] {
        cases.bad(
            &format!("of-{length:02}"),
            &head(0)[..length],
            &format!("packet of {length} bytes is too short: 16 are needed"),
        );
    }
    for action in [3_u32, 4, 255, u32::MAX] {
        cases.bad(
            &format!("action-{action}"),
            head(action),
            &format!("action {action} is unknown"),
        );
    }
    for length in [16_usize, 17, 56, 97] {
        let bytes = [head(1), random.bytes(length - 16)].concat();
        cases.bad(
            &format!("announce-of-{length}"),
            bytes,
            &format!("packet of {length} bytes is too short: 98 are needed"),
        );
    }
    cases.because("torrents of a scrape: 74 at most, whole hashes");
    let scrape = |count: usize| [head(2), vec![b'a'; 20 * count]].concat();
    cases.good("scrape-74", scrape(74)).bad(
        "scrape-75",
        scrape(75),
        "too many info_hash: more than 74",
    );
    cases.because("a right request");
    cases
        .good("connect", head(0))
        .good("connect-longer", [head(0), vec![0; 100]].concat());
    cases.good("announce-of-98", [head(1), vec![0; 82]].concat());
    cases.good("scrape-1", scrape(1));
}
