//! Limits of signalling: at each, and one above.

use super::*;
use crate::limits::{MAX_SIGNAL_PEERS, MAX_SIGNAL_TORRENTS};
use crate::server::Config;
use message::Offer;

fn announce(id: usize, event: Event, offers: usize) -> Announce {
    let mut peer_id = [0; 20];
    peer_id[..8].copy_from_slice(&id.to_be_bytes());
    let offer = |n: usize| Offer {
        offer: n.into(),
        id: n.into(),
    };
    Announce {
        info_hash: [1; 20].into(),
        peer_id,
        is_seed: false,
        left: Some(1),
        transferred: None,
        event,
        offers: (0..offers).map(offer).collect(),
        answer: None,
    }
}

#[tokio::test]
async fn so_many_letters_wait_for_a_browser_that_does_not_read_and_no_more() {
    let tracker = Tracker::new(&Config::default(), std::time::Instant::now()).unwrap();
    let guest = |last| Guest::new([192, 0, 2, last].into(), None, &tracker, || ());
    let (mut reader, mut writer) = (guest(1), guest(2));
    assert!(reader.announce(announce(1, Event::Update, 0)).is_some());
    let mut write = |count| {
        for _ in 0..count {
            let answer = writer.announce(announce(2, Event::Update, 1));
            assert!(answer.is_some(), "whoever writes is answered in any case");
        }
    };
    write(MAX_SIGNALS_WAITING - 1);
    assert_eq!(reader.mailbox.len(), MAX_SIGNALS_WAITING - 1);
    write(1);
    assert_eq!(reader.mailbox.len(), MAX_SIGNALS_WAITING);
    let held = tracker.memory.held();
    write(1);
    assert_eq!(reader.mailbox.len(), MAX_SIGNALS_WAITING, "one above");
    assert_eq!(
        tracker.memory.held(),
        held,
        "what was dropped holds nothing"
    );
    // One that is read makes room for one.
    assert!(reader.mailbox.try_recv().is_ok());
    write(2);
    assert_eq!(reader.mailbox.len(), MAX_SIGNALS_WAITING);
    let relayed = u64::try_from(MAX_SIGNALS_WAITING).unwrap() + 1;
    assert_eq!(tracker.stats.ws.named.get(), relayed);
}

#[test]
fn a_torrent_has_room_for_so_many_browsers_and_no_more() {
    let rooms = Rooms::default();
    let (letters, _mailbox) = mpsc::channel(1);
    let seat = |last: usize| {
        let last = u8::try_from(last).unwrap();
        Seat::new(letters.clone(), [192, 0, 2, last].into())
    };
    let mut seats: Vec<_> = (0..MAX_SIGNAL_PEERS / MAX_SIGNAL_TORRENTS)
        .map(seat)
        .collect();
    for id in 0..MAX_SIGNAL_PEERS {
        let seat = &mut seats[id / MAX_SIGNAL_TORRENTS];
        let entered = rooms.announce(seat, announce(id, Event::Update, 0));
        assert!(entered.is_ok(), "{id}");
    }
    assert_eq!(rooms.totals(), (1, MAX_SIGNAL_PEERS as u64));
    let mut newcomer = seat(99);
    let above = || announce(MAX_SIGNAL_PEERS, Event::Update, 0);
    let refused = rooms.announce(&mut newcomer, above());
    assert_eq!(refused.err(), Some("torrent is full"));
    assert_eq!(rooms.totals(), (1, MAX_SIGNAL_PEERS as u64));
    // Who is in may announce again, and who leaves makes room.
    assert!(
        rooms
            .announce(&mut seats[0], announce(0, Event::Update, 1))
            .is_ok()
    );
    rooms
        .announce(&mut seats[0], announce(0, Event::Stopped, 0))
        .unwrap();
    assert!(rooms.announce(&mut newcomer, above()).is_ok());
    assert_eq!(rooms.totals(), (1, MAX_SIGNAL_PEERS as u64));
    assert_eq!(
        rooms.counts(&[1; 20].into()).incomplete as usize,
        MAX_SIGNAL_PEERS
    );
}

#[test]
fn so_much_of_a_message_is_not_counted_and_no_more_than_the_longest_ones() {
    let all = usize::MAX / 2;
    let longest = 2 * MAX_SIGNAL;
    for (came, counted) in [
        (0, 0),
        (MAX_UNCOUNTED_SIGNAL, 0),
        (MAX_UNCOUNTED_SIGNAL + 1, 1),
        (MAX_UNCOUNTED_SIGNAL + longest, longest),
        (MAX_UNCOUNTED_SIGNAL + longest + 1, longest),
        (usize::MAX, longest),
    ] {
        let memory = crate::server::memory::Budget::new(all);
        let metered = Metered::new(tokio::io::empty(), came, &memory);
        assert_eq!(memory.held(), counted as u64, "{came} bytes");
        drop(metered);
        assert_eq!(memory.held(), 0);
    }
}
