//! A schedule against scripts of outcomes, and the law of events against random ones.

#![allow(
    clippy::disallowed_methods,
    reason = "a test has to begin at some time"
)]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::limits::{MAX_BACKOFF, MAX_INTERVAL, MAX_TRACKERS, MAX_URL, MIN_INTERVAL};
use crate::{AnnounceRequest, RetryIn};

fn tiers(tiers: &[&[&str]]) -> Vec<Vec<String>> {
    tiers
        .iter()
        .map(|tier| tier.iter().map(|url| (*url).to_owned()).collect())
        .collect()
}

fn schedule(list: &[&[&str]]) -> Schedule {
    Schedule::new(&tiers(list), 1, false)
}

fn ok(seconds: u64) -> AnnounceResponse {
    AnnounceResponse::new(Duration::from_secs(seconds))
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Polls once and expects this announce.
fn expect(schedule: &mut Schedule, now: Instant, url: &str, event: Event) {
    let announce = schedule
        .poll(now)
        .unwrap_or_else(|| panic!("no announce to {url}"));
    assert_eq!((announce.url.as_str(), announce.event), (url, event));
}

/// Polls once, expects this announce, and lets it succeed with an interval of half an hour.
fn accept(schedule: &mut Schedule, now: Instant, url: &str, event: Event) -> Accepted {
    expect(schedule, now, url, event);
    schedule.succeeded(now, url, &ok(1800))
}

fn refuse(schedule: &mut Schedule, now: Instant, url: &str, event: Event) {
    expect(schedule, now, url, event);
    schedule.failed(now, url, Problem::new("unreachable"));
}

#[test]
fn one_download_from_start_to_end() {
    let mut s = schedule(&[&["a"]]);
    let t = Instant::now();
    accept(&mut s, t, "a", Event::Started);
    assert_eq!(s.poll(t), None);
    assert_eq!(s.next_deadline(), Some(t + secs(1800)));
    accept(&mut s, t + secs(1800), "a", Event::None);
    s.complete(t + secs(1900));
    accept(&mut s, t + secs(1900), "a", Event::Completed);
    assert_eq!(s.poll(t + secs(1900)), None);
    accept(&mut s, t + secs(3700), "a", Event::None);
    s.stop(t + secs(3800));
    let stop = s.poll(t + secs(3800)).unwrap();
    assert_eq!((stop.event, stop.timeout), (Event::Stopped, secs(5)));
    assert!(!s.is_stopped());
    s.succeeded(t + secs(3801), "a", &ok(1800));
    assert!(s.is_stopped());
    assert_eq!((s.poll(t + secs(9999)), s.next_deadline()), (None, None));
}

#[test]
fn completed_is_never_sent_when_complete_at_the_start() {
    let mut s = Schedule::new(&tiers(&[&["a"]]), 1, true);
    let t = Instant::now();
    accept(&mut s, t, "a", Event::Started);
    s.complete(t);
    assert_eq!(s.poll(t), None);
    accept(&mut s, t + secs(1800), "a", Event::None);
}

#[test]
fn completed_is_sent_once_although_it_is_noted_twice() {
    let mut s = schedule(&[&["a"]]);
    let t = Instant::now();
    accept(&mut s, t, "a", Event::Started);
    s.complete(t);
    s.complete(t);
    accept(&mut s, t, "a", Event::Completed);
    s.complete(t);
    assert_eq!(s.poll(t), None);
}

#[test]
fn a_failed_completed_is_repeated() {
    let mut s = schedule(&[&["a"]]);
    let t = Instant::now();
    accept(&mut s, t, "a", Event::Started);
    s.complete(t);
    refuse(&mut s, t, "a", Event::Completed);
    assert_eq!(s.poll(t), None);
    let again = s.next_deadline().unwrap();
    accept(&mut s, again, "a", Event::Completed);
    accept(&mut s, again + secs(1800), "a", Event::None);
}

#[test]
fn a_completion_during_an_announce_follows_it() {
    let mut s = schedule(&[&["a"]]);
    let t = Instant::now();
    expect(&mut s, t, "a", Event::Started);
    s.complete(t);
    assert_eq!(s.poll(t), None);
    s.succeeded(t, "a", &ok(1800));
    accept(&mut s, t, "a", Event::Completed);
    assert_eq!(s.poll(t), None);
}

#[test]
fn a_completion_that_no_tracker_heard_of_is_told_to_the_first_that_answers() {
    let mut s = schedule(&[&["a"], &["b"]]);
    let t = Instant::now();
    refuse(&mut s, t, "a", Event::Started);
    refuse(&mut s, t, "b", Event::Started);
    s.complete(t);
    assert_eq!(s.poll(t), None);
    let later = s.next_deadline().unwrap() + MAX_BACKOFF;
    accept(&mut s, later, "a", Event::Started);
    accept(&mut s, later, "a", Event::Completed);
    refuse(&mut s, later + secs(1800), "a", Event::None);
    accept(&mut s, later + secs(1800), "b", Event::Started);
    assert_eq!(
        s.poll(later + secs(1800)),
        None,
        "b heard `started` after the completion"
    );
}

#[test]
fn started_is_repeated_until_a_tracker_has_accepted_it() {
    let mut s = schedule(&[&["a"]]);
    let mut t = Instant::now();
    let mut waits = Vec::new();
    for _ in 0..16 {
        refuse(&mut s, t, "a", Event::Started);
        assert_eq!(s.poll(t), None);
        let next = s.next_deadline().unwrap();
        assert_eq!(s.poll(next - Duration::from_millis(1)), None);
        waits.push(next - t);
        t = next;
    }
    accept(&mut s, t, "a", Event::Started);
    accept(&mut s, t + secs(1800), "a", Event::None);
    assert!(waits[0] < secs(10) && waits[5] > waits[0] * 8, "{waits:?}");
    assert!(
        waits.iter().all(|wait| *wait <= MAX_BACKOFF * 5 / 4),
        "{waits:?}"
    );
}

#[test]
fn stopped_goes_only_where_started_was_accepted() {
    let mut s = schedule(&[&["a"], &["b"], &["c"]]);
    let t = Instant::now();
    accept(&mut s, t, "a", Event::Started);
    refuse(&mut s, t + secs(1800), "a", Event::None);
    accept(&mut s, t + secs(1800), "b", Event::Started);
    s.stop(t + secs(1900));
    let mut stops = Vec::new();
    while let Some(stop) = s.poll(t + secs(1900)) {
        assert_eq!(stop.event, Event::Stopped);
        stops.push(stop.url);
    }
    assert_eq!(stops, ["a", "b"]);
    s.failed(t, "a", Problem::new("unreachable"));
    assert!(!s.is_stopped());
    s.succeeded(t, "b", &ok(1800));
    assert!(s.is_stopped(), "a failed `stopped` is not repeated");
    assert_eq!(s.poll(t + secs(9999)), None);
}

#[test]
fn stop_before_anything_was_accepted_is_silent() {
    let mut s = schedule(&[&["a"]]);
    let t = Instant::now();
    s.stop(t);
    assert!(s.is_stopped());
    assert_eq!(s.poll(t), None);
}

#[test]
fn stop_during_started_waits_for_its_outcome() {
    let t = Instant::now();
    for accepted in [true, false] {
        let mut s = schedule(&[&["a"]]);
        expect(&mut s, t, "a", Event::Started);
        s.stop(t);
        assert_eq!(s.poll(t), None);
        assert!(!s.is_stopped());
        if accepted {
            s.succeeded(t, "a", &ok(1800));
            accept(&mut s, t, "a", Event::Stopped);
        } else {
            s.failed(t, "a", Problem::new("unreachable"));
        }
        assert!(s.is_stopped());
    }
}

#[test]
fn a_session_after_stop_begins_with_started() {
    let mut s = schedule(&[&["a"]]);
    let t = Instant::now();
    accept(&mut s, t, "a", Event::Started);
    s.stop(t);
    accept(&mut s, t, "a", Event::Stopped);
    s.start(t + secs(10));
    accept(&mut s, t + secs(10), "a", Event::Started);
    s.complete(t + secs(20));
    accept(&mut s, t + secs(20), "a", Event::Completed);
}

#[test]
fn started_does_not_overtake_stopped() {
    let mut s = schedule(&[&["a"]]);
    let t = Instant::now();
    accept(&mut s, t, "a", Event::Started);
    s.stop(t);
    expect(&mut s, t, "a", Event::Stopped);
    s.start(t + secs(1));
    assert_eq!(s.poll(t + secs(1)), None);
    assert_eq!(s.next_deadline(), None, "nothing to do before the report");
    s.succeeded(t + secs(2), "a", &ok(1800));
    accept(&mut s, t + secs(2), "a", Event::Started);
}

#[test]
fn a_partial_seed_says_paused_in_every_regular_announce() {
    let mut s = schedule(&[&["a"]]);
    let t = Instant::now();
    s.set_partial_seed(true);
    accept(&mut s, t, "a", Event::Started);
    accept(&mut s, t + secs(1800), "a", Event::Paused);
    s.set_partial_seed(false);
    accept(&mut s, t + secs(3600), "a", Event::None);
}

// BEP 12, the three examples.

#[test]
fn each_announce_begins_at_the_first_tier_again() {
    let mut s = schedule(&[&["a"], &["b"], &["c"]]);
    let t = Instant::now();
    refuse(&mut s, t, "a", Event::Started);
    refuse(&mut s, t, "b", Event::Started);
    accept(&mut s, t, "c", Event::Started);
    assert_eq!(s.poll(t + secs(1799)), None);
    refuse(&mut s, t + secs(1800), "a", Event::Started);
    accept(&mut s, t + secs(1800), "b", Event::Started);
    accept(&mut s, t + secs(3600), "a", Event::Started);
}

#[test]
fn the_tracker_that_answers_moves_to_the_front_of_its_tier() {
    let list = tiers(&[&["a", "b", "c"]]);
    let mut s = Schedule::new(&list, 1, false);
    let t = Instant::now();
    let order: Vec<String> = s.status().into_iter().map(|status| status.url).collect();
    let [x, y, z] = [order[0].as_str(), order[1].as_str(), order[2].as_str()];
    refuse(&mut s, t, x, Event::Started);
    accept(&mut s, t, y, Event::Started);
    let order =
        |s: &Schedule| -> Vec<String> { s.status().into_iter().map(|status| status.url).collect() };
    assert_eq!(order(&s), [y, x, z]);
    refuse(&mut s, t + secs(1800), y, Event::None);
    refuse(&mut s, t + secs(1800), x, Event::Started);
    accept(&mut s, t + secs(1800), z, Event::Started);
    assert_eq!(order(&s), [z, y, x]);
    accept(&mut s, t + secs(3600), z, Event::None);
}

#[test]
fn both_of_the_first_tier_are_tried_before_the_backup() {
    for seed in 0..20 {
        let mut s = Schedule::new(&tiers(&[&["a", "b"], &["backup"]]), seed, false);
        let t = Instant::now();
        let mut first: Vec<String> = Vec::new();
        for _ in 0..2 {
            let announce = s.poll(t).unwrap();
            s.failed(t, &announce.url, Problem::new("unreachable"));
            first.push(announce.url);
        }
        first.sort();
        assert_eq!(first, ["a", "b"]);
        accept(&mut s, t, "backup", Event::Started);
    }
}

#[test]
fn tiers_are_shuffled_by_the_seed_and_only_within() {
    let list = tiers(&[&["a", "b", "c", "d"], &["e"]]);
    let mut firsts = BTreeMap::new();
    for seed in 0..200 {
        let order: Vec<String> = Schedule::new(&list, seed, false)
            .status()
            .into_iter()
            .map(|s| s.url)
            .collect();
        let again: Vec<String> = Schedule::new(&list, seed, false)
            .status()
            .into_iter()
            .map(|s| s.url)
            .collect();
        assert_eq!(order, again, "the same seed gives the same order");
        assert_eq!(order[4], "e");
        *firsts.entry(order[0].clone()).or_insert(0) += 1;
    }
    assert_eq!(firsts.len(), 4, "{firsts:?}");
    assert!(firsts.values().all(|count| *count > 25), "{firsts:?}");
}

#[test]
fn announce_list_without_announce_and_no_tracker_at_all_are_both_fine() {
    let t = Instant::now();
    for list in [tiers(&[]), tiers(&[&[]]), tiers(&[&[""]])] {
        let mut s = Schedule::new(&list, 1, false);
        assert_eq!((s.poll(t), s.next_deadline()), (None, None));
        s.force(t);
        s.complete(t);
        assert_eq!((s.poll(t), s.next_deadline()), (None, None));
        s.stop(t);
        assert!(s.is_stopped() && s.status().is_empty());
    }
    accept(&mut schedule(&[&[], &["a"]]), t, "a", Event::Started);
}

#[test]
fn repeated_and_excessive_urls_are_left_out() {
    let long = "x".repeat(MAX_URL + 1);
    let limit = "x".repeat(MAX_URL);
    let s = Schedule::new(
        &[vec!["a".into(), long, limit.clone()], vec!["a".into()]],
        1,
        false,
    );
    let mut urls: Vec<String> = s.status().into_iter().map(|status| status.url).collect();
    urls.sort();
    assert_eq!(urls, ["a".to_owned(), limit]);
    let many: Vec<String> = (0..=MAX_TRACKERS).map(|n| format!("http://{n}/")).collect();
    assert_eq!(
        Schedule::new(&[many], 1, false).status().len(),
        MAX_TRACKERS
    );
}

#[test]
fn every_torrent_has_its_own_interval() {
    let t = Instant::now();
    let mut short = schedule(&[&["a"]]);
    let mut long = schedule(&[&["a"]]);
    expect(&mut short, t, "a", Event::Started);
    expect(&mut long, t, "a", Event::Started);
    short.succeeded(t, "a", &ok(120));
    long.succeeded(t, "a", &ok(7200));
    assert_eq!(short.poll(t), None);
    assert_eq!(long.poll(t), None);
    assert_eq!(short.next_deadline(), Some(t + secs(120)));
    assert_eq!(long.next_deadline(), Some(t + secs(7200)));
}

#[test]
fn intervals_are_clamped() {
    let t = Instant::now();
    for (said, used) in [
        (0, MIN_INTERVAL),
        (59, MIN_INTERVAL),
        (60, MIN_INTERVAL),
        (61, secs(61)),
        (86_400, MAX_INTERVAL),
        (86_401, MAX_INTERVAL),
        (u64::from(u32::MAX), MAX_INTERVAL),
        (u64::MAX, MAX_INTERVAL),
    ] {
        let mut s = schedule(&[&["a"]]);
        expect(&mut s, t, "a", Event::Started);
        s.succeeded(t, "a", &ok(said));
        assert_eq!(s.poll(t), None);
        assert_eq!(s.next_deadline(), Some(t + used), "{said}");
    }
    let options = Options {
        min_interval: secs(1),
        ..Options::default()
    };
    let mut s = Schedule::with_options(&tiers(&[&["a"]]), 1, false, options);
    expect(&mut s, t, "a", Event::Started);
    s.succeeded(t, "a", &ok(2));
    assert_eq!(s.poll(t), None);
    assert_eq!(s.next_deadline(), Some(t + secs(2)));
}

#[test]
fn force_respects_min_interval_and_news_does_not() {
    let t = Instant::now();
    for (min_interval, allowed) in [(None, 60), (Some(10), 60), (Some(900), 900)] {
        let mut s = schedule(&[&["a"]]);
        expect(&mut s, t, "a", Event::Started);
        let min_interval = min_interval.map(secs);
        s.succeeded(
            t,
            "a",
            &AnnounceResponse {
                min_interval,
                ..ok(1800)
            },
        );
        s.force(t + secs(5));
        assert_eq!(s.poll(t + secs(5)), None);
        assert_eq!(
            s.next_deadline(),
            Some(t + secs(allowed)),
            "{min_interval:?}"
        );
        s.complete(t + secs(6));
        expect(&mut s, t + secs(6), "a", Event::Completed);
    }
    let mut s = schedule(&[&["a"]]);
    expect(&mut s, t, "a", Event::Started);
    s.succeeded(
        t,
        "a",
        &AnnounceResponse {
            min_interval: Some(secs(3600)),
            ..ok(1800)
        },
    );
    assert_eq!(s.poll(t), None);
    assert_eq!(
        s.next_deadline(),
        Some(t + secs(3600)),
        "interval is raised to min interval"
    );
}

#[test]
fn force_cuts_our_own_back_off_but_not_the_trackers() {
    let t = Instant::now();
    let mut s = schedule(&[&["a"]]);
    refuse(&mut s, t, "a", Event::Started);
    assert_eq!(s.poll(t), None);
    s.force(t);
    expect(&mut s, t, "a", Event::Started);
    let problem = Problem {
        retry_in: Some(RetryIn::Minutes(5)),
        ..Problem::new("busy")
    };
    s.failed(t, "a", problem);
    assert_eq!(s.poll(t), None);
    s.force(t);
    assert_eq!(s.poll(t), None);
    assert_eq!(s.next_deadline(), Some(t + secs(300)));
}

#[test]
fn a_tracker_that_says_never_is_not_asked_again() {
    let t = Instant::now();
    let never = || Problem {
        retry_in: Some(RetryIn::Never),
        ..Problem::new("not a tracker")
    };
    let mut s = schedule(&[&["a"], &["b"]]);
    expect(&mut s, t, "a", Event::Started);
    s.failed(t, "a", never());
    accept(&mut s, t, "b", Event::Started);
    accept(&mut s, t + secs(1800), "b", Event::None);
    assert_eq!(s.status()[0].state, TrackerState::Off);
    expect(&mut s, t + secs(3600), "b", Event::None);
    s.failed(t + secs(3600), "b", never());
    assert_eq!(s.poll(t + secs(3600)), None);
    assert_eq!(s.next_deadline(), None);
    s.force(t + secs(3600));
    assert_eq!(
        (s.poll(t + MAX_INTERVAL * 9), s.next_deadline()),
        (None, None)
    );
    s.stop(t + secs(3600));
    assert!(s.is_stopped(), "never means never");
}

#[test]
fn a_refusal_waits_longer_than_a_failure() {
    let t = Instant::now();
    let first_wait = |problem: Problem| {
        let mut s = schedule(&[&["a"]]);
        expect(&mut s, t, "a", Event::Started);
        s.failed(t, "a", problem);
        assert_eq!(s.poll(t), None);
        s.next_deadline().unwrap() - t
    };
    assert!(first_wait(Problem::new("unreachable")) <= secs(7));
    assert!(first_wait(Problem::from(crate::Failure::new("unregistered"))) >= secs(45));
}

#[test]
fn patience_is_short_while_another_tracker_could_be_tried() {
    let t = Instant::now();
    let mut s = schedule(&[&["a"], &["b"]]);
    assert_eq!(s.poll(t).unwrap().timeout, secs(20));
    s.failed(t, "a", Problem::new("timed out"));
    assert_eq!(s.poll(t).unwrap().timeout, secs(60));
}

#[test]
fn the_owner_is_told_when_the_tracker_changes() {
    let t = Instant::now();
    let mut s = schedule(&[&["a"], &["b"]]);
    assert!(!accept(&mut s, t, "a", Event::Started).tracker_changed);
    assert!(!accept(&mut s, t + secs(1800), "a", Event::None).tracker_changed);
    refuse(&mut s, t + secs(3600), "a", Event::None);
    assert!(accept(&mut s, t + secs(3600), "b", Event::Started).tracker_changed);
}

#[test]
fn tracker_id_and_key_are_sent_back() {
    let t = Instant::now();
    let mut s = schedule(&[&["a"]]);
    let first = s.poll(t).unwrap();
    assert_eq!(first.tracker_id, None);
    let id = Some(b"\x00id".to_vec());
    s.succeeded(
        t,
        "a",
        &AnnounceResponse {
            tracker_id: id.clone(),
            ..ok(1800)
        },
    );
    let second = s.poll(t + secs(1800)).unwrap();
    assert_eq!((&second.tracker_id, second.key), (&id, first.key));
    assert_ne!(first.key, 0);
    s.succeeded(t + secs(1800), "a", &ok(1800));
    assert_eq!(
        s.poll(t + secs(3600)).unwrap().tracker_id,
        id,
        "an absent id does not erase it"
    );

    let mut request = AnnounceRequest::new([1; 20].into(), [2; 20].into(), 3);
    second.apply(&mut request);
    assert_eq!(
        (request.tracker_id, request.key, request.numwant),
        (id, first.key, None)
    );
    let stop = Announce {
        event: Event::Stopped,
        ..second
    };
    let mut request = AnnounceRequest::new([1; 20].into(), [2; 20].into(), 3);
    stop.apply(&mut request);
    assert_eq!((request.event, request.numwant), (Event::Stopped, Some(0)));
}

#[test]
fn wider_breadths_announce_at_the_same_time() {
    let t = Instant::now();
    let list = tiers(&[&["a", "b"], &["c"]]);
    for (breadth, count) in [
        (Breadth::OneTracker, 1),
        (Breadth::AllTiers, 2),
        (Breadth::AllTrackers, 3),
    ] {
        let options = Options {
            breadth,
            ..Options::default()
        };
        let mut s = Schedule::with_options(&list, 1, false, options);
        let mut urls = Vec::new();
        while let Some(announce) = s.poll(t) {
            assert_eq!(announce.event, Event::Started);
            urls.push(announce.url);
        }
        assert_eq!(urls.len(), count, "{breadth:?}");
        for url in &urls {
            s.succeeded(t, url, &ok(1800));
        }
        s.complete(t);
        let mut completed = Vec::new();
        while let Some(announce) = s.poll(t) {
            assert_eq!(announce.event, Event::Completed);
            completed.push(announce.url);
        }
        assert_eq!(completed, urls, "each of them is told");
    }
}

#[test]
fn status_tells_how_each_tracker_is_doing() {
    let t = Instant::now();
    let mut s = schedule(&[&["a"], &["b"], &["c"]]);
    refuse(&mut s, t, "a", Event::Started);
    expect(&mut s, t, "b", Event::Started);
    assert_eq!(s.status()[1].announcing, Some(Event::Started));
    let warning = Some("slow down".to_owned());
    let response = AnnounceResponse {
        warning,
        complete: Some(3),
        ..ok(1800)
    };
    s.succeeded(t, "b", &response);
    let status = s.status();
    let states: Vec<TrackerState> = status.iter().map(|status| status.state).collect();
    assert_eq!(
        states,
        [
            TrackerState::Failing,
            TrackerState::Working,
            TrackerState::Unused
        ]
    );
    assert_eq!(status[0].error.as_deref(), Some("unreachable"));
    assert_eq!(status[1].warning.as_deref(), Some("slow down"));
    assert_eq!(
        (status[1].complete, status[1].next_announce),
        (Some(3), Some(t + secs(1800)))
    );
    accept(&mut s, t + secs(1800), "a", Event::Started);
    assert_eq!(s.status()[1].state, TrackerState::Standby);
}

#[test]
fn reports_that_nobody_waits_for_are_ignored() {
    let t = Instant::now();
    let mut s = schedule(&[&["a"]]);
    s.succeeded(t, "a", &ok(1800));
    s.failed(t, "a", Problem::new("x"));
    s.succeeded(t, "unknown", &ok(1800));
    accept(&mut s, t, "a", Event::Started);
    s.succeeded(t, "a", &ok(99_999));
    assert_eq!(s.poll(t), None);
    assert_eq!(s.next_deadline(), Some(t + secs(1800)));
}

#[test]
fn an_announce_that_was_never_made_blames_nobody_and_needs_no_goodbye() {
    let t = Instant::now();
    let mut s = schedule(&[&["a"]]);
    expect(&mut s, t, "a", Event::Started);
    s.stop(t);
    assert!(!s.is_stopped() && !s.is_running(), "it may be under way");
    s.withdrawn("a");
    assert!(s.is_stopped());
    assert_eq!(s.poll(t), None, "it has never heard of us");
    s.start(t);
    assert!(s.is_running());
    // No back-off, and nothing that a person would read as a failure.
    assert_eq!(s.status()[0].error, None);
    accept(&mut s, t, "a", Event::Started);
    s.withdrawn("a");
    s.withdrawn("unknown");
    assert_eq!(s.next_deadline(), Some(t + secs(1800)));
}

/// One step of a random run.
#[derive(Clone, Debug)]
enum Step {
    Poll,
    /// Reports the n-th announce that is under way.
    Report {
        n: usize,
        outcome: Outcome,
    },
    Wait(u32),
    WaitForDeadline,
    Force,
    Complete,
    PartialSeed(bool),
    Stop,
    Start,
}

#[derive(Clone, Debug)]
enum Outcome {
    Accept {
        interval: u32,
        min_interval: Option<u32>,
    },
    Unreachable,
    Withdrawn,
    Refused(Option<RetryIn>),
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        4 => (any::<u16>(), proptest::option::of(any::<u16>())).prop_map(|(interval, min)| {
            Outcome::Accept { interval: interval.into(), min_interval: min.map(u32::from) }
        }),
        3 => Just(Outcome::Unreachable),
        1 => Just(Outcome::Withdrawn),
        1 => proptest::option::of(prop_oneof![
            5 => (0u32..100).prop_map(RetryIn::Minutes),
            1 => Just(RetryIn::Never),
        ])
        .prop_map(Outcome::Refused),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => Just(Step::Poll),
        6 => (0usize..4, outcome()).prop_map(|(n, outcome)| Step::Report { n, outcome }),
        2 => (0u32..4000).prop_map(Step::Wait),
        4 => Just(Step::WaitForDeadline),
        1 => Just(Step::Force),
        1 => Just(Step::Complete),
        1 => any::<bool>().prop_map(Step::PartialSeed),
        1 => Just(Step::Stop),
        1 => Just(Step::Start),
    ]
}

