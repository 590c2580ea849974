//! What browsers and the tracker say to each other: JSON objects, in which hashes and ids are
//! strings with one character (U+0000 to U+00FF) for each byte.
//!
//! Pure. Knows nothing of connections.

use std::time::Duration;

use bt_metainfo::InfoHash;
use serde_json::{Map, Value, json};

use crate::limits::{MAX_SCRAPE, MAX_SIGNAL_OFFERS};

/// A message of a client.
#[derive(Debug)]
pub(super) enum Request {
    Announce(Announce),
    Scrape(Vec<InfoHash>),
}

#[derive(Debug)]
pub(super) struct Announce {
    pub(super) info_hash: InfoHash,
    pub(super) peer_id: [u8; 20],
    pub(super) is_seed: bool,
    /// Bytes that it lacks, if it says so.
    pub(super) left: Option<u64>,
    /// Bytes uploaded and downloaded, if it says both.
    pub(super) transferred: Option<(u64, u64)>,
    pub(super) event: Event,
    /// For peers that the tracker chooses; at most [`MAX_SIGNAL_OFFERS`].
    pub(super) offers: Vec<Offer>,
    pub(super) answer: Option<Answer>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Update,
    Completed,
    Stopped,
}

/// What a peer offers to whoever gets it. Not looked at.
#[derive(Debug)]
pub(super) struct Offer {
    pub(super) offer: Value,
    pub(super) id: Value,
}

/// The answer to the offer of another peer. Not looked at.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) to: [u8; 20],
    pub(super) answer: Value,
    pub(super) id: Value,
}

/// The numbers of the browsers in one torrent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) complete: u32,
    pub(super) incomplete: u32,
    pub(super) downloaded: u32,
}

impl Request {
    /// Reads a message, or says what is wrong with it.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, &'static str> {
        let Ok(Value::Object(mut said)) = serde_json::from_slice(bytes) else {
            return Err("the message is no JSON object");
        };
        match said.get("action").and_then(Value::as_str) {
            Some("announce") => Announce::read(&mut said).map(Self::Announce),
            Some("scrape") => {
                let hashes = match said.get("info_hash") {
                    Some(Value::Array(hashes)) => hashes.as_slice(),
                    Some(hash) => std::slice::from_ref(hash),
                    None => {
                        return Err("name the torrents with info_hash: there is no full scrape");
                    }
                };
                if hashes.len() > MAX_SCRAPE {
                    return Err("too many torrents in one scrape");
                }
                let hash = |hash| bytes20(Some(hash)).map(InfoHash::from);
                let hashes: Option<_> = hashes.iter().map(hash).collect();
                hashes.map(Self::Scrape).ok_or("info_hash is not 20 bytes")
            }
            _ => Err("action is neither announce nor scrape"),
        }
    }
}

impl Announce {
    fn read(said: &mut Map<String, Value>) -> Result<Self, &'static str> {
        let info_hash = bytes20(said.get("info_hash")).ok_or("info_hash is not 20 bytes")?;
        let peer_id = bytes20(said.get("peer_id")).ok_or("peer_id is not 20 bytes")?;
        let event = match said.get("event").map(|event| event.as_str()) {
            None | Some(Some("" | "started" | "update" | "paused")) => Event::Update,
            Some(Some("completed")) => Event::Completed,
            Some(Some("stopped")) => Event::Stopped,
            Some(_) => return Err("there is no such event"),
        };
        let offers = match said.remove("offers") {
            Some(Value::Array(offers)) if offers.len() > MAX_SIGNAL_OFFERS => {
                return Err("too many offers in one announce");
            }
            Some(Value::Array(offers)) => offers.into_iter().filter_map(Offer::read).collect(),
            _ => Vec::new(),
        };
        let answer = match said.remove("answer") {
            None | Some(Value::Null) => None,
            Some(answer) => Some(Answer {
                to: bytes20(said.get("to_peer_id")).ok_or("to_peer_id is not 20 bytes")?,
                answer,
                id: said.remove("offer_id").unwrap_or_default(),
            }),
        };
        Ok(Self {
            info_hash: info_hash.into(),
            peer_id,
            // Clients that do not know yet say null, and lack something.
            is_seed: said.get("left").and_then(Value::as_f64) == Some(0.0),
            left: number(said, "left"),
            transferred: number(said, "uploaded").zip(number(said, "downloaded")),
            event,
            offers,
            answer,
        })
    }
}

fn number(said: &Map<String, Value>, name: &str) -> Option<u64> {
    said.get(name)?.as_u64()
}

impl Offer {
    fn read(value: Value) -> Option<Self> {
        let Value::Object(mut said) = value else {
            return None;
        };
        Some(Self {
            offer: said.remove("offer")?,
            id: said.remove("offer_id")?,
        })
    }

    /// The offer for the peer that was chosen.
    pub(super) fn letter(self, info_hash: &InfoHash, from: &[u8; 20]) -> String {
        json!({
            "action": "announce", "offer": self.offer, "offer_id": self.id,
            "peer_id": text(from), "info_hash": text(info_hash.as_bytes()),
        })
        .to_string()
    }
}

