//! Says whether files are those of a torrent.
//!
//! `cargo run --release -p bt-metainfo --example verify -- TORRENT PATH`
#![allow(
    clippy::print_stdout,
    reason = "an example reports to a person on a terminal"
)]

use std::error::Error;
use std::sync::atomic::AtomicBool;

use bt_metainfo::Metainfo;
use bt_metainfo::verify::{Options, Verdict, verify};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(torrent), Some(path)) = (arguments.next(), arguments.next()) else {
        return Err("usage: verify TORRENT PATH".into());
    };
    let torrent = Metainfo::parse(&std::fs::read(torrent)?)?;
    let never = AtomicBool::new(false);
    let report = verify(
        torrent.info(),
        path.as_ref(),
        &Options::default(),
        &never,
        |_| {},
    )?;
    for file in &report.files {
        println!("{file}");
    }
    for verdict in [Verdict::Good, Verdict::Bad, Verdict::Missing] {
        println!("{verdict:?}: {} pieces", report.pieces(verdict).count());
    }
    if report.is_complete() {
        Ok(())
    } else {
        Err("not complete".into())
    }
}
