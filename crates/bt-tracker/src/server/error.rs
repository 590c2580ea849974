//! Why a server could not start or carry out what its owner asked.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Why a server could not start, or could not carry out what its owner asked. What the system said
/// is its [`source`](std::error::Error::source).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another program has the address, it is not ours, or we may not use it.
    #[error("cannot listen on {protocol} {address}")]
    Bind {
        /// `http`, `https`, `udp` or `stats`.
        protocol: &'static str,
        /// The address that was asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The list cannot be read.
    #[error("cannot read list {path}")]
    ReadList {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A line of the list is not what the mode needs.
    #[error("list {path}, line {line}: {problem}")]
    BadList {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The list cannot be written, and is as it was.
    #[error("cannot write list {path}")]
    WriteList {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What was to be put on the list is not what the mode needs.
    #[error("{problem}")]
    BadEntry {
        /// What is wrong with it.
        problem: &'static str,
    },
    /// What was to be taken off the list is not on it.
    #[error("it is not on the list")]
    NotListed,
    /// The mode has no list.
    #[error("an open tracker has no list")]
    NoListToEdit,
    /// The torrent is in the directory of torrents, which decides about it.
    #[error("the torrent is in the directory of torrents as {file}")]
    InDirectory {
        /// Its name in the directory.
        file: String,
    },
    /// The file of accounts cannot be used. It is left alone, so that nobody's numbers are lost.
    #[error("accounts {path} cannot be used: {problem}")]
    Accounts {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A snapshot cannot be read.
    #[error("snapshot {path}: {problem}")]
    ReadSnapshot {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The snapshot is damaged or foreign and cannot be moved out of the way of the next one.
    #[error("snapshot {path} cannot be used and cannot be set aside")]
    Snapshot {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The mode needs a list and none was given.
    #[error("mode {0} needs a list")]
    NoList(&'static str),
    /// The directory of torrents cannot be read.
    #[error("cannot read the directory of torrents {path}")]
    Torrents {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file of the directory is no torrent. A running server reports and skips it.
    #[error("{path} is not a torrent: {problem}")]
    NotATorrent {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The certificate or its key cannot be used.
    #[error("cannot use {path} for HTTPS: {problem}")]
    Tls {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The URL of the store makes no sense.
    #[error("the store cannot be used: {problem}")]
    Store {
        /// What is wrong with it.
        problem: String,
    },
    /// A list was given and the mode has no use for it: most likely the mode was forgotten, and the
    /// tracker would be open to everybody.
    #[error("an open tracker has no use for a list")]
    IdleList,
    /// A setting makes no sense.
    #[error("{problem}")]
    Setting {
        /// What the program calls the setting: the name of its flag.
        name: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The system gives no random bytes or no thread.
    #[error("the system refused {what}")]
    System {
        /// What was asked for.
        what: &'static str,
        /// What it said.
        source: io::Error,
    },
}

impl Error {
    pub(super) fn setting(name: &'static str, problem: &'static str) -> Self {
        Self::Setting { name, problem }
    }
}
