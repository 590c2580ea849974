//! Handshakes of both roles, whole and in parts.

use super::*;
use crate::error::{Error, Malformed, Misbehaved};

#[test]
fn both_sides_learn_who_the_other_is() {
    let mut pair = Pair::new(config(1), config(2), start());
    pair.drive();
    let dialed = Handshake {
        reserved: config(2).reserved,
        info_hash: info_hash(),
        peer_id: config(2).peer_id,
    };
    assert_eq!(pair.dialer.events, [Event::Handshake(dialed)]);
    assert_eq!(pair.dialer.connection.peer(), Some(&dialed));
    let Event::InfoHash {
        info_hash: wanted,
        reserved,
    } = pair.listener.events[0]
    else {
        panic!()
    };
    assert_eq!((wanted, reserved), (info_hash(), config(1).reserved));
    assert!(
        matches!(pair.listener.events[1], Event::Handshake(h) if h.peer_id == config(1).peer_id)
    );
    assert!(pair.dialer.connection.supports_fast() && pair.dialer.connection.supports_extended());
}

#[test]
fn an_extension_is_on_only_if_both_offer_it() {
    let fast = Config {
        reserved: Reserved::NONE.with_fast(),
        ..config(2)
    };
    let pair = Pair::connected(config(1), fast, start());
    for end in [pair.dialer, pair.listener] {
        assert!(end.connection.supports_fast());
        assert!(!end.connection.supports_extended());
    }
}

#[test]
fn one_byte_at_a_time_changes_nothing() {
    let now = start();
    let mut whole = Pair::new(config(1), config(2), now);
    whole.drive();
    let mut bytewise = Pair::new(config(1), config(2), now);
    bytewise.drive_in_chunks(|| 1);
    assert_eq!(whole.dialer.events, bytewise.dialer.events);
    assert_eq!(whole.listener.events, bytewise.listener.events);
}

#[test]
fn an_incoming_peer_waits_for_its_torrent_to_be_accepted() {
    let now = start();
    let mut connection = Connection::incoming(IncomingConfig::default(), now);
    let peer = Handshake {
        reserved: Reserved::NONE,
        info_hash: info_hash(),
        peer_id: config(1).peer_id,
    };
    let mut buf = BytesMut::from(&peer.encode()[..]);
    buf.extend_from_slice(&bytes(&[Message::Interested]));

    connection.received(now, &mut buf).unwrap();
    assert_eq!(
        connection.poll_event(),
        Some(Event::InfoHash {
            info_hash: info_hash(),
            reserved: Reserved::NONE
        })
    );
    assert_eq!(connection.poll_event(), None);
    assert_eq!(
        connection.poll_transmit(),
        None,
        "nothing is said before the torrent is accepted"
    );
    connection.received(now, &mut buf).unwrap();
    assert_eq!(connection.poll_event(), None, "nor is anything read");

    assert!(connection.accept(now, config(2)));
    assert!(!connection.accept(now, config(2)), "once is enough");
    let Some(Transmit::Control(ours)) = connection.poll_transmit() else {
        panic!("no handshake")
    };
    assert_eq!(
        Handshake::decode(&ours).unwrap().unwrap().peer_id,
        config(2).peer_id
    );
    connection.received(now, &mut buf).unwrap();
    assert_eq!(connection.poll_event(), Some(Event::Handshake(peer)));
    assert_eq!(
        connection.poll_event(),
        Some(Event::Message(Message::Interested))
    );
    assert!(buf.is_empty());
}

#[test]
fn a_peer_may_hold_its_id_back_until_it_has_seen_ours() {
    let now = start();
    let mut connection = Connection::incoming(IncomingConfig::default(), now);
    let peer = Handshake {
        reserved: Reserved::NONE,
        info_hash: info_hash(),
        peer_id: config(1).peer_id,
    };
    let mut buf = BytesMut::from(&peer.encode()[..48]);
    connection.received(now, &mut buf).unwrap();
    assert!(connection.accept(now, config(2)));
    assert!(connection.poll_transmit().is_some());
    buf.extend_from_slice(&peer.encode()[48..]);
    connection.received(now, &mut buf).unwrap();
    assert!(connection.is_open());
}

