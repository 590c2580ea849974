//! SHA-1 of several messages whose bytes arrive a part at a time.

use super::feed::{Edge, Feed};
use super::schedule::{Function, Job, run};
use super::sha1::Sha1;

/// Several SHA-1 computations that advance together.
///
/// All messages are given a part at a time, one slice for each message in every call. The rate is
/// highest when the slices of one call are of equal length, a multiple of 64 bytes; any other
/// lengths, empty ones included, give the same digests.
///
/// ```
/// use bt_metainfo::lanes::Sha1Lanes;
///
/// let mut lanes = Sha1Lanes::new(2);
/// lanes.update(&[b"first ", b"second "]);
/// lanes.update(&[b"message", b"message"]);
/// let digests = lanes.finish();
/// assert_eq!(digests, bt_metainfo::lanes::sha1_each(&[&[b"first message"], &[b"second message"]]));
/// ```
#[derive(Debug)]
pub struct Sha1Lanes {
    function: Sha1,
    /// Chaining value and unfinished block of each message.
    messages: Vec<([u32; 5], Edge)>,
}

impl Sha1Lanes {
    /// Starts `messages` empty messages. Any number works; a multiple of
    /// [`sha1_width`](super::sha1_width) is fastest.
    #[must_use]
    pub fn new(messages: usize) -> Self {
        Self {
            function: Sha1::detect(),
            messages: vec![(Sha1::INITIAL, Edge::EMPTY); messages],
        }
    }

    /// Appends `parts[i]` to message `i`. Messages beyond the end of `parts` get nothing.
    ///
    /// # Panics
    /// When there are more parts than messages.
    pub fn update(&mut self, parts: &[&[u8]]) {
        assert!(
            parts.len() <= self.messages.len(),
            "a part for each message at most"
        );
        let jobs: Vec<_> = self
            .messages
            .iter()
            .zip(parts)
            .enumerate()
            .filter(|(_, (_, part))| !part.is_empty())
            .map(|(key, (&(state, edge), part))| Job {
                key,
                state,
                feed: Feed::more(edge, std::slice::from_ref(part)),
            })
            .collect();
        run(&self.function, jobs, |key, state, edge| {
            self.messages[key] = (state, edge);
        });
    }

    /// Ends all messages. The order of the digests is that of the messages.
    #[must_use]
    pub fn finish(self) -> Vec<[u8; 20]> {
        let mut digests = vec![[0; 20]; self.messages.len()];
        let jobs = self
            .messages
            .iter()
            .enumerate()
            .map(|(key, &(state, edge))| Job {
                key,
                state,
                feed: Feed::end(edge),
            });
        run(&self.function, jobs, |key, state, _| {
            digests[key] = Sha1::digest(state);
        });
        digests
    }
}
