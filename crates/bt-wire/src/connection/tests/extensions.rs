//! The extension protocol on a connection: offers, numbers, changes.

use super::*;
use crate::ext::{self, DontHave, Ext, UploadOnly};

fn gone(index: u32) -> ext::Message {
    ext::Message::DontHave(DontHave(PieceIndex(index)))
}

/// A pair of which both sides have offered everything.
fn talking() -> Pair {
    let mut pair = pair();
    for end in [&mut pair.dialer, &mut pair.listener] {
        assert!(
            end.connection
                .send_extension_handshake(&ext::Handshake::offering(Ext::ALL))
        );
        assert!(
            end.connection
                .announce_pieces(&crate::Bitfield::full(PIECES))
        );
    }
    pair.drive();
    pair.dialer.events.clear();
    pair.listener.events.clear();
    pair
}

#[test]
fn handshakes_and_messages_arrive_decoded() {
    let mut pair = pair();
    let offer = ext::Handshake {
        client: Some("someone".to_owned()),
        ..ext::Handshake::offering(Ext::ALL)
    };
    assert!(
        !pair.listener.connection.send_extension(&gone(3)),
        "the peer offers nothing yet"
    );
    assert!(pair.dialer.connection.send_extension_handshake(&offer));
    pair.drive();
    assert_eq!(
        pair.listener.take_events(),
        [Event::ExtensionHandshake(Box::new(offer))]
    );
    assert!(pair.listener.connection.peer_speaks(Ext::DontHave));
    assert!(pair.listener.connection.send_extension(&gone(3)));
    let upload_only = ext::Message::UploadOnly(UploadOnly(true));
    assert!(pair.listener.connection.send_extension(&upload_only));
    pair.drive();
    assert_eq!(
        pair.dialer.take_events(),
        [Event::Extension(gone(3)), Event::Extension(upload_only)]
    );
}

#[test]
fn messages_go_out_under_the_peers_numbers() {
    let mut pair = pair();
    let payload = bytes::Bytes::from_static(b"d1:md11:lt_donthavei42eee");
    pair.listener
        .inject(&bytes(&[Message::Extended { id: 0, payload }]));
    pair.drive();
    assert!(pair.listener.connection.send_extension(&gone(1)));
    let payload = bytes::Bytes::from_static(&[0, 0, 0, 1]);
    assert_eq!(
        messages(&mut pair.listener),
        [Message::Extended { id: 42, payload }]
    );
}

#[test]
fn what_we_did_not_offer_is_skipped() {
    let mut pair = talking();
    let without = ext::Handshake::offering([Ext::UploadOnly]);
    let mut end = Pair::connected(config(1), config(2), start()).listener;
    assert!(end.connection.send_extension_handshake(&without));
    let extended = |id: u8, length| Message::Extended {
        id,
        payload: vec![0; length].into(),
    };
    let odd = [
        extended(Ext::DontHave.id(), 4),
        extended(99, crate::limits::MAX_EXTENDED as usize - 1),
        Message::Interested,
    ];
    let mut buf = bytes(&odd);
    end.connection.received(pair.now, &mut buf).unwrap();
    assert_eq!(
        end.connection.poll_event(),
        Some(Event::Message(Message::Interested))
    );
    assert_eq!(end.connection.stats().unknown_messages, 2);

    // An offer can be taken back.
    let mut change = ext::Handshake::default();
    change.set_id(Ext::DontHave, 0);
    assert!(pair.dialer.connection.send_extension_handshake(&change));
    pair.dialer
        .inject(&bytes(&[extended(Ext::DontHave.id(), 4)]));
    pair.drive();
    assert_eq!(pair.dialer.events, []);
    assert_eq!(pair.dialer.connection.stats().unknown_messages, 1);
    assert!(
        !pair.listener.connection.send_extension(&gone(1)),
        "the peer has switched it off"
    );
    assert!(
        pair.listener.connection.peer_speaks(Ext::UploadOnly),
        "and nothing else"
    );
}

#[test]
fn a_handshake_that_cannot_be_read_costs_the_extensions_only() {
    let mut pair = pair();
    let payload = bytes::Bytes::from_static(b"i am no dictionary");
    pair.listener.inject(&bytes(&[
        Message::Extended { id: 0, payload },
        Message::Interested,
    ]));
    pair.drive();
    assert_eq!(pair.listener.error, None);
    assert_eq!(heard(&mut pair.listener), [Message::Interested]);
    assert_eq!(pair.listener.connection.stats().ignored_messages, 1);
}

#[test]
fn a_piece_out_of_range_cannot_be_lost() {
    let mut pair = talking();
    assert!(pair.dialer.connection.send_extension(&gone(PIECES)));
    pair.drive();
    assert_eq!(
        pair.listener.error.unwrap().to_string(),
        "the peer broke the protocol: message \"lt_donthave\" names piece 20 of a torrent of 20 pieces"
    );
}
