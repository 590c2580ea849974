//! What happens when nothing happens.

use std::time::Duration;

use super::*;
use crate::error::{Error, TimedOut};
use crate::limits;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_handshake_has_ten_seconds_in_both_roles() {
    let now = start();
    let roles = [
        Connection::outgoing(config(1), now),
        Connection::incoming(IncomingConfig::default(), now),
    ];
    for mut connection in roles {
        assert_eq!(connection.poll_timeout(), Some(now + 10 * SECOND));
        assert_eq!(connection.handle_timeout(now + 9 * SECOND), Ok(()));
        let late = now + 10 * SECOND;
        assert_eq!(
            connection.handle_timeout(late),
            Err(Error::TimedOut(TimedOut::Handshake))
        );
        assert_eq!(connection.poll_timeout(), None);
    }
}

#[test]
fn our_handshake_counts_as_sent_when_the_torrent_is_accepted() {
    let opened = start();
    let mut connection = Connection::incoming(IncomingConfig::default(), opened);
    let peer = Handshake {
        reserved: Reserved::NONE,
        info_hash: info_hash(),
        peer_id: config(1).peer_id,
    };
    let mut buf = BytesMut::from(&peer.encode()[..]);
    connection.received(opened, &mut buf).unwrap();
    let accepted = opened + 9 * SECOND;
    assert!(connection.accept(accepted, plain(2)));
    assert!(connection.poll_transmit().is_some());
    connection.received(accepted, &mut buf).unwrap();
    assert_eq!(
        connection.poll_timeout(),
        Some(accepted + limits::KEEP_ALIVE_INTERVAL)
    );
}

#[test]
fn dripping_bytes_does_not_prolong_the_handshake() {
    let now = start();
    let mut connection = Connection::incoming(IncomingConfig::default(), now);
    let handshake = Handshake {
        reserved: Reserved::NONE,
        info_hash: info_hash(),
        peer_id: config(1).peer_id,
    };
    let mut buf = BytesMut::new();
    for (second, byte) in (0..10).zip(handshake.encode()) {
        buf.extend_from_slice(&[byte]);
        connection
            .received(now + second * SECOND, &mut buf)
            .unwrap();
        assert_eq!(connection.handle_timeout(now + second * SECOND), Ok(()));
    }
    assert!(connection.handle_timeout(now + 10 * SECOND).is_err());
}

#[test]
fn a_first_message_is_due_if_the_extensions_make_it_so() {
    let mut pair = pair();
    pair.pass(9 * SECOND);
    assert_eq!(pair.dialer.error, None);
    // The listener has spoken, the dialer has not.
    pair.listener
        .connection
        .announce_pieces(&crate::Bitfield::new(PIECES));
    pair.drive();
    pair.pass(SECOND);
    assert_eq!(pair.dialer.error, None);
    assert_eq!(
        pair.listener.error,
        Some(Error::TimedOut(TimedOut::FirstMessage))
    );
}

#[test]
fn a_peer_without_extensions_may_have_nothing_to_say() {
    let mut pair = plain_pair();
    pair.pass(60 * SECOND);
    assert_eq!(pair.dialer.error, None);
    assert_eq!(pair.listener.error, None);
}

#[test]
fn idle_sides_keep_each_other_alive_for_hours() {
    let mut pair = plain_pair();
    for _ in 0..4 * 60 {
        pair.pass(30 * SECOND);
        assert_eq!((&pair.dialer.error, &pair.listener.error), (&None, &None));
    }
    let received = pair.dialer.connection.stats().protocol_received;
    let keep_alives = (received - 68) / 4;
    assert!(
        (56..=66).contains(&keep_alives),
        "{keep_alives} keep-alives in two hours"
    );
    assert!(pair.dialer.events.is_empty(), "keep-alives are no events");
}

#[test]
fn a_keep_alive_leaves_after_110_seconds_of_idleness_and_not_before() {
    let mut pair = plain_pair();
    let opened = pair.now;
    let dialer = &mut pair.dialer;
    assert_eq!(
        dialer.connection.poll_timeout(),
        Some(opened + limits::KEEP_ALIVE_INTERVAL)
    );
    dialer
        .connection
        .handle_timeout(opened + 109 * SECOND)
        .unwrap();
    assert_eq!(messages(dialer), []);
    dialer
        .connection
        .handle_timeout(opened + 110 * SECOND)
        .unwrap();
    assert_eq!(messages(dialer), [Message::KeepAlive]);
    assert_eq!(
        dialer.connection.poll_timeout(),
        Some(opened + 220 * SECOND)
    );
}

#[test]
fn what_was_sent_meanwhile_puts_the_keep_alive_off() {
    let mut pair = plain_pair();
    let opened = pair.now;
    let dialer = &mut pair.dialer;
    dialer
        .connection
        .handle_timeout(opened + 100 * SECOND)
        .unwrap();
    dialer.connection.send(Message::Interested);
    assert_eq!(messages(dialer), [Message::Interested]);
    dialer
        .connection
        .handle_timeout(opened + 110 * SECOND)
        .unwrap();
    assert_eq!(messages(dialer), []);
    assert_eq!(
        dialer.connection.poll_timeout(),
        Some(opened + 210 * SECOND)
    );
}

