//! Which messages are legal when, in both directions.

use super::*;
use crate::Bitfield;
use crate::limits;

/// Feeds messages to the listener of a pair and gives its error, if any.
fn feed(mut pair: Pair, messages: &[Message]) -> Option<String> {
    pair.listener.inject(&bytes(messages));
    pair.drive();
    pair.listener.error.map(|error| error.to_string())
}

fn bitfield(len: u32) -> Message {
    Message::Bitfield(bytes::Bytes::copy_from_slice(
        Bitfield::full(len).as_bytes(),
    ))
}

#[test]
fn the_shortest_legal_announcement_is_chosen() {
    let mut some = Bitfield::new(PIECES);
    some.set(PieceIndex(3));
    let cases = [
        (pair(), Bitfield::full(PIECES), vec![Message::HaveAll]),
        (pair(), Bitfield::new(PIECES), vec![Message::HaveNone]),
        (
            pair(),
            some.clone(),
            vec![Message::Bitfield(some.as_bytes().to_vec().into())],
        ),
        (plain_pair(), Bitfield::full(PIECES), vec![bitfield(PIECES)]),
        (plain_pair(), Bitfield::new(PIECES), vec![]),
    ];
    for (mut pair, have, expected) in cases {
        assert!(pair.dialer.connection.announce_pieces(&have));
        pair.drive();
        assert_eq!(heard(&mut pair.listener), expected);
        assert_eq!(pair.listener.error, None);
    }
}

#[test]
fn we_announce_once_and_first() {
    let mut pair = pair();
    let dialer = &mut pair.dialer.connection;
    assert!(dialer.announce_pieces(&Bitfield::new(PIECES)));
    assert!(!dialer.announce_pieces(&Bitfield::full(PIECES)));
    assert!(!dialer.send(Message::HaveAll) && !dialer.send(bitfield(PIECES)));

    let mut pair = plain_pair();
    let dialer = &mut pair.dialer.connection;
    assert!(dialer.send(Message::Interested));
    assert!(!dialer.announce_pieces(&Bitfield::full(PIECES)), "too late");
}

#[test]
fn a_message_that_says_nothing_new_is_not_sent() {
    let mut pair = pair();
    let dialer = &mut pair.dialer.connection;
    assert!(!dialer.send(Message::Choke) && !dialer.send(Message::NotInterested));
    assert!(dialer.send(Message::Unchoke) && !dialer.send(Message::Unchoke));
    assert!(dialer.send(Message::Interested) && !dialer.send(Message::Interested));
    assert!(dialer.send(Message::AllowedFast(PieceIndex(1))));
    assert!(!dialer.send(Message::AllowedFast(PieceIndex(1))));
    assert!(!dialer.is_choking() && dialer.is_interested());
    assert!(dialer.send(Message::Choke) && dialer.send(Message::NotInterested));
    assert!(dialer.is_choking() && !dialer.is_interested());
}

#[test]
fn each_side_knows_the_state_of_the_other() {
    let mut pair = pair();
    let state = |pair: &mut Pair| {
        pair.drive();
        let peer = &pair.listener.connection;
        (peer.is_peer_choking(), peer.is_peer_interested())
    };
    assert_eq!(state(&mut pair), (true, false), "connections start so");
    pair.dialer.connection.send(Message::Interested);
    assert_eq!(state(&mut pair), (true, true));
    pair.dialer.connection.send(Message::Unchoke);
    assert_eq!(state(&mut pair), (false, true));
    pair.dialer.connection.send(Message::NotInterested);
    assert_eq!(state(&mut pair), (false, false));
    pair.dialer.connection.send(Message::Choke);
    assert_eq!(state(&mut pair), (true, false));
}

#[test]
fn we_never_send_what_is_not_negotiated() {
    let mut pair = plain_pair();
    let fast = [
        Message::HaveAll,
        Message::HaveNone,
        Message::Suggest(PieceIndex(0)),
        Message::AllowedFast(PieceIndex(0)),
        Message::Reject(block(0, 0)),
        Message::Extended {
            id: 1,
            payload: bytes::Bytes::new(),
        },
    ];
    for message in fast {
        assert!(!pair.dialer.connection.send(message.clone()), "{message:?}");
    }
    assert_eq!(pair.dialer.connection.poll_transmit(), None);
}

#[test]
fn only_so_many_pieces_are_allowed_fast() {
    let many = Config {
        piece_count: Some(1000),
        ..config(1)
    };
    let mut pair = Pair::connected(many, config(2), start());
    let sent = (0..1000).filter(|piece| {
        pair.dialer
            .connection
            .send(Message::AllowedFast(PieceIndex(*piece)))
    });
    assert_eq!(sent.count(), limits::MAX_ALLOWED_FAST);
}

