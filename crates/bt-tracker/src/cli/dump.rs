//! `dump`: what is in a snapshot, a line a torrent or a line a peer, for people and programs.

use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::time::Instant;

use bt_tracker::server::read_snapshot;
use bt_tracker::swarm::{Member, Role, Swarm};
use clap::Args;
use serde_json::json;

use super::failure::Failure;
use super::output;
use super::settings::Settings;

/// What to print.
#[derive(Clone, Debug, Args)]
pub(super) struct Dump {
    /// The snapshot [default: --snapshot]
    file: Option<PathBuf>,
    /// Print the peers of each torrent as well
    #[arg(long)]
    peers: bool,
}

impl Dump {
    pub(super) fn run(&self, settings: &Settings, json: bool) -> Result<u8, Failure> {
        let path = self.file.as_ref().or(settings.snapshot.as_ref());
        let path = path.ok_or_else(|| {
            Failure::usage("which snapshot is to be printed?")
                .hint("name its file: bt-tracker dump swarms.snapshot")
        })?;
        let now = Instant::now();
        let swarms = read_snapshot(path, now)
            .map_err(|error| Failure::bad_input("the snapshot cannot be read").cause(&error))?;
        let mut out = BufWriter::new(std::io::stdout().lock());
        let mut written = Ok(());
        swarms.each_swarm(now, |swarm| {
            if written.is_ok() {
                written = self.print(swarm, json, &mut out);
            }
        });
        output::judge(written.and_then(|()| out.flush()))?;
        Ok(0)
    }

    fn print(&self, swarm: &Swarm, json: bool, out: &mut impl Write) -> std::io::Result<()> {
        let counts = swarm.counts;
        if json {
            let mut object = json!({
                "info_hash": swarm.info_hash.to_string(),
                "seeds": counts.seeds,
                "downloaders": counts.downloaders,
                "partial": counts.partial,
                "completed": counts.completed,
            });
            if self.peers {
                let peers = swarm.members.iter().map(|member| {
                    json!({
                        "address": member.peer.to_string(),
                        "role": name(member.role),
                        "silent_seconds": member.silent.as_secs(),
                    })
                });
                object["peers"] = peers.collect();
            }
            return writeln!(out, "{object}");
        }
        writeln!(
            out,
            "{} {} seeds {} downloaders {} partial {} completed",
            swarm.info_hash, counts.seeds, counts.downloaders, counts.partial, counts.completed
        )?;
        for Member { peer, role, silent } in
            self.peers.then_some(&swarm.members).into_iter().flatten()
        {
            writeln!(
                out,
                "  {peer} {} silent for {} s",
                name(*role),
                silent.as_secs()
            )?;
        }
        Ok(())
    }
}

fn name(role: Role) -> &'static str {
    match role {
        Role::Downloader => "downloader",
        Role::Partial => "partial",
        Role::Seed => "seed",
    }
}
