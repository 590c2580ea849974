//! Prints the structure of a bencoded file: offsets, types, lengths, and the beginning of strings.
//!
//! `cargo run -p bt-bencode --example dump FILE.torrent`
//!
//! The tokens come one by one, so that a broken file is shown up to the place where it breaks.
#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use std::fs;
use std::process::ExitCode;

use bt_bencode::{Reader, Token};

/// Bytes of a string that are shown.
const SHOWN: usize = 60;

fn main() -> ExitCode {
    let Some(path) = std::env::args_os().nth(1) else {
        eprintln!("usage: dump FILE");
        return ExitCode::from(2);
    };
    let input = match fs::read(&path) {
        Ok(input) => input,
        Err(error) => {
            eprintln!("{}: {error}", path.display());
            return ExitCode::FAILURE;
        }
    };
    match dump(&input) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error}", path.display());
            ExitCode::FAILURE
        }
    }
}

fn dump(input: &[u8]) -> Result<(), bt_bencode::Error> {
    let mut reader = Reader::new(input);
    let mut key = String::new();
    loop {
        let is_key = reader.at_key();
        let depth = reader.depth();
        let Some((offset, token)) = reader.next()? else {
            return Ok(());
        };
        let what = match token {
            Token::Bytes(bytes) if is_key => {
                key = format!("{} = ", shown(bytes));
                continue;
            }
            Token::Bytes(bytes) => format!("{} bytes {}", bytes.len(), shown(bytes)),
            Token::Int(number) => number.to_string(),
            Token::ListStart => "list".to_owned(),
            Token::DictStart => "dictionary".to_owned(),
            Token::End => continue,
        };
        println!("{offset:>8}  {:indent$}{key}{what}", "", indent = 2 * depth);
        key.clear();
    }
}

/// The beginning of a string, escaped so that it cannot play with the terminal.
fn shown(bytes: &[u8]) -> String {
    match bytes.get(..SHOWN) {
        Some(head) => format!("\"{}\"…", head.escape_ascii()),
        None => format!("\"{}\"", bytes.escape_ascii()),
    }
}
