//! Announces a torrent to its trackers as a downloader does: `started`, peers, `stopped`.
//!
//! `cargo run -p bt-tracker --example announce -- INFO_HASH URL…`; each URL is a tier of its own.

#![expect(clippy::print_stdout, reason = "an example talks to a person")]

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use bt_metainfo::InfoHash;
use bt_tracker::AnnounceRequest;
use bt_tracker::client::{Client, Direct};
use bt_tracker::schedule::{Announce, Schedule};
use bt_wire::PeerId;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let Some(info_hash) = args.next() else {
        return Err("usage: announce INFO_HASH URL…".into());
    };
    let info_hash: InfoHash = info_hash.parse()?;
    let tiers: Vec<Vec<String>> = args.map(|url| vec![url]).collect();
    let seed = u64::from(std::process::id());
    let peer_id = PeerId::generate("-BT0100-", seed);
    let client = Client::new(Arc::new(Direct));
    let mut schedule = Schedule::new(&tiers, seed, false);

    // Tracker after tracker, until one answers or all have been tried.
    let mut found = false;
    while let Some(announce) = schedule.poll(Instant::now()) {
        found = perform(&client, &mut schedule, &announce, info_hash, peer_id).await;
    }
    schedule.stop(Instant::now());
    while let Some(announce) = schedule.poll(Instant::now()) {
        perform(&client, &mut schedule, &announce, info_hash, peer_id).await;
    }
    if found {
        Ok(())
    } else {
        Err("no tracker answered".into())
    }
}

/// Performs one announce and reports its outcome to the schedule.
async fn perform(
    client: &Client,
    schedule: &mut Schedule,
    announce: &Announce,
    info_hash: InfoHash,
    peer_id: PeerId,
) -> bool {
    let mut request = AnnounceRequest::new(info_hash, peer_id, 6881);
    request.left = 1 << 30;
    announce.apply(&mut request);
    match client
        .announce(&announce.url, &request, announce.timeout)
        .await
    {
        Ok(response) => {
            println!(
                "{} {}: again in {:?}",
                announce.url, announce.event, response.interval
            );
            for peer in &response.peers {
                println!("  {}", peer.addr);
            }
            schedule.succeeded(Instant::now(), &announce.url, &response);
            true
        }
        Err(error) => {
            eprintln!("{} {}: {error}", announce.url, announce.event);
            schedule.failed(Instant::now(), &announce.url, &error);
            false
        }
    }
}
