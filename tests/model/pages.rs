//! The index that everybody is sent: each gets one of the catalog that it asked for, and it is made once.

#[path = "../../crates/bt-tracker/src/server/publisher/pages.rs"]
mod made;

mod sync {
    pub(super) use crate::sync::{Mutex, RwLock};
}

mod index {
    pub(super) fn html(_: &super::Catalog, _: &crate::swarm::Swarms) -> Vec<u8> {
        Vec::new()
    }

    pub(super) fn json(_: &super::Catalog, _: &crate::swarm::Swarms) -> Vec<u8> {
        Vec::new()
    }
}

#[derive(Debug)]
struct Catalog(u8);

use std::sync::Arc;
use std::time::Instant;

use crate::limits::INDEX_LIFE;
use crate::memory::Budget;
use crate::sync::{AtomicUsize, Ordering, check, thread};
use made::Latest;

/// Everything that those who ask share.
struct Shared {
    latest: Latest,
    memory: Arc<Budget>,
    times: AtomicUsize,
    start: Instant,
}

impl Shared {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            latest: Latest::default(),
            memory: Budget::new(100),
            times: AtomicUsize::new(0),
            start: Instant::now(),
        })
    }

    /// The page of a catalog so many lifetimes after the start: its catalog, and which one it is.
    fn get(&self, catalog: &Arc<Catalog>, lives: u32) -> (u8, usize) {
        let now = self.start + INDEX_LIFE * lives;
        let page = self.latest.get(now, catalog, &self.memory, || {
            let number = self.times.fetch_add(1, Ordering::SeqCst);
            vec![catalog.0, u8::try_from(number).unwrap()]
        });
        (page[0], page[1].into())
    }

    fn made(&self) -> usize {
        self.times.load(Ordering::SeqCst)
    }
}

#[test]
fn the_first_page_of_a_catalog_is_made_once_for_all_who_ask() {
    check("index, the first", || {
        let shared = Shared::new();
        let catalog = Arc::new(Catalog(7));
        let others = [(); 2].map(|()| {
            let (shared, catalog) = (Arc::clone(&shared), Arc::clone(&catalog));
            thread::spawn(move || shared.get(&catalog, 0))
        });
        let got = others.map(|other| other.join().unwrap());
        assert_eq!(got, [(7, 0); 2]);
        assert_eq!(shared.made(), 1);
    });
}

#[test]
fn old_numbers_are_counted_anew_once_and_nobody_waits_for_it() {
    check("index, old numbers", || {
        let shared = Shared::new();
        let catalog = Arc::new(Catalog(7));
        assert_eq!(shared.get(&catalog, 0), (7, 0));
        let others = [(); 2].map(|()| {
            let (shared, catalog) = (Arc::clone(&shared), Arc::clone(&catalog));
            thread::spawn(move || shared.get(&catalog, 1))
        });
        let got = others.map(|other| other.join().unwrap());
        assert!(
            got.contains(&(7, 1)),
            "one of them has the new numbers: {got:?}"
        );
        assert_eq!(shared.made(), 2);
        assert_eq!(shared.get(&catalog, 1), (7, 1));
        assert_eq!(shared.memory.held(), 2, "the old page is gone");
    });
}

#[test]
fn each_gets_a_page_of_the_catalog_that_it_asked_for() {
    check("index, two catalogs", || {
        let shared = Shared::new();
        let others = [1, 2].map(|which| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.get(&Arc::new(Catalog(which)), 0).0)
        });
        let got = others.map(|other| other.join().unwrap());
        assert_eq!(got, [1, 2]);
        assert_eq!(shared.made(), 2);
        assert_eq!(shared.memory.held(), 2, "one page is kept");
    });
}
