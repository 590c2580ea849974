//! The number of torrents that all shards of a store share: it is right in the end, and as many too many are let in as
//! there are others at the same moment, and no more.

#[path = "../../crates/bt-tracker/src/swarm/open.rs"]
mod counted;

mod sync {
    pub(super) use crate::sync::{AtomicU32, Ordering};
}

use std::sync::Arc;

use crate::sync::{AtomicU32, Ordering, check, thread};
use counted::Open;

#[test]
fn a_torrent_that_comes_is_counted_until_it_goes() {
    check("open torrents", || {
        // Room for one; two threads open one each, keep it for a while, and take it out again.
        let open = Arc::new(Open::new(1));
        let inside = Arc::new(AtomicU32::new(0));
        let others = [(); 2].map(|()| {
            let (open, inside) = (Arc::clone(&open), Arc::clone(&inside));
            thread::spawn(move || {
                if !open.enter() {
                    return false;
                }
                let others = inside.fetch_add(1, Ordering::SeqCst);
                assert!(others < 2, "one too many at most");
                inside.fetch_sub(1, Ordering::SeqCst);
                open.leave();
                true
            })
        });
        let let_in = others.map(|other| other.join().unwrap());
        assert!(let_in.contains(&true), "there was room for one");
        assert!(open.enter(), "both are gone");
        assert!(!open.enter(), "and one is the most");
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
