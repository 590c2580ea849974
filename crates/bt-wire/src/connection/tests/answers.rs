//! Requests, and that each is answered exactly once.

use std::time::Duration;

use super::*;
use crate::limits;
use crate::testing::block_data;

/// A pair whose listener has everything and has unchoked the dialer.
fn serving(mut pair: Pair) -> Pair {
    pair.listener
        .connection
        .announce_pieces(&crate::Bitfield::full(PIECES));
    pair.listener.connection.send(Message::Unchoke);
    pair.dialer.connection.send(Message::Interested);
    pair.drive();
    pair.dialer.events.clear();
    pair.listener.events.clear();
    pair
}

fn request(pair: &mut Pair, blocks: &[BlockRef]) {
    for block in blocks {
        assert!(pair.dialer.connection.send(Message::Request(*block)));
    }
    pair.drive();
}

#[test]
fn a_block_arrives_with_its_data() {
    let mut pair = serving(pair());
    request(&mut pair, &[block(3, 16384)]);
    assert_eq!(
        heard(&mut pair.listener),
        [Message::Request(block(3, 16384))]
    );
    assert_eq!(pair.listener.connection.waiting_requests(), 1);
    assert!(pair.listener.connection.send_block(block(3, 16384)));
    pair.drive();
    let data = block_data(block(3, 16384));
    assert_eq!(
        heard(&mut pair.dialer),
        [Message::Piece {
            block: block(3, 16384),
            data
        }]
    );
    assert_eq!(pair.listener.connection.waiting_requests(), 0);
    assert!(
        !pair.listener.connection.send_block(block(3, 16384)),
        "it is answered"
    );
    assert_eq!(pair.dialer.connection.stats().payload_received, 16384);
    assert_eq!(pair.listener.connection.stats().payload_sent, 16384);
}

#[test]
fn what_one_side_counts_as_sent_the_other_counts_as_received() {
    let mut pair = serving(pair());
    request(&mut pair, &[block(3, 0), block(4, 0)]);
    pair.listener.connection.send_block(block(3, 0));
    pair.listener.connection.reject(block(4, 0));
    pair.drive();
    let (dialer, listener) = (
        pair.dialer.connection.stats(),
        pair.listener.connection.stats(),
    );
    assert_eq!(dialer.payload_sent, listener.payload_received);
    assert_eq!(dialer.protocol_sent, listener.protocol_received);
    assert_eq!(listener.payload_sent, dialer.payload_received);
    assert_eq!(listener.protocol_sent, dialer.protocol_received);
}

#[test]
fn messages_go_before_blocks_and_blocks_keep_their_order() {
    let mut pair = serving(pair());
    request(&mut pair, &[block(0, 0), block(1, 0), block(2, 0)]);
    let listener = &mut pair.listener.connection;
    assert!(listener.send_block(block(2, 0)) && listener.send_block(block(0, 0)));
    assert!(listener.send(Message::Have(PieceIndex(9))));
    assert!(matches!(
        listener.poll_transmit(),
        Some(Transmit::Control(_))
    ));
    let Some(Transmit::Block {
        header,
        block: first,
    }) = listener.poll_transmit()
    else {
        panic!()
    };
    assert_eq!(first, block(2, 0));
    assert_eq!(header, [0, 0, 0x40, 9, 7, 0, 0, 0, 2, 0, 0, 0, 0]);
    assert!(listener.send(Message::Have(PieceIndex(10))));
    assert!(matches!(
        listener.poll_transmit(),
        Some(Transmit::Control(_))
    ));
    let Some(Transmit::Block { block: second, .. }) = listener.poll_transmit() else {
        panic!()
    };
    assert_eq!(second, block(0, 0));
    assert_eq!(listener.poll_transmit(), None);
}

#[test]
fn messages_can_be_had_without_the_blocks_that_wait() {
    let mut pair = serving(pair());
    request(&mut pair, &[block(0, 0)]);
    let listener = &mut pair.listener.connection;
    assert!(listener.send_block(block(0, 0)) && listener.has_blocks());
    assert_eq!(listener.poll_messages(), None, "a block is no message");
    assert!(listener.send(Message::Have(PieceIndex(0))));
    assert!(listener.poll_messages().is_some());
    assert_eq!(listener.poll_messages(), None);
    listener.poll_transmit();
    assert!(!listener.has_blocks());
}

