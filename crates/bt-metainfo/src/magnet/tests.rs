//! Tests of links: what is read, what is refused, and that printing reads back.

use proptest::prelude::*;

use super::*;
use crate::index::FileIndex;

const HEX: &str = "d2474e86c95b19b8bcfdb92bc12c9d44667cfa36";
const BASE32: &str = "2JDU5BWJLMM3RPH5XEV4CLE5IRTHZ6RW";
const LONG: &str = "caf1e1c30e81cb361b9ee167c4aa64228a7fa4fa9f6105232b28ad099f3a302e";

fn read(query: &str) -> Magnet {
    Magnet::parse(&format!("magnet:?xt=urn:btih:{HEX}&{query}")).unwrap()
}

#[test]
fn every_spelling_of_a_hash_is_read() {
    let hash: InfoHash = HEX.parse().unwrap();
    for text in [
        format!("magnet:?xt=urn:btih:{HEX}"),
        format!("MAGNET:?XT=URN:BTIH:{}", HEX.to_uppercase()),
        format!("magnet:?xt=urn:btih:{BASE32}"),
        format!("magnet:?xt=urn:btih:{}", BASE32.to_lowercase()),
        format!("magnet:?xt=urn%3Abtih%3A{HEX}"),
        format!("magnet:?dn=x&xt.1=urn:btih:{HEX}"),
        format!("magnet:?dn=x&amp;xt=urn:btih:{HEX}"),
        format!("  magnet:?xt=urn:btih:{HEX}&xt=urn:btih:{BASE32}\n"),
        format!("magnet:?xt=urn:ed2k:31D6CFE0D16AE931B73C59D7E0C089C0&xt=urn:btih:{HEX}"),
    ] {
        let magnet = Magnet::parse(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(magnet.info_hash_v1(), Some(hash), "{text}");
        assert_eq!(magnet.info_hash_v2(), None);
    }
}

#[test]
fn a_v2_hash_stands_alone_or_beside_a_v1_hash() {
    let alone = Magnet::parse(&format!("magnet:?xt=urn:btmh:1220{LONG}")).unwrap();
    assert_eq!(alone.info_hash_v2().unwrap().to_string(), LONG);
    assert_eq!(alone.info_hash().to_string(), LONG[..40]);
    let hybrid = read(&format!("xt=urn:btmh:1220{LONG}"));
    assert_eq!(hybrid.info_hash().to_string(), HEX);
    assert_eq!(
        hybrid.to_string(),
        format!("magnet:?xt=urn:btih:{HEX}&xt=urn:btmh:1220{LONG}")
    );
}

#[test]
fn parameters_are_decoded_each_in_its_way() {
    assert_eq!(
        read("dn=a+b%2Bc%26d").display_name.as_deref(),
        Some("a b+c&d")
    );
    assert_eq!(
        read("dn=100%+sure%zz").display_name.as_deref(),
        Some("100% sure%zz")
    );
    assert_eq!(read("dn=%ff").display_name.as_deref(), Some("\u{fffd}"));
    assert_eq!(read("dn=&dn=b&dn=c").display_name.as_deref(), Some("b"));
    assert_eq!(
        read("tr=http%3A%2F%2Ft.example%2Fa%3Fk%3Da+b").trackers,
        ["http://t.example/a?k=a+b"]
    );
    assert_eq!(
        read("tr=udp://a&tr.2=udp://b&tr=udp://a&tr=&tr=%ff&tr=a%0ab").trackers,
        ["udp://a", "udp://b"]
    );
    assert_eq!(
        read("ws=http://w/&xs=http://x/t&as=http://y/t").sources,
        ["http://x/t", "http://y/t"]
    );
    assert_eq!(read("xl=42").length, Some(42));
    assert_eq!(read("xl=-1").length, None);
    let peers: Vec<String> = read("x.pe=1.2.3.4:5&x.pe=[::1]:6&x.pe=h.example:7&x.pe=1.2.3.4:5")
        .peers
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(peers, ["1.2.3.4:5", "[::1]:6", "h.example:7"]);
    assert_eq!(read("kt=x&mt=y&unknown&=&&").trackers, [""; 0]);
}

#[test]
fn selections_are_ranges() {
    let selection = read("so=0,2,4,6-8").select_only.unwrap();
    let files: Vec<u32> = selection.files(8).map(|file| file.0).collect();
    assert_eq!(files, [0, 2, 4, 6, 7]);
    assert!(
        selection.contains(FileIndex(8))
            && !selection.contains(FileIndex(5))
            && !selection.contains(FileIndex(9))
    );
    assert_eq!(selection.to_string(), "0,2,4,6-8");
    assert_eq!(selection.files(0).count(), 0);
    assert_eq!(
        read("so=3,1-2&so=4-4294967295")
            .select_only
            .unwrap()
            .ranges(),
        [1..=u32::MAX]
    );
    assert_eq!(read("dn=x").select_only, None);
}

#[test]
fn lists_end_at_their_limits() {
    let many = |key: &str, count: usize| {
        (0..count)
            .map(|i| format!("{key}=h{i}.example:1"))
            .collect::<Vec<_>>()
            .join("&")
    };
    assert_eq!(read(&many("tr", 201)).trackers.len(), 200);
    assert_eq!(read(&many("ws", 101)).web_seeds.len(), 100);
    assert_eq!(read(&many("x.pe", 101)).peers.len(), 100);
    assert_eq!(read(&format!("tr={}", "u".repeat(2_048))).trackers.len(), 1);
    assert_eq!(read(&format!("tr={}", "u".repeat(2_049))).trackers.len(), 0);
    let padded = |length: usize| {
        let start = format!("magnet:?xt=urn:btih:{HEX}&x=");
        Magnet::parse(&format!("{start}{}", "y".repeat(length - start.len())))
    };
    assert!(padded(MAX_MAGNET_BYTES).is_ok());
    assert_eq!(
        padded(MAX_MAGNET_BYTES + 1),
        Err(MagnetError::TooLong {
            found: MAX_MAGNET_BYTES + 1
        })
    );
}

#[test]
fn bad_links_say_what_and_where() {
    let xt = |value: &str| format!("magnet:?xt={value}");
    let with = |query: &str| format!("magnet:?xt=urn:btih:{HEX}&{query}");
    let cases: Vec<(String, &str)> = vec![
        (String::new(), "starts with \"magnet:?\""),
        ("magnet".into(), "starts with \"magnet:?\""),
        ("magnet:".into(), "starts with \"magnet:?\""),
        (
            format!("magnet:xt=urn:btih:{HEX}"),
            "starts with \"magnet:?\"",
        ),
        (
            format!("http://example/?xt=urn:btih:{HEX}"),
            "starts with \"magnet:?\"",
        ),
        (HEX.into(), "starts with \"magnet:?\""),
        ("mägnet:?x".into(), "starts with \"magnet:?\""),
        ("magnet:?".into(), "no \"xt\" parameter"),
        ("magnet:?dn=name".into(), "no \"xt\" parameter"),
        ("magnet:?xt".into(), "no \"xt\" parameter"),
        ("magnet:?xt=".into(), "no \"xt\" parameter"),
        (format!("magnet:?x=urn:btih:{HEX}"), "no \"xt\" parameter"),
        (format!("magnet:?ext=urn:btih:{HEX}"), "no \"xt\" parameter"),
        (xt(HEX), "only urn:btih: and urn:btmh:"),
        (
            xt("urn:sha1:YNCKHTQCWBTRNJIV4WNAE52SJUQCZO5C"),
            "urn:sha1:YNCK",
        ),
        (
            xt("urn:tree:tiger:7N5OAMRNGMSSEUE3ORHOKWN4WWIQ5X4EBOOTLJY"),
            "urn:tree:tiger",
        ),
        (xt("urn:ed2k:31D6CFE0D16AE931B73C59D7E0C089C0"), "urn:ed2k"),
        (
            xt("urn:btpk:8543d3e6115f0f98c944077a4493dcd543e49c739fd998550a1f614ab36ed63e"),
            "urn:btpk",
        ),
        (xt("urn:btih"), "\"urn:btih\""),
        (xt("urn:btih:"), "this has 0"),
        (xt("urn:btih:abc"), "this has 3"),
        (xt(&format!("urn:btih:{HEX}0")), "this has 41"),
        (xt(&format!("urn:btih:{}", &HEX[..39])), "this has 39"),
        (xt(&format!("urn:btih:{}g", &HEX[..39])), "character 39"),
        (xt(&format!("urn:btih:{}%00", &HEX[..39])), "character 39"),
        (xt(&format!("urn:btih:{} ", &HEX[..39])), "this has 39"),
        (
            xt(&format!("urn:btih:1{}", &BASE32[1..])),
            "character 0 of the info-hash is not a base32",
        ),
        (xt(&format!("urn:btih:{LONG}")), "this has 64"),
        (
            xt(&format!("urn:btmh:{LONG}")),
            "starts with 1220, for SHA-256 of 32 bytes, this with \"caf1\"",
        ),
        (xt(&format!("urn:btmh:1114{HEX}")), "this with \"1114\""),
        (xt("urn:btmh:"), "this with \"\""),
        (xt("urn:btmh:1220"), "this has 0"),
        (xt(&format!("urn:btmh:1220{}", &LONG[..62])), "this has 62"),
        (xt(&format!("urn:btmh:1220x{}", &LONG[1..])), "character 0"),
        (
            with("xt=urn:btih:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
            "two different v1 torrents",
        ),
        (
            with(&format!(
                "xt=urn:btmh:1220{LONG}&xt=urn:btmh:1220{}",
                LONG.replace('c', "d")
            )),
            "two different v2 torrents",
        ),
        (with("x.pe="), "\"x.pe\" is \"\": the port is missing"),
        (with("x.pe=1.2.3.4"), "\"1.2.3.4\": the port is missing"),
        (with("x.pe=1.2.3.4:0"), "not a number from 1 to 65535"),
        (with("x.pe=1.2.3.4:99999"), "not a number from 1 to 65535"),
        (with("x.pe=::1:5"), "needs brackets"),
        (with("x.pe=:5"), "the host is empty"),
        (with("x.pe=a%20b:5"), "\"a b:5\": that is no host name"),
        (with("so="), "\"so\" holds \"\""),
        (with("so=a"), "\"so\" holds \"a\""),
        (with("so=1,,2"), "\"so\" holds \"\""),
        (with("so=1,-2"), "\"so\" holds \"-2\""),
        (with("so=3-1"), "\"so\" holds \"3-1\""),
        (with("so=1-2-3"), "\"so\" holds \"1-2-3\""),
        (with("so=%2B1"), "\"so\" holds \"+1\""),
        (with("so=4294967296"), "\"so\" holds \"4294967296\""),
        (
            with(&format!("so={}", "x".repeat(10_000))),
            "\"so\" holds \"xxxx",
        ),
    ];
    assert!(cases.len() >= 40);
    for (text, fragment) in cases {
        let message = Magnet::parse(&text).expect_err(&text).to_string();
        assert!(
            message.contains(fragment),
            "{text}\n  says {message}\n  wanted {fragment}"
        );
        assert!(message.len() < 300, "{message}");
    }
}

fn url() -> impl Strategy<Value = String> {
    "[a-z]{2,5}://[ -~é世]{1,30}[!-~]".prop_map(|url| url)
}

prop_compose! {
    fn magnets()(
        v1 in any::<Option<[u8; 20]>>(),
        v2 in any::<[u8; 32]>(),
        both in any::<bool>(),
        display_name in proptest::option::of("\\PC{1,20}"),
        length in any::<Option<u64>>(),
        trackers in proptest::collection::btree_set(url(), 0..4),
        web_seeds in proptest::collection::btree_set(url(), 0..3),
        peers in proptest::collection::btree_set(any::<(std::net::IpAddr, u16)>(), 0..3),
        ranges in proptest::collection::vec((any::<u32>(), 0_u32..9), 0..4),
    ) -> Magnet {
        let v1 = v1.map(InfoHash::from);
        let v2 = (both || v1.is_none()).then(|| InfoHashV2::from(v2));
        let select_only: Selection = ranges.iter().map(|&(first, more)| first..=first.saturating_add(more)).collect();
        let mut magnet = Magnet::with_hashes(v1, v2);
        magnet.display_name = display_name;
        magnet.length = length;
        magnet.trackers = trackers.into_iter().collect();
        magnet.web_seeds = web_seeds.into_iter().collect();
        magnet.peers = peers.into_iter().map(|(ip, port)| HostPort::from(std::net::SocketAddr::new(ip, port.max(1)))).collect();
        magnet.select_only = (!select_only.is_empty()).then_some(select_only);
        magnet
    }
}

proptest! {
    #[test]
    fn what_is_printed_reads_back(magnet in magnets()) {
        prop_assert_eq!(Magnet::parse(&magnet.to_string()), Ok(magnet));
    }

    #[test]
    fn any_text_is_read_or_refused_and_then_settles(query in "\\PC{0,80}") {
        let text = format!("magnet:?xt=urn:btih:{HEX}&{query}");
        if let Ok(magnet) = Magnet::parse(&text) {
            prop_assert_eq!(Magnet::parse(&magnet.to_string()), Ok(magnet));
        }
    }
}