#[test]
fn nothing_can_be_sent_before_the_handshake() {
    let mut connection = Connection::outgoing(config(1), start());
    assert!(!connection.send(Message::Interested));
    assert!(!connection.send(Message::Choke));
    assert!(!connection.send_block(block(0, 0)));
    assert!(connection.choke().is_empty());
    assert!(!connection.announce_pieces(&crate::Bitfield::new(PIECES)));
    let Some(Transmit::Control(ours)) = connection.poll_transmit() else {
        panic!("no handshake")
    };
    assert_eq!(ours.len(), 68);
    assert_eq!(connection.poll_transmit(), None);
}

fn dial_and_hear(config: Config, peer: Handshake) -> Result<(), Error> {
    let now = start();
    let mut connection = Connection::outgoing(config, now);
    connection.received(now, &mut BytesMut::from(&peer.encode()[..]))
}

#[test]
fn another_torrent_another_peer_and_ourselves_are_refused() {
    let peer = Handshake {
        reserved: Reserved::NONE,
        info_hash: info_hash(),
        peer_id: config(2).peer_id,
    };
    assert_eq!(dial_and_hear(config(1), peer), Ok(()));

    let other = InfoHash::from([0xbb; 20]);
    assert_eq!(
        dial_and_hear(
            config(1),
            Handshake {
                info_hash: other,
                ..peer
            }
        ),
        Err(Misbehaved::WrongInfoHash {
            expected: info_hash(),
            found: other
        }
        .into())
    );

    let expected = config(3).peer_id;
    let strict = Config {
        expected_peer_id: Some(expected),
        ..config(1)
    };
    assert_eq!(
        dial_and_hear(strict, peer),
        Err(Misbehaved::WrongPeerId {
            expected,
            found: peer.peer_id
        }
        .into())
    );
    let strict = Config {
        expected_peer_id: Some(peer.peer_id),
        ..config(1)
    };
    assert_eq!(dial_and_hear(strict, peer), Ok(()));

    let ourselves = Handshake {
        peer_id: config(1).peer_id,
        ..peer
    };
    assert_eq!(
        dial_and_hear(config(1), ourselves),
        Err(Misbehaved::Ourselves.into())
    );
}

#[test]
fn another_protocol_is_seen_by_its_first_byte_and_the_error_stays() {
    let now = start();
    let mut connection = Connection::incoming(IncomingConfig::default(), now);
    let error = connection
        .received(now, &mut BytesMut::from(&b"G"[..]))
        .unwrap_err();
    assert_eq!(error, Malformed::NotBitTorrent { offset: 0 }.into());
    let mut buf = BytesMut::from(&b"ET / HTTP/1.1"[..]);
    assert_eq!(connection.received(now, &mut buf), Err(error.clone()));
    assert_eq!(connection.handle_timeout(now), Err(error.clone()));
    assert_eq!(connection.set_piece_count(1), Err(error));
    assert_eq!(connection.poll_timeout(), None);
    assert!(!connection.accept(now, config(2)));
}

#[test]
fn after_an_error_earlier_events_are_there_and_nothing_is_sent() {
    let mut pair = pair();
    pair.listener.connection.send(Message::Unchoke);
    let mut buf = bytes(&[Message::Interested]);
    buf.extend_from_slice(&[0xff; 4]);
    let listener = &mut pair.listener.connection;
    assert!(listener.received(pair.now, &mut buf).is_err());
    assert_eq!(
        listener.poll_event(),
        Some(Event::Message(Message::Interested))
    );
    assert_eq!(listener.poll_event(), None);
    assert_eq!(listener.poll_transmit(), None);
    assert!(!listener.is_open());
    assert!(!listener.send(Message::Interested));
}
