//! Where bytes lie: payloads are not copied, and buffers end on message boundaries.

use super::*;
use crate::frame::BLOCK_MESSAGE_LEN;
use crate::testing::block_data;

fn open() -> (Connection, std::time::Instant) {
    let pair = pair();
    (pair.listener.connection, pair.now)
}

/// As `open`, with a hundred blocks asked for.
fn downloading() -> (Connection, std::time::Instant) {
    let (mut connection, now) = open();
    for index in 0..100 {
        assert!(connection.send(Message::Request(block(index % PIECES, 0))));
    }
    (connection, now)
}

fn piece(index: u32) -> BytesMut {
    let block = block(index, 0);
    bytes(&[Message::Piece {
        block,
        data: block_data(block),
    }])
}

#[test]
fn the_data_of_a_block_is_a_slice_of_the_receive_buffer() {
    let (mut connection, now) = open();
    let mut buf = BytesMut::with_capacity(128 * 1024);
    let memory = buf.as_ptr().addr()..buf.as_ptr().addr() + buf.capacity();
    for index in 0..6 {
        buf.extend_from_slice(&piece(index));
    }
    connection.received(now, &mut buf).unwrap();
    assert!(buf.is_empty());
    for index in 0..6 {
        let Some(Event::Message(Message::Piece { block: at, data })) = connection.poll_event()
        else {
            panic!("block {index} is missing")
        };
        assert_eq!(at, block(index, 0));
        assert_eq!(data, block_data(at));
        assert!(
            memory.contains(&data.as_ptr().addr()),
            "block {index} was copied"
        );
    }
}

/// Reads a stream as a socket loop does, keeping all data, and tells how many bytes were moved
/// between buffers.
fn read_all(connection: &mut Connection, now: std::time::Instant, mut stream: &[u8]) -> usize {
    let mut buf = BytesMut::with_capacity(256 * 1024);
    let mut moved = 0;
    let mut events = Vec::new();
    while !stream.is_empty() {
        let spare = buf.capacity() - buf.len();
        let wanted = connection.wanted(buf.len(), spare);
        if wanted > spare {
            moved += buf.len();
            buf.reserve(wanted.max(256 * 1024 - buf.len()));
        }
        let (chunk, rest) = stream.split_at(wanted.min(stream.len()));
        buf.extend_from_slice(chunk);
        stream = rest;
        connection.received(now, &mut buf).unwrap();
        events.extend(std::iter::from_fn(|| connection.poll_event()));
    }
    moved
}

#[test]
fn a_stream_of_blocks_never_leaves_part_of_one_behind() {
    let (mut connection, now) = downloading();
    let stream: Vec<u8> = (0..100).flat_map(|index| piece(index % PIECES)).collect();
    assert_eq!(read_all(&mut connection, now, &stream), 0);
    assert_eq!(connection.stats().payload_received, 100 * 16384);
}

#[test]
fn other_messages_between_blocks_cost_little() {
    let (mut connection, now) = downloading();
    let mut stream = Vec::new();
    for index in 0..100 {
        stream.extend_from_slice(&piece(index % PIECES));
        if index % 7 == 0 {
            stream.extend_from_slice(&bytes(&[Message::Have(PieceIndex(1)), Message::KeepAlive]));
        }
    }
    let moved = read_all(&mut connection, now, &stream);
    assert!(
        moved < 7 * BLOCK_MESSAGE_LEN,
        "{moved} of {} bytes moved",
        stream.len()
    );
}

