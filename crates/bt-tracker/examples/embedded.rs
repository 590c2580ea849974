//! A tracker inside a program: it publishes one torrent and tells how many peers it has.

use std::error::Error;
use std::time::Duration;

use bt_metainfo::Metainfo;
use bt_tracker::server::{Config, Server};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("give a .torrent file")?;
    let torrent = Metainfo::parse(&std::fs::read(path)?)?;
    let http = vec!["0.0.0.0:6969".parse()?];
    let tracker = Server::start(Config { http, closed: true, ..Config::default() }).await?;
    tracker.register(&torrent);
    println!("announce to {}", tracker.announce_url().unwrap_or_default());
    while tracker.scrape(torrent.info_hash()).is_none_or(|numbers| numbers.complete < 3) {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    println!("three seeds: everybody has it");
    tracker.stop().await;
    Ok(())
}
