//! Torrents whose piece count is not known yet.

use super::*;
use crate::error::{Error, Misbehaved};
use crate::ext::{self, Ext};
use crate::limits;

/// A pair whose listener does not know the metadata and was sent these messages.
fn told(messages: &[Message]) -> Pair {
    let mut pair = Pair::connected(
        config(1),
        Config {
            piece_count: None,
            ..config(2)
        },
        start(),
    );
    pair.listener
        .connection
        .send_extension_handshake(&ext::Handshake::offering(Ext::ALL));
    pair.drive();
    pair.listener.inject(&bytes(messages));
    pair.drive();
    pair
}

fn learn(pair: &mut Pair, count: u32) -> Result<Vec<Event>, Error> {
    assert_eq!(pair.listener.error, None);
    pair.listener.connection.set_piece_count(count)?;
    Ok(std::iter::from_fn(|| pair.listener.connection.poll_event()).collect())
}

fn bits(bytes: &[u8]) -> Message {
    Message::Bitfield(bytes.to_vec().into())
}

#[test]
fn a_bitfield_is_kept_and_comes_out_with_later_haves() {
    let mut pair = told(&[bits(&[0x80, 0, 0]), Message::Have(PieceIndex(9))]);
    assert_eq!(pair.listener.events, []);
    assert_eq!(
        learn(&mut pair, 20),
        Ok(vec![Event::Message(bits(&[0x80, 0x40, 0]))])
    );
    assert_eq!(learn(&mut pair, 30), Ok(vec![]), "once known, it stays");
    pair.listener
        .inject(&bytes(&[Message::Have(PieceIndex(10))]));
    pair.drive();
    assert_eq!(heard(&mut pair.listener), [Message::Have(PieceIndex(10))]);
}

#[test]
fn have_all_have_none_and_nothing_come_out_as_they_were() {
    let all = told(&[Message::HaveAll, Message::Have(PieceIndex(3))]);
    let none = told(&[Message::HaveNone]);
    let nothing = told(&[]);
    let haves = told(&[Message::Have(PieceIndex(0)), Message::Have(PieceIndex(19))]);
    for (mut pair, expected) in [
        (all, vec![Event::Message(Message::HaveAll)]),
        (none, vec![Event::Message(Message::HaveNone)]),
        (nothing, vec![]),
        (haves, vec![Event::Message(bits(&[0x80, 0, 0x10]))]),
    ] {
        assert_eq!(learn(&mut pair, 20), Ok(expected));
    }
}

#[test]
fn what_does_not_fit_the_torrent_is_found_when_it_is_known() {
    let mut pair = told(&[bits(&[0xff, 0xff])]);
    let error = Misbehaved::BitfieldLength {
        found: 2,
        expected: 3,
        count: 20,
    };
    assert_eq!(learn(&mut pair, 20), Err(error.into()));
    assert!(!pair.listener.connection.is_open());

    let mut pair = told(&[bits(&[0xff, 0xff, 0xff])]);
    assert_eq!(
        learn(&mut pair, 20),
        Err(Misbehaved::SpareBits { count: 20 }.into())
    );

    let index = PieceIndex(20);
    let mut pair = told(&[Message::HaveAll, Message::Have(index)]);
    let error = Misbehaved::PieceOutOfRange {
        message: "have",
        index,
        count: 20,
    };
    assert_eq!(learn(&mut pair, 20), Err(error.into()));
}

#[test]
fn a_have_beyond_any_torrent_is_refused_at_once() {
    let pair = told(&[Message::Have(PieceIndex(limits::MAX_PIECES - 1))]);
    assert_eq!(pair.listener.error, None);
    let pair = told(&[Message::Have(PieceIndex(limits::MAX_PIECES))]);
    assert!(pair.listener.error.is_some());
}

#[test]
fn pieces_that_are_gone_again_are_not_forgotten() {
    let gone = |index: u32| Message::Extended {
        id: Ext::DontHave.id(),
        payload: index.to_be_bytes().to_vec().into(),
    };
    let mut pair = told(&[Message::HaveAll, gone(5)]);
    let lost = ext::Message::DontHave(ext::DontHave(PieceIndex(5)));
    assert_eq!(
        learn(&mut pair, 20),
        Ok(vec![
            Event::Message(Message::HaveAll),
            Event::Extension(lost)
        ])
    );
    let mut pair = told(&[Message::HaveAll, gone(20)]);
    assert!(learn(&mut pair, 20).is_err());
    let many: Vec<_> = (0..1000).map(gone).collect();
    let mut pair = told(&many);
    assert_eq!(pair.listener.connection.stats().ignored_messages, 1000 - 64);
    assert_eq!(learn(&mut pair, 1000).unwrap().len(), 64);
}

#[test]
fn the_allowed_fast_set_is_kept_within_its_limit() {
    let mut messages = vec![Message::HaveAll];
    messages.extend((0..100).map(|index| Message::AllowedFast(PieceIndex(index))));
    messages.push(Message::Suggest(PieceIndex(1)));
    let mut pair = told(&messages);
    assert_eq!(pair.listener.connection.stats().ignored_messages, 100 - 64);
    let events = learn(&mut pair, 10).unwrap();
    assert_eq!(events.len(), 1 + 10, "those out of range are dropped");
}

#[test]
fn requests_are_refused_and_blocks_are_misbehavior() {
    let pair = told(&[Message::Request(block(0, 0))]);
    let refused = Event::Refused {
        block: block(0, 0),
        why: Refusal::Invalid,
    };
    assert_eq!(pair.listener.events, [refused]);
    let data = crate::testing::block_data(block(0, 0));
    let pair = told(&[Message::Piece {
        block: block(0, 0),
        data,
    }]);
    assert_eq!(
        pair.listener.error,
        Some(Misbehaved::UnexpectedBlock(block(0, 0)).into())
    );
}

#[test]
fn our_own_bitfield_may_follow_the_extension_messages() {
    let mut pair = Pair::connected(
        Config {
            piece_count: None,
            ..config(1)
        },
        config(2),
        start(),
    );
    let dialer = &mut pair.dialer.connection;
    assert!(dialer.send_extension_handshake(&ext::Handshake::offering(Ext::ALL)));
    assert!(dialer.send(Message::Port(6881)));
    dialer.set_piece_count(PIECES).unwrap();
    assert!(dialer.announce_pieces(&crate::Bitfield::new(PIECES)));
    pair.drive();
    assert_eq!(pair.listener.error, None);
    assert_eq!(
        heard(&mut pair.listener),
        [Message::Port(6881), Message::HaveNone]
    );
}
