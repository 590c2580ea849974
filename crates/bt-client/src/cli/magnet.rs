//! `bt-client magnet FILE`: the magnet of a torrent.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::Context;
use super::exit::Exit;
use super::report::Outcome;
use super::source;

/// Print the magnet of a torrent
#[derive(Debug, Args)]
pub(crate) struct MagnetArgs {
    /// The .torrent file, or - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// The result with `--json`.
#[derive(Debug, Serialize)]
struct Result<'a> {
    magnet: &'a str,
}

pub(crate) async fn run(args: &MagnetArgs, context: &Context) -> Outcome {
    let Some(metainfo) = source::torrent(&args.file, context).await? else {
        return Ok(context.stopped());
    };
    let magnet = metainfo.magnet().to_string();
    context.report.line(&magnet);
    context.report.emit(&Result { magnet: &magnet });
    Ok(Exit::Success)
}
