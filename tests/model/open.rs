//! The number of torrents that all shards of a store share: it is right in the end, somebody is let in while there is room,
//! and nobody while there is none.

#[path = "../../crates/bt-tracker/src/swarm/open.rs"]
mod counted;

mod sync {
    pub(super) use crate::sync::{AtomicU32, Ordering};
}

use std::sync::Arc;

use crate::sync::{check, thread};
use counted::Open;

#[test]
fn a_torrent_that_comes_is_counted_until_it_goes() {
    check("open torrents", || {
        // Room for one; two threads open one each, and take it out again.
        let open = Arc::new(Open::new(1));
        let others = [(); 2].map(|()| {
            let open = Arc::clone(&open);
            thread::spawn(move || {
                let is_in = open.enter();
                if is_in {
                    open.leave();
                }
                is_in
            })
        });
        let let_in = others.map(|other| other.join().unwrap());
        assert!(let_in.contains(&true), "there was room for one");
        assert!(open.enter(), "both are gone");
        assert!(!open.enter(), "and one is the most");
    });
}

#[test]
fn nobody_is_let_in_while_there_is_no_room() {
    check("open torrents, none is free", || {
        let open = Arc::new(Open::new(1));
        assert!(open.enter(), "there was room for one");
        let others = [(); 2].map(|()| {
            let open = Arc::clone(&open);
            thread::spawn(move || open.enter())
        });
        let let_in = others.map(|other| other.join().unwrap());
        assert_eq!(let_in, [false, false], "one is the most");
        open.leave();
        assert!(open.enter(), "those who were sent away do not count");
        assert!(!open.enter(), "and there is room for no other");
    });
}

#[test]
fn whoever_registers_a_torrent_and_whoever_makes_room_agree_on_the_number() {
    check("open torrents, registered meanwhile", || {
        let open = Arc::new(Open::new(2));
        assert!(open.enter() && open.enter());
        let others = [false, true].map(|registers| {
            let open = Arc::clone(&open);
            thread::spawn(move || {
                // One torrent becomes registered and is one again; the other makes room for a new one.
                open.leave();
                if registers || !open.enter() {
                    open.force();
                }
            })
        });
        for other in others {
            other.join().unwrap();
        }
        assert!(!open.enter(), "there are two");
        open.leave();
        assert!(open.enter(), "there was one");
    });
}