impl Answer {
    /// The answer for the peer whose offer it is about.
    pub(super) fn letter(self, info_hash: &InfoHash, from: &[u8; 20]) -> String {
        json!({
            "action": "announce", "answer": self.answer, "offer_id": self.id,
            "peer_id": text(from), "info_hash": text(info_hash.as_bytes()),
        })
        .to_string()
    }
}

pub(super) fn announced(info_hash: &InfoHash, interval: Duration, counts: Counts) -> String {
    json!({
        "action": "announce", "info_hash": text(info_hash.as_bytes()),
        "interval": interval.as_secs(),
        "complete": counts.complete, "incomplete": counts.incomplete,
    })
    .to_string()
}

pub(super) fn scraped(files: impl Iterator<Item = (InfoHash, Counts)>) -> String {
    let files: Map<String, Value> = files
        .map(|(hash, counts)| {
            let numbers = json!({
                "complete": counts.complete, "incomplete": counts.incomplete,
                "downloaded": counts.downloaded,
            });
            (text(hash.as_bytes()), numbers)
        })
        .collect();
    json!({"action": "scrape", "files": files}).to_string()
}

pub(super) fn failure(info_hash: Option<&InfoHash>, reason: &str) -> String {
    let mut said = json!({"action": "announce", "failure reason": reason});
    if let (Some(hash), Value::Object(fields)) = (info_hash, &mut said) {
        fields.insert("info_hash".into(), text(hash.as_bytes()).into());
    }
    said.to_string()
}

/// A string with one character for each byte.
fn text(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| char::from(byte)).collect()
}

fn bytes20(value: Option<&Value>) -> Option<[u8; 20]> {
    let mut characters = value?.as_str()?.chars();
    let mut bytes = [0; 20];
    for byte in &mut bytes {
        *byte = u8::try_from(characters.next()?).ok()?;
    }
    characters.next().is_none().then_some(bytes)
}

/// A message for the fuzzer: what is taken keeps its bounds, and what is handed on is JSON about the same torrent and peer.
#[cfg(any(test, feature = "fuzz"))]
pub(in super::super) fn fuzz(bytes: &[u8]) {
    let read = |text: &str| serde_json::from_str::<Value>(text).expect("we write JSON");
    match Request::parse(bytes) {
        Err(why) => assert_eq!(read(&failure(None, why))["failure reason"], why),
        Ok(Request::Scrape(hashes)) => {
            assert!(hashes.len() <= MAX_SCRAPE, "too many torrents");
            let files = scraped(hashes.iter().map(|hash| (*hash, Counts::default())));
            let files = read(&files);
            for hash in hashes {
                assert!(files["files"].get(text(hash.as_bytes())).is_some());
            }
        }
        Ok(Request::Announce(announce)) => {
            assert!(
                announce.offers.len() <= MAX_SIGNAL_OFFERS,
                "too many offers"
            );
            let (hash, from) = (announce.info_hash, announce.peer_id);
            let offers = announce.offers.into_iter();
            let letters = offers.map(|offer| offer.letter(&hash, &from));
            let answers = announce.answer.map(|answer| answer.letter(&hash, &from));
            for letter in letters.chain(answers) {
                let letter = read(&letter);
                assert_eq!(bytes20(letter.get("peer_id")), Some(from));
                assert_eq!(bytes20(letter.get("info_hash")), Some(*hash.as_bytes()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_its_character() {
        let bytes: [u8; 20] = std::array::from_fn(|at| u8::try_from(at * 13).unwrap());
        assert_eq!(bytes20(Some(&text(&bytes).into())), Some(bytes));
        for bad in [
            "",
            "x".repeat(19).as_str(),
            "x".repeat(21).as_str(),
            "ā".repeat(20).as_str(),
        ] {
            assert_eq!(bytes20(Some(&bad.into())), None, "{bad}");
        }
    }

    #[test]
    fn offers_beyond_the_limit_and_nonsense_are_refused() {
        let id = "x".repeat(20);
        let announce = |offers: usize| {
            let offer = json!({"offer": {"type": "offer", "sdp": ""}, "offer_id": id});
            let said = json!({
                "action": "announce", "info_hash": id, "peer_id": id, "left": null,
                "offers": vec![offer; offers],
            });
            Request::parse(said.to_string().as_bytes())
        };
        let Ok(Request::Announce(read)) = announce(MAX_SIGNAL_OFFERS) else {
            panic!("ten offers are fine");
        };
        assert_eq!((read.offers.len(), read.is_seed), (10, false));
        assert!(announce(MAX_SIGNAL_OFFERS + 1).is_err());
        let deep = "[".repeat(60_000);
        for bad in [
            "",
            "[]",
            "{}",
            "{\"action\":1}",
            "{\"action\":\"scrape\"}",
            deep.as_str(),
        ] {
            assert!(Request::parse(bad.as_bytes()).is_err());
        }
    }
}
