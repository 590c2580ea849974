//! Writes a copy of a torrent with another tracker; the info-hash stays.
//!
//! `cargo run -p bt-metainfo --example retrack -- IN.torrent URL OUT.torrent`

use std::error::Error;

use bt_metainfo::Metainfo;

fn main() -> Result<(), Box<dyn Error>> {
    let [input, url, output] = std::env::args()
        .skip(1)
        .collect::<Vec<_>>()
        .try_into()
        .map_err(|_| "usage: retrack IN.torrent URL OUT.torrent")?;
    let torrent = Metainfo::parse(&std::fs::read(input)?)?;
    let mut edit = torrent.edit();
    edit.set_trackers(vec![vec![url]])?;
    let edited = edit.finish()?;
    assert_eq!(edited.info_hash(), torrent.info_hash());
    std::fs::write(output, edited.as_bytes())?;
    Ok(())
}
