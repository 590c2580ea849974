//! Many announces to one tracker: in one request where the tracker takes that, as trackers of
//! ttorrent 2.0 and ours do, and one by one where it does not.
//!
//! It must not know when to announce.

use std::collections::HashMap;
use std::sync::PoisonError;
use std::time::Duration;

use bt_metainfo::InfoHash;
use hyper::body::Bytes;
use tokio::task::JoinSet;

use super::destination::{Destination, Scheme};
use super::http::Errand;
use super::{Client, Error, Patience, http, interleaved, tracker};
use crate::http::{OneOfMany, announce_url, decode_many_announce_replies};
use crate::limits::{
    MAX_ANNOUNCES_AT_ONCE, MAX_ANNOUNCES_UNDER_WAY, MAX_REPLY_BODY, MAX_SINGLE_TRACKERS,
};
use crate::{AnnounceRequest, AnnounceResponse};

/// In the place of a request: its answer, once there is one.
type Answer = Option<Result<AnnounceResponse, Error>>;

impl Client {
    /// Announces many torrents to one tracker. Returns an answer for each request, in the same
    /// order.
    ///
    /// Over HTTP and HTTPS they travel together, at most [`MAX_ANNOUNCES_AT_ONCE`] in a request, as
    /// a POST to the announce URL with one announce URL a line. What such a request does not
    /// answer is announced one by one, a few at the same time, and a tracker that does not know
    /// such requests is asked so only once. No BEP describes it. A request goes to one of the
    /// tracker's addresses, while announces one by one go to both families where they can.
    ///
    /// `timeout` holds for each request of the network.
    pub async fn announce_many(
        &self,
        url: &str,
        requests: &[AnnounceRequest],
        timeout: Duration,
    ) -> Vec<Result<AnnounceResponse, Error>> {
        let mut answers: Vec<Answer> = requests.iter().map(|_| None).collect();
        let together = tracker(url)
            .ok()
            .filter(|destination| destination.scheme != Scheme::Udp && !self.is_single(url));
        if let Some(destination) = together {
            for (batch, answers) in requests
                .chunks(MAX_ANNOUNCES_AT_ONCE)
                .zip(answers.chunks_mut(MAX_ANNOUNCES_AT_ONCE))
            {
                // One that is alone needs no list.
                if batch.len() < 2 {
                    break;
                }
                match self.batch(url, &destination, batch, timeout).await {
                    Ok(replies) => assign(batch, replies, answers),
                    Err(error) => {
                        tracing::debug!(%error, "many announces at once are not taken");
                        if is_not_understood(&error) {
                            self.remember_single(url);
                        }
                        break;
                    }
                }
            }
        }
        self.one_by_one(url, requests, &mut answers, timeout).await;
        let missing = || Error::TimedOut { after: timeout };
        answers
            .into_iter()
            .map(|answer| answer.unwrap_or_else(|| Err(missing())))
            .collect()
    }

    async fn batch(
        &self,
        url: &str,
        destination: &Destination,
        batch: &[AnnounceRequest],
        timeout: Duration,
    ) -> Result<Vec<OneOfMany>, Error> {
        let lines = batch
            .iter()
            .map(|request| announce_url(url.trim(), request));
        let body: String = lines.map(|line| line + "\n").collect();
        let patience = Patience::new(timeout);
        let addrs = patience.limit(self.inner.resolve(destination)).await?;
        let (addrs, body) = (interleaved(&addrs), Some(Bytes::from(body)));
        let errand = Errand::Tracker { body };
        let sent = http::request(&self.inner, errand, destination, addrs, MAX_REPLY_BODY);
        patience
            .limit(sent)
            .await?
            .reply(decode_many_announce_replies)
    }

    /// Announces what has no answer yet.
    async fn one_by_one(
        &self,
        url: &str,
        requests: &[AnnounceRequest],
        answers: &mut [Answer],
        timeout: Duration,
    ) {
        let mut under_way = JoinSet::new();
        let mut waiting = requests.iter().enumerate();
        loop {
            while under_way.len() < MAX_ANNOUNCES_UNDER_WAY
                && let Some((at, request)) = waiting.next()
            {
                if answers.get(at).is_some_and(Option::is_none) {
                    let (client, url) = (self.clone(), url.to_owned());
                    let request = request.clone();
                    under_way
                        .spawn(async move { (at, client.announce(&url, &request, timeout).await) });
                }
            }
            match under_way.join_next().await {
                None => return,
                Some(Ok((at, answer))) => {
                    if let Some(place) = answers.get_mut(at) {
                        *place = Some(answer);
                    }
                }
                // A task that had a panic answers nothing.
                Some(Err(_)) => {}
            }
        }
    }

    fn is_single(&self, url: &str) -> bool {
        let single = self.inner.single.lock();
        single
            .unwrap_or_else(PoisonError::into_inner)
            .contains(url.trim())
    }

    fn remember_single(&self, url: &str) {
        let single = self.inner.single.lock();
        let mut single = single.unwrap_or_else(PoisonError::into_inner);
        if single.len() >= MAX_SINGLE_TRACKERS {
            single.clear();
        }
        single.insert(url.trim().to_owned());
    }
}

/// Whether the tracker answered, and so will answer the same the next time.
fn is_not_understood(error: &Error) -> bool {
    matches!(error, Error::Status { .. } | Error::Reply(_))
}

/// Gives each reply to the announce of the torrent that it names. Replies that name none, or one
/// that was not asked for, are left out.
fn assign(batch: &[AnnounceRequest], replies: Vec<OneOfMany>, answers: &mut [Answer]) {
    let mut places: HashMap<InfoHash, Vec<usize>> = HashMap::new();
    for (at, request) in batch.iter().enumerate().rev() {
        places.entry(request.info_hash).or_default().push(at);
    }
    for OneOfMany { info_hash, reply } in replies {
        let place = info_hash.and_then(|hash| places.get_mut(&hash)?.pop());
        if let Some(answer) = place.and_then(|at| answers.get_mut(at)) {
            *answer = Some(reply.map_err(Error::from));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::client::Direct;

    #[test]
    fn so_many_trackers_are_remembered_to_take_one_announce_at_a_time_and_one_more_forgets_them() {
        let client = Client::new(Arc::new(Direct));
        let url = |n: usize| format!("http://{n}.example/announce");
        let known = |count: usize| (0..count).filter(|n| client.is_single(&url(*n))).count();
        for n in 0..MAX_SINGLE_TRACKERS {
            client.remember_single(&url(n));
        }
        assert_eq!(
            known(MAX_SINGLE_TRACKERS),
            MAX_SINGLE_TRACKERS,
            "at the limit"
        );
        client.remember_single(&url(MAX_SINGLE_TRACKERS));
        assert_eq!(known(MAX_SINGLE_TRACKERS + 1), 1, "one above");
    }
}
