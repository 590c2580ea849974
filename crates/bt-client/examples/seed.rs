//! The article's first script: a tracker, a torrent, its initial seeder; Enter stops them.
use bt_client::{AddTorrent, Session, SessionConfig};
use bt_metainfo::{Metainfo, create};
use bt_tracker::server::{Config, Server};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let content = std::fs::canonicalize(std::env::args().nth(1).ok_or("usage: seed CONTENT")?)?;
    let address = std::env::args().nth(2);
    let address = address.as_deref().unwrap_or("0.0.0.0:6969").parse()?;
    let tracker = Server::start(Config::closed(address)).await?;
    let options = create::Options::for_tracker(tracker.announce_url().ok_or("no address")?);
    let torrent = create::create(&content, &options)?.to_bytes()?;
    std::fs::write(content.with_added_extension("torrent"), &torrent)?;
    let metainfo = Metainfo::parse(&torrent)?;
    tracker.register(&metainfo);
    let session = Session::start(SessionConfig::default()).await?;
    let directory = content.parent().ok_or("the content needs a directory")?;
    let seeder = AddTorrent::initial_seeder(metainfo, directory);
    session.add(seeder).await?;
    std::io::stdin().read_line(&mut String::new())?;
    session.stop().await;
    tracker.stop().await;
    Ok(())
}
