//! The article's second script: load a torrent, download it, watch until it seeds, stop.
use bt_client::{AddTorrent, EventKind, Session, SessionConfig};
use bt_metainfo::Metainfo;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [torrent, directory] = args.as_slice() else {
        return Err("usage: download TORRENT DIRECTORY".into());
    };
    let session = Session::start(SessionConfig::default()).await?;
    let mut events = session.subscribe();
    let metainfo = Metainfo::parse(&std::fs::read(torrent)?)?;
    let download = session.add(AddTorrent::new(metainfo, directory)).await?;
    while let Some(event) = events.next().await {
        match event.kind {
            EventKind::State(state) => eprintln!("{state}"),
            EventKind::Completed | EventKind::Failed { .. } => break,
            _ => {}
        }
    }
    download.wait_until_seeding().await?;
    session.stop().await;
    Ok(())
}
