//! A tracker inside a program: publishes a torrent, and ends when three peers have all of it.
#![expect(clippy::print_stdout, reason = "it is a program for people")]

use bt_metainfo::Metainfo;
use bt_tracker::server::{Config, Server};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("give a .torrent file")?;
    let torrent = Metainfo::parse(&std::fs::read(path)?)?;

    let mut config = Config::default();
    config.http.push("0.0.0.0:6969".parse()?);
    config.closed = true;
    let tracker = Server::start(config).await?;
    tracker.register(&torrent);
    println!("{}", tracker.announce_url().unwrap_or_default());

    let complete = || Some(tracker.scrape(torrent.info_hash())?.complete);
    while complete() < Some(3) {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
    tracker.stop().await;
    Ok(())
}