/// What one tracker has seen in one session.
#[derive(Default)]
struct Seen {
    started: bool,
    /// The torrent was incomplete when `started` was sent.
    started_incomplete: bool,
    completed: bool,
    stopped: bool,
}

struct Run {
    schedule: Schedule,
    now: Instant,
    /// URL, event, session, complete when sent.
    in_flight: Vec<(String, Event, u32, bool)>,
    seen: BTreeMap<String, Seen>,
    session: u32,
    running: bool,
    complete: bool,
    complete_at_start: bool,
    breadth: Breadth,
}

impl Run {
    fn new(list: &[Vec<String>], seed: u64, complete_at_start: bool, breadth: Breadth) -> Self {
        let options = Options {
            breadth,
            ..Options::default()
        };
        Self {
            schedule: Schedule::with_options(list, seed, complete_at_start, options),
            now: Instant::now(),
            in_flight: Vec::new(),
            seen: BTreeMap::new(),
            session: 0,
            running: true,
            complete: complete_at_start,
            complete_at_start,
            breadth,
        }
    }

    fn poll(&mut self) {
        let due = |schedule: &Schedule, now| schedule.next_deadline().is_some_and(|at| at <= now);
        let announce = match self.schedule.poll(self.now) {
            Some(announce) => announce,
            None if due(&self.schedule, self.now) => self
                .schedule
                .poll(self.now)
                .expect("a deadline must lead to an announce"),
            None => return,
        };
        let busy = self.in_flight.iter().any(|(url, ..)| *url == announce.url);
        assert!(!busy, "one announce at a time for {}", announce.url);
        if self.running && self.breadth == Breadth::OneTracker {
            let current = self
                .in_flight
                .iter()
                .filter(|(_, _, session, _)| *session == self.session);
            assert_eq!(current.count(), 0, "one tracker at a time");
        }
        let seen = self.seen.entry(announce.url.clone()).or_default();
        assert!(!seen.stopped, "nothing follows `stopped`");
        match announce.event {
            Event::Started => assert!(!seen.started && self.running),
            Event::Completed => {
                assert!(seen.started && !seen.completed && self.complete && self.running);
                assert!(!self.complete_at_start, "complete at start");
            }
            Event::Stopped => assert!(seen.started && !self.running),
            Event::None | Event::Paused => assert!(seen.started && self.running),
        }
        self.in_flight
            .push((announce.url, announce.event, self.session, self.complete));
    }

