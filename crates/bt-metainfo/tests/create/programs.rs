//! The other programs: whether they are there, and how each is told what to make.

use std::env;
use std::fs;
use std::io::{Write, stderr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::Wish;

/// mktorrent insists on a tracker; it has no part in the info-hash.
pub(crate) const TRACKER: &str = "http://tracker.example/announce";

/// A program that makes torrents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    Mktorrent,
    Torf,
    Libtorrent,
}

impl Program {
    /// Whether the program is there. If not, says so by name, past what the test runner hides, and
    /// fails in CI.
    pub(crate) fn is_installed(self) -> bool {
        let there = match self {
            Self::Mktorrent => runs(Command::new("mktorrent").arg("-h")),
            Self::Torf => python("torf").is_some(),
            Self::Libtorrent => python("libtorrent").is_some(),
        };
        if !there {
            assert!(
                env::var_os("CI").is_none_or(|ci| ci != "true"),
                "{self:?} is not installed"
            );
            let _unseen = writeln!(
                stderr(),
                "left out: {self:?} is not installed, nothing was compared with it"
            );
        }
        there
    }

    /// Makes a v1 torrent of `path` for each wish, in `folder`, and returns their bytes.
    pub(crate) fn create(self, path: &Path, wishes: &[Wish], folder: &Path) -> Vec<Vec<u8>> {
        match self {
            Self::Mktorrent => {
                let numbered = wishes.iter().enumerate();
                numbered.for_each(|(n, wish)| {
                    self.run(&mut mktorrent(path, wish, &torrent(folder, n)))
                });
            }
            Self::Torf => self.run(&mut script("torf", TORF, path, wishes, folder)),
            Self::Libtorrent => {
                self.run(&mut script("libtorrent", LIBTORRENT, path, wishes, folder))
            }
        }
        take(wishes.len(), folder)
    }

    /// Makes a hybrid torrent of `path` with libtorrent, in `folder`, and returns its bytes.
    pub(crate) fn create_hybrid(path: &Path, wish: Wish, folder: &Path) -> Vec<u8> {
        let text = LIBTORRENT.replace("lt.create_torrent.v1_only | ", "");
        Self::Libtorrent.run(&mut script("libtorrent", &text, path, &[wish], folder));
        take(1, folder).remove(0)
    }

    fn run(self, command: &mut Command) {
        // torf looks for empty files, to leave them out, below the current folder; here it finds
        // none of ours.
        let output = command.current_dir("/").stdin(Stdio::null()).output();
        let output = output.expect("the program starts");
        assert!(
            output.status.success(),
            "{self:?} failed: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

fn torrent(folder: &Path, number: usize) -> PathBuf {
    folder.join(format!("{number}.torrent"))
}

/// Reads and removes the torrents.
fn take(torrents: usize, folder: &Path) -> Vec<Vec<u8>> {
    let take = |number| {
        let torrent = torrent(folder, number);
        let bytes = fs::read(&torrent).expect("the program wrote a torrent");
        fs::remove_file(&torrent).expect("the torrent can be removed");
        bytes
    };
    (0..torrents).map(take).collect()
}

fn mktorrent(path: &Path, wish: &Wish, torrent: &Path) -> Command {
    let mut command = Command::new("mktorrent");
    command.args(["-a", TRACKER, "-l", &wish.piece_length.ilog2().to_string()]);
    if wish.private {
        command.arg("-p");
    }
    if let Some(source) = wish.source {
        command.args(["-s", source]);
    }
    command.arg("-o").arg(torrent).arg(path);
    command
}

fn script(module: &str, text: &str, path: &Path, wishes: &[Wish], folder: &Path) -> Command {
    let mut command = Command::new(python(module).expect("it was there a moment ago"));
    command.args(["-c", text]).arg(path).arg(folder);
    for wish in wishes {
        let private = if wish.private { "yes" } else { "" };
        command.args([
            &wish.piece_length.to_string(),
            private,
            wish.source.unwrap_or_default(),
        ]);
    }
    command
}

/// Arguments: path, folder, and for each torrent the piece length, whether it is private, and the
/// source; the last two may be empty.
const TORF: &str = "
import sys, torf
path, folder, *wishes = sys.argv[1:]
for n in range(len(wishes) // 3):
    length, private, source = wishes[3 * n:3 * n + 3]
    t = torf.Torrent(path=path, piece_size_min=16384, piece_size=int(length),
                     private=True if private else None, source=source or None)
    t.generate()
    t.write(f'{folder}/{n}.torrent', validate=False)
";

const LIBTORRENT: &str = "
import os, sys, libtorrent as lt
path, folder, *wishes = sys.argv[1:]
files = sorted(lt.list_files(path), key=lambda file: file.filename.encode())
flags = lt.create_torrent.v1_only | lt.create_torrent.no_attributes
for n in range(len(wishes) // 3):
    length, private, source = wishes[3 * n:3 * n + 3]
    t = lt.create_torrent(files, int(length), flags)
    if private:
        t.set_priv(True)
    lt.set_piece_hashes(t, os.path.dirname(path))
    with open(f'{folder}/{n}.torrent', 'wb') as file:
        file.write(lt.bencode(t.generate()))
";

/// A Python that has the module: that of the environment `PEERS`, by default the one that the
/// set-up script of the benches makes in the home directory, or that of the system.
fn python(module: &str) -> Option<PathBuf> {
    let home = || env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/bt-peers"));
    let peers = env::var_os("PEERS").map(PathBuf::from).or_else(home);
    let own = peers.map(|peers| peers.join("venv/bin/python"));
    let import = format!("import {module}");
    own.into_iter()
        .chain([PathBuf::from("python3")])
        .find(|python| runs(Command::new(python).args(["-c", &import])))
}

fn runs(command: &mut Command) -> bool {
    let quiet = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}