#[test]
fn a_request_that_is_cancelled_in_time_is_rejected_and_its_block_stays() {
    let mut pair = serving(pair());
    request(&mut pair, &[block(0, 0), block(1, 0)]);
    assert!(pair.listener.connection.send_block(block(0, 0)));
    // Nothing of the listener has been written since the cancels arrived.
    let mut buf = bytes(&[Message::Cancel(block(0, 0)), Message::Cancel(block(1, 0))]);
    pair.listener
        .connection
        .received(pair.now, &mut buf)
        .unwrap();
    assert_eq!(
        messages(&mut pair.listener),
        [Message::Reject(block(0, 0)), Message::Reject(block(1, 0))]
    );
    assert!(
        !pair.listener.connection.send_block(block(1, 0)),
        "the data comes too late"
    );
    assert_eq!(pair.listener.connection.waiting_requests(), 0);
}

#[test]
fn a_cancel_that_comes_too_late_is_ignored() {
    let mut pair = serving(pair());
    request(&mut pair, &[block(0, 0)]);
    pair.listener.connection.send_block(block(0, 0));
    assert!(pair.listener.connection.poll_transmit().is_some());
    pair.listener.events.clear();
    let mut buf = bytes(&[Message::Cancel(block(0, 0)), Message::Cancel(block(5, 0))]);
    pair.listener
        .connection
        .received(pair.now, &mut buf)
        .unwrap();
    assert_eq!(messages(&mut pair.listener), []);
    assert_eq!(pair.listener.connection.poll_event(), None);
    assert_eq!(pair.listener.connection.stats().ignored_messages, 2);
}

/// Has the listener read so many cancels in one go, each for something else than what waits.
fn cancel_in_vain(pair: &mut Pair, count: u32) -> Result<(), crate::Error> {
    let cancels: Vec<_> = (0..count)
        .map(|n| Message::Cancel(block(n % PIECES, 16384)))
        .collect();
    let listener = &mut pair.listener.connection;
    listener.received(pair.now, &mut bytes(&cancels))
}

#[test]
fn cancels_for_nothing_are_put_up_with_as_honest_peers_send_them_and_a_flood_is_fatal() {
    let (at_once, rate) = (limits::MAX_VAIN_CANCELS, limits::VAIN_CANCELS_PER_SECOND);
    assert_eq!(at_once as usize, limits::MAX_INCOMING_REQUESTS);
    let mut pair = serving(pair());
    request(&mut pair, &[block(0, 0)]);
    cancel_in_vain(&mut pair, at_once).expect("at the limit");
    // One for a request that waits is none of them.
    let mut honest = bytes(&[Message::Cancel(block(0, 0))]);
    let listener = &mut pair.listener.connection;
    listener.received(pair.now, &mut honest).expect("it waits");
    assert_eq!(listener.waiting_requests(), 0);
    // Half a second makes room for half of what a second does.
    pair.now += Duration::from_millis(500);
    cancel_in_vain(&mut pair, rate / 2).expect("at the rate");
    // However long it was quiet, no more than all at once.
    pair.now += Duration::from_secs(86_400);
    cancel_in_vain(&mut pair, at_once).expect("after a day");
    let ignored = u64::from(at_once + rate / 2 + at_once);
    assert_eq!(pair.listener.connection.stats().ignored_messages, ignored);
    let error = cancel_in_vain(&mut pair, 1).expect_err("one above");
    assert_eq!(
        error.to_string(),
        "the peer broke the protocol: more cancels for nothing than 2000 at once and 1000 a second, \
         the last one for piece 0 +16384 (16384 bytes)"
    );
    pair.now += Duration::from_secs(86_400);
    assert_eq!(cancel_in_vain(&mut pair, 1), Err(error), "it is final");
}

#[test]
fn cancels_for_nothing_have_a_rate_to_the_single_one() {
    let (at_once, rate) = (limits::MAX_VAIN_CANCELS, limits::VAIN_CANCELS_PER_SECOND);
    let each = Duration::from_secs(1) / rate;
    for (pause, fits) in [
        (each - Duration::from_nanos(1), false),
        (each, true),
        (2 * each - Duration::from_nanos(1), true),
    ] {
        let mut pair = serving(pair());
        cancel_in_vain(&mut pair, at_once).unwrap();
        pair.now += pause;
        assert_eq!(cancel_in_vain(&mut pair, 1).is_ok(), fits, "{pause:?}");
        assert!(cancel_in_vain(&mut pair, 1).is_err(), "{pause:?}");
    }
    // A clock that runs backwards gives nothing and takes nothing.
    let mut pair = serving(pair());
    cancel_in_vain(&mut pair, at_once - 1).unwrap();
    pair.now -= Duration::from_millis(1);
    cancel_in_vain(&mut pair, 1).expect("the last one");
    assert!(cancel_in_vain(&mut pair, 1).is_err());
}

