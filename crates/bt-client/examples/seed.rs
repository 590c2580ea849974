//! The article's first script: start a tracker, make a torrent, seed it without checking, stop on Enter.
use bt_client::{AddTorrent, Check, Session, SessionConfig};
use bt_metainfo::{Metainfo, create};
use bt_tracker::server::{Config, Server};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let content = std::fs::canonicalize(std::env::args().nth(1).ok_or("usage: seed CONTENT")?)?;
    let tracker = Server::start(Config { http: vec!["0.0.0.0:6969".parse()?], closed: true, ..Config::default() }).await?;
    let trackers = vec![tracker.announce_url().into_iter().collect()];
    let torrent = create::create(&content, &create::Options { trackers, ..create::Options::default() })?.to_bytes()?;
    std::fs::write(content.with_added_extension("torrent"), &torrent)?;
    let metainfo = Metainfo::parse(&torrent)?;
    tracker.register(&metainfo);

    let session = Session::start(SessionConfig::default()).await?;
    let directory = content.parent().ok_or("the content needs a directory")?;
    session.add(AddTorrent { check: Check::Trust, ..AddTorrent::new(metainfo, directory) }).await?;
    println!("seeding {}; press Enter to stop", content.display());
    std::io::stdin().read_line(&mut String::new())?;
    session.stop().await;
    tracker.stop().await;
    Ok(())
}
