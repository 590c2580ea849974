//! Accounts as they are written and read, and what is none.

use super::super::Listed;
use super::*;
use crate::AnnounceRequest;
use proptest::collection::{btree_map, hash_map};
use proptest::prelude::*;

/// Moments of the server's life that is at its second 0, or of one before it.
fn moments() -> impl Strategy<Value = i64> {
    -1_000_000_000..=0_i64
}

fn sums() -> impl Strategy<Value = Totals> {
    let last = proptest::option::of(moments());
    (any::<[u64; 5]>(), last).prop_map(|(sums, last)| Totals {
        uploaded: sums[0],
        downloaded: sums[1],
        announces: sums[2],
        impossible: sums[3],
        unaccounted: sums[4],
        last,
    })
}

fn words_of_a_peer() -> impl Strategy<Value = Said> {
    let v4 = any::<(std::net::Ipv4Addr, u16)>();
    let v6 = any::<(std::net::Ipv6Addr, u16)>();
    let parts = (any::<[u64; 3]>(), moments(), v4, v6);
    parts.prop_map(|(sums, at, v4, v6)| Said {
        uploaded: sums[0],
        downloaded: sums[1],
        left: sums[2],
        at,
        v4,
        v6,
    })
}

fn books() -> impl Strategy<Value = Book> {
    let key = (any::<[u8; 20]>(), any::<u64>()).prop_map(|(hash, identity)| PeerKey {
        info_hash: hash.into(),
        identity,
    });
    let peers = hash_map(key, words_of_a_peer(), 0..3);
    (sums(), peers).prop_map(|(totals, peers)| Book { totals, peers })
}

proptest! {
    #[test]
    fn any_accounts_come_back_and_what_was_said_is_older_by_the_time_away(
        books in btree_map("[A-Za-z0-9_-]{8,20}", books(), 0..4),
        away in 0..1_000_000_i64,
    ) {
        let accounts = Accounts::default();
        let mut expected = Vec::new();
        let mut users = Vec::new();
        for (key, book) in books {
            let mut totals = book.totals;
            totals.last = totals.last.map(|last| last - away);
            let mut peers = book.peers.clone();
            peers.values_mut().for_each(|said| said.at -= away);
            if totals != Totals::default() || !peers.is_empty() {
                expected.push((key.clone(), totals, peers));
            }
            let user = User::default();
            *user.book() = book;
            users.push((key.into_boxed_str(), user));
        }
        take(&accounts, users);
        let back = read(&write(&accounts, 0, 5_000), 5_000 + away).expect("we wrote it");
        let back = back.into_iter().map(|(key, user)| {
            let mut book = user.book();
            (key.into_string(), book.totals, std::mem::take(&mut book.peers))
        });
        assert_eq!(back.collect::<Vec<_>>(), expected);
    }
}

fn filled() -> Accounts {
    let accounts = Accounts::default();
    let keys = ["key-of-ann", "key-of-bob", "key-of-eve"];
    let listed = keys.map(|key| Listed {
        key: key.into(),
        name: None,
    });
    accounts.replace(listed.to_vec());
    for (n, key) in (0_u16..).zip(&keys[..2]) {
        let user = accounts.find(key.as_bytes()).unwrap();
        for torrent in 0..3 {
            let mut request = AnnounceRequest::new([torrent; 20].into(), [2; 20].into(), 7000 + n);
            user.account(10, &request, "192.0.2.1:7000".parse().unwrap());
            request.uploaded = 100;
            user.account(20, &request, "[2001:db8::1]:7001".parse().unwrap());
        }
    }
    accounts
}

#[test]
fn accounts_and_what_their_peers_said_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("accounts");
    assert_eq!(load(&path, &Accounts::default()).unwrap(), 0);
    save(&path, &filled(), 25).unwrap();
    let accounts = Accounts::default();
    assert_eq!(load(&path, &accounts).unwrap(), 2);
    assert!(accounts.find(b"key-of-ann").is_none(), "the list decides");
    accounts.replace(vec![Listed {
        key: "key-of-ann".into(),
        name: None,
    }]);
    let user = accounts.find(b"key-of-ann").unwrap();
    assert_eq!(user.totals().uploaded, 300);
    // The next announce counts from what the last one before the restart said.
    let mut request = AnnounceRequest::new([0; 20].into(), [2; 20].into(), 7000);
    request.uploaded = 130;
    user.account(1, &request, "192.0.2.1:7000".parse().unwrap());
    assert_eq!(user.totals().uploaded, 330);
    assert_eq!(user.dismiss().len(), 6, "three torrents, both families");
    assert_eq!(accounts.account("key-of-bob", 0).unwrap().announces, 6);
}

#[test]
fn a_damaged_file_is_refused_and_says_what_is_wrong() {
    let good = write(&filled(), 25, 1_000_000);
    assert_eq!(read(&good, 1_000_010).unwrap().len(), 2);
    let refused = |text: &str| read(text, 1_000_010).unwrap_err().to_string();
    for cut in 1..good.len() - 1 {
        assert!(refused(&good[..cut]).starts_with("it is"), "cut at {cut}");
    }
    assert!(refused("").starts_with("it is not"));
    assert!(refused("#!/bin/sh\necho\n").starts_with("it is not"));
    let flipped = good.replacen("300", "301", 1);
    assert_eq!(
        refused(&flipped),
        "it is torn: the checksum is wrong or lines are missing"
    );
    let resum = |text: &str| {
        let covered = text.rsplit_once("end ").unwrap().0;
        format!("{covered}end {:016x}\n", checksum(covered))
    };
    assert_eq!(
        refused(&resum(&good.replacen("user", "usher", 1))),
        "line 2 makes no sense"
    );
    assert_eq!(
        refused(&resum(&good.replacen("peer ", "peer x", 1))),
        "line 3 makes no sense"
    );
    assert_eq!(
        refused(&resum(&good.replacen(" 300 ", " -3 ", 1))),
        "line 2 makes no sense"
    );
}