#[test]
fn without_the_fast_extension_a_cancel_is_silent() {
    let mut pair = serving(plain_pair());
    request(&mut pair, &[block(0, 0), block(1, 0)]);
    pair.listener.connection.send_block(block(0, 0));
    pair.listener.connection.send_block(block(1, 0));
    let mut buf = bytes(&[Message::Cancel(block(0, 0))]);
    pair.listener
        .connection
        .received(pair.now, &mut buf)
        .unwrap();
    let data = block_data(block(1, 0));
    assert_eq!(
        messages(&mut pair.listener),
        [Message::Piece {
            block: block(1, 0),
            data
        }]
    );
}

#[test]
fn without_the_fast_extension_a_choke_drops_what_waits() {
    let mut pair = serving(plain_pair());
    request(&mut pair, &[block(0, 0), block(1, 0)]);
    pair.listener.connection.send_block(block(1, 0));
    assert_eq!(pair.listener.connection.choke(), [block(1, 0), block(0, 0)]);
    assert_eq!(messages(&mut pair.listener), [Message::Choke]);
    assert!(!pair.listener.connection.reject(block(0, 0)));
}

#[test]
fn a_choke_rejects_what_waits_after_itself() {
    let mut pair = serving(pair());
    request(&mut pair, &[block(0, 0), block(1, 0), block(2, 0)]);
    pair.listener.connection.send_block(block(1, 0));
    assert_eq!(
        pair.listener.connection.choke(),
        [block(1, 0), block(0, 0), block(2, 0)]
    );
    assert!(
        pair.listener.connection.choke().is_empty(),
        "it is choked already"
    );
    assert_eq!(
        messages(&mut pair.listener),
        [
            Message::Choke,
            Message::Reject(block(1, 0)),
            Message::Reject(block(0, 0)),
            Message::Reject(block(2, 0)),
        ]
    );
}

#[test]
fn a_choked_peer_keeps_its_allowed_fast_set() {
    let mut pair = serving(pair());
    assert!(
        pair.listener
            .connection
            .send(Message::AllowedFast(PieceIndex(1)))
    );
    request(&mut pair, &[block(0, 0), block(1, 0), block(1, 16384)]);
    pair.listener.connection.send_block(block(1, 0));
    assert_eq!(pair.listener.connection.choke(), [block(0, 0)]);
    assert_eq!(pair.listener.connection.waiting_requests(), 2);
    pair.drive();
    request(&mut pair, &[block(1, 32768), block(2, 0)]);
    assert!(
        pair.listener
            .events
            .contains(&Event::Message(Message::Request(block(1, 32768))))
    );
    let refused = Event::Refused {
        block: block(2, 0),
        why: Refusal::Choked,
    };
    assert!(pair.listener.events.contains(&refused));
    let rejects: Vec<_> = heard(&mut pair.dialer)
        .into_iter()
        .filter(|message| matches!(message, Message::Reject(_)))
        .collect();
    assert_eq!(
        rejects,
        [Message::Reject(block(0, 0)), Message::Reject(block(2, 0))]
    );
}

#[test]
fn requests_of_a_choked_peer_are_refused() {
    let mut pair = pair();
    request(&mut pair, &[block(0, 0)]);
    let refused = Event::Refused {
        block: block(0, 0),
        why: Refusal::Choked,
    };
    assert_eq!(
        pair.listener.events.as_slice(),
        std::slice::from_ref(&refused)
    );
    assert_eq!(heard(&mut pair.dialer), [Message::Reject(block(0, 0))]);
    assert!(!pair.listener.connection.send_block(block(0, 0)));

    let mut pair = plain_pair();
    request(&mut pair, &[block(0, 0)]);
    assert_eq!(pair.listener.events, [refused]);
    assert_eq!(heard(&mut pair.dialer), []);
}

#[test]
fn the_same_block_asked_for_twice_is_answered_twice() {
    let mut pair = serving(pair());
    request(&mut pair, &[block(0, 0), block(0, 0)]);
    let listener = &mut pair.listener.connection;
    assert!(listener.send_block(block(0, 0)) && listener.send_block(block(0, 0)));
    assert!(!listener.send_block(block(0, 0)));
    pair.drive();
    assert_eq!(heard(&mut pair.dialer).len(), 2);
}

#[test]
fn a_block_can_be_taken_back_until_it_is_handed_out() {
    let mut pair = serving(pair());
    request(&mut pair, &[block(0, 0), block(1, 0)]);
    let listener = &mut pair.listener.connection;
    assert!(!listener.cancel(block(0, 0)), "it is not queued");
    assert!(listener.send_block(block(0, 0)) && listener.send_block(block(1, 0)));
    assert!(listener.cancel(block(0, 0)) && !listener.cancel(block(0, 0)));
    assert!(listener.reject(block(1, 0)) && !listener.reject(block(1, 0)));
    assert_eq!(
        messages(&mut pair.listener),
        [Message::Reject(block(0, 0)), Message::Reject(block(1, 0))]
    );
}

