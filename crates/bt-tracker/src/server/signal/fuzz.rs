//! Places of browsers for the fuzzer: who gives one up is judged by a plain list.

use std::net::IpAddr;

use super::places::{Places, Ticket};

/// Places, in all and of one source.
const HOUSES: [(usize, usize); 4] = [(1, 1), (6, 4), (12, 3), (9, 9)];

/// A place that is taken; the list has them in the order of their last announces.
struct Taken {
    ticket: Ticket,
    source: IpAddr,
    site: u8,
    holder: u32,
}

/// Two bytes are one thing that happens; the first byte says how many places there are.
///
/// # Panics
/// If somebody loses a place although there are others, who is not of the source that has its share or of one that has
/// most, or who announced after another of it; if a place that was lost is renewed, or one that is held is not; or if the
/// sums are wrong.
pub(in super::super) fn places(data: &[u8]) {
    let (&first, steps) = data.split_first().unwrap_or((&0, &[]));
    let (most, most_of_source) = HOUSES[usize::from(first & 3)];
    let mut places = Places::new(most, most_of_source);
    let mut book: Vec<Taken> = Vec::new();
    let mut lost: Vec<(IpAddr, Ticket)> = Vec::new();
    let mut last = 0;
    for &[what, how] in steps.as_chunks().0 {
        let at = usize::from(how) % book.len().max(1);
        match what & 7 {
            0..=3 => {
                let (source, site) = source(how & 15);
                last += 1;
                let (ticket, gone) = places.take(source, last);
                let leaver = who_leaves(&book, site, most, most_of_source, gone);
                if let Some(leaver) = leaver.map(|at| book.remove(at)) {
                    lost.push((leaver.source, leaver.ticket));
                }
                book.push(Taken {
                    ticket,
                    source,
                    site,
                    holder: last,
                });
            }
            4 | 5 if at < book.len() => {
                let mut taken = book.remove(at);
                let renewed = places.renew(taken.source, taken.ticket);
                lost.push((taken.source, taken.ticket));
                taken.ticket = renewed.expect("the place is held");
                book.push(taken);
            }
            6 if at < book.len() => {
                let taken = book.remove(at);
                places.give_back(taken.source, taken.ticket);
                lost.push((taken.source, taken.ticket));
            }
            _ => {
                let Some(&(source, ticket)) = lost.get(usize::from(how) % lost.len().max(1)) else {
                    continue;
                };
                assert_eq!(places.renew(source, ticket), None);
                places.give_back(source, ticket);
            }
        }
        assert_eq!(places.audit(), book.len());
        assert!(book.len() <= most);
        for taken in &book {
            assert!(places.is_held(taken.source, taken.ticket));
        }
        assert!(
            !lost
                .iter()
                .any(|(source, ticket)| places.is_held(*source, *ticket))
        );
    }
}

/// Whose place in the list `gone` had; nobody else had to leave for somebody of `site`.
fn who_leaves(
    book: &[Taken],
    site: u8,
    most: usize,
    most_of_source: usize,
    gone: Option<u32>,
) -> Option<usize> {
    let of = |site: u8| book.iter().filter(|taken| taken.site == site).count();
    let highest = (0..16).map(of).max().unwrap_or(0);
    let leaver = book.iter().position(|taken| Some(taken.holder) == gone);
    let Some(at) = leaver else {
        assert!(gone.is_none(), "{gone:?} had no place");
        assert!(of(site) < most_of_source && book.len() < most);
        return None;
    };
    let its_site = book[at].site;
    let is_oldest = |taken: &Taken| taken.site != its_site;
    assert!(
        book[..at].iter().all(is_oldest),
        "another was silent for longer"
    );
    let is_own = its_site == site;
    if of(site) == most_of_source {
        assert!(is_own, "the source has its share");
    } else {
        assert_eq!(book.len(), most, "there are places");
        assert_eq!(of(its_site), highest, "others have more");
        assert!(
            is_own || highest > of(site),
            "between equals nobody gains a place"
        );
    }
    leaver
}

/// Addresses: two of one site, two forms of one, and some more.
fn source(number: u8) -> (IpAddr, u8) {
    match number {
        0 | 1 => ([0x2001, 0xdb8, 0, number.into(), 0, 0, 0, 1].into(), 0),
        2 => ([0x2001, 0xdb8, 1, 0, 0, 0, 0, 1].into(), 2),
        3 => ([0, 0, 0, 0, 0, 0xffff, 0xc000, 0x204].into(), 4),
        _ => ([192, 0, 2, number].into(), number),
    }
}
