//! Asks a tracker how many peers torrents have.
//!
//! `cargo run -p bt-tracker --example scrape -- ANNOUNCE_URL INFO_HASH…`

#![expect(clippy::print_stdout, reason = "an example talks to a person")]

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bt_metainfo::InfoHash;
use bt_tracker::ScrapeRequest;
use bt_tracker::client::{Client, Direct};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let url = args.next().ok_or("usage: scrape ANNOUNCE_URL INFO_HASH…")?;
    let hashes: Vec<InfoHash> = args.map(|hash| hash.parse()).collect::<Result<_, _>>()?;
    let request = ScrapeRequest::new(hashes);
    let client = Client::new(Arc::new(Direct));
    let answer = client
        .scrape(&url, &request, Duration::from_secs(30))
        .await?;
    for (hash, stats) in &answer.files {
        let (seeds, others, times) = (stats.complete, stats.incomplete, stats.downloaded);
        println!("{hash}: {seeds} seeds, {others} others, completed {times} times");
    }
    Ok(())
}