#[test]
fn odd_requests_are_refused_and_only_a_flood_of_them_is_fatal() {
    let odd = [
        BlockRef::new(PieceIndex(0), 0, 0),
        BlockRef::new(PieceIndex(0), 0, 16 * 1024 + 1),
        BlockRef::new(PieceIndex(0), 0, 32 * 1024),
        BlockRef::new(PieceIndex(0), 0, u32::MAX),
        BlockRef::new(PieceIndex(PIECES), 0, 16 * 1024),
        BlockRef::new(PieceIndex(u32::MAX), 0, 16 * 1024),
        BlockRef::new(PieceIndex(0), u32::MAX, 16 * 1024),
    ];
    let mut pair = serving(pair());
    request(&mut pair, &odd);
    let refused = odd.map(|block| Event::Refused {
        block,
        why: Refusal::Invalid,
    });
    assert_eq!(pair.listener.take_events(), refused);
    assert_eq!(heard(&mut pair.dialer), odd.map(Message::Reject));

    // The largest valid one.
    request(
        &mut pair,
        &[BlockRef::new(
            PieceIndex(PIECES - 1),
            u32::MAX - 16384,
            16 * 1024,
        )],
    );
    assert_eq!(heard(&mut pair.listener).len(), 1);

    let left = limits::MAX_INVALID_REQUESTS as usize - odd.len();
    request(&mut pair, &vec![odd[0]; left]);
    assert_eq!(pair.listener.error, None, "at the limit");
    request(&mut pair, &[odd[1]]);
    let error = pair.listener.error.unwrap().to_string();
    assert_eq!(
        error,
        "the peer broke the protocol: 301 invalid requests, the last one for piece 0 +0 (16385 bytes)"
    );
}

#[test]
fn requests_beyond_the_limit_are_rejected_at_once() {
    let limit = 3;
    let small = Config {
        max_requests: limit,
        ..config(2)
    };
    let mut pair = serving(Pair::connected(config(1), small, start()));
    request(
        &mut pair,
        &[block(0, 0), block(1, 0), block(2, 0), block(3, 0)],
    );
    assert_eq!(pair.listener.connection.waiting_requests(), limit);
    let refused = Event::Refused {
        block: block(3, 0),
        why: Refusal::QueueFull,
    };
    assert_eq!(pair.listener.take_events().last(), Some(&refused));
    assert_eq!(heard(&mut pair.dialer), [Message::Reject(block(3, 0))]);
    // An answer makes room.
    pair.listener.connection.send_block(block(0, 0));
    pair.drive();
    request(&mut pair, &[block(3, 0)]);
    assert_eq!(heard(&mut pair.listener), [Message::Request(block(3, 0))]);
}

#[test]
fn without_another_wish_so_many_requests_wait() {
    let of_3000 = |seed| Config {
        piece_count: Some(3000),
        ..config(seed)
    };
    let mut pair = serving(Pair::connected(of_3000(1), of_3000(2), start()));
    let most = limits::DEFAULT_INCOMING_REQUESTS;
    let blocks: Vec<_> = (0..3000).map(|piece| block(piece, 0)).collect();
    request(&mut pair, &blocks[..most]);
    assert_eq!(pair.listener.connection.waiting_requests(), most);
    assert_eq!(heard(&mut pair.listener).len(), most);
    request(&mut pair, &blocks[most..=most]);
    assert_eq!(heard(&mut pair.listener), []);
    assert_eq!(pair.listener.connection.waiting_requests(), most);
}

#[test]
fn no_configuration_lets_more_requests_wait_than_the_hard_limit() {
    let greedy = Config {
        max_requests: usize::MAX,
        piece_count: Some(3000),
        ..config(2)
    };
    let dialer = Config {
        piece_count: Some(3000),
        ..config(1)
    };
    let mut pair = serving(Pair::connected(dialer, greedy, start()));
    let blocks: Vec<_> = (0..3000).map(|piece| block(piece, 0)).collect();
    request(&mut pair, &blocks);
    assert_eq!(
        pair.listener.connection.waiting_requests(),
        limits::MAX_INCOMING_REQUESTS
    );
    assert_eq!(heard(&mut pair.dialer).len(), 1000);
}

#[test]
fn a_piece_message_is_never_sent_by_copy() {
    let mut pair = serving(pair());
    request(&mut pair, &[block(0, 0)]);
    let data = block_data(block(0, 0));
    assert!(!pair.listener.connection.send(Message::Piece {
        block: block(0, 0),
        data
    }));
    assert_eq!(pair.listener.connection.waiting_requests(), 1);
}