#[test]
fn have_all_and_have_none_are_legal_first_and_only_then() {
    let late = |message: &str| {
        Some(format!(
            "the peer broke the protocol: message \"{message}\" after the start of the connection"
        ))
    };
    let kinds = [
        (Message::HaveAll, "have all"),
        (Message::HaveNone, "have none"),
    ];
    let before = [
        bitfield(PIECES),
        Message::HaveAll,
        Message::HaveNone,
        Message::Choke,
        Message::Unchoke,
        Message::Interested,
        Message::NotInterested,
        Message::Have(PieceIndex(0)),
        Message::Request(block(0, 0)),
        Message::Cancel(block(0, 0)),
        Message::Suggest(PieceIndex(0)),
        Message::AllowedFast(PieceIndex(0)),
        Message::Reject(block(0, 0)),
    ];
    for (second, name) in &kinds {
        assert_eq!(feed(pair(), std::slice::from_ref(second)), None);
        for first in &before {
            assert_eq!(feed(pair(), &[first.clone(), second.clone()]), late(name));
        }
    }
}

#[test]
fn a_bitfield_may_come_later_as_aria2_sends_it() {
    let before = [
        Message::HaveNone,
        bitfield(PIECES),
        Message::Interested,
        Message::Have(PieceIndex(0)),
    ];
    for message in before {
        assert_eq!(feed(pair(), &[message, bitfield(PIECES)]), None);
    }
    assert_eq!(
        feed(plain_pair(), &[Message::Interested, bitfield(PIECES)]),
        None
    );
}

#[test]
fn what_clients_send_ahead_of_a_bitfield_is_tolerated() {
    let before = [
        Message::KeepAlive,
        Message::Port(6881),
        Message::Extended {
            id: 0,
            payload: bytes::Bytes::from_static(b"de"),
        },
        Message::Extended {
            id: 99,
            payload: bytes::Bytes::from_static(b"?"),
        },
        Message::Unknown {
            id: 200,
            payload: bytes::Bytes::from_static(b"?"),
        },
    ];
    for message in before {
        assert_eq!(
            feed(pair(), &[message.clone(), bitfield(PIECES)]),
            None,
            "{message:?}"
        );
    }
}

#[test]
fn a_bitfield_may_be_absent() {
    assert_eq!(
        feed(
            plain_pair(),
            &[Message::Unchoke, Message::Have(PieceIndex(1))]
        ),
        None
    );
    assert_eq!(
        feed(pair(), &[Message::Unchoke, Message::Have(PieceIndex(1))]),
        None
    );
}

#[test]
fn unknown_messages_are_skipped_and_counted() {
    let mut pair = pair();
    let unknown = |id, length| Message::Unknown {
        id,
        payload: vec![7; length].into(),
    };
    let known = [0..=9, 13..=17, 20..=20];
    let mut sent = 0;
    for id in (0..=255).filter(|id| !known.iter().any(|known| known.contains(id))) {
        pair.listener
            .inject(&bytes(&[unknown(id, usize::from(id))]));
        sent += 1;
    }
    pair.listener
        .inject(&bytes(&[unknown(21, 1024 * 1024 - 1), Message::Interested]));
    pair.drive_in_chunks(|| 1000);
    assert_eq!(pair.listener.error, None);
    assert_eq!(heard(&mut pair.listener), [Message::Interested]);
    assert_eq!(pair.listener.connection.stats().unknown_messages, sent + 1);
}

#[test]
fn extended_messages_of_a_peer_that_did_not_offer_them_are_skipped() {
    let mut pair = plain_pair();
    let payload = bytes::Bytes::from_static(b"d1:md11:lt_donthavei7eee");
    pair.listener.inject(&bytes(&[
        Message::Extended { id: 0, payload },
        Message::Interested,
    ]));
    pair.drive();
    assert_eq!(heard(&mut pair.listener), [Message::Interested]);
    assert_eq!(pair.listener.connection.stats().unknown_messages, 1);
}

#[test]
fn advice_out_of_range_is_ignored_and_counted() {
    let mut pair = pair();
    pair.listener.inject(&bytes(&[
        Message::HaveNone,
        Message::Suggest(PieceIndex(PIECES)),
        Message::AllowedFast(PieceIndex(u32::MAX)),
        Message::Suggest(PieceIndex(PIECES - 1)),
        Message::AllowedFast(PieceIndex(0)),
    ]));
    pair.drive();
    assert_eq!(pair.listener.error, None);
    let last = PieceIndex(PIECES - 1);
    let expected = [
        Message::HaveNone,
        Message::Suggest(last),
        Message::AllowedFast(PieceIndex(0)),
    ];
    assert_eq!(heard(&mut pair.listener), expected);
    assert_eq!(pair.listener.connection.stats().ignored_messages, 2);
}

#[test]
fn indices_are_checked_at_the_limit_and_above() {
    let last = PieceIndex(PIECES - 1);
    assert_eq!(feed(pair(), &[Message::Have(last)]), None);
    for index in [PIECES, PIECES + 1, u32::MAX] {
        let error = feed(pair(), &[Message::Have(PieceIndex(index))]).unwrap();
        let expected = format!("message \"have\" names piece {index} of a torrent of 20 pieces");
        assert!(error.ends_with(&expected), "{error}");
    }
}
