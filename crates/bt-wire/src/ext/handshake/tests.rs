//! Handshakes in the shape in which other clients send them, and junk.

use super::*;

fn decode(payload: &[u8]) -> Handshake {
    Handshake::decode(payload).unwrap()
}

#[test]
fn libtorrent_2() {
    let handshake = decode(
        b"d12:complete_agoi-1e1:md11:lt_donthavei7e10:share_modei8e11:upload_onlyi3e\
          12:ut_holepunchi4e11:ut_metadatai2e6:ut_pexi1ee13:metadata_sizei20371e4:reqqi2000e\
          11:upload_onlyi1e1:v16:libtorrent/2.1.16:yourip4:\x7f\x00\x00\x01e",
    );
    assert_eq!(handshake.id(Ext::DontHave), Some(7));
    assert_eq!(handshake.id(Ext::UploadOnly), Some(3));
    assert_eq!(handshake.client.as_deref(), Some("libtorrent/2.1.1"));
    assert_eq!(handshake.max_requests, Some(2000));
    assert_eq!(handshake.metadata_size, Some(20371));
    assert_eq!(handshake.upload_only, Some(true));
    assert_eq!(handshake.your_ip, Some(IpAddr::from([127, 0, 0, 1])));
    assert_eq!(handshake.complete_ago, None, "-1 means never");
}

#[test]
fn transmission_3() {
    let handshake = decode(
        b"d1:ei0e4:ipv616:\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x011:md11:ut_metadatai3e\
          6:ut_pexi1ee13:metadata_sizei541e1:pi51413e4:reqqi512e11:upload_onlyi0e\
          1:v17:Transmission 3.00e",
    );
    assert_eq!(handshake.ids, [None; Ext::COUNT]);
    assert_eq!(handshake.client.as_deref(), Some("Transmission 3.00"));
    assert_eq!(handshake.port, Some(51413));
    assert_eq!(handshake.max_requests, Some(512));
    assert_eq!(handshake.encryption, Some(false));
    assert_eq!(handshake.upload_only, Some(false));
    assert_eq!(handshake.ipv6, Some("2001:db8::1".parse().unwrap()));
}

#[test]
fn aria2_1_36() {
    let handshake = decode(
        b"d1:ei1e1:md11:ut_metadatai9e6:ut_pexi8ee13:metadata_sizei90e1:pi6881e1:v12:aria2/1.36.0e",
    );
    assert_eq!(handshake.client.as_deref(), Some("aria2/1.36.0"));
    assert_eq!(handshake.port, Some(6881));
    assert_eq!(handshake.encryption, Some(true));
    assert_eq!(handshake.max_requests, None);
}

#[test]
fn the_example_of_the_bep() {
    let handshake =
        decode(b"d1:md11:LT_metadatai1e6:\xb5T_PEXi2ee1:pi6881e1:v13:\xc2\xb5Torrent 1.2e");
    assert_eq!(handshake.client.as_deref(), Some("\u{b5}Torrent 1.2"));
    assert_eq!(handshake.port, Some(6881));
}

#[test]
fn junk_values_count_as_absent() {
    let junk: &[&[u8]] = &[
        b"de",
        b"d1:mlee",
        b"d1:m3:abce",
        b"d1:mi1ee",
        b"d1:md11:lt_donthavei256ee1:pi0e4:reqqi0ee",
        b"d1:md11:lt_donthavei-1ee1:pi65536e4:reqqi-5ee",
        b"d1:md11:lt_donthave1:7e1:p4:68814:reqqlee",
        b"d4:ipv43:abc4:ipv64:abcd6:yourip5:abcdee",
        b"d4:ipv4i1e4:ipv6le6:youripdee",
        b"d13:metadata_sizei0ee",
        b"d13:metadata_sizei4294967296ee",
        b"d13:metadata_sizei-9223372036854775808ee",
        b"d11:upload_only1:1e",
        b"d1:v0:e",
        b"d1:vi1ee",
        b"d12:complete_agoi-1ee",
        b"d1:e1:1e",
        b"d5:otherd1:ai1ee6:publici1ee",
    ];
    for payload in junk {
        assert_eq!(
            decode(payload),
            Handshake::default(),
            "{}",
            payload.escape_ascii()
        );
    }
}