    fn report(&mut self, n: usize, outcome: &Outcome) {
        if self.in_flight.is_empty() {
            return;
        }
        let (url, event, session, complete) = self.in_flight.remove(n % self.in_flight.len());
        let was_made = !matches!(outcome, Outcome::Withdrawn);
        if event == Event::Stopped && session == self.session && was_made {
            // One attempt, whatever comes of it.
            self.seen.entry(url.clone()).or_default().stopped = true;
        }
        match outcome {
            Outcome::Accept {
                interval,
                min_interval,
            } => {
                if session == self.session {
                    let seen = self.seen.entry(url.clone()).or_default();
                    match event {
                        Event::Started => {
                            seen.started = true;
                            seen.started_incomplete = !complete;
                        }
                        Event::Completed => seen.completed = true,
                        Event::Stopped | Event::None | Event::Paused => {}
                    }
                }
                let mut response = ok(u64::from(*interval));
                response.min_interval = min_interval.map(|seconds| secs(seconds.into()));
                self.schedule.succeeded(self.now, &url, &response);
            }
            Outcome::Withdrawn => self.schedule.withdrawn(&url),
            Outcome::Unreachable => self.schedule.failed(self.now, &url, Problem::new("down")),
            Outcome::Refused(retry_in) => {
                let failure = crate::Failure {
                    reason: "no".into(),
                    retry_in: *retry_in,
                };
                self.schedule.failed(self.now, &url, &failure);
            }
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Poll => self.poll(),
            Step::Report { n, outcome } => self.report(*n, outcome),
            Step::Wait(seconds) => self.now += secs(u64::from(*seconds)),
            Step::WaitForDeadline => {
                if let Some(deadline) = self.schedule.next_deadline() {
                    self.now = self.now.max(deadline);
                }
            }
            Step::Force => self.schedule.force(self.now),
            Step::Complete => {
                self.schedule.complete(self.now);
                self.complete = true;
            }
            Step::PartialSeed(on) => self.schedule.set_partial_seed(*on),
            Step::Stop => {
                self.schedule.stop(self.now);
                self.running = false;
            }
            Step::Start => {
                if !self.running {
                    self.schedule.start(self.now);
                    self.session += 1;
                    self.seen.clear();
                    self.complete_at_start = self.complete;
                    self.running = true;
                }
            }
        }
    }

