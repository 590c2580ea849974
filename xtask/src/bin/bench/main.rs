//! Prints one comparable line per figure: what, how fast, in which unit.
//!
//! `cargo xtask bench` builds and starts this binary in release. A figure of computing is the best of many runs within
//! its time, so that neighbors on the machine disturb it as little as possible; a figure of whole programs is the
//! median of rounds in which the programs take turns. Nothing is kept: what a run needs it makes, and removes.
#![allow(
    clippy::print_stdout,
    reason = "a benchmark reports to a person on a terminal"
)]

mod bencode;
mod content;
mod hash;
mod idle;
mod link;
mod measure;
mod peers;
mod pick;
mod process;
mod relay;
mod setting;
mod shares;
mod torrents;
mod tracker;
mod transfer;
mod wire;

use std::process::ExitCode;

use setting::Setting;

/// A group of figures and the name by which it can be run alone.
type Group = (&'static str, fn(&Setting) -> Result<(), String>);

const GROUPS: [Group; 10] = [
    ("idle", idle::run),
    ("bencode", |setting| {
        bencode::run(&setting.meter);
        Ok(())
    }),
    ("hash", |setting| {
        hash::run(&setting.meter);
        Ok(())
    }),
    ("wire", |setting| {
        wire::run(&setting.meter);
        Ok(())
    }),
    ("pick", pick::run),
    ("create", torrents::create),
    ("verify", torrents::verify),
    ("transfer", transfer::run),
    ("link", link::run),
    ("shares", shares::run),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some((word, rest)) = arguments.split_first()
        && word == idle::SESSION
    {
        return match idle::session(rest) {
            Ok(()) => ExitCode::SUCCESS,
            Err(message) => {
                eprintln!("error: {message}");
                ExitCode::FAILURE
            }
        };
    }
    let known = GROUPS.map(|(group, _)| group);
    let setting = match Setting::read(arguments, &known) {
        Ok(setting) => setting,
        Err(message) => {
            eprintln!("error: {message}");
            return ExitCode::FAILURE;
        }
    };
    let mut code = ExitCode::SUCCESS;
    for (group, run) in GROUPS {
        if setting.includes(group)
            && let Err(message) = run(&setting)
        {
            eprintln!("error: {group}: {message}");
            code = ExitCode::FAILURE;
        }
    }
    code
}
