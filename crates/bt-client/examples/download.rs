//! The article's second script: load a torrent, download it, watch until it seeds, stop.
use bt_client::{AddTorrent, EventKind, Session, SessionConfig};
use bt_metainfo::Metainfo;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(torrent), Some(directory)) = (args.next(), args.next()) else {
        return Err("usage: download TORRENT DIRECTORY".into());
    };
    let session = Session::start(SessionConfig::default()).await?;
    let mut events = session.subscribe();
    let download = session.add(AddTorrent::new(Metainfo::parse(&std::fs::read(torrent)?)?, directory)).await?;
    tokio::spawn(async move {
        while let Some(event) = events.next().await {
            if let EventKind::State(state) = event.kind {
                println!("{state}");
            }
        }
    });
    download.wait_until_seeding().await?;
    session.stop().await;
    Ok(())
}