#[test]
fn what_waits_to_be_written_makes_a_keep_alive_needless() {
    let mut pair = plain_pair();
    let opened = pair.now;
    let dialer = &mut pair.dialer;
    dialer.connection.send(Message::Interested);
    dialer
        .connection
        .handle_timeout(opened + 110 * SECOND)
        .unwrap();
    assert!(
        dialer.connection.poll_timeout() > Some(opened + 110 * SECOND),
        "no busy loop"
    );
    assert_eq!(messages(dialer), [Message::Interested]);
}

#[test]
fn silence_ends_after_240_seconds_and_any_byte_breaks_it() {
    let mut pair = plain_pair();
    let opened = pair.now;
    let dialer = &mut pair.dialer.connection;
    dialer.handle_timeout(opened + 239 * SECOND).unwrap();
    // Half a message is a sign of life too.
    let mut buf = BytesMut::from(&[0, 0][..]);
    dialer.received(opened + 239 * SECOND, &mut buf).unwrap();
    dialer.handle_timeout(opened + 478 * SECOND).unwrap();
    // The same bytes seen again are none.
    dialer.received(opened + 478 * SECOND, &mut buf).unwrap();
    assert_eq!(
        dialer.handle_timeout(opened + 479 * SECOND),
        Err(Error::TimedOut(TimedOut::Silence))
    );
}

#[test]
fn time_that_runs_backwards_changes_nothing() {
    let mut pair = plain_pair();
    let dialer = &mut pair.dialer.connection;
    dialer.handle_timeout(pair.now + 100 * SECOND).unwrap();
    let deadline = dialer.poll_timeout();
    dialer.handle_timeout(pair.now).unwrap();
    assert_eq!(dialer.poll_timeout(), deadline);
}

#[test]
fn waits_beyond_what_a_clock_can_say_are_not_fatal() {
    let forever = super::super::Timeouts {
        handshake: Duration::MAX,
        first_message: Duration::MAX,
        keep_alive: Duration::MAX,
        silence: Duration::MAX,
    };
    let patient = |seed| Config {
        timeouts: forever,
        ..config(seed)
    };
    let mut pair = Pair::connected(patient(1), patient(2), start());
    pair.pass(3600 * SECOND);
    assert_eq!((pair.dialer.error, pair.listener.error), (None, None));
}

#[test]
fn a_peer_that_does_not_read_is_given_up() {
    let mut pair = pair();
    let dialer = &mut pair.dialer.connection;
    let have = 9;
    let fit = u32::try_from(limits::MAX_CONTROL_BYTES / have).unwrap();
    for _ in 0..fit {
        assert!(dialer.send(Message::Have(PieceIndex(0))));
    }
    assert_eq!(dialer.queued_bytes(), fit as usize * have);
    assert_eq!(dialer.handle_timeout(pair.now), Ok(()));
    for _ in 0..1000 {
        dialer.send(Message::Have(PieceIndex(0)));
    }
    assert_eq!(
        dialer.queued_bytes(),
        (fit as usize + 1) * have,
        "one above the limit, no more"
    );
    assert_eq!(dialer.poll_timeout(), Some(pair.now), "at once");
    let error = dialer.handle_timeout(pair.now).unwrap_err().to_string();
    assert_eq!(
        error,
        "the peer broke the protocol: it does not read: 524295 bytes wait for it; the limit is 524288"
    );
    assert_eq!(dialer.poll_transmit(), None);
}

#[test]
fn a_message_that_found_no_room_is_not_forgotten_when_there_is_room_again() {
    let mut pair = pair();
    let dialer = &mut pair.dialer.connection;
    let have = 9;
    let fit = limits::MAX_CONTROL_BYTES / have + 1;
    for _ in 0..=fit {
        dialer.send(Message::Have(PieceIndex(0)));
    }
    // All that was kept leaves, one is missing.
    assert!(dialer.poll_transmit().is_some());
    assert_eq!(dialer.poll_timeout(), Some(pair.now), "at once");
    assert!(dialer.handle_timeout(pair.now).is_err());
}

/// Peers of a client with a limit were sent away because it had not read what they had said.
#[test]
fn while_its_owner_does_not_listen_a_peer_is_not_silent_but_not_for_ever() {
    for (held_up, due) in [(60, 70), (240, 250), (241, 250), (100_000, 250)] {
        let mut pair = pair();
        let opened = pair.now;
        let dialer = &mut pair.dialer.connection;
        // In two parts, and once out of order.
        dialer.did_not_listen(opened + held_up / 2 * SECOND, opened);
        dialer.did_not_listen(opened + held_up * SECOND, opened + held_up / 2 * SECOND);
        dialer.did_not_listen(opened, opened + held_up * SECOND);
        let now = opened + due.max(held_up) * SECOND;
        if due > held_up {
            assert_eq!(dialer.handle_timeout(now - SECOND), Ok(()), "{held_up} s");
        }
        assert_eq!(
            dialer.handle_timeout(now),
            Err(Error::TimedOut(TimedOut::FirstMessage)),
            "{held_up} s"
        );
    }
    let mut pair = plain_pair();
    let opened = pair.now;
    let dialer = &mut pair.dialer.connection;
    dialer.did_not_listen(opened + 100 * SECOND, opened);
    assert_eq!(dialer.handle_timeout(opened + 339 * SECOND), Ok(()));
    assert_eq!(
        dialer.handle_timeout(opened + 340 * SECOND),
        Err(Error::TimedOut(TimedOut::Silence))
    );
}
