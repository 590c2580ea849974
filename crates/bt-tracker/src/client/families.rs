//! The same announce over IPv4 and IPv6, so that peers of both find us (BEP 7, "Announcing"), as
//! one result.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::pin;

use super::Error;
use crate::AnnounceResponse;
use crate::limits::FAMILY_GRACE;

/// Runs both. After the first success the other has [`FAMILY_GRACE`] left: a family without a way
/// to the internet must not hold up the peers of the other.
pub(super) async fn both(
    one: impl Future<Output = Result<AnnounceResponse, Error>>,
    other: impl Future<Output = Result<AnnounceResponse, Error>>,
) -> Result<AnnounceResponse, Error> {
    let (mut one, mut other) = (pin!(one), pin!(other));
    let (first, second) = tokio::select! {
        first = &mut one => {
            let second = rest(&first, other).await;
            (first, second)
        }
        first = &mut other => {
            let second = rest(&first, one).await;
            (first, second)
        }
    };
    match (first, second) {
        (Ok(first), Some(Ok(second))) => Ok(merge(first, second)),
        (Ok(only), _) | (Err(_), Some(Ok(only))) => Ok(only),
        (Err(first), Some(Err(second))) if second.progress() > first.progress() => Err(second),
        (Err(first), _) => Err(first),
    }
}

async fn rest<T, E>(
    first: &Result<T, E>,
    other: impl Future<Output = Result<T, E>>,
) -> Option<Result<T, E>> {
    if first.is_ok() {
        tokio::time::timeout(FAMILY_GRACE, other).await.ok()
    } else {
        Some(other.await)
    }
}

/// The peers of both, and the more careful of two numbers.
fn merge(first: AnnounceResponse, second: AnnounceResponse) -> AnnounceResponse {
    let mut merged = first;
    let known: BTreeSet<_> = merged.peers.iter().map(|peer| peer.addr).collect();
    merged.peers.extend(
        second
            .peers
            .into_iter()
            .filter(|peer| !known.contains(&peer.addr)),
    );
    merged.interval = merged.interval.max(second.interval);
    merged.min_interval = merged.min_interval.max(second.min_interval);
    // The same swarm seen twice: peers with both families are in both counts.
    merged.complete = merged.complete.max(second.complete);
    merged.incomplete = merged.incomplete.max(second.incomplete);
    merged.downloaded = merged.downloaded.max(second.downloaded);
    merged.downloaders = merged.downloaders.max(second.downloaders);
    merged.tracker_id = merged.tracker_id.or(second.tracker_id);
    merged.warning = merged.warning.or(second.warning);
    merged.external_ip = merged.external_ip.or(second.external_ip);
    merged.skipped = merged.skipped.saturating_add(second.skipped);
    merged
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::time::Duration;

    use super::*;
    use crate::{Failure, ReplyError};

    fn answer(interval: u64, peers: &[&str]) -> AnnounceResponse {
        AnnounceResponse {
            peers: peers
                .iter()
                .map(|peer| peer.parse::<std::net::SocketAddr>().unwrap().into())
                .collect(),
            ..AnnounceResponse::new(Duration::from_secs(interval))
        }
    }

    fn silent() -> Error {
        Error::Silent { packets: 9 }
    }

    #[tokio::test(start_paused = true)]
    async fn peers_of_both_families_come_together() {
        let one = async { Ok(answer(60, &["1.1.1.1:1", "2.2.2.2:2"])) };
        let other = async {
            tokio::time::sleep(FAMILY_GRACE / 2).await;
            Ok(answer(90, &["[2001::1]:1", "1.1.1.1:1"]))
        };
        let expected = answer(90, &["1.1.1.1:1", "2.2.2.2:2", "[2001::1]:1"]);
        assert_eq!(both(one, other).await.unwrap(), expected);
    }

    #[tokio::test(start_paused = true)]
    async fn one_family_is_enough() {
        let start = tokio::time::Instant::now();
        let merged = both(pending(), async { Ok(answer(60, &["1.1.1.1:1"])) }).await;
        assert_eq!(merged.unwrap(), answer(60, &["1.1.1.1:1"]));
        assert_eq!(start.elapsed(), FAMILY_GRACE);
        let merged = both(async { Err(silent()) }, async { Ok(answer(60, &[])) }).await;
        assert_eq!(merged.unwrap(), answer(60, &[]));
        let merged = both(async { Ok(answer(60, &[])) }, async { Err(silent()) }).await;
        assert_eq!(merged.unwrap(), answer(60, &[]));
    }

    #[tokio::test(start_paused = true)]
    async fn of_two_failures_the_words_of_the_tracker_are_reported() {
        let refused = || Error::from(ReplyError::Refused(Failure::new("unregistered")));
        for swap in [false, true] {
            let (one, other) = if swap {
                (refused(), silent())
            } else {
                (silent(), refused())
            };
            let error = both(async { Err(one) }, async { Err(other) })
                .await
                .unwrap_err();
            assert_eq!(error.to_string(), "the tracker refused: unregistered");
        }
    }
}