#[test]
fn unsorted_keys_and_bytes_after_the_end_are_tolerated() {
    let handshake = decode(b"d1:v1:x1:md11:lt_donthavei7eee\0\0garbage");
    assert_eq!(handshake.client.as_deref(), Some("x"));
    assert_eq!(handshake.id(Ext::DontHave), Some(7));
}

#[test]
fn what_is_no_dictionary_is_an_error_that_says_where() {
    let cases: &[&[u8]] = &[
        b"",
        b"i1e",
        b"le",
        b"4:spam",
        b"d1:m",
        b"d1:mde",
        b"x",
        b"d1:vi01ee",
    ];
    for payload in cases {
        let error = Handshake::decode(payload).unwrap_err().to_string();
        assert!(
            error.starts_with("extension message \"handshake\": byte "),
            "{error}"
        );
    }
}

#[test]
fn depth_length_and_count_are_bounded() {
    let nested =
        |depth: usize| [&b"d1:a"[..], &b"l".repeat(depth), &b"e".repeat(depth + 1)].concat();
    assert!(Handshake::decode(&nested(limits::MAX_EXTENSION_DEPTH - 1)).is_ok());
    assert!(Handshake::decode(&nested(limits::MAX_EXTENSION_DEPTH)).is_err());
    assert!(Handshake::decode(&nested(30_000)).is_err());

    let long = |total: usize| {
        let name = total - "d1:v00000:e".len();
        [
            format!("d1:v{name}:").into_bytes(),
            vec![b'x'; name],
            b"e".to_vec(),
        ]
        .concat()
    };
    let at_limit = long(limits::MAX_EXTENSION_HANDSHAKE);
    assert_eq!(at_limit.len(), limits::MAX_EXTENSION_HANDSHAKE);
    assert_eq!(
        decode(&at_limit).client.unwrap().len(),
        limits::MAX_CLIENT_NAME
    );
    assert!(Handshake::decode(&long(limits::MAX_EXTENSION_HANDSHAKE + 1)).is_err());

    let many = [
        &b"d1:al"[..],
        &b"de".repeat(limits::MAX_EXTENSION_TOKENS),
        b"ee",
    ]
    .concat();
    assert!(Handshake::decode(&many).is_err());
}

#[test]
fn a_client_name_that_is_no_text_stays_within_its_limit() {
    let name = [&b"d1:v256:"[..], &[0xff; 256], b"e"].concat();
    let handshake = decode(&name);
    let client = handshake.client.clone().unwrap();
    assert_eq!(client, "\u{fffd}".repeat(85), "three bytes each");
    assert_eq!(decode(&handshake.encode()), handshake);
}

#[test]
fn ours_comes_back_and_is_canonical() {
    let full = Handshake {
        ids: [Some(7), Some(3)],
        client: Some("bt-client 0.1.0".to_owned()),
        port: Some(6881),
        max_requests: Some(500),
        your_ip: Some("2001:db8::7".parse().unwrap()),
        ipv4: Some(Ipv4Addr::new(10, 0, 0, 1)),
        ipv6: Some(Ipv6Addr::LOCALHOST),
        metadata_size: Some(12345),
        upload_only: Some(true),
        encryption: Some(false),
        complete_ago: Some(60),
    };
    for handshake in [full, Handshake::default(), Handshake::offering(Ext::ALL)] {
        let bytes = handshake.encode();
        assert!(
            bt_bencode::parse(&bytes).is_ok(),
            "{}",
            bytes.escape_ascii()
        );
        assert_eq!(decode(&bytes), handshake);
    }
    let offer = Handshake::offering([Ext::DontHave]);
    assert_eq!(offer.encode(), b"d1:md11:lt_donthavei7eee");
}
