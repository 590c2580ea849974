//! Makes a torrent of a file or folder, beside the current folder's other files.
//!
//! `cargo run --release -p bt-metainfo --example create -- PATH [TRACKER]…`
#![allow(
    clippy::print_stdout,
    reason = "an example reports to a person on a terminal"
)]

use std::error::Error;
use std::sync::atomic::AtomicBool;

use bt_metainfo::create::{Options, Plan};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("usage: create PATH [TRACKER]…")?;
    let options = Options {
        trackers: arguments.map(|tracker| vec![tracker]).collect(),
        created_by: Some("bt-metainfo example".into()),
        ..Options::default()
    };
    let plan = Plan::new(path.as_ref(), &options)?;
    for warning in plan.warnings() {
        eprintln!("{warning}");
    }
    let mut percent = 0;
    let torrent = plan.hash(&AtomicBool::new(false), |progress| {
        let now = progress.done * 100 / progress.total.max(1);
        if now > percent {
            percent = now;
            eprint!("\r{percent} %");
        }
    })?;
    let file = format!("{}.torrent", plan.name());
    std::fs::write(&file, torrent.to_bytes()?)?;
    println!("\r{file}: {}", torrent.info_hash()?);
    Ok(())
}