#[test]
fn what_is_wanted_ends_on_a_boundary() {
    let (mut connection, now) = downloading();
    let block = BLOCK_MESSAGE_LEN;
    assert_eq!(block, 16397);
    assert_eq!(connection.wanted(0, 4 * block), 4 * block);
    assert_eq!(connection.wanted(0, 4 * block + 100), 4 * block);
    assert_eq!(
        connection.wanted(3, 4 * block),
        4 * block - 3,
        "three bytes of a prefix"
    );
    assert_eq!(
        connection.wanted(0, 1000),
        block,
        "no block fits: take another buffer"
    );
    assert_eq!(connection.wanted(0, 0), block);

    // A block of which 1,000 bytes are there.
    let mut buf = BytesMut::from(&piece(0)[..1000]);
    connection.received(now, &mut buf).unwrap();
    assert_eq!(connection.wanted(1000, block), block - 1000);
    assert_eq!(connection.wanted(1000, 2 * block - 1000), 2 * block - 1000);
    assert_eq!(connection.wanted(1000, 2 * block), 2 * block - 1000);
    assert_eq!(
        connection.wanted(1000, 10),
        block - 1000,
        "it does not fit: grow the buffer"
    );
}

#[test]
fn without_a_block_due_whatever_fits_is_wanted() {
    let (mut connection, now) = downloading();
    for index in 0..99 {
        let refusal = Message::Reject(block(index % PIECES, 0));
        connection.received(now, &mut bytes(&[refusal])).unwrap();
    }
    assert_eq!(
        connection.wanted(0, 20_000),
        BLOCK_MESSAGE_LEN,
        "one is still due"
    );
    connection.received(now, &mut piece(19)).unwrap();
    assert_eq!(connection.wanted(0, 20_000), 20_000);
    assert_eq!(connection.wanted(3, 20_000), 20_000);
    assert_eq!(connection.wanted(0, 0), 1, "never nothing");
    let mut buf = BytesMut::from(&bytes(&[Message::Have(PieceIndex(1))])[..6]);
    connection.received(now, &mut buf).unwrap();
    assert_eq!(connection.wanted(6, 2), 3);
    assert_eq!(connection.wanted(6, 20_000), 20_000);

    // Without the fast extension a choke and a cancel settle what was asked for.
    let mut plain = plain_pair().listener.connection;
    for index in 0..3 {
        plain.send(Message::Request(block(index, 0)));
    }
    plain.send(Message::Cancel(block(0, 0)));
    assert_eq!(plain.wanted(0, 20_000), BLOCK_MESSAGE_LEN);
    plain
        .received(now, &mut bytes(&[Message::Unchoke, Message::Choke]))
        .unwrap();
    assert_eq!(plain.wanted(0, 20_000), 20_000);
}

#[test]
fn a_message_that_is_skipped_does_not_make_the_buffer_grow() {
    let (mut connection, now) = open();
    let unknown = Message::Unknown {
        id: 99,
        payload: vec![0; 1024 * 1024 - 1].into(),
    };
    let stream = bytes(&[unknown, Message::Interested]);
    let mut buf = BytesMut::from(&stream[..1000]);
    let mut stream = &stream[1000..];
    connection.received(now, &mut buf).unwrap();
    while !stream.is_empty() {
        assert!(buf.len() < 10, "skipped bytes do not stay");
        let wanted = connection.wanted(buf.len(), 16 * 1024);
        assert!(wanted > 0 && wanted <= 16 * 1024);
        let (chunk, rest) = stream.split_at(wanted.min(stream.len()));
        buf.extend_from_slice(chunk);
        stream = rest;
        connection.received(now, &mut buf).unwrap();
    }
    assert_eq!(
        connection.poll_event(),
        Some(Event::Message(Message::Interested))
    );
    assert_eq!(
        connection.stats().protocol_received,
        68 + 4 + 1024 * 1024 + 5
    );
}

#[test]
fn a_burst_of_tiny_messages_does_not_pin_memory() {
    let (mut connection, now) = open();
    let mut buf = BytesMut::new();
    for _ in 0..50_000 {
        Message::Unchoke.encode(&mut buf);
    }
    connection.received(now, &mut buf).unwrap();
    assert_eq!(connection.events.len(), 50_000);
    while connection.poll_event().is_some() {}
    assert!(connection.events.capacity() <= 64);
}

#[test]
fn an_event_is_small() {
    assert!(size_of::<Event>() <= 56, "{} bytes", size_of::<Event>());
    assert!(
        size_of::<Connection>() <= 1024,
        "{} bytes",
        size_of::<Connection>()
    );
}