    /// Lets every tracker answer from now on, until nothing is left to do.
    fn settle(&mut self) {
        let accept = Outcome::Accept {
            interval: 1800,
            min_interval: None,
        };
        for _ in 0..40 {
            self.poll();
            while !self.in_flight.is_empty() {
                self.report(0, &accept);
                self.poll();
            }
            if self.running
                && let Some(deadline) = self.schedule.next_deadline()
            {
                self.now = self.now.max(deadline);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..Default::default() })]

    #[test]
    fn the_law_of_events_holds_for_every_sequence(
        seed: u64,
        complete_at_start: bool,
        breadth in prop_oneof![
            Just(Breadth::OneTracker), Just(Breadth::AllTiers), Just(Breadth::AllTrackers)
        ],
        steps in proptest::collection::vec(step(), 0..120),
    ) {
        let list = tiers(&[&["a", "b"], &["c"], &["d", "e"]]);
        let mut run = Run::new(&list, seed, complete_at_start, breadth);
        for step in &steps {
            run.step(step);
        }
        let reachable = |run: &Run, url: &str| {
            run.schedule.status().iter().any(|s| s.url == url && s.state != TrackerState::Off)
        };
        run.settle();
        if run.running {
            let all_off = run.schedule.status().iter().all(|s| s.state == TrackerState::Off);
            prop_assert!(all_off || run.seen.values().any(|seen| seen.started), "started at last");
            if breadth == Breadth::AllTrackers && run.complete && !run.complete_at_start {
                for (url, seen) in &run.seen {
                    if seen.started_incomplete && reachable(&run, url) {
                        prop_assert!(seen.completed, "{url} was never told");
                    }
                }
            }
        }
        run.step(&Step::Stop);
        run.settle();
        prop_assert!(run.schedule.is_stopped());
        for (url, seen) in &run.seen {
            if seen.started && reachable(&run, url) {
                prop_assert!(seen.stopped, "{url} was never told to forget us");
            }
        }
    }
}
