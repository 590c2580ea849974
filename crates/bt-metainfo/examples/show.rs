//! Prints what a torrent file or magnet says.
//!
//! `cargo run -p bt-metainfo --example show -- FILE|MAGNET`
#![allow(
    clippy::print_stdout,
    reason = "an example reports to a person on a terminal"
)]

use std::error::Error;

use bt_metainfo::{Magnet, Metainfo};

fn main() -> Result<(), Box<dyn Error>> {
    let source = std::env::args().nth(1).ok_or("usage: show FILE|MAGNET")?;
    if source.starts_with("magnet:") {
        show_magnet(&source.parse()?);
    } else {
        show_torrent(&Metainfo::parse(&std::fs::read(source)?)?);
    }
    Ok(())
}

// Texts from a torrent are printed with `{:?}`, which escapes what could harm a terminal.
fn show_torrent(torrent: &Metainfo) {
    let info = torrent.info();
    let layout = info.layout();
    println!("name          {:?}", info.name());
    println!(
        "info-hash     {} ({:?})",
        torrent.info_hash(),
        info.version()
    );
    println!("size          {} bytes", layout.content_length());
    println!(
        "pieces        {} of {} bytes",
        layout.piece_count(),
        info.piece_length()
    );
    println!("private       {}", info.private());
    for (number, tier) in torrent.trackers().iter().enumerate() {
        println!("tier {number}        {tier:?}");
    }
    for (file, entry) in layout.files().zip(info.files()) {
        if !entry.attributes.pad {
            println!(
                "{:>13} {:?} in pieces {:?}",
                entry.length,
                info.disk_path(file),
                layout.pieces_of_file(file)
            );
        }
    }
    for warning in torrent.warnings() {
        println!("warning       {warning}");
    }
    println!("magnet        {}", torrent.magnet());
}

fn show_magnet(magnet: &Magnet) {
    println!("name          {:?}", magnet.display_name);
    println!("info-hash     {}", magnet.info_hash());
    println!("trackers      {:?}", magnet.trackers);
    println!("web seeds     {:?}", magnet.web_seeds);
    for peer in &magnet.peers {
        println!("peer          {peer}");
    }
    if let Some(selection) = &magnet.select_only {
        println!("only files    {selection}");
    }
}
