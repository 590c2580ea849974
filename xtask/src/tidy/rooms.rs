//! Checks on what a room must never touch: clocks, sockets, files, tasks.

use super::Finding;
use crate::scan::{imports, line_of, words};
use crate::tree::Tree;

/// Rooms whose code gets time, bytes and seeds as arguments. A prefix ends in `/` or names a file
/// without its extension, so that `scrape` means `scrape.rs` and `scrape/` alike.
const PURE: [&str; 13] = [
    "crates/bt-bencode/src/",
    "crates/bt-metainfo/src/",
    "crates/bt-wire/src/",
    "crates/bt-tracker/src/announce",
    "crates/bt-tracker/src/scrape",
    "crates/bt-tracker/src/http",
    "crates/bt-tracker/src/udp",
    "crates/bt-tracker/src/swarm",
    "crates/bt-tracker/src/schedule",
    "crates/bt-tracker/src/server/control_message",
    "crates/bt-client/src/engine",
    "crates/bt-client/src/scrub",
    "crates/bt-client/src/state/knowledge",
];

/// Rooms inside pure ones that are not, each behind a feature: two that walk and read files, and
/// the test bench of bt-wire, which has to make the first `Instant` somewhere.
const IMPURE: [&str; 3] = [
    "crates/bt-metainfo/src/create",
    "crates/bt-metainfo/src/verify",
    "crates/bt-wire/src/testing",
];

/// Words that no pure room contains.
const FORBIDDEN_WORDS: [&str; 9] = [
    "async",
    ".await",
    "tokio",
    "::now()",
    "RandomState",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "println!",
];

/// Modules that no pure room names, in place or in a `use`.
const FORBIDDEN_MODULES: [[&str; 2]; 5] = [
    ["std", "fs"],
    ["std", "thread"],
    ["std", "process"],
    ["std", "env"],
    ["std", "os"],
];

/// The only files that make sockets. Binding to an interface, proxies and address checks hold for
/// the whole program because no one else opens a connection.
const DIALERS: [&str; 7] = [
    "crates/bt-client/src/net/dial.rs",
    "crates/bt-client/src/net/listen.rs",
    "crates/bt-tracker/src/client/net.rs",
    "crates/bt-tracker/src/client/direct.rs",
    "crates/bt-tracker/src/server/",
    "crates/bt-client/examples/",
    "crates/bt-tracker/examples/",
];

/// Calls that make a socket or resolve a name.
const SOCKET_MAKERS: [&str; 9] = [
    "TcpStream::connect",
    "TcpStream::connect_timeout",
    "TcpListener::bind",
    "UdpSocket::bind",
    "TcpSocket::new_v4",
    "TcpSocket::new_v6",
    "Socket::new",
    "lookup_host",
    "to_socket_addrs",
];

fn under(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| prefix.ends_with('/') || rest == ".rs" || rest.starts_with('/'))
}

/// Whether the file belongs to a pure room.
pub(crate) fn is_pure(path: &str) -> bool {
    PURE.iter().any(|prefix| under(path, prefix))
        && !IMPURE.iter().any(|prefix| under(path, prefix))
}

/// Pure rooms contain no task, clock, file, thread, socket or random source.
pub(super) fn pure_rooms_stay_pure(tree: &Tree, out: &mut Vec<Finding>) {
    let fix = "take `now`, bytes or a seed as an argument, or move this to a room that does I/O";
    for (file, source) in tree.sources() {
        if !is_pure(&file.path) || file.is_test {
            continue;
        }
        for word in FORBIDDEN_WORDS {
            for at in words(&source.production, word) {
                let line = line_of(file.text(), at);
                let what = format!("`{word}` in a pure room");
                out.push(Finding::at(&file.path, line, what, fix));
            }
        }
        for module in FORBIDDEN_MODULES {
            let path = module.join("::");
            let in_place = words(&source.production, &path).map(|at| line_of(file.text(), at));
            let imported = imports(&source.production)
                .into_iter()
                .filter(|import| import.starts_with(&module))
                .map(|import| line_of(file.text(), import.offset));
            let mut lines: Vec<_> = in_place.chain(imported).collect();
            lines.sort_unstable();
            lines.dedup();
            for line in lines {
                let what = format!("`{path}` in a pure room");
                out.push(Finding::at(&file.path, line, what, fix));
            }
        }
    }
}

/// Sockets and name look-ups come from the dialer files alone.
pub(super) fn sockets_come_from_the_dialer(tree: &Tree, out: &mut Vec<Finding>) {
    for (file, source) in tree.sources() {
        let allowed = file.is_test
            || DIALERS.iter().any(|dialer| {
                file.path == *dialer || dialer.ends_with('/') && file.path.starts_with(dialer)
            });
        if allowed || !file.path.starts_with("crates/") {
            continue;
        }
        for maker in SOCKET_MAKERS {
            for at in words(&source.production, maker) {
                out.push(Finding::at(
                    &file.path,
                    line_of(file.text(), at),
                    format!("`{maker}` outside the dialer"),
                    "ask the program's one dialer (net/dial.rs) or listener (net/listen.rs) for it",
                ));
            }
        }
    }
}

/// `tokio::fs` stands nowhere: it queues writes and can lose a late error.
pub(super) fn no_async_files(tree: &Tree, out: &mut Vec<Finding>) {
    for (file, source) in tree.sources() {
        let in_place = words(&source.code, "tokio::fs");
        let imported = imports(&source.code)
            .into_iter()
            .filter(|import| import.starts_with(&["tokio", "fs"]))
            .map(|import| import.offset);
        let mut lines: Vec<_> = in_place
            .chain(imported)
            .map(|at| line_of(file.text(), at))
            .collect();
        lines.sort_unstable();
        lines.dedup();
        for line in lines {
            out.push(Finding::at(
                &file.path,
                line,
                "`tokio::fs` queues writes and can lose a late error",
                "use `std::fs` on a disk thread or inside `spawn_blocking`",
            ));
        }
    }
}
